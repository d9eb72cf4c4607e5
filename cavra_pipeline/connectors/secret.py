"""A value that must never be seen: held here, shown nowhere.

What belongs here: the one type that carries credentials (tokens, webhook addresses, signing secrets).
What does not: where the value comes from (config) and what is done with it (requests, signing).
"""

from __future__ import annotations

import hmac
from typing import Any, NoReturn

_MASK = "***"


class Secret:
    """Holds a credential; every way of showing it gives a mask, and it refuses to be pickled."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        """Hold `value`."""
        self.__value = value

    def reveal(self) -> str:
        """Return the value itself; call it only at the moment the value goes onto the wire."""
        return self.__value

    def __repr__(self) -> str:
        return f"Secret({_MASK})"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, format_spec: str) -> str:
        return _MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__value.encode(), other.reveal().encode())

    __hash__ = None  # type: ignore[assignment]  # a hash of a short secret can be searched for

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled: load the connectors again where they are needed")
