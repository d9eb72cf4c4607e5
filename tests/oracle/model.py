"""The oracle: retry plan and health report in plain Python, written from the contract alone (sections 4 to 7).

Slow and short on purpose, so that a difference from the engine says something. Where the contract leaves a choice,
the oracle reads it so (the worked cases agree with each reading that they touch):

- A version that is superseded is gone, also as of an instant before its successor was created.
- The retryable count is the sum over retry plans, the selected count the sum over worker runs.
- Only the two lanes that give a retry a new subject have links (4a). An execution links from the instant it exists;
  of all executions that name a delivery the earliest links it, for its own provider.
- A delivery that is linked belongs to what its own execution retries, also where several retries share a new subject,
  as those of one run do. A delivery that is not linked belongs to its own subject, whatever that stands for.
- A shared subject stands for what the earliest execution says. In a circle every subject stands for itself.
- A record belongs to its kind's table: alert plans and acknowledgements of the worker health to
  `acknowledgement_audit`, a health report to the lane it reports on, an escalation plan, an executive report and its
  scheduled run to the lane that delivers them. Exports, packages and summaries are of no lane.
- A delivery's status for a provider is the last that `delivery.deliveries[]` says of it; where that says none, it
  stands in `status_codes` at the provider's place, if there are as many codes as providers.
- A skipped execution whose code is unknown or missing counts as `other`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Any, Final

from tests.oracle.evidence import OracleLane, OracleRecord, provider_name
from tests.oracle.pairs import OracleLadder, execution_status, outcomes

MINUTE: Final = timedelta(minutes=1)
SKIP_CODES: Final = frozenset(
    {
        "audit_package_not_found",
        "connector_config_not_configured",
        "auditor_export_not_found",
        "dry_run",
        "recovery_escalation_plan_not_found",
        "recovery_executive_report_schedule_run_not_found",
        "recovery_escalation_retry_health_not_found",
        "recovery_executive_report_delivery_retry_health_not_found",
    }
)
CLEARING: Final = frozenset({"acknowledged", "accepted", "resolved"})
ACKNOWLEDGED_ALERT: Final = frozenset({"acknowledged", "resolved"})


def plan(records: Sequence[OracleRecord], lane: OracleLane, as_of: datetime, args: Mapping[str, Any]) -> dict[str, Any]:
    """The counts and decisions of a lane's retry plan (section 6)."""
    return plan_of(OracleLadder(records, lane, as_of), args)


def plan_of(ladder: OracleLadder, args: Mapping[str, Any]) -> dict[str, Any]:
    """The same, where the lane's pairs are known already."""
    decisions = [_decision(ladder, pair, failures, args) for pair, failures in ladder.unsettled().items()]
    actions = Counter(decision["action"] for decision in decisions)
    level = "critical" if actions["retry"] or actions["suppress"] else "warning" if actions["wait"] else "healthy"
    return {
        "decision_count": len(decisions),
        "retryable_count": actions["retry"],
        "waiting_count": actions["wait"],
        "suppressed_count": actions["suppress"],
        "alert_level": level,
        "retry_decisions": decisions,
    }


def _decision(
    ladder: OracleLadder, pair: tuple[str, str], failures: Sequence[OracleRecord], args: Mapping[str, Any]
) -> dict[str, Any]:
    immediate = args.get("allow_immediate_retry", False)
    delay = Fraction(str(args.get("retry_delay_minutes", 0 if immediate else ladder.lane.delay)))
    base = delay if immediate else max(delay, Fraction(1))
    growth = Fraction(str(args.get("backoff_multiplier", 2))) ** (len(failures) - 1)
    minutes = min(base * growth, Fraction(str(args.get("max_retry_delay_minutes", 1440))))
    latest = failures[-1]
    due = latest.at + timedelta(microseconds=floor(minutes * 60_000_000))
    most = args.get("max_retry_attempts", 3)
    refused = set(args.get("non_retryable_status_codes") or ())
    if len(failures) >= most or refused & set(_status_codes(latest, pair[1])):
        action = "suppress"
    else:
        action = "wait" if ladder.as_of < due else "retry"
    audit = {"audit_id": latest.text("audit_id") or None} if ladder.lane.approval else {}
    return {
        ladder.lane.subject_field: pair[0],
        **audit,
        "provider": pair[1],
        "action": action,
        "retry_count": len(failures),
        "max_retry_attempts": most,
        "retry_delay_minutes": floor(minutes),
        "latest_delivery_id": latest.session_id,
        "latest_delivery_at": latest.at.isoformat(),
        "next_retry_at": None if action == "suppress" else due.isoformat(),
        "failed_status_codes": sorted({code for each in failures for code in _status_codes(each, pair[1])}),
    }


