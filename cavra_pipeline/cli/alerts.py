"""The commands `cavra-pipeline alerts ...`: list, acknowledge, resolve, silence, history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import click

from cavra_pipeline.alerts.kinds import KINDS, PROVIDER_INCIDENT, SECRET_FINDING, WORKER_DOWN
from cavra_pipeline.alerts.model import NO_CAUSE
from cavra_pipeline.alerts.operators import (
    DEFAULT_HISTORY,
    acknowledge_alert,
    alert_history,
    end_silence,
    list_alerts,
    silence_alerts,
)
from cavra_pipeline.cli import columns, tables
from cavra_pipeline.cli.alert_words import evaluation_words, muted_counts, muted_words
from cavra_pipeline.cli.command import HelpGroup, Named, answers, missing
from cavra_pipeline.cli.common import BY, answer, clock, daemon_of, exit_with, home, instant_option, reading_state
from cavra_pipeline.cli.when import read_end, read_span, read_start
from cavra_pipeline.cli.worker_down import down_step
from cavra_pipeline.documents import shifted
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.leaks import open_leak_days
from cavra_pipeline.executive.words import count
from cavra_pipeline.executive.wrong import leaked
from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.terminal import Styled, Terminal, lines, shown

#: Kinds that the next command is about before any other of their severity; a worker that is down ends by itself.
_FIRST: Final = (SECRET_FINDING, PROVIDER_INCIDENT)
_LAST: Final = (WORKER_DOWN,)
_KIND_WIDTH: Final = max(map(len, KINDS)) + 1
#: The kinds in columns that fit beside an option at 80 columns; the mark keeps click from filling the lines.
_KINDS_HELP: Final = "\b\nOne of:\n" + "\n".join(
    "".join(f"{name:<{_KIND_WIDTH}}" for name in sorted(KINDS)[first : first + 3]).rstrip()
    for first in range(0, len(KINDS), 3)
)
_ID_SHOWN: Final = len("alert-") + 8


@click.group("alerts", cls=HelpGroup, invoke_without_command=True, examples=["cavra-pipeline alerts"])
@answers
@click.pass_context
def alerts(context: click.Context) -> None:
    """List what sensors found wrong; acknowledge or silence it.

    Without a command: list. CAVRA's health alerts about a lane are another thing: cavra-pipeline ack.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_command)


@alerts.command("list", examples=["cavra-pipeline alerts list", "cavra-pipeline alerts list --output csv"])
@answers
def list_command() -> None:
    """List open alerts, silences and undelivered notifications."""
    settings = home()
    with state_of(settings).reading() as c:
        document = list_alerts(c, settings, now=clock())
    answer(document, lambda console, listing: _show_list(console, listing, settings), "alerts", columns.ALERTS)


_ALERTS: Final = click.argument("alert_ids", metavar="ALERT...", nargs=-1, required=True)


@alerts.command("ack", examples=["cavra-pipeline alerts ack alert-116d4f9e --by release-team"])
@_ALERTS
@BY
@answers
def ack(alert_ids: tuple[str, ...], by: str) -> None:
    """Acknowledge alerts: no reminders until they resolve.

    ALERT is an id, or the beginning of it. A secret_finding is not acknowledged: alerts resolve ends it. A failing
    delivery is acknowledged by cavra-pipeline ack.
    """
    _acknowledge(alert_ids, by)


@alerts.command("resolve", examples=["cavra-pipeline alerts resolve alert-8d449edb --by security-team"])
@_ALERTS
@BY
@answers
def resolve(alert_ids: tuple[str, ...], by: str) -> None:
    """Resolve a secret_finding once the secret is rotated.

    ALERT is an id, or the beginning of it. Alerts of every other kind resolve by themselves once their cause is gone.
    """
    _acknowledge(alert_ids, by, is_resolved=True)


