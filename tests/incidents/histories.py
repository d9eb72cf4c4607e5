"""Deliveries of many providers, each a history of its own: what fails by chance, and incidents put into it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.incidents import incident_reports
from cavra_pipeline.settings import Settings
from tests.oracle.evidence import OracleRecord, current
from tests.support import NOW, Record, delivery

BEGIN: Final = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
KINDS: Final = ("at once", "one lane", "flapping", "a success late")
CAUSES: Final = {
    "credentials": (401, 403),
    "gone": (404, 410),
    "throttled": (429,),
    "server_error": (500, 503),
    "refused": (200,),
    "rejected": (400, 422),
    "mixed": (401, 503),
}


@dataclass(frozen=True)
class Injected:
    """An incident that was put into a history, and what must be found of it; `lane` is None for all lanes."""

    kind: str
    provider: str
    lane: str | None
    began_at: datetime
    ended_at: datetime
    cause: str


def sent(provider: str, when: datetime, lane: str, subject: str, status: int | None) -> Record:
    """A delivery to one provider; it failed if it has a status, 0 for no answer."""
    failed = [provider] if status is not None else []
    entry: dict[str, Any] = {"provider": provider, "success": not failed, "status_code": status or None}
    return delivery(
        when, lane=lane, subject=subject, failed=failed, providers=[provider], delivery={"deliveries": [entry]}
    )


def by_chance(seed: int, *, rate: float, days: int = 60, count: int = 400) -> list[Record]:
    """Deliveries of which each fails with one likelihood, whatever became of the one before."""
    chance, lanes = random.Random(f"chance {seed}"), list(LANES)
    step = timedelta(days=days) / count
    return [
        sent(
            f"chance_{seed}",
            BEGIN + n * step,
            chance.choice(lanes),
            f"c-{seed}-{n}",
            503 if chance.random() < rate else None,
        )
        for n in range(count)
    ]


def with_incidents(seed: int) -> tuple[list[Record], list[Injected]]:
    """A history in which all arrives but what its 0 to 3 incidents hit, and those incidents."""
    chance, provider = random.Random(f"incidents {seed}"), f"broken_{seed}"
    lanes = chance.sample(list(LANES), 3)
    records: list[Record] = []
    injected: list[Injected] = []
    moment = BEGIN + timedelta(minutes=chance.randrange(1000))

    def send(status: int | None, lane: str | None = None, after: int = 7) -> datetime:
        nonlocal moment
        moment += timedelta(minutes=after)
        chosen = lane or chance.choice(lanes)
        records.append(sent(provider, moment, chosen, f"{provider}-{len(records)}", status))
        return moment

    for _ in range(chance.randrange(4)):
        for each in lanes * chance.randrange(2, 6):
            send(None, each)
        kind, cause = chance.choice(KINDS), chance.choice(list(CAUSES))
        lane = lanes[0] if kind == "one lane" else None
        hits: list[datetime] = []
        length = chance.randrange(20, 26)
        for n in range(length):
            status = CAUSES[cause][n % len(CAUSES[cause])]
            hits.append(send(status, lane))
            if kind == "one lane":
                send(None, lanes[1 + n % 2])
            elif kind == "flapping" and n % 2:
                send(None)
        ended_at = send(None, lane or lanes[0])
        if kind == "a success late":
            # Its clock was behind: the success is dated before the last five failures.
            ended_at = hits[-5] - timedelta(minutes=1)
            records[-1]["created_at"] = ended_at.isoformat()
        if kind != "flapping":
            injected.append(Injected(kind, provider, lane, hits[0], ended_at, cause))
        moment += timedelta(days=31)
        for each in lanes:
            send(None, each)
    return records, injected


def oracle_records(records: Iterable[Record]) -> list[OracleRecord]:
    """The records in the oracle's hands."""
    return current({"2026-06-25/evidence.jsonl": list(records)})


def ask_incidents(settings: Settings, instants: Sequence[datetime], **filters: Any) -> list[dict[str, Any]]:
    """The report of incidents of a home as of each instant, through the domain functions."""
    with warehouse_of(settings).reading() as session:
        return incident_reports(session, instants=instants, now=NOW, **filters)
