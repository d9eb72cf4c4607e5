"""The commands on causes: which provider is broken, what will be exhausted when, and why a delivery waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import click

from cavra_pipeline.causes.explain import explain
from cavra_pipeline.causes.forecast import ForecastParameters, forecast, forecast_parameters
from cavra_pipeline.cli import columns
from cavra_pipeline.cli.command import answers, command
from cavra_pipeline.cli.common import ANY_LANE, AS_OF, answer, clock, home, lane_option, next_command, of_lanes, reading
from cavra_pipeline.cli.tables import short_time, without_year
from cavra_pipeline.declared import options_of
from cavra_pipeline.executive.words import provider_name
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.reports.cause_words import CAUSE_WORDS, RELEASE_WORDS
from cavra_pipeline.reports.health import lanes_in_use
from cavra_pipeline.reports.incidents import PROBED_CAUSES, incident_reports
from cavra_pipeline.reports.policy import RetryPolicy, retry_policy
from cavra_pipeline.retry.sender import connector_check
from cavra_pipeline.terminal import Terminal, lines, shown

#: Why a delivery is never tried, where a plan has another word for it.
_NEVER: Final = {"not_retryable": "suppressed"}
#: What a delivery may wait for that only a person gives.
_BY_A_PERSON: Final = ("acknowledgement", "approval")


@command("incidents", "cavra-pipeline incidents --open", "cavra-pipeline incidents --provider servicenow --json")
@AS_OF
@click.option("--provider", metavar="NAME", help="Only incidents of this provider.")
@click.option("--open", "is_open", is_flag=True, help="Only incidents that are open.")
@answers
def incidents(as_of: datetime | None, provider: str | None, is_open: bool) -> None:
    """List broken providers: since when, why, until when."""
    now = clock()
    with reading() as session:
        (report,) = incident_reports(session, instants=[as_of or now], now=now, provider=provider, is_open=is_open)
    answer(report, _show_incidents, "incidents", columns.INCIDENTS)


@command("explain", "cavra-pipeline explain SUBJECT PROVIDER")
@click.argument("subject")
@click.argument("provider")
@lane_option(help=f"One of {', '.join(LANES)}; every lane that names the subject if not given.")
@AS_OF
@answers
def explain_command(subject: str, provider: str, lane: Lane | None, as_of: datetime | None) -> None:
    """Show why one delivery waits, and what would release it.

    Lists all that concerns SUBJECT at PROVIDER, in order, each with its record.
    """
    now, has_connector = clock(), connector_check(home())
    with reading() as session:
        document = explain(
            session,
            subject=subject,
            provider=provider,
            lane=lane,
            as_of=as_of or now,
            now=now,
            has_connector=has_connector,
        )
    answer(document, _show_explanations, _steps)


@command(
    "forecast",
    "cavra-pipeline forecast",
    "cavra-pipeline forecast --lane recovery_escalation --hours 72 --json",
)
@ANY_LANE
@options_of(ForecastParameters)
@AS_OF
@options_of(RetryPolicy)
@answers
def forecast_command(
    lane: Lane | None,
    hours: int | None,
    max_retry_deliveries: int | None,
    as_of: datetime | None,
    **fields: Any,
) -> None:
    """Predict what becomes of failures if nothing changes.

    Says what is tried when, what is exhausted when, and what is never tried and why.
    """
    now, has_connector = clock(), connector_check(home())
    parameters = forecast_parameters(hours=hours, max_retry_deliveries=max_retry_deliveries)
    at = as_of or now
    with reading() as session:
        lanes = [lane] if lane else lanes_in_use(session, as_of=at, now=now)
        found = [
            forecast(
                session, one, retry_policy(one, fields), parameters, as_of=at, now=now, has_connector=has_connector
            )
            for one in lanes
        ]
    if lane:
        answer(found[0], _show_forecast, "pairs", columns.forecast_columns(lane))
        return
    answer(of_lanes(found, at), _show_forecasts, _pair_rows, columns.forecasts_of_lanes(lanes))


def _pair_rows(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for lane, one in document["lanes"].items():
        for pair in one["pairs"]:
            yield {"lane": lane, **pair}


def _show_forecasts(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows the forecast of every lane in use, a line each."""
    rows = [
        (lane, one["pair_count"], one["exhausted_count"], one["delivered_count"], one["never_tried_count"])
        for lane, one in document["lanes"].items()
    ]
    columns_ = ("lane", "failing", "exhausted if retries fail", "delivered if they arrive", "never tried")
    console.table(f"Forecast of the lanes in use, from {short_time(document['as_of'])} UTC", columns_, rows)
    failing = [lane for lane, one in document["lanes"].items() if one["pairs"]]
    if failing:
        console.print(f"next: {next_command(f'forecast --lane {failing[0]}')}", soft_wrap=True)


