"""The executive recovery report: what happened, what is open, how it is going, what to worry about and what to do."""

from __future__ import annotations

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
    moment_of,
    naive_utc,
    shifted,
    whole_minutes,
)
from cavra_pipeline.errors import UsageError, checked
from cavra_pipeline.executive.actions import actions_for
from cavra_pipeline.executive.counts import (
    EvidenceState,
    Window,
    evidence_states,
    failed_retries,
    failing_providers,
    retry_counts,
    windows,
)
from cavra_pipeline.executive.escalation import RETRY_CATEGORY, plan_of_recoveries
from cavra_pipeline.executive.providers import broken_providers, next_step
from cavra_pipeline.executive.risks import key_risks
from cavra_pipeline.executive.trends import RecoveryTrend
from cavra_pipeline.executive.words import headline, lane_title, what_happened
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.recoveries.causes import Causes
from cavra_pipeline.recoveries.history import (
    DEFAULT_SLO_MINUTES,
    RecoveryHistory,
    RecoveryParameters,
    recovery_history,
)
from cavra_pipeline.recoveries.report import most_urgent_first, recovery_reports
from cavra_pipeline.reports.cadence import usual_interval
from cavra_pipeline.reports.executions import Unresolved
from cavra_pipeline.reports.health import alert_level, health_of_lanes
from cavra_pipeline.reports.incidents import incidents
from cavra_pipeline.retention.horizon import horizon_of
from cavra_pipeline.warehouse import Session

DEFAULT_WINDOW_DAYS: Final = 7
MAX_WINDOW_DAYS: Final = 366
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
class _Inputs:
    """Parameters and evidence of all reports; what was read from the evidence, by instant."""

    now: datetime
    slo_minutes: int
    window_days: int
    providers: Sequence[str]
    generated_by: str
    health: _Health
    evidence: Mapping[datetime, EvidenceState]
    failing: Mapping[datetime, Sequence[Mapping[str, Any]]]
    retries: Mapping[datetime, Mapping[str, Unresolved]]
    decided: Mapping[datetime, Mapping[str, Mapping[str, int]]]
    windows: Mapping[datetime, Window]
    history: RecoveryHistory
    causes: Causes
    horizon: datetime | None
    incidents: Mapping[datetime, Sequence[Mapping[str, Any]]]
    recoveries: Mapping[datetime, Mapping[str, Any]]

    def latest_record_at(self, at: datetime) -> datetime | None:
        """Returns when the newest record that the report is based on was created."""
        lanes = (self.evidence[at].of(lane)["latest_record_at"] for lane in LANES)
        playbooks = self.history.playbooks[: self.history.playbook_count(at)][-1:]
        closures = (closure.at for closure in self.history.said(at)[-1:])
        return max((moment for moment in (*lanes, *playbooks, *closures) if moment), default=None)

    def before(self, start: datetime, slo: timedelta) -> dict[str, Any] | None:
        """Returns the counts of the window before the one that starts then; None where it was not seen whole."""
        last = shifted(start, -timedelta(microseconds=1))
        earlier = _window_start(last, self.window_days)
        if not self.history.playbook_count(earlier) or (self.horizon and self.horizon > earlier):
            return None
        return RecoveryTrend(self.history.opened(last), earlier, last, slo).counts()


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
    require_window(window_days)
    parameters = checked(RecoveryParameters, {"slo_minutes": slo_minutes})
    if not instants:
        return []
    moments = [naive_utc(at) for at in instants]
    recoveries = recovery_reports(session, parameters, instants=instants, now=now, generated_by=generated_by)
    inputs = _Inputs(
        now=now,
        slo_minutes=slo_minutes,
        window_days=window_days,
        providers=providers,
        generated_by=generated_by,
        health=_health(session, moments, window_days=window_days, now=now),
        evidence=evidence_states(session, instants),
        failing=failing_providers(session, instants),
        retries=failed_retries(session, instants),
        decided=retry_counts(session, instants),
        windows=windows(session, {at: _window_start(at, window_days) for at in moments}),
        history=recovery_history(session, max(moments)),
        causes=Causes(session, max(moments)),
        horizon=horizon_of(session),
        incidents=incidents(session, moments, is_open=True),
        recoveries=dict(zip(moments, recoveries, strict=True)),
    )
    return [_report(inputs, as_of) for as_of in instants]


