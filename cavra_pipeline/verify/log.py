"""The commit log against itself, and the state's segments, landing files and prunings against what the log says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.documents import canonical_bytes, canonical_json
from cavra_pipeline.lanes import LANES
from cavra_pipeline.proof.log import Act, pruning_document, stored_segments
from cavra_pipeline.proof.merkle import Peaks, leaf_hash
from cavra_pipeline.proof.segments import Segment, segments_root
from cavra_pipeline.state.tables import ingested_files, log_entries, prunings
from cavra_pipeline.verify.differences import Difference, Part, of_file

_log = log_entries.c
_Key = tuple[str, str]
_DIGEST: Final = re.compile("[0-9a-f]{64}")


@dataclass(slots=True)
class _Replay:
    """What the entries up to one say, and the log that they make."""

    peaks: Peaks = field(default_factory=Peaks)
    segments: dict[_Key, dict[str, Any]] = field(default_factory=dict)
    files: dict[_Key, str] = field(default_factory=dict)
    prunings: dict[int, dict[str, Any]] = field(default_factory=dict)

    def read(self, row: sa.Row[Any]) -> Iterator[str]:
        """Reads an entry and yields what is wrong with it."""
        if row.entry_number != self.peaks.size + 1:
            yield "entries before it are missing"
            return
        text = row.entry.encode()
        before = self.peaks.root.hex()
        self.peaks.append(leaf_hash(text))
        if row.peaks != canonical_json([node.hex() for node in self.peaks.hashes]):
            yield "the entry, or one before it, is not the one that was appended"
        try:
            entry = json.loads(text)
            if canonical_bytes(entry) != text or (entry["number"], entry["previous"]) != (row.entry_number, before):
                yield "the entry does not name itself and the log before it"
            yield from self._apply(entry)
            if row.pruning_number != max(self.prunings, default=0):
                yield "the newest pruning of the entry is another one"
        except (ValueError, KeyError, TypeError, AttributeError):
            yield "the entry can't be read"

    def _apply(self, entry: dict[str, Any]) -> Iterator[str]:
        if (entry["act"] == Act.MAP or "map" in entry) and not _is_map(entry):
            yield "the entry is no map of a lane's pairs, or says more than that"
        if entry["segments"] and not (entry["files"] or entry["prunings"] or entry["act"] == Act.REBUILD):
            yield "segments changed, and no landing file or pruning says why"
        for change in entry["segments"]:
            key = change["lane"], change["day"]
            if self.segments.pop(key, None) != change["before"]:
                yield f"the segment of {key[0] or 'no lane'}, {key[1]} was another before it"
            if change["after"]:
                self.segments[key] = change["after"]
        for file in entry["files"]:
            key = file["drop_day"], file["file_name"]
            self.files.pop(key, None)
            if file["sha256"] is not None:
                self.files[key] = file["sha256"]
        self.prunings |= {pruning["number"]: pruning for pruning in entry["prunings"]}
        if entry["segments_root"] != segments_root(_segment(*item) for item in self.segments.items()):
            yield "the root over all segments is another"


def _is_map(entry: dict[str, Any]) -> bool:
    lane_map = entry["map"]
    is_alone = entry["act"] == Act.MAP and not (entry["files"] or entry["prunings"] or entry["segments"])
    is_named = lane_map.keys() == {"lane", "root", "pair_count", "pruned_record_count"} and lane_map["lane"] in LANES
    counts = lane_map["pair_count"], lane_map["pruned_record_count"]
    is_counted = all(type(count) is int and count >= 0 for count in counts)
    return is_alone and is_named and is_counted and bool(_DIGEST.fullmatch(lane_map["root"]))


def _segment(key: _Key, document: dict[str, Any]) -> Segment:
    return Segment(key[0], key[1], document["size"], document["root"])  # type: ignore[arg-type]


def check_log(connection: sa.Connection) -> Iterator[Difference]:
    """Yields what differs in the commit log and in what the state stores beside it.

    Args:
        connection: The state database, open for reading.
    """
    replay = _Replay()
    peaks = sa.type_coerce(_log.peaks, sa.Text).label("peaks")
    entries = sa.select(_log.entry_number, _log.entry, peaks, _log.pruning_number).order_by(_log.entry_number)
    for row in connection.execute(entries):
        for what in replay.read(row):
            yield Difference(Part.COMMIT_LOG, what, number=row.entry_number)
    yield from _segments(connection, replay)
    yield from _files(connection, replay)
    yield from _prunings(connection, replay)


def _segments(connection: sa.Connection, replay: _Replay) -> Iterator[Difference]:
    stored = {(lane, str(day)): segment.document() for (lane, day), segment in stored_segments(connection).items()}
    for lane, day in sorted(stored.keys() | replay.segments.keys()):
        if stored.get((lane, day)) != replay.segments.get((lane, day)):
            what = "the stored segment is not the one of the commit log"
            yield Difference(Part.SEGMENT, what, lane=lane, day=day)


def _files(connection: sa.Connection, replay: _Replay) -> Iterator[Difference]:
    rows = connection.execute(sa.select(ingested_files.c.drop_day, ingested_files.c.file_name, ingested_files.c.sha256))
    stored = {(str(day), name): sha256 for day, name, sha256 in rows}
    for key in sorted(stored.keys() | replay.files.keys()):
        if stored.get(key) != replay.files.get(key):
            yield of_file("its stored digest is not the one of the commit log", *key)


def _prunings(connection: sa.Connection, replay: _Replay) -> Iterator[Difference]:
    stored = set(connection.scalars(sa.select(prunings.c.pruning_number)))
    for number in sorted(stored | replay.prunings.keys()):
        if number not in stored or pruning_document(connection, number) != replay.prunings.get(number):
            yield Difference(Part.PRUNING, "the stored pruning is not the one of the commit log", number=number)
