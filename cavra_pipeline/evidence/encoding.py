"""Character encoding of evidence, decided from its first bytes, and what is not part of any record.

UTF-8 passes unchanged. UTF-16 becomes UTF-8; byte order marks and NUL bytes between records are left out.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

import numpy as np
import numpy.typing as npt

from cavra_pipeline.evidence.content import SQLITE_MAGIC, UnreadableFile, recognise

Block = npt.NDArray[np.uint8]

BOM: Final = codecs.BOM_UTF8
_FIRST_BYTE_OF_BOM: Final = BOM[0]
_NEWLINE, _RETURN = b"\n", b"\r"
#: So far a file is searched for the character that ends its lines.
_LINE_END_BYTES: Final = 64 * 1024
_CR_ONLY: Final = re.compile(rb"\}[ \t]*\r[ \t\r]*\{")

#: JSON begins with ASCII characters (RFC 4627, section 3), so their zero bytes show the encoding.
_UTF16 = {
    "utf-16-le": re.compile(rb"\xff\xfe|(?:[\t\n\r -~]\0){4}"),
    "utf-16-be": re.compile(rb"\xfe\xff|(?:\0[\t\n\r -~]){4}"),
}
_UTF32: Final = re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff|(?:[\t\n\r -~]\0\0\0){4}|(?:\0\0\0[\t\n\r -~]){4}")
_OTHER_MARKS: Final = ((b"+/v", "UTF-7"), (b"\x84\x31\x95\x33", "GB 18030"), (b"\xdd\x73\x66\x73", "UTF-EBCDIC"))
#: UTF-16 in the middle of UTF-8, and the other way round, as a shell's >> leaves it.
_UTF16_INSIDE: Final = re.compile(rb"(?:[\t\n\r -~]\0){8}|(?:\0[\t\n\r -~]){8}")
_UTF8_INSIDE: Final = re.compile(rb'\{"[ -~]{14}')

_MARK_AT_LINE_START: Final = re.compile(rb"(?<=\n)(?:\xef\xbb\xbf)+")
_MARK_AT_JOIN: Final = re.compile(rb"(?<=\})(?:\xef\xbb\xbf)+(?=\{)")
_NULS: Final = re.compile(rb"\0+")

_REMEDY: Final = "Write it as UTF-8, for example with iconv -t UTF-8, then repeat"


def encoding_of(head: bytes, name: str) -> str:
    """Returns the Python name of the encoding: ``utf-8``, ``utf-16-le`` or ``utf-16-be``.

    Raises:
        UnreadableFile: The content is in an encoding that is not read; the message names it.
    """
    others = [what for mark, what in _OTHER_MARKS if head.startswith(mark)]
    if others or _UTF32.match(head):
        raise UnreadableFile(f"its text is {(others or ['UTF-32'])[0]}, not UTF-8", where=name, remedy=_REMEDY)
    return next((encoding for encoding, pattern in _UTF16.items() if pattern.match(head)), "utf-8")


def mixed(name: str, inside: str, offset: int) -> UnreadableFile:
    """Returns the error for a file in which the encoding changes."""
    return UnreadableFile(
        f"{inside} text begins at byte {offset} of a file in another encoding",
        where=name,
        remedy="Export each part again in one encoding, such as UTF-8, then repeat",
    )


class Cleaner:
    """Turns the bytes of one file into UTF-8 lines that end in a newline, block by block.

    A run of NUL bytes is part of no record: it is left out and counted, and ends the line that it interrupts. A byte
    order mark at the start of a line, or between two records, is left out too.

    Args:
        head: The first bytes of the file.
        name: What messages call the file.

    Attributes:
        nul_count: NUL bytes left out so far.

    Raises:
        UnreadableFile: The content is no text, or in an encoding that is not read.
    """

    def __init__(self, head: bytes, name: str) -> None:
        recognise(head, name)
        if head.startswith(SQLITE_MAGIC):
            raise UnreadableFile("it is an SQLite database, not JSON lines", where=name, remedy="Import it")
        encoding = encoding_of(head, name)
        self.nul_count = 0
        self._name, self._offset = name, 0
        self._decoder = None
        if encoding != "utf-8":
            self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        start = head[:_LINE_END_BYTES].decode(encoding, "ignore").encode("utf-8", "ignore")
        self._has_cr_only = _NEWLINE not in start and bool(_CR_ONLY.search(start))
        self._is_plain_text = self._decoder is None and not self._has_cr_only
        self._owes_break = False
        #: The last bytes that NUL bytes and byte order marks are judged by, as if a line had ended before the file.
        self._before_nuls = self._before_marks = _NEWLINE
        self._trailing_marks = b""

    def is_clean(self, block: Block) -> bool:
        """Whether the next block of the file can be used as it is; if not, ``clean`` it."""
        if (
            not self._is_plain_text
            or self._owes_break
            or self._trailing_marks
            or not block.min()
            or block.max() >= _FIRST_BYTE_OF_BOM
        ):
            return False
        self._before_nuls = self._before_marks = block[-1:].tobytes()
        self._offset += len(block)
        return True

    def clean(self, block: Block) -> Block:
        """Returns what the next block of the file holds of its lines."""
        return np.frombuffer(self._cleaned(block.tobytes(), is_last=False), np.uint8)

    def rest(self) -> Block:
        """Returns what was held back at the end of the file."""
        return np.frombuffer(self._cleaned(b"", is_last=True), np.uint8)

    def _cleaned(self, data: bytes, *, is_last: bool) -> bytes:
        size = len(data)
        data = self._decoded(data, is_last=is_last)
        self._offset += size
        if self._has_cr_only:
            data = data.replace(_RETURN, _NEWLINE)
        data = self._trailing_marks + self._without_nuls(data)
        complete = len(data) if is_last else len(data) - _length_of_marks_at_end(data)
        self._trailing_marks = data[complete:]
        return self._without_marks(data[:complete])

    def _decoded(self, data: bytes, *, is_last: bool) -> bytes:
        if self._decoder is None:
            if b"\0" in data and (match := _UTF16_INSIDE.search(data)):
                raise mixed(self._name, "UTF-16", self._offset + match.start())
            return data
        if match := _UTF8_INSIDE.search(data):
            raise mixed(self._name, "UTF-8", self._offset + match.start())
        try:
            text = self._decoder.decode(data, is_last)
        except UnicodeDecodeError:
            # Half a character, where the file was cut short: its line is quarantined as invalid UTF-8.
            return b"\xff"
        return text.encode("utf-8", "surrogatepass")

    def _without_nuls(self, data: bytes) -> bytes:
        """Leaves NUL bytes out. A run of them ends its line, unless it stands at the start or the end of one."""
        nul_count = data.count(0)
        if not nul_count and not self._owes_break:
            self._before_nuls = data[-1:] or self._before_nuls
            return data
        self.nul_count += nul_count
        kept = bytearray()
        for number, piece in enumerate(_NULS.split(data)):
            self._owes_break |= number > 0 and self._before_nuls != _NEWLINE
            if piece:
                if self._owes_break and piece[0] not in _NEWLINE + _RETURN:
                    kept += _NEWLINE
                kept += piece
                self._owes_break, self._before_nuls = False, piece[-1:]
        return bytes(kept)

    def _without_marks(self, data: bytes) -> bytes:
        """Leaves byte order marks out at the start of a line, and ends a line at one between two records."""
        before = self._before_marks
        if BOM in data:
            data = _MARK_AT_JOIN.sub(_NEWLINE, _MARK_AT_LINE_START.sub(b"", before + data))[len(before) :]
        self._before_marks = data[-1:] or before
        return data


def _length_of_marks_at_end(data: bytes) -> int:
    """Length of the byte order marks, and of the beginning of one, that end the data."""
    end = len(data) - next((size for size in (2, 1) if data.endswith(BOM[:size])), 0)
    while data.endswith(BOM, 0, end):
        end -= len(BOM)
    return len(data) - end
