"""Sources of an import (contract section 1) as numbered lines, whichever shape they have.

A store's records are numbered in their own order, from 1. What a record says is not looked at here.
Shapes are decided in ``shapes.py``; the SQLite store is in ``sqlite_store.py``.
"""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

import pyarrow as pa
import pyarrow.compute

from cavra_pipeline.boundary.parsing import MAX_LINE_BYTES
from cavra_pipeline.boundary.verdict import Quarantined, Reason
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.content import UnreadableFile, opened, sniffed
from cavra_pipeline.evidence.encoding import encoding_of
from cavra_pipeline.evidence.landing import SIDECAR_SUFFIX
from cavra_pipeline.evidence.lines import LineBatch, LineReader, notes_on_nuls
from cavra_pipeline.evidence.shapes import Shape, shape_of
from cavra_pipeline.evidence.sqlite_store import sqlite_payloads
from cavra_pipeline.evidence.validator import LINES, NO_LINES, quarantined_line

#: Endings that ``import`` picks up from a folder.
SUFFIXES: Final = (".jsonl", ".ndjson", ".json", ".sqlite", ".sqlite3", ".db")
_BLANKS: Final = re.compile("[ \n\r\t]*")
_GAP: Final = re.compile("[ \n\r\t\0\ufeff]*")
#: A JSON store is read in windows of so many bytes; a longer value has one of its own size.
_WINDOW_BYTES: Final = 4 * 1024 * 1024
#: Where a value is cut in a name or an escape, Python reports a place at most so far before the end.
_LONGEST_TOKEN: Final = 16
_STORE_LINE: Final = '{"items":'


def source_files(path: Path) -> list[Path]:
    """Returns the files an import of this path reads: the file itself, or what a folder holds, in order.

    Raises:
        PipelineError: The folder holds nothing to import, or a part of it can't be listed.
    """
    if not path.is_dir():
        return [path]
    files = sorted(
        Path(folder, name)
        for folder, _, names in os.walk(path, onerror=_not_listed)
        for name in names
        if name.removesuffix(".gz").removesuffix(".zst").endswith(SUFFIXES)
        and Path(folder, name).is_file()
        and not _is_handed_on(Path(folder, name), names)
    )
    if not files:
        raise PipelineError(
            "the folder holds no evidence file",
            where=str(path),
            remedy=f"Name a folder with files that end in {', '.join(SUFFIXES)} (.gz and .zst are read too)",
        )
    return files


def _is_handed_on(path: Path, names: list[str]) -> bool:
    """Whether a file is another import's word on what it held back, or a landing file of which all was held back."""
    name = path.name
    if name.endswith(SIDECAR_SUFFIX):
        return name.removesuffix(SIDECAR_SUFFIX) in names
    return name + SIDECAR_SUFFIX in names and path.stat().st_size == 0


def _not_listed(error: OSError) -> None:
    raise PipelineError(
        f"the folder can't be listed ({error.strerror})",
        where=str(error.filename),
        remedy="Give this user read access to it",
    )


