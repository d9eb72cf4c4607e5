"""What in a raw line only the reference may judge, found in whole blocks of lines at once (decisions 5 and 21).

Hyperscan looks for every hint in one pass over the bytes, and the kept scanner for its secrets. A hit too many costs
time and changes nothing; one too few would be a hole, so patterns lean to the first: a match may even begin in the line
before.
"""

from __future__ import annotations

from array import array
from functools import cache
from typing import Any, Final

import hyperscan
import numpy as np
import numpy.typing as npt

from cavra_pipeline.boundary.scanner import hits_in
from cavra_pipeline.boundary.secrets import HINTS, compiled

#: An actor's field, at any depth, whose value is a list or may be no label that is public-safe. No part may match text
#: without end: Hyperscan takes half as long again if one does.
_UNSAFE_ACTOR: Final = (
    r'(?:_by|"actor|"operator|"signer)": ?'
    r'(?:\[|"(?:[^A-Za-z0-9"]|[A-Za-z0-9 ._:/-]{0,127}[^A-Za-z0-9 ._:/"-]|[A-Za-z0-9 ._:/-]{128}))'
)

Array = npt.NDArray[Any]


@cache
def _database() -> hyperscan.Database:
    return compiled([*HINTS, _UNSAFE_ACTOR])


class HintScanner:
    """Scans blocks of lines. One thread at a time may use it; the compiled patterns are shared."""

    def __init__(self) -> None:
        self._scratch = hyperscan.Scratch(_database())

    def scan(self, block: Array, ends: Array) -> npt.NDArray[np.bool_]:
        """Looks through lines.

        Args:
            block: Their bytes, one after the other.
            ends: Where each line ends in them.

        Returns:
            For each line, whether it holds a hint, or a part of what the scanner takes for a secret.

        Raises:
            ScannerFailed: The scanner is missing or raised.
        """
        hits = array("q")
        _database().scan(
            block.data, match_event_handler=lambda _, __, end, *___: hits.append(end), scratch=self._scratch
        )  # type: ignore[type-var]
        has_hint = np.zeros(len(ends), bool)
        has_hint[np.searchsorted(ends, np.frombuffer(hits, np.int64))] = True
        for start, end, _ in hits_in(block.tobytes()):
            first, last = np.searchsorted(ends, [start, max(start, end - 1)], side="right")
            has_hint[first : last + 1] = True
        return has_hint
