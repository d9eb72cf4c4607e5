"""Whole blocks of lines at once: hints first, then values, then Arrow arrays. What is doubtful is only marked here."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from cavra_pipeline.evidence.grammar import (
    CELLS,
    ELEMENTS,
    FIRST_MEMBER,
    FIRST_OUTCOME,
    LANE_NAMES,
    RECORD_TYPES,
    grammar,
)
from cavra_pipeline.evidence.hints import HintScanner
from cavra_pipeline.evidence.reader import (
    DROPPED,
    LANE,
    LINE,
    NONE,
    NULL,
    RECORD_TYPE,
    LineReader,
    Texts,
    copy,
    ends_of,
    texts_of,
)
from cavra_pipeline.evidence.typed import TYPED, column_of, numbers_of

Array = npt.NDArray[Any]


class BlockReader:
    """Reads lines block by block. One thread at a time may use it."""

    def __init__(self) -> None:
        self._scanner, self._reader = HintScanner(), LineReader(grammar(), len(CELLS), len(ELEMENTS))

    def read(self, lines: pa.Table) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
        """Reads the lines that hold no hint and are plain.

        Args:
            lines: ``line_number`` and ``line``, in order.

        Returns:
            Their typed rows, and for each line whether it is doubtful: only the reference may judge it. So is a null.
        """
        self._reader.begin(len(lines))
        doubtful = [np.zeros(0, bool)]
        for batch in (one for one in lines.to_batches() if len(one)):
            block, ends = _block(batch["line"])
            marked = self._scanner.scan(block, ends) | _is_null(batch["line"])
            self._reader.read(block, ends, marked)
            doubtful.append(marked)
        rows = _Rows(self._reader).table(numbers_of(lines["line_number"]))
        self._reader.end()
        return rows, np.concatenate(doubtful)


def compile_ahead() -> None:
    """Compiles what reads blocks, so that the first large ingest need not (docs/decisions/0005-ingest-speed.md)."""
    BlockReader().read(pa.table({"line_number": [1], "line": ["{}\n"]}))


def _is_null(lines: pa.StringArray) -> npt.NDArray[np.bool_]:
    validity = lines.buffers()[0]
    if validity is None:
        return np.zeros(len(lines), bool)
    is_there = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little").astype(bool)
    return ~is_there[lines.offset : lines.offset + len(lines)]


def _block(lines: pa.StringArray) -> tuple[Array, Array]:
    """The bytes of an Arrow column, each line ended by a newline, and where each ends in them."""
    _, offset_buffer, data = lines.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[lines.offset : lines.offset + len(lines) + 1]
    block, ends = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]], offsets[1:] - offsets[0]
    if len(lines) and not ((np.diff(ends, prepend=0) > 0) & (block[ends - 1] == ord("\n"))).all():
        return _block(pa.compute.binary_join_element_wise(pa.compute.utf8_rtrim(lines, "\n"), "\n", ""))
    return block, ends


class _Rows:
    """Turns what was read into Arrow arrays, which keep nothing of the blocks."""

    def __init__(self, reader: LineReader) -> None:
        self._reader, self._size = reader, reader.rows
        self._blocks = [part.block for part in reader.parts]
        self._firsts = [part.rows for part in reader.parts]
        self._texts: list[Texts] = []
        self._nothing = pa.py_buffer(bytes(8 * (self._size + 1)))

    def table(self, numbers: Array) -> pa.Table:
        about = self._reader.about[:, : self._size]
        columns = {
            "line_number": column_of(numbers[about[LINE]]),
            "dropped_field_count": column_of(about[DROPPED].copy()),
            "record_type": _named(about[RECORD_TYPE], RECORD_TYPES),
            "lane": _named(about[LANE], LANE_NAMES),
        }
        for place, name in enumerate(CELLS):
            cells = self._reader.cells[place, : self._size]
            type_ = TYPED.field(name).type
            if not self._reader.filled[place]:
                columns[name] = self._nulls(type_)
            elif pa.types.is_list(type_):
                columns[name] = self._list(cells, name, type_)
            else:
                columns[name] = self._scalars(cells, type_, self._firsts)
        self._copy_texts()
        return pa.Table.from_arrays([columns[name] for name in TYPED.names], schema=TYPED)

    def _copy_texts(self) -> None:
        copy(self._texts, self._blocks)
        self._texts = []

    def _nulls(self, type_: pa.DataType) -> pa.Array:
        """Nulls over one piece of memory, which all such columns share."""
        buffers = [self._nothing] * (2 if pa.types.is_list(type_) else type_.num_buffers)
        children = [pa.nulls(0, type_.value_type)] if pa.types.is_list(type_) else None
        return pa.Array.from_buffers(type_, self._size, buffers, self._size, children=children)

    def _scalars(self, cells: Array, type_: pa.DataType, firsts: list[int]) -> pa.Array:
        validity, missing = _validity(cells)
        if pa.types.is_string(type_):
            texts = texts_of(cells, firsts)
            self._texts.append(texts)
            return pa.StringArray.from_buffers(
                len(cells), pa.py_buffer(texts.ends), pa.py_buffer(texts.data), validity, missing
            )
        is_flag = pa.types.is_boolean(type_)
        values = np.packbits(cells == 1, bitorder="little") if is_flag else cells.copy()
        return pa.Array.from_buffers(type_, len(cells), [validity, pa.py_buffer(values)], missing)

    def _list(self, counts: Array, name: str, type_: pa.DataType) -> pa.Array:
        validity, missing = _validity(counts)
        ends = ends_of(counts)
        if pa.types.is_struct(type_.value_type):
            members = [self._elements(f"{name}.{member.name}", member.type) for member in type_.value_type]
            if name == "outcomes":
                self._copy_texts()
                members[0] = pa.compute.replace_substring(pa.compute.ascii_lower(members[0]), "-", "_")
            values = pa.StructArray.from_arrays(members, fields=list(type_.value_type))
        else:
            values = self._elements(name, type_.value_type)
        return pa.Array.from_buffers(type_, len(counts), [validity, pa.py_buffer(ends)], missing, children=[values])

    def _elements(self, name: str, type_: pa.DataType) -> pa.Array:
        place = ELEMENTS.index(name)
        # All members of a list of objects are counted at the first.
        counted = FIRST_OUTCOME if place >= FIRST_OUTCOME else min(place, FIRST_MEMBER)
        elements = self._reader.elements[place, : self._reader.counts[counted]]
        return self._scalars(elements, type_, [int(part.counts[counted]) for part in self._reader.parts])


def _named(numbers: Array, names: tuple[str, ...]) -> pa.Array:
    """Names by their numbers, null for -1."""
    validity, missing = _validity(np.where(numbers == NONE, NULL, numbers))
    places = pa.Array.from_buffers(pa.int64(), len(numbers), [validity, pa.py_buffer(numbers.copy())], missing)
    ends = np.cumsum([0, *map(len, names)], dtype=np.int32)
    texts = pa.StringArray.from_buffers(len(names), pa.py_buffer(ends), pa.py_buffer("".join(names).encode()))
    return pa.DictionaryArray.from_arrays(places, texts).dictionary_decode()


def _validity(cells: Array) -> tuple[pa.Buffer | None, int]:
    """Which cells hold a value, as Arrow says it, and how many hold none."""
    is_there = cells != NULL
    missing = len(cells) - int(np.count_nonzero(is_there))
    return (pa.py_buffer(np.packbits(is_there, bitorder="little")) if missing else None), missing
