"""Verifies signatures of bundles: Ed25519 (RFC 8032, section 5.1.7), DSSE, C2SP signed notes.

Python 3.11 and nothing else; goes into every bundle.
"""

from __future__ import annotations

import base64
import hashlib
from typing import NamedTuple

from .container import need

PAYLOAD_TYPE = "application/vnd.in-toto+json"
#: First byte of an Ed25519 key in a signed note.
ED25519 = b"\1"
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def _add(p: Point, q: Point) -> Point:
    t = D * p[0] * q[0] * p[1] * q[1]
    x, y = (p[0] * q[1] + q[0] * p[1]) * pow(1 + t, -1, P), (p[1] * q[1] + p[0] * q[0]) * pow(1 - t, -1, P)
    return x % P, y % P


def _times(scalar: int, point: Point) -> Point:
    total = (0, 1)
    for bit in f"{scalar:b}":
        total = _add(total, total)
        total = _add(total, point) if bit == "1" else total
    return total


def _point(raw: bytes) -> Point:
    y, sign = int.from_bytes(raw, "little") % 2**255, raw[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    if y >= P or x * x % P != square or (not x and sign):
        raise ValueError("no point of the curve")
    return x if x & 1 == sign else P - x, y


BASE = _point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def is_signed(key: bytes, message: bytes, signature: bytes) -> bool:
    """Returns whether a signature of 64 bytes is that of a message by a key of 32 bytes."""
    if len(key) != 32 or len(signature) != 64 or (scalar := int.from_bytes(signature[32:], "little")) >= L:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    try:
        return _times(scalar, BASE) == _add(_point(signature[:32]), _times(challenge, _point(key)))
    except ValueError:
        return False


def to_sign(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Returns the bytes that a DSSE signature covers."""
    return b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type.encode(), len(payload), payload)


def exact_base64(text: str) -> bytes:
    """Decodes base64, and refuses a text that its bytes would not encode to."""
    raw = base64.b64decode(text, validate=True)
    need(base64.b64encode(raw).decode() == text, "base64 is not written as it must be")
    return raw


class PublicKey(NamedTuple):
    """A public key: the name of its log, its 32 bytes, and the 4 bytes of its id in a note."""

    name: str
    raw: bytes
    key_id: bytes


def public_key(text: str, origin: str) -> PublicKey:
    """Returns a key from its 64 hexadecimal digits, or from its form in a C2SP signed note; `origin` names the log."""
    line = text.removesuffix("\n")
    name, key_id, encoded = line.split("+", 2) if "+" in line else (origin, "", "")
    raw = exact_base64(encoded) if encoded else ED25519 + bytes.fromhex(line)
    digest = hashlib.sha256(f"{name}\n".encode() + raw).hexdigest()[:8]
    is_whole = raw[:1] == ED25519 and len(raw) == 33 and (key_id == digest if encoded else raw[1:].hex() == line)
    need(is_whole, "signature: the key is not written as it must be")
    return PublicKey(name, raw[1:], bytes.fromhex(digest))


def checkpoint(text: str, key: PublicKey | None) -> tuple[str, int, str]:
    """Returns origin, size and root of a checkpoint, which must be signed by the key if there is one."""
    head, _, tail = text.partition("\n\n")
    if key:
        lines = [line for line in tail.split("\n") if line.startswith(f"\u2014 {key.name} ")]
        signatures = [exact_base64(line.rpartition(" ")[2]) for line in lines]
        is_ours = any(s[:4] == key.key_id and is_signed(key.raw, f"{head}\n".encode(), s[4:]) for s in signatures)
        need(is_ours, "signature: the checkpoint is not signed by the key")
    # git strips the empty line that ends an unsigned one.
    origin, size, root = head.removesuffix("\n").split("\n")
    return origin, int(size), root
