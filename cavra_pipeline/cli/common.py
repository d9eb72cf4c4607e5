"""What the commands share: options, the clock, the home, how an answer is printed, and exit codes.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 health at or above ``--fail-on``. Only this module reads the clock.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click
import sqlalchemy as sa

from cavra_pipeline.cli.command import CSV, JSON, Named, form_of_answer
from cavra_pipeline.cli.when import read_day, read_instant
from cavra_pipeline.documents import DEFAULT_GENERATED_BY, instant
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.pseudonym_key import open_home
from cavra_pipeline.lanes import LANES, lane_named
from cavra_pipeline.reports.store import days_between
from cavra_pipeline.settings import Settings, load_settings
from cavra_pipeline.state import state_of
from cavra_pipeline.terminal import Terminal, print_csv, print_json, shown, standard_error, standard_output
from cavra_pipeline.warehouse import Session

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
#: Rows of a CSV: the name of a list in the document, or what makes them of it.
Rows = str | Callable[[Any], Iterable[Mapping[str, Any]]]

EXIT_FAILED: Final = 1
EXIT_UNHEALTHY: Final = 3


def options(*chosen: Callable[[F], F]) -> Callable[[F], F]:
    """Returns one decorator that adds the options in this order."""

    def decorate(function: F) -> F:
        for option in reversed(chosen):
            function = option(function)
        return function

    return decorate


def _read_by(read: Callable[[str, datetime], T]) -> Callable[[click.Context, click.Parameter, str | None], T | None]:
    """Returns a callback of an option that reads its text as of now; an option that was not given stays None."""

    def callback(context: click.Context, parameter: click.Parameter, text: str | None) -> T | None:
        context.meta[str(parameter.name)] = text
        try:
            return None if text is None else read(text, clock())
        except UsageError as error:
            raise UsageError(error.what, where=parameter.opts[0], remedy=error.remedy) from None

    return callback


def lane_option(**attributes: Any) -> Callable[[F], F]:
    """Returns the option ``--lane``, whose value is a `Lane`."""
    return click.option("--lane", type=Named(lane_named, LANES), metavar="LANE", **attributes)


def instant_option(
    name: str, help_text: str, read: Callable[[str, datetime], datetime] = read_instant
) -> Callable[[F], F]:
    """Returns an option whose value is an instant in UTC."""
    return click.option(*name.split(), callback=_read_by(read), metavar="WHEN", help=help_text)


def day_option(name: str, help_text: str, **attributes: Any) -> Callable[[F], F]:
    """Returns an option whose value is a UTC day."""
    return click.option(*name.split(), callback=_read_by(read_day), metavar="DAY", help=help_text, **attributes)


LANE: Final = lane_option(required=True, help=f"One of {', '.join(LANES)}.")
ANY_LANE: Final = lane_option(help=f"One of {', '.join(LANES)}; every lane in use if not given.")
AS_OF: Final = instant_option("--as-of", "As of then: 2d (ago), or 2026-11-28T08:00.")
GENERATED_BY: Final = click.option(
    "--generated-by",
    default=DEFAULT_GENERATED_BY,
    show_default=True,
    metavar="LABEL",
    help="Public-safe label of who asks.",
)
BY: Final = click.option(
    "--by", required=True, metavar="LABEL", help="Public-safe label of who acts; no e-mail address."
)
LIVE: Final = click.option("--live", is_flag=True, help="Send. The host's CAVRA_LIVE_LANES must allow it.")


def file_option(text: str) -> Callable[[F], F]:
    """Returns the option ``--output-file`` of a command that writes a file."""
    path = click.Path(path_type=Path)
    return click.option("--output-file", "-o", type=path, metavar="FILE", help=text)


def range_option(default: str = "", *, is_required: bool = False) -> Callable[[F], F]:
    """Returns the options ``--from`` and ``--to`` of a range of UTC days; ``--to`` alone needs no help of its own.

    Args:
        default: What ``--from`` is if it is not given, in words.
        is_required: Whether ``--from`` must be given.
    """
    first = "First UTC day: YYYY-MM-DD, yesterday, or 2d (ago)." + (f"  [default: {default}]" if default else "")
    return options(
        day_option("--from first", first, required=is_required),
        day_option("--to last", "Last UTC day, inclusive.  [default: today]"),
    )


def day_range(first: date, last: date | None, now: datetime, *, is_past: bool = True) -> list[date]:
    """Returns the days from ``--from`` to ``--to``, which is today if it was not given.

    Args:
        first: The first day.
        last: The last day, if it was given.
        now: The present.
        is_past: Whether a day that is still to come is refused: there is no report of it.

    Raises:
        UsageError: A day is still to come, or the first is after the last.
    """
    today = now.date()
    for name, day in (("--to", last), ("--from", first)) if is_past else ():
        if day and day > today:
            raise UsageError(f"{day} is still to come", where=name, remedy=f"Name a day up to {today}")
    until = last or max(first, today)
    if first > until:
        raise UsageError(f"{first} is after --to {until}", where="--from", remedy="Give the earlier day first")
    return days_between(first, until)


def clock() -> datetime:
    """Returns the present instant in UTC."""
    return datetime.now(UTC)


def require_home(settings: Settings) -> None:
    """Refuses a home that is not there, as a mistyped CAVRA_HOME is not.

    Raises:
        UsageError: There is none.
    """
    if not settings.home.is_dir():
        remedy = "Run cavra-pipeline demo or cavra-pipeline import PATH to make it, or set CAVRA_HOME to yours"
        raise UsageError("there is no home yet", where=str(settings.home), remedy=remedy)


def home() -> Settings:
    """Returns the settings of the home, with its folders and its key made; a home that is new is said.

    Reading makes one too: a host that shares state and warehouse with others begins without a folder of its own.
    """
    settings = load_settings()
    is_new = not settings.home.exists()
    opened = open_home(settings)
    if is_new:
        standard_error().print(f"note: made a new home: {settings.home} (CAVRA_HOME says where it is)")
    return opened


def reading() -> AbstractContextManager[Session]:
    """Opens the home's warehouse for reading."""
    return warehouse_of(home()).reading()


