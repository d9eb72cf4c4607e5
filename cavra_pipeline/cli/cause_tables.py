"""How incidents, forecasts and explanations look at a terminal. Wording and layout only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cavra_pipeline.cli.tables import short_time
from cavra_pipeline.lanes import LANES
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
        columns = ("provider", "cause", "from (UTC)", "until (UTC)", "failures", "lanes")
        console.table("Incidents, newest first", columns, rows)


def _incident(one: Mapping[str, Any]) -> tuple[Any, ...]:
    codes = ", ".join(map(str, one["status_codes"]))
    lanes = f"{one['lane']} only" if one["lane"] else f"{len(one['lanes'])}"
    return (
        one["provider"],
        f"{_CAUSES[one['cause']]}{f' ({codes})' if codes else ''}",
        short_time(one["began_at"]),
        short_time(one["ended_at"]) if one["ended_at"] else shown("open", "bold red"),
        f"{one['failure_count']:,} of {one['subject_count']:,} subject{'' if one['subject_count'] == 1 else 's'}",
        lanes,
    )


_NEEDS: Final = {
    "policy": "another policy: this one never retries it ({detail})",
    "instant": "the retry delay to pass: {at} UTC",
    "acknowledgement": "an acknowledgement by an operator ({detail})",
    "approval": "an approval decision",
    "subject": "a newer record of the subject that says {detail}",
    "connector": "a connector for {detail} on this host",
    "live_run": "a live run of the worker",
}


def show_explanations(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows why a delivery waits, lane by lane."""
    for one in document["explanations"]:
        needs = [
            _NEEDS[need["needs"]].format(at=short_time(need["at"]), detail=str(need["detail"]).replace("_", " "))
            for need in one["released_by"]
        ]
        console.facts(
            f"{one['subject']} for {one['provider']}",
            [
                ("lane", one["lane"]),
                ("as of", f"{short_time(document['as_of'])} UTC"),
                ("state", _state(one)),
                *[("" if n else "released by", need) for n, need in enumerate(needs)],
                *([("incident", one["provider_incident_id"])] if one["provider_incident_id"] else []),
            ],
        )
        rows = [_line(line) for line in one["lines"]]
        console.table("What happened, in order (UTC)", ("at", "what", "outcome", "why", "record"), rows)


def _state(one: Mapping[str, Any]) -> str:
    if one["settled_at"]:
        return f"delivered at {short_time(one['settled_at'])}"
    return f"{one['state'].replace('_', ' ')}: {(one['reason'] or 'no failure').replace('_', ' ')}"


def _line(line: Mapping[str, Any]) -> tuple[Any, ...]:
    times = f" x {line['record_count']:,}" if line["record_count"] > 1 else ""
    why = (line["reason"] or line["status_code"] or line["by"] or "-") if line["outcome"] != "delivered" else "-"
    return (
        short_time(line["at"]),
        f"{line['what'].replace('_', ' ')}{times}",
        (line["outcome"] or "-").replace("_", " "),
        str(why).replace("_", " ") if line["reason"] else str(why),
        line["record_id"] or line["incident_id"],
    )


def show_forecast(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows what becomes of failing deliveries if nothing changes."""
    subject = LANES[document["lane"]].subject_field
    console.facts(
        f"Forecast of {document['lane']}",
        [
            ("from", f"{short_time(document['as_of'])} UTC"),
            ("until", f"{short_time(document['until'])} UTC, {document['runs']:,} worker runs"),
            ("if every retry fails", f"{document['exhausted_count']:,} of {document['pair_count']:,} exhausted"),
            ("if every retry arrives", f"{document['delivered_count']:,} delivered"),
            ("never tried", f"{document['never_tried_count']:,}"),
            ("queue", f"{document['queue_peak']:,} due at most, late by up to {document['late_by_minutes']:,} minutes"),
        ],
    )
    if document["pairs"]:
        rows = [
            (
                one[subject],
                one["provider"],
                short_time(one["first_tried_at"]),
                short_time(one["exhausted_at"]),
                (one["never_tried"] or "-").replace("_", " "),
            )
            for one in document["pairs"]
        ]
        columns = (subject, "provider", "first tried (UTC)", "exhausted", "never tried")
        console.table("Failing deliveries", columns, rows)
