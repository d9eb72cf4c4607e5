"""The commands on causes: which provider is broken, what will be exhausted when, and why a delivery waits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import click

from cavra_pipeline.causes.advice import whom_to_ask
from cavra_pipeline.causes.explain import explain
from cavra_pipeline.causes.forecast import ForecastParameters, forecast
from cavra_pipeline.cli import columns
from cavra_pipeline.cli.command import answers, command
from cavra_pipeline.cli.common import ANY_LANE, AS_OF, answer, clock, home, lane_option, next_command, of_lanes, reading
from cavra_pipeline.cli.report_tables import unless_empty
from cavra_pipeline.cli.tables import near_time, said, short_time
from cavra_pipeline.cli.worker_down import forecast_note
from cavra_pipeline.declared import options_of
from cavra_pipeline.documents import naive_utc
from cavra_pipeline.durations import short_duration
from cavra_pipeline.errors import UsageError, checked
from cavra_pipeline.executive.words import fix_words, listed
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.provider_names import provider_title
from cavra_pipeline.reports.cause_words import CAUSE_WORDS, NOTHING_TO_FIX, RELEASE_WORDS, held_words
from cavra_pipeline.reports.clearance import declined_states
from cavra_pipeline.reports.health import lanes_in_use
from cavra_pipeline.reports.incidents import PROBED_CAUSES, incident_reports, require_known_provider
from cavra_pipeline.reports.overview import extent
from cavra_pipeline.reports.policy import RetryPolicy, retry_policy
from cavra_pipeline.retry.sender import connector_check
from cavra_pipeline.terminal import Terminal, lines, shown
from cavra_pipeline.warehouse import Session

#: What a delivery that is never tried lacks.
_NEVER: Final = {
    "acknowledgement": "no acknowledgement",
    "approval": "no approval",
    "no_connector": "no connector",
    "not_retryable": "no attempt left",
    "schedule_disabled": "schedule is off",
    "not_due": "not due until then",
}
#: What a delivery may wait for that only a person gives.
_BY_A_PERSON: Final = ("acknowledgement", "approval")


@command("incidents", "cavra-pipeline incidents --open", "cavra-pipeline incidents --provider servicenow --json")
@AS_OF
@click.option("--provider", metavar="NAME", help="Only incidents of this provider.")
@click.option("--open", "is_open", is_flag=True, help="Only incidents that are open.")
@answers
def incidents(as_of: datetime | None, provider: str | None, is_open: bool) -> None:
    """List broken providers: since when, why, until when."""
    now, settings = clock(), home()
    with reading() as session:
        (report,) = incident_reports(session, instants=[as_of or now], now=now, provider=provider, is_open=is_open)
        evidence = extent(session, as_of or now)
        if provider and not report["incidents"]:
            require_known_provider(session, provider, as_of or now)
    show = unless_empty(
        lambda console, incident_report: _show_incidents(console, incident_report, settings.live_lanes),
        "Provider incidents",
        evidence,
    )
    answer(report, show, "incidents", columns.INCIDENTS)


@command("explain", "cavra-pipeline explain gordackrecoveryesc-74d8f7b2894ef76b slack")
@click.argument("subject")
@click.argument("provider")
@lane_option(help=f"One of {', '.join(LANES)}; every lane that names the subject if not given.")
@AS_OF
@answers
def explain_command(subject: str, provider: str, lane: Lane | None, as_of: datetime | None) -> None:
    """Show why one delivery waits, and what would release it.

    Lists all that concerns SUBJECT at PROVIDER in order of time, each with its record. Copy both from
    retry-plan --lane LANE.
    """
    now, settings = clock(), home()
    with reading() as session:
        evidence = extent(session, as_of or now)
        if evidence.is_empty and not evidence.oldest_at:
            remedy = "Run cavra-pipeline import PATH, or cavra-pipeline demo"
            raise UsageError("there is no evidence yet to explain it from", where="explain", remedy=remedy)
        document = explain(
            session,
            subject=subject,
            provider=provider,
            lane=lane,
            as_of=as_of or now,
            now=now,
            has_connector=connector_check(settings),
        )
    answer(document, lambda console, explanation: _show_explanations(console, explanation, settings.live_lanes), _steps)


@command(
    "forecast",
    "cavra-pipeline forecast",
    "cavra-pipeline forecast --lane recovery_escalation --hours 72 --json",
)
@ANY_LANE
@options_of(ForecastParameters)
@AS_OF
@options_of(RetryPolicy, "Retry policy")
@answers
def forecast_command(
    lane: Lane | None,
    hours: int | None,
    max_retry_deliveries: int | None,
    as_of: datetime | None,
    **fields: Any,
) -> None:
    """Predict what becomes of failures if nothing changes.

    Says what is tried when, what is exhausted when, and what is not retried and why.
    """
    now, settings = clock(), home()
    has_connector = connector_check(settings)
    parameters = checked(ForecastParameters, {"hours": hours, "max_retry_deliveries": max_retry_deliveries})
    at = as_of or now
    with reading() as session:
        lanes = [lane] if lane else lanes_in_use(session, as_of=at, now=now)
        forecasts = [
            forecast(
                session,
                each_lane,
                retry_policy(each_lane, fields),
                parameters,
                as_of=at,
                now=now,
                has_connector=has_connector,
            )
            for each_lane in lanes
        ]
        evidence = extent(session, at)
        declined = _declined(session, lane, forecasts[0], at) if lane else {}
    idle = [each_lane.name for each_lane in lanes if each_lane.name not in settings.live_lanes]

    def show_it(console: Terminal, document: Mapping[str, Any]) -> None:
        if idle:
            are_not = f"{listed(idle)} {'is' if len(idle) == 1 else 'are'} not"
            which = "No lane is" if len(idle) == len(lanes) > 1 else are_not
            console.print(f"This is what live runs would do. {which} live on this host.")
        if lane:
            _show_forecast(console, document, declined, forecast_note(lane.name) if as_of is None else "")
        else:
            _show_forecasts(console, document)

    show = unless_empty(show_it, "Forecast", evidence)
    if lane:
        answer(forecasts[0], show, "pairs", columns.forecast_columns(lane))
        return
    answer(of_lanes(forecasts, at), show, _pair_rows, columns.forecasts_of_lanes(lanes))


def _declined(
    session: Session, lane: Lane, lane_forecast: Mapping[str, Any], at: datetime
) -> dict[tuple[str, str], str]:
    """The pairs of a forecast that a person has decided against, each with the state."""
    pairs = [pair for pair in lane_forecast["pairs"] if pair["never_tried"] in _BY_A_PERSON]
    return declined_states(
        session, lane, [(pair[lane.subject_field], pair["provider"]) for pair in pairs], naive_utc(at)
    )


def _pair_rows(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for lane, lane_forecast in document["lanes"].items():
        for pair in lane_forecast["pairs"]:
            yield {"lane": lane, **pair}


def _show_forecasts(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows the forecast of every lane in use, a line each."""
    rows = [
        (
            lane,
            lane_forecast["pair_count"],
            lane_forecast["exhausted_count"],
            lane_forecast["delivered_count"],
            lane_forecast["never_tried_count"],
        )
        for lane, lane_forecast in document["lanes"].items()
    ]
    columns_ = ("lane", "failing", "would exhaust", "would arrive", "not retried")
    until = max(lane_forecast["until"] for lane_forecast in document["lanes"].values())
    span = f"{short_time(document['as_of'])} to {short_time(until)} UTC"
    console.table(f"Forecast of the lanes in use, {span}", columns_, rows)
    console.print("would exhaust: if every retry fails; would arrive: if every retry arrives", style="dim")
    console.print("not retried: exhausted already, or in need of a person or a connector", style="dim")
    failing = [lane for lane, lane_forecast in document["lanes"].items() if lane_forecast["pairs"]]
    if failing:
        console.next(next_command(f"forecast --lane {failing[0]}"))