def require_window(days: object) -> None:
    """Refuses a history of no day, of too many, or of another type than a whole number.

    Raises:
        UsageError: The number of days is not accepted.
    """
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= MAX_WINDOW_DAYS:
        raise UsageError(
            "the value is not accepted", where="window_days", remedy=f"Give an integer from 1 to {MAX_WINDOW_DAYS}"
        )


def _report(inputs: _Inputs, as_of: datetime) -> dict[str, Any]:
    at = naive_utc(as_of)
    plan = plan_of_recoveries(
        inputs.recoveries[at], as_of=as_of, now=inputs.now, providers=inputs.providers,
        generated_by=inputs.generated_by, evidence=inputs.evidence[at],
    )  # fmt: skip
    start = _window_start(at, inputs.window_days)
    lanes = [_lane(lane, inputs, at=at, start=start) for lane in LANES.values()]
    report = _counted(inputs, plan, lanes, at=at, start=start)
    health = {lane["lane"]: inputs.health[lane["lane"], at] for lane in lanes if lane["evidence_record_count"]}
    risks = key_risks(
        report, health=health, retries=inputs.retries[at], recoveries=inputs.recoveries[at]["recoveries"],
        unplanned_failure_count=plan["unplanned_failure_count"],
    )  # fmt: skip
    actions = actions_for(risks, report["broken_providers"])
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
    # A record that came later changes no report: counts of such records are of no lane's identity either.
    of_lanes = [{name: value for name, value in lane.items() if name != "future_record_count"} for lane in lanes]
    report["executive_report_id"] = identify("executive-report", {**report, "lanes": of_lanes})
    return report


