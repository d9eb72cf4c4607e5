"""How health reports, retry plans and the dashboard look at a terminal. Wording and layout only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cavra_pipeline.cli.common import next_command
from cavra_pipeline.cli.tables import (
    ago,
    duration_or_never,
    level,
    near_time,
    no_evidence,
    said,
    short_time,
)
from cavra_pipeline.documents import instant
from cavra_pipeline.durations import short_duration
from cavra_pipeline.executive.words import count, fix_words, incident_sentence, listed, worker_interval
from cavra_pipeline.executive.wrong import put_off, undecided
from cavra_pipeline.lanes import DECLINING_STATES, LANES, Gate
from cavra_pipeline.reports.cadence import usual_interval_of
from cavra_pipeline.reports.cause_words import DOWN_STEPS, PUT_OFF_STEP, STALE_PLAN_STEP, WHERE_APPROVED
from cavra_pipeline.reports.overview import Extent
from cavra_pipeline.terminal import Terminal, lines, shown

Show = Callable[[Terminal, Any], None]


def show_no_evidence(console: Terminal, document: Mapping[str, Any], title: str, evidence: Extent) -> None:
    """Shows, instead of an answer, that there is no evidence that one could be based on."""
    console.facts(title, [("state", no_evidence(evidence)), ("as of", f"{short_time(document['as_of'])} UTC")])
    if not evidence.oldest_at:
        console.next("cavra-pipeline import PATH")


def unless_empty(show: Show, title: str, evidence: Extent) -> Show:
    """Returns how an answer is shown, or without evidence that there is none."""
    if not evidence.is_empty:
        return show
    return lambda console, document: show_no_evidence(console, document, title, evidence)


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
    console.print("gaps: acknowledgements and approvals, missing or put off; missed: worker runs", style="dim")
    point_to(console, "retry-health", document)


def point_to(console: Terminal, name: str, document: Mapping[str, Any]) -> None:
    """Names the command that shows more of the worst lane."""
    levels = {lane: report["alert_level"] for lane, report in document["lanes"].items()}
    worst = next((lane for wanted in ("critical", "warning") for lane in levels if levels[lane] == wanted), None)
    if worst:
        console.next(next_command(f"{name} --lane {worst}"))


@dataclass(frozen=True, slots=True)
class BesideHealth:
    """What a lane's health report is shown with.

    Attributes:
        slots: How many scheduled runs of the window have each verdict.
        incidents: The provider incidents that are open in the lane.
        failed: The retries that failed or were skipped and are unresolved.
        unanswered: The open health alerts.
        down_step: What to do about the worker, if it is down.
        interval_step: What to do about the worker, if it runs less often than expected.
    """

    slots: Mapping[str, int]
    incidents: Sequence[Mapping[str, Any]]
    failed: Sequence[Mapping[str, Any]]
    unanswered: Sequence[Mapping[str, Any]]
    down_step: str = ""
    interval_step: str = ""


def show_health(console: Terminal, report: Mapping[str, Any], about: BesideHealth) -> None:
    """Shows a health report, and what is beside it."""
    console.facts(
        f"Retry health of {report['lane']}",
        [
            ("state", level(report["alert_level"])),
            ("as of", f"{short_time(report['as_of'])} UTC"),
            ("worker", _worker(report)),
            ("", _outages(report)),
            ("retry plan", f"{ago(report['latest_retry_plan_age_minutes'])}"),
            ("deliveries", f"{report['unresolved_delivery_count']} failing"),
            *_for_a_person(report, about.unanswered),
            ("retries", _retries(report)),
            ("based on", f"{report['evidence_record_count']:,} records{_later(report['future_record_count'])}"),
            ("report", report["health_id"]),
        ],
    )
    _show_problems(console, report, about)
    if about.slots:
        runs = [(verdict.replace("_", " "), number) for verdict, number in about.slots.items()]
        console.table("Scheduled runs in the window", ("verdict", "runs"), runs)
    if report["outages"] and not usual_interval_of(report):
        newest = list(reversed(report["outages"]))
        outages = [
            (short_time(o["started_at"]), short_time(o["ended_at"]) if o["ended_at"] else "open", o["missed_runs"])
            for o in newest
        ]
        console.table("Outages, newest first (UTC)", ("from", "until", "missed runs"), outages, most=10)
    _show_failed(console, report, about.failed)
    _show_gaps(console, report, "acknowledgement")
    _show_gaps(console, report, "approval")
    unanswered = about.unanswered
    if unanswered:
        pairs = [(pair["health_id"], pair["provider"], pair["acknowledgement_state"] or "none") for pair in unanswered]
        console.table("Open health alerts", ("subject", "provider", "acknowledgement"), pairs)
    if about.down_step:
        is_off = about.down_step == DOWN_STEPS["daemon_off"]
        schedule = f"scheduled-runs --schedule {LANES[report['lane']].schedule}"
        console.next(f"cavra-pipeline {'dev' if is_off else schedule}")
    elif first_pair := next((pair for pair in unanswered if not pair["acknowledgement_state"]), None):
        first = f"--subject {first_pair['health_id']} --provider {first_pair['provider']}"
        console.next(f"cavra-pipeline ack --lane {report['lane']} {first} --state acknowledged --by LABEL")
    elif report["unresolved_delivery_count"]:
        console.next(next_command(f"retry-plan --lane {report['lane']}"))


def problems_of(report: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], str]]:
    """Returns the alerts of a health report, each with what to do, the critical ones first."""
    problems = list(zip(report["alerts"], report["recommended_actions"], strict=True))
    return sorted(problems, key=lambda problem: problem[0]["severity"] != "critical")


def _show_problems(console: Terminal, report: Mapping[str, Any], about: BesideHealth) -> None:
    """Shows what is wrong in a lane and what to do: broken providers first, as more follows from them."""
    rows = [
        ("critical", incident_sentence(incident, report["as_of"]), fix_words(incident["cause"], incident["provider"]))
        for incident in about.incidents
    ]
    is_missed = any(alert["category"] == _missed_worker(report) for alert in report["alerts"])
    if (interval := _interval(report)) and not is_missed:
        rows.append(("warning", f"{interval[:1].upper()}{interval[1:]}.", about.interval_step))
    for alert, action in problems_of(report):
        states = _states(report, alert, about.unanswered)
        is_put_off = bool(states) and all(state in DECLINING_STATES for state in states)
        step = PUT_OFF_STEP if is_put_off else _step(report, alert, action, about)
        rows.append((alert["severity"], _message(alert, states), step))
    rows.sort(key=lambda row: row[0] != "critical")
    if rows:
        shown_rows = [(level(severity), lines(what, shown(step, "dim"))) for severity, what, step in rows]
        console.facts("Problems, and what to do", shown_rows)


def _states(
    report: Mapping[str, Any], alert: Mapping[str, Any], unanswered: Sequence[Mapping[str, Any]]
) -> list[str | None]:
    """What a person has said of each gap that an alert counts, if anything."""
    lane = LANES[report["lane"]]
    return {
        f"{lane.alert_name}_acknowledgement_gap": [
            gap["acknowledgement_state"] for gap in report["acknowledgement_gaps"]
        ],
        f"{lane.alert_name}_approval_gap": [gap["approval_state"] for gap in report["approval_gaps"]],
        f"{lane.name}_acknowledgement_outstanding": [pair["acknowledgement_state"] for pair in unanswered],
    }.get(alert["category"], [])


def _message(alert: Mapping[str, Any], states: Sequence[str | None]) -> str:
    """The message of an alert, with how many of those that it counts a person has put off."""
    message = str(alert["message"])
    return f"{message.removesuffix('.')}{put_off(states)}." if put_off(states) else message


def _missed_worker(report: Mapping[str, Any]) -> str:
    return f"missed_{LANES[report['lane']].alert_name}_retry_worker"


def _step(report: Mapping[str, Any], alert: Mapping[str, Any], action: str, about: BesideHealth) -> str:
    """What to do about a problem: a worker that is down makes no plan, so its run is all that a stale plan needs."""
    lane = LANES[report["lane"]]
    worker_step = about.down_step or about.interval_step
    if alert["category"] == _missed_worker(report) and worker_step:
        return worker_step
    if alert["category"] == f"stale_{lane.alert_name}_retry_plan" and report["missed_worker_count"]:
        return STALE_PLAN_STEP
    is_approval = alert["category"] == f"{lane.alert_name}_approval_gap"
    return f"{action.removesuffix('.')}. {WHERE_APPROVED}" if is_approval else action


def _show_failed(console: Terminal, report: Mapping[str, Any], failed: Sequence[Mapping[str, Any]]) -> None:
    """Shows the retries that failed or were skipped and are unresolved."""
    rows = [
        (
            pair["subject"],
            pair["provider"],
            near_time(instant(pair["failed_at"]), report["as_of"]),
            f"skipped: {said(pair['reason'])}" if pair["reason"] else "failed",
        )
        for pair in failed
    ]
    if rows:
        columns = ("subject", "provider", "at (UTC)", "retry")
        console.table("Failed and skipped retries, unresolved", columns, rows, is_last_folded=True)


def _for_a_person(report: Mapping[str, Any], unanswered: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What a lane may need of a person, and how much of it is missing."""
    lane = LANES[report["lane"]]
    needs = (
        (
            lane.gate is Gate.ACKNOWLEDGEMENT,
            "acknowledgements",
            _undecided(report["acknowledgement_gaps"], "acknowledgement_state", "missing"),
        ),
        (lane.gate is Gate.APPROVAL, "approvals", _undecided(report["approval_gaps"], "approval_state", "missing")),
        (bool(lane.alerts_of), "health alerts", _undecided(unanswered, "acknowledgement_state", "to acknowledge")),
    )
    return [(name, words) for is_needed, name, words in needs if is_needed]