def _show_incidents(console: Terminal, report: Mapping[str, Any], live_lanes: Collection[str]) -> None:
    """Shows the report of provider incidents, the newest first."""
    console.facts(
        "Provider incidents",
        [
            ("as of", f"{short_time(report['as_of'])} UTC"),
            ("incidents", _counted(report["incident_count"], report["open_incident_count"])),
        ],
    )
    if report["incidents"]:
        rows = [_incident(incident, report["as_of"]) for incident in reversed(report["incidents"])]
        columns = ("provider", "cause", "failing", "lanes", "from (UTC)", "until (UTC)", "HTTP", "failures")
        console.table("Incidents, newest first", columns, rows)
        console.print("failing: of the deliveries that failed in it, those that still do", style="dim")
    for incident in report["incidents"]:
        if not incident["ended_at"]:
            step = fix_words(incident["cause"], incident["provider"])
            live = [lane for lane in incident["lanes"] if lane in live_lanes]
            if incident["cause"] not in PROBED_CAUSES:
                console.next(step)
            elif live:
                console.next(f"{step}, then try one retry", f"cavra-pipeline worker --lane {live[0]} --probe --live")
            else:
                console.next(f"{step}, then see when each retry is tried", next_command("forecast"))


def _counted(every: int, still_open: int) -> str:
    ended = f", {every - still_open:,} ended" if every > still_open else ""
    return f"{still_open:,} open{ended}" if every else "none"


