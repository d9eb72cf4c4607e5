"""The command line (contract section 10). It reads the clock and the environment and calls the domain; no rule is here.

Answers go to standard output: tables for a person, or exactly one JSON document with ``--json``. Everything else goes
to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 health at or above ``--fail-on``.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import click

from cavra_pipeline.cli import tables
from cavra_pipeline.cli.alerts import build_alerts_command
from cavra_pipeline.cli.api import COMMANDS as API_COMMANDS
from cavra_pipeline.cli.connectors import build_connectors_command
from cavra_pipeline.cli.slots import build_slots_command
from cavra_pipeline.cli.upkeep import build_prune_command, compact_command
from cavra_pipeline.dashboard.counts import dashboard as make_dashboard
from cavra_pipeline.documents import DEFAULT_GENERATED_BY, parse_as_of
from cavra_pipeline.errors import OutOfMemory, PipelineError
from cavra_pipeline.evidence.export import export_records
from cavra_pipeline.evidence.formats import provider_name
from cavra_pipeline.evidence.importer import import_evidence
from cavra_pipeline.evidence.ingest import ingest as run_ingest
from cavra_pipeline.evidence.ingest import warehouse_of
from cavra_pipeline.evidence.landing import list_drops, strays
from cavra_pipeline.evidence.pseudonym_key import open_home, pseudonyms_of
from cavra_pipeline.evidence.queries import list_findings, list_quarantine
from cavra_pipeline.evidence.stores import source_files
from cavra_pipeline.executive.escalation import DEFAULT_SLO_MINUTES, escalation_plan
from cavra_pipeline.executive.publish import escalation, report_announcement, report_run_id
from cavra_pipeline.executive.render import report_html, report_json, report_markdown, write_report
from cavra_pipeline.executive.report import DEFAULT_WINDOW_DAYS, executive_report
from cavra_pipeline.health.report import health_parameters, retry_health
from cavra_pipeline.lanes import LANES, lane_named
from cavra_pipeline.reports.store import days_between, evaluated_at, keep_every_report, keep_plan
from cavra_pipeline.retry.acknowledge import DELIVERY_STATES, acknowledge, withdraw
from cavra_pipeline.retry.first_delivery import Announcement, first_delivery
from cavra_pipeline.retry.plan import retry_plan
from cavra_pipeline.retry.policy import retry_policy
from cavra_pipeline.retry.sender import open_sender
from cavra_pipeline.retry.worker import DEFAULT_RETRY_DELIVERIES, WorkerRequest, run_worker
from cavra_pipeline.settings import Settings, load_settings
from cavra_pipeline.slots.ledger import slots_of_report
from cavra_pipeline.terminal import EscapingGroup, print_document, print_json_line
from cavra_pipeline.terminal import print_json as _print_json
from cavra_pipeline.terminal import standard_error as _err
from cavra_pipeline.terminal import standard_output as _out

_FAILS: Final = {"warning": ("warning", "critical"), "critical": ("critical",)}
_STDIN: Final = "-"
F = TypeVar("F", bound=Callable[..., Any])


class _Number(click.ParamType[int | float]):
    """A number as it is written: 15 stays whole, 7.5 does not."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        try:
            return int(value)
        except ValueError:
            try:
                return float(value)
            except ValueError:
                self.fail(f"{value!r} is not a number", param, ctx)


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
_ASKED = _options(
    click.option("--lane", required=True, metavar="LANE", help=f"One of {', '.join(LANES)}."),
    click.option("--as-of", metavar="INSTANT", help="ISO-8601, UTC without an offset; now if not given."),
    click.option("--generated-by", default=DEFAULT_GENERATED_BY, show_default=True, help="Public-safe actor label."),
    _AS_JSON,
)


def _day(_context: click.Context, parameter: click.Parameter, value: str | None) -> date | None:
    try:
        return date.fromisoformat(value) if value else None
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a day; write it as YYYY-MM-DD", param=parameter) from None