def _undecided(rows: Sequence[Mapping[str, Any]], state: str, missing: str) -> str:
    """How many rows need a person, and how many of these a person has put off, by the state."""
    return listed(undecided([row[state] for row in rows], missing)) or f"0 {missing}"


def _show_gaps(console: Terminal, report: Mapping[str, Any], needed: str) -> None:
    """Shows the failing deliveries that need an acknowledgement or an approval and have none."""
    subject = LANES[report["lane"]].subject_field
    rows = [
        (gap[subject], gap["provider"], near_time(gap["since"], report["as_of"]), gap[f"{needed}_state"] or "none")
        for gap in report[f"{needed}_gaps"]
    ]
    if rows:
        console.table(f"{needed.capitalize()} gaps (UTC)", ("subject", "provider", "failing since", needed), rows)


def _later(number: int) -> str:
    return f" ({number:,} later ones left out)" if number else ""


def _worker(report: Mapping[str, Any]) -> str:
    age = report["latest_worker_age_minutes"]
    return "no run yet" if age is None else f"last run {ago(age)}"


def _interval(report: Mapping[str, Any]) -> str:
    """How often the worker runs, if it runs regularly and less often than expected; else empty."""
    usual, expected = usual_interval_of(report), report["expected_interval_minutes"]
    return worker_interval({"usual_interval_minutes": usual, "expected_interval_minutes": expected}) if usual else ""


