"""Files of the warehouse: removed with their log, and on the disk before anybody relies on them."""

from __future__ import annotations

import os
from pathlib import Path


def remove(path: Path) -> None:
    """Removes a DuckDB file and its log."""
    for each in (path, path.with_name(path.name + ".wal")):
        each.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Makes sure that a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
