"""How answers look at a terminal. Wording and layout only; every number comes from the documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from cavra_pipeline.executive.words import short_duration
from cavra_pipeline.lanes import LANES
from cavra_pipeline.terminal import MOST_ROWS, Styled, Terminal, beside, shown

if TYPE_CHECKING:
    from cavra_pipeline.demo.month import Story
    from cavra_pipeline.demo.telling import Line

_MINUTES: Final = "%Y-%m-%d %H:%M"

_LEVEL_STYLES: Final = {
    "critical": "bold red",
    "warning": "yellow",
    "healthy": "green",
    "unknown": "dim",
    "retry": "bold",
    "wait": "cyan",
    "breached": "bold red",
    "open": "yellow",
    "closed": "green",
}


def level(name: str) -> Styled:
    """Shows an alert level or an action in its colour."""
    return shown(name, _LEVEL_STYLES.get(name.partition(":")[0], ""))


def short_time(moment: str | None) -> str:
    """Shows an instant to the minute, in UTC."""
    return "-" if moment is None else moment[:16].replace("T", " ")


def show_health(
    console: Terminal,
    report: Mapping[str, Any],
    *,
    brief: bool = False,
    slots: Mapping[str, int] | None = None,
) -> None:
    """Shows a health report, with what the slot ledger counts; in brief, without the lists behind it."""
    subject = LANES[report["lane"]].subject_field
    ran, planned = report["latest_worker_age_minutes"], report["latest_retry_plan_age_minutes"]
    console.facts(
        f"Retry health of {report['lane']}",
        [
            ("state", level(report["alert_level"])),
            ("as of", f"{short_time(report['as_of'])} UTC"),
            ("worker", f"last run {ran} min ago" if ran is not None else "no run yet"),
            ("", f"{report['missed_run_count']} missed runs in {len(report['outages'])} outages"),
            ("retry plan", f"{planned} min old" if planned is not None else "none yet"),
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
            (level(alert["severity"]), alert["message"], action)
            for alert, action in zip(report["alerts"], report["recommended_actions"], strict=True)
        ]
        console.table("Alerts", ("severity", "what is wrong", "what to do"), rows)
    if brief:
        return
    if slots:
        console.table("Slots of its schedule in the window", ("verdict", "slots"), list(slots.items()))
    if report["outages"]:
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


def _executions(report: Mapping[str, Any]) -> str:
    return (
        f"{report['delivered_execution_count']} delivered, {report['failed_execution_count']} failed in "
        f"{report['window_hours']} h; {report['unresolved_failed_execution_count']} unresolved"
    )


def show_plan(console: Terminal, plan: Mapping[str, Any], *, most: int = MOST_ROWS) -> None:
    """Shows a retry plan."""
    subject = LANES[plan["lane"]].subject_field
    counts = f"{plan['retryable_count']} to retry, {plan['waiting_count']} wait, {plan['suppressed_count']} exhausted"
    policy = (
        f"{plan['max_retry_attempts']} attempts, {plan['base_retry_delay_minutes']:g} min x "
        f"{plan['backoff_multiplier']:g}, at most {plan['max_retry_delay_minutes']:g} min"
    )
    console.facts(
        f"Retry plan of {plan['lane']}",
        [
            ("state", level(plan["alert_level"])),
            ("as of", f"{short_time(plan['as_of'])} UTC"),
            ("decisions", counts),
            ("policy", policy),
            ("based on", f"{plan['evidence_record_count']:,} deliveries"),
            ("plan", plan["retry_plan_id"]),
        ],
    )
    if plan["retry_decisions"]:
        rows = [
            (
                d[subject],
                d["provider"],
                level(d["action"]),
                short_time(d["next_retry_at"]),
                f"{d['retry_count']}/{d['max_retry_attempts']}",
                ", ".join(map(str, d["failed_status_codes"])) or "-",
            )
            for d in plan["retry_decisions"]
        ]
        columns = (subject, "provider", "action", "next retry (UTC)", "failures", "status")
        console.table("Decisions", columns, rows, most=most)


def show_worker_run(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows a worker run: what was selected, what waits and why, what became of it."""
    subject = LANES[document["lane"]].subject_field
    kind = "dry run: nothing was sent" if document["dry_run"] else "live run"
    console.facts(
        f"Worker run of {document['lane']}",
        [
            ("kind", kind),
            ("as of", f"{short_time(document['as_of'])} UTC"),
            ("selected", f"{document['selected_retry_count']} of {document['retryable_count']} due"),
            ("acknowledgement", f"{document['acknowledgement_pending_count']} wait for one"),
            ("held back", document["held_retry_count"]),
            ("plan", document["retry_plan_id"]),
            ("run", document["run_id"]),
        ],
    )
    outcomes = {(e[subject], e["provider"]): e for e in document["executions"]}
    rows: list[tuple[Any, ...]] = []
    for decision in document["selected_retries"]:
        sent = outcomes.get((decision[subject], decision["provider"]))
        state = f"{sent['execution_status']} ({sent['reason']})" if sent else "selected"
        rows.append((decision[subject], decision["provider"], state))
    rows += [(d[subject], d["provider"], "waits for an acknowledgement") for d in document["acknowledgement_pending"]]
    rows += [(d[subject], d["provider"], f"held: {d['held_because']}") for d in document["held_retries"]]
    if rows:
        console.table("Retries", (subject, "provider", "state"), rows)
    show_connector_problems(console, document["connector_problems"])