_RANGE = _options(
    click.option("--from", "first", callback=_day, metavar="DAY", help="First UTC drop day, YYYY-MM-DD."),
    click.option("--to", "last", callback=_day, metavar="DAY", help="Last UTC drop day, inclusive."),
)


def _now() -> datetime:
    return datetime.now(UTC)


def _home() -> Settings:
    return open_home(load_settings())


def _say_failures(failures: list[PipelineError]) -> None:
    for failure in failures:
        _err().failure("failed:", failure)


@click.group(cls=EscapingGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(version("cavra-pipeline"), prog_name="cavra-pipeline")
def cli() -> None:
    r"""Is rollback-drill recovery retried as it should be?

    Reads redacted CAVRA evidence into a DuckDB warehouse and answers with health reports and retry plans.
    Everything lives under CAVRA_HOME (default: .cavra in the current folder).

    \b
    A first look:        cavra-pipeline demo
    Your own evidence:   cavra-pipeline import evidence.db && cavra-pipeline ingest
    Is it healthy?       cavra-pipeline retry-health --lane recovery_escalation
    What to retry?       cavra-pipeline retry-plan --lane executive_report
    The Dagster UI:      cavra-pipeline dev
    """


@cli.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@_AS_JSON
def import_command(paths: tuple[str, ...], as_json: bool) -> None:
    """Bring CAVRA stores or JSON lines into the landing zone.

    PATH is a CAVRA SQLite store, a CAVRA JSON store, JSON lines (.gz and .zst too), a folder of these, or - for one of
    them on standard input. Only allowlisted fields are written; importing the same thing twice changes nothing. A file
    that is none of these is one failure; the others are imported all the same.
    """
    settings = _home()
    sources: list[tuple[str, Path | IO[bytes]]] = [
        ("standard input", sys.stdin.buffer) if path == _STDIN else (path, Path(path)) for path in paths
    ]
    with _err().bytes_progress("importing", _size_of([source for _, source in sources])) as tick:
        result = import_evidence(settings, sources, now=_now(), tick=tick)
    if as_json:
        _print_json({
            "received_count": result.received_count,
            "imported_count": result.imported_count,
            "quarantined_count": result.quarantined_count,
            "finding_count": result.finding_count,
            "dropped_field_count": result.dropped_field_count,
            "drops_written": result.written,
            "drops_unchanged_count": result.unchanged_count,
            "notes": result.notes,
            "failures": [str(failure) for failure in result.failures],
        })  # fmt: skip
    else:
        _out().print(
            tables.facts(
                "Import",
                [
                    ("records", f"{result.received_count} read, {result.imported_count} passed the boundary"),
                    ("held back", f"{result.quarantined_count} quarantined, {result.finding_count} findings"),
                    ("fields left out", result.dropped_field_count),
                    ("drops", f"{len(result.written)} written, {result.unchanged_count} already there"),
                    ("landing zone", settings.landing),
                    ("next", "cavra-pipeline ingest"),
                ],
            )
        )
    for said in result.notes:
        _err().print("note:", said)
    _say_failures(result.failures)
    sys.exit(1 if result.failures else 0)


def _size_of(sources: list[Path | IO[bytes]]) -> int:
    size = 0
    for source in sources:
        if isinstance(source, Path) and source.exists():
            try:
                size += sum(file.stat().st_size for file in source_files(source))
            except (OSError, PipelineError):
                continue
    return size


@cli.command()
@_RANGE
@_AS_JSON
def ingest(first: date | None, last: date | None, as_json: bool) -> None:
    """Read new and changed drops into the warehouse, or every drop of a range of days again."""
    if first and last and first > last:
        raise click.UsageError(f"--from {first} is after --to {last}; give the earlier day first")
    settings = _home()
    total = sum(drop.size_bytes for drop in list_drops(settings.landing, pseudonyms_of(settings), first, last))
    with _err().bytes_progress("ingesting", total) as tick:
        result = run_ingest(settings, now=_now(), first=first, last=last, tick=tick)
    ignored = strays(settings.landing, pseudonyms_of(settings))
    if as_json:
        _print_json({
            "drop_count": len(result.drops),
            "unchanged_drop_count": result.unchanged_count,
            "received_count": result.received_count,
            "quarantined_count": result.quarantined_count,
            "finding_count": result.finding_count,
            "unknown_kind_count": result.unknown_kind_count,
            "dropped_field_count": result.dropped_field_count,
            "past_retention_record_count": result.past_retention_count,
            "past_retention_drop_count": len(result.closed_drops),
            "touched_days": sorted(day.isoformat() for day in result.touched_days),
            "ignored_files": ignored,
            "notes": result.notes,
            "failures": [str(failure) for failure in result.failures],
        })  # fmt: skip
    else:
        _out().print(
            tables.facts(
                "Ingest",
                [
                    ("drops", f"{len(result.drops)} read, {result.unchanged_count} unchanged"),
                    ("records", f"{result.received_count} received, {result.quarantined_count} quarantined"),
                    ("findings", result.finding_count),
                    ("unknown kinds", result.unknown_kind_count),
                    ("fields left out", result.dropped_field_count),
                    ("warehouse", settings.warehouse),
                ],
            )
        )
        if not result.drops and not result.unchanged_count:
            _err().print(f"The landing zone {settings.landing} holds no drop yet: cavra-pipeline import PATH fills it.")
    closed, left_out = len(result.closed_drops), result.past_retention_count
    if closed or left_out:
        _err().print(f"past retention: {closed} drops are left alone, {left_out} records are left out")
    for name in ignored[:10]:
        _err().print(f"ignored {name}: a drop is landing/YYYY-MM-DD/NAME.jsonl (.gz, .zst)")
    for said in result.notes:
        _err().print("note:", said)
    _say_failures(result.failures)
    sys.exit(1 if result.failures else 0)


@cli.command()
@click.argument("value")
@_AS_JSON
def pseudonym(value: str, as_json: bool) -> None:
    """Print what VALUE is called in this home where it may not be stored: as identifier, provider and actor label.

    With - the value is read from standard input, so that it is in no list of commands.
    """
    names = pseudonyms_of(_home())
    text = sys.stdin.read().removesuffix("\n") if value == "-" else value
    shown = {
        "identifier": names.of_text(text),
        "provider": names.of_text(provider_name(text)),
        "actor": names.of_actor(text),
    }
    if as_json:
        _print_json(shown)
    else:
        _out().print(tables.facts("Pseudonym", list(shown.items())))


@cli.command()
@_RANGE
@_AS_JSON
def backfill(first: date | None, last: date | None, as_json: bool) -> None:
    """Ingest a range of days again and make every report of each of them.

    The same as a backfill in the Dagster UI. Days without a drop are a success with nothing in them.
    """
    settings, now = _home(), _now()
    if first is None or last is None or first > last:
        raise click.UsageError("Give both days, the first not after the last: --from DAY --to DAY")
    days = days_between(first, last)
    evaluated_at(last, now)
    total = sum(drop.size_bytes for drop in list_drops(settings.landing, pseudonyms_of(settings), first, last))
    with _err().bytes_progress("ingesting", total) as tick:
        result = run_ingest(settings, now=now, first=first, last=last, tick=tick)
    levels: Counter[str] = Counter()
    with _err().step_progress("making reports", len(days) * (2 * len(LANES) + 1)) as step:
        for one in keep_every_report(warehouse_of(settings), days, now=now):
            levels[str(one.document["alert_level"])] += 1
            step(f"{one.report} of {one.lane or 'all lanes'}, {one.day}")
    if as_json:
        _print_json({
            "day_count": len(days),
            "drop_count": len(result.drops),
            "received_count": result.received_count,
            "report_count": levels.total(),
            "reports_by_alert_level": dict(sorted(levels.items())),
            "failures": [str(failure) for failure in result.failures],
        })  # fmt: skip
    else:
        _out().print(
            tables.facts(
                "Backfill",
                [
                    ("days", f"{len(days)}, {first} to {last}"),
                    ("drops", f"{len(result.drops)} read, {result.received_count} records"),
                    ("reports", f"{levels.total()}: {', '.join(f'{n} {name}' for name, n in sorted(levels.items()))}"),
                ],
            )
        )
    _say_failures(result.failures)
    sys.exit(1 if result.failures else 0)


@cli.command("retry-health")
@_ASKED
@click.option(
    "--expected-interval-minutes", type=int, metavar="N", help="The worker's cadence; the lane's own if not given."
)
@click.option("--stale-metadata-minutes", type=int, metavar="N", help="Age over which a retry plan is stale.")
@click.option("--window-hours", type=int, metavar="N", help="How far back counts reach (168).")
@click.option("--fail-on", type=click.Choice(list(_FAILS)), help="Exit 3 at or above this alert level.")
def retry_health_command(
    lane: str, as_of: str | None, generated_by: str, as_json: bool, fail_on: str | None, **parameters: int | None
) -> None:
    """Is the retry worker running, are its plans fresh, what failed, what waits for a person?"""
    now, chosen = _now(), lane_named(lane)
    judged_by = health_parameters(chosen, **parameters)
    moment = parse_as_of(as_of) if as_of else now
    with warehouse_of(_home()).reading() as session:
        report = retry_health(session, chosen, judged_by, as_of=moment, now=now, generated_by=generated_by)
        slots = slots_of_report(session, report)
    if as_json:
        _print_json(report)
    else:
        tables.show_health(_out(), report, chosen.subject_field, slots=slots)
    sys.exit(3 if fail_on and report["alert_level"] in _FAILS[fail_on] else 0)


@cli.command("retry-plan")
@_ASKED
@click.option("--max-retry-attempts", type=int, metavar="N", help="Failures from which a pair is exhausted (3).")
@click.option(
    "--retry-delay-minutes", type=_Number(), metavar="N", help="Delay after the first failure; the lane's own."
)
@click.option("--allow-immediate-retry", is_flag=True, default=None, help="Let a delay be under one minute.")
@click.option("--backoff-multiplier", type=_Number(), metavar="X", help="Factor for each further failure (2).")
@click.option("--max-retry-delay-minutes", type=_Number(), metavar="N", help="The delay never grows past this (1440).")
@click.option("--non-retryable-status-code", type=int, multiple=True, metavar="N", help="Never retry such a failure.")
@click.option("--keep", is_flag=True, help="Keep the plan, so that worker --plan can execute it.")
def retry_plan_command(
    lane: str,
    as_of: str | None,
    generated_by: str,
    as_json: bool,
    keep: bool,
    non_retryable_status_code: tuple[int, ...],
    **fields: Any,
) -> None:
    """Which failed deliveries to retry, which wait, which are exhausted?"""
    now, chosen = _now(), lane_named(lane)
    policy = retry_policy(chosen, {**fields, "non_retryable_status_codes": list(non_retryable_status_code)})
    moment = parse_as_of(as_of) if as_of else now
    with warehouse_of(_home()).reading() as session:
        plan = retry_plan(session, chosen, policy, as_of=moment, now=now, generated_by=generated_by)
    if keep:
        keep_plan(warehouse_of(_home()), plan, now=now)
    if as_json:
        _print_json(plan)
    else:
        tables.show_plan(_out(), plan, chosen.subject_field)


@cli.command()
@click.option("--lane", required=True, metavar="LANE", help=f"One of {', '.join(LANES)}.")
@click.option("--live", is_flag=True, help="Send. CAVRA_LIVE_LANES must name the lane.")
@click.option(
    "--max-retry-deliveries",
    type=int,
    default=DEFAULT_RETRY_DELIVERIES,
    show_default=True,
    metavar="N",
    help="Retries selected at most, 1..25.",
)
@click.option("--plan", "plan_id", metavar="ID", help="Execute only what this kept plan said and what still holds.")
@click.option("--generated-by", default=DEFAULT_GENERATED_BY, show_default=True, help="Public-safe actor label.")
@_AS_JSON
def worker(
    lane: str, live: bool, max_retry_deliveries: int, plan_id: str | None, generated_by: str, as_json: bool
) -> None:
    """Run the recovery retry worker once: dry unless --live is given.

    A dry run selects and sends nothing. Both kinds leave a worker-run record as evidence.
    """
    settings, chosen = _home(), lane_named(lane)
    request = WorkerRequest(
        lane=chosen,
        policy=retry_policy(chosen),
        is_live=live,
        max_retry_deliveries=max_retry_deliveries,
        retry_plan_id=plan_id,
        generated_by=generated_by,
    )
    with open_sender(settings, clock=_now) as sender:
        document = run_worker(settings, request, sender, clock=_now, run_id=uuid.uuid4().hex)
    if as_json:
        _print_json(document)
    else:
        tables.show_worker_run(_out(), document, chosen.subject_field)


@cli.command()
@click.option(
    "--lane", default="recovery_escalation", show_default=True, metavar="LANE", help="A lane that takes them."
)
@click.option("--plan", "subject", required=True, metavar="ID", help="The plan, or the health report of an alert lane.")
@click.option("--provider", required=True, metavar="NAME", help="The connector it is acknowledged for.")
@click.option("--state", metavar="STATE", help=f"One of {', '.join(DELIVERY_STATES)}.")
@click.option("--withdraw", "is_withdrawn", is_flag=True, help="Withdraw the acknowledgement; in place of --state.")
@click.option("--force", is_flag=True, help="Record it although no such delivery is known.")
@click.option("--by", required=True, metavar="LABEL", help="Public-safe label of who says it; no e-mail address.")
@_AS_JSON
def ack(
    lane: str, subject: str, provider: str, state: str | None, is_withdrawn: bool, force: bool, by: str, as_json: bool
) -> None:
    """Acknowledge a failing delivery, so that its live retry may go ahead or is known to be handled."""
    chosen, said = lane_named(lane), {"subject": subject, "provider": provider, "by": by}
    if (state is None) == (not is_withdrawn):
        raise click.UsageError("Give either --state STATE or --withdraw")
    if state is None:
        written = withdraw(_home(), chosen, **said, now=_now())
    else:
        written = acknowledge(_home(), chosen, **said, state=state, now=_now(), is_forced=force)
    if as_json:
        _print_json(written)
    else:
        word = "withdrawn" if is_withdrawn else written["acknowledgement_state"]
        _out().print(f"{word}: {subject} for {provider} ({written['acknowledgement_id']})")


_SLO = click.option(
    "--slo-minutes",
    type=int,
    default=DEFAULT_SLO_MINUTES,
    show_default=True,
    metavar="N",
    help="How long a recovery may be open.",
)
_PROVIDERS = click.option("--provider", "providers", multiple=True, metavar="NAME", help="Connector; repeatable.")
_LIVE = click.option("--live", is_flag=True, help="Send. CAVRA_LIVE_LANES must name the lane.")
_AS_OF = click.option("--as-of", metavar="INSTANT", help="ISO-8601, UTC without an offset; now if not given.")


@cli.command()
@_AS_OF
@_SLO
@_PROVIDERS
@_LIVE
@_AS_JSON
def escalate(as_of: str | None, slo_minutes: int, providers: tuple[str, ...], live: bool, as_json: bool) -> None:
    """Which recoveries are open, for how long, and who must be told? With --provider, says what it would send."""
    settings, now = _home(), _now()
    named = parse_as_of(as_of) if as_of else None
    with warehouse_of(settings).reading() as session:
        plan = escalation_plan(session, as_of=named or now, now=now, slo_minutes=slo_minutes, providers=providers)
    announcement = escalation(plan, requested_at=now, made_at=_now(), as_of=named)
    with _delivered(settings, announcement, plan["selected_providers"] if providers else None, live) as sent:
        if as_json:
            _print_json({"plan": plan, "delivery": sent})
        else:
            tables.show_escalation(_out(), plan)
            tables.show_delivery(_out(), sent)
        sys.stdout.flush()
    _exit_for(sent)


@contextmanager
def _delivered(
    settings: Settings, announcement: Announcement, providers: Sequence[str] | None, live: bool
) -> Iterator[dict[str, Any] | None]:
    """Delivers an announcement and yields how it went; None if nobody named a provider."""
    if providers is None:
        yield None
        return
    with (
        open_sender(settings, clock=_now) as sender,
        first_delivery(
            settings, sender, announcement, providers=providers, is_live=live, clock=_now, run_id=uuid.uuid4().hex
        ) as sent,
    ):
        yield sent


@cli.command("executive-report")
@_AS_OF
@_SLO
@click.option(
    "--window-days", type=int, default=DEFAULT_WINDOW_DAYS, show_default=True, metavar="N", help="UTC days of history."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "html", "json"]),
    default="markdown",
    show_default=True,
    help="What is printed.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write all three forms into this folder instead.")
