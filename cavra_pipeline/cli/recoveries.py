"""The commands on recoveries: which are open, opening and closing one, what keeps the loop from being closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import click

from cavra_pipeline.boundary.fields import CLOSURE_STATES
from cavra_pipeline.cli import columns
from cavra_pipeline.cli.command import HelpGroup, answers, command
from cavra_pipeline.cli.common import AS_OF, BY, GENERATED_BY, answer, clock, home, next_command, reading
from cavra_pipeline.cli.report_tables import unless_empty
from cavra_pipeline.cli.tables import level, near_time, say_if_later, short_time
from cavra_pipeline.declared import options_of
from cavra_pipeline.durations import short_duration
from cavra_pipeline.errors import checked
from cavra_pipeline.lanes import LANES
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.recoveries.report import recovery_reports
from cavra_pipeline.recoveries.write import PlaybookParameters, build_playbook, close_recovery
from cavra_pipeline.reports.closure import ITEM_WORDS, closure_reports
from cavra_pipeline.reports.overview import extent
from cavra_pipeline.terminal import Terminal, lines, shown

#: The statuses of recoveries, the worst first, and what a person calls them.
_STATUSES: Final = {"breached": "Past the limit", "open": "Open", "closed": "Closed"}
_CLOSE: Final = (
    "cavra-pipeline recovery close --playbook gordackrecovery-8064a207fb6cb302 --provider webhook "
    "--state resolved --by ops"
)


@command("recoveries", "cavra-pipeline recoveries", "cavra-pipeline recoveries --slo-minutes 480 --output csv")
@AS_OF
@options_of(RecoveryParameters)
@GENERATED_BY
@answers
def recoveries(as_of: datetime | None, slo_minutes: int | None, generated_by: str) -> None:
    """List recoveries: open, past their limit, closed."""
    now, parameters = clock(), checked(RecoveryParameters, {"slo_minutes": slo_minutes})
    with reading() as session:
        (report,) = recovery_reports(session, parameters, instants=[as_of or now], now=now, generated_by=generated_by)
        evidence = extent(session, as_of or now)
    show = unless_empty(_show_recoveries, "Recoveries", evidence)
    answer(report, show, "recoveries", columns.RECOVERIES)


@command("closure", "cavra-pipeline closure", "cavra-pipeline closure --as-of yesterday --json")
@AS_OF
@GENERATED_BY
@answers
def closure(as_of: datetime | None, generated_by: str) -> None:
    """Show what the closure list still holds, and where.

    It counts recoveries, missing acknowledgements, and what is unresolved in the lanes of health alerts. Workers,
    approvals and failing deliveries of other lanes are in status.
    """
    now = clock()
    with reading() as session:
        (report,) = closure_reports(session, instants=[as_of or now], now=now, generated_by=generated_by)
        evidence = extent(session, as_of or now)
    show = unless_empty(_show_closure, "Closure", evidence)
    answer(report, show, "open_items", columns.OPEN_ITEMS)


@command("playbook", "cavra-pipeline playbook", "cavra-pipeline playbook --json")
@options_of(PlaybookParameters)
@GENERATED_BY
@answers
def playbook(generated_by: str, **parameters: int | None) -> None:
    """Open a recovery for each connector that fails often.

    Only those that have none open; a recovery playbook is written as evidence.
    """
    written = build_playbook(home(), checked(PlaybookParameters, parameters), by=generated_by, now=clock())
    answer({"playbook": written}, _show_playbook, _entries, columns.PLAYBOOK_ENTRIES)


@click.group(
    cls=HelpGroup,
    examples=[_CLOSE],
)
def recovery() -> None:
    """Record what became of a recovery."""


@recovery.command(
    "close",
    examples=[_CLOSE],
)
@click.option("--playbook", "playbook_id", required=True, metavar="ID", help="The recovery's playbook.")
@click.option("--provider", required=True, metavar="NAME", help="The recovery's provider.")
@click.option("--state", required=True, metavar="STATE", help=f"One of {', '.join(CLOSURE_STATES)}.")
@BY
@click.option("--ref", "external_ref", metavar="TICKET", help="A ticket about it.")
@answers
def close(playbook_id: str, provider: str, state: str, by: str, external_ref: str | None) -> None:
    """Record the state of a recovery.

    resolved and mitigated close the recovery; any other state leaves it open or opens it again.
    """
    written = close_recovery(
        home(), playbook_id=playbook_id, provider=provider, state=state, by=by, now=clock(), external_ref=external_ref
    )
    answer(
        {"closure": written},
        _show_recovery_closure,
        lambda document: [document["closure"]] if document["closure"] else [],
    )


def _show_recoveries(console: Terminal, report: Mapping[str, Any]) -> None:
    """Shows the recovery report."""
    has_playbook = report["state"] != "no_playbook"
    counts = f"{report['recovery_open_count']:,} open, {report['recovery_closed_count']:,} closed"
    limit = short_duration(report["recovery_slo_minutes"])
    past = f"{report['recovery_slo_breached_count']:,} open for more than {limit}"
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
    for status, title in _STATUSES.items():
        rows = [
            _row(listed_recovery, report["as_of"])
            for listed_recovery in report["recoveries"]
            if listed_recovery["slo_status"] == status
        ]
        if rows:
            _show_rows(console, title, rows)
    if outages := [group for group in report["recovery_groups"] if group["recovery_count"] > 1]:
        console.table(
            "Overlapping recoveries, probably of one outage",
            ("provider", "from (UTC)", "until (UTC)", "recoveries"),
            [
                (
                    outage["provider"],
                    short_time(outage["opened_at"]),
                    short_time(outage["closed_at"]) if outage["closed_at"] else "open",
                    outage["recovery_count"],
                )
                for outage in outages
            ],
        )
    if report["recovery_open_count"]:
        console.next(next_command("escalate"), "cavra-pipeline recovery close -h")


def _show_rows(console: Terminal, title: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Shows recoveries, a line each; two where the owner would not fit beside state and age."""
    columns: tuple[str, ...] = ("playbook", "provider", "state", "open for", "owner", "opened (UTC)")
    if not console.has_room(columns[:-1], rows):
        columns = (*columns[:2], "state, open for", *columns[4:])
        rows = [(*row[:2], lines(row[2], shown(row[3], "dim")), *row[4:]) for row in rows]
    console.table(title, columns, rows)