def read_source(
    source: Path | IO[bytes],
    *,
    name: str,
    batch_bytes: int,
    shape: Shape | None = None,
    tick: Callable[[int], None] = lambda _: None,
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[LineBatch]:
    """Yields the records of one source as lines, whichever of the three shapes it has.

    Args:
        source: The file, a named pipe or an open stream; each is opened once and read once.
        name: What messages call it.
        shape: The shape that it must have; any of the three if not given.
        batch_bytes: Uncompressed bytes a batch holds at least, unless the source ends.
        tick: Called with the number of bytes read, for progress.
        note: Called with a sentence about what was left out of a source that is read all the same.

    Raises:
        UnreadableFile: It can't be read to its end, is empty, or has none of the shapes.
    """
    with opened(source, name) as content:
        head, content = sniffed(content)
        actual_shape = shape_of(head, name)
        if shape not in (None, actual_shape):
            raise UnreadableFile(
                f"it is {actual_shape.value}, not {shape.value}",
                where=name,
                remedy="Name the store, or correct its type",
            )
        if actual_shape is Shape.SQLITE_STORE:
            yield from record_batches(sqlite_payloads(source, content, name, note), batch_bytes, tick)
            notes = []
        elif actual_shape is Shape.JSON_STORE:
            stores = _JsonStores(content, encoding_of(head, name), name)
            yield from record_batches(stores.records(), batch_bytes, tick)
            notes = notes_on_nuls(name, stores.nul_count)
        else:
            reader = LineReader(content, name=name, batch_bytes=batch_bytes, tick=tick)
            for batch in reader:
                _check_lines(batch, name)
                yield batch
            notes = reader.notes
        for said in notes:
            note(said)


def _check_lines(batch: LineBatch, name: str) -> None:
    """Refuses JSON lines among which a JSON store stands: as one line, all its records would be quarantined unseen."""
    is_store = pa.compute.starts_with(batch.lines["line"], _STORE_LINE)
    store_lines = batch.lines.filter(pa.compute.fill_null(is_store, False))["line_number"]
    if len(store_lines):
        raise UnreadableFile(
            f"a JSON store stands among the JSON lines (line {store_lines[0]})",
            where=name,
            remedy="Import the store from a file of its own",
        )


def record_batches(
    records: Iterator[bytes], batch_bytes: int, tick: Callable[[int], None] = lambda _: None, first: int = 1
) -> Iterator[LineBatch]:
    """Numbers records and packs them into batches; a line break inside a record is only space between its tokens.

    Args:
        records: Each as it is written in its source.
        batch_bytes: Bytes a batch holds at least, unless the records end; the last one may be empty.
        tick: Called with the bytes of each batch.
        first: The number of the first record.
    """
    batch, numbers, lines = LineBatch(NO_LINES), list[int](), list[str]()
    for number, raw in enumerate(records, start=first):
        line = raw.replace(b"\n", b" ").replace(b"\r", b" ")
        try:
            if len(line) > MAX_LINE_BYTES:
                batch.quarantined.append(quarantined_line(number, raw, Quarantined(Reason.LINE_TOO_LONG, None)))
            else:
                lines.append(line.decode("utf-8"))
                numbers.append(number)
        except UnicodeDecodeError:
            batch.quarantined.append(quarantined_line(number, raw, Quarantined(Reason.INVALID_UTF8, None)))
        batch.raw_bytes += len(raw)
        if batch.raw_bytes >= batch_bytes:
            tick(batch.raw_bytes)
            batch.lines = pa.table([numbers, lines], schema=LINES)
            yield batch
            batch, numbers, lines = LineBatch(NO_LINES), [], []
    tick(batch.raw_bytes)
    batch.lines = pa.table([numbers, lines], schema=LINES)
    yield batch


class _JsonStores:
    """CAVRA JSON stores, one or several after another. Of their text only a window is held, as large as one value.

    Args:
        content: The uncompressed bytes.
        encoding: Their encoding.
        name: What messages call the source.

    Attributes:
        nul_count: NUL bytes left out so far, around the stores.
    """

    def __init__(self, content: IO[bytes], encoding: str, name: str) -> None:
        self._content, self._encoding, self._name = content, encoding, name
        #: A byte that is no UTF-8 stays what it is, so that only its record is held back.
        self._errors = "surrogateescape" if encoding == "utf-8" else "strict"
        self._decoder = codecs.getincrementaldecoder(encoding)(self._errors)
        self._scan = json.JSONDecoder().raw_decode
        self._text, self._at = "", 0
        #: Bytes that were read, and those among them in front of the window.
        self._read_bytes = self._bytes_before = 0
        self.nul_count = 0

    def records(self) -> Iterator[bytes]:
        """Yields each member of each ``items`` as it is written, so that its digest is that of the source.

        Raises:
            UnreadableFile: A store is damaged, cut short or followed by something else; the message names the place.
        """
        is_first = True
        while self._next_in_gap():
            if not is_first and self._text[self._at] != "{":
                raise self._error("something else follows the JSON store", self._at)
            try:
                yield from self._store()
            except json.JSONDecodeError as error:
                raise self._error("the JSON store is damaged or cut short", error.pos) from None
            except RecursionError:
                raise self._error("the JSON store is damaged or cut short: too deep", self._at) from None
            is_first = False

    def _store(self) -> Iterator[bytes]:
        """Yields the items of the store that begins here, and goes behind it."""
        has_items, offset = False, self._offset(self._at)
        self._skip("{")
        while True:
            key = json.loads(self._value())
            if key == "items" and has_items:
                raise self._error("the JSON store is damaged or cut short", self._at - len('"items"'))
            self._skip(":")
            if key == "items":
                has_items = True
                yield from self._items()
            else:
                self._value()
            if self._next() == "}":
                break
            self._skip(",")
        if not has_items:
            raise self._error("a JSON object that is no store follows the JSON store", self._at, offset)
        self._at += 1

    def _items(self) -> Iterator[bytes]:
        self._skip("[")
        while self._next() != "]":
            yield self._value().encode("utf-8", "surrogateescape")
            if self._next() != "]":
                self._skip(",")
        self._at += 1

    def _next(self) -> str:
        """Goes to the next character that is no blank and returns it, or nothing at the end."""
        self._pass(_BLANKS)
        return self._text[self._at : self._at + 1]

    def _next_in_gap(self) -> bool:
        """Passes over what may stand around a store: blanks, byte order marks, and NUL bytes of a file system."""
        self.nul_count += self._pass(_GAP).count("\0")
        return self._at < len(self._text)

    def _pass(self, pattern: re.Pattern[str]) -> str:
        passed = ""
        while True:
            match = pattern.match(self._text, self._at)
            passed += match[0] if match else ""
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or not self._read_on():
                return passed

    def _skip(self, mark: str) -> None:
        """Goes behind a mark.

        Raises:
            JSONDecodeError: Something else stands there.
        """
        if self._next() != mark:
            raise json.JSONDecodeError(f"Expecting {mark!r}", self._text, self._at)
        self._at += 1

    def _value(self) -> str:
        """Goes behind the value that begins here, after blanks, and returns its text.

        Raises:
            JSONDecodeError: It is no JSON, or cut short.
        """
        self._next()
        end = 0
        while not end:
            try:
                _, end = self._scan(self._text, self._at)
                # A number may go on past the window.
                if end == len(self._text) and self._read_on():
                    end = 0
            except json.JSONDecodeError as error:
                is_cut = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _LONGEST_TOKEN
                if not is_cut or not self._read_on():
                    raise
        text = self._text[self._at : end]
        self._at = end
        return text

    def _read_on(self) -> bool:
        """Moves the window to where we are and reads as much as it holds, or more; False at the end of the source."""
        data = self._content.read(max(_WINDOW_BYTES, len(self._text) - self._at))
        pending = len(self._decoder.getstate()[0])
        try:
            decoded = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise UnreadableFile(
                f"the JSON store is not {self._encoding.upper()} at byte {self._read_bytes - pending + error.start}",
                where=self._name,
                remedy="Export it again as UTF-8",
            ) from None
        self._read_bytes += len(data)
        if data:
            self._bytes_before = self._offset(self._at)
            self._text, self._at = self._text[self._at :] + decoded, 0
        return bool(data)

    def _offset(self, position: int) -> int:
        return self._bytes_before + len(self._text[:position].encode(self._encoding, self._errors))

    def _error(self, what: str, position: int, offset: int | None = None) -> UnreadableFile:
        return UnreadableFile(
            f"{what} (byte {self._offset(position) if offset is None else offset})",
            where=self._name,
            remedy="Export it again, or import what stands there from a file of its own",
        )
