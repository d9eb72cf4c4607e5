"""CAVRA's SQLite store (contract section 1): payloads of its rows, read without writing to it or beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Final

from cavra_pipeline.evidence.content import SQLITE_MAGIC, UnreadableFile
from cavra_pipeline.evidence.dating import dated

#: Write and read version in the header; a database in memory has no write-ahead log.
_VERSIONS: Final = slice(18, 20)
_WAL_MODE, _ROLLBACK_MODE = b"\x02\x02", b"\x01\x01"
_HEADER_BYTES: Final = 100
#: How long a store may stay locked before the import of it fails.
_BUSY_SECONDS: Final = 5.0

_BACKUP: Final = "copy it with: sqlite3 STORE \".backup 'COPY'\" and import the copy"
_STORE: Final = "Name CAVRA's own evidence store, or copy it again"
#: What the first part of an error's name means, and the remedy.
_FAILURES: Final = {
    "SQLITE_BUSY": ("another program is writing the SQLite store", f"Wait for that program or stop it, or {_BACKUP}"),
    "SQLITE_LOCKED": ("another program is writing the SQLite store", f"Wait for that program or stop it, or {_BACKUP}"),
    "SQLITE_READONLY": (
        "the SQLite store was left in the middle of a write; the -journal or -wal file beside it completes it",
        f"Open it once with the program that writes it, then import it again, or {_BACKUP}",
    ),
    "SQLITE_CANTOPEN": (
        "the SQLite store can't be opened without writing beside it",
        f"Give this user access to its folder, or {_BACKUP}",
    ),
}
_NO_LOG: Final = "the SQLite store is in WAL mode and its -wal file is not beside it"


def sqlite_payloads(
    source: Path | IO[bytes], content: IO[bytes], name: str, note: Callable[[str], None]
) -> Iterator[bytes]:
    """Yields the payload of each row in the order of ``session_id``.

    Args:
        source: Where the store is.
        content: Its uncompressed bytes; a store that is compressed or comes through a pipe is held in memory.
        name: What messages call it.
        note: Called with what the reader of the import should know about the store.

    Raises:
        UnreadableFile: The store is being written, damaged, or has no table of evidence.
    """
    header = content.peek(_HEADER_BYTES)[:_HEADER_BYTES]  # type: ignore[attr-defined]
    is_wal = header[_VERSIONS] == _WAL_MODE
    store = source if isinstance(source, Path) and _is_plain(source) else None
    log = store.with_name(store.name + "-wal") if store else None
    has_log = log is not None and log.exists()
    if is_wal and not has_log:
        note(f"{name}: {_NO_LOG}; if it was copied while a program had it open, its newest records are missing")
    elif not is_wal and store and _is_longer_than_its_header_says(store, header):
        note(f"{name}: the SQLite store is longer than its header says; if it was copied during a write, {_BACKUP}")
    try:
        connection = _in_memory(content) if log is None else _read_only(log, is_wal=is_wal, has_log=has_log)
        with closing(connection):
            connection.text_factory = bytes
            yield from _payloads(connection)
            if is_wal and log is not None and log.exists() is not has_log:
                what, remedy = _FAILURES["SQLITE_BUSY"]
                raise UnreadableFile(what, where=name, remedy=remedy)
    except sqlite3.Error as error:
        raise _failure(error, name, is_without_log=is_wal and not has_log) from None


def _is_plain(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as raw:
        return raw.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC


def _is_longer_than_its_header_says(store: Path, header: bytes) -> bool:
    """Whether pages of an unfinished write follow those that the header counts (SQLite file format, section 1.3)."""
    page_bytes = int.from_bytes(header[16:18], "big")
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    is_count_valid = header[24:28] == header[92:96]
    return is_count_valid and int.from_bytes(header[28:32], "big") * page_bytes < store.stat().st_size


def _read_only(log: Path, *, is_wal: bool, has_log: bool) -> sqlite3.Connection:
    """Opens a store where it is. In WAL mode SQLite would make files beside it, which no one needs without a log."""
    how = "immutable=1" if is_wal and not has_log else "mode=ro"
    store = log.absolute().as_uri().removesuffix("-wal")
    return sqlite3.connect(f"{store}?{how}", uri=True, timeout=_BUSY_SECONDS)


def _in_memory(content: IO[bytes]) -> sqlite3.Connection:
    image = bytearray(content.read())
    if image[_VERSIONS] == _WAL_MODE:
        image[_VERSIONS] = _ROLLBACK_MODE
    connection = sqlite3.connect(":memory:")
    connection.deserialize(bytes(image))
    return connection


def _payloads(connection: sqlite3.Connection) -> Iterator[bytes]:
    columns = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('evidence_metadata')")}
    if b"created_at" in columns:
        rows = connection.execute("SELECT payload, created_at FROM evidence_metadata ORDER BY session_id")
    else:
        rows = connection.execute("SELECT payload, NULL FROM evidence_metadata ORDER BY session_id")
    for payload, created_at in rows:
        raw = payload if isinstance(payload, bytes) else b"" if payload is None else str(payload).encode()
        yield dated(raw, created_at) if isinstance(created_at, bytes) and created_at else raw


def _failure(error: sqlite3.Error, name: str, *, is_without_log: bool) -> UnreadableFile:
    code = getattr(error, "sqlite_errorname", type(error).__name__)
    explanation = next((said for start, said in _FAILURES.items() if code.startswith(start)), None)
    if explanation:
        return UnreadableFile(f"{explanation[0]} ({code})", where=name, remedy=explanation[1])
    if is_without_log:
        return UnreadableFile(
            _NO_LOG, where=name, remedy=f"Copy both files while no program has the store open, or {_BACKUP}"
        )
    if "no such table" in str(error) or "no such column" in str(error):
        what = "the SQLite file has no table evidence_metadata with the columns session_id and payload"
        return UnreadableFile(what, where=name, remedy=_STORE)
    return UnreadableFile(f"the SQLite store can't be read ({code})", where=name, remedy=_STORE)
