"""Access rights of the home: its owner alone. Folders have the mode 0700 and files 0600, under any umask.

Files that people write (the connector file, token and key files) are checked where they are read, not changed here.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from tempfile import mkstemp
from typing import IO, Final

from cavra_pipeline.errors import UsageError, os_error_named

_log = logging.getLogger("cavra_pipeline.private")

#: What the product makes in a home.
_FOLDERS: Final = ("landing", "dagster", "reports")
_FILES: Final = ("warehouse.duckdb*", "state.db*", "demo.json", "dev.log", "dev.started")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def keep_private() -> None:
    """Has this process, and those that it starts, make files and folders for their owner alone.

    DuckDB, SQLite and Dagster make files themselves; only the umask reaches those.
    """
    os.umask(_OTHERS)


def tighten(home: Path) -> None:
    """Removes the rights of others from a home and from what the product made in it; logs what it may not change.

    A folder that is private already is not searched: no one else reaches what is in it.
    """
    for name in _FOLDERS:
        folder = home / name
        if _is_open(folder):
            for path in _below(folder):
                _close(path)
            _close(folder)
    for pattern in _FILES:
        for path in home.glob(pattern):
            _close(path)
    # Last, so that a home that is private was tightened to its end.
    _close(home)


def mode_to_give(status: os.stat_result) -> int | None:
    """Returns the mode that the file of a secret must be given, or None if no one else may read or change it.

    The rule is that of PostgreSQL for a server's private key: a file of our own user has mode 0600 or less; one of root
    may be readable by its group (0640), as secrets that an orchestrator mounts are.
    """
    is_mounted = status.st_uid == 0 != os.geteuid()
    if status.st_mode & (0o037 if is_mounted else _OTHERS):
        return 0o640 if is_mounted else 0o600
    return None


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def _is_open(path: Path) -> bool:
    """Whether others have a right to what is there; a link says nothing of its target."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return not stat.S_ISLNK(mode) and bool(mode & _OTHERS)


def _close(path: Path) -> None:
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode) or not status.st_mode & _OTHERS:
            return
        # A folder with the sticky bit is shared on purpose, such as /tmp.
        if status.st_uid == os.geteuid() and not status.st_mode & stat.S_ISVTX:
            path.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS)
            return
    except FileNotFoundError:
        return
    except OSError:
        pass
    _say_open(path)


@cache
def _say_open(path: Path) -> None:
    _log.warning("%s is open to others and can't be closed. Give it to this user, mode 700 or 600", path)


def make_home(home: Path, landing: Path, own_instance: Path | None) -> None:
    """Creates a home and its folders, for their owner alone. From then on this process makes every file so.

    Args:
        home: The home.
        landing: Its landing zone.
        own_instance: The folder of its Dagster instance; None where the instance is another one.

    Raises:
        UsageError: The home can't be created or written.
    """
    keep_private()
    try:
        for folder in (home, landing, *([own_instance] if own_instance else [])):
            folder.mkdir(parents=True, exist_ok=True)
        instance = own_instance / "dagster.yaml" if own_instance else None
        if instance and not instance.exists():
            instance.write_bytes(resources.files("cavra_pipeline").joinpath("dagster.yaml").read_bytes())
        probe = home / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
        tighten(home)
    except OSError as error:
        is_elsewhere = str(error.filename) == str(landing) and not landing.is_relative_to(home)
        name, folder, what = (
            ("CAVRA_LANDING_URL", landing, "the landing zone")
            if is_elsewhere
            else ("CAVRA_HOME", home, "the home folder")
        )
        raise UsageError(
            f"{what} can't be written ({error.strerror})",
            where=f"{name}={folder}",
            remedy=f"Give this user write access to it, or set {name} to another folder",
        ) from None


def put_in_place(path: Path, save: Callable[[IO[bytes]], object]) -> None:
    """Writes a file beside its place, readable for its owner alone, and puts it there when it is whole.

    Raises:
        PipelineError: The file can't be written; one that was there is as it was.
    """
    with os_error_named(
        "the file can't be written", where=path, remedy="Check its folder, its permissions and the room on the disk"
    ):
        handle, name = mkstemp(prefix=f".{path.name[:40]}-", dir=path.parent)
        draft = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                save(file)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
