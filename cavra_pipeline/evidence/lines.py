"""Bytes of a file to numbered lines in bounded batches. No line is interpreted here.

Blank lines count as lines and are not records. A line that is too long or not UTF-8 is never held as text.
Compression is handled in ``content.py``, encodings and NUL bytes in ``encoding.py``.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cavra_pipeline.boundary.parsing import MAX_LINE_BYTES
from cavra_pipeline.boundary.verdict import Quarantined, QuarantinedLine, Reason
from cavra_pipeline.evidence.content import opened
from cavra_pipeline.evidence.encoding import Block, Cleaner
from cavra_pipeline.evidence.validator import LINES, NO_LINES, quarantined_line

#: From 4 MB on NumPy asks for huge pages, which a virtual machine may have to fetch from its host (decision 5).
READ_BYTES: Final = 3 * 1024 * 1024
_NEWLINE, _LAST_BLANK, _LAST_ASCII = 10, 32, 127
#: The encoding of a file is decided from so many of its first bytes.
_HEAD_BYTES: Final = 64 * 1024


@dataclass(slots=True)
class LineBatch:
    """Consecutive lines of one file.

    Attributes:
        lines: ``line_number`` (1 is the first) and ``line``, which is null where there is no text to judge.
        quarantined: Lines that are no text: too long or not UTF-8.
        raw_bytes: Bytes these lines took, uncompressed.
    """

    lines: pa.Table
    quarantined: list[QuarantinedLine] = field(default_factory=list)
    raw_bytes: int = 0

    @property
    def received_count(self) -> int:
        """Lines that are not blank."""
        return len(self.lines) - int(self.lines["line"].null_count) + len(self.quarantined)


def notes_on_nuls(name: str, count: int) -> list[str]:
    """Returns what to say about NUL bytes that were left out of a file: one sentence, or none."""
    return [f"{name}: {count:,} NUL bytes were left out"] if count else []


class LineReader:
    """Reads one file as batches of lines and, at the end, knows its digest.

    Args:
        source: The file, or an open stream such as standard input.
        name: What messages call it.
        batch_bytes: Uncompressed bytes a batch holds at least, unless the file ends.
        tick: Called with the number of bytes read, for progress.
    """

    def __init__(
        self,
        source: Path | IO[bytes],
        *,
        name: str,
        batch_bytes: int,
        tick: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.name, self._source = name, source
        self._batch_bytes, self._tick = batch_bytes, tick
        self._digest = hashlib.sha256()
        self._cleaner: Cleaner | None = None

    @property
    def notes(self) -> list[str]:
        """Sentences about what was left out so far that is no line."""
        return notes_on_nuls(self.name, self._cleaner.nul_count if self._cleaner else 0)

    @property
    def sha256(self) -> str:
        """Digest of the uncompressed bytes read so far."""
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[LineBatch]:
        """Yields the batches in order.

        Raises:
            UnreadableFile: The file is missing, forbidden, damaged or cut short, or holds no text.
        """
        with opened(self._source, self.name) as content:
            yield from self._batches(content)

    def _batches(self, content: IO[bytes]) -> Iterator[LineBatch]:
        splitter = _Splitter()
        parts: list[LineBatch] = []
        while True:
            block, prefix_size = splitter.block(READ_BYTES)
            size = _fill(block[prefix_size:], content)
            if not size:
                break
            self._digest.update(block[prefix_size : prefix_size + size].data)
            self._tick(size)
            parts.append(splitter.split(self._cleaned(block[: prefix_size + size], prefix_size), size))
            if sum(part.raw_bytes for part in parts) >= self._batch_bytes:
                yield _joined(parts)
                parts = []
        parts.append(splitter.rest(self._cleaner.rest() if self._cleaner else np.empty(0, np.uint8)))
        if any(part.received_count for part in parts):
            yield _joined(parts)

    def _cleaned(self, block: Block, prefix_size: int) -> Block:
        """Returns a block with what was read of it, past its prefix, as clean lines; most blocks are so already."""
        fresh = block[prefix_size:]
        if self._cleaner is None:
            self._cleaner = Cleaner(fresh[:_HEAD_BYTES].tobytes(), self.name)
        if self._cleaner.is_clean(fresh):
            return block
        return np.concatenate((block[:prefix_size], self._cleaner.clean(fresh)))


def _fill(block: Block, content: IO[bytes]) -> int:
    """Reads until the block is full or the file ends; returns how many bytes came."""
    filled = 0
    while filled < len(block) and (size := content.readinto(block[filled:].data)):  # type: ignore[attr-defined]
        filled += size
    return filled


def _joined(parts: list[LineBatch]) -> LineBatch:
    return LineBatch(
        pa.concat_tables(part.lines for part in parts),
        [line for part in parts for line in part.quarantined],
        sum(part.raw_bytes for part in parts),
    )


class _Overlong:
    """The digest of a line that is too long to hold, without its line ending wherever the chunks were cut."""

    def __init__(self, start: bytes) -> None:
        self._digest, self._returns = hashlib.sha256(), b""
        self.update(start)

    def update(self, part: bytes) -> None:
        part = self._returns + part
        line = part.rstrip(b"\r")
        self._digest.update(line)
        self._returns = part[len(line) :]

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


class _Splitter:
    """Cuts blocks at line ends. What a block leaves unfinished begins the next; past the limit only its digest does."""

    def __init__(self) -> None:
        self._number = 1
        self._rest: Block = np.empty(0, np.uint8)
        self._overlong: _Overlong | None = None
        self._is_newline = np.empty(0, bool)

    def block(self, size: int) -> tuple[Block, int]:
        """Returns a buffer that begins with the previous block's partial line, and the length of that prefix."""
        block = np.empty(len(self._rest) + size, np.uint8)
        block[: len(self._rest)] = self._rest
        return block, len(self._rest)

    def split(self, block: Block, raw_bytes: int) -> LineBatch:
        if len(self._is_newline) < len(block):
            self._is_newline = np.empty(len(block), bool)
        ends = np.flatnonzero(np.equal(block, _NEWLINE, out=self._is_newline[: len(block)])) + 1
        quarantined: list[QuarantinedLine] = []
        if self._overlong:
            if not len(ends):
                self._overlong.update(block.tobytes())
                return LineBatch(NO_LINES, [], raw_bytes)
            self._overlong.update(block[: ends[0] - 1].tobytes())
            quarantined.append(self._end_overlong(self._overlong))
            block, ends = block[ends[0] :], ends[1:] - ends[0]
        complete = int(ends[-1]) if len(ends) else 0
        self._rest = block[complete:].copy()
        batch = self._lines(block[:complete], ends)
        if len(self._rest) > MAX_LINE_BYTES:
            self._overlong, self._rest = _Overlong(self._rest.tobytes()), np.empty(0, np.uint8)
        return LineBatch(batch.lines, quarantined + batch.quarantined, raw_bytes)

    def rest(self, end: Block) -> LineBatch:
        """Returns the last lines: what is left unfinished, and the end of the file."""
        is_unfinished = self._overlong is not None or len(self._rest) + len(end) > 0
        if not is_unfinished:
            return LineBatch(NO_LINES)
        return self.split(np.concatenate((self._rest, end, np.array([_NEWLINE], np.uint8))), 0)

    def _end_overlong(self, digest: _Overlong) -> QuarantinedLine:
        line = QuarantinedLine(self._number, digest.hexdigest(), Reason.LINE_TOO_LONG.value, None, None)
        self._overlong = None
        self._number += 1
        return line

    def _lines(self, block: Block, ends: npt.NDArray[np.int64]) -> LineBatch:
        """Complete lines, each ended by a newline, as an Arrow column over the very bytes that were read."""
        if not len(ends):
            return LineBatch(NO_LINES)
        numbers = np.arange(self._number, self._number + len(ends))
        self._number += len(ends)
        offsets = np.concatenate(([0], ends)).astype(np.int32)
        lengths = np.diff(offsets)
        quarantined: list[QuarantinedLine] = []
        is_text = np.ones(len(ends), dtype=bool)
        needs_check = lengths > MAX_LINE_BYTES
        if not _is_utf8(block):
            needs_check[np.searchsorted(ends, np.flatnonzero(block > _LAST_ASCII), side="right")] = True
        for row in np.flatnonzero(needs_check):
            line = block[offsets[row] : offsets[row + 1]]
            raw = line.tobytes().rstrip(b"\r\n")
            if len(raw) > MAX_LINE_BYTES:
                quarantined.append(quarantined_line(int(numbers[row]), raw, Quarantined(Reason.LINE_TOO_LONG, None)))
            elif not _is_utf8(line):
                quarantined.append(quarantined_line(int(numbers[row]), raw, Quarantined(Reason.INVALID_UTF8, None)))
            else:
                continue
            is_text[row] = False
        for row in np.flatnonzero(block[offsets[:-1]] <= _LAST_BLANK):
            is_text[row] &= bool(block[offsets[row] : offsets[row + 1]].tobytes().strip())
        # Lines that are not judged stay as nulls, for without them the column would be many pieces.
        missing = len(ends) - int(np.count_nonzero(is_text))
        validity = pa.py_buffer(np.packbits(is_text, bitorder="little")) if missing else None
        column = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(block), validity, missing)
        return LineBatch(pa.table([pa.array(numbers), column], schema=LINES), quarantined)


def _is_utf8(block: Block) -> bool:
    try:
        codecs.utf_8_decode(block.data, "strict", True)
    except UnicodeDecodeError:
        return False
    return True
