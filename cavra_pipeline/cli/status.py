"""The command `cavra-pipeline status`: how a home stands, on one screen, and the next command to run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.alerts.operators import list_alerts
from cavra_pipeline.cli.command import answers, command
from cavra_pipeline.cli.common import AS_OF, answer, clock, home, next_command
from cavra_pipeline.cli.tables import ago, daemon_words, duration_or_never, level, short_time
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.ingest import drops_to_ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.executive.words import count, listed
from cavra_pipeline.reports.overview import overview
from cavra_pipeline.retry.sender import host_connectors, host_problems
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.terminal import Terminal

_MOST_NAMED: Final = 3


@command("status", "cavra-pipeline status", "cavra-pipeline status --json")
@AS_OF
@answers
def status(as_of: datetime | None) -> None:
    """Show evidence, lanes, alerts and Dagster on one screen.

    Its last line is the next command to run. Alerts, Dagster's daemon and connectors are always those of now. CSV
    lists the lanes. `doctor` checks the home itself.
    """
    settings, now = home(), clock()
    with warehouse_of(settings).reading() as session:
        document = overview(session, as_of=as_of or now, now=now)
        document["evidence"]["files_to_ingest_count"] = len(drops_to_ingest(session, settings))
    with state_of(settings).reading() as c:
        listed_alerts = list_alerts(c, settings, now=now)
    document |= {
        "alerts": {
            "open_count": listed_alerts["alert_count"],
            "critical_count": sum(one["severity"] == "critical" for one in listed_alerts["alerts"]),
            "undelivered_notification_count": len(listed_alerts["unsent_notices"]),
        },
        "daemon": _daemon(settings, now),
        "connectors": {
            "on": list(host_connectors(settings).providers),
            "problem_count": len(host_problems(settings)),
        },
    }
    document["next"] = _next(document)
    answer(document, _show, _lane_rows)


def _lane_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lanes as rows of numbers and texts; what each alert is about is in the document alone."""
    lanes = document["lanes"].values()
    return [{name: value for name, value in lane.items() if not isinstance(value, list | dict)} for lane in lanes]


def _daemon(settings: Settings, now: datetime) -> dict[str, Any]:
    from cavra_pipeline.definitions import daemon_state

    try:
        return daemon_state(settings, now)
    except PipelineError:
        # What is wrong is for `doctor` to say; the rest of the screen doesn't depend on it.
        return {"state": "unknown", "last_heartbeat_at": None, "age_minutes": None, "silent": []}


def _next(document: Mapping[str, Any]) -> str:
    """The command that helps most now: whatever the others are based on comes first."""
    worst = document["alert_level"]
    wrong = [name for name, lane in document["lanes"].items() if lane["alert_level"] == worst != "healthy"]
    ways: Iterable[tuple[bool, str]] = (
        (bool(document["evidence"]["files_to_ingest_count"]), "cavra-pipeline ingest"),
        (not document["evidence"]["record_count"], "cavra-pipeline import PATH"),
        (bool(document["connectors"]["problem_count"]), "cavra-pipeline connectors test"),
        (bool(document["incidents"]), next_command("incidents --open")),
        (bool(wrong), next_command(f"retry-health --lane {wrong[0]}") if wrong else ""),
        (bool(document["recoveries"]["recovery_open_count"]), next_command("recoveries")),
        (bool(document["alerts"]["open_count"]), "cavra-pipeline alerts"),
    )
    return next((words for holds, words in ways if holds), next_command("dashboard"))


def _show(console: Terminal, document: Mapping[str, Any]) -> None:
    evidence, recoveries, alerts = document["evidence"], document["recoveries"], document["alerts"]
    connectors, daemon = document["connectors"], document["daemon"]
    silent = f", {_some(daemon['silent'])} silent" if daemon["silent"] else ""
    wrong = connectors["problem_count"]
    console.facts(
        "Status",
        [
            ("state", level(document["alert_level"])),
            ("as of", f"{short_time(document['as_of'])} UTC"),
            ("evidence", _evidence(evidence)),
            ("incidents", _incidents(document["incidents"])),
            (
                "recoveries",
                f"{recoveries['recovery_open_count']:,} open, {recoveries['recovery_slo_breached_count']:,} past "
                f"the limit of {recoveries['recovery_slo_minutes']:,} minutes",
            ),
            (
                "alerts",
                f"{alerts['open_count']:,} open, {alerts['critical_count']:,} critical; "
                f"{count(alerts['undelivered_notification_count'], 'undelivered notification')}",
            ),
            ("daemon", f"{daemon_words(daemon)}{silent}"),
            (
                "connectors",
                f"{', '.join(connectors['on']) or 'none configured'}{f'; {wrong} to fix' if wrong else ''}",
            ),
        ],
    )
    rows = [
        (
            name,
            level(lane["alert_level"]),
            lane["retryable_count"],
            lane["waiting_count"],
            lane["suppressed_count"],
            duration_or_never(lane["latest_worker_age_minutes"]),
        )
        for name, lane in document["lanes"].items()
    ]
    console.print()
    console.table("Lanes in use", ("lane", "state", "due", "waiting", "exhausted", "since last run"), rows)
    if worst := [
        (name, _first_sentence(lane["worst_alert"]["message"]))
        for name, lane in document["lanes"].items()
        if lane["worst_alert"]
    ]:
        console.facts("Worst alert of each lane", worst)
        console.print()
    console.print(f"next: {document['next']}", soft_wrap=True)


def _evidence(found: Mapping[str, Any]) -> str:
    waiting = found["files_to_ingest_count"]
    newest = f"{count(found['record_count'], 'record')}, newest {ago(found['newest_record_age_minutes'])}"
    return f"{newest}; {count(waiting, 'file')} to ingest" if waiting else newest


def _first_sentence(message: str) -> str:
    return f"{message.removesuffix('.').partition('. ')[0]}."


def _incidents(found: list[Mapping[str, Any]]) -> str:
    if not found:
        return "none open"
    named = _some([f"{one['provider']} ({one['cause'].replace('_', ' ')})" for one in found])
    return f"{len(found):,} open: {named}"


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return listed([*names[:_MOST_NAMED], *([f"{more:,} more"] if more > 0 else [])])