@_PROVIDERS
@_LIVE
def executive_report_command(
    as_of: str | None,
    slo_minutes: int,
    window_days: int,
    form: str,
    output: Path | None,
    providers: tuple[str, ...],
    live: bool,
) -> None:
    """The recovery report for executives: what happened, what is open, what to do."""
    settings, now = _home(), _now()
    named = parse_as_of(as_of) if as_of else None
    with warehouse_of(settings).reading() as session:
        report = executive_report(
            session,
            as_of=named or now,
            now=now,
            slo_minutes=slo_minutes,
            window_days=window_days,
            providers=providers,
        )
    announcement = report_announcement(
        report, run_id=report_run_id(report), made_at=_now(), requested_at=now, as_of=named
    )
    with _delivered(settings, announcement, providers or None, live) as sent:
        if output:
            for path in write_report(output, report).values():
                _err().print(f"wrote {path}")
        else:
            print_document(_FORMS[form](report))
        tables.show_delivery(_err(), sent)
        sys.stdout.flush()
    _exit_for(sent)


_FORMS: Final = {"markdown": report_markdown, "html": report_html, "json": report_json}


def _exit_for(sent: dict[str, Any] | None) -> None:
    sys.exit(1 if sent and any(not outcome["success"] for outcome in sent["outcomes"]) else 0)


