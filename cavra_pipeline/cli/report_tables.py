"""How health reports, retry plans and the dashboard look at a terminal. Wording and layout only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from cavra_pipeline.cli.common import next_command
from cavra_pipeline.cli.tables import NO_EVIDENCE, ago, duration_or_never, level, near_time, short_time
from cavra_pipeline.documents import parse_as_of, whole_minutes
from cavra_pipeline.durations import short_duration
from cavra_pipeline.executive.words import count, worker_interval
from cavra_pipeline.lanes import LANES, Gate
from cavra_pipeline.reports.cadence import usual_interval_of
from cavra_pipeline.terminal import Terminal, lines, shown


def show_no_evidence(console: Terminal, report: Mapping[str, Any]) -> None:
    """Shows, instead of a health report, that there is no evidence that one could be based on."""
    facts = [("state", NO_EVIDENCE), ("as of", f"{short_time(report['as_of'])} UTC")]
    console.facts("Retry health", facts)
    console.next("cavra-pipeline import PATH")


def show_health_of_lanes(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows the health of every lane in use, a line each."""
    rows = [
        (
            lane,
            level(report["alert_level"]),
            report["unresolved_delivery_count"],
            report["acknowledgement_pending_count"] + report["approval_pending_count"],
            duration_or_never(report["latest_worker_age_minutes"]),
            report["missed_run_count"],
            duration_or_never(report["latest_retry_plan_age_minutes"]),
        )
        for lane, report in document["lanes"].items()
    ]
    columns = ("lane", "state", "failing", "gaps", "last run", "missed", "last plan")
    console.table(f"Retry health of the lanes in use, as of {short_time(document['as_of'])} UTC", columns, rows)
    console.print("gaps: missing acknowledgements and approvals; missed: worker runs in the window", style="dim")
    _point_to(console, "retry-health", document)