def reading_state() -> AbstractContextManager[sa.Connection]:
    """Opens the home's state database for reading."""
    return state_of(home()).reading()


def daemon_of(settings: Settings, now: datetime) -> dict[str, Any]:
    """Returns the state of the home's Dagster daemon, as `daemon.daemon_state` does, or `unknown`."""
    from cavra_pipeline.daemon import daemon_state

    try:
        return daemon_state(settings, now)
    except PipelineError:
        # What is wrong is for `doctor` to say; the rest of the screen doesn't depend on it.
        return {
            "state": "unknown",
            "last_heartbeat_at": None,
            "age_minutes": None,
            "silent": [],
            "are_alerts_evaluated": None,
            "alerts_evaluated_at": None,
        }


def answer(
    document: Any, show: Callable[[Terminal, Any], None], rows: Rows | None = None, columns: Sequence[str] = ()
) -> None:
    """Prints the answer on standard output in the form that was asked for.

    Args:
        document: The answer; as JSON it is printed whole.
        show: Shows it to a person.
        rows: The rows of the CSV; without them it has one, of the document's own numbers and texts.
        columns: The columns of the CSV, where they are known without a row.
    """
    form = form_of_answer()
    if form == JSON:
        print_json(document)
    elif form == CSV:
        print_csv(rows_of(document, rows), columns)
    else:
        show(standard_output(), document)


def rows_of(document: Any, rows: Rows | None) -> Sequence[Mapping[str, Any]]:
    """Returns the rows of an answer: those of a member, those that a function makes, or the document as one row."""
    if callable(rows):
        return list(rows(document))
    if rows is not None:
        return list(document[rows])
    return [{name: value for name, value in document.items() if not isinstance(value, Mapping | list | tuple)}]


def of_lanes(reports: Sequence[Mapping[str, Any]], as_of: datetime, **members: object) -> dict[str, Any]:
    """Returns the answer about every lane in use: the report of each, by lane."""
    return {"as_of": instant(as_of), **members, "lanes": {report["lane"]: report for report in reports}}


def next_command(words: str) -> str:
    """Returns the command line that leads on, for the instant that was asked for, written as it was."""
    as_of = click.get_current_context().meta.get("as_of")
    return f"cavra-pipeline {words}" + (f" --as-of {shlex.quote(as_of)}" if as_of else "")


def exit_with(failures: Iterable[PipelineError], notes: Iterable[str] = ()) -> None:
    """Prints notes and failures on standard error and ends the command; its exit code is 1 if anything failed."""
    err, code = standard_error(), 0
    for note in notes:
        err.print("note:", note)
    for failure in failures:
        err.failure("error:", failure)
        code = EXIT_FAILED
    sys.exit(code)


def exit_after_run(has_succeeded: bool) -> NoReturn:
    """Ends the command as its Dagster run ended."""
    if not has_succeeded:
        standard_error().print(shown("error:", "red"), "a Dagster run failed; its log is above, and in the Dagster UI")
    sys.exit(0 if has_succeeded else EXIT_FAILED)
