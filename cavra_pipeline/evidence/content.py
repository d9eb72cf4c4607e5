"""Uncompressed bytes of a file, and what a file is by its first bytes. Lines are cut in ``lines.py``.

Gzip members (RFC 1952) and zstd frames (RFC 8878), skippable ones too, may follow one another in any number.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Protocol, cast

from backports import zstd

from cavra_pipeline.errors import PipelineError

#: Bytes at the start of a file from which its encoding and its shape are decided.
HEAD_BYTES: Final = 1024 * 1024
SQLITE_MAGIC: Final = b"SQLite format 3\x00"

_READ_BYTES: Final = 256 * 1024
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
#: 2 GiB, the largest window that zstd writes (--long=31). Memory is taken only as far as content fills it.
_WINDOW_LOG_MAX: Final = 31
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = frozenset(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60))

_UNPACK: Final = "Unpack it first; compressed files are read as gzip or zstd only"
#: First bytes of what is often met under the name of an evidence file, what it is called, and the remedy.
_FOREIGN: Final = (
    (_GZIP, "gzip data inside compressed data", "Decompress it once, then repeat"),
    (_ZSTD, "zstd data inside compressed data", "Decompress it once, then repeat"),
    (b"PK\x03\x04", "a ZIP archive", _UNPACK),
    (b"PK\x05\x06", "an empty ZIP archive", _UNPACK),
    (b"BZh", "a bzip2 file", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz file", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"\x04\x22\x4d\x18", "an LZ4 file", _UNPACK),
    (b"\x1f\x9d", "a file of the old compress command", _UNPACK),
    (b"PAR1", "a Parquet file", "Export the records as JSON lines"),
    (b"%PDF-", "a PDF document", "Export the records as JSON lines"),
)
_TAR_OFFSET, _TAR = 257, b"ustar"


class UnreadableFile(PipelineError):
    """A file that is wrong as a whole or can't be read to its end; it is rejected whole."""


def recognise(head: bytes, name: str) -> None:
    """Refuses content that is known by its first bytes and holds no text.

    Raises:
        UnreadableFile: It is an archive, another compression or another kind of file; the message names it.
    """
    for magic, what, remedy in _FOREIGN:
        if head.startswith(magic):
            raise UnreadableFile(f"it is {what}, neither JSON lines nor a CAVRA store", where=name, remedy=remedy)
    if head[_TAR_OFFSET : _TAR_OFFSET + len(_TAR)] == _TAR:
        raise UnreadableFile("it is a tar archive, neither JSON lines nor a CAVRA store", where=name, remedy=_UNPACK)


class _Decompressor(Protocol):
    def is_over(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def read(self, data: bytes, limit: int) -> bytes: ...


class _Gzip:
    """One gzip member."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP_WINDOW)

    def is_over(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def read(self, data: bytes, limit: int) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, limit)


class _Zstd:
    """One zstd frame; a skippable one has no content."""

    def __init__(self) -> None:
        options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG_MAX}
        self._inflate = zstd.ZstdDecompressor(options=options)

    def is_over(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def read(self, data: bytes, limit: int) -> bytes:
        return self._inflate.decompress(data, limit)


def _decompressor_for(magic: bytes) -> _Decompressor | None:
    if magic.startswith(_GZIP):
        return _Gzip()
    return _Zstd() if magic == _ZSTD or magic in _SKIPPABLE else None


class _Decompressed(io.RawIOBase):
    """Content of consecutive gzip members and zstd frames; zero bytes between and after them are padding."""

    def __init__(self, raw: io.BufferedReader, name: str) -> None:
        self._raw, self._name = raw, name
        self._part: _Decompressor | None = None
        self._unread, self._read_bytes, self._is_over = b"", 0, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._is_over:
            if self._part is None or self._part.is_over():
                self._next_part()
                continue
            produced = self._part.read(self._unread, len(buffer))
            self._unread = b""
            if produced:
                buffer[: len(produced)] = produced
                return len(produced)
            if not self._part.is_over() and not self._more():
                raise EOFError
        return 0

    def _more(self) -> bool:
        chunk = self._raw.read1(_READ_BYTES)
        self._read_bytes += len(chunk)
        self._unread += chunk
        return bool(chunk)

    def _next_part(self) -> None:
        """Goes to the next member or frame, whichever of the two compressions it has."""
        if self._part is not None:
            self._unread = self._part.unused_data.lstrip(b"\0")
        while len(self._unread) < len(_ZSTD) and self._more():
            self._unread = self._unread.lstrip(b"\0")
        if not self._unread:
            self._is_over = True
            return
        self._part = _decompressor_for(self._unread[: len(_ZSTD)])
        if self._part is None:
            raise UnreadableFile(
                f"the compressed data ends at byte {self._read_bytes - len(self._unread)} and something else follows",
                where=self._name,
                remedy="Split the file there, or export it again, then repeat",
            )


def open_bytes(raw: IO[bytes], name: str) -> IO[bytes]:
    """Returns the uncompressed bytes of an open file; gzip and zstd are known by their first bytes."""
    buffered = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, raw))
    magic = buffered.peek(len(_ZSTD))[: len(_ZSTD)]
    if len(magic) < len(_ZSTD):
        # A pipe gives what its writer has written so far.
        magic = buffered.read(len(_ZSTD))
        buffered = io.BufferedReader(_Rejoined(magic, buffered))
    if _decompressor_for(magic) is None:
        return buffered
    return cast(IO[bytes], io.BufferedReader(_Decompressed(buffered, name)))


def unreadable(name: str, error: BaseException) -> UnreadableFile:
    """Returns the error for a file that failed while it was read; the cause's own text may quote content."""
    if isinstance(error, UnreadableFile):
        return error
    if isinstance(error, MemoryError) or (isinstance(error, zstd.ZstdError) and "memory" in str(error)):
        return UnreadableFile(
            "there is not enough memory to read it",
            where=name,
            remedy="Give the process more memory, or split the file; write zstd with --long=27 or less",
        )
    if isinstance(error, zstd.ZstdError) and "ictionary" in str(error):
        return UnreadableFile(
            "it was compressed with a zstd dictionary", where=name, remedy="Compress it without one, then repeat"
        )
    if isinstance(error, EOFError | zlib.error | zstd.ZstdError):
        return UnreadableFile(
            "the compressed file is damaged or cut short",
            where=name,
            remedy="Copy or export it again, then repeat",
        )
    reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return UnreadableFile(f"the file can't be read ({reason})", where=name, remedy="Check its path and permissions")


@contextmanager
def opened(source: Path | IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """Yields the uncompressed bytes of a file or of an open stream, which stays open.

    Raises:
        UnreadableFile: The file is missing, forbidden, damaged or cut short, also while the block reads it.
    """
    try:
        if isinstance(source, Path):
            with source.open("rb") as raw, open_bytes(raw, name) as content:
                yield content
        else:
            yield open_bytes(source, name)
    except (OSError, EOFError, MemoryError, zlib.error, zstd.ZstdError) as error:
        raise unreadable(name, error) from None


class _Rejoined(io.RawIOBase):
    """A stream whose first bytes were read already and are given again."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = memoryview(head), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._head:
            return int(self._rest.readinto(buffer))  # type: ignore[attr-defined]
        chunk, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        buffer[: len(chunk)] = chunk
        return len(chunk)


def sniffed(content: IO[bytes]) -> tuple[bytes, IO[bytes]]:
    """Returns the first bytes of a stream, at most ``HEAD_BYTES``, and the whole stream."""
    head = content.read(HEAD_BYTES)
    return head, cast(IO[bytes], io.BufferedReader(_Rejoined(head, content)))
