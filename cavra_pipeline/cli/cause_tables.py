"""How incidents, forecasts and explanations look at a terminal. Wording and layout only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cavra_pipeline.cli.tables import short_time
from cavra_pipeline.terminal import Terminal, shown

_CAUSES: Final = {
    "credentials": "rejects our credentials",
    "gone": "no longer has the address we send to",
    "throttled": "limits our requests",
    "server_error": "returns server errors",
    "no_answer": "does not answer",
    "refused": "answers without accepting the delivery",
    "rejected": "rejects our requests",
    "mixed": "fails in several ways",
}


def show_incidents(console: Terminal, report: Mapping[str, Any]) -> None:
    """Shows the report of provider incidents, the newest first."""
    console.facts(
        "Provider incidents",
        [
            ("as of", f"{short_time(report['as_of'])} UTC"),
            ("incidents", f"{report['incident_count']:,}, {report['open_incident_count']:,} of them open"),
        ],
    )
    if report["incidents"]:
        rows = [_incident(one) for one in reversed(report["incidents"])]
        columns = ("provider", "cause", "from (UTC)", "until (UTC)", "failures", "subjects", "lanes")
        console.table("Incidents, newest first", columns, rows)


def _incident(one: Mapping[str, Any]) -> tuple[Any, ...]:
    codes = ", ".join(map(str, one["status_codes"]))
    lanes = f"{one['lane']} only" if one["lane"] else f"{len(one['lanes'])}"
    return (
        one["provider"],
        f"{_CAUSES[one['cause']]}{f' ({codes})' if codes else ''}",
        short_time(one["began_at"]),
        short_time(one["ended_at"]) if one["ended_at"] else shown("open", "bold red"),
        one["failure_count"],
        one["subject_count"],
        lanes,
    )