def show_connector_problems(console: Terminal, problems: Sequence[Mapping[str, Any]]) -> None:
    """Shows why connectors cannot be used, and what to fix."""
    rows = [(one["connector"], fault) for one in problems for fault in one["faults"]]
    if rows:
        console.table("Connectors to fix", ("connector", "fault"), rows)


def show_recoveries(console: Terminal, report: Mapping[str, Any]) -> None:
    """Shows the recovery report."""
    has_playbook = report["state"] != "no_playbook"
    counts = f"{report['recovery_open_count']:,} open, {report['recovery_closed_count']:,} closed"
    past = f"{report['recovery_slo_breached_count']:,} open for more than {report['recovery_slo_minutes']:,} minutes"
    closures = sum(report["closure_state_counts"].values())
    console.facts(
        "Recoveries",
        [
            ("state", level(report["alert_level"])),
            ("as of", f"{short_time(report['as_of'])} UTC"),
            ("recoveries", counts if has_playbook else "none is known: no recovery playbook has arrived"),
            *([("past the limit", past)] if has_playbook else []),
            ("based on", f"{report['playbook_count']:,} playbooks, {closures:,} closures"),
            ("report", report["recovery_report_id"]),
        ],
    )
    if report["recoveries"]:
        columns = ("provider", "state", "opened (UTC)", "open for", "playbook_id")
        rows = [_recovery(one) for one in report["recoveries"]]
        console.table("Recoveries, past the limit first, then the newest", columns, rows)
    if outages := [one for one in report["recovery_groups"] if one["recovery_count"] > 1]:
        console.table(
            "Recoveries of one provider that overlap: probably one outage",
            ("provider", "from (UTC)", "until (UTC)", "recoveries"),
            [
                (one["provider"], short_time(one["opened_at"]), short_time(one["closed_at"]), one["recovery_count"])
                for one in outages
            ],
        )


def _recovery(one: Mapping[str, Any]) -> tuple[Any, ...]:
    status, said = one["slo_status"], one["closure_state"]
    minutes = one["age_minutes"] if one["closure_minutes"] is None else one["closure_minutes"]
    state = status if said in (status, "open") else f"{status}: {said}"
    return (one["provider"], level(state), short_time(one["opened_at"]), short_duration(minutes), one["playbook_id"])


