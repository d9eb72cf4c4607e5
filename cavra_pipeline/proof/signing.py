"""Ed25519 signatures of checkpoints, by ``cryptography`` (the extra ``proof``); where its keys lie is in ``keys``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.proof.checkpoint import Checkpoint, Note, key_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> Note:
    """Returns the checkpoint signed under the name of its log."""
    public_key = key.public_key().public_bytes_raw()
    made = key.sign(checkpoint.text.encode())
    return Note(checkpoint, ((checkpoint.origin, key_id(checkpoint.origin, public_key), made),))


def is_signed_by(note: Note, public_key: bytes) -> bool:
    """Tells whether a note has a valid signature by a key of 32 bytes, under the name of its log.

    Raises:
        PipelineError: The package that verifies signatures is not installed.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise not_installed() from None
    origin = note.checkpoint.origin
    wanted = (origin, key_id(origin, public_key))
    for name, key, made in note.signatures:
        if (name, key) == wanted:
            try:
                Ed25519PublicKey.from_public_bytes(public_key).verify(made, note.checkpoint.text.encode())
            except InvalidSignature:
                return False
            return True
    return False


def not_installed() -> PipelineError:
    """Returns the error for a command that needs ``cryptography``."""
    return PipelineError(
        "signatures need a package that is not installed",
        where="cryptography",
        remedy="Install cavra-pipeline with its extra: pip install 'cavra-pipeline[proof]'",
    )
