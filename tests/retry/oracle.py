"""The contract's sections 4 to 7 once more, in plain Python over plain records: slow and obvious."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

Record = dict[str, Any]
Pair = tuple[str, str]

_PREFIX = "go-backend-rollback-drill-acknowledgement-audit-delivery-"
_SOURCE = "go_backend_rollback_drill_acknowledgement_audit_"
_ALERT = {
    "recovery_health_alert": "recovery-escalation-retry-health-alert",
    "executive_health_alert": "recovery-executive-report-delivery-retry-health-alert",
}

SUBJECT = {
    "recovery_escalation": ["plan_id", "event_id"],
    "executive_report": ["run_id", "event_id", "session_id"],
    "recovery_health_alert": ["health_id", "event_id"],
    "executive_health_alert": ["health_id", "event_id"],
}
SOURCE = {
    "recovery_escalation": _SOURCE + "recovery_escalation",
    "executive_report": _SOURCE + "recovery_executive_report",
    "recovery_health_alert": _SOURCE + "recovery_escalation_retry_health_alert",
    "executive_health_alert": _SOURCE + "recovery_executive_report_delivery_retry_health_alert",
}
INTERVAL = dict(zip(SUBJECT, (30, 60, 30, 60), strict=True))
STALE = dict(zip(SUBJECT, (120, 180, 120, 180), strict=True))
DELAY = dict(zip(SUBJECT, (15, 30, 15, 15), strict=True))
NAME = dict(zip(SUBJECT, ("recovery_escalation", "executive_delivery", *_ALERT), strict=True))


def when(record: Record) -> datetime:
    return datetime.fromisoformat(record["created_at"])


def order(record: Record) -> tuple[datetime, str]:
    return when(record), record["session_id"]


def provider_of(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def belongs(record: Record, lane: str) -> str | None:
    """Which table of the lane a record belongs to, or None if it is not the lane's."""
    kind = record["metadata_kind"]
    if kind == "release-connector-delivery":
        return "delivery" if record["connector_delivery_source"] == SOURCE[lane] else None
    if not kind.startswith(_PREFIX):
        return None
    last = kind.removeprefix(_PREFIX)
    if lane in _ALERT:
        stem = _ALERT[lane]
        ladders = [f"{stem}-delivery-retry", f"{stem}-retry", stem]
        acknowledgement, plans = f"{stem}-ack", f"{stem}-delivery-retry-plan"
    elif lane == "executive_report":
        ladders = ["recovery-executive-report-delivery-retry"]
        acknowledgement, plans = "", "recovery-executive-report-delivery-retry-plan"
    else:
        ladders = ["recovery-escalation-retry"]
        acknowledgement, plans = "recovery-escalation-ack", "recovery-escalation-delivery-retry-plan"
    table = {acknowledgement: "acknowledgement", plans: "plan"}
    for ladder in ladders:
        table[f"{ladder}-worker-run"] = "worker_run"
        table[f"{ladder}-execution-record"] = "execution"
    return table.get(last)


class Lane:
    """The records of one lane as one instant sees them."""

    def __init__(self, records: Iterable[Record], lane: str, as_of: datetime) -> None:
        self.lane, self.as_of = lane, as_of
        mine = [(belongs(record, lane), record) for record in records if belongs(record, lane)]
        self.future = sum(when(record) > as_of for _, record in mine)
        self.known = [(table, record) for table, record in mine if when(record) <= as_of]

    def of(self, table: str) -> list[Record]:
        return sorted((record for named, record in self.known if named == table), key=order)

    def subject(self, record: Record) -> str | None:
        return next((str(record[name]) for name in SUBJECT[self.lane] if record.get(name)), None)

    def outcomes(self, record: Record) -> dict[str, bool]:
        """Whether each provider of a delivery failed."""
        failed = {provider_of(name) for name in record.get("failed_providers") or []}
        every = {provider_of(name) for name in record.get("providers") or []} | failed
        if failed:
            return {provider: provider in failed for provider in every}
        return dict.fromkeys(every, record.get("delivery_success") is not True)

    def status(self, record: Record, provider: str) -> int | None:
        names = [provider_of(name) for name in record.get("providers") or []]
        codes = record.get("status_codes") or []
        return codes[names.index(provider)] if provider in names and len(codes) == len(names) else None

    def histories(self) -> dict[Pair, list[tuple[Record, bool]]]:
        made: dict[Pair, list[tuple[Record, bool]]] = defaultdict(list)
        for record in self.of("delivery"):
            subject = self.subject(record)
            for provider, failed in self.outcomes(record).items():
                if subject is not None:
                    made[subject, provider].append((record, failed))
        return made

    def failing(self) -> dict[Pair, list[Record]]:
        """The unbroken run of failed deliveries at the end of each pair that has one."""
        made: dict[Pair, list[Record]] = {}
        for pair, history in self.histories().items():
            run: list[Record] = []
            for record, failed in history:
                run = [*run, record] if failed else []
            if run:
                made[pair] = run
        return dict(sorted(made.items()))

    def acknowledged(self, pair: Pair) -> str | None:
        field = SUBJECT[self.lane][0]
        states = [
            record["acknowledgement_state"]
            for record in self.of("acknowledgement")
            if (record.get(field), provider_of(record["provider"])) == pair
        ]
        return states[-1] if states else None