def _counted(
    inputs: _Inputs, plan: Mapping[str, Any], lanes: list[dict[str, Any]], *, at: datetime, start: datetime
) -> dict[str, Any]:
    """Returns the report without what is concluded from its counts; members that follow later keep their place."""
    window, recoveries = inputs.windows[at], inputs.recoveries[at]
    trend = RecoveryTrend(inputs.history.opened(at), start, at, timedelta(minutes=inputs.slo_minutes))
    routes = plan["escalation_routes"]
    open_recoveries = most_urgent_first(route for route in routes if route["category"] != RETRY_CATEGORY)
    broken = broken_providers(
        inputs.failing[at], open_recoveries, inputs.incidents[at], inputs.retries[at], inputs.decided[at]
    )
    return {
        "schema_version": f"{SCHEMA_PREFIX}recovery-executive-report.v1",
        "product": PRODUCT,
        "executive_report_id": "",
        "recovery_report_id": plan["recovery_report_id"],
        "escalation_plan_id": plan["plan_id"],
        "as_of": instant(at),
        "generated_at": instant(inputs.now),
        "generated_by": inputs.generated_by,
        "alert_level": "",
        "state": "",
        "headline": "",
        "what_to_do": "",
        "escalation_count": plan["escalation_count"],
        "open_recovery_count": plan["open_recovery_count"],
        "recovery_state": recoveries["state"],
        "slo_minutes": inputs.slo_minutes,
        "slo_breached_count": plan["slo_breached_count"],
        "slo_at_risk_count": plan["slo_at_risk_count"],
        "failed_execution_count": plan["failed_execution_count"],
        "window_days": inputs.window_days,
        "window_start": instant(start),
        **{
            name: recoveries[name] + sum(lane[name] for lane in lanes)
            for name in ("evidence_record_count", "future_record_count")
        },
        "quarantined_record_count": window.quarantined_record_count,
        "latest_record_at": instant(inputs.latest_record_at(at)),
        "what_happened": [],
        "activity": {name: sum(lane[name] for lane in lanes) for name in _ACTIVITY},
        "recoveries": trend.totals(),
        "recoveries_before": inputs.before(start, trend.slo),
        "recoveries_by_provider": trend.grouped("provider", lambda recovery: recovery.provider),
        "recoveries_by_cause": trend.grouped("cause", inputs.causes.of),
        "open_by_need": dict(sorted(Counter(route["need"] for route in routes).items())),
        "closure_trend": trend.by_day(),
        "backlog": trend.backlog(inputs.window_days),
        "deliveries_by_provider": [
            {**row, "delivered_percent": row["delivered_count"] * 100 // (row["delivered_count"] + row["failed_count"])}
            for row in window.providers
        ],
        "lanes": lanes,
        "broken_providers": [{**provider, "failing_since": instant(provider["failing_since"])} for provider in broken],
        # One text for each recovery, taken from its cause; the plan says the same without it.
        "open_recoveries": [{**route, "recommended_action": next_step(route, broken)} for route in open_recoveries],
        "failed_retries": [route for route in routes if route["category"] == RETRY_CATEGORY],
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
    health = {}
    for hours, some in alike.items():
        zoned = [at.replace(tzinfo=UTC) for at in some]
        for lane, reports in health_of_lanes(session, instants=zoned, now=now, window_hours=hours).items():
            health.update({(lane, at): report for at, report in zip(some, reports, strict=True)})
    return health


def _lane(lane: Lane, inputs: _Inputs, *, at: datetime, start: datetime) -> dict[str, Any]:
    """A lane in the window. One without any evidence is a gap in what is known, or not in use."""
    extent = inputs.evidence[at].of(lane.name)
    row = inputs.windows[at].lanes.get(lane.name, {})
    counts = {name: row.get(name, 0) for name in _ACTIVITY}
    counts |= {name: extent[name] for name in ("evidence_record_count", "future_record_count")}
    summary: dict[str, Any] = {
        "lane": lane.name,
        "title": lane_title(lane.name),
        "expected_interval_minutes": lane.expected_interval_minutes,
        **counts,
        "failing_notice_count": sum(
            provider["failing_count"] for provider in inputs.failing[at] if provider["lane"] == lane.name
        ),
        "latest_record_at": instant(extent["latest_record_at"]),
    }
    if not counts["evidence_record_count"]:
        nothing = {"outage_count": 0, "open_outage_count": 0, "outage_minutes": 0, "outages": []}
        return {
            **summary,
            "state": "no_evidence",
            "alert_level": "warning" if lane.is_always_in_use else "unknown",
            "unresolved_failed_execution_count": 0,
            "latest_worker_age_minutes": None,
            "usual_interval_minutes": None,
            **nothing,
        }
    health = inputs.health[lane.name, at]
    outages = [outage for health_outage in health["outages"] if (outage := _outage(health_outage, start=start, at=at))]
    return {
        **summary,
        "state": "outage" if any(outage["ended_at"] is None for outage in outages) else "running",
        "alert_level": health["alert_level"],
        "unresolved_failed_execution_count": health["unresolved_failed_execution_count"],
        "latest_worker_age_minutes": health["latest_worker_age_minutes"],
        "usual_interval_minutes": usual_interval(
            outages,
            expected_interval_minutes=lane.expected_interval_minutes,
            run_count=counts["worker_run_count"],
            at=at,
        ),
        "outage_count": len(outages),
        "open_outage_count": sum(outage["ended_at"] is None for outage in outages),
        "outage_minutes": sum(outage["minutes_in_window"] for outage in outages),
        "outages": outages,
    }


def _outage(outage: Mapping[str, Any], *, start: datetime, at: datetime) -> dict[str, Any] | None:
    started = moment_of(outage["started_at"]) or start
    ended = moment_of(outage["ended_at"])
    if ended is not None and ended <= start:
        return None
    return {**outage, "minutes_in_window": whole_minutes((ended or at) - max(started, start))}