def _acknowledge(alert_ids: Sequence[str], by: str, *, is_resolved: bool = False) -> None:
    """Acknowledges or resolves alerts; of several, one that is refused does not stop the others."""
    if len(alert_ids) == 1:
        answer(acknowledge_alert(home(), alert_ids[0], by=by, now=clock(), is_resolved=is_resolved), _show_acknowledged)
        return
    done, failures = [], []
    for alert_id in dict.fromkeys(alert_ids):
        try:
            done.append(acknowledge_alert(home(), alert_id, by=by, now=clock(), is_resolved=is_resolved))
        except UsageError as error:
            failures.append(error)

    def show(console: Terminal, document: Mapping[str, Any]) -> None:
        for alert in document["alerts"]:
            _show_acknowledged(console, alert)

    answer({"alerts": done}, show, "alerts", columns.ALERTS)
    exit_with(failures)


@alerts.command(
    "silence",
    examples=["cavra-pipeline alerts silence --kind missed_run --for 4h --comment work --by ops"],
)
@click.option("--kind", type=Named(str, KINDS), metavar="KIND", help=_KINDS_HELP)
@click.option("--subject", metavar="TEXT", help="Exactly as alerts list --output csv has it.")
@click.option("--for", "span", metavar="SPAN", help="How long, such as 30m, 4h or 2d.")
@instant_option("--from first", "When it begins; now if not given.", read_start)
@instant_option("--until last", "When it ends, in place of --for: 2026-11-28T08:00.", read_end)
@click.option("--comment", required=True, metavar="LABEL", help="Why, as a public-safe label.")
@BY
@answers
def silence(
    kind: str | None,
    subject: str | None,
    span: str | None,
    first: datetime | None,
    last: datetime | None,
    comment: str,
    by: str,
) -> None:
    """Send no notification of a kind or subject for a while.

    Of a kind, of a subject, or of both. Alerts still begin and end; unsilence ends a silence early. An alert that
    somebody handles is better acknowledged: alerts ack.
    """
    now = clock()
    starts_at = first or now
    if span is None and last is None:
        raise missing("span")
    if span and last:
        raise UsageError("a silence has one end", where="--until", remedy="Give either --for or --until")
    ends_at = last or shifted(starts_at, read_span(span or "", "--for"))
    document = silence_alerts(
        home(),
        kind=kind,
        subject=subject,
        by=by,
        comment=comment,
        starts_at=starts_at,
        ends_at=ends_at,
        now=now,
    )
    answer(document, _show_silence)


@alerts.command("unsilence", examples=["cavra-pipeline alerts unsilence silence-b6dc5f49"])
@click.argument("silence", metavar="SILENCE")
@answers
def unsilence(silence: str) -> None:
    """End a silence now.

    SILENCE is its id.
    """
    answer(end_silence(home(), silence, now=clock()), _show_silence)


@alerts.command(
    "history",
    examples=["cavra-pipeline alerts history --limit 20", "cavra-pipeline alerts history --kind missed_run --json"],
)
@click.argument("alert", metavar="[ALERT]", required=False)
@click.option("--kind", type=Named(str, KINDS), metavar="KIND", help="Only this kind.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100000),
    default=DEFAULT_HISTORY,
    show_default=True,
    metavar="N",
    help="Events shown at most, the newest first.",
)
@answers
def history(alert: str | None, kind: str | None, limit: int) -> None:
    """List what happened to alerts, or to one of them.

    Opened, acknowledged, silenced, notified, resolved. ALERT is its id, or the beginning of it.
    """
    with reading_state() as c:
        events = alert_history(c, alert_id=alert, kind=kind, most=limit)
    answer({"count": len(events), "events": events}, _show_history, "events", columns.ALERT_EVENTS)


