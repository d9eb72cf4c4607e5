"""The slot ledger in the warehouse: verdicts with the configuration they were judged by. Nothing is ever deleted."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cavra_pipeline.desired_state import schedule_of
from cavra_pipeline.documents import naive_utc, parse_as_of
from cavra_pipeline.slots.configurations import Configuration
from cavra_pipeline.slots.verdicts import Cause, Kind, Slot, Tolerance, Verdict, revised
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.slots"


@dataclass(frozen=True, slots=True)
class Judged:
    """A slot with its verdict and the configuration it was judged by."""

    slot: Slot
    verdict: Verdict
    configuration_from: datetime


def keep_configuration(session: Session, one: Configuration) -> None:
    """Keeps how a schedule is set from some instant on; keeping the same again changes nothing."""
    session.run(
        _PACKAGE,
        "insert_configuration",
        {
            "schedule": one.schedule,
            "valid_from": naive_utc(one.valid_from),
            "cron": one.cron,
            "time_zone": one.time_zone,
            "is_declared_on": one.is_declared_on,
            "grace_minutes": one.tolerance.grace_minutes,
            "grace_percent": one.tolerance.grace_percent,
            "early_percent": one.tolerance.early_percent,
        },
    )


def configurations(session: Session) -> list[Configuration]:
    """Returns every configuration that was ever in force, by schedule and instant."""
    return [
        Configuration(
            str(row["schedule"]),
            _aware(row["valid_from"]),
            str(row["cron"]),
            str(row["time_zone"]),
            bool(row["is_declared_on"]),
            Tolerance(*(float(str(row[name])) for name in ("grace_minutes", "grace_percent", "early_percent"))),
        )
        for row in session.rows(_PACKAGE, "configurations")
    ]


def keep_verdicts(session: Session, judged: Iterable[Judged], *, now: datetime) -> list[Judged]:
    """Keeps the verdicts of slots; a slot that has one already keeps it unless the new one is a gain.

    Returns:
        The slots with the verdicts that stand, in the order given.
    """
    stand: list[Judged] = []
    for one in judged:
        known = _verdict_of(session, one.slot)
        verdict = revised(known, one.verdict) if known else one.verdict
        stand.append(Judged(one.slot, verdict, one.configuration_from))
        values: dict[str, object] = {
            "schedule": one.slot.schedule,
            "expected_at": naive_utc(one.slot.expected_at),
            "verdict": verdict.kind.value,
            "cause": verdict.cause.value if verdict.cause else None,
            "done_at": naive_utc(verdict.done_at) if verdict.done_at else None,
            "run_id": verdict.run_id,
            "judged_at": naive_utc(now),
        }
        if known is None:
            of_slot = {"closes_at": naive_utc(one.slot.closes_at)}
            session.run(
                _PACKAGE,
                "insert_slot",
                {**values, **of_slot, "configuration_from": naive_utc(one.configuration_from)},
            )
        elif known != verdict:
            session.run(_PACKAGE, "revise_slot", values)
    return stand


def _verdict_of(session: Session, slot: Slot) -> Verdict | None:
    rows = session.rows(_PACKAGE, "verdict_of", {"schedule": slot.schedule, "expected_at": naive_utc(slot.expected_at)})
    return _verdict(rows[0]) if rows else None


def _verdict(row: dict[str, object]) -> Verdict:
    return Verdict(
        Kind(str(row["verdict"])),
        Cause(str(row["cause"])) if row["cause"] else None,
        _aware(row["done_at"]) if row["done_at"] else None,
        str(row["run_id"]) if row["run_id"] else None,
    )


def newest_slots(session: Session) -> dict[str, datetime]:
    """Returns the newest slot with a verdict, by schedule."""
    return {str(row["schedule"]): _aware(row["expected_at"]) for row in session.rows(_PACKAGE, "newest_slots")}


def slots_between(
    session: Session, *, after: datetime, until: datetime, schedule: str | None = None
) -> list[dict[str, Any]]:
    """Lists the slots of (``after``, ``until``] with their verdicts and configurations, by schedule and instant."""
    asked: dict[str, object] = {"schedule": schedule, "after": naive_utc(after), "until": naive_utc(until)}
    rows = session.rows(_PACKAGE, "slots_between", asked)
    return [
        {name: _aware(value) if isinstance(value, datetime) else value for name, value in row.items()} for row in rows
    ]


def slots_of_report(session: Session, report: Mapping[str, Any]) -> dict[str, int]:
    """Counts the slots of the schedule of a health report's lane, in the report's own window."""
    (counts,) = slots_of_reports(session, [report])
    return counts


def slots_of_reports(session: Session, reports: Sequence[Mapping[str, Any]]) -> list[dict[str, int]]:
    """Counts the slots of each health report by verdict, missed ones as ``missed: cause`` too; all are of one lane.

    Returns:
        Counts that are not zero, the verdicts' own in their declared order; empty if the ledger has no such slot.
    """
    windows = [_window(report) for report in reports]
    asked: dict[str, object] = {
        "schedule": schedule_of(reports[0]["lane"]),
        "after": naive_utc(min(after for after, _ in windows)),
        "until": naive_utc(max(until for _, until in windows)),
    }
    rows = session.rows(_PACKAGE, "slot_verdicts", asked)
    moments = [_aware(row["expected_at"]) for row in rows]
    return [_counted(rows[bisect_right(moments, after) : bisect_right(moments, until)]) for after, until in windows]


def _window(report: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """The window of a report: after the first, up to the second."""
    as_of = parse_as_of(report["as_of"])
    try:
        return as_of - timedelta(hours=report["window_hours"]), as_of
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC), as_of


def _counted(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    verdicts = Counter(row["verdict"] for row in rows)
    causes = Counter(f"{row['verdict']}: {row['cause']}" for row in rows if row["cause"])
    return {kind.value: verdicts[kind.value] for kind in Kind if verdicts[kind.value]} | dict(sorted(causes.items()))


def newest_verdict(
    session: Session, schedule: str, *, after: datetime, until: datetime
) -> tuple[str, str | None] | None:
    """Returns the verdict and the cause of a schedule's newest slot in (``after``, ``until``], or None without one."""
    asked: dict[str, object] = {"schedule": schedule, "after": naive_utc(after), "until": naive_utc(until)}
    rows = session.rows(_PACKAGE, "newest_verdict", asked)
    return (str(rows[0]["verdict"]), str(rows[0]["cause"]) if rows[0]["cause"] else None) if rows else None


def worker_evidence(session: Session, lanes: Sequence[str], *, after: datetime, until: datetime) -> list[datetime]:
    """Returns when worker-run evidence of the lanes was created, in order."""
    rows = session.rows(_PACKAGE, "worker_evidence", {"after": naive_utc(after), "until": naive_utc(until)})
    return sorted(_aware(row["created_at"]) for row in rows if row["lane"] in lanes)


def _aware(moment: object) -> datetime:
    if not isinstance(moment, datetime):
        raise TypeError("an instant was expected")
    return moment.replace(tzinfo=UTC)
