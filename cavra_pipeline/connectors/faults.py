"""Faults of the configuration of connectors, in words that hold none of its values.

What belongs here: the faults of one connector, and the error that carries them.
What does not: finding them (config, entry, sources).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cavra_pipeline.errors import Fault, PipelineError

#: The subject of a problem that concerns every connector.
WHOLE_FILE: Final = "connectors file"

FILE_UNUSABLE: Final = "connectors_file_unusable"
MISCONFIGURED: Final = "connector_misconfigured"
SECRET_UNUSABLE: Final = "connector_secret_unusable"  # noqa: S105 -- it says what is wrong
#: Why a retry is held, or an alert raised, for a connector that cannot be used.
PROBLEM_REASONS: Final = (FILE_UNUSABLE, MISCONFIGURED, SECRET_UNUSABLE)


@dataclass(frozen=True, slots=True)
class ConnectorProblem:
    """Reason why a connector, or every connector, cannot be used.

    Attributes:
        subject: The provider; ``WHOLE_FILE`` if it concerns all.
        faults: Everything to fix, at least one.
    """

    subject: str
    faults: tuple[Fault, ...]

    @property
    def reason(self) -> str:
        """The reason as a code, one of ``PROBLEM_REASONS``."""
        if self.subject == WHOLE_FILE:
            return FILE_UNUSABLE
        return SECRET_UNUSABLE if all(fault.is_of_secret for fault in self.faults) else MISCONFIGURED

    def document(self) -> dict[str, Any]:
        """Returns it for a report."""
        return {"connector": self.subject, "reason": self.reason, "faults": [str(fault) for fault in self.faults]}


class ConnectorConfigError(PipelineError):
    """A connector cannot be used: all of its faults, none of its values."""

    def __init__(self, file: Path, faults: tuple[Fault, ...]) -> None:
        """Name the file and everything to fix in it."""
        self.file = file
        self.faults = faults
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__(
            "\n".join([f"{count} in the connector file", *(f"  {fault}" for fault in faults), "It is not used"]),
            where=str(file),
            remedy="Fix them all; docs/connectors.md has the keys of each provider.",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.file, self.faults)
