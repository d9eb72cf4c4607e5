"""The three shapes a CAVRA deployment holds its records in (contract section 1), each as numbered lines.

A store's records are numbered in their own order, from 1. What a record says is not looked at here.
"""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.lines import LineBatch, LineReader, UnreadableFile, open_bytes, unreadable
from cavra_pipeline.evidence.parsing import MAX_LINE_BYTES
from cavra_pipeline.evidence.screen import LINES, NO_LINES, quarantined_line
from cavra_pipeline.evidence.verdict import Quarantined, Reason

#: Endings that ``import`` picks up from a folder.
SUFFIXES: Final = (".jsonl", ".ndjson", ".json", ".sqlite", ".sqlite3", ".db")
_SQLITE: Final = b"SQLite format 3\x00"
#: Write and read version in the header; a database in memory has no write-ahead log.
_WAL_MODE, _ROLLBACK_MODE = b"\x02\x02", b"\x01\x01"
_SNIFFED_BYTES: Final = 1024 * 1024
_NOT_A_STORE = "it is neither JSON lines, nor a CAVRA JSON store, nor a CAVRA SQLite store"
_REMEDY = 'Export records as JSON lines, as {"items": [...]}, or as a table evidence_metadata with a payload column'


def source_files(path: Path) -> list[Path]:
    """Returns the files an import of this path reads: the file itself, or what a folder holds, in order.

    Raises:
        PipelineError: There is no such path, or the folder holds nothing to import.
    """
    if not path.is_dir():
        return [path]
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name.removesuffix(".gz").removesuffix(".zst").endswith(SUFFIXES)
    ]
    if not found:
        raise PipelineError(
            "the folder holds no evidence file",
            where=str(path),
            remedy=f"Name a folder with files that end in {', '.join(SUFFIXES)} (.gz and .zst are read too)",
        )
    return found


def read_source(
    source: Path | IO[bytes], *, name: str, batch_bytes: int, tick: Callable[[int], None] = lambda _: None
) -> Iterator[LineBatch]:
    """Yields the records of one source as lines, whichever of the three shapes it has.

    Raises:
        UnreadableFile: It can't be read to its end, is empty, or has none of the shapes.
    """
    try:
        head, source = _sniffed(source)
    except Exception as error:  # noqa: BLE001 -- each decompressor has its own error class
        raise unreadable(name, error) from None
    if not head:
        raise UnreadableFile("the file is empty", where=name, remedy="Check the export that made it")
    if head.startswith(_SQLITE):
        yield from _sqlite_records(source, name, batch_bytes, tick)
    elif _is_json_store(head):
        yield from _json_store_records(source, name, batch_bytes, tick)
    elif (
        not isinstance(source, Path)
        or head.lstrip().startswith(b"{")
        or source.name.removesuffix(".gz").removesuffix(".zst").endswith((".jsonl", ".ndjson"))
    ):
        yield from _not_empty(LineReader(source, name=name, batch_bytes=batch_bytes, tick=tick), name)
    else:
        raise UnreadableFile(_NOT_A_STORE, where=name, remedy=_REMEDY)


def _sniffed(source: Path | IO[bytes]) -> tuple[bytes, Path | IO[bytes]]:
    """The first uncompressed bytes, and the source as it was before they were read."""
    if isinstance(source, Path):
        with _content(source) as content:
            return content.read(_SNIFFED_BYTES), source
    rest = open_bytes(source)
    head = rest.read(_SNIFFED_BYTES)
    return head, io.BufferedReader(_Pushed(head, rest))