def _incident(incident: Mapping[str, Any], as_of: str) -> tuple[Any, ...]:
    words = CAUSE_WORDS[incident["cause"]]
    return (
        incident["provider"],
        words.was if incident["ended_at"] else words.what,
        f"{len(incident['pairs']):,} of {incident['subject_count']:,}",
        len(incident["lanes"]),
        near_time(incident["began_at"], as_of),
        near_time(incident["ended_at"], as_of) if incident["ended_at"] else shown("open", "bold red"),
        ", ".join(map(str, incident["status_codes"])) or "-",
        incident["failure_count"],
    )


def _show_explanations(console: Terminal, document: Mapping[str, Any], live_lanes: Collection[str]) -> None:
    """Shows why a delivery waits, lane by lane."""
    for explanation in document["explanations"]:
        needs = [
            RELEASE_WORDS[need["needs"]].format(at=f"{short_time(need['at'])} UTC", detail=said(need["detail"]))
            for need in explanation["released_by"]
        ]
        console.facts(
            f"{explanation['subject']} for {explanation['provider']}",
            [
                ("lane", explanation["lane"]),
                ("as of", f"{short_time(document['as_of'])} UTC"),
                ("state", _state(explanation)),
                *([("cause", _cause(explanation))] if explanation["cause"] else []),
                *([("first", first.removesuffix("."))] if (first := explanation["first_step"]) else []),
                *[("" if n else "released by", need) for n, need in enumerate(needs)],
            ],
        )
        rows = [_line(line) for line in explanation["lines"]]
        console.table("What happened, in order (UTC)", ("at", "what, and its record"), rows, is_last_folded=True)
        if steps := _next(explanation, live_lanes):
            console.next(*steps)


def _cause(explanation: Mapping[str, Any]) -> str:
    """Why a delivery fails, in the past tense where its provider has accepted others since."""
    words, is_now = CAUSE_WORDS[explanation["cause"]], explanation["is_failing_now"]
    fix = "" if is_now or explanation["first_step"] else f": {NOTHING_TO_FIX}"
    return f"{provider_title(explanation['provider'])} {words.what if is_now else words.was}{fix}"


def _next(explanation: Mapping[str, Any], live_lanes: Collection[str]) -> list[str]:
    """What a person can do about a delivery that waits: the fix before the release; nothing where there is neither."""
    needs = {need["needs"] for need in explanation["released_by"]}
    if explanation["provider_incident_id"] and needs:
        return [next_command(f"incidents --provider {explanation['provider']} --open")]
    release, command_line = _release(explanation, needs, live_lanes)
    first = explanation["first_step"] if release else None
    words = f"{first} Then {release}" if first else "" if command_line else f"{release[:1].upper()}{release[1:]}"
    return [step for step in (words, command_line) if step]


def _release(explanation: Mapping[str, Any], needs: Collection[str], live_lanes: Collection[str]) -> tuple[str, str]:
    """What a person does to release a retry, and the command for it; none against what another person has decided."""
    lane = explanation["lane"]
    if "policy" in needs:
        return "send it again in CAVRA: no retry is left", ""
    if declined := explanation["declined"]:
        return whom_to_ask(declined), ""
    if "acknowledgement" in needs:
        about = f"--subject {explanation['subject']} --provider {explanation['provider']}"
        return "release the retry:", f"cavra-pipeline ack --lane {lane} {about} --state acknowledged --by LABEL"
    if "approval" in needs:
        return "approve it in CAVRA, and import and ingest the approval", ""
    if needs != {"live_run"}:
        return "", ""
    if lane in live_lanes:
        return "send it:", f"cavra-pipeline worker --lane {lane} --live"
    return f"send it from a host where {lane} is live (CAVRA_LIVE_LANES)", ""


def _steps(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"lane": explanation["lane"], "subject": explanation["subject"], "provider": explanation["provider"], **line}
        for explanation in document["explanations"]
        for line in explanation["lines"]
    ]


