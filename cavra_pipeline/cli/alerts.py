"""The commands `cavra-pipeline alerts ...`: list, acknowledge, resolve, silence, history."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import click

from cavra_pipeline.alerts.kinds import KINDS
from cavra_pipeline.alerts.operators import (
    DEFAULT_HISTORY,
    acknowledge_alert,
    alert_history,
    end_silence,
    list_alerts,
    resolve_alert,
    silence_alerts,
)
from cavra_pipeline.cli import tables
from cavra_pipeline.cli.common import AS_JSON, BY, answer, clock, home, instant_option, reading_state
from cavra_pipeline.errors import UsageError
from cavra_pipeline.state import state_of
from cavra_pipeline.terminal import Terminal, beside, lines, shown

_ID_SHOWN: Final = len("alert-") + 8
_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})\s*([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


@click.group("alerts", invoke_without_command=True)
@click.pass_context
def alerts(context: click.Context) -> None:
    """What is wrong now, who acknowledged it, who was notified? Without a command: list."""
    if context.invoked_subcommand is None:
        context.invoke(list_command)


@alerts.command("list")
@AS_JSON
def list_command(as_json: bool = False) -> None:
    """Open alerts, silences, and undelivered notifications."""
    settings = home()
    with state_of(settings).reading() as c:
        document = list_alerts(c, settings, now=clock())
    answer(document, as_json, _show_list)


@alerts.command()
@click.argument("alert", metavar="ALERT")
@BY
@AS_JSON
def ack(alert: str, by: str, as_json: bool) -> None:
    """Acknowledge an alert: no reminders until it resolves. ALERT is its id, or the beginning of it.

    A secret_finding is resolved by it.
    """
    answer(acknowledge_alert(home(), alert, by=by, now=clock()), as_json, _show_acknowledged)


@alerts.command()
@click.argument("alert", metavar="ALERT")
@BY
@AS_JSON
def resolve(alert: str, by: str, as_json: bool) -> None:
    """Resolve a secret_finding, once what leaked is rotated. ALERT is its id, or the beginning of it.

    Alerts of every other kind resolve by themselves once their cause is gone.
    """
    answer(resolve_alert(home(), alert, by=by, now=clock()), as_json, _show_acknowledged)


@alerts.command()
@click.option("--kind", metavar="KIND", help=f"One of {', '.join(KINDS)}.")
@click.option("--subject", metavar="TEXT", help="Exactly as alerts list shows it.")
@click.option("--for", "span", metavar="SPAN", help="How long, such as 30m, 4h or 2d.")
@instant_option("--from first", "ISO-8601; now if not given.")
@instant_option("--until last", "ISO-8601, in place of --for.")
@click.option("--comment", required=True, metavar="LABEL", help="Why, as a public-safe label.")
@BY
@AS_JSON
def silence(
    kind: str | None,
    subject: str | None,
    span: str | None,
    first: datetime | None,
    last: datetime | None,
    comment: str,
    by: str,
    as_json: bool,
) -> None:
    """Send no notice of a kind, of a subject, or of both, for a while. Alerts still begin and end."""
    said_at = clock()
    starts_at = first or said_at
    if (span is None) == (last is None):
        raise UsageError("it needs one end", where="silence", remedy="Give either --for or --until")
    ends_at = last or starts_at + _span(span or "")
    document = silence_alerts(
        home(),
        kind=kind,
        subject=subject,
        by=by,
        comment=comment,
        starts_at=starts_at,
        ends_at=ends_at,
        now=said_at,
    )
    answer(document, as_json, _show_silence)


@alerts.command()
@click.argument("silence", metavar="SILENCE")
@AS_JSON
def unsilence(silence: str, as_json: bool) -> None:
    """End a silence now. SILENCE is its id."""
    answer(end_silence(home(), silence, now=clock()), as_json, _show_silence)


@alerts.command()
@click.argument("alert", metavar="[ALERT]", required=False)
@click.option("--kind", metavar="KIND", help="Only this kind.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100000),
    default=DEFAULT_HISTORY,
    show_default=True,
    metavar="N",
    help="Events shown at most, the newest first.",
)
@AS_JSON
def history(alert: str | None, kind: str | None, limit: int, as_json: bool) -> None:
    """What happened to alerts, or to one: opened, acknowledged, notified, resolved."""
    with reading_state() as c:
        events = alert_history(c, alert_id=alert, kind=kind, most=limit)
    answer({"count": len(events), "events": events}, as_json, _show_history)


def _span(text: str) -> timedelta:
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise UsageError("the value is not a span of time", where="--for", remedy="Write it as 30m, 4h or 2d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _show_list(console: Terminal, document: Mapping[str, Any]) -> None:
    if document["alerts"]:
        columns = ("alert", "what", "since (UTC)", "n", "state")
        rows: list[Sequence[Any]] = [_alert_row(one) for one in document["alerts"]]
        console.table(f"Open alerts: {len(rows)}", columns, rows)
    else:
        console.print("Open alerts: none")
    if document["silences"]:
        silences = [
            (one["silence_id"], _matches(one), tables.short_time(one["ends_at"]), one["author"], one["comment"])
            for one in document["silences"]
        ]
        console.table("Silences", ("silence", "matches", "until (UTC)", "by", "why"), silences)
    if document["unsent_notices"]:
        unsent = [
            (
                one["provider"],
                one["group_name"],
                f"{one['notice']}, {one['state']}",
                one["attempt_count"],
                one["reason"],
            )
            for one in document["unsent_notices"]
        ]
        columns = ("connector", "about", "notice", "tries", "why")
        console.table("Undelivered notifications", columns, unsent)
    if not document["connectors"]:
        console.print("No notification channel is configured (CAVRA_ALERT_CONNECTORS is empty).", style="yellow")


def _alert_row(one: Mapping[str, Any]) -> Sequence[Any]:
    known = [cause for cause in one["causes"] if cause != "unknown_cause"]
    what = lines(beside(tables.level(one["severity"]), one["kind"]), one["subject"], shown(", ".join(known), "dim"))
    state = lines(
        str(one["state"]),
        f"by {one['acknowledged_by']}" if one["acknowledged_by"] else "",
        f"muted: {one['muted_by']}" if one["muted_by"] else "",
    )
    since = tables.short_time(one["since"])[5:]
    return (one["alert_id"][:_ID_SHOWN], what, since, one["occurrence_count"], state)


def _matches(silence: Mapping[str, Any]) -> str:
    return f"{silence['kind'] or 'any kind'} {silence['subject'] or ''}".strip()


def _show_acknowledged(console: Terminal, alert: Mapping[str, Any]) -> None:
    console.facts(
        "Resolved" if alert["resolved_at"] else "Acknowledged",
        [
            ("alert", alert["alert_id"]),
            ("what", f"{alert['kind']} {alert['subject']}"),
            ("by", alert["acknowledged_by"]),
            ("do", alert["action"]),
            ("reminders", "none" if alert["resolved_at"] else "none until it is over"),
        ],
    )


def _show_silence(console: Terminal, silence: Mapping[str, Any]) -> None:
    pairs = [
        ("silence", silence["silence_id"]),
        ("matches", _matches(silence)),
        ("from", f"{tables.short_time(silence['starts_at'])} UTC"),
        ("until", f"{tables.short_time(silence['ends_at'])} UTC"),
        ("by", silence["author"]),
        ("why", silence["comment"]),
    ]
    console.facts("Silence", pairs)


def _episode(one: Mapping[str, Any]) -> str:
    return f" #{one['episode']}" if one["episode"] > 1 else ""


def _show_history(console: Terminal, document: Mapping[str, Any]) -> None:
    if not document["events"]:
        console.print("History: none")
        return
    rows = [
        (
            tables.short_time(one["happened_at"]),
            lines(one["kind"], f"{one['subject']}{_episode(one)}"),
            one["event"],
            one["detail"] or (f"by {one['actor']}" if one["actor"] else ""),
        )
        for one in document["events"]
    ]
    columns = ("at (UTC)", "alert", "event", "detail")
    console.table("History, newest first", columns, rows)
