"""Records of earlier imports, each known by a digest of its bytes.

The digests stand in the sidecar of the landing file that holds the records, and nowhere else: what is gone from the
landing zone is not remembered either, so no record is lost by it (docs/decisions/0023-import-by-record.md).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.evidence.landing import SIDECAR_SUFFIX, drop_days, names_in

_NAME: Final = re.compile(r"import-(\d{6,})-([0-9a-f]{16})\.jsonl")
_DIGEST_BYTES: Final = 16

#: Two unsigned 64-bit halves of each digest.
Digests = npt.NDArray[np.uint64]
NO_DIGESTS: Final[Digests] = np.empty((0, 2), np.uint64)


#: Raised when what the boundary lets through changes without a change of the declared table.
_BOUNDARY_REVISION: Final = 2


@cache
def boundary_digest() -> bytes:
    """Returns the digest of what may pass the boundary: where that has changed, a record is imported once more."""
    allowed = sorted(
        (name, field.path, field.type.name, field.required, field.format.name, field.words)
        for name, kind in KINDS.items()
        for field in kind.fields
    )
    return hashlib.blake2b(repr((_BOUNDARY_REVISION, allowed)).encode(), digest_size=_DIGEST_BYTES).digest()


def digests_of(lines: Iterable[bytes]) -> Digests:
    """Returns the digest of each line; blanks around it don't count."""
    boundary = boundary_digest()
    digests = [hashlib.blake2b(line.strip(), digest_size=_DIGEST_BYTES, key=boundary).digest() for line in lines]
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)


def dump_digests(digests: Digests) -> str:
    """Writes digests as text for a sidecar."""
    return base64.b64encode(digests.tobytes()).decode()


def _load_digests(sidecar: Path) -> Digests:
    """Reads the digests of a sidecar. One that is damaged has none: its records are then imported again."""
    try:
        document = json.loads(sidecar.read_bytes())
        raw = base64.b64decode(document["record_digests"], validate=True)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        return NO_DIGESTS
    return np.frombuffer(raw, np.uint64).reshape(-1, 2) if len(raw) % _DIGEST_BYTES == 0 else NO_DIGESTS


class ImportedRecords:
    """The records in the landing files that imports wrote, as far as ``refresh`` has seen them.

    Args:
        landing: The landing zone.
    """

    def __init__(self, landing: Path) -> None:
        self._landing = landing
        self._files: dict[str, Path] = {}
        self._digests, self._owners = NO_DIGESTS, np.empty(0, np.int64)
        self._contents: list[str] = []
        #: Digests that are not sorted in yet, and the number of the content that each belongs to.
        self._pending: list[tuple[Digests, int]] = []
        self.numbers: dict[date, int] = {}

    def refresh(self) -> None:
        """Reads landing files that have come since, and their digests."""
        for day, name, content, _ in _imports_in(self._landing):
            self.numbers[day] = max(self.numbers.get(day, 0), int(name.split("-")[1]))
            if content in self._files:
                continue
            path = self._landing / day.isoformat() / name
            self.add(content, path, _load_digests(path.with_name(name + SIDECAR_SUFFIX)))

    def add(self, content: str, path: Path, digests: Digests) -> None:
        """Adds a landing file that stands there, and the records that it holds."""
        self._pending.append((digests, len(self._contents)))
        self._files[content] = path
        self._contents.append(content)

    def _sort_in(self) -> None:
        if not self._pending:
            return
        digests = np.concatenate([self._digests, *(pending_digests for pending_digests, _ in self._pending)])
        owners = np.concatenate(
            [self._owners, *(np.full(len(pending_digests), owner) for pending_digests, owner in self._pending)]
        )
        order = np.argsort(digests[:, 0], kind="stable")
        self._digests, self._owners, self._pending = digests[order], owners[order], []

    def file_of(self, content: str) -> Path | None:
        """Returns the landing file of that content, if there is one."""
        return self._files.get(content)

    def _places(self, digests: Digests) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        self._sort_in()
        if not len(self._digests) or not len(digests):
            return np.zeros(len(digests), np.int64), np.zeros(len(digests), np.bool_)
        places = np.searchsorted(self._digests[:, 0], digests[:, 0])
        places[places == len(self._digests)] = 0
        # Of two digests with the same first half one may be missed: that record is imported again.
        return places, (self._digests[places] == digests).all(axis=1)

    def holds(self, digests: Digests) -> npt.NDArray[np.bool_]:
        """Returns for each digest whether a landing file holds its record."""
        return self._places(digests)[1]

    def contents_with(self, digests: Digests) -> set[str]:
        """Returns the contents, by the names of their landing files, that hold any of these records."""
        places, is_held = self._places(digests)
        return {self._contents[owner] for owner in np.unique(self._owners[places[is_held]])}


def contents_in(landing: Path) -> set[str]:
    """Returns the content, as its name says, of every landing file that an import wrote and whose sidecar is there."""
    return {content for _, _, content, is_whole in _imports_in(landing) if is_whole}


def _imports_in(landing: Path) -> Iterable[tuple[date, str, str, bool]]:
    """The landing files that an import wrote: day, name, content, and whether the sidecar is there."""
    for day in drop_days(landing):
        names = set(names_in(landing / day.isoformat()))
        for name in names:
            if match := _NAME.fullmatch(name):
                yield day, name, match[2], name + SIDECAR_SUFFIX in names
