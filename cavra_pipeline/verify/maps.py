"""The map of a lane's pairs, made from the records of a warehouse, and the maps of the commit log against it.

DuckDB makes it; what is logged is checked by the verifier of bundles, which makes it otherwise (``pairs.map_of``).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from datetime import date
from typing import Any, Final

import msgspec

from cavra_pipeline.boundary.kinds import DELIVERY_KIND, KINDS
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.proof.records import record_text
from cavra_pipeline.settings import Settings
from cavra_pipeline.sql import literal, statement
from cavra_pipeline.verify import pairs
from cavra_pipeline.verify.check import newest_maps
from cavra_pipeline.verify.derive import Pair
from cavra_pipeline.verify.differences import Difference, Part
from cavra_pipeline.verify.lane_rules import lane_rules
from cavra_pipeline.verify.prove import disclosed, map_salt, pruned_of
from cavra_pipeline.warehouse import Rows, Session

PACKAGE: Final = "cavra_pipeline.verify"
#: The place of a pair in the map (``pairs.key_of``).
PLACE: Final = """unhex(sha256(concat('["', $lane, '",', to_json(subject), ',', to_json(provider), ']')))"""
_LEAF: Final = "unhex(sha256(chr(0) || {text}))"


def staged_subjects(subjects: Iterable[str]) -> Rows:
    """Returns subjects as the table ``staged_subjects`` that statements read."""
    return Rows({"subject": "VARCHAR"}, [(subject,) for subject in subjects])


def map_entries(session: Session, lane: Lane, salt: bytes, subjects: Collection[str] | None = None) -> list[bytes]:
    """Returns the entries of a lane's map as ``pairs.PairMap`` has them, in order.

    Args:
        session: The warehouse.
        lane: The lane.
        salt: That of its maps.
        subjects: Of their pairs only, in a lane whose retries keep their subject.
    """
    records = _records(lane, _LEAF, of_subjects=subjects is not None)
    with session.staged(staged_subjects=staged_subjects(subjects or ())):
        # A dict for each row would take a tenth of the time.
        rows: list[tuple[Any, ...]] = session.tuples(
            statement(PACKAGE, "pair_histories", records=records, place=PLACE, pair="true"), {"lane": lane.name}
        )
    return sorted(place + pairs.history_root(pairs.pair_salt(salt, place), history) for place, history in rows)


def history_of(session: Session, lane: Lane, pair: Pair) -> list[bytes]:
    """Returns the records of a pair that its state is judged by, oldest first, as they are hashed."""
    subject, provider = pair
    of_pair: dict[str, object] = {"lane": lane.name, "subject": subject, "provider": provider}
    retries = session.tuples(
        "SELECT subject FROM retried_subjects WHERE lane = $lane AND first_subject = $subject AND provider = $provider",
        of_pair,
    )
    with session.staged(staged_subjects=staged_subjects([subject, *(str(retry) for (retry,) in retries)])):
        rows = session.rows(
            PACKAGE, "pair_histories", of_pair,
            records=_records(lane, "{text}", of_subjects=True), place=PLACE,
            pair="subject = $subject AND provider = $provider",
        )  # fmt: skip
    return [text.encode() for row in rows for text in row["history"]]  # type: ignore[attr-defined]


def first_subject(session: Session, lane: Lane, pair: Pair) -> str:
    """Returns the subject that was tried first of a pair; its own unless it is that of a retry."""
    subjects = session.tuples(
        "SELECT first_subject FROM retried_subjects WHERE lane = $lane AND subject = $subject AND provider = $provider",
        {"lane": lane.name, "subject": pair[0], "provider": pair[1]},
    )
    return str(subjects[0][0]) if subjects else pair[0]


def _records(lane: Lane, content: str, *, of_subjects: bool) -> str:
    chosen = statement(PACKAGE, "of_staged_subjects") if of_subjects else "true"
    kinds = sorted(
        kind.name
        for kind in KINDS.values()
        if (kind.name == DELIVERY_KIND or kind.lane == lane.name) and kind.record_type in pairs.TYPES
    )
    return " UNION ALL ".join(
        statement(
            PACKAGE, "pair_records", content=content.format(text=record_text(kind)), chosen=chosen,
            of_kind=f"metadata_kind = {literal(kind)}",
        )
        for kind in kinds
    )  # fmt: skip


def document_of(lane: Lane, lane_map: pairs.PairMap, pruned_record_count: int) -> dict[str, Any]:
    """Returns what an entry of the log says of a lane's map."""
    return {
        "lane": lane.name,
        "root": lane_map.root().hex(),
        "pair_count": len(lane_map.entries),
        "pruned_record_count": pruned_record_count,
    }


def check_maps(settings: Settings, derived: Session, log: Iterable[bytes]) -> Iterator[Difference]:
    """Yields the maps of the log that are not those of the derived evidence; only those after a lane's last change.

    Args:
        settings: The home.
        derived: The derived warehouse, open.
        log: The bytes of every entry, oldest first. One that can't be read is named by ``check_log``.
    """
    try:
        entries = [json.loads(entry) for entry in log]
        maps = {
            lane: entries_of_lane for lane in LANES.values() if (entries_of_lane := newest_maps(entries, lane.name))
        }
        last_pruning = max((entry["number"] for entry in entries if entry["prunings"]), default=0)
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    for lane, entries_of_lane in maps.items():
        expected = document_of(lane, verified_map(settings, derived, lane), pruned_of(derived, lane)["record_count"])
        for entry in entries_of_lane:
            # A pruning may remove records that no segment has any more, so the count before it was another.
            left_out = "pruned_record_count" if entry["number"] < last_pruning else ""
            odd = sorted(name for name in expected if name != left_out and entry["map"].get(name) != expected[name])
            if odd:
                what = f"its map is not that of the lane's evidence: {', '.join(odd)}"
                yield Difference(Part.COMMIT_LOG, what, lane=lane.name, number=entry["number"])


def verified_map(settings: Settings, derived: Session, lane: Lane) -> pairs.PairMap:
    """Returns the map of a lane's pairs as the verifier of a bundle makes it."""
    pseudonyms = pseudonyms_of(settings)
    days = disclosed(derived, lane, date.max, pseudonyms, types=pairs.TYPES)
    texts = [text for day in days.values() for text in day.records]
    # Twice as quick as the standard library; records hold no number that the two read differently.
    records = [msgspec.json.decode(text) for text in texts]
    by_id = {record["session_id"]: text for record, text in zip(records, texts, strict=True)}
    return pairs.map_of(lane_rules()[lane.name], records, by_id, map_salt(pseudonyms, lane))