def show_playbook(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows the playbook that was written, or says that none was."""
    written = document["playbook"]
    if written is None:
        console.print("No connector calls for a recovery: none fails often enough without an open one.")
        return
    entries = written["connector_recovery_playbook"]["provider_playbooks"]
    rows = [(one["provider"], one["failure_count"], short_time(one["latest_failure_at"])) for one in entries]
    columns = ("provider", "failures", "newest (UTC)")
    console.table(f"Recoveries opened by {written['playbook_id']}", columns, rows)


def show_recovery_closure(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows the closure that was written, or says that the newest one says so already."""
    written = document["closure"]
    if written is None:
        console.print("Nothing to record: the newest closure of this recovery says so already.")
    else:
        console.print(f"{written['provider']} of {written['playbook_id']}: {written['closure_state']}")


def show_closure(console: Terminal, report: Mapping[str, Any]) -> None:
    """Shows the closure report."""
    console.facts(
        "Closure",
        [
            ("state", level(report["closure_state"])),
            ("as of", f"{short_time(report['as_of'])} UTC"),
            ("open items", f"{report['open_item_count']:,}"),
            ("report", report["closure_report_id"]),
        ],
    )
    if report["open_items"]:
        rows = [(one["item"].replace("_", " "), one["count"]) for one in report["open_items"]]
        console.table("What is open now", ("item", "count"), rows)
    if report["cavra_open_items"]:
        named = [(name.replace("_", " "),) for name in report["cavra_open_items"]]
        console.table("What CAVRA's dashboard lists over all records", ("item",), named)


def show_escalation(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows an escalation plan and its delivery."""
    plan = document["plan"]
    counts = (
        f"{plan['open_recovery_count']:,} open, {plan['slo_breached_count']:,} past "
        f"{plan['recovery_slo_minutes']:,} minutes"
    )
    is_known = plan["state"] != "no_playbook"
    console.facts(
        "Escalation plan",
        [
            ("state", level(plan["alert_level"])),
            ("as of", f"{short_time(plan['as_of'])} UTC"),
            ("recoveries", counts if is_known else "none is known: no recovery playbook has arrived"),
            ("retries", f"{plan['failed_execution_count']:,} failed or were skipped and are unresolved"),
            ("notify via", ", ".join(plan["selected_providers"]) or "no one"),
            ("plan", plan["plan_id"]),
        ],
    )
    if plan["escalation_routes"]:
        rows = [
            (one["provider"], level(one["severity"]), short_time(one["opened_at"]), one["recommended_action"])
            for one in plan["escalation_routes"]
        ]
        columns = ("provider", "severity", "open since (UTC)", "do")
        console.table("What waits for people, the most urgent first", columns, rows)
    show_delivery(console, document["delivery"])


def show_delivery(console: Terminal, sent: Mapping[str, Any] | None) -> None:
    """Shows what was, or would be, sent."""
    if sent is None:
        return
    if sent["dry_run"]:
        console.print(f"Dry run: would tell {', '.join(sent['providers']) or 'nobody'}: {sent['title']}")
    for outcome in sent["outcomes"]:
        console.print(f"{outcome['provider']}: {outcome['grade'] or 'not sent'} ({outcome['reason']})")


def show_dashboard(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows dashboard counts."""
    as_of, lanes = short_time(document["as_of"]), document["lanes"].items()
    runs = [
        (name, level(lane["alert_level"]), lane["evidence_record_count"], lane["dry_worker_run_count"],
         lane["live_worker_run_count"], lane["open_outage_count"])
        for name, lane in lanes
    ]  # fmt: skip
    console.table(f"Lanes as of {as_of} UTC", ("lane", "state", "records", "dry runs", "live runs", "outages"), runs)
    gaps = [
        (name, *(lane[f"{status}_execution_count"] for status in ("delivered", "failed", "skipped")),
         " / ".join(str(lane[f"open_{kind}_gap_count"]) for kind in ("acknowledgement", "approval")),
         lane["outstanding_alert_acknowledgement_count"])
        for name, lane in lanes
    ]  # fmt: skip
    title = "Retries, gaps (acknowledgements / approvals), and alerts to acknowledge"
    console.table(title, ("lane", "delivered", "failed", "skipped", "gaps", "alerts"), gaps)
    providers = [(name, p["delivered"], p["failed"]) for name, p in document["deliveries_by_provider"].items()]
    console.table("Deliveries", ("provider", "delivered", "failed"), providers)
    if document["skipped_reasons"]:
        console.table("Skipped retries", ("reason", "retries"), list(document["skipped_reasons"].items()))
    console.print(
        f"Recoveries: {document['recovery_open_count']:,} open, "
        f"{document['recovery_slo_breached_count']:,} of them past the limit, "
        f"{document['recovery_closed_count']:,} closed. The loop is {document['closure_state']}."
    )
    console.print(
        f"{document['quarantined_record_count']} quarantined records, "
        f"{document['redaction_finding_count']} redaction findings"
    )


def show_demo(console: Terminal, lines: Iterable[Line], *, as_of: datetime) -> None:
    """Shows what is wrong after the demo, and where to look: a line each, folded by the terminal alone."""
    console.print(f"What is wrong as of {as_of:{_MINUTES}} UTC, and where to look:", soft_wrap=True)
    for line in lines:
        console.print(beside(line.what, shown("->", "dim"), shown(line.look, "bold")), soft_wrap=True)


def show_stories(console: Terminal, stories: Iterable[Story]) -> None:
    """Shows what happened in the recorded month."""
    rows = [
        (f"{one.began_at:{_MINUTES}}", f"{one.ended_at:{_MINUTES}}" if one.ended_at else "-", one.sentence)
        for one in stories
    ]
    console.table("What happened in the recorded month (UTC)", ("from", "until", "what"), rows)