def _status_codes(delivery: OracleRecord, provider: str) -> list[int]:
    """The status that a delivery had for a provider, if it says one."""
    entries = (delivery.raw.get("delivery") or {}).get("deliveries") or []
    said = [entry.get("status_code") for entry in entries if provider_name(entry.get("provider") or "") == provider]
    if said and said[-1] is not None:
        return [said[-1]]
    tried, codes = [provider_name(each) for each in delivery.raw["providers"]], delivery.raw.get("status_codes") or []
    known = len(codes) == len(tried) and provider in tried
    return [codes[tried.index(provider)]] if known and codes[tried.index(provider)] is not None else []


def health(
    records: Sequence[OracleRecord], lane: OracleLane, as_of: datetime, args: Mapping[str, Any]
) -> dict[str, Any]:
    """A lane's health report (section 7), the free texts and its own id aside."""
    return health_of(OracleLadder(records, lane, as_of), args)


def health_of(ladder: OracleLadder, args: Mapping[str, Any]) -> dict[str, Any]:
    """The same, where the lane's pairs are known already."""
    lane, as_of = ladder.lane, ladder.as_of
    in_use = lane.name in ("recovery_escalation", "executive_report") or bool(ladder.records)
    interval = args.get("expected_interval_minutes", lane.cadence) * MINUTE
    stale = args.get("stale_metadata_minutes", lane.stale) * MINUTE
    start = as_of - timedelta(hours=args.get("window_hours", 168))
    report: dict[str, Any] = {
        **_worker(ladder, interval, start, in_use),
        **_newest_plan(ladder, stale, in_use),
        **_window(ladder, start),
        **_open(ladder),
        "future_record_count": ladder.future_record_count,
    }
    alerts = _alerts(ladder, report) if in_use else []
    severities = {alert["severity"] for alert in alerts}
    level = "critical" if "critical" in severities else "warning" if severities else "healthy"
    report |= {"alerts": alerts, "alert_count": len(alerts), "alert_level": level if in_use else "unknown"}
    return report


def _age(as_of: datetime, at: datetime) -> int:
    return (as_of - at) // MINUTE


