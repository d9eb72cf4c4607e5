"""Sources of an import (contract section 1) as numbered lines, whichever shape they have.

A store's records are numbered in their own order, from 1. What a record says is not looked at here.
Shapes are decided in ``shapes.py``; the SQLite store is in ``sqlite_store.py``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, Final

import pyarrow as pa
import pyarrow.compute

from cavra_pipeline.boundary.parsing import MAX_LINE_BYTES
from cavra_pipeline.boundary.verdict import Quarantined, Reason
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.content import UnreadableFile, opened, sniffed
from cavra_pipeline.evidence.encoding import encoding_of
from cavra_pipeline.evidence.lines import LineBatch, LineReader, notes_on_nuls
from cavra_pipeline.evidence.screen import LINES, NO_LINES, quarantined_line
from cavra_pipeline.evidence.shapes import Shape, after, shape_of, skip_blank
from cavra_pipeline.evidence.sqlite_store import sqlite_payloads

#: Endings that ``import`` picks up from a folder.
SUFFIXES: Final = (".jsonl", ".ndjson", ".json", ".sqlite", ".sqlite3", ".db")
_BOM: Final = "\ufeff"
_STORE_LINE: Final = '{"items":'


def source_files(path: Path) -> list[Path]:
    """Returns the files an import of this path reads: the file itself, or what a folder holds, in order.

    Raises:
        PipelineError: The folder holds nothing to import, or a part of it can't be listed.
    """
    if not path.is_dir():
        return [path]
    found = sorted(
        Path(folder, name)
        for folder, _, names in os.walk(path, onerror=_not_listed)
        for name in names
        if name.removesuffix(".gz").removesuffix(".zst").endswith(SUFFIXES) and Path(folder, name).is_file()
    )
    if not found:
        raise PipelineError(
            "the folder holds no evidence file",
            where=str(path),
            remedy=f"Name a folder with files that end in {', '.join(SUFFIXES)} (.gz and .zst are read too)",
        )
    return found


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
    tick: Callable[[int], None] = lambda _: None,
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[LineBatch]:
    """Yields the records of one source as lines, whichever of the three shapes it has.

    Args:
        source: The file, a named pipe or an open stream; each is opened once and read once.
        name: What messages call it.
        batch_bytes: Uncompressed bytes a batch holds at least, unless the source ends.
        tick: Called with the number of bytes read, for progress.
        note: Called with a sentence about what was left out of a source that is read all the same.

    Raises:
        UnreadableFile: It can't be read to its end, is empty, or has none of the shapes.
    """
    with opened(source, name) as content:
        head, content = sniffed(content)
        shape = shape_of(head, name)
        if shape is Shape.SQLITE_STORE:
            yield from _batches(sqlite_payloads(source, content, name, note), batch_bytes, tick)
            notes = []
        elif shape is Shape.JSON_STORE:
            stores = _JsonStores(content.read(), encoding_of(head, name), name)
            yield from _batches(stores.records(), batch_bytes, tick)
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
    found = batch.lines.filter(pa.compute.fill_null(is_store, False))["line_number"]
    if len(found):
        raise UnreadableFile(
            f"a JSON store stands among the JSON lines (line {found[0]})",
            where=name,
            remedy="Import the store from a file of its own",
        )


def _batches(records: Iterator[bytes], batch_bytes: int, tick: Callable[[int], None]) -> Iterator[LineBatch]:
    """Numbers records and packs them into batches; a line break inside a record is only space between its tokens."""
    batch, numbers, lines = LineBatch(NO_LINES), list[int](), list[str]()
    for number, raw in enumerate(records, start=1):
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
    """CAVRA JSON stores, one or several after another.

    Args:
        data: The whole file.
        encoding: Its encoding.
        name: What messages call it.

    Attributes:
        nul_count: NUL bytes left out so far, around the stores.
    """

    def __init__(self, data: bytes, encoding: str, name: str) -> None:
        self._encoding, self._name = encoding, name
        self.nul_count = 0
        try:
            self._text = data.decode(encoding)
        except UnicodeDecodeError as error:
            raise UnreadableFile(
                f"the JSON store is not {encoding.upper()} at byte {error.start}",
                where=name,
                remedy="Export it again as UTF-8",
            ) from None

    def records(self) -> Iterator[bytes]:
        """Yields each member of each ``items`` as it is written, so that its digest is that of the source.

        Raises:
            UnreadableFile: A store is damaged, cut short or followed by something else; the message names the place.
        """
        position = self._between(0)
        while position < len(self._text):
            if position and self._text[position] != "{":
                raise self._error("something else follows the JSON store", position)
            try:
                position = yield from self._store(position)
            except json.JSONDecodeError as error:
                raise self._error("the JSON store is damaged or cut short", error.pos) from None
            except RecursionError:
                raise self._error("the JSON store is damaged or cut short: too deep", position) from None
            position = self._between(position)

    def _between(self, position: int) -> int:
        """Skips what may stand around a store: space, byte order marks, and NUL bytes of a file system."""
        start = position
        while self._text[position : position + 1] in (" ", "\n", "\r", "\t", "\0", _BOM) and position < len(self._text):
            position += 1
        self.nul_count += self._text.count("\0", start, position)
        return position

    def _error(self, what: str, position: int) -> UnreadableFile:
        offset = len(self._text[:position].encode(self._encoding, "surrogatepass"))
        return UnreadableFile(
            f"{what} (byte {offset})",
            where=self._name,
            remedy="Export it again, or import what stands there from a file of its own",
        )

    def _store(self, start: int) -> Generator[bytes, None, int]:
        """Yields the items of one store and returns the position behind it."""
        text, scan = self._text, json.JSONDecoder().raw_decode
        has_items, position = False, after(text, start, "{")
        while True:
            key_position = position
            key, position = scan(text, position)
            position = after(text, position, ":")
            if key == "items":
                if has_items:
                    raise json.JSONDecodeError("items stands there twice", text, key_position)
                has_items = True
                position = yield from self._items(position)
            else:
                _, position = scan(text, position)
            position = skip_blank(text, position)
            if text[position : position + 1] == "}":
                break
            position = after(text, position, ",")
        if not has_items:
            raise self._error("a JSON object that is no store follows the JSON store", start)
        return position + 1

    def _items(self, position: int) -> Generator[bytes, None, int]:
        text, scan = self._text, json.JSONDecoder().raw_decode
        position = after(text, position, "[")
        while text[position : position + 1] != "]":
            _, end = scan(text, position)
            yield text[position:end].encode("utf-8", "surrogatepass")
            position = skip_blank(text, end)
            if text[position : position + 1] != "]":
                position = after(text, position, ",")
        return position + 1
