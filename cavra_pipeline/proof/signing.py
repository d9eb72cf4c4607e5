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
    signature = key.sign(checkpoint.text.encode())
    return Note(checkpoint, ((checkpoint.origin, key_id(checkpoint.origin, public_key), signature),))


def not_installed(package: str = "cryptography") -> PipelineError:
    """Returns the error for a command that needs a package of the extra ``proof``."""
    return PipelineError(
        "signatures and time stamps need a package that is not installed",
        where=package,
        remedy="Install the extra: cavra-pipeline[proof]",
    )
