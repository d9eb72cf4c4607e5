"""Pruning: evidence from before a horizon goes, what later answers need stays, counts and digests stay.

Why an answer after the horizon is the same as without pruning: docs/decisions/0020-retention.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from cavra_pipeline.documents import naive_utc
from cavra_pipeline.errors import UsageError
from cavra_pipeline.lanes import CLOSED_STATES, FAILURE_SOURCES, LANES, LOOKBACK_HOURS
from cavra_pipeline.retention.apply import COUNTED, apply_prunings, finish_prunings, store_pruning
from cavra_pipeline.retention.horizon import PACKAGE, horizon_of
from cavra_pipeline.settings import LEAST_RETENTION_DAYS, Settings
from cavra_pipeline.state import State
from cavra_pipeline.warehouse import Session, Warehouse, lane_counts


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a pruning removed, or would remove.

    Attributes:
        record_count: Versions of records.
        quarantined_count: Quarantined lines.
        finding_count: Findings.
        closed_drop_count: Landing files that are not read again from now on.
    """

    record_count: int = 0
    quarantined_count: int = 0
    finding_count: int = 0
    closed_drop_count: int = 0


def horizon_day(settings: Settings, *, now: datetime, before: date | None = None) -> date:
    """Returns the day from whose start on evidence is retained: the one given, or what the setting makes of today.

    Raises:
        UsageError: Neither is given, or evidence would go on which the reports of today may rest.
    """
    today = now.astimezone(UTC).date()
    latest = today - timedelta(days=LEAST_RETENTION_DAYS)
    if before is None:
        if settings.retention_days is None:
            raise UsageError(
                "no retention is set, so no evidence is pruned",
                where="CAVRA_RETENTION_DAYS",
                remedy="Set how many days of evidence to keep, or name a day: --before DAY",
            )
        return today - timedelta(days=settings.retention_days)
    if before > latest:
        raise UsageError(
            f"evidence of the last {LEAST_RETENTION_DAYS} days is always retained",
            where=f"--before {before}",
            remedy=f"Name a day up to {latest}",
        )
    return before


def preview(warehouse: Warehouse, day: date) -> Pruned:
    """Tells what ``prune`` would remove and changes nothing."""
    with warehouse.reading() as session:
        return _survey(session, datetime.combine(day, time.min))


def prune(warehouse: Warehouse, state: State, day: date, *, now: datetime) -> Pruned:
    """Removes evidence created before a day; a second time it finds nothing to do.

    The pruning is stored in the state and then applied to the warehouse, which no one else writes meanwhile. What is
    stored is applied by the next writer if this one is killed. Reports, digests and counts of landing files, and what
    answers after the horizon need stay. The landing zone is not touched.

    Args:
        warehouse: The home's warehouse.
        state: The state database.
        day: UTC day from whose start on all evidence is retained. An earlier one than before changes nothing.
        now: When it is pruned.

    Returns:
        What was removed.

    Raises:
        WarehouseBusy: Others held it for longer than ``busy_wait_seconds``.
        PipelineError: There is no room to write.
    """
    horizon = datetime.combine(day, time.min)
    finish_prunings(warehouse, state)
    if preview(warehouse, day) == Pruned():
        return Pruned()
    with warehouse.writing("prune") as session:
        pruned = _survey(session, horizon)
        if pruned != Pruned():
            at: dict[str, object] = {"horizon": horizon}
            drops = session.rows(PACKAGE, "sum_up_drops", at)
            counted = {table: session.rows(PACKAGE, f"sum_up_{table}", lane_counts=lane_counts()) for table in COUNTED}
            # Recoveries stay; the count is of earlier releases, and its column of the first revision.
            pruning = {**at, "pruned_at": naive_utc(now), **asdict(pruned), "closed_spell_count": 0}
            store_pruning(state, pruning, drops, counted)
            apply_prunings(session, state)
        return pruned


def _survey(session: Session, horizon: datetime) -> Pruned:
    """Marks what can go and counts it."""
    last_horizon = horizon_of(session)
    if last_horizon is not None and horizon < last_horizon:
        return Pruned()
    at: dict[str, object] = {"horizon": horizon}
    escalations = {**at, "lane": LANES["recovery_escalation"].name}
    session.run(PACKAGE, "create_open_subjects")
    session.run(PACKAGE, "create_settling_deliveries")
    for lane in LANES.values():
        of_lane: dict[str, object] = {**at, "lane": lane.name}
        session.run(PACKAGE, "mark_open_subjects", {**of_lane, "has_new_subjects": lane.retries_have_new_subjects})
        session.run(PACKAGE, "mark_settling", of_lane)
    session.run(PACKAGE, "mark_open_recoveries", {**at, "closed_states": CLOSED_STATES})
    session.run(PACKAGE, "mark_needed_plans", escalations)
    failures: dict[str, object] = {"sources": FAILURE_SOURCES, "lookback_hours": LOOKBACK_HOURS}
    session.run(PACKAGE, "mark_causes", {**at, **failures})
    session.run(PACKAGE, "mark_removable", escalations)
    session.run(PACKAGE, "add_older_versions", {**at, "is_new": True})
    counts: dict[str, Any] = session.rows(PACKAGE, "count_removable", at)[0]
    return Pruned(**counts)
