"""The command `cavra-pipeline status`: how a home stands, on one screen, and the next command to run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from cavra_pipeline.alerts.operators import list_alerts
from cavra_pipeline.cli.alert_words import evaluation_words, muted_counts, muted_words
from cavra_pipeline.cli.command import answers, command
from cavra_pipeline.cli.common import AS_OF, answer, clock, daemon_of, home, next_command
from cavra_pipeline.cli.tables import (
    ago,
    daemon_words,
    duration_or_never,
    is_daemon_off,
    level,
    no_evidence,
    short_time,
    show_plan_states,
    show_wrong,
)
from cavra_pipeline.cli.worker_down import down_step, interval_step
from cavra_pipeline.evidence.ingest import drops_to_ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.leaks import open_leak_days
from cavra_pipeline.executive.words import count
from cavra_pipeline.executive.wrong import Wrong, down_workers, main_causes, what_is_wrong
from cavra_pipeline.reports.overview import Extent, extent, overview
from cavra_pipeline.retry.sender import host_connectors, host_problems
from cavra_pipeline.state import state_of
from cavra_pipeline.terminal import Terminal


@command("status", "cavra-pipeline status", "cavra-pipeline status --json")
@AS_OF
@answers
def status(as_of: datetime | None) -> None:
    """Show evidence, lanes, alerts and Dagster on one screen.

    Its last line is the next command to run. Alerts, Dagster's daemon and connectors are always those of now. CSV
    lists the lanes. cavra-pipeline doctor checks the home itself.
    """
    settings, now = home(), clock()
    with warehouse_of(settings).reading() as session:
        document = overview(session, as_of=as_of or now, now=now)
        evidence = extent(session, as_of or now)
        document["evidence"]["files_to_ingest_count"] = len(drops_to_ingest(session, settings))
    with state_of(settings).reading() as c:
        listed_alerts = list_alerts(c, settings, now=now)
    leaks = open_leak_days(settings, as_of or now)
    document["evidence"]["open_leak_count"] = sum(leaks.values())
    by_alert_count, silenced_count = muted_counts(listed_alerts["alerts"])
    document |= {
        "alerts": {
            "open_count": listed_alerts["alert_count"],
            "critical_count": sum(alert["severity"] == "critical" for alert in listed_alerts["alerts"]),
            "muted_count": by_alert_count + silenced_count,
            "silenced_count": silenced_count,
            "undelivered_notification_count": len(listed_alerts["unsent_notices"]),
            "connectors": listed_alerts["connectors"],
        },
        "daemon": daemon_of(settings, now),
        "live_lanes": sorted(settings.live_lanes),
        "connectors": {
            "on": list(host_connectors(settings).providers),
            "problem_count": len(host_problems(settings)),
        },
    }
    # Before the first record nothing can be done; the home as it stands now has the next command.
    is_before = evidence.is_empty and evidence.oldest_at
    document["next"] = "cavra-pipeline status" if is_before else _next(document, is_of_now=as_of is None)
    is_daemon_off_now = as_of is None and is_daemon_off(document["daemon"])
    down = [name for name, _ in down_workers(document)]
    step = down_step(down, is_past=as_of is not None, daemon=document["daemon"]) if down else ""
    interval_steps = {
        name: interval_step(
            name, lane["expected_interval_minutes"], is_past=as_of is not None, daemon=document["daemon"]
        )
        for name, lane in document["lanes"].items()
        if lane["usual_interval_minutes"]
    }
    wrong = what_is_wrong(
        document, leaks, is_daemon_off=is_daemon_off_now, down_step=step, interval_steps=interval_steps
    )
    answer(
        document,
        lambda console, summary: _show(console, summary, wrong, evidence, is_of_now=as_of is None),
        _lane_rows,
    )


def _lane_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lanes as rows of numbers and texts; what each alert is about is in the document alone."""
    lanes = document["lanes"].values()
    return [{name: value for name, value in lane.items() if not isinstance(value, list | dict)} for lane in lanes]


