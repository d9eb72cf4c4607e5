"""What in a raw line only the reference may judge, found in whole blocks of lines at once (decision 5).

Every pattern is scanned for in one pass by Hyperscan, over bytes. A hint too many costs time and changes nothing; one
too few would be a hole, so patterns lean to the first: a match may even begin in the line before.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

import hyperscan
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cavra_pipeline.evidence.kinds import KINDS, Kind, Type
from cavra_pipeline.evidence.secrets import HINTS, compiled

#: Escapes, since they could hide a hint; white space that the patterns below don't allow for; what DuckDB takes for
#: JSON and RFC 8259 does not; and numbers past 64 bits.
_LENIENT: Final = (
    r"\\",
    r'"[ \t\r]+:',
    *(rf"\{mark}(?:  | ?[\t\r])" for mark in ":,["),
    r"[ \t\r],",
    r", ?[\]}]",
    *(rf"\{mark}{blank}{sign}(?i:{word})"
      for mark in ":,[" for blank in ("", " ") for sign in ("", "-") for word in ("nan", "inf")),
    r"[0-9]{19}",
)  # fmt: skip

#: An actor's field, at any depth, whose value is a list or may be no label that is public-safe.
_UNSAFE_ACTOR: Final = (
    r'(?:_by|"actor|"operator|"signer)": ?(?:\[|"(?:[^"]{128}|[^A-Za-z0-9"]|[^"]*[^A-Za-z0-9 ._:/"-]))'
)

#: What follows the colon of a declared field that is not null and not surely of its type.
_OTHER_THAN: Final = {
    Type.STRING: r"[\[{tf0-9-]",
    Type.BOOLEAN: r'["\[{0-9-]',
    Type.INTEGER: r'["\[{tf]',
    Type.STRINGS: r'(?:["{tf0-9-]|\[ ?(?:"[^"]*", ?)*[^ "\]])',
    Type.INTEGERS: r'(?:["{tf0-9-]|\[ ?(?:(?:-?[0-9]+|null), ?)*(?:[^ 0-9n\]-]|-?[0-9]+[.eE]))',
}
_OBJECT, _OBJECTS = r'["\[tf0-9-]', r'["{tf0-9-]'
_NOT_WHOLE: Final = "-?[0-9]+[.eE]"

Block = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]


def objects(kinds: Iterable[Kind]) -> list[str]:
    """Returns every path of an object, or of a list of objects (``[]``), that the kinds declare, parents first."""
    paths: dict[str, None] = {}
    for kind in kinds:
        for declared in kind.fields:
            parents = declared.path.split(".")[:-1]
            paths.update(dict.fromkeys(".".join(parents[:depth]) for depth in range(1, len(parents) + 1)))
    return list(paths)


def _mistyped() -> Iterator[str]:
    """Patterns that find a declared name, at any depth, before a value that is not surely of the declared type."""
    others: dict[str, None] = {}
    whole: dict[str, None] = {}
    for declared in (field for kind in KINDS.values() for field in kind.fields):
        name = declared.path.rsplit(".", 1)[-1]
        type_ = Type.STRING if declared.type in (Type.ACTOR, Type.TIMESTAMP) else declared.type
        others[f'"{name}": ?{_OTHER_THAN[type_]}'] = None
        if type_ is Type.INTEGER:
            whole[name.rsplit("_", 1)[-1]] = None
    for path in objects(KINDS.values()):
        last = path.rsplit(".", 1)[-1]
        others[f'"{last.removesuffix("[]")}": ?{_OBJECTS if last.endswith("[]") else _OBJECT}'] = None
    # One pattern a name is twice as fast as one with all names; for whole numbers, the ends of their names are.
    yield from others
    yield f'(?:{"|".join(whole)})": ?{_NOT_WHOLE}'


@cache
def _database() -> hyperscan.Database:
    return compiled([*HINTS, *_LENIENT, _UNSAFE_ACTOR, *_mistyped()])


class HintScanner:
    """Scans blocks of lines. One thread at a time may use it; the compiled patterns are shared."""

    def __init__(self) -> None:
        self._scratch = hyperscan.Scratch(_database())

    def scan(self, lines: pa.ChunkedArray) -> tuple[npt.NDArray[np.bool_], Counts]:
        """Looks through lines.

        Args:
            lines: Strings, none null and none empty.

        Returns:
            For each line, whether it holds a hint or does not end like an object; and how often a quote stands before a
            colon in it, which is the number of its keys if it is JSON and holds no hint.
        """
        found = [self._scan_block(*_block(chunk)) for chunk in lines.chunks if len(chunk)]
        if not found:
            return np.zeros(0, bool), np.zeros(0, np.int64)
        suspects, key_counts = zip(*found, strict=True)
        return np.concatenate(suspects), np.concatenate(key_counts)

    def _scan_block(self, block: Block, ends: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.bool_], Counts]:
        hits = array("q")
        _database().scan(
            block.data, match_event_handler=lambda _, __, end, *___: hits.append(end), scratch=self._scratch
        )  # type: ignore[type-var]
        last = ends - 1
        last = last - (block[last] == ord("\n"))
        last = last - (block[last] == ord("\r"))
        is_suspect: npt.NDArray[np.bool_] = block[last] != ord("}")
        is_suspect[np.searchsorted(ends, np.frombuffer(hits, np.int64))] = True
        keys = np.flatnonzero((block[:-1] == ord('"')) & (block[1:] == ord(":")))
        return is_suspect, np.diff(np.searchsorted(keys, ends), prepend=0)


def _block(chunk: pa.StringArray) -> tuple[Block, npt.NDArray[np.int32]]:
    """The bytes of an Arrow string array, one after the other, and where each string ends in them."""
    _, offset_buffer, data = chunk.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    return np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]], offsets[1:] - offsets[0]