def _show_list(console: Terminal, document: Mapping[str, Any], settings: Settings) -> None:
    daemon = daemon_of(settings, clock())
    stale = evaluation_words(daemon, document["alert_count"])
    ordered = sorted(document["alerts"], key=lambda alert: (alert["severity"], bool(alert["muted_by"])))
    if ordered:
        by_id = {silence["silence_id"]: silence for silence in document["silences"]}
        # What another alert mutes follows from it, and is counted beside it.
        covered = [alert for alert in ordered if alert["muted_by"] in KINDS]
        rows = [
            _alert_row(alert, by_id.get(alert["muted_by"]), _step(alert, daemon))
            for alert in ordered
            if alert["muted_by"] not in KINDS
        ]
        muted = muted_counts(ordered)
        counts = f"{document['alert_count']:,}{f' ({muted_words(*muted)})' if any(muted) else ''}"
        # To the second: a run that has come since then does not show yet.
        at = daemon["alerts_evaluated_at"] if not stale else None
        evaluated = f", evaluated at {at[11:19]} UTC" if at else ""
        console.facts(f"Open alerts: {counts}{evaluated}", rows)
        if covered:
            console.facts(f"{muted_words(len(covered), 0).capitalize()} (--json lists them)", _covered_rows(covered))
    else:
        console.print("Open alerts: none")
    if stale:
        console.print(f"Alerts are {stale}.", style="yellow")
    elif ordered:
        console.print(
            "Alerts about lanes, incidents and recoveries have the numbers of the newest report.", style="dim"
        )
    leaks = _leaks_without_alert(ordered, settings)
    for leak in leaks:
        console.print(f"{leak}; the alert follows.", style="yellow")
    if document["silences"]:
        silences = [
            (
                active_silence["silence_id"],
                lines(
                    _matches(active_silence),
                    shown(
                        f"until {tables.near_time(active_silence['ends_at'])} UTC by {active_silence['author']}", "dim"
                    ),
                    active_silence["comment"],
                ),
            )
            for active_silence in document["silences"]
        ]
        console.facts("Silences", silences)
    if document["unsent_notices"]:
        unsent = []
        for notice in document["unsent_notices"]:
            attempts = f"{notice['state']} after {count(notice['attempt_count'], 'attempt')}"
            what = f"{notice['group_name']}: {notice['notice']}, {attempts}"
            unsent.append((notice["provider"], lines(what, notice["reason"] or "")))
        console.facts("Undelivered notifications", unsent)
    if not document["connectors"]:
        console.print("No notification channel is configured (CAVRA_ALERT_CONNECTORS is empty).", style="yellow")
    if steps := _next_steps(ordered, daemon, has_leaks=bool(leaks)):
        console.next(*steps)


def _leaks_without_alert(alerts: Sequence[Mapping[str, Any]], settings: Settings) -> list[str]:
    """Says which leaked secrets are known from evidence, while the sensor that raises their alert is still to tick."""
    if any(alert["kind"] == SECRET_FINDING for alert in alerts):
        return []
    return [leak.what for leak in leaked(open_leak_days(settings, clock()))]


def _next_steps(alerts: Sequence[Mapping[str, Any]], daemon: Mapping[str, Any], *, has_leaks: bool) -> list[str]:
    """Returns what to do next: about the alert that matters most, or what has to run first."""
    firing = [alert for alert in alerts if alert["state"] == "firing" and not alert["muted_by"]]
    is_off = tables.is_daemon_off(daemon)
    if has_leaks and not is_off:
        return ["cavra-pipeline findings"]
    if not firing:
        return ["cavra-pipeline dev"] if is_off else []
    first = min(firing, key=_rank)
    act = "resolve" if first["ends_by_hand"] else "ack"
    before = ["Rotate what leaked (cavra-pipeline findings), then:"] if first["kind"] == SECRET_FINDING else []
    return [*before, f"cavra-pipeline alerts {act} {first['alert_id'][:_ID_SHOWN]} --by LABEL"]


