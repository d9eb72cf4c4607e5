"""The key of a home's pseudonyms: a file of 32 random bytes, made at the first use (contract section 3)."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from cavra_pipeline.boundary.pseudonyms import Pseudonyms
from cavra_pipeline.errors import PipelineError, UsageError, os_error_named
from cavra_pipeline.evidence.landing import has_pseudonyms
from cavra_pipeline.evidence.landing_zone import refresh
from cavra_pipeline.evidence.queries import holds_pseudonyms
from cavra_pipeline.private import mode_to_give
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse.opening import open_warehouse
from cavra_pipeline.warehouse.schema import OldWarehouse

KEY_BYTES: Final = 32


def pseudonyms_of(settings: Settings) -> Pseudonyms:
    """Returns the pseudonyms of a home; its key is made at the first call.

    Raises:
        PipelineError: The home holds pseudonyms and their key is gone, or the key can't be read or made.
        UsageError: The key's file is open to others or holds no key.
    """
    path = settings.pseudonym_key
    _require_key(settings)
    with os_error_named(
        "the key of the pseudonyms can't be made or read",
        where=path,
        remedy="Check its path and the permissions of its folder",
    ):
        if not path.exists():
            _make(path)
        return Pseudonyms(_read(path))


def open_home(settings: Settings) -> Settings:
    """Returns the settings of a home that may start, with its folders and its key made.

    Whoever writes to a home starts here: later, while the warehouse is open, no one could ask it for pseudonyms.

    Raises:
        PipelineError: The home holds pseudonyms, and the key they were made with is gone.
        UsageError: The home can't be written, or its key is open to others.
    """
    pseudonyms_of(settings.prepare())
    return settings


def _require_key(settings: Settings) -> None:
    if settings.pseudonym_key.exists():
        return
    if (settings.warehouse_address or settings.landing_address) and settings.pseudonym_key_file is None:
        # Each host would make a key of its own, and one value would have as many pseudonyms.
        raise UsageError(
            "hosts that share a lake or a landing zone need one key of the pseudonyms",
            where="CAVRA_PSEUDONYM_KEY_FILE",
            remedy="Name the same file on every host; the first makes it, and the others need a copy",
        )
    if _is_in_use(settings):
        raise PipelineError(
            "this home holds pseudonyms, and the key they were made with is not there",
            where=str(settings.pseudonym_key),
            remedy="Restore the key from a backup of the home, or name its file in CAVRA_PSEUDONYM_KEY_FILE",
        )


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        if right := mode_to_give(os.fstat(file.fileno())):
            raise UsageError(
                "the key of the pseudonyms can be read by others",
                where=str(path),
                remedy=f"Run: chmod {right:o} {path}",
            )
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise UsageError(
            f"the file holds no key of {KEY_BYTES} bytes",
            where=str(path),
            remedy="Restore the key from a backup of the home",
        )
    return key


def _make(path: Path) -> None:
    """Makes the key, whole or not at all; of two processes at once the first one's key stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink(missing_ok=True)


def _is_in_use(settings: Settings) -> bool:
    """Whether a sidecar of the landing zone, or the warehouse, has a finding of a pseudonym."""
    refresh(settings)
    if has_pseudonyms(settings.landing):
        return True
    warehouse = open_warehouse(settings)
    if not warehouse.exists():
        return False
    try:
        with warehouse.reading() as session:
            return holds_pseudonyms(session)
    except OldWarehouse:
        # There were no pseudonyms before there was a state database.
        return False