def _next(document: Mapping[str, Any], *, is_of_now: bool) -> str:
    """The command that helps most now: whatever the others are based on comes first."""
    worst = document["alert_level"]
    wrong = [name for name, lane in document["lanes"].items() if lane["alert_level"] == worst != "healthy"]
    ways: Iterable[tuple[bool, str]] = (
        (bool(document["evidence"]["files_to_ingest_count"]), "cavra-pipeline ingest"),
        (not document["evidence"]["record_count"], "cavra-pipeline import PATH"),
        (is_of_now and is_daemon_off(document["daemon"]), "cavra-pipeline dev"),
        (bool(document["connectors"]["problem_count"]), "cavra-pipeline connectors test"),
        (bool(document["incidents"]), next_command("incidents --open")),
        (bool(document["evidence"]["open_leak_count"]), "cavra-pipeline findings"),
        (bool(wrong), next_command(f"retry-health --lane {wrong[0]}") if wrong else ""),
        (bool(document["recoveries"]["recovery_open_count"]), next_command("recoveries")),
        (bool(document["alerts"]["open_count"]), "cavra-pipeline alerts"),
    )
    return next((words for holds, words in ways if holds), next_command("dashboard"))


def _show(
    console: Terminal, document: Mapping[str, Any], wrong: Sequence[Wrong], evidence_extent: Extent, *, is_of_now: bool
) -> None:
    evidence, alerts = document["evidence"], document["alerts"]
    connectors, daemon = document["connectors"], document["daemon"]
    to_fix = connectors["problem_count"]
    now = "" if is_of_now else "now: "
    console.facts(
        "Status",
        [
            (
                "state",
                level(_state(document) if evidence["record_count"] else no_evidence(evidence_extent)),
            ),
            ("as of", f"{short_time(document['as_of'])} UTC"),
            ("evidence", _evidence(evidence)),
            ("alerts", now + _alerts(alerts, daemon)),
            ("daemon", now + daemon_words(daemon)),
            (
                "connectors",
                f"{now}{', '.join(connectors['on']) or 'none configured'}{f'; {to_fix} to fix' if to_fix else ''}",
            ),
            ("live lanes", f"{now}{', '.join(document['live_lanes']) or 'none on this host: runs are dry'}"),
        ],
    )
    if evidence["record_count"]:
        show_wrong(console, "What is wrong" if wrong else "Nothing is wrong.", wrong)
    causes = main_causes(document)
    rows = [
        (
            name,
            level(lane["alert_level"]),
            causes.get(name, "-"),
            lane["retryable_count"] - lane["held_count"],
            lane["held_count"],
            lane["suppressed_count"],
            duration_or_never(lane["latest_worker_age_minutes"]),
            lane["waiting_count"],
        )
        for name, lane in document["lanes"].items()
    ]
    if rows and evidence["record_count"]:
        console.table(
            "Lanes in use", ("lane", "state", "why", "ready", "held", "exhausted", "last run", "waiting"), rows
        )
        show_plan_states(console)
    console.next(document["next"])


def _state(document: Mapping[str, Any]) -> str:
    worst, lanes = document["alert_level"], document["lanes"]
    as_bad = sum(lane["alert_level"] == worst for lane in lanes.values())
    return f"{worst}: {as_bad} of {count(len(lanes), 'lane')}"


def _evidence(evidence: Mapping[str, Any]) -> str:
    waiting = evidence["files_to_ingest_count"]
    counted = count(evidence["record_count"], "record")
    newest = f"{counted}, newest {ago(evidence['newest_record_age_minutes'])}" if evidence["record_count"] else "none"
    return f"{newest}; {count(waiting, 'file')} to ingest" if waiting else newest


def _alerts(alerts: Mapping[str, Any], daemon: Mapping[str, Any]) -> str:
    stale = evaluation_words(daemon, alerts["open_count"])
    if stale and not alerts["open_count"]:
        return stale
    muted = muted_words(alerts["muted_count"] - alerts["silenced_count"], alerts["silenced_count"])
    counts = f"{alerts['open_count']:,} open, {alerts['critical_count']:,} critical, {muted}"
    if stale:
        return f"{counts}; {stale}"
    if not alerts["connectors"]:
        return f"{counts}; no one is notified: CAVRA_ALERT_CONNECTORS is empty"
    return f"{counts}; {count(alerts['undelivered_notification_count'], 'undelivered notification')}"