def _outages(report: Mapping[str, Any]) -> str:
    missed, outages = report["missed_run_count"], len(report["outages"])
    if interval := _interval(report):
        return f"{interval.removeprefix('the retry worker ')}: {count(missed, 'run')} missed"
    return f"{count(missed, 'run')} missed in {count(outages, 'outage')}" if outages else "no run missed"


def _retries(report: Mapping[str, Any]) -> str:
    return (
        f"{report['delivered_execution_count']} delivered, "
        f"{report['failed_execution_count'] - report['skipped_execution_count']} failed, "
        f"{report['skipped_execution_count']} skipped in {short_duration(report['window_hours'] * 60)}; "
        f"{report['unresolved_failed_execution_count']} unresolved"
    )


def show_dashboard(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows dashboard counts."""
    as_of, lanes = short_time(document["as_of"]), document["lanes"].items()
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
    columns = ("lane", "delivered", "failed", "skipped", "acks", "approvals", "alert acks")
    console.table("Retries of all evidence so far, and what needs a person", columns, gaps)
    console.print("acks, approvals: missing for a retry, or put off; alert acks: open health alerts", style="dim")
    providers = [(name, p["delivered"], p["failed"]) for name, p in document["deliveries_by_provider"].items()]
    if providers:
        console.table("Attempts of all evidence so far", ("provider", "delivered", "failed"), providers)
    if skipped := [(said(reason), number) for reason, number in document["skipped_reasons"].items()]:
        console.table("Skipped retries", ("reason", "retries"), skipped)
        if "dry_run" in document["skipped_reasons"]:
            console.print("dry run: recorded as skipped by a dry run; most dry runs record no retry", style="dim")
    console.part()
    console.print(
        f"Recoveries: {document['recovery_open_count']:,} open, "
        f"{document['recovery_slo_breached_count']:,} of them past the limit, "
        f"{document['recovery_closed_count']:,} closed."
    )
    quarantined = count(document["quarantined_record_count"], "record")
    console.print(f"In all, {quarantined} quarantined, {count(document['redaction_finding_count'], 'finding')}.")
    is_wrong = any(lane["alert_level"] in ("warning", "critical") for _, lane in lanes)
    if is_wrong or document["closure_state"] == "open":
        console.next(next_command("retry-health" if is_wrong else "closure"))
