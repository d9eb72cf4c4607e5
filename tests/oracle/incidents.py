"""The oracle of provider incidents, written from section 14 of the contract alone: slow, short, one instant at a time.

Where the contract leaves a choice, the oracle reads it so:

- Outcomes of deliveries that belong to no lane don't count. A delivery without a subject is an outcome, but no subject.
- "In the 30 days before" is from 30 days before the first failure, that instant included, to before its instant.
- A failure without an entry of its own has the status at its provider's place in the record's list.
- A lane's run lies inside an incident of its provider if each of its failures is one of that incident's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import groupby
from typing import Any

from tests.oracle.evidence import LANES, OracleRecord, provider_name
from tests.oracle.pairs import OracleLadder, outcomes


@dataclass(frozen=True, order=True)
class Outcome:
    """What came of one delivery at one provider."""

    at: datetime
    session_id: str
    provider: str
    lane: str
    subject: str
    succeeded: bool
    status: int | None = None
    is_open: bool = False


def all_outcomes(records: Sequence[OracleRecord], as_of: datetime) -> list[Outcome]:
    """Every outcome of every lane that exists at an instant, oldest first."""
    found = []
    for lane in LANES.values():
        ladder = OracleLadder(records, lane, as_of)
        for delivery in ladder.deliveries:
            for provider, succeeded in outcomes(delivery).items():
                pair = ladder.pair_of(delivery, provider)
                status = status_code(delivery, provider)
                is_open = not ladder.is_settled(pair)
                found.append(
                    Outcome(delivery.at, delivery.session_id, provider, lane.name, pair[0], succeeded, status, is_open)
                )
    return sorted(found)


def status_code(delivery: OracleRecord, provider: str) -> int | None:
    """What a provider answered: by its entry of the delivery, else by its place among the providers."""
    entries = (delivery.raw.get("delivery") or {}).get("deliveries") or []
    mine = [entry for entry in entries if provider_name(entry.get("provider") or "") == provider]
    if mine and mine[-1].get("status_code") is not None:
        return int(mine[-1]["status_code"])
    named = [provider_name(each) for each in delivery.raw.get("providers") or []]
    codes = delivery.raw.get("status_codes") or []
    if provider not in named or len(codes) != len(named):
        return None
    found: int | None = codes[named.index(provider)]
    return found


def needed(share: Fraction) -> int:
    """How many subjects make an incident."""
    table = ((Fraction(1, 100), 3), (Fraction(5, 100), 5), (Fraction(10, 100), 6), (Fraction(20, 100), 9))
    return next((k for most, k in (*table, (Fraction(30, 100), 12)) if share <= most), 20)


def runs(history: Sequence[Outcome]) -> Iterator[dict[str, Any]]:
    """The runs of failures among some outcomes that hold enough subjects."""
    for succeeded, group in groupby(history, key=lambda one: one.succeeded):
        failures = list(group)
        if succeeded:
            continue
        first, last = failures[0], failures[-1]
        before = [one for one in history if first.at - timedelta(days=30) <= one.at < first.at]
        share = Fraction(sum(not one.succeeded for one in before), len(before)) if before else Fraction(0)
        subjects = {(one.lane, one.subject) for one in failures if one.subject}
        if len(subjects) < needed(share):
            continue
        earlier = [one.at for one in history if one.succeeded and one < first]
        later = [one.at for one in history if one.succeeded and one > last]
        yield {
            "failures": failures,
            "provider": first.provider,
            "lane": None,
            "lanes": sorted({one.lane for one in failures}),
            "began_at": first.at.isoformat(),
            "last_success_at": earlier[-1].isoformat() if earlier else None,
            "ended_at": later[0].isoformat() if later else None,
            "failure_count": len(failures),
            "subject_count": len(subjects),
            "pairs": [
                {"lane": lane, "subject": subject}
                for lane, subject in sorted(
                    {(one.lane, one.subject) for one in failures if one.subject and one.is_open}
                )
            ],
            "status_codes": sorted({one.status for one in failures if one.status is not None}),
            "cause": cause({one.status for one in failures}),
        }


def cause(statuses: set[int | None]) -> str:
    """Why: one word for what all the statuses are."""

    def word(status: int | None) -> str:
        if not status:
            return "no_answer"
        named = {401: "credentials", 403: "credentials", 404: "gone", 410: "gone", 429: "throttled"}
        families = {5: "server_error", 2: "refused", 4: "rejected"}
        return named.get(status, families.get(status // 100, "mixed"))

    words = {word(status) for status in statuses}
    return words.pop() if len(words) == 1 else "mixed"


def incidents(records: Sequence[OracleRecord], as_of: datetime) -> list[dict[str, Any]]:
    """The incidents as of an instant, in the contract's order, their ids aside."""
    happened, found = all_outcomes(records, as_of), []
    for provider in sorted({one.provider for one in happened}):
        mine = [one for one in happened if one.provider == provider]
        whole = list(runs(mine))
        found += whole
        for lane in LANES:
            for run in runs([one for one in mine if one.lane == lane]):
                if not any(set(run["failures"]) <= set(each["failures"]) for each in whole):
                    found.append({**run, "lane": lane})
    found.sort(key=lambda one: (one["began_at"], one["provider"], one["lane"] or ""))
    return [{name: value for name, value in one.items() if name != "failures"} for one in found]
