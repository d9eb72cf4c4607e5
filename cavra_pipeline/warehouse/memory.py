"""What a process has worked out from the evidence, for as long as the evidence stays as it is. No rule of a report."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any


class Memory:
    """Remembers answers about one state of the evidence; whoever wants to share answers shares it."""

    def __init__(self) -> None:
        self._held: tuple[str, dict[Hashable, Any]] = ("", {})

    def of(self, mark: str) -> dict[Hashable, Any]:
        """Returns what is known of the evidence with this mark; what was known of another is forgotten."""
        if self._held[0] != mark:
            self._held = (mark, {})
        return self._held[1]