@cli.command()
@click.option("--since", metavar="INSTANT", help="Leave out records created before; ISO-8601.")
@click.option("--made-here", is_flag=True, help="Only records that this pipeline wrote itself.")
def export(since: str | None, made_here: bool) -> None:
    """Write current evidence as JSON lines in CAVRA's own shape to standard output."""
    moment = parse_as_of(since) if since else None
    with warehouse_of(_home()).reading() as session:
        for line in export_records(session, since=moment, made_here=made_here):
            print_json_line(line)


@cli.command()
@click.option("--as-of", metavar="INSTANT", help="ISO-8601, UTC without an offset; now if not given.")
@_AS_JSON
def dashboard(as_of: str | None, as_json: bool) -> None:
    """Counts of everything, over all lanes and per lane."""
    now = _now()
    with warehouse_of(_home()).reading() as session:
        document = make_dashboard(session, as_of=parse_as_of(as_of) if as_of else now, now=now)
    if as_json:
        _print_json(document)
    else:
        tables.show_dashboard(_out(), document)


@cli.command()
@_AS_JSON
def quarantine(as_json: bool) -> None:
    """Lines of which nothing was kept: where they stood, their SHA-256 and why."""
    _listing(
        as_json, "Quarantine", list_quarantine, ("drop_day", "source_file", "line_number", "reason", "field", "sha256")
    )


