"""Scans texts by the rules of the pinned scanner Kingfisher, offline (decision 21). ``judge.py`` acts on hits.

The scanner reads bytes and knows nothing of records. It is never asked to validate what it finds, and no comment in
a text can switch it off.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from kingfisher_sdk import Scanner

#: A scan of one block may take so many seconds; it takes a few hundredths of one.
TIMEOUT_SECONDS: Final = 120.0


class ScannerFailed(Exception):
    """The scanner is missing or raised; what it should have read may not pass."""


class Hit(NamedTuple):
    """Where a secret begins and ends in the bytes, and the scanner's rule; never any of the text."""

    start: int
    end: int
    rule: str


@cache
def _scanner() -> Scanner:
    from kingfisher_sdk import Rules, Scanner

    return Scanner(Rules(confidence="low"), base64=True)


def hits_in(text: bytes) -> list[Hit]:
    """Returns where the scanner finds secrets.

    Args:
        text: UTF-8. A NUL counts as a blank, so that no text passes for UTF-16.

    Raises:
        ScannerFailed: The scanner is missing or raised.
    """
    try:
        matches = _scanner().scan(text.replace(b"\0", b" "), timeout=TIMEOUT_SECONDS)
        return [
            Hit(match.location["start_offset"], match.location["end_offset"], match.rule_id)
            for match in matches
            if match.visible
        ]
    except Exception as error:  # noqa: BLE001 -- nothing may pass unscanned, and the error's own text may quote content
        raise ScannerFailed(type(error).__name__) from None


def hit_lines(text: bytes, ends: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Returns for each line of a text whether it holds a secret, or a part of one.

    Args:
        text: Lines, one after the other, each ended by a newline.
        ends: Where each of them ends.

    Raises:
        ScannerFailed: The scanner is missing or raised.
    """
    are_hit = np.zeros(len(ends), bool)
    for start, end, _ in hits_in(text) if text else ():
        first, last = np.searchsorted(ends, [start, max(start, end - 1)], side="right")
        are_hit[first : last + 1] = True
    return are_hit
