"""Checkpoints of the commit log: C2SP ``tlog-checkpoint`` in a C2SP signed note. The format: docs/proof.md."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cavra_pipeline.errors import UsageError

_ORIGIN_PREFIX: Final = "cavra-pipeline/"
#: Decimal without leading zeros, of fewer digits than any log will have entries.
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_ORIGIN: Final = re.compile(r"[!-*,-~]{1,255}")
_SIGNATURE_LINE: Final = re.compile(r"\u2014 ([!-*,-~]{1,255}) ([A-Za-z0-9+/]+={0,2})")
_ED25519: Final = b"\x01"
_KEY_ID_BYTES, _SIGNATURE_BYTES, _ROOT_BYTES = 4, 64, 32


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log.

    Attributes:
        origin: Which log it is.
        size: How many entries it has.
        root: Root of the tree over them, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The lines that a signature covers, each ended by a newline."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A checkpoint with its signatures: the name, the key id and the signature of each."""

    checkpoint: Checkpoint
    signatures: tuple[tuple[str, bytes, bytes], ...] = ()

    @property
    def text(self) -> str:
        """The whole note; one without a signature is unsigned."""
        lines = (
            f"\u2014 {name} {base64.b64encode(key + signature).decode()}\n" for name, key, signature in self.signatures
        )
        return f"{self.checkpoint.text}\n{''.join(lines)}"


def origin_of(first_entry: bytes) -> str:
    """Returns the name of the log whose first entry has this leaf hash."""
    return _ORIGIN_PREFIX + first_entry.hex()[:16]


def key_id(name: str, public_key: bytes) -> bytes:
    """Returns the id by which a note names an Ed25519 key: 4 bytes."""
    return sha256(f"{name}\n".encode() + _ED25519 + public_key).digest()[:_KEY_ID_BYTES]


def parse_note(text: str, where: str) -> Note:
    """Reads a saved note.

    Args:
        text: The note; an unsigned one may end after its third line.
        where: Where it comes from, for the message.

    Raises:
        UsageError: It is no checkpoint of a log of ours.
    """
    head, _, tail = text.partition("\n\n")
    # Without signatures the note ends with an empty line, which git strips from the message of a tag.
    lines = head.removesuffix("\n").split("\n")
    try:
        if (
            not text.endswith("\n")
            or len(lines) != 3
            or not _ORIGIN.fullmatch(lines[0])
            or not _SIZE.fullmatch(lines[1])
        ):
            raise ValueError
        checkpoint = Checkpoint(lines[0], int(lines[1]), _exact_base64(lines[2]))
        if len(checkpoint.root) != _ROOT_BYTES:
            raise ValueError
        return Note(checkpoint, tuple(_signature(line) for line in tail.split("\n")[:-1]))
    except (ValueError, binascii.Error):
        raise UsageError(
            "this is not a checkpoint of a commit log",
            where=where,
            remedy="Give the text that cavra-pipeline checkpoint wrote, unchanged",
        ) from None


def _signature(line: str) -> tuple[str, bytes, bytes]:
    match = _SIGNATURE_LINE.fullmatch(line)
    if not match:
        raise ValueError
    raw = _exact_base64(match[2])
    if len(raw) <= _KEY_ID_BYTES:
        raise ValueError
    return match[1], raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:]


def _exact_base64(text: str) -> bytes:
    """Decodes base64 of which no bit is spare: else two texts would be the same checkpoint."""
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError
    return raw