class _Pushed(io.RawIOBase):
    """A stream whose first bytes were read already and are given again."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._head[: len(buffer)] if self._head else self._rest.read(len(buffer))
        self._head = self._head[len(chunk) :]
        buffer[: len(chunk)] = chunk
        return len(chunk)


@contextmanager
def _content(source: Path | IO[bytes]) -> Iterator[IO[bytes]]:
    if isinstance(source, Path):
        with source.open("rb") as raw, open_bytes(raw) as content:
            yield content
    else:
        yield source


def _not_empty(reader: LineReader, name: str) -> Iterator[LineBatch]:
    is_empty = True
    for batch in reader:
        is_empty = False
        yield batch
    if is_empty:
        raise UnreadableFile("there is no record in it", where=name, remedy="Check the export that made it")


def _is_json_store(head: bytes) -> bool:
    """A store is one JSON object with ``items``; its first line is not a record of its own."""
    first_line = head.removeprefix(b"\xef\xbb\xbf").lstrip().split(b"\n", 1)[0]
    try:
        record = json.loads(first_line)
    except (ValueError, RecursionError):
        return first_line.startswith(b"{") and not first_line.startswith(b'{"session_id"') and b'"items"' in head
    return isinstance(record, dict) and isinstance(record.get("items"), list) and "session_id" not in record


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


def _json_store_records(
    source: Path | IO[bytes], name: str, batch_bytes: int, tick: Callable[[int], None]
) -> Iterator[LineBatch]:
    try:
        with _content(source) as content:
            text = content.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableFile("the JSON store is not UTF-8", where=name, remedy="Export it again as UTF-8") from None
    except Exception as error:  # noqa: BLE001 -- each decompressor has its own error class
        raise unreadable(name, error) from None
    try:
        yield from _batches(_items(text), batch_bytes, tick)
    except (ValueError, RecursionError):
        raise UnreadableFile("the JSON store is damaged or cut short", where=name, remedy="Export it again") from None


def _items(text: str) -> Iterator[bytes]:
    """Yields each member of ``items`` as it is written, so that its digest is that of the source.

    Raises:
        ValueError: The text is not one JSON object with a list ``items``.
    """
    scan, position = json.JSONDecoder().raw_decode, _after(text, 0, "{")
    while True:
        key, position = scan(text, position)
        position = _after(text, position, ":")
        if key == "items":
            break
        _, position = scan(text, position)
        position = _after(text, position, ",")
    position = _after(text, position, "[")
    while text[position : position + 1] != "]":
        _, end = scan(text, position)
        yield text[position:end].encode("utf-8", "surrogatepass")
        position = _space(text, end)
        if text[position : position + 1] != "]":
            position = _after(text, position, ",")
    position = _space(text, position + 1)
    if text[position : position + 1] not in (",", "}"):
        raise ValueError("the list of items has no end")


def _space(text: str, position: int) -> int:
    while text[position : position + 1] in (" ", "\n", "\r", "\t") and position < len(text):
        position += 1
    return position


def _after(text: str, position: int, mark: str) -> int:
    position = _space(text, position)
    if text[position : position + 1] != mark:
        raise ValueError("not where a JSON store has it")
    return _space(text, position + 1)


def _sqlite_records(
    source: Path | IO[bytes], name: str, batch_bytes: int, tick: Callable[[int], None]
) -> Iterator[LineBatch]:
    try:
        with closing(_sqlite(source, name)) as connection:
            connection.text_factory = bytes
            rows = connection.execute("SELECT payload FROM evidence_metadata ORDER BY session_id")
            yield from _batches((_payload(row[0]) for row in rows), batch_bytes, tick)
    except sqlite3.Error as error:
        missing = "no such table" in str(error) or "no such column" in str(error)
        code = getattr(error, "sqlite_errorname", type(error).__name__)
        what = (
            "the SQLite file has no table evidence_metadata with the columns session_id and payload"
            if missing
            else f"the SQLite store can't be read ({code})"
        )
        raise UnreadableFile(what, where=name, remedy="Name CAVRA's own evidence store, or copy it again") from None


def _sqlite(source: Path | IO[bytes], name: str) -> sqlite3.Connection:
    """Opens a store read-only; one that is compressed or comes through a pipe is held in memory, never on disk."""
    if isinstance(source, Path):
        with source.open("rb") as raw:
            if raw.read(len(_SQLITE)) == _SQLITE:
                return sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
    try:
        with _content(source) as content:
            image = bytearray(content.read())
    except Exception as error:  # noqa: BLE001 -- each decompressor has its own error class
        raise unreadable(name, error) from None
    if image[18:20] == _WAL_MODE:
        image[18:20] = _ROLLBACK_MODE
    connection = sqlite3.connect(":memory:")
    connection.deserialize(bytes(image))
    return connection


def _payload(value: object) -> bytes:
    return value if isinstance(value, bytes) else b"" if value is None else str(value).encode()
