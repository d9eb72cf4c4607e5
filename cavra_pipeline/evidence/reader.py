"""Whole blocks of lines at once: msgspec checks each by the declared table, DuckDB reads them kind by kind.

A line passes as it stands if no prefilter of a secret matches and it has no escape, declared keys only, each once and
of its type, and only texts of their format. Any other line needs review on the slow path.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Final

import hyperscan
import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cavra_pipeline.boundary.allowlist import MAX_NUMBER, allowlist_of
from cavra_pipeline.boundary.fields import Field, Type
from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.boundary.scanner import hit_lines
from cavra_pipeline.boundary.secrets import PREFILTERS, compiled
from cavra_pipeline.evidence.misfits import misfits_in
from cavra_pipeline.evidence.rows import UNKNOWN_KIND, Lines, RecordTables

Array = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]

_QUOTE, _COLON, _BACKSLASH, _NEWLINE = b'":\\\n'
#: An actor's field, at any depth, whose value is a list or may be no label that is public-safe. No part may match text
#: without end: Hyperscan takes half as long again if one does.
_UNSAFE_ACTOR: Final = (
    r'(?:_by|"actor|"operator|"signer)": ?'
    r'(?:\[|"(?:[^A-Za-z0-9"]|[A-Za-z0-9 ._:/-]{0,127}[^A-Za-z0-9 ._:/"-]|[A-Za-z0-9 ._:/-]{128}))'
)
#: White space around a colon, other than one blank behind it: keys are counted, and actors found, by what is usual.
_SPACED_COLONS: Final = (r"[ \t\r]:", r":(?:[\t\r]| [ \t\r])")
#: Timestamps that msgspec reads and DuckDB does not, or beyond the years 1 to 9999 once their offset counts.
_RARE_TIMESTAMPS: Final = (r'[0-9]z"', r"[0-9]t[0-9]", '"(?:0001|9999)-')
#: Patterns that send a line to the slow path. A match too many costs time only; one too few would be a hole.
_PATTERNS: Final = (*PREFILTERS, _UNSAFE_ACTOR, *_SPACED_COLONS, *_RARE_TIMESTAMPS)

_WHOLE: Any = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_NUMBER: Any = Annotated[float, msgspec.Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
_TYPES: Final[dict[Type, Any]] = {
    Type.STRING: str, Type.ACTOR: str, Type.INTEGER: _WHOLE, Type.NUMBER: _NUMBER, Type.BOOLEAN: bool,
    Type.TIMESTAMP: datetime, Type.STRINGS: list[str], Type.INTEGERS: list[_WHOLE | None],
}  # fmt: skip
#: Deeper objects and lists than any that is declared are left to the slow path, which has a limit of its own.
_MAX_DEPTH: Final = 32
_NOT_EMPTY: Any = Annotated[str, msgspec.Meta(min_length=1)]


@cache
def _database() -> hyperscan.Database:
    return compiled(_PATTERNS)


def _struct(name: str, tree: Mapping[str, Any], **options: Any) -> type[msgspec.Struct]:
    """A structure of the declared keys; null counts as absent where a field is not required."""
    members: list[Any] = []
    for key, node in tree.items():
        if isinstance(node, Field):
            type_ = _NOT_EMPTY if node.required and node.type is Type.STRING else _TYPES[node.type]
            members.append((key, type_) if node.required else (key, type_ | None, None))
        else:
            inner: Any = _struct(f"{name}.{key}", node)
            inner = list[inner] if key.endswith("[]") else inner
            members.append((key.removesuffix("[]"), inner | None, None))
    return msgspec.defstruct(name, members, kw_only=True, gc=False, **options)


@cache
def _decoder() -> msgspec.json.Decoder[Any]:
    """Reads a line of any declared kind as a structure that is named after it."""
    kinds = []
    for name in KINDS:
        tree = {key: node for key, node in allowlist_of(name).tree.items() if key != "metadata_kind"}
        kinds.append(_struct(name, tree, tag_field="metadata_kind", tag=name))
    return msgspec.json.Decoder(reduce(or_, kinds))


@cache
def _unknown_decoder() -> msgspec.json.Decoder[Any]:
    """Reads a line of a kind that is not declared."""
    return msgspec.json.Decoder(_struct(UNKNOWN_KIND, allowlist_of(UNKNOWN_KIND).tree))


def _bytes_of(lines: pa.StringArray) -> tuple[Array, Array, Array]:
    """The bytes of an Arrow column, and where each line begins and ends in them."""
    _, offset_buffer, data = lines.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[lines.offset : lines.offset + len(lines) + 1]
    block = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    return block, offsets[:-1] - offsets[0], offsets[1:] - offsets[0]


class _Block:
    """Lines that follow one another in memory, each ended by a newline."""

    def __init__(self, lines: pa.StringArray, scratch: hyperscan.Scratch) -> None:
        self.bytes, self.starts, self.ends = _bytes_of(lines)
        if not ((self.ends > self.starts) & (self.bytes[self.ends - 1] == _NEWLINE)).all():
            lines = pc.binary_join_element_wise(pc.utf8_rtrim(lines, "\n"), "\n", "")
            self.bytes, self.starts, self.ends = _bytes_of(lines)
        self._lines, self._view = lines, self.bytes.data
        self.needs_review = np.array(lines.is_null())
        self.needs_review[self._lines_of(self._prefilter_ends(scratch) - 1)] = True
        self.needs_review[self._lines_of(np.flatnonzero(self.bytes == _BACKSLASH))] = True

    def _prefilter_ends(self, scratch: hyperscan.Scratch) -> Array:
        ends = array("q")
        _database().scan(
            self.bytes.data, match_event_handler=lambda _, __, end, *___: ends.append(end), scratch=scratch
        )  # type: ignore[type-var]
        return np.frombuffer(ends, np.int64)

    def _lines_of(self, places: Array) -> Array:
        """The lines in which these bytes stand."""
        return np.searchsorted(self.ends, places, side="right")

    def key_counts(self) -> Array:
        """How many keys each line has, if it has no escape and no blank before a colon."""
        keys = np.flatnonzero((self.bytes[:-1] == _QUOTE) & (self.bytes[1:] == _COLON))
        return np.diff(np.searchsorted(keys, self.ends), prepend=0)

    def plain_lines(self) -> Iterator[tuple[int, memoryview]]:
        """Yields the lines that need no review, each with its number."""
        places = np.flatnonzero(~self.needs_review)
        starts, ends = self.starts[places].tolist(), self.ends[places].tolist()
        for place, start, end in zip(places.tolist(), starts, ends, strict=True):
            yield place, self._view[start:end]

    def taken(self, places: list[int]) -> pa.StringArray:
        """Returns some of the lines, one after the other in memory."""
        return self._lines.take(pa.array(places, pa.int64()))


class RecordReader:
    """Reads lines block by block. One thread at a time may use it.

    Args:
        tables: Makes rows of the lines.
    """

    def __init__(self, tables: RecordTables) -> None:
        self._scratch, self._tables = hyperscan.Scratch(_database()), tables

    def read(self, lines: pa.Table) -> tuple[pa.Table, Flags]:
        """Reads the lines that are plain.

        Args:
            lines: ``line_number`` and ``line``, in order; a line may be null.

        Returns:
            Their typed rows, and for each line whether it needs review on the slow path, as a null does.

        Raises:
            ScannerFailed: The scanner is missing or raised.
        """
        reading = _Reading(self._tables, lines)
        for batch in (batch for batch in lines.to_batches() if len(batch)):
            reading.check(_Block(batch["line"], self._scratch))
        return reading.rows(), reading.needs_review


@dataclass(slots=True)
class _Plain:
    """Lines of one kind as they stand: their places, and block by block their texts.

    An object for each line would cost a third more, for Python's garbage collector walks them all.
    """

    places: list[int] = field(default_factory=list)
    texts: list[pa.StringArray] = field(default_factory=list)


class _Reading:
    """One call: places count its lines from 0, and a row's line number is a place until it is returned."""

    def __init__(self, tables: RecordTables, lines: pa.Table) -> None:
        self._tables, self._numbers = tables, lines["line_number"].to_numpy()
        self.needs_review = np.zeros(len(lines), bool)
        self._key_counts = np.zeros(len(lines), np.int64)
        self._by_kind: defaultdict[str, _Plain] = defaultdict(_Plain)
        self._differing: list[tuple[int, bytes]] = []
        self._size = 0

    def check(self, block: _Block) -> None:
        """Sorts the lines of the next block by kind; one that is not as declared is checked once more later."""
        first, end = self._size, self._size + len(block.ends)
        self._size = end
        self.needs_review[first:end] = block.needs_review
        self._key_counts[first:end] = block.key_counts()
        decode, places_of = _decoder().decode, defaultdict[str, list[int]](list)
        for place, line in block.plain_lines():
            try:
                places_of[type(decode(line)).__name__].append(place)
            except (msgspec.DecodeError, RecursionError):
                self._differing.append((first + place, bytes(line)))
        for kind, places in places_of.items():
            self._by_kind[kind].places += [first + place for place in places]
            self._by_kind[kind].texts.append(block.taken(places))

    def rows(self) -> pa.Table:
        """Returns the rows of all lines that need no review, and marks the others."""
        tables = [self._exact_rows(kind, plain) for kind, plain in self._by_kind.items()]
        self._by_kind.clear()
        rows = pa.concat_tables([*tables, self._rows_without_undeclared()])
        misfits = misfits_in(rows)
        if misfits.any():
            self.needs_review[rows["line_number"].to_numpy()[misfits]] = True
            rows = rows.filter(pa.array(~misfits))
        numbers = pa.array(self._numbers[rows["line_number"].to_numpy()])
        return rows.set_column(0, rows.schema.field(0), numbers)

    def _exact_rows(self, kind: str, plain: _Plain) -> pa.Table:
        """The rows of lines with declared keys only, each there once and not null; notes the other lines."""
        lines = Lines(plain.places, texts=[_bytes_of(texts)[0].data for texts in plain.texts])
        rows, key_counts = self._tables.of_kind(kind, lines, is_exact=False)
        are_exact = key_counts == self._key_counts[plain.places]
        if are_exact.all():
            return rows
        texts = pa.chunked_array(plain.texts)
        others = np.flatnonzero(~are_exact).tolist()
        self._differing += [(plain.places[row], texts[row].as_buffer().to_pybytes()) for row in others]
        return rows.filter(pa.array(are_exact))

    def _rows_without_undeclared(self) -> pa.Table:
        """The rows of lines that hold nulls or keys that are not declared."""
        by_kind: defaultdict[str, Lines] = defaultdict(Lines)
        lines = [line for _, line in self._differing]
        hits = hit_lines(b"".join(lines), np.cumsum([len(line) for line in lines]))
        for (place, line), is_hit in zip(self._differing, hits, strict=True):
            cut = None if is_hit else _cut(line, int(self._key_counts[place]))
            if cut is None:
                self.needs_review[place] = True
                continue
            kind, text, dropped_count = cut
            by_kind[kind].numbers.append(place)
            by_kind[kind].texts.append(text)
            by_kind[kind].dropped.append(dropped_count)
        return self._tables.of_kinds(by_kind)


