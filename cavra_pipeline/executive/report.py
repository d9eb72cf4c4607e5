"""The executive recovery report: what happened, what is open, how it is going, what to worry about and what to do."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.documents import (
    DEFAULT_GENERATED_BY,
    PRODUCT,
    SCHEMA_PREFIX,
    identify,
    instant,
    naive_utc,
    whole_minutes,
)
from cavra_pipeline.executive.counts import Standing, Window, failing_providers, standings, windows
from cavra_pipeline.executive.escalation import DEFAULT_SLO_MINUTES, plan_of_recoveries
from cavra_pipeline.executive.risks import key_risks
from cavra_pipeline.executive.words import actions_for, headline, lane_title, what_happened
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.recoveries.intervals import (
    Interval,
    OpenRecoveries,
    bounded,
    open_recoveries,
    recovery_spells,
    spells_until,
)
from cavra_pipeline.reports.health import alert_level, health_parameters, retry_health_reports
from cavra_pipeline.warehouse import Session

DEFAULT_WINDOW_DAYS: Final = 7
MAX_WINDOW_DAYS: Final = 366
#: Windows up to a month have a backlog point every six hours, longer ones every day.
_FINE_WINDOW_DAYS: Final = 31
_STATES: Final = {"critical": "action_needed", "warning": "needs_attention", "healthy": "under_control"}
_ACTIVITY: Final = (
    "delivery_count",
    "failed_delivery_count",
    "acknowledgement_count",
    "worker_run_count",
    "live_worker_run_count",
    "delivered_execution_count",
    "failed_execution_count",
    "skipped_execution_count",
)


#: A lane's health by the instant it is judged at.
_Health = Mapping[tuple[str, datetime], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Known:
    """What was asked and found for all reports at once; what was found is kept by instant."""

    now: datetime
    slo_minutes: int
    window_days: int
    providers: Sequence[str]
    generated_by: str
    health: _Health
    standing: Mapping[datetime, Standing]
    failing: Mapping[datetime, Sequence[Mapping[str, Any]]]
    windows: Mapping[datetime, Window]
    spells: Mapping[datetime, Sequence[Interval]]
    recoveries: Mapping[datetime, OpenRecoveries]


def executive_reports(
    session: Session,
    *,
    instants: Sequence[datetime],
    now: datetime,
    slo_minutes: int = DEFAULT_SLO_MINUTES,
    window_days: int = DEFAULT_WINDOW_DAYS,
    providers: Sequence[str] = (),
    generated_by: str = DEFAULT_GENERATED_BY,
) -> list[dict[str, Any]]:
    """Makes the executive recovery report as of each instant, in one pass over the evidence.

    Args:
        session: An open warehouse.
        instants: The instants of the reports; later records are counted and otherwise do not exist.
        now: When the reports are made; only ``generated_at`` shows it.
        slo_minutes: How long a recovery may be open.
        window_days: How many UTC days the history covers, the day of ``as_of`` included.
        providers: Connectors of the escalation plan that the report refers to.
        generated_by: Actor label of who asked.

    Returns:
        The reports, in the order of the instants; ``render`` turns them into pages.

    Raises:
        UsageError: A value is outside what is accepted; the message names it.
    """
    generated_by = actor_label(generated_by, where="generated_by")
    bounded("window_days", window_days, MAX_WINDOW_DAYS)
    if not instants:
        return []
    moments = [naive_utc(at) for at in instants]
    every = recovery_spells(session, as_of=max(instants))
    spells = {at: spells_until(every, at) for at in moments}
    known = _Known(
        now=now,
        slo_minutes=slo_minutes,
        window_days=window_days,
        providers=providers,
        generated_by=generated_by,
        health=_health(session, moments, window_days=window_days, now=now),
        standing=standings(session, instants),
        failing=failing_providers(session, instants),
        windows=windows(session, {at: _window_start(at, window_days) for at in moments}),
        spells=spells,
        recoveries=open_recoveries(session, spells),
    )
    return [_report(known, as_of) for as_of in instants]


def _report(known: _Known, as_of: datetime) -> dict[str, Any]:
    at = naive_utc(as_of)
    plan = plan_of_recoveries(
        known.recoveries[at], as_of=as_of, now=known.now, slo_minutes=known.slo_minutes, providers=known.providers,
        generated_by=known.generated_by, standing=known.standing[at],
    )  # fmt: skip
    start = _window_start(at, known.window_days)
    lanes = [_lane(lane, known, at=at, start=start) for lane in LANES.values()]
    report = _counted(known, plan, lanes, at=at, start=start)
    risks = key_risks(report, failing=known.failing[at], unplanned_failure_count=plan["unplanned_failure_count"])
    actions = actions_for(risks)
    level = alert_level(
        [plan["alert_level"], *(lane["alert_level"] for lane in lanes), *(risk["severity"] for risk in risks)]
    )
    report |= {
        "what_happened": what_happened(report),
        "key_risks": risks,
        "recommended_actions": actions,
        "alert_level": level,
        "state": _STATES[level] if report["evidence_record_count"] else "no_evidence",
        "what_to_do": actions[0]["action"] if actions else "Nothing; the next report comes as scheduled.",
    }
    report["headline"] = headline(report)
    for lane in lanes:
        del lane["alerts"]
    # A record that came later changes no report: counts of such records are of no lane's identity either.
    of_lanes = [{name: value for name, value in lane.items() if name != "future_record_count"} for lane in lanes]
    report["executive_report_id"] = identify("executive-report", {**report, "lanes": of_lanes})
    return report


def _counted(
    known: _Known, plan: Mapping[str, Any], lanes: list[dict[str, Any]], *, at: datetime, start: datetime
) -> dict[str, Any]:
    """Returns the report without what is concluded from its counts; members that follow later keep their place."""
    window, spells, slo = known.windows[at], known.spells[at], timedelta(minutes=known.slo_minutes)
    return {
        "schema_version": f"{SCHEMA_PREFIX}recovery-executive-report.v1",
        "product": PRODUCT,
        "executive_report_id": "",
        "recovery_report_id": plan["recovery_report_id"],
        "escalation_plan_id": plan["plan_id"],
        "as_of": instant(at),
        "generated_at": instant(known.now),
        "generated_by": known.generated_by,
        "alert_level": "",
        "state": "",
        "headline": "",
        "what_to_do": "",
        "escalation_count": plan["escalation_count"],
        "slo_minutes": known.slo_minutes,
        "slo_breached_count": plan["slo_breached_count"],
        "slo_at_risk_count": plan["slo_at_risk_count"],
        "failed_execution_count": plan["failed_execution_count"],
        "window_days": known.window_days,
        "window_start": instant(start),
        "evidence_record_count": sum(lane["evidence_record_count"] for lane in lanes),
        "future_record_count": sum(lane["future_record_count"] for lane in lanes),
        "quarantined_record_count": window.quarantined_record_count,
        "latest_record_at": max((lane["latest_record_at"] for lane in lanes if lane["latest_record_at"]), default=None),
        "what_happened": [],
        "activity": {name: sum(lane[name] for lane in lanes) for name in _ACTIVITY},
        "recoveries": _totals(spells, known.standing[at].pruned_spell_count, start=start, slo=slo),
        "open_by_need": dict(sorted(Counter(one["need"] for one in plan["recoveries"]).items())),
        "closure_trend": _trend(spells, start=start, at=at),
        "backlog": _backlog(spells, start=start, at=at, slo=slo, is_fine=known.window_days <= _FINE_WINDOW_DAYS),
        "deliveries_by_provider": [
            {**row, "delivered_percent": row["delivered_count"] * 100 // (row["delivered_count"] + row["failed_count"])}
            for row in window.providers
        ],
        "lanes": lanes,
        "open_recoveries": plan["recoveries"],
        "key_risks": [],
        "recommended_actions": [],
    }


def _window_start(at: datetime, window_days: int) -> datetime:
    return datetime.fromordinal(max(1, at.toordinal() - window_days + 1))


# --- Lanes ---------------------------------------------------------------------------------------------------------


def _health(session: Session, moments: Sequence[datetime], *, window_days: int, now: datetime) -> _Health:
    """Judges each lane at each instant, in one pass for all whose windows are as long."""
    alike: dict[int, list[datetime]] = {}
    for at in dict.fromkeys(moments):
        hours = -((_window_start(at, window_days) - at) // timedelta(hours=1)) or 1
        alike.setdefault(hours, []).append(at)
    return {
        (lane.name, at): report
        for hours, some in alike.items()
        for lane in LANES.values()
        for at, report in zip(
            some,
            retry_health_reports(
                session,
                lane,
                health_parameters(lane, window_hours=hours),
                instants=[at.replace(tzinfo=UTC) for at in some],
                now=now,
            ),
            strict=True,
        )
    }


def _lane(lane: Lane, found: _Known, *, at: datetime, start: datetime) -> dict[str, Any]:
    """A lane in the window. One without any evidence is a gap in what is known, or not in use."""
    extent = found.standing[at].of(lane.name)
    row = found.windows[at].lanes.get(lane.name, {})
    counts = {name: row.get(name, 0) for name in _ACTIVITY}
    counts |= {name: extent[name] for name in ("evidence_record_count", "future_record_count")}
    known: dict[str, Any] = {
        "lane": lane.name,
        "title": lane_title(lane.name),
        **counts,
        "latest_record_at": instant(extent["latest_record_at"]),
    }
    if not counts["evidence_record_count"]:
        nothing = {"outage_count": 0, "open_outage_count": 0, "outage_minutes": 0, "outages": [], "alerts": []}
        return {
            **known,
            "state": "no_evidence",
            "alert_level": "warning" if lane.is_always_in_use else "unknown",
            "unresolved_failed_execution_count": 0,
            **nothing,
        }
    health = found.health[lane.name, at]
    outages = [outage for one in health["outages"] if (outage := _outage(one, start=start, at=at))]
    actions = health["recommended_actions"]
    return {
        **known,
        "state": "outage" if any(outage["ended_at"] is None for outage in outages) else "running",
        "alert_level": health["alert_level"],
        "unresolved_failed_execution_count": health["unresolved_failed_execution_count"],
        "outage_count": len(outages),
        "open_outage_count": sum(outage["ended_at"] is None for outage in outages),
        "outage_minutes": sum(outage["minutes_in_window"] for outage in outages),
        "outages": outages,
        "alerts": [{**alert, "action": action} for alert, action in zip(health["alerts"], actions, strict=True)],
    }


def _outage(outage: Mapping[str, Any], *, start: datetime, at: datetime) -> dict[str, Any] | None:
    started = _naive(outage["started_at"]) or start
    ended = _naive(outage["ended_at"])
    if ended is not None and ended <= start:
        return None
    return {**outage, "minutes_in_window": whole_minutes((ended or at) - max(started, start))}


def _naive(text: str | None) -> datetime | None:
    return naive_utc(datetime.fromisoformat(text)) if text else None


# --- Recoveries over time ------------------------------------------------------------------------------------------


def _totals(spells: Sequence[Interval], pruned_count: int, *, start: datetime, slo: timedelta) -> dict[str, Any]:
    """Opened = closed + open, over the whole history and, with what was open at its start, in the window."""
    closed = [spell for spell in spells if spell.closed_at is not None]
    lately = sorted(
        spell.closed_at - spell.opened_at for spell in closed if spell.closed_at and spell.closed_at >= start
    )
    return {
        "opened_count": len(spells) + pruned_count,
        "closed_count": len(closed) + pruned_count,
        "open_count": len(spells) - len(closed),
        "opened_in_window_count": sum(spell.opened_at >= start for spell in spells),
        "reopened_in_window_count": sum(spell.opened_at >= start and spell.number > 1 for spell in spells),
        "closed_in_window_count": len(lately),
        "closed_late_in_window_count": sum(span > slo for span in lately),
        "median_minutes_to_close": whole_minutes(lately[len(lately) // 2]) if lately else None,
    }


def _trend(spells: Sequence[Interval], *, start: datetime, at: datetime) -> list[dict[str, Any]]:
    opened = Counter(spell.opened_at.date() for spell in spells)
    closed = Counter(spell.closed_at.date() for spell in spells if spell.closed_at)
    is_open = sum(spell.opened_at < start and not (spell.closed_at and spell.closed_at < start) for spell in spells)
    trend = []
    for ordinal in range(start.toordinal(), at.toordinal() + 1):
        day = datetime.fromordinal(ordinal).date()
        is_open += opened[day] - closed[day]
        trend.append(
            {"day": day.isoformat(), "opened_count": opened[day], "closed_count": closed[day], "open_count": is_open}
        )
    return trend


def _backlog(
    spells: Sequence[Interval], *, start: datetime, at: datetime, slo: timedelta, is_fine: bool
) -> list[dict[str, Any]]:
    """How many recoveries were open, and open for longer than the limit, at even steps and at the end."""
    step = timedelta(hours=6 if is_fine else 24)
    moments = [start + number * step for number in range((at - start) // step + 1)]
    if moments[-1] != at:
        moments.append(at)
    opened = sorted(spell.opened_at for spell in spells)
    closed = sorted(spell.closed_at for spell in spells if spell.closed_at)
    late = [spell for spell in spells if spell.closed_at is None or spell.closed_at - spell.opened_at > slo]
    # An age of exactly the limit is not over it yet, hence bisect_left. Ages are shifted: a limit may pass year 9999.
    late_opened = sorted(spell.opened_at for spell in late)
    late_closed = sorted(spell.closed_at for spell in late if spell.closed_at)
    return [
        {
            "at": instant(moment),
            "open_count": bisect_right(opened, moment) - bisect_right(closed, moment),
            "breached_count": bisect_left(late_opened, _earlier(moment, slo)) - bisect_right(late_closed, moment),
        }
        for moment in moments
    ]


def _earlier(moment: datetime, span: timedelta) -> datetime:
    try:
        return moment - span
    except OverflowError:
        return datetime.min  # noqa: DTZ901 -- the warehouse keeps UTC without a zone
