"""Undo journal: what a checkpoint of DuckDB overwrites in place, kept until the checkpoint is over.

DuckDB writes new data to free blocks, but the blocks that hold its metadata it writes over, 256 KiB each, while the
header in force still points into them. A process that dies within such a write leaves a file that DuckDB refuses for
good, although all that was committed is still in its log. Rolling the blocks back makes it whole
(docs/decisions/0019-undo-journal.md).
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_MAGIC: Final = b"cavra-pipeline undo 1\n"
#: Where DuckDB's two headers begin and end; one of them is in force, the next checkpoint writes the other.
_HEADERS: Final = (4096, 12288)
_COUNTS: Final = struct.Struct("<QQ")


class UndoJournal:
    """Keeps the metadata blocks of a file that DuckDB has open for writing.

    The file is read by a handle of its own, which must not be closed before DuckDB's: a process that closes any handle
    of a file loses every lock that it holds on it (POSIX).
    """

    def __init__(self, path: Path) -> None:
        """Opens the file; the caller has it open in DuckDB, alone."""
        self._path, self._handle = path, os.open(path, os.O_RDONLY)

    def write(self, block_size: int, blocks: Sequence[int]) -> None:
        """Puts the headers and these blocks, as they are on disk, beside the file. Returns when they are safe."""
        start, end = _HEADERS
        parts = [_COUNTS.pack(block_size, len(blocks)), *(struct.pack("<Q", block) for block in blocks)]
        parts.append(os.pread(self._handle, end - start, start))
        parts += [os.pread(self._handle, block_size, _place(block, block_size)) for block in blocks]
        content = b"".join(parts)
        with journal_of(self._path).open("wb") as file:
            file.write(_MAGIC + hashlib.sha256(content).digest() + content)
            file.flush()
            os.fsync(file.fileno())

    def close(self, *, is_over: bool) -> None:
        """Lets go of the file after DuckDB has; removes the journal if what it guarded against is over."""
        os.close(self._handle)
        if is_over:
            journal_of(self._path).unlink(missing_ok=True)


def journal_of(path: Path) -> Path:
    """The journal of a DuckDB file: there only while somebody writes, or after a writer was killed."""
    return path.with_name(path.name + ".undo")


def roll_back(path: Path) -> bool:
    """Undoes a checkpoint that did not come to its end; the caller keeps everybody else out.

    Returns:
        Whether blocks were put back. What was committed is in DuckDB's log, which it reads at the next open.
    """
    journal = journal_of(path)
    try:
        raw = journal.read_bytes()
    except FileNotFoundError:
        return False
    content = raw[len(_MAGIC) + 32 :]
    # A journal that is not whole was still being written, so the checkpoint had not begun.
    is_whole = raw.startswith(_MAGIC) and raw[len(_MAGIC) :][:32] == hashlib.sha256(content).digest()
    is_undone = is_whole and _put_back(path, content)
    journal.unlink(missing_ok=True)
    return is_undone


def _put_back(path: Path, content: bytes) -> bool:
    block_size, count = _COUNTS.unpack_from(content)
    at = _COUNTS.size
    blocks = struct.unpack_from(f"<{count}Q", content, at)
    at += 8 * count
    start, end = _HEADERS
    headers = content[at : at + end - start]
    at += end - start
    with suppress(FileNotFoundError), path.open("r+b") as file:
        file.seek(start)
        # A header is written last, once all that it points to is on disk: after that there is nothing to undo.
        if file.read(end - start) != headers:
            return False
        for number, block in enumerate(blocks):
            file.seek(_place(block, block_size))
            file.write(content[at + number * block_size :][:block_size])
        file.flush()
        os.fsync(file.fileno())
        return True
    return False


def _place(block: int, block_size: int) -> int:
    return _HEADERS[1] + block * block_size