def _cut(line: bytes, key_count: int) -> tuple[str, bytes, int] | None:
    """Leaves out of a line what is not declared.

    Returns:
        Its kind, what is left as a line, and how many fields were left out; None if only the slow path may judge it.
    """
    try:
        record = msgspec.json.decode(line)
        if not isinstance(record, dict) or _keys_in(record, _MAX_DEPTH) != key_count:
            return None
        is_known = record.get("metadata_kind") in KINDS
        kind = type((_decoder() if is_known else _unknown_decoder()).decode(line)).__name__
    except (msgspec.DecodeError, RecursionError, TypeError):
        return None
    dropped: set[str] = set()
    kept = _declared(record, allowlist_of(kind).tree, "", dropped)
    return kind, msgspec.json.encode(kept) + b"\n", len(dropped)


def _keys_in(value: object, depth: int) -> int:
    """How many keys a value holds, at any depth.

    Raises:
        RecursionError: Objects and lists lie inside each other deeper than that.
    """
    if isinstance(value, dict | list) and depth == 0:
        raise RecursionError
    if isinstance(value, dict):
        return len(value) + sum(_keys_in(member, depth - 1) for member in value.values())
    return sum(_keys_in(member, depth - 1) for member in value) if isinstance(value, list) else 0


def _declared(record: dict[str, Any], tree: Mapping[str, Any], path: str, dropped: set[str]) -> dict[str, Any]:
    """The declared fields of an object whose types are right; notes the topmost paths that are left out."""
    kept: dict[str, Any] = {}
    for key, value in record.items():
        node = tree.get(key)
        members = tree.get(f"{key}[]")
        if members is not None:
            kept[key] = value and [_declared(member, members, f"{path}{key}[].", dropped) for member in value]
        elif isinstance(node, Field):
            kept[key] = value
        elif node is not None:
            kept[key] = value and _declared(value, node, f"{path}{key}.", dropped)
        else:
            dropped.add(path + key)
    return kept