def _rank(alert: Mapping[str, Any]) -> tuple[bool, int]:
    """How much an alert matters, the smaller the more: critical ones first."""
    kind = alert["kind"]
    place = _FIRST.index(kind) if kind in _FIRST else len(_FIRST) + (kind in _LAST)
    return alert["severity"] != "critical", place


def _covered_rows(alerts: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """For each kind that mutes others, how many of which kinds."""
    return [
        (
            _words(cause),
            ", ".join(
                count(number, *KINDS[kind].noun)
                for kind, number in Counter(alert["kind"] for alert in alerts if alert["muted_by"] == cause).items()
            ),
        )
        for cause in dict.fromkeys(alert["muted_by"] for alert in alerts)
    ]


def _step(alert: Mapping[str, Any], daemon: Mapping[str, Any]) -> str:
    """What to do about an alert: of a worker that is down, by the daemon and its schedule."""
    is_down = alert["kind"] == WORKER_DOWN and alert["subject"] in LANES
    return down_step([alert["subject"]], daemon=daemon) if is_down else str(alert["action"] or "")


def _alert_row(alert: Mapping[str, Any], silence: Mapping[str, Any] | None, step: str) -> Sequence[Any]:
    causes = ", ".join(_words(cause) for cause in alert["causes"] if cause != NO_CAUSE)
    state = f"acknowledged by {alert['acknowledged_by']}, open" if alert["acknowledged_by"] else "open"
    silenced = f"silenced until {tables.near_time(silence['ends_at'])} UTC by {silence['author']}" if silence else ""
    states = [
        f"{state} since {tables.near_time(alert['since'])} UTC",
        _counted(alert),
        silenced or (f"cause: {causes}" if causes else ""),
    ]
    details: list[str | Styled] = [shown("; ".join(filter(None, states)), "dim"), *([] if silence else [step])]
    what = lines(f"{_words(alert['kind'])}: {alert['subject_text']}", *details)
    return (tables.level(alert["severity"]), alert["alert_id"][:_ID_SHOWN], what)


def _counted(alert: Mapping[str, Any]) -> str:
    """The most that one observation has counted; empty for one, and where the count says nothing to a person."""
    kind, most = KINDS.get(alert["kind"]), alert["occurrence_count"]
    return f"up to {count(most, *kind.unit)}" if kind and kind.unit and most > 1 else ""


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _matches(silence: Mapping[str, Any]) -> str:
    return f"{_words(silence['kind'] or 'any kind')} {silence['subject_text'] or ''}".strip()


def _show_acknowledged(console: Terminal, alert: Mapping[str, Any]) -> None:
    console.facts(
        "Resolved" if alert["resolved_at"] else "Acknowledged",
        [
            ("alert", alert["alert_id"]),
            ("what", f"{_words(alert['kind'])} {alert['subject']}"),
            ("by", alert["acknowledged_by"]),
            *([] if alert["resolved_at"] else [("do", alert["action"])]),
            ("reminders", "none" if alert["resolved_at"] else "none until it resolves"),
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


def _episode(event: Mapping[str, Any]) -> str:
    return f" #{event['episode']}" if event["episode"] > 1 else ""


def _show_history(console: Terminal, document: Mapping[str, Any]) -> None:
    if not document["events"]:
        console.print("History: none")
        return
    rows = [
        (
            tables.short_time(event["happened_at"]),
            event["event"],
            lines(f"{_words(event['kind'])}: {event['subject_text']}{_episode(event)}", shown(_detail(event), "dim")),
        )
        for event in document["events"]
    ]
    console.facts("History, newest first (UTC)", rows)


def _detail(event: Mapping[str, Any]) -> str:
    detail = event["detail"] if event["detail"] and event["detail"] != NO_CAUSE else ""
    # A silence's reason is a person's own words, where every other detail is a name.
    detail = detail if event["event"] == "silenced" else _words(detail)
    return ", ".join(filter(None, (event["actor"] and f"by {event['actor']}", detail)))