@cli.command()
@_AS_JSON
def findings(as_json: bool) -> None:
    """What was not public-safe: where, which rule, which field. Never the value."""
    _listing(as_json, "Findings", list_findings, ("drop_day", "source_file", "line_number", "rule", "path", "action"))


def _listing(as_json: bool, title: str, read: Callable[..., list[dict[str, object]]], columns: tuple[str, ...]) -> None:
    with warehouse_of(_home()).reading() as session:
        rows = read(session)
    if as_json:
        _print_json({"count": len(rows), title.lower(): rows})
    elif rows:
        shown = [[str(row[c])[:12] if c == "sha256" else row[c] for c in columns] for row in rows]
        _out().print(tables.table(f"{title}: {len(rows)}", [c.replace("_", " ") for c in columns], shown))
    else:
        _out().print(f"{title}: none")


@cli.command()
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed gives the same history.")
@click.option("--days", type=click.IntRange(14, 366), default=30, show_default=True, help="How many days back it goes.")
def demo(seed: int, days: int) -> None:
    """Write a seeded bad month of drill history, ingest it, make every report and say what is wrong.

    It takes the real path: stores and files, import, then a Dagster run on an instance under CAVRA_HOME.
    """
    from cavra_pipeline.demo.run import run_demo

    settings, now = _home(), _now()
    outcome = run_demo(settings, seed=seed, days=days, now=now, say=lambda text: _err().print(text))
    out = _out()
    for lane in ("recovery_escalation", "executive_report"):
        tables.show_health(out, outcome.health[lane], lane_named(lane).subject_field, brief=True)
        tables.show_plan(out, outcome.plans[lane], lane_named(lane).subject_field, most=8)
    out.print(tables.facts("What happened in this month", [("-", line) for line in outcome.story]))
    out.print(
        tables.facts(
            "Where to look",
            [
                ("boundary", f"{outcome.quarantined_count} quarantined, {outcome.finding_count} findings"),
                ("", "cavra-pipeline quarantine    cavra-pipeline findings    cavra-pipeline dashboard"),
                ("home", settings.home),
                ("the UI", "make dev    (or: cavra-pipeline dev), then http://127.0.0.1:3000/asset-groups"),
            ],
        )
    )
    sys.exit(0 if outcome.succeeded else 1)