def plan(records: Iterable[Record], lane: str, as_of: datetime, policy: dict[str, Any]) -> dict[str, Any]:
    """What a retry plan must say."""
    seen = Lane(records, lane, as_of)
    immediate = policy.get("allow_immediate_retry", False)
    base = Fraction(str(policy.get("retry_delay_minutes", 0 if immediate else DELAY[lane])))
    base = base if immediate else max(base, Fraction(1))
    attempts = policy.get("max_retry_attempts", 3)
    most = Fraction(str(policy.get("max_retry_delay_minutes", 1440)))
    decisions = []
    for (subject, provider), run in seen.failing().items():
        factor = Fraction(str(policy.get("backoff_multiplier", 2.0))) ** (len(run) - 1)
        delay = timedelta(microseconds=round(min(most, base * factor) * 60_000_000))
        due = when(run[-1]) + delay
        refused = seen.status(run[-1], provider) in policy.get("non_retryable_status_codes", [])
        suppressed = len(run) >= attempts or refused
        action = "suppress" if suppressed else "wait" if as_of < due else "retry"
        decisions.append({
            SUBJECT[lane][0]: subject,
            "provider": provider,
            "action": action,
            "retry_count": len(run),
            "retry_delay_minutes": delay // timedelta(minutes=1),
            "latest_delivery_id": run[-1]["session_id"],
            "latest_delivery_at": when(run[-1]).isoformat(),
            "next_retry_at": None if suppressed else due.isoformat(),
        })  # fmt: skip
    count = {action: sum(d["action"] == action for d in decisions) for action in ("retry", "wait", "suppress")}
    return {
        "decision_count": len(decisions),
        "retryable_count": count["retry"],
        "waiting_count": count["wait"],
        "suppressed_count": count["suppress"],
        "alert_level": "critical" if count["retry"] or count["suppress"] else "warning" if count["wait"] else "healthy",
        "retry_decisions": decisions,
    }


def _enabled(run: Record) -> bool | None:
    nested = run["metadata_kind"].removeprefix(_PREFIX).replace("-", "_")
    return ((run.get(nested) or {}).get("schedule") or {}).get("enabled")


def _outages(runs: list[Record], as_of: datetime, interval: timedelta, start: datetime) -> list[dict[str, Any]]:
    if not runs:
        return [{"started_at": None, "ended_at": None, "missed_runs": 1}]
    made = []
    ends = [*map(when, runs[1:]), None]
    for run, end in zip(runs, ends, strict=True):
        gap = (end or as_of) - when(run)
        if gap > 2 * interval and (end is None or end > start):
            made.append({
                "started_at": (when(run) + interval).isoformat(),
                "ended_at": end.isoformat() if end else None,
                "missed_runs": gap // interval - 1,
            })  # fmt: skip
    return made


def _unresolved_executions(seen: Lane) -> int:
    newest: dict[Pair, Record] = {}
    for record in seen.of("execution"):
        newest[record.get(SUBJECT[seen.lane][0]) or "", provider_of(record["provider"])] = record
    histories = seen.histories()
    return sum(
        record["execution_status"] in ("failed", "skipped")
        and seen.acknowledged(pair) not in ("resolved", "dismissed")
        and not any(order(later) > order(record) and not failed for later, failed in histories.get(pair, []))
        for pair, record in newest.items()
    )


