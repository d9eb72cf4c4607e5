"""Makes the reports of a UTC day and saves them in the state database, the newest in place of the one before."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from backports import zstd

from cavra_pipeline.documents import canonical_bytes, instant, parse_as_of
from cavra_pipeline.errors import PipelineError, TransientError, UsageError, checked
from cavra_pipeline.evidence.changes import newest_change
from cavra_pipeline.lanes import LANES, Lane, lane_named
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.recoveries.report import recovery_reports
from cavra_pipeline.reports.closure import closure_reports
from cavra_pipeline.reports.dashboard import dashboards
from cavra_pipeline.reports.health import DEFAULT_WINDOW_HOURS, health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.retention.horizon import answerable_days, earliest_answerable
from cavra_pipeline.state import State
from cavra_pipeline.state.tables import EVERY_LANE, evidence_changes, prunings, saved_reports
from cavra_pipeline.warehouse import Session, Warehouse

RETRY_PLAN: Final = "retry_plan"
RETRY_HEALTH: Final = "retry_health"
DASHBOARD: Final = "dashboard"
RECOVERIES: Final = "recoveries"
CLOSURE: Final = "closure"
#: Reports over all lanes, in the order in which they are made.
OVER_ALL_LANES: Final = (RECOVERIES, CLOSURE, DASHBOARD)
#: Names under which requested reports are saved: as of another instant or by other parameters than the day's own.
REQUESTED_AS: Final = {report: f"asked_{report}" for report in (RETRY_PLAN, RETRY_HEALTH, *OVER_ALL_LANES)}
REQUESTED_PLAN: Final = REQUESTED_AS[RETRY_PLAN]
#: The names of saved reports.
SAVED_AS: Final = (*REQUESTED_AS, *REQUESTED_AS.values())
#: Days of reports that are made in one pass and saved in one transaction: all of them, or none.
DAYS_TOGETHER: Final = 366
#: Level of zstd; what the others take: docs/decisions/0022-state-database.md.
_LEVEL: Final = 1
#: Where each report has its id.
ID_FIELDS: Final = {
    RETRY_PLAN: "retry_plan_id",
    RETRY_HEALTH: "health_id",
    DASHBOARD: "dashboard_id",
    RECOVERIES: "recovery_report_id",
    CLOSURE: "closure_report_id",
}
#: Reports without a window: they describe the state at their instant.
_WITHOUT_WINDOW: Final = frozenset({RETRY_PLAN, RECOVERIES})
#: Members that evidence up to the instant does not decide: they are stored in columns and not in the document.
_IN_COLUMNS: Final = ("generated_at", "future_record_count")
_NAMED_INCIDENTS: Final = re.compile(rb'"provider_incident_id":(?:null|"[^"]*")')
_saved: Final = saved_reports.c


@dataclass(frozen=True, slots=True)
class Report:
    """A saved report: which one, of which lane (None for all), of which UTC day, the document, if it is a what-if."""

    report: str
    lane: str | None
    day: date
    document: dict[str, Any]
    is_what_if: bool = False

    @property
    def report_id(self) -> str:
        """The document's own id."""
        return str(self.document[ID_FIELDS[self.report]])


def evaluated_at(day: date, now: datetime) -> datetime:
    """Returns the instant at which a day is judged: its last microsecond, or now if it is today (contract section 5).

    Raises:
        UsageError: The day is still to come.
    """
    today = now.astimezone(UTC).date()
    if day > today:
        raise UsageError(f"{day} is still to come", where="day", remedy=f"Name a day up to {today}")
    return now if day == today else datetime.combine(day, time.max, UTC)


def judged_by(report: str, lane: Lane | None, values: Mapping[str, Any]) -> Any:
    """Returns what a report is judged by: a policy, parameters, or None where it takes none.

    Raises:
        UsageError: A value is unknown or outside what is accepted.
    """
    if report == RECOVERIES:
        return checked(RecoveryParameters, values)
    if lane is None:
        return None
    return retry_policy(lane, values) if report == RETRY_PLAN else health_parameters(lane, **values)


def is_what_if(report: str, lane: Lane | None, values: Mapping[str, Any], *, as_of: datetime, end: datetime) -> bool:
    """Returns whether a report is not the day's own: as of another instant than its ``end``, or by other parameters."""
    return as_of != end or judged_by(report, lane, values) != judged_by(report, lane, {})