@cli.command()
@click.option("--port", "-p", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port of the UI.")
@click.option("--host", "-h", default="127.0.0.1", show_default=True, help="The UI has no login: keep it on loopback.")
def dev(port: int, host: str) -> None:
    """Open the Dagster UI on this code location: lineage, runs, schedules, backfills."""
    settings = _home()
    environ = {**os.environ, "DAGSTER_HOME": str(settings.dagster_home), "CAVRA_HOME": str(settings.home)}
    _err().print(f"Dagster on http://{host}:{port} with the home {settings.home}; Ctrl+C ends it.")
    command = [sys.executable, "-m", "dagster", "dev", "-m", "cavra_pipeline.definitions", "-p", str(port), "-h", host]
    os.execve(sys.executable, command, environ)  # noqa: S606 -- no shell, our own arguments


cli.add_command(build_alerts_command(_now, _home))
cli.add_command(build_connectors_command(_home, _out))
cli.add_command(build_slots_command(_now, _home))
for _command in API_COMMANDS:
    cli.add_command(_command)
cli.add_command(compact_command)
cli.add_command(build_prune_command(_now, _home))


def main() -> None:
    """Runs the command line and turns our errors into a message and an exit code, without a traceback."""
    try:
        cli()
    except PipelineError as error:
        _err().failure("error:", error)
        sys.exit(error.exit_code)
    except MemoryError:
        _err().failure("error:", OutOfMemory("this command"))
        sys.exit(OutOfMemory.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
