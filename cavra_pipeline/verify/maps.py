"""The map of a lane's pairs, made from the records of a warehouse, and the maps of the commit log against it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from cavra_pipeline.boundary.pseudonyms import Pseudonyms
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.settings import Settings
from cavra_pipeline.verify import pairs
from cavra_pipeline.verify.bundle import DisclosedDay
from cavra_pipeline.verify.check import newest_maps
from cavra_pipeline.verify.derive import LanePairs
from cavra_pipeline.verify.differences import Difference, Part
from cavra_pipeline.verify.lane_rules import lane_rules
from cavra_pipeline.verify.prove import disclosed, map_salt, pruned_of
from cavra_pipeline.warehouse import Session


@dataclass(frozen=True, slots=True)
class LaneMap:
    """The map of a lane's pairs.

    Attributes:
        tree: The map.
        histories: The records of each pair, as they are hashed.
        pairs: The pairs, which know what each retry retries.
        document: What an entry of the log says of it.
    """

    tree: pairs.PairMap
    histories: Mapping[pairs.Pair, list[bytes]]
    pairs: LanePairs
    document: Mapping[str, Any]


def map_of_lane(
    lane: Lane, days: Mapping[str, DisclosedDay], pruned: Mapping[str, int], pseudonyms: Pseudonyms
) -> LaneMap:
    """Makes the map of a lane from all its records of ``pairs.TYPES``, and from what retention has removed of it."""
    texts = [text for day in days.values() for text in day.records]
    # Twice as quick as the standard library; records hold no number that the two read differently.
    records = [msgspec.json.decode(text) for text in texts]
    by_id = {record["session_id"]: text for record, text in zip(records, texts, strict=True)}
    made, histories, found = pairs.map_of(lane_rules()[lane.name], records, by_id, map_salt(pseudonyms, lane))
    said = {
        "lane": lane.name,
        "root": made.root().hex(),
        "pair_count": len(histories),
        "pruned_record_count": pruned["record_count"],
    }
    return LaneMap(made, histories, found, said)


def check_maps(settings: Settings, derived: Session, log: Iterable[bytes]) -> Iterator[Difference]:
    """Yields the maps of the log that are not those of the derived evidence; only those after a lane's last change.

    Args:
        settings: The home.
        derived: The derived warehouse, open.
        log: The bytes of every entry, oldest first. One that can't be read is named by ``check_log``.
    """
    pseudonyms = pseudonyms_of(settings)
    try:
        entries = [json.loads(entry) for entry in log]
        maps = {lane: found for lane in LANES.values() if (found := newest_maps(entries, lane.name))}
        last_pruning = max((one["number"] for one in entries if one["prunings"]), default=0)
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    for lane, found in maps.items():
        days = disclosed(derived, lane, date.max, pseudonyms, types=pairs.TYPES)
        made = map_of_lane(lane, days, pruned_of(derived, lane), pseudonyms).document
        for one in found:
            # A pruning may remove records that no segment has any more, so the count before it was another.
            left_out = "pruned_record_count" if one["number"] < last_pruning else ""
            odd = sorted(name for name in made if name != left_out and one["map"].get(name) != made[name])
            if odd:
                what = f"its map is not that of the lane's evidence: {', '.join(odd)}"
                yield Difference(Part.COMMIT_LOG, what, lane=lane.name, number=one["number"])