def _row(listed_recovery: Mapping[str, Any], as_of: str) -> tuple[Any, ...]:
    minutes = (
        listed_recovery["age_minutes"]
        if listed_recovery["closure_minutes"] is None
        else listed_recovery["closure_minutes"]
    )
    opened, owner = near_time(listed_recovery["opened_at"], as_of), listed_recovery["owner"] or "-"
    return (
        listed_recovery["playbook_id"],
        listed_recovery["provider"],
        listed_recovery["closure_state"],
        short_duration(minutes),
        owner,
        opened,
    )


def _show_playbook(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows the playbook that was written, or says that none was."""
    written = document["playbook"]
    if written is None:
        console.print("No connector calls for a recovery: none fails often enough without an open one.")
        return
    entries = _entries(document)
    rows = [
        (playbook_entry["provider"], playbook_entry["failure_count"], short_time(playbook_entry["latest_failure_at"]))
        for playbook_entry in entries
    ]
    columns = ("provider", "failures", "newest (UTC)")
    console.table(f"Recoveries opened by {written['playbook_id']}", columns, rows)


def _entries(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    written = document["playbook"]
    return written["connector_recovery_playbook"]["provider_playbooks"] if written else []


def _show_recovery_closure(console: Terminal, document: Mapping[str, Any]) -> None:
    """Shows the closure that was written, or says that the newest one says so already."""
    written = document["closure"]
    if written is None:
        console.print("Nothing was recorded: the newest closure says the same.")
    else:
        console.print(f"{written['provider']} of {written['playbook_id']}: {written['closure_state']}")
        say_if_later(console, written)


def _show_closure(console: Terminal, report: Mapping[str, Any]) -> None:
    """Shows the closure report."""
    items = sum(item["count"] for item in report["open_items"])
    console.facts(
        "Closure",
        [
            ("about", "recoveries, their acknowledgements, and health alerts"),
            ("state", level(report["closure_state"])),
            ("as of", f"{short_time(report['as_of'])} UTC"),
            ("open items", f"{items:,}; closed once none is left"),
            ("report", report["closure_report_id"]),
        ],
    )
    if report["open_items"]:
        rows = [(*_item(item["item"]), item["count"]) for item in report["open_items"]]
        console.table("What is open now", ("what", "where", "count"), rows)
    console.print("not part of it: approvals, and failing deliveries of other lanes (retry-plan)", style="dim")
    if report["cavra_open_items"]:
        named = [(name.replace("_", " "),) for name in report["cavra_open_items"]]
        console.table("Open on CAVRA's own dashboard", ("item",), named)
        console.print("CAVRA never clears an item that failed once, so its list can be longer.", style="dim")
    if report["open_items"]:
        console.next(next_command(_more_of(report["open_items"])))


def _more_of(items: Sequence[Mapping[str, Any]]) -> str:
    """The command that shows most of what is open: the recoveries, or the lane of the first item."""
    names = [item["item"] for item in items]
    if "open_recovery" in names:
        return "recoveries"
    lane = _item(names[0])[1]
    return f"retry-health --lane {lane}" if lane in LANES else "retry-health"


def _item(name: str) -> tuple[str, str]:
    """Returns what an open item is, and where: a lane as a rule."""
    item = next((item for item in ITEM_WORDS if name.endswith(item)), "")
    return ITEM_WORDS.get(item, name.replace("_", " ")), name.removesuffix(item).rstrip("_") or "-"
