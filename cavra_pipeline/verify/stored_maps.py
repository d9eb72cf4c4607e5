"""The newest map of each lane's pairs, stored in the home: only what has changed since is recomputed.

A stored map is derived, and trusted as the warehouse is: ``verify --home`` and the verifier of a bundle make the map
of the log again. A file that is gone, damaged, or of another log, key or release is made again.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b, sha256
from pathlib import Path
from typing import IO, Any, Final

from cavra_pipeline.lanes import Lane
from cavra_pipeline.private import put_in_place
from cavra_pipeline.proof.merkle import leaf_hash
from cavra_pipeline.settings import Settings
from cavra_pipeline.verify.maps import PACKAGE, PLACE, map_entries, staged_subjects
from cavra_pipeline.verify.pairs import BITS, EMPTY, REMEMBERED, PairMap
from cavra_pipeline.warehouse import Rows, Session
from cavra_pipeline.warehouse.schema import VERSION

_FOLDER: Final = "pair_maps"
_FILES: Final = {"drop_day": "DATE", "file_name": "VARCHAR"}
_HASH: Final = len(EMPTY)
_ENTRY_SIZE: Final = 2 * _HASH
#: The nodes of this depth are stored: those above follow from them, those below from few pairs.
_DEPTH: Final = REMEMBERED
#: With more of the subjects touched than one in so many, all of the map is made again.
_FEW: Final = 4


@dataclass(frozen=True, slots=True)
class StoredMap:
    """A lane's map as of an entry of the commit log.

    Attributes:
        pairs: The map.
        basis: What it is of: log, entry, lane, key and release.
        is_new: Whether it is not stored yet.
    """

    pairs: PairMap
    basis: dict[str, Any]
    is_new: bool = True


def current_map(settings: Settings, session: Session, lane: Lane, log: Sequence[bytes], salt: bytes) -> StoredMap:
    """Returns the map of a lane's pairs as the warehouse has them.

    Args:
        settings: The home.
        session: Its warehouse, open; what it holds is of the newest entry of the log.
        lane: The lane.
        log: The bytes of every entry, oldest first.
        salt: That of the lane's maps.
    """
    newest = next(number for number in range(len(log), 0, -1) if json.loads(log[number - 1])["act"] != "map")
    basis = _basis(lane, log, newest, salt)
    stored = _load(_path(settings, lane))
    if stored and stored.basis == basis:
        return stored
    if stored and stored.basis == _basis(lane, log, stored.basis["entry"], salt):
        updated = _updated(session, lane, stored.pairs, _files_since(log, stored.basis["entry"]), salt)
        if updated:
            return StoredMap(updated, basis)
    return StoredMap(PairMap(map_entries(session, lane, salt)), basis)


def store_map(settings: Settings, lane: Lane, stored: StoredMap) -> None:
    """Stores a map in the home, unless it is there.

    Raises:
        PipelineError: The file can't be written.
    """
    if not stored.is_new:
        return
    path, lane_map = _path(settings, lane), stored.pairs
    path.parent.mkdir(exist_ok=True)
    lane_map.root()
    # A part of the map that has one pair at most has no node.
    nodes = (lane_map.nodes.get((_DEPTH, part), EMPTY) for part in range(1 << _DEPTH))
    content = b"".join([json.dumps(stored.basis).encode(), b"\n", *nodes, *lane_map.entries])

    def save(file: IO[bytes]) -> None:
        file.write(_digest(content) + b"\n")
        file.write(content)

    put_in_place(path, save)


def _digest(content: bytes) -> bytes:
    return blake2b(content).hexdigest().encode()


def _path(settings: Settings, lane: Lane) -> Path:
    return settings.home / _FOLDER / f"{lane.name}.map"


def _basis(lane: Lane, log: Sequence[bytes], entry: int, salt: bytes) -> dict[str, Any]:
    return {
        "entry": entry,
        "leaf": leaf_hash(log[entry - 1]).hex() if 0 < entry <= len(log) else "",
        "lane": lane.name,
        "salt": sha256(salt).hexdigest(),
        "schema": VERSION,
    }


def _load(path: Path) -> StoredMap | None:
    try:
        digest, _, whole = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if digest != _digest(whole):
        return None
    basis, _, content = whole.partition(b"\n")
    starts = range(0, _HASH << _DEPTH, _HASH), range(_HASH << _DEPTH, len(content), _ENTRY_SIZE)
    nodes = {(_DEPTH, start // _HASH): content[start : start + _HASH] for start in starts[0]}
    lane_map = PairMap([content[start : start + _ENTRY_SIZE] for start in starts[1]], nodes)
    return StoredMap(lane_map, json.loads(basis), is_new=False)


def _files_since(log: Sequence[bytes], entry_number: int) -> list[tuple[date, str]] | None:
    """The landing files read after an entry; None if not only new files were read, so that records may have gone."""
    before, after = ([json.loads(entry) for entry in part] for part in (log[:entry_number], log[entry_number:]))
    read = [_file(file) for entry in after for file in entry["files"]]
    is_only_new = len({*read}) == len(read) and not {*read} & {
        _file(file) for entry in before for file in entry["files"]
    }
    is_ingest = all(entry["act"] in ("ingest", "map") and not entry["prunings"] for entry in after)
    return read if is_only_new and is_ingest else None


def _file(file: dict[str, Any]) -> tuple[date, str]:
    return date.fromisoformat(file["drop_day"]), file["file_name"]


def _updated(
    session: Session, lane: Lane, stored: PairMap, files: list[tuple[date, str]] | None, salt: bytes
) -> PairMap | None:
    """The map after some files were read; None where it is made again as a whole."""
    # There the record of one subject may change the pairs of others.
    if files is None or lane.retries_have_new_subjects:
        return None
    of_lane: dict[str, object] = {"lane": lane.name}
    with session.staged(staged_files=Rows(_FILES, files)):
        subjects = [str(row["subject"]) for row in session.rows(PACKAGE, "subjects_of_files", of_lane)]
    if len(subjects) * _FEW > len(stored.entries):
        return None
    with session.staged(staged_subjects=staged_subjects(subjects)):
        changes = {row["place"]: b"" for row in session.stream(PACKAGE, "pairs_of_subjects", of_lane, place=PLACE)}
    changes |= {entry[:_HASH]: entry for entry in map_entries(session, lane, salt, subjects)}
    touched = {int.from_bytes(place, "big") >> BITS - _DEPTH for place in changes}
    nodes = {
        (_DEPTH, part): node for (depth, part), node in stored.nodes.items() if depth == _DEPTH and part not in touched
    }
    return PairMap(_spliced(stored.entries, changes), nodes)


def _spliced(entries: list[bytes], changes: Mapping[bytes, bytes]) -> list[bytes]:
    """Entries of which those at some places are others, or gone."""
    spliced, at = list[bytes](), 0
    for place, entry in sorted(changes.items()):
        first = bisect_left(entries, place, at)
        spliced += [*entries[at:first], entry] if entry else entries[at:first]
        at = first + (first < len(entries) and entries[first].startswith(place))
    return spliced + entries[at:]
