"""What tests of bundles share: a commit log over the records of a home, and bundles that are made from it.

The log is written here, not by the product, so that a test may also write one that lies.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cavra_pipeline.documents import canonical_bytes
from cavra_pipeline.proof.checkpoint import Checkpoint, Note, origin_of
from cavra_pipeline.proof.merkle import leaf_hash, root_of
from cavra_pipeline.proof.signing import sign
from cavra_pipeline.verify.bundle import DisclosedDay, Proven, attested, make_bundle
from cavra_pipeline.verify.check import judged
from cavra_pipeline.verify.derive import derive
from cavra_pipeline.verify.lane_rules import lane_rules
from tests.support import Record

#: Lane and UTC day.
Place = tuple[str, str]
NOTHING_PRUNED: Final = {"record_count": 0, "delivery_count": 0}
KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
RULES: Final = lane_rules()


def day_of(lane: str, day: str, records: Iterable[Mapping[str, Any]]) -> DisclosedDay:
    """A segment with these records, in the order in which they are hashed."""
    ordered = sorted(records, key=lambda one: (datetime.fromisoformat(one["created_at"]), one["session_id"]))
    salt = hashlib.sha256(f"{lane} {day}".encode()).digest()[:16]
    return DisclosedDay(salt, [canonical_bytes(one) for one in ordered])


def by_place(records: Iterable[Record]) -> dict[Place, list[Record]]:
    """The records of lanes, by lane and day."""
    places: dict[Place, list[Record]] = {}
    for one in records:
        if lane := lane_of(one):
            places.setdefault((lane, one["created_at"][:10]), []).append(one)
    return places


def lane_of(record: Record) -> str:
    """The lane of a record, by the rules that go into a bundle; empty if it has none."""
    kind, source = record.get("metadata_kind"), record.get("connector_delivery_source")
    return next((name for name, of in RULES.items() if kind in of["types"] and source in (None, of["source"])), "")


@dataclass(frozen=True)
class Log:
    """A commit log with the records of each segment as they are after it."""

    days: Mapping[Place, DisclosedDay]
    entries: tuple[bytes, ...] = ()

    def then(self, changed: Mapping[Place, Sequence[Record]], file_name: str = "evidence.jsonl") -> Log:
        """The log with one entry more, after which segments hold these records; none: the segment is gone."""
        after = {place: day_of(*place, records) for place, records in changed.items()}
        days = {place: one for place, one in {**self.days, **after}.items() if one.records}
        segments = [
            {"lane": lane, "day": day, "before": self.segment((lane, day)), "after": Log(days).segment((lane, day))}
            for lane, day in sorted(after)
        ]
        listed = [{"lane": place[0], "day": place[1], **(Log(days).segment(place) or {})} for place in sorted(days)]
        hashes = [leaf_hash(entry) for entry in self.entries]
        file = {"drop_day": "2026-11-28", "file_name": file_name, "sha256": "0" * 64}
        entry = {
            "act": "ingest", "at": "2026-11-28T09:00:00+00:00", "files": [file], "number": len(self.entries) + 1,
            "previous": root_of(hashes).hex(), "prunings": [], "segments": segments, "version": 1,
            "segments_root": root_of([leaf_hash(canonical_bytes(one)) for one in listed]).hex(),
        }  # fmt: skip
        return Log(days, (*self.entries, canonical_bytes(entry)))

    def segment(self, place: Place) -> dict[str, Any] | None:
        """Size and root of a segment, as an entry has them."""
        one = self.days.get(place)
        if one is None:
            return None
        root = root_of([leaf_hash(one.salt), *(leaf_hash(record) for record in one.records)])
        return {"root": root.hex(), "size": len(one.records)}

    @property
    def checkpoint(self) -> Checkpoint:
        """The head of the log."""
        hashes = [leaf_hash(entry) for entry in self.entries]
        return Checkpoint(origin_of(hashes[0]), len(hashes), root_of(hashes))

    def note(self, key: Ed25519PrivateKey | None = KEY) -> Note:
        """The checkpoint, signed."""
        return sign(self.checkpoint, key) if key else Note(self.checkpoint)

    def records(self, lane: str, until: str = "9999") -> list[Record]:
        """The records of a lane up to a day."""
        places = sorted(place for place in self.days if place[0] == lane and place[1] <= until)
        return [json.loads(record) for place in places for record in self.days[place].records]


def proven(log: Log, report: Mapping[str, Any], key: Ed25519PrivateKey | None = KEY) -> Proven:
    """What a bundle of a report is made of, where the log is whole."""
    try:
        last = datetime.fromisoformat(report["as_of"]).astimezone(UTC).date().isoformat()
    except ValueError:
        last = "9999"  # a forger's instant, which no day has
    days = {day: one for (lane, day), one in log.days.items() if lane == report["lane"] and day <= last}
    return Proven(attested(report), days, log.entries, log.note(key))


def derived(log: Log, report: Mapping[str, Any]) -> dict[str, Any]:
    """The report that the records of a log make, by the parameters of another."""
    lane = str(report["lane"])
    return derive(dict(report), RULES[lane], log.records(lane), NOTHING_PRUNED)


def bundle_of(log: Log, report: Mapping[str, Any], key: Ed25519PrivateKey | None = KEY, **changed: Any) -> bytes:
    """A bundle, of which some parts may be others than the log has."""
    return make_bundle(replace(proven(log, report, key), **changed), key)


def fault_of(bundle: bytes, *, key: str | None = None, against: str | None = None) -> str:
    """What does not hold of a bundle; empty if it is proven."""
    return judged(bundle, RULES, key=key, against=against)[1]