def show_plans_of_lanes(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows the retry plan of every lane in use, a line each."""
    rows = [
        (
            lane,
            level(plan["alert_level"]),
            plan["retryable_count"],
            plan["waiting_count"],
            plan["suppressed_count"],
            _next_due(plan),
            plan["retry_plan_id"],
        )
        for lane, plan in document["lanes"].items()
    ]  # fmt: skip
    columns = ("lane", "state", "due", "waiting", "exhausted", "next due in", "plan")
    console.table(f"Retry plans of the lanes in use, as of {short_time(document['as_of'])} UTC", columns, rows)
    _point_to(console, "retry-plan", document)


def _next_due(plan: Mapping[str, Any]) -> str:
    """How long after the plan's instant the first waiting delivery is due."""
    waiting = [parse_as_of(one["next_retry_at"]) for one in plan["retry_decisions"] if one["action"] == "wait"]
    return short_duration(whole_minutes(min(waiting) - parse_as_of(plan["as_of"]))) if waiting else "-"


def _point_to(console: Terminal, name: str, document: Mapping[str, Any]) -> None:
    """Names the command that shows more of the worst lane."""
    levels = {lane: report["alert_level"] for lane, report in document["lanes"].items()}
    worst = next((lane for wanted in ("critical", "warning") for lane in levels if levels[lane] == wanted), None)
    if worst:
        console.next(next_command(f"{name} --lane {worst}"))


def show_health(console: Terminal, report: Mapping[str, Any], slots: Mapping[str, int]) -> None:
    """Shows a health report, with what the ledger of scheduled runs counts."""
    subject = LANES[report["lane"]].subject_field
    console.facts(
        f"Retry health of {report['lane']}",
        [
            ("state", level(report["alert_level"])),
            ("as of", f"{short_time(report['as_of'])} UTC"),
            ("worker", _worker(report)),
            ("", _outages(report)),
            ("retry plan", f"{ago(report['latest_retry_plan_age_minutes'])}"),
            ("deliveries", f"{report['unresolved_delivery_count']} failing"),
            ("acknowledgements", f"{report['acknowledgement_pending_count']} missing"),
            ("approvals", f"{report['approval_pending_count']} missing"),
            ("alerts", f"{report['outstanding_alert_acknowledgement_count']} acknowledgements outstanding"),
            ("executions", _executions(report)),
            (
                "based on",
                f"{report['evidence_record_count']:,} records ({report['future_record_count']:,} later ones left out)",
            ),
            ("report", report["health_id"]),
        ],
    )
    if report["alerts"]:
        rows = [
            (level(alert["severity"]), lines(alert["message"], shown(action, "dim")))
            for alert, action in zip(report["alerts"], report["recommended_actions"], strict=True)
        ]
        console.facts("Alerts, and what to do", rows)
    if slots:
        console.table("Scheduled runs in the window", ("verdict", "runs"), list(slots.items()))
    if usual := usual_interval_of(report):
        words = {"usual_interval_minutes": usual, "expected_interval_minutes": report["expected_interval_minutes"]}
        console.facts("Outages", [("-", worker_interval(words))])
    elif report["outages"]:
        newest = list(reversed(report["outages"]))
        outages = [(short_time(o["started_at"]), short_time(o["ended_at"]), o["missed_runs"]) for o in newest]
        console.table("Outages, newest first (UTC)", ("from", "until", "missed runs"), outages, most=10)
    if report["acknowledgement_gaps"]:
        gaps = [
            (g[subject], g["provider"], short_time(g["since"]), g["acknowledgement_state"] or "none")
            for g in report["acknowledgement_gaps"]
        ]
        console.table("Missing acknowledgements", (subject, "provider", "failing since", "state"), gaps)
    if report["approval_gaps"]:
        gaps = [
            (g[subject], g["provider"], short_time(g["since"]), g["approval_state"] or "none")
            for g in report["approval_gaps"]
        ]
        console.table("Missing approvals", (subject, "provider", "failing since", "state"), gaps)


def _worker(report: Mapping[str, Any]) -> str:
    age = report["latest_worker_age_minutes"]
    return "no run yet" if age is None else f"last run {ago(age)}"


def _outages(report: Mapping[str, Any]) -> str:
    missed, outages = report["missed_run_count"], len(report["outages"])
    return f"{count(missed, 'run')} missed in {count(outages, 'outage')}" if outages else "no run missed"


def _executions(report: Mapping[str, Any]) -> str:
    return (
        f"{report['delivered_execution_count']} delivered, {report['failed_execution_count']} failed in "
        f"{report['window_hours']} h; {report['unresolved_failed_execution_count']} unresolved"
    )


#: When a delivery is due, by the action of its decision; ``{}`` stands for the instant until which it waits.
_DUE: Final = {"retry": "now", "wait": "{}", "suppress": "never"}


def show_plan(console: Terminal, plan: Mapping[str, Any], uncleared: Collection[tuple[str, str]]) -> None:
    """Shows a retry plan: what can go first, then what a person must release, what waits, what is exhausted.

    Args:
        console: Where it is shown.
        plan: The plan.
        uncleared: The pairs that still need a person's acknowledgement or approval.
    """
    subject = LANES[plan["lane"]].subject_field
    counts = f"{plan['retryable_count']} to retry, {plan['waiting_count']} wait, {plan['suppressed_count']} exhausted"
    policy = (
        f"{plan['max_retry_attempts']} attempts, {plan['base_retry_delay_minutes']:g} min x "
        f"{plan['backoff_multiplier']:g}, at most {short_duration(int(plan['max_retry_delay_minutes']))}"
    )
    console.facts(
        f"Retry plan of {plan['lane']}",
        [
            ("state", level(plan["alert_level"])),
            ("as of", f"{short_time(plan['as_of'])} UTC"),
            ("decisions", counts),
            ("policy", policy),
            ("based on", count(plan["evidence_record_count"], "delivery", "deliveries")),
            ("plan", plan["retry_plan_id"]),
        ],
    )
    if plan["retry_decisions"]:
        gate = LANES[plan["lane"]].gate
        needed = [] if gate is Gate.REQUEST else ["needs"]
        needs = dict.fromkeys(uncleared, gate.name.lower())
        found = [(d, needs.get((d[subject], d["provider"]), "")) for d in plan["retry_decisions"]]
        found.sort(key=lambda one: (list(_DUE).index(one[0]["action"]), one[1], one[0]["next_retry_at"] or ""))
        rows = [
            (
                d[subject],
                d["provider"],
                _DUE[d["action"]].format(near_time(d["next_retry_at"])),
                *([need] if needed else []),
                ", ".join(map(str, d["failed_status_codes"])) or "-",
                f"{d['retry_count']} of {d['max_retry_attempts']}",
            )
            for d, need in found
        ]
        console.table("Decisions", (subject, "provider", "due (UTC)", *needed, "HTTP", "failures"), rows)
        first = found[0][0]
        console.next(next_command(f"explain {first[subject]} {first['provider']}"))


def show_dashboard(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows dashboard counts."""
    as_of, lanes = short_time(document["as_of"]), document["lanes"].items()
    runs = [
        (name, level(lane["alert_level"]), lane["evidence_record_count"], lane["dry_worker_run_count"],
         lane["live_worker_run_count"], lane["open_outage_count"])
        for name, lane in lanes
    ]  # fmt: skip
    console.table(f"Lanes as of {as_of} UTC", ("lane", "state", "records", "dry runs", "live runs", "down now"), runs)
    gaps = [
        (name, *(lane[f"{status}_execution_count"] for status in ("delivered", "failed", "skipped")),
         *(lane[f"open_{kind}_gap_count"] for kind in ("acknowledgement", "approval")),
         lane["outstanding_alert_acknowledgement_count"])
        for name, lane in lanes
    ]  # fmt: skip
    columns = ("lane", "delivered", "failed", "skipped", "acks", "approvals", "alerts")
    console.table("Retries, and what waits for a person", columns, gaps)
    console.print("acks, approvals: missing for a retry; alerts: not acknowledged yet", style="dim")
    providers = [(name, p["delivered"], p["failed"]) for name, p in document["deliveries_by_provider"].items()]
    if providers:
        console.table("Deliveries", ("provider", "delivered", "failed"), providers)
    if document["skipped_reasons"]:
        console.table("Skipped retries", ("reason", "retries"), list(document["skipped_reasons"].items()))
    console.part()
    console.print(
        f"Recoveries: {document['recovery_open_count']:,} open, "
        f"{document['recovery_slo_breached_count']:,} of them past the limit, "
        f"{document['recovery_closed_count']:,} closed. The loop is {document['closure_state']}."
    )
    console.print(
        f"{document['quarantined_record_count']} quarantined records, "
        f"{document['redaction_finding_count']} redaction findings"
    )