def _worker(ladder: OracleLadder, interval: timedelta, start: datetime, in_use: bool) -> dict[str, Any]:
    runs, as_of = ladder.worker_runs, ladder.as_of
    ends = [(before.at, after.at) for before, after in pairwise(runs) if after.at > start]
    outages: list[dict[str, Any]] = [
        {
            "started_at": (began + interval).isoformat(),
            "ended_at": ended.isoformat(),
            "missed_runs": (ended - began) // interval - 1,
        }
        for began, ended in ends
        if ended - began > 2 * interval
    ]
    if not runs:
        missed = True
        outages.append({"started_at": None, "ended_at": None, "missed_runs": 1})
    else:
        gap = as_of - runs[-1].at
        missed = gap > 2 * interval
        if missed:
            started = (runs[-1].at + interval).isoformat()
            outages.append({"started_at": started, "ended_at": None, "missed_runs": gap // interval - 1})
    outages = outages if in_use else []
    return {
        "latest_worker_run_id": runs[-1].text("run_id") if runs else None,
        "latest_worker_age_minutes": _age(as_of, runs[-1].at) if runs else None,
        "missed_worker_count": int(missed and in_use),
        "outages": outages,
        "missed_run_count": sum(outage["missed_runs"] for outage in outages),
    }


def _newest_plan(ladder: OracleLadder, stale: timedelta, in_use: bool) -> dict[str, Any]:
    plans = ladder.retry_plans
    is_stale = not plans or ladder.as_of - plans[-1].at > stale
    return {
        "latest_retry_plan_id": plans[-1].text("retry_plan_id") if plans else None,
        "latest_retry_plan_age_minutes": _age(ladder.as_of, plans[-1].at) if plans else None,
        "stale_retry_plan_count": int(is_stale and in_use),
    }


def _window(ladder: OracleLadder, start: datetime) -> dict[str, Any]:
    """The counts in (start, as_of]."""
    runs = [run for run in ladder.worker_runs if run.at > start]
    plans = [each for each in ladder.retry_plans if each.at > start]
    executions = [execution for execution in ladder.executions if execution.at > start]
    statuses = Counter(execution_status(execution) for execution in executions)
    failed = [
        delivery for delivery in ladder.deliveries if delivery.at > start and not all(outcomes(delivery).values())
    ]
    after = [
        delivery
        for delivery in failed
        if any(
            not succeeded and _was_settled(ladder, delivery, provider)
            for provider, succeeded in outcomes(delivery).items()
        )
    ]
    return {
        "retry_plan_count": len(plans),
        "worker_run_count": len(runs),
        "execution_record_count": len(executions),
        "dry_run_count": sum(run.raw.get("dry_run") is not False for run in runs),
        "retryable_count": sum(each.number("retryable_count") for each in plans),
        "selected_retry_count": sum(run.number("selected_retry_count") for run in runs),
        f"failed_{ladder.lane.name}_delivery_count": len(failed),
        "failed_after_delivery_count": len(after),
        "failed_execution_count": statuses["failed"] + statuses["skipped"],
        "delivered_execution_count": statuses["delivered"],
        "skipped_execution_count": statuses["skipped"],
        "skipped_reasons": _reasons(executions),
        "disabled_schedule_count": sum(_is_disabled(run) for run in runs),
    }


def _was_settled(ladder: OracleLadder, delivery: OracleRecord, provider: str) -> bool:
    attempts = ladder.pairs.get(ladder.pair_of(delivery, provider))
    return attempts is not None and attempts.settled_before(delivery)


def _reasons(executions: Sequence[OracleRecord]) -> dict[str, int]:
    codes = (
        str(each.inner("skipped") or each.inner("skip_reason") or "")
        for each in executions
        if execution_status(each) == "skipped"
    )
    return dict(sorted(Counter(code if code in SKIP_CODES else "other" for code in codes).items()))


def _is_disabled(run: OracleRecord) -> bool:
    schedule = run.inner("schedule")
    return isinstance(schedule, dict) and schedule.get("enabled") is False


def _open(ladder: OracleLadder) -> dict[str, Any]:
    """What is open at the instant, over the whole history."""
    unsettled, lane = ladder.unsettled(), ladder.lane
    report: dict[str, Any] = {"unresolved_delivery_count": len(unsettled), "acknowledgement_gaps": []}
    if lane.needs_acknowledgement:
        report["acknowledgement_gaps"] = _acknowledgement_gaps(ladder)
    report["acknowledgement_pending_count"] = len(report["acknowledgement_gaps"])
    if lane.approval:
        report["approval_gaps"] = _approval_gaps(ladder)
        report["approval_pending_count"] = len(report["approval_gaps"])
    if lane.required_alerts:
        report["outstanding_alert_acknowledgement_count"] = len(
            outstanding(ladder.records, lane.alert_plan, lane.acknowledgement)
        )
    report["unresolved_failed_execution_count"] = unresolved_failed_executions(ladder)
    return report


def _acknowledgement_gaps(ladder: OracleLadder) -> list[dict[str, Any]]:
    newest = ladder.newest_acknowledgements
    states = {
        pair: newest[pair].text("acknowledgement_state") if pair in newest else None for pair in ladder.unsettled()
    }
    return [
        {
            ladder.lane.subject_field: pair[0],
            "provider": pair[1],
            "since": failures[0].at.isoformat(),
            "acknowledgement_state": states.get(pair),
        }
        for pair, failures in ladder.unsettled().items()
        if states.get(pair) not in CLEARING
    ]


def gap_count(ladder: OracleLadder) -> int:
    """How many pairs of a lane wait for an acknowledgement (section 7)."""
    return len(_acknowledgement_gaps(ladder))


def _approval_gaps(ladder: OracleLadder) -> list[dict[str, Any]]:
    newest = ladder.newest_approvals
    gaps = []
    for pair, failures in ladder.unsettled().items():
        decision = _decision(ladder, pair, failures, {})
        if decision["action"] == "retry" and not ladder.is_approved(pair):
            gaps.append(
                {
                    "delivery_id": pair[0],
                    "audit_id": decision["audit_id"],
                    "provider": pair[1],
                    "since": failures[0].at.isoformat(),
                    "approval_state": newest[pair].text("approval_state") if pair in newest else None,
                }
            )
    return gaps


def unresolved_failed_executions(ladder: OracleLadder) -> int:
    """Pairs whose newest execution failed or was skipped and that nothing has resolved since (section 7)."""
    acknowledgements = ladder.newest_acknowledgements
    return sum(
        execution_status(execution) in ("failed", "skipped")
        and not ladder.is_settled(pair)
        and not (
            pair in acknowledgements
            and acknowledgements[pair].text("acknowledgement_state") in ("resolved", "dismissed")
        )
        for pair, execution in ladder.newest_by_pair(ladder.executions).items()
    )


def outstanding(records: Sequence[OracleRecord], plan_kind: str, ack_kind: str) -> set[tuple[str, str]]:
    """The (health_id, provider) pairs that an alert plan requires and nobody has acknowledged (section 7)."""
    of_kind = sorted(record for record in records if record.kind in (plan_kind, ack_kind))
    plans = {each.text("health_id"): each for each in of_kind if each.kind == plan_kind and each.text("health_id")}
    states = {
        (each.text("health_id"), each.provider): each.text("acknowledgement_state")
        for each in of_kind
        if each.kind == ack_kind
    }
    required = {
        (health_id, provider)
        for health_id, each in plans.items()
        for provider in each.providers("acknowledgement_required_providers")
    }
    return {pair for pair in required if states.get(pair) not in ACKNOWLEDGED_ALERT}


def _alerts(ladder: OracleLadder, report: Mapping[str, Any]) -> list[dict[str, str]]:
    """The alerts in the order of the table in section 7."""
    lane, runs = ladder.lane, ladder.worker_runs
    table = [
        (f"missed_{lane.alert_word}_retry_worker", "critical", report["missed_worker_count"]),
        (f"stale_{lane.alert_word}_retry_plan", "warning", report["stale_retry_plan_count"]),
        ("recovery_escalation_acknowledgement_gap", "warning", report["acknowledgement_pending_count"]),
        ("acknowledgement_audit_approval_gap", "warning", report.get("approval_pending_count", 0)),
        (
            f"{lane.name}_acknowledgement_outstanding",
            "warning",
            report.get("outstanding_alert_acknowledgement_count", 0),
        ),
        (
            f"failed_{lane.alert_word}_retry_execution",
            "critical",
            report["unresolved_failed_execution_count"],
        ),
        (
            "failed_executive_report_delivery",
            "critical",
            report["unresolved_delivery_count"] if lane.name == "executive_report" else 0,
        ),
        (f"disabled_{lane.alert_word}_retry_schedule", "warning", bool(runs) and _is_disabled(runs[-1])),
    ]
    return [{"category": category, "severity": severity} for category, severity, count in table if count]