def make_reports(
    session: Session,
    report: str,
    lane: Lane | None,
    *,
    instants: Sequence[datetime],
    now: datetime,
    parameters: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Makes a report as of each instant, in one pass; unknown parameters are refused by what takes them."""
    by = judged_by(report, lane, parameters)
    if report == RECOVERIES:
        return recovery_reports(session, by, instants=instants, now=now)
    if report == CLOSURE:
        return closure_reports(session, instants=instants, now=now)
    if lane is None:
        return dashboards(session, instants=instants, now=now)
    if report == RETRY_PLAN:
        return retry_plans(session, lane, by, instants=instants, now=now)
    return retry_health_reports(session, lane, by, instants=instants, now=now)


def _looks_back(report: str, lane: Lane | None, parameters: Mapping[str, Any]) -> timedelta:
    """Returns how far back a report's counts reach from its instant."""
    if report in _WITHOUT_WINDOW:
        return timedelta(0)
    hours = health_parameters(lane, **parameters).window_hours if lane else DEFAULT_WINDOW_HOURS
    return timedelta(hours=hours)


def save_reports(
    warehouse: Warehouse,
    state: State,
    report: str,
    lane_name: str | None,
    days: Sequence[date],
    *,
    now: datetime,
    as_of: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Iterator[Report]:
    """Makes a report for each day and saves it, up to 366 days at a time; a failure keeps the days before those.

    A report that is saved already and says the same is left as it is, so that a second run does what the first left
    undone. So are the reports of days of which the evidence has been pruned, if there are other days. A what-if, as of
    another instant or by other parameters than the day's own, is saved beside the day's report and never in its place.

    Args:
        warehouse: The home's warehouse.
        state: The state database.
        report: ``retry_plan``, ``retry_health``, or one over all lanes.
        lane_name: The lane, or None for a report over all lanes.
        days: UTC days, each judged at its end, or now if it is today.
        now: When the reports are made.
        as_of: Another instant instead of each day's end, as ISO-8601.
        parameters: Policy fields, health parameters or the limit of recoveries.

    Yields:
        The saved reports, in the order of the days.

    Raises:
        UsageError: A day is still to come, a parameter is not accepted, or the evidence of all days has been pruned;
            nothing was made or saved.
        PipelineError: Some days failed; the message names them. The days before them are saved, and have been yielded.
    """
    lane = lane_named(lane_name) if lane_name else None
    values, asked_for = parameters or {}, parse_as_of(as_of) if as_of else None
    ends = {day: evaluated_at(day, now) for day in days}
    moment_of = {day: asked_for or moment for day, moment in ends.items()}
    back = _looks_back(report, lane, values)
    with warehouse.reading() as session:
        days = answerable_days(session, moment_of, looks_back=back)
    for batch in _batches(days, DAYS_TOGETHER):
        try:
            # Read before the evidence: a change that is noted later may not be in it.
            newest = newest_change(state)
            moments = [moment_of[day] for day in batch]
            with warehouse.reading() as session:
                documents = make_reports(session, report, lane, instants=moments, now=now, parameters=values)
            other = [is_what_if(report, lane, values, as_of=moment_of[day], end=ends[day]) for day in batch]
            reports = [Report(report, lane_name, *fields) for fields in zip(batch, documents, other, strict=True)]
            _save(state, [new for new in reports if not new.is_what_if], newest, now)
            _save_requested(state, [new for new in reports if new.is_what_if], now)
        except UsageError:
            raise
        except Exception as error:
            raise _stopped(report, lane_name, batch[0], batch[-1], error) from error
        yield from reports


_Item = TypeVar("_Item")


def _batches(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _stopped(report: str, lane: str | None, first: date, last: date, error: Exception) -> PipelineError:
    """Returns the error with the days at which a range stopped; a transient error stays transient."""
    what, days = ("this day", str(first)) if first == last else ("these days", f"{first} to {last}")
    kind = TransientError if isinstance(error, TransientError) else PipelineError
    return kind(
        f"{what} could not be made or saved: {error if isinstance(error, PipelineError) else type(error).__name__}",
        where=f"{report} of {lane or 'all lanes'}, {days}",
        remedy="The days before are saved; run the same range again for the rest",
    )


def _save(state: State, reports: Sequence[Report], change_number: int, now: datetime) -> None:
    """Puts reports in place of those of their days in one transaction; those that say the same are left alone."""
    if not reports:
        return
    first = reports[0]
    of_days = (
        (_saved.report == first.report)
        & (_saved.lane == (first.lane or EVERY_LANE))
        & _saved.report_day.in_([report.day for report in reports])
    )
    with state.reading() as c:
        rows = c.execute(
            sa.select(_saved.report_day, _saved.report_id, _saved.future_record_count, _saved.document).where(of_days)
        )
        saved = {row.report_day: (row.report_id, row.future_record_count, row.document) for row in rows}
    fresh = [report for report in reports if report.day not in saved or not _says_the_same(report, *saved[report.day])]
    values = [_values(report, report.report, change_number, now) for report in fresh]
    with state.writing() as c:
        if fresh:
            c.execute(sa.delete(saved_reports).where(of_days, _saved.report_day.in_([report.day for report in fresh])))
            c.execute(sa.insert(saved_reports), values)
        # The others were made again from evidence of now and say the same, so no change before has outdated them.
        ids = [(report.day, report.report_id) for report in reports]
        confirmed = sa.tuple_(_saved.report_day, _saved.report_id).in_(ids)
        c.execute(
            sa.update(saved_reports)
            .where(of_days, confirmed, _saved.change_number < change_number, is_outdated())
            .values(change_number=change_number)
        )


def _says_the_same(report: Report, report_id: str, future_record_count: int | None, packed: bytes) -> bool:
    """Compares a report with a saved one: by its id, and by what the id leaves out but evidence decides."""
    if (report.report_id, report.document.get("future_record_count")) != (report_id, future_record_count):
        return False
    named = _NAMED_INCIDENTS.findall
    return named(canonical_bytes(report.document)) == named(zstd.decompress(packed))


def _values(report: Report, saved_as: str, change_number: int, now: datetime) -> dict[str, Any]:
    document = report.document
    return {
        "report": saved_as,
        "lane": report.lane or EVERY_LANE,
        "report_day": report.day,
        "as_of": parse_as_of(document["as_of"]),
        "report_id": report.report_id,
        "alert_level": document.get("alert_level"),
        "evidence_record_count": document["evidence_record_count"],
        "future_record_count": document.get("future_record_count"),
        "generated_at": now,
        "change_number": change_number,
        "document": zstd.compress(canonical_bytes(_to_store(document)), _LEVEL),
    }


def _to_store(document: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the members that evidence, instant and parameters decide: the same bytes whenever it is made."""
    return {name: value for name, value in document.items() if name not in _IN_COLUMNS}


def document_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the document of a saved report as it was made, from the columns of its row."""
    beside = {"generated_at": instant(row["generated_at"]), "future_record_count": row["future_record_count"]}
    there = {name: value for name, value in beside.items() if value is not None}
    return dict(sorted({**json.loads(zstd.decompress(row["document"])), **there}.items()))


def save_every_report(warehouse: Warehouse, state: State, days: Sequence[date], *, now: datetime) -> Iterator[Report]:
    """Makes and saves every report of the days, lane by lane: plan and health, then those over all lanes."""
    for lane in LANES:
        yield from save_reports(warehouse, state, RETRY_PLAN, lane, days, now=now)
        yield from save_reports(warehouse, state, RETRY_HEALTH, lane, days, now=now)
    for report in OVER_ALL_LANES:
        yield from save_reports(warehouse, state, report, None, days, now=now)


def save_plan(state: State, plan: dict[str, Any], *, now: datetime) -> None:
    """Saves a requested plan, by its id, so that a worker run can execute it."""
    _save_requested(state, [Report(RETRY_PLAN, plan["lane"], parse_as_of(plan["as_of"]).date(), plan)], now)


def _save_requested(state: State, reports: Sequence[Report], now: datetime) -> None:
    """Saves requested reports, each by its id; the state is not held where there is none."""
    if not reports:
        return
    with state.writing() as c:
        for report in reports:
            saved_as, day = REQUESTED_AS[report.report], report.day
            same = (_saved.report == saved_as) & (_saved.report_day == day) & (_saved.report_id == report.report_id)
            c.execute(sa.delete(saved_reports).where(same))
            c.execute(sa.insert(saved_reports), _values(report, saved_as, 0, now))


def days_between(first: date, last: date) -> list[date]:
    """Returns every day from ``first`` to ``last`` inclusive."""
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


@dataclass(frozen=True, slots=True)
class SavedReports:
    """Which saved reports to list; None stands for any.

    Attributes:
        after: Place of the last row of the page before: day, ``generated_at``, id, report.
    """

    report: str | None = None
    lane: str | None = None
    alert_level: str | None = None
    first: date | None = None
    last: date | None = None
    report_id: str | None = None
    after: tuple[date, datetime, str, str] | None = None


#: Columns of a listed report, and the order of the list.
_LISTED: Final = (
    _saved.report, _saved.lane, _saved.report_day, _saved.as_of, _saved.report_id, _saved.alert_level,
    _saved.evidence_record_count, _saved.generated_at,
)  # fmt: skip
_ORDER: Final = (_saved.report_day, _saved.generated_at, _saved.report_id, _saved.report)


def list_reports(
    state: State, which: SavedReports, *, limit: int | None = None, with_documents: bool = False
) -> list[dict[str, Any]]:
    """Returns saved reports, newest day first; ``lane`` is None for a report over all lanes."""
    columns = (*_LISTED, _saved.future_record_count, _saved.document) if with_documents else _LISTED
    wanted = sa.select(*columns).order_by(*(column.desc() for column in _ORDER)).limit(limit)
    for name in ("report", "lane", "alert_level", "report_id"):
        if (value := getattr(which, name)) is not None:
            wanted = wanted.where(_saved[name] == value)
    if which.first:
        wanted = wanted.where(_saved.report_day >= which.first)
    if which.last:
        wanted = wanted.where(_saved.report_day <= which.last)
    if which.after:
        place = [sa.literal(value, column.type) for value, column in zip(which.after, _ORDER, strict=True)]
        wanted = wanted.where(sa.tuple_(*_ORDER) < sa.tuple_(*place))
    with state.reading() as c:
        rows = [dict(row) for row in c.execute(wanted).mappings()]
    for row in rows:
        row["lane"] = row["lane"] or None
        if with_documents:
            row["document"] = document_of(row)
            del row["future_record_count"]
    return rows


def is_outdated() -> sa.ColumnElement[bool]:
    """Returns the condition that evidence from before a report's instant has changed since it was made."""
    change = evidence_changes.c
    return sa.exists().where(change.change_number > _saved.change_number, change.earliest <= _saved.as_of)


def days_to_remake(state: State) -> dict[date, int]:
    """Returns the days of which a saved report may be out of date, each with the number of the newest change.

    A report is based on all evidence up to its instant, so each change outdates every report as of a later instant,
    until it is made again (``save_reports``). Reports of which the evidence has been pruned can't be.
    """
    change = evidence_changes.c
    newest = (
        sa.select(_saved.report, _saved.report_day, _saved.as_of, sa.func.max(change.change_number).label("number"))
        .where(_saved.report.in_(REQUESTED_AS))
        .where(change.change_number > _saved.change_number, change.earliest <= _saved.as_of)
        .group_by(_saved.report, _saved.lane, _saved.report_day, _saved.report_id, _saved.as_of)
    )
    with state.reading() as c:
        horizon = c.execute(sa.select(sa.func.max(prunings.c.horizon))).scalar()
        rows = c.execute(newest).all()
    numbers: dict[date, int] = {}
    for row in rows:
        if horizon is None or row.as_of >= earliest_saved(row.report, horizon):
            numbers[row.report_day] = max(row.number, numbers.get(row.report_day, 0))
    return dict(sorted(numbers.items()))


def earliest_saved(report: str, horizon: datetime) -> datetime:
    """Returns the first instant as of which a day's report can still be made after a pruning."""
    back = timedelta(0) if report in _WITHOUT_WINDOW else timedelta(hours=DEFAULT_WINDOW_HOURS)
    return earliest_answerable(horizon, back)