def _show_incidents(console: Terminal, report: Mapping[str, Any]) -> None:
    """Shows the report of provider incidents, the newest first."""
    console.facts(
        "Provider incidents",
        [
            ("as of", f"{short_time(report['as_of'])} UTC"),
            ("incidents", _counted(report["incident_count"], report["open_incident_count"])),
        ],
    )
    if report["incidents"]:
        rows = [_incident(one) for one in reversed(report["incidents"])]
        columns = ("provider", "cause", "from (UTC)", "until (UTC)", "failures", "lanes")
        console.table("Incidents, newest first", columns, rows)
    for one in report["incidents"]:
        if not one["ended_at"]:
            step = CAUSE_WORDS[one["cause"]].step.format(name=provider_name(one["provider"]))
            is_probed = one["cause"] in PROBED_CAUSES
            probe = ", then try one retry: cavra-pipeline worker --lane LANE --probe --live" if is_probed else ""
            console.print(f"next: {step}{probe}", soft_wrap=True)


def _counted(every: int, still_open: int) -> str:
    return f"{still_open:,} open, {every - still_open:,} ended" if every else "none"


def _incident(one: Mapping[str, Any]) -> tuple[Any, ...]:
    codes = ", ".join(map(str, one["status_codes"]))
    lanes = f"{one['lane']} only" if one["lane"] else f"{len(one['lanes'])}"
    return (
        one["provider"],
        f"{CAUSE_WORDS[one['cause']].what}{f' ({codes})' if codes else ''}",
        short_time(one["began_at"]),
        short_time(one["ended_at"]) if one["ended_at"] else shown("open", "bold red"),
        f"{one['failure_count']:,} in {one['subject_count']:,} subject{'' if one['subject_count'] == 1 else 's'}",
        lanes,
    )


def _show_explanations(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows why a delivery waits, lane by lane."""
    for one in document["explanations"]:
        needs = [
            RELEASE_WORDS[need["needs"]].format(
                at=f"{short_time(need['at'])} UTC", detail=str(need["detail"]).replace("_", " ")
            )
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
        console.table("What happened, in order (UTC)", ("at", "what, and its record"), rows)
        if command_line := _next(one):
            console.print(f"next: {command_line}", soft_wrap=True)


def _next(one: Mapping[str, Any]) -> str:
    """The command for what a delivery waits for that a person can do here; empty where there is none."""
    needs = {need["needs"] for need in one["released_by"]}
    if "acknowledgement" in needs:
        words = f"ack --lane {one['lane']} --plan {one['subject']} --provider {one['provider']}"
        return f"cavra-pipeline {words} --state acknowledged --by LABEL"
    if "approval" in needs:
        return "approve it in CAVRA, then import and ingest its evidence"
    if one["provider_incident_id"] and needs:
        return next_command(f"incidents --provider {one['provider']}")
    return f"cavra-pipeline worker --lane {one['lane']} --live" if needs == {"live_run"} else ""


def _steps(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"lane": one["lane"], "subject": one["subject"], "provider": one["provider"], **line}
        for one in document["explanations"]
        for line in one["lines"]
    ]


def _state(one: Mapping[str, Any]) -> str:
    if one["settled_at"]:
        return f"delivered at {short_time(one['settled_at'])}"
    held = next((need["needs"] for need in one["released_by"] if need["needs"] in _BY_A_PERSON), None)
    if one["state"] == "retry" and held:
        return f"due, but it needs an {held}"
    return f"{one['state'].replace('_', ' ')}: {(one['reason'] or 'no failure').replace('_', ' ')}"


def _line(line: Mapping[str, Any]) -> tuple[Any, ...]:
    reason = (line["reason"] or "").replace("_", " ") or line["status_code"] or line["by"]
    outcome = (line["outcome"] or "").replace("_", " ")
    happened = ", ".join(str(one) for one in (outcome, reason if line["outcome"] != "delivered" else None) if one)
    times = f" ({line['record_count']:,} times)" if line["record_count"] > 1 else ""
    told = ": ".join(filter(None, [line["what"].replace("_", " "), happened]))
    return short_time(line["at"]), lines(told + times, shown(line["record_id"] or line["incident_id"], "dim"))


def _show_forecast(console: Terminal, document: Mapping[str, Any]) -> None:
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
                f"never: {_NEVER.get(one['never_tried'], one['never_tried']).replace('_', ' ')}"
                if one["never_tried"]
                else without_year(one["first_tried_at"]),
                without_year(one["exhausted_at"]),
            )
            for one in document["pairs"]
        ]
        columns = (subject, "provider", "first tried", "exhausted")
        console.table("Failing deliveries", columns, rows)