def health(records: Iterable[Record], lane: str, as_of: datetime, parameters: dict[str, Any]) -> dict[str, Any]:
    """What a health report must say."""
    seen = Lane(records, lane, as_of)
    minute = timedelta(minutes=1)
    interval = parameters.get("expected_interval_minutes", INTERVAL[lane]) * minute
    stale = parameters.get("stale_metadata_minutes", STALE[lane]) * minute
    start = as_of - timedelta(hours=parameters.get("window_hours", 168))
    runs, plans = seen.of("worker_run"), seen.of("plan")
    windowed = {name: [r for r in seen.of(name) if when(r) > start] for name in ("worker_run", "plan", "execution")}
    worker_age = as_of - when(runs[-1]) if runs else None
    plan_age = as_of - when(plans[-1]) if plans else None
    outages = _outages(runs, as_of, interval, start)
    failing = seen.failing()
    gaps = [
        {
            "plan_id": pair[0], "provider": pair[1], "since": run[0]["created_at"],
            "acknowledgement_state": seen.acknowledged(pair),
        }
        for pair, run in failing.items()
        if lane == "recovery_escalation" and seen.acknowledged(pair) not in ("acknowledged", "accepted", "resolved")
    ]  # fmt: skip
    missed = int(worker_age is None or worker_age > 2 * interval)
    is_stale = int(plan_age is None or plan_age > stale)
    unresolved_executions = _unresolved_executions(seen)
    name = NAME[lane]
    alerts = [
        {"severity": severity, "category": category}
        for severity, category, stands in (
            ("critical", f"missed_{name}_retry_worker", missed),
            ("warning", f"stale_{name}_retry_plan", is_stale),
            ("warning", "recovery_escalation_acknowledgement_gap", gaps),
            ("critical", f"failed_{name}_retry_execution", unresolved_executions),
            ("critical", "failed_executive_report_delivery", lane == "executive_report" and failing),
            ("warning", f"disabled_{name}_retry_schedule", runs and _enabled(runs[-1]) is False),
        )
        if stands
    ]
    levels = {alert["severity"] for alert in alerts}
    return {
        "latest_worker_run_id": (runs[-1].get("run_id") or runs[-1]["session_id"]) if runs else None,
        "latest_worker_age_minutes": None if worker_age is None else worker_age // minute,
        "missed_worker_count": missed,
        "outages": outages,
        "missed_run_count": sum(outage["missed_runs"] for outage in outages),
        "latest_retry_plan_id": (plans[-1].get("retry_plan_id") or plans[-1]["session_id"]) if plans else None,
        "latest_retry_plan_age_minutes": None if plan_age is None else plan_age // minute,
        "stale_retry_plan_count": is_stale,
        "retry_plan_count": len(windowed["plan"]),
        "worker_run_count": len(windowed["worker_run"]),
        "execution_record_count": len(windowed["execution"]),
        "dry_run_count": sum(run.get("dry_run") is not False for run in windowed["worker_run"]),
        "retryable_count": sum(one.get("retryable_count") or 0 for one in windowed["plan"]),
        "selected_retry_count": sum(run.get("selected_retry_count") or 0 for run in windowed["worker_run"]),
        f"failed_{lane}_delivery_count": sum(
            any(seen.outcomes(record).values()) for record in seen.of("delivery") if when(record) > start
        ),
        "unresolved_delivery_count": len(failing),
        "acknowledgement_gaps": gaps,
        "acknowledgement_pending_count": len(gaps),
        "failed_execution_count": sum(
            one["execution_status"] in ("failed", "skipped") for one in windowed["execution"]
        ),
        "delivered_execution_count": sum(one["execution_status"] == "delivered" for one in windowed["execution"]),
        "unresolved_failed_execution_count": unresolved_executions,
        "disabled_schedule_count": sum(_enabled(run) is False for run in windowed["worker_run"]),
        "future_record_count": seen.future,
        "alerts": alerts,
        "alert_count": len(alerts),
        "alert_level": "critical" if "critical" in levels else "warning" if levels else "healthy",
        "evidence_record_count": len(seen.known),
    }
