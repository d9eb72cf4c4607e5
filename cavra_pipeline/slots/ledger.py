"""The slot ledger in the state database: verdicts with the configuration they were judged by. Nothing is ever deleted.

Each function runs inside the caller's transaction on the state database, but for ``worker_evidence``, which reads the
warehouse.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.documents import naive_utc, parse_as_of, shifted
from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import Tolerance
from cavra_pipeline.slots.verdicts import Cause, Configuration, Verdict, VerdictKind, revised
from cavra_pipeline.slots.watcher import Episode, Judged, WatcherState
from cavra_pipeline.state import tables as t
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.slots"
_S: Final = t.schedule_slots.c


def keep_configuration(c: sa.Connection, configuration: Configuration) -> None:
    """Stores how a schedule is set from some instant on; storing the same again changes nothing."""
    stored = t.schedule_configurations
    is_same = (stored.c.schedule == configuration.schedule) & (stored.c.valid_from == configuration.valid_from)
    if c.execute(sa.select(stored.c.schedule).where(is_same)).first() is None:
        values = asdict(configuration)
        values |= values.pop("tolerance")
        c.execute(sa.insert(stored).values(values))


def _configurations(c: sa.Connection) -> dict[str, list[Configuration]]:
    """Every configuration that was ever in force, by schedule, the oldest first."""
    stored = t.schedule_configurations
    history: dict[str, list[Configuration]] = {}
    for row in c.execute(sa.select(stored).order_by(stored.c.schedule, stored.c.valid_from)):
        tolerance = Tolerance(**{name: getattr(row, name) for name in Tolerance.model_fields})
        configuration = Configuration(
            row.schedule, row.valid_from, row.cron, row.time_zone, row.is_declared_on, tolerance
        )
        history.setdefault(configuration.schedule, []).append(configuration)
    return history


def keep_verdicts(c: sa.Connection, judged: Iterable[Judged], *, now: datetime) -> None:
    """Stores the verdicts of slots; a slot that has one already keeps it unless the new one is a gain."""
    for judged_slot in judged:
        is_it = (_S.schedule == judged_slot.slot.schedule) & (_S.expected_at == judged_slot.slot.expected_at)
        row = c.execute(sa.select(_S.verdict, _S.cause, _S.done_at, _S.run_id).where(is_it)).first()
        if row is None:
            c.execute(
                sa.insert(t.schedule_slots).values(
                    schedule=judged_slot.slot.schedule,
                    expected_at=judged_slot.slot.expected_at,
                    **_columns(judged_slot.verdict),
                    closes_at=judged_slot.slot.closes_at,
                    configuration_from=judged_slot.configuration_from,
                    judged_at=now,
                )
            )
            continue
        stored_verdict = Verdict(
            VerdictKind(row.verdict), Cause(row.cause) if row.cause else None, row.done_at, row.run_id
        )
        verdict = revised(stored_verdict, judged_slot.verdict)
        if verdict != stored_verdict:
            c.execute(sa.update(t.schedule_slots).where(is_it).values(**_columns(verdict), revised_at=now))


def _columns(verdict: Verdict) -> dict[str, Any]:
    cause = verdict.cause.value if verdict.cause else None
    return {"verdict": verdict.kind.value, "cause": cause, "done_at": verdict.done_at, "run_id": verdict.run_id}


def recalled(c: sa.Connection) -> WatcherState:
    """Returns what the ledger knows of the watcher's memory, for a watcher whose own is new or lost."""
    newest = sa.select(_S.schedule, sa.func.max(_S.expected_at)).group_by(_S.schedule)
    judged_until: dict[str, datetime] = {row[0]: row[1] for row in c.execute(newest)}
    served = newest.where(_S.verdict.not_in((VerdictKind.MISSED.value, VerdictKind.UNKNOWN.value)))
    served_at: dict[str, datetime] = {row[0]: row[1] for row in c.execute(served)}
    missed: dict[str, list[tuple[datetime, Cause]]] = {}
    for schedule in judged_until:
        is_open = (_S.schedule == schedule) & (_S.verdict == VerdictKind.MISSED.value)
        if schedule in served_at:
            is_open &= _S.expected_at > served_at[schedule]
        for at, cause in c.execute(sa.select(_S.expected_at, _S.cause).where(is_open).order_by(_S.expected_at)):
            missed.setdefault(schedule, []).append((at, Cause(cause)))
    episodes = {
        schedule: Episode(slots[0][0], slots[-1][0], Counter(cause for _, cause in slots))
        for schedule, slots in missed.items()
    }
    return WatcherState(configurations=_configurations(c), judged_until=judged_until, episodes=episodes)


