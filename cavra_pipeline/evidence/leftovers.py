"""Temporary folders of imports and verifications, and what killed ones left.

Whoever uses a folder holds a lock on it, which ends with its process, so what is not locked is a leftover.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from cavra_pipeline.evidence.landing import SIDECAR_SUFFIX, drop_days
from cavra_pipeline.settings import Settings

_PREFIX: Final = ".import-"
_SIDECAR: Final = re.compile(r"(import-\d{6,}-[0-9a-f]{16}\.jsonl)" + re.escape(SIDECAR_SUFFIX))


@contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Locks a folder while the block runs and yields whether it did.

    Args:
        folder: An existing folder.
        wait: Whether to wait for a process that has locked it.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        is_locked = False
        # A file system without locks, as over a network, must not stop an import.
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_locked = True
        yield is_locked
    finally:
        os.close(handle)


@contextmanager
def scratch_folder(parent: Path, prefix: str = _PREFIX) -> Iterator[Path]:
    """Yields a folder of one's own, by default one in the landing zone that ingest does not see, and removes it."""
    with ExitStack() as stack:
        while True:
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            # Before it was locked, another process may have taken it for a leftover.
            with suppress(FileNotFoundError):
                stack.enter_context(locked(folder))
                if folder.exists():
                    break
        yield folder


def remove_left_folders(parent: Path, prefix: str) -> None:
    """Removes the temporary folders with this prefix that no one uses any more."""
    for folder in parent.glob(f"{prefix}*"):
        with suppress(OSError), locked(folder, wait=False) as is_leftover:
            if is_leftover:
                shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(settings: Settings) -> None:
    """Removes what killed imports left: temporary folders, and sidecars without their landing file.

    In a bucket such a sidecar stays, for another host may be about to put its landing file there.
    """
    landing = settings.landing
    remove_left_folders(landing, _PREFIX)
    if settings.landing_bucket:
        return
    with suppress(OSError), locked(landing) as is_locked:
        if is_locked:
            for sidecar in _sidecars_alone(landing):
                sidecar.unlink(missing_ok=True)


def _sidecars_alone(landing: Path) -> list[Path]:
    """Returns sidecars without a landing file. The caller has locked the landing zone, so none is being written."""
    alone = []
    for day in drop_days(landing):
        folder = landing / day.isoformat()
        if folder.is_dir():
            names = {path.name for path in folder.iterdir()}
            alone += [folder / name for name in names if (match := _SIDECAR.fullmatch(name)) and match[1] not in names]
    return alone
