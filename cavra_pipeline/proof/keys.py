"""The signing key of a home's checkpoints: an Ed25519 key as PEM (PKCS 8) in a file that only its owner may read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cavra_pipeline.errors import UsageError, os_error_named
from cavra_pipeline.private import mode_to_give
from cavra_pipeline.proof.signing import not_installed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def new_key(path: Path) -> bytes:
    """Makes a key in a new file and returns its public half, 32 bytes.

    Raises:
        UsageError: There is a file already.
        PipelineError: The file can't be written, or the package for keys is not installed.
    """
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        raise not_installed() from None
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os_error_named("the key can't be written", where=path, remedy="Name a file in a folder of yours"):
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            raise UsageError(
                "there is a file already", where=str(path), remedy="Name a new file; a key is never overwritten"
            ) from None
    return key.public_key().public_bytes_raw()


def load_key(path: Path) -> Ed25519PrivateKey:
    """Returns the key in a file.

    Raises:
        UsageError: The file can be read by others, or holds no Ed25519 key.
        PipelineError: The file can't be read, or the package for keys is not installed.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise not_installed() from None
    with (
        os_error_named(
            "the signing key can't be read",
            where=path,
            remedy="Correct CAVRA_SIGNING_KEY_FILE, or make a key: cavra-pipeline key new FILE",
        ),
        path.open("rb") as file,
    ):
        right, text = mode_to_give(os.fstat(file.fileno())), file.read()
    if right:
        raise UsageError(
            "the signing key can be read by others", where=str(path), remedy=f"Run: chmod {right:o} {path}"
        )
    try:
        key = load_pem_private_key(text, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(
            "the file holds no Ed25519 key as PEM", where=str(path), remedy="Make one: cavra-pipeline key new FILE"
        )
    return key
