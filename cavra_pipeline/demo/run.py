"""The demo's run: the recorded month takes the real path, its late day follows, and every report is made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cavra_pipeline.alerts.leaks import handle_leaks, open_leaks
from cavra_pipeline.demo.month import LATE_FILE, MONTH_FILE, RecordedMonth
from cavra_pipeline.demo.telling import MONTH_HOURS, Reports, what_was_wrong
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.importer import import_evidence
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import rebuild, warehouse_of
from cavra_pipeline.evidence.landing import list_drops
from cavra_pipeline.evidence.leaks import open_leak_days
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.executive.wrong import Wrong, what_is_wrong
from cavra_pipeline.reports.health import health_of_lanes
from cavra_pipeline.reports.overview import extent, overview
from cavra_pipeline.reports.store import days_between
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of

_MARK: Final = "demo.json"
_UNTIL: Final = "month_ends_at"
_LAST: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """What the demo made: whether the Dagster run succeeded, what is wrong as of now, and what was earlier."""

    succeeded: bool
    wrong: list[Wrong]
    earlier: list[Wrong]


def run_demo(settings: Settings, *, now: datetime, say: Callable[[str], None]) -> DemoOutcome:
    """Takes the recorded month all the way to reports: first without its late day, then with it.

    Args:
        settings: A home without evidence of its own, or one that an earlier demo made; that one is replaced.
        now: Where the month ends, to the minute.
        say: Called with what is being done.

    Raises:
        UsageError: The home holds evidence that is not a demo's.
    """
    month = RecordedMonth.ending(now)
    if claim_home(settings, month):
        say("replacing the evidence and acknowledgements of an earlier demo")
    say(f"imported a recorded month: {_import(settings, month, MONTH_FILE, now)}")
    ingest(settings, now=now)
    early = _health(settings, now)
    say(f"imported its late day: {_import(settings, month, LATE_FILE, now)}")
    today = now.astimezone(UTC).date()
    first = max(month.began_on, settings.start_date or month.began_on)
    say(f"ingesting and reporting on {first} to {today} in Dagster ...")
    succeeded = _materialize(settings, days_between(first, today))
    with warehouse_of(settings).reading() as session:
        summary = overview(session, as_of=now, now=now)
        stored_count = extent(session, _LAST).record_count
    wrong = what_is_wrong(summary, open_leak_days(settings, now))
    earlier = what_was_wrong(
        _health(settings, now), early, outage=month.story("worker_outage"), late=month.story("late_day")
    )
    made_here = stored_count - summary["evidence"]["record_count"]
    say(f"{stored_count:,} records are stored, {made_here:,} of them made here")
    say(f"{len(month.stories())} things happened in this month: cavra-pipeline demo --stories")
    return DemoOutcome(succeeded, wrong, earlier)


def month_of(settings: Settings) -> RecordedMonth:
    """Returns the recorded month that the demo brought into a home.

    Raises:
        UsageError: The home holds no demo.
    """
    mark = settings.home / _MARK
    until = json.loads(mark.read_text()).get(_UNTIL) if mark.exists() else None
    if until is None:
        raise UsageError(
            "the home holds no recorded month",
            where=str(settings.home),
            remedy="Run cavra-pipeline demo, or set CAVRA_HOME to the home in which it ran",
        )
    return RecordedMonth.ending(datetime.fromisoformat(until))


def claim_home(settings: Settings, month: RecordedMonth) -> bool:
    """Makes the home the demo's: empties it of an earlier demo, refuses one with evidence of its own.

    Returns:
        Whether there was an earlier demo.
    """
    if settings.landing_address:
        raise UsageError(
            "the demo keeps its evidence in a home of its own",
            where="CAVRA_LANDING_URL",
            remedy="Unset it for the demo, and set CAVRA_HOME to an empty folder",
        )
    mark = settings.home / _MARK
    is_again = mark.exists()
    if is_again:
        _clear(settings, month.until)
    elif list_drops(settings.landing, pseudonyms_of(settings)):
        raise UsageError(
            "the home holds evidence of its own, which a demo must not mix with",
            where=str(settings.home),
            remedy="Set CAVRA_HOME to an empty folder for the demo",
        )
    mark.write_text(json.dumps({_UNTIL: month.until.isoformat()}))
    return is_again


def _clear(settings: Settings, now: datetime) -> None:
    """Removes the evidence of an earlier demo, and what the state knows of its files; the history of runs stays.

    Its secrets are invented, so none has to be rotated.
    """
    with state_of(settings).writing() as c:
        for leak in open_leaks(c):
            handle_leaks(c, leak.drop_day.isoformat(), newest=leak.newest, now=now)
    shutil.rmtree(settings.landing)
    rebuild(settings.prepare(), without_missing=True)


def _import(settings: Settings, month: RecordedMonth, name: str, now: datetime) -> str:
    """Imports one of the month's files and says what came in.

    The file holds an invented secret, so it is written outside the home and removed afterwards.
    """
    with TemporaryDirectory(prefix="cavra-demo-") as folder:
        imported = import_evidence(settings, [(name, month.write(Path(folder), name))], now=now)
    return f"{imported.received_count:,} lines, {imported.quarantined_count} of them quarantined"


def _materialize(settings: Settings, days: list[date]) -> bool:
    from cavra_pipeline.definitions import REFRESH_JOB, materialize

    return materialize(settings, REFRESH_JOB, days)


def _health(settings: Settings, now: datetime) -> Reports:
    """The health report of each lane over the whole month."""
    with warehouse_of(settings).reading() as session:
        reports_by_lane = health_of_lanes(session, instants=[now], now=now, window_hours=MONTH_HOURS)
    return {lane: report for lane, (report,) in reports_by_lane.items()}