def slots_between(
    c: sa.Connection, *, after: datetime, until: datetime, schedule: str | None = None
) -> list[dict[str, Any]]:
    """Lists the slots of (``after``, ``until``] with their verdicts and configurations, by schedule and instant."""
    f = t.schedule_configurations.c
    query = (
        sa.select(
            _S.schedule, _S.expected_at, _S.verdict, _S.cause, _S.done_at, _S.run_id, _S.closes_at, _S.judged_at,
            _S.revised_at, f.cron, f.time_zone, f.is_declared_on, f.grace_minutes, f.grace_percent, f.early_percent,
            _S.configuration_from,
        )
        .where(_S.schedule == f.schedule, _S.configuration_from == f.valid_from, *_in_range(schedule, after, until))
        .order_by(_S.schedule, _S.expected_at)
    )  # fmt: skip
    return [dict(row) for row in c.execute(query).mappings()]


def recorded_since(c: sa.Connection, schedule: str | None = None) -> datetime | None:
    """Returns the oldest slot of a schedule, or of all; None where the ledger has none."""
    oldest = sa.select(sa.func.min(_S.expected_at, type_=t.Instant()))
    since: datetime | None = c.scalar(oldest.where(_S.schedule == schedule) if schedule else oldest)
    return since


def _in_range(schedule: str | None, after: datetime, until: datetime) -> list[sa.ColumnElement[bool]]:
    return [_S.expected_at > after, _S.expected_at <= until, *([_S.schedule == schedule] if schedule else [])]


def slots_of_reports(c: sa.Connection, reports: Sequence[Mapping[str, Any]]) -> list[dict[str, int]]:
    """Counts the slots of the schedule of health reports' lane, each in its report's own window; all are of one lane.

    Returns:
        For each report, counts that are not zero: the verdicts in their declared order, then missed ones as
        ``missed: cause`` too; empty if the ledger has no such slot.
    """
    windows = [_window(report) for report in reports]
    in_range = _in_range(
        LANES[reports[0]["lane"]].schedule, min(after for after, _ in windows), max(until for _, until in windows)
    )
    query = sa.select(_S.expected_at, _S.verdict, _S.cause).where(*in_range).order_by(_S.expected_at)
    rows = c.execute(query).all()
    moments = [row.expected_at for row in rows]
    return [_counted(rows[bisect_right(moments, after) : bisect_right(moments, until)]) for after, until in windows]


def _window(report: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """The window of a report: after the first, up to the second."""
    as_of = parse_as_of(report["as_of"])
    return shifted(as_of, -timedelta(hours=report["window_hours"])), as_of


def _counted(rows: Sequence[Any]) -> dict[str, int]:
    verdicts = Counter(row.verdict for row in rows)
    causes = Counter(f"{row.verdict}: {row.cause}" for row in rows if row.cause)
    return {kind.value: verdicts[kind.value] for kind in VerdictKind if verdicts[kind.value]} | dict(
        sorted(causes.items())
    )


def newest_verdict(
    c: sa.Connection, schedule: str, *, after: datetime, until: datetime
) -> tuple[str, str | None] | None:
    """Returns the verdict and the cause of a schedule's newest slot in (``after``, ``until``], or None without one."""
    in_range = _in_range(schedule, after, until)
    row = c.execute(sa.select(_S.verdict, _S.cause).where(*in_range).order_by(_S.expected_at.desc())).first()
    return (row.verdict, row.cause) if row else None


def worker_evidence(session: Session, lane: str, *, after: datetime, until: datetime) -> list[datetime]:
    """Returns when worker-run evidence of a lane was created, in order."""
    parameters: dict[str, object] = {"lane": lane, "after": naive_utc(after), "until": naive_utc(until)}
    return [row["created_at"].replace(tzinfo=UTC) for row in session.stream(_PACKAGE, "worker_evidence", parameters)]
