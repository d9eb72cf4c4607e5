"""How health reports, retry plans and the dashboard look at a terminal. Wording and layout only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from cavra_pipeline.cli.common import next_command
from cavra_pipeline.cli.tables import NO_EVIDENCE, ago, duration_or_never, level, near_time, short_time
from cavra_pipeline.documents import parse_as_of, whole_minutes
from cavra_pipeline.durations import short_duration
from cavra_pipeline.executive.words import count, worker_interval
from cavra_pipeline.lanes import LANES, Gate
from cavra_pipeline.reports.cadence import usual_interval_of
from cavra_pipeline.terminal import Terminal, lines, shown

Show = Callable[[Terminal, Any], None]


def show_no_evidence(console: Terminal, document: Mapping[str, Any], title: str) -> None:
    """Shows, instead of an answer, that there is no evidence that one could be based on."""
    console.facts(title, [("state", NO_EVIDENCE), ("as of", f"{short_time(document['as_of'])} UTC")])
    console.next("cavra-pipeline import PATH")


def unless_empty(show: Show, title: str, *, is_empty: bool) -> Show:
    """Returns how an answer is shown, or on a home without evidence that there is none."""
    return (lambda console, document: show_no_evidence(console, document, title)) if is_empty else show


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
    console.facts(
        f"Retry health of {report['lane']}",
        [
            ("state", level(report["alert_level"])),
            ("as of", f"{short_time(report['as_of'])} UTC"),
            ("worker", _worker(report)),
            ("", _outages(report)),
            ("retry plan", f"{ago(report['latest_retry_plan_age_minutes'])}"),
            ("deliveries", f"{report['unresolved_delivery_count']} failing"),
            *_for_a_person(report),
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
        outages = [
            (short_time(o["started_at"]), short_time(o["ended_at"]) if o["ended_at"] else "open", o["missed_runs"])
            for o in newest
        ]
        console.table("Outages, newest first (UTC)", ("from", "until", "missed runs"), outages, most=10)
    _show_gaps(console, report, "acknowledgement")
    _show_gaps(console, report, "approval")
    if report["missed_worker_count"] and not usual_interval_of(report):
        console.next("cavra-pipeline doctor")
    elif report["unresolved_delivery_count"]:
        console.next(next_command(f"retry-plan --lane {report['lane']}"))


def _for_a_person(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a lane may need of a person, and how much of it is missing."""
    lane = LANES[report["lane"]]
    needs = (
        (lane.gate is Gate.ACKNOWLEDGEMENT, "acknowledgements", f"{report['acknowledgement_pending_count']} missing"),
        (lane.gate is Gate.APPROVAL, "approvals", f"{report['approval_pending_count']} missing"),
        (bool(lane.alerts_of), "alerts", f"{report['outstanding_alert_acknowledgement_count']} to acknowledge"),
    )
    return [(name, words) for is_needed, name, words in needs if is_needed]


def _show_gaps(console: Terminal, report: Mapping[str, Any], needed: str) -> None:
    """Shows the failing deliveries that need an acknowledgement or an approval and have none."""
    subject = LANES[report["lane"]].subject_field
    rows = [
        (gap[subject], gap["provider"], near_time(gap["since"], report["as_of"]), gap[f"{needed}_state"] or "none")
        for gap in report[f"{needed}_gaps"]
    ]
    if rows:
        console.table(f"Missing {needed}s (UTC)", ("subject", "provider", "failing since", needed), rows)


def _worker(report: Mapping[str, Any]) -> str:
    age = report["latest_worker_age_minutes"]
    return "no run yet" if age is None else f"last run {ago(age)}"


def _outages(report: Mapping[str, Any]) -> str:
    missed, outages = report["missed_run_count"], len(report["outages"])
    return f"{count(missed, 'run')} missed in {count(outages, 'outage')}" if outages else "no run missed"


def _executions(report: Mapping[str, Any]) -> str:
    return (
        f"{report['delivered_execution_count']} delivered, {report['failed_execution_count']} failed in "
        f"{short_duration(report['window_hours'] * 60)}; {report['unresolved_failed_execution_count']} unresolved"
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
    held = [
        one
        for one in plan["retry_decisions"]
        if one["action"] == "retry" and (one[subject], one["provider"]) in uncleared
    ]
    due = f"{plan['retryable_count']} due" + (f" ({len(held)} held for a person)" if held else "")
    counts = f"{due}, {plan['waiting_count']} waiting, {plan['suppressed_count']} exhausted"
    policy = (
        f"{plan['max_retry_attempts']} attempts, {plan['base_retry_delay_minutes']:g} min x "
        f"{plan['backoff_multiplier']:g}, at most {short_duration(int(plan['max_retry_delay_minutes']))}"
    )
    console.facts(
        f"Retry plan of {plan['lane']}",
        [
            ("state", level(plan["alert_level"])),
            ("as of", f"{short_time(plan['as_of'])} UTC"),
            ("deliveries", counts),
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
        console.table("Failing deliveries", ("subject", "provider", "due (UTC)", *needed, "HTTP", "failures"), rows)
        first = found[0][0]
        console.next(next_command(f"explain {first[subject]} {first['provider']}"))


def show_dashboard(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows dashboard counts."""
    as_of, lanes = short_time(document["as_of"]), document["lanes"].items()
    if not document["evidence_record_count"]:
        show_no_evidence(console, document, "Dashboard")
        return
    runs = [
        (name, level(lane["alert_level"]), lane["evidence_record_count"], lane["dry_worker_run_count"],
         lane["live_worker_run_count"], "yes" if lane["open_outage_count"] else "no")
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
    if skipped := [(reason.replace("_", " "), number) for reason, number in document["skipped_reasons"].items()]:
        console.table("Skipped retries", ("reason", "retries"), skipped)
    console.part()
    console.print(
        f"Recoveries: {document['recovery_open_count']:,} open, "
        f"{document['recovery_slo_breached_count']:,} of them past the limit, "
        f"{document['recovery_closed_count']:,} closed."
    )
    quarantined = count(document["quarantined_record_count"], "record")
    console.print(f"{quarantined} quarantined, {count(document['redaction_finding_count'], 'finding')}.")
    if document["closure_state"] == "open":
        console.next(next_command("closure"))