def _state(explanation: Mapping[str, Any]) -> str:
    if explanation["settled_at"]:
        return f"delivered at {short_time(explanation['settled_at'])}"
    needed = next((need["needs"] for need in explanation["released_by"] if need["needs"] in _BY_A_PERSON), None)
    if explanation["state"] == "retry" and needed:
        declined = explanation["declined"]
        return held_words(needed, declined["state"] if declined else None)
    state = "ready" if explanation["state"] == "retry" else said(explanation["state"])
    return ": ".join(filter(None, [state, said(explanation["reason"])]))


def _line(line: Mapping[str, Any]) -> tuple[Any, ...]:
    is_early = line["reason"] == "retry_delay_not_elapsed"
    outcome = "waiting" if is_early else said(line["outcome"])
    reason = said(line["reason"]) or line["status_code"] or line["by"]
    happened = ", ".join(str(word) for word in (outcome, reason if line["outcome"] != "delivered" else None) if word)
    until = f", until {near_time(line['until'], line['at'])}" if line["until"] and line["until"] != line["at"] else ""
    times = f" ({line['record_count']:,} times{until})" if line["record_count"] > 1 else ""
    what = line["what"].replace("_", " ")
    if line["what"] == "provider_incident":
        # The line is of its beginning, also where it has ended since.
        what, happened = f"{what} begins{' (ended since)' if line['outcome'] == 'ended' else ''}", f"it {reason}"
    text = ": ".join(filter(None, [what, happened]))
    return short_time(line["at"]), lines(text + times, shown(line["record_id"] or line["incident_id"], "dim"))


def _show_forecast(
    console: Terminal, document: Mapping[str, Any], declined: Mapping[tuple[str, str], str], note: str
) -> None:
    """Shows what becomes of failing deliveries if nothing changes; `declined` are those that a person put off.

    `note` says how its instants differ from this host's schedule.
    """
    subject = LANES[document["lane"]].subject_field
    minutes = document["late_by_minutes"]
    # Deliveries exhausted already are not in the forecast's exhausted count.
    exhausted = sum(pair["action"] == "suppress" for pair in document["pairs"])
    late = f"; the longest waits {short_duration(minutes)} for its turn" if minutes else ""
    console.facts(
        f"Forecast of {document['lane']}",
        [
            ("from", f"{short_time(document['as_of'])} UTC"),
            ("until", f"{short_time(document['until'])} UTC, {document['runs']:,} worker runs"),
            (
                "if every retry fails",
                _exhausted(document, exhausted),
            ),
            ("if every retry arrives", f"{document['delivered_count']:,} delivered"),
            ("not retried", _not_retried(document, exhausted)),
            ("queue", f"at most {document['queue_peak']:,} due before one run{late}"),
        ],
    )
    if document["pairs"]:
        rows = [
            (
                pair[subject],
                pair["provider"],
                _first_tried(pair, declined.get((pair[subject], pair["provider"]))),
                near_time(pair["exhausted_at"]),
            )
            for pair in document["pairs"]
        ]
        columns = ("subject", "provider", "first tried", "exhausts at")
        console.table("Failing deliveries: when each is tried first (UTC), or what it lacks", columns, rows)
        console.print("exhausts at: when its attempts are used up if every retry fails", style="dim")
        if note:
            console.print(note, style="dim")
        first = min(document["pairs"], key=lambda pair: (pair["exhausted_at"] is None, pair["exhausted_at"]))
        console.next(next_command(f"explain {first[subject]} {first['provider']}"))


def _exhausted(document: Mapping[str, Any], already: int) -> str:
    """How many deliveries are exhausted already, and how many more at the end of the forecast."""
    ahead, of = f"{document['exhausted_count']:,}", f"of {document['pair_count']:,}"
    until = f"by {short_time(document['until'])} UTC"
    return f"{already:,} {of} exhausted already, {ahead} more {until}" if already else f"{ahead} {of} exhausted {until}"


def _not_retried(document: Mapping[str, Any], exhausted: int) -> str:
    others = f"{document['never_tried_count'] - exhausted:,}"
    return f"{others} besides {'that one' if exhausted == 1 else 'those'} exhausted" if exhausted else others


def _first_tried(pair: Mapping[str, Any], declined: str | None) -> str:
    if declined:
        return held_words(pair["never_tried"], declined)
    return _NEVER[pair["never_tried"]] if pair["never_tried"] else near_time(pair["first_tried_at"])
