"""Random plausible histories of seven lanes in CAVRA's record shapes: what may happen, at random, with a seed.

A history is landing files: for each `day/file name` its records. A seed gives the same history for ever. Histories may
follow one another in one home: each has days, subjects and ids of its own, and what is open stays open.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from tests.oracle.evidence import LANES, OracleLane, OracleRecord, Raw
from tests.oracle.recoveries import ARCHIVE
from tests.oracle.storyteller import APART, CLOSURES, FIRST, HOURS, PROVIDERS, Storyteller

Files = dict[str, list[Raw]]


def lane_story(teller: Storyteller, lane: OracleLane) -> None:
    """What happens in one lane."""
    chance, several = teller.chance, teller.random.randrange
    if lane.worker_run and chance(0.8):
        teller.ladder(lane)
    for _ in range(several(4)):
        teller.delivery(lane, teller.subject(lane), teller.some(), teller.when())
    for _ in range(several(4) if lane.execution else 0):
        teller.retries(lane)
    for _ in range(several(3) if lane.execution else 0):
        teller.execution(lane, teller.subject(lane), teller.random.choice(PROVIDERS), teller.when())
    for _ in range(several(6) if lane.acknowledgement else 0):
        teller.acknowledgement(lane)
    for _ in range(several(6) if lane.approval else 0):
        teller.approval(lane)
    for _ in range(several(4) if lane.alert_plan else 0):
        teller.alert_plan(lane)
    if lane.new_delivery and chance(0.3):
        teller.hostile_links(lane)


def recovery_story(teller: Storyteller) -> None:
    """Playbooks, several of them for one outage, with closures that close, reopen or are of nothing."""
    books = []
    for _ in range(teller.random.randrange(4)):
        moment, providers = teller.when(), sorted(teller.some())
        books.append((f"{teller.prefix}book-{len(teller.records)}", moment, providers))
        entries = [
            {
                "provider": teller.spelled(provider),
                "category": "webhook",
                "failure_count": 2,
                "latest_failure_at": moment.isoformat(),
            }
            for provider in providers
        ]
        teller.tell(
            "connector-recovery-playbook",
            moment,
            session_id=books[-1][0],
            playbook_id=books[-1][0],
            alert_level="critical",
            provider_count=len(entries),
            failure_count=2 * len(entries),
            connector_recovery_playbook={"provider_playbooks": entries},
        )
    for _ in range(teller.random.randrange(6) if books else 0):
        book, opened, providers = teller.random.choice(books)
        teller.tell(
            "connector-recovery-closure",
            opened + timedelta(seconds=teller.random.choice((0, 59, 60, 14_400, 14_401, 50_000))),
            closure_id=f"c-{len(teller.records)}",
            playbook_id=book if teller.chance(0.9) else "book-unknown",
            provider=teller.spelled(teller.random.choice((*providers, *PROVIDERS))),
            closure_state=teller.random.choice(CLOSURES),
        )
    for _ in range(teller.random.randrange(4) if books else 0):
        escalation(teller, books)


def escalation(teller: Storyteller, books: Sequence[tuple[str, datetime, Sequence[str]]]) -> None:
    """An escalation plan, mostly one that the escalation lane delivers, whose routes name recoveries and executions."""
    routes = [
        {"provider": teller.spelled(teller.random.choice(PROVIDERS)), "playbook_id": book, "severity": "warning"}
        for book in [*(teller.random.choice(books)[0] for _ in range(2)), ""]
    ]
    plan_id = teller.subject(LANES["recovery_escalation"])
    fields = {"plan_id": plan_id, "recovery_escalation_plan": {"escalation_routes": routes}}
    teller.tell("recovery-escalation-plan", teller.when(), escalation_count=len(routes), **fields)


def other_story(teller: Storyteller) -> None:
    """Records of no lane: agent sessions without a kind, other kinds, and kinds that change."""
    for _ in range(teller.random.randrange(3)):
        session = teller.tell("agent-session", teller.when())
        del session["metadata_kind"]
        if teller.chance(0.5):
            session["metadata_kind"] = "x-another-kind"
    if teller.chance(0.5):
        summary = teller.tell("final-reporting-release-closeout-summary", teller.when(), summary_id="summary-0")
        teller.tell(
            "final-reporting-release-closeout-delivery",
            teller.when(),
            session_id=summary["session_id"],
            summary_id="summary-0",
            closeout_state="closed",
        )


def versions(teller: Storyteller) -> Files:
    """Lays the records into landing files; some come again in another version, some land late."""
    files: Files = {}
    records, chance = list(teller.records), teller.chance
    days = [(teller.begin + timedelta(days=number)).date().isoformat() for number in range(4)]
    teller.random.shuffle(records)
    for record in records:
        day = record["created_at"][:10] if chance(0.9) else teller.random.choice(days)
        name = f"{day}/{teller.random.choice('abc')}.jsonl"
        files.setdefault(name, []).append(record)
        if chance(0.08):
            again = {**record, **_changes(teller, record), "session_id": record["session_id"]}
            files.setdefault(f"{teller.random.choice(days)}/{teller.random.choice('abc')}.jsonl", []).append(again)
    return files


def _changes(teller: Storyteller, record: Raw) -> Raw:
    """What another version of a record says: a playbook opens once, and a closure comes after it."""
    recovery = "connector-recovery-" in record.get("metadata_kind", "")
    if recovery:
        return {"closure_state": teller.random.choice(CLOSURES)} if "closure_state" in record else {}
    others = [each for each in teller.records if "connector-recovery-" not in each.get("metadata_kind", "")]
    other = teller.random.choice(others) if teller.chance(0.4) else {}
    return {**other, "created_at": teller.written(teller.when())}


def history(seed: int, place: int = 0) -> Files:
    """The landing files of one random history, by `day/file name`."""
    teller = Storyteller(seed, place)
    for lane in LANES.values():
        if teller.chance(0.75):
            lane_story(teller, lane)
    if teller.chance(0.6):
        lane_story(teller, ARCHIVE)
    if teller.chance(0.7):
        recovery_story(teller)
    other_story(teller)
    return versions(teller)


def instants(seed: int, place: int, records: Sequence[OracleRecord]) -> tuple[datetime, datetime]:
    """Instants to ask a history about: one of a record, or a microsecond before it, and one after all of them."""
    chooser = random.Random(f"instants {seed}")
    begin = FIRST + place * APART
    end = begin + timedelta(hours=HOURS)
    late = [record.at for record in records if begin + timedelta(hours=6) < record.at <= end] or [begin]
    before = timedelta(microseconds=chooser.randrange(2))
    return chooser.choice(late) - before, end + timedelta(hours=chooser.randrange(9))


def plan_arguments(seed: int) -> Raw:
    """A retry policy."""
    chooser = random.Random(f"policy {seed}")
    return chooser.choice(
        (
            {"allow_immediate_retry": True},
            {"max_retry_attempts": chooser.randint(1, 5)},
            {"retry_delay_minutes": 120, "backoff_multiplier": 1.5, "max_retry_attempts": 9},
            {"retry_delay_minutes": 0, "non_retryable_status_codes": [401]},
            {"retry_delay_minutes": 600, "max_retry_delay_minutes": 700, "max_retry_attempts": 9},
        )
    )


def health_arguments(seed: int) -> Raw:
    """Parameters of a health report."""
    chooser = random.Random(f"health {seed}")
    return chooser.choice(
        (
            {"window_hours": chooser.choice((1, 12, 24))},
            {"expected_interval_minutes": chooser.choice((5, 45, 240))},
            {"stale_metadata_minutes": chooser.choice((1, 30, 600))},
        )
    )


def recovery_arguments(seed: int) -> Raw:
    """Parameters of a recovery report."""
    return {"slo_minutes": random.Random(f"recoveries {seed}").choice((1, 60, 1440))}
