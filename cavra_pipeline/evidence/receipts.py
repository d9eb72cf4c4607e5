"""Receipts of files that were imported to their end: an unchanged one is not read again.

A receipt only saves time. It counts while the file has the same size, place and times, or the same bytes at that place,
and every landing file that holds a record of it is still there; without one each record is compared by its digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.imported import boundary_digest
from cavra_pipeline.private import put_in_place

_FOLDER: Final = "receipts"
#: Files beside an SQLite store that change what it holds.
_BESIDE: Final = ("", "-wal", "-journal")
_SECOND: Final = 1_000_000_000
#: A file system's clock moves in steps: of up to 10 ms, or of seconds where no time has a fraction.
_STEP, _COARSE_STEP = _SECOND // 50, 2 * _SECOND


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells a changed file from an unchanged one without reading it: place, size and times in nanoseconds."""

    values: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, path: Path) -> Stamp | None:
        """Returns the stamp of a file and of those beside it; None if it is no regular file."""
        stats = [_stat_of(path.with_name(path.name + suffix)) for suffix in _BESIDE]
        if stats[0] is None or not stat.S_ISREG(stats[0].st_mode):
            return None
        return cls(tuple(
            (file_stat.st_dev, file_stat.st_ino, file_stat.st_size, file_stat.st_mtime_ns, file_stat.st_ctime_ns)
            if file_stat else () for file_stat in stats
        ))  # fmt: skip

    @property
    def sizes(self) -> list[int]:
        """Sizes of the file and of those beside it; -1 for one that is not there."""
        return [value[2] if value else -1 for value in self.values]

    def is_older_than(self, moment_ns: int) -> bool:
        """Returns whether a change from that moment on, by the file system's clock, would have another stamp."""
        changed = max(time for value in self.values for time in value[3:])
        step = _STEP if changed % _SECOND else _COARSE_STEP
        return changed < moment_ns - step


def _stat_of(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _receipt_of(home: Path, path: Path, shape: str) -> Path:
    place = os.fsencode(path.absolute()) + b"\0" + shape.encode()
    name = hashlib.blake2b(place, digest_size=16).hexdigest()
    return home / _FOLDER / f"{name}.json"


def read_receipt(home: Path, path: Path, shape: str, stamp: Stamp, contents: Collection[str]) -> int | None:
    """Returns how many records an unchanged file holds, all of them imported; None if it must be read.

    The receipt of one that was touched gets its new stamp, so that its bytes are read once.

    Args:
        home: The home.
        path: The file.
        shape: The shape that it must have, or none.
        stamp: Its stamp now.
        contents: The contents of the landing files there are.
    """
    receipt = _receipt_of(home, path, shape)
    try:
        document = json.loads(receipt.read_bytes())
        count = int(document["received_count"])
        if document["boundary"] != boundary_digest().hex() or not set(document["contents"]) <= set(contents):
            return None
        if document["stamp"] == _listed(stamp):
            return count
        # Touched, or replaced by a copy: reading its bytes takes a hundredth of what its records take.
        began_ns = clock_ns(receipt.parent)
        if document["sizes"] != stamp.sizes or document["digest"] != content_digest(path):
            return None
        if is_settled(path, stamp, began_ns, receipt.parent):
            with suppress(PipelineError):
                _write(receipt, {**document, "stamp": _listed(stamp)})
        return count
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def content_digest(path: Path) -> str:
    """Returns the digest of a file's bytes, and of those of the files beside it.

    Raises:
        OSError: It can't be read.
    """
    digest = hashlib.blake2b(digest_size=32)
    for suffix in _BESIDE:
        beside = path.with_name(path.name + suffix)
        if suffix and not beside.exists():
            continue
        with beside.open("rb") as file:
            file_digest = hashlib.file_digest(file, hashlib.blake2b)
        digest.update(suffix.encode() + b"\0" + file_digest.digest())
    return digest.hexdigest()


def write_receipt(
    home: Path, path: Path, shape: str, stamp: Stamp, digest: str, received_count: int, contents: Collection[str]
) -> None:
    """Writes that every record of a file is imported, in place of an earlier receipt of it.

    Args:
        home: The home.
        path: The file.
        shape: The shape that it had to have, or none.
        stamp: Its stamp before and after it was read.
        digest: Its ``content_digest`` while it had that stamp.
        received_count: Its records.
        contents: The contents of the landing files that hold them.
    """
    document = {
        "boundary": boundary_digest().hex(),
        "stamp": _listed(stamp),
        "sizes": stamp.sizes,
        "digest": digest,
        "received_count": received_count,
        "contents": sorted(contents),
    }
    receipt = _receipt_of(home, path, shape)
    receipt.parent.mkdir(exist_ok=True)
    _write(receipt, document)


def _write(receipt: Path, document: Mapping[str, Any]) -> None:
    put_in_place(receipt, lambda file: file.write(json.dumps(document).encode()))


def is_settled(path: Path, stamp: Stamp, began_ns: int, folder: Path) -> bool:
    """Returns whether a file still has its stamp, and one that any change since it was read would differ from.

    Args:
        path: The file.
        stamp: Its stamp before it was read.
        began_ns: The file system's clock when reading began.
        folder: A folder in which files can be made.
    """
    return Stamp.of(path) == stamp and stamp.is_older_than(min(began_ns, clock_ns(folder)))


def clock_ns(folder: Path) -> int:
    """Returns the instant by the file system's clock; the earliest there is where nothing can be written."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return 0


def _listed(stamp: Stamp) -> list[list[int]]:
    return [list(value) for value in stamp.values]
