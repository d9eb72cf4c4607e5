"""Checkpoints: their bytes, a signature of another implementation's note, and texts that are no checkpoint."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cavra_pipeline.errors import UsageError
from cavra_pipeline.proof.checkpoint import Checkpoint, Note, key_id, origin_of, parse_note
from cavra_pipeline.proof.merkle import leaf_hash
from cavra_pipeline.proof.signing import sign
from tests.proof.notes import is_signed_by

CHECKPOINT = Checkpoint("cavra-pipeline/0123456789abcdef", 62, bytes(range(32)))
#: RFC 8032, section 7.1, test 1.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


def test_the_text_of_a_checkpoint_is_origin_size_and_root() -> None:
    root = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

    assert CHECKPOINT.text == f"cavra-pipeline/0123456789abcdef\n62\n{root}\n"
    assert Note(CHECKPOINT).text == f"{CHECKPOINT.text}\n"
    assert origin_of(leaf_hash(b"")) == "cavra-pipeline/6e340b9cffb37a98"


def test_a_key_id_is_that_of_the_signed_notes_of_others() -> None:
    """The verifier key in the documentation of Go's package ``note``."""
    public = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")[1:]

    assert key_id("PeterNeumann", public).hex() == "c74f20a3"


def test_a_signed_checkpoint_is_read_back_and_verified() -> None:
    note = sign(CHECKPOINT, Ed25519PrivateKey.from_private_bytes(SEED))
    last = note.text.splitlines()[-1]

    assert last.startswith("\u2014 cavra-pipeline/0123456789abcdef ")
    assert len(base64.b64decode(last.rsplit(" ", 1)[1])) == 4 + 64
    assert parse_note(note.text, "here") == note
    assert is_signed_by(note, PUBLIC)
    assert parse_note(Note(CHECKPOINT).text, "here") == Note(CHECKPOINT)
    assert parse_note(CHECKPOINT.text, "here") == Note(CHECKPOINT), "git strips the last empty line"


def test_a_checkpoint_with_one_bit_changed_is_not_signed() -> None:
    note = sign(CHECKPOINT, Ed25519PrivateKey.from_private_bytes(SEED))
    raw = note.text.encode()

    for place in range(len(raw)):
        for bit in range(8):
            changed = bytearray(raw)
            changed[place] ^= 1 << bit
            try:
                assert not is_signed_by(parse_note(changed.decode(), "here"), PUBLIC)
            except (UsageError, UnicodeDecodeError):
                continue
    assert not is_signed_by(note, bytes([PUBLIC[0] ^ 1, *PUBLIC[1:]]))
    assert not is_signed_by(Note(CHECKPOINT), PUBLIC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        CHECKPOINT.text.removesuffix("\n"),
        f"{CHECKPOINT.text}\n\n",
        f"{CHECKPOINT.text}\u2014 name AAAAAAA=\n",
        f"{CHECKPOINT.text}extension\n\n",
        f"{CHECKPOINT.text}\nno signature\n",
        f"{CHECKPOINT.text}\n\u2014 name AAAAAA==",
        Checkpoint("two words", 1, bytes(32)).text + "\n",
        CHECKPOINT.text.replace("62", "062") + "\n",
        CHECKPOINT.text.replace("62", "-1") + "\n",
        Checkpoint("origin", 1, bytes(31)).text + "\n",
        CHECKPOINT.text.replace("Hh8=", "Hh9=") + "\n",
        CHECKPOINT.text.replace("\n", "\r\n") + "\r\n",
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(UsageError, match="this is not a checkpoint") as raised:
        parse_note(text, "old.txt")
    assert raised.value.where == "old.txt"
