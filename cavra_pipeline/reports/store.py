"""Makes the reports of a UTC day and keeps them in the warehouse, the newest in place of the one before."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa

from cavra_pipeline.dashboard.counts import dashboards
from cavra_pipeline.documents import canonical_json, entry_texts, naive_utc, parse_as_of
from cavra_pipeline.errors import PipelineError, TransientError, UsageError
from cavra_pipeline.health.report import DEFAULT_WINDOW_HOURS, HealthParameters, health_parameters, retry_health_reports
from cavra_pipeline.lanes import LANES, Lane, lane_named
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import FIELDS as POLICY_FIELDS
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.retention.horizon import answerable_days, are_answerable
from cavra_pipeline.warehouse import Session, Warehouse, columns

_PACKAGE: Final = "cavra_pipeline.reports"

RETRY_PLAN: Final = "retry_plan"
RETRY_HEALTH: Final = "retry_health"
DASHBOARD: Final = "dashboard"
#: What a plan is kept as that somebody asked for; a day's own plan is kept as RETRY_PLAN.
ASKED_PLAN: Final = "asked_retry_plan"
#: Days of reports that are made in one pass and committed together; reports of many days share their entries, so that a
#: year is small. If the commit fails, each day is committed on its own.
DAYS_TOGETHER: Final = 366
_ID_FIELDS: Final = {RETRY_PLAN: "retry_plan_id", RETRY_HEALTH: "health_id", DASHBOARD: "dashboard_id"}
#: The list of a document whose entries stand in the documents of many days.
_SHARED: Final = {RETRY_PLAN: "retry_decisions", RETRY_HEALTH: "acknowledgement_gaps"}


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was kept: which one, of which lane (None for all), of which UTC day, and the document."""

    report: str
    lane: str | None
    day: date
    document: dict[str, Any]

    @property
    def report_id(self) -> str:
        """The document's own id."""
        return str(self.document[_ID_FIELDS[self.report]])


def evaluated_at(day: date, now: datetime) -> datetime:
    """Returns the instant at which a day is judged: its last microsecond, or now if it is today (contract section 5).

    Raises:
        UsageError: The day is still to come.
    """
    today = now.astimezone(UTC).date()
    if day > today:
        raise UsageError("the day is still to come", where=f"day {day}", remedy=f"Name a day up to {today}")
    return now if day == today else datetime.combine(day, time.max, UTC)


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
    if lane is None:
        return dashboards(session, instants=instants, now=now)
    if report == RETRY_PLAN:
        return retry_plans(session, lane, retry_policy(lane, parameters), instants=instants, now=now)
    return retry_health_reports(session, lane, health_parameters(lane, **parameters), instants=instants, now=now)


def _looks_back(report: str, lane: Lane | None, parameters: Mapping[str, Any]) -> timedelta:
    """How far back a report's counts reach from its instant."""
    if report == RETRY_PLAN:
        return timedelta(0)
    hours = health_parameters(lane, **parameters).window_hours if lane else DEFAULT_WINDOW_HOURS
    return timedelta(hours=hours)


def keep_reports(
    warehouse: Warehouse,
    report: str,
    lane_name: str | None,
    days: Sequence[date],
    *,
    now: datetime,
    as_of: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Iterator[Report]:
    """Makes a report for each day and keeps it; a failure at one day keeps the days before it.

    Some days at a time are made in one pass over the evidence, before the warehouse is opened for writing. A report
    that is kept already and says the same is left as it is, so that a second run does what the first left undone.
    So are the reports of days of which the evidence has been pruned, if there are other days.

    Args:
        warehouse: The home's warehouse.
        report: ``retry_plan``, ``retry_health`` or ``dashboard``.
        lane_name: The lane, or None for the dashboard.
        days: UTC days, each judged at its end, or now if it is today.
        now: When the reports are made.
        as_of: Another instant instead of each day's end, as ISO-8601.
        parameters: Policy fields or health parameters.

    Yields:
        The kept reports, in the order of the days.

    Raises:
        UsageError: A day is still to come, a parameter is not accepted, or the evidence of all days has been pruned;
            nothing was made or kept.
        PipelineError: A day failed; the message names it, or the range of days that were being made together. The days
            before it are kept, and have been yielded.
    """
    lane = lane_named(lane_name) if lane_name else None
    moment_of = {day: parse_as_of(as_of) if as_of else evaluated_at(day, now) for day in days}
    back = _looks_back(report, lane, parameters or {})
    with warehouse.reading() as session:
        days = answerable_days(session, moment_of, looks_back=back)
    for some in _batches(days, DAYS_TOGETHER):
        try:
            moments = [moment_of[day] for day in some]
            with warehouse.reading() as session:
                made = make_reports(session, report, lane, instants=moments, now=now, parameters=parameters or {})
                standing = _standing(session, report, lane_name, some)
        except UsageError:
            raise
        except Exception as error:
            raise _stopped(report, lane_name, some[0], some[-1], error) from error
        reports = [Report(report, lane_name, day, document) for day, document in zip(some, made, strict=True)]
        fresh = [one for one in reports if standing.get(one.day) != _says(one)]
        try:
            _keep(warehouse, fresh, now)
        except TransientError as error:
            raise _stopped(report, lane_name, some[0], some[-1], error) from error
        except Exception:  # noqa: BLE001 -- whatever it is, the day that fails is to be found and named
            # One of them can't be kept: each on its own, up to that one.
            yield from _keep_one_by_one(warehouse, reports, fresh, now)
        else:
            yield from reports


def _keep_one_by_one(
    warehouse: Warehouse, together: Sequence[Report], fresh: Sequence[Report], now: datetime
) -> Iterator[Report]:
    for one in together:
        if one in fresh:
            try:
                _keep(warehouse, [one], now)
            except Exception as error:
                raise _stopped(one.report, one.lane, one.day, one.day, error) from error
        yield one


_Item = TypeVar("_Item")


def _batches(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _stopped(report: str, lane: str | None, first: date, last: date, error: Exception) -> PipelineError:
    """Names the day, or the days made together, at which a range stopped; one that waiting may cure stays that."""
    what, days = ("this day", str(first)) if first == last else ("these days", f"{first} to {last}")
    kind = TransientError if isinstance(error, TransientError) else PipelineError
    return kind(
        f"{what} could not be made or kept: {error if isinstance(error, PipelineError) else type(error).__name__}",
        where=f"{report} of {lane or 'all lanes'}, {days}",
        remedy="The days before are kept; run the same range again for the rest",
    )


_Said = tuple[str, int | None]


def _says(one: Report) -> _Said:
    """What tells whether a kept report is out of date: its id, and what the id leaves out but evidence decides."""
    return one.report_id, one.document.get("future_record_count")


def _standing(session: Session, report: str, lane: str | None, days: Sequence[date]) -> dict[object, object]:
    asked: dict[str, object] = {"report": report, "lane": lane, "days": list(days)}
    rows = session.rows(_PACKAGE, "standing_reports", asked)
    return {row["report_day"]: (row["report_id"], row["future_record_count"]) for row in rows}


def _keep(warehouse: Warehouse, fresh: Sequence[Report], now: datetime) -> None:
    """Puts reports in place of those of their days, all in one transaction."""
    if not fresh:
        return
    tables = _tables(fresh, now)
    with warehouse.writing(f"keep {fresh[0].report} reports") as session, session.given(**tables):
        session.run(_PACKAGE, "delete_replaced_reports")
        _insert(session)


def _insert(session: Session) -> None:
    session.run(_PACKAGE, "insert_entries")
    session.run(_PACKAGE, "insert_reports")


def _tables(reports: Sequence[Report], now: datetime, kept_as: str | None = None) -> dict[str, pa.Table]:
    """The reports and their entries as the statements take them: each entry once, found by its place from 1."""
    texts = [entry_texts(one.document[_SHARED[one.report]]) if one.report in _SHARED else [] for one in reports]
    places = {text: place for place, text in enumerate(dict.fromkeys(chain.from_iterable(texts)), start=1)}
    found = np.fromiter(map(places.__getitem__, chain.from_iterable(texts)), np.int64, sum(map(len, texts)))
    ends = np.cumsum([0, *map(len, texts)])
    entries = {
        "place": columns.numbers(places.values()),
        "digest": columns.texts(hashlib.sha256(text).hexdigest()[:32] for text in places),
        "entry": columns.texts(places),
    }
    around = [_around(one.document, _SHARED.get(one.report)) for one in reports]
    documents = [one.document for one in reports]
    rows = {
        "report": columns.texts(kept_as or one.report for one in reports),
        "lane": columns.texts(one.lane for one in reports),
        "report_day": columns.days(one.day for one in reports),
        "as_of": columns.moments(naive_utc(parse_as_of(document["as_of"])) for document in documents),
        "report_id": columns.texts(one.report_id for one in reports),
        "alert_level": columns.texts(document.get("alert_level") for document in documents),
        "evidence_record_count": columns.numbers(document["evidence_record_count"] for document in documents),
        "future_record_count": columns.numbers(document.get("future_record_count") for document in documents),
        "generated_at": columns.moments(naive_utc(now) for _ in reports),
        "opening": columns.texts(opening for opening, _ in around),
        "closing": columns.texts(closing for _, closing in around),
        "entries": columns.lists(found, ends),
    }
    return {"given_entries": columns.table(entries), "given_reports": columns.table(rows)}


def _around(document: Mapping[str, Any], shared: str | None) -> tuple[str, str]:
    """The canonical JSON of a document before the entries of a list and after them."""
    if shared is None:
        return canonical_json(document), ""
    before = canonical_json({name: value for name, value in document.items() if name < shared})
    after = canonical_json({name: value for name, value in document.items() if name > shared})
    return (
        f'{before[:-1]}{"" if before == "{}" else ","}"{shared}":[',
        f"],{after[1:]}" if after != "{}" else "]}",
    )


def keep_every_report(warehouse: Warehouse, days: Sequence[date], *, now: datetime) -> Iterator[Report]:
    """Makes and keeps every report of the days, lane by lane: plan and health, then the dashboard."""
    for lane in LANES:
        yield from keep_reports(warehouse, RETRY_PLAN, lane, days, now=now)
        yield from keep_reports(warehouse, RETRY_HEALTH, lane, days, now=now)
    yield from keep_reports(warehouse, DASHBOARD, None, days, now=now)


def keep_plan(warehouse: Warehouse, plan: dict[str, Any], *, now: datetime) -> None:
    """Keeps a plan that somebody asked for, by its id, so that a worker run can be told to execute it."""
    day = parse_as_of(plan["as_of"]).date()
    tables = _tables([Report(RETRY_PLAN, plan["lane"], day, plan)], now, ASKED_PLAN)
    with warehouse.writing("keep a retry plan") as session, session.given(**tables):
        session.run(_PACKAGE, "delete_asked_plan", {"report_id": plan["retry_plan_id"]})
        _insert(session)


def replan(session: Session, lane: Lane, retry_plan_id: str, *, now: datetime) -> dict[str, Any]:
    """Makes a kept plan again from the evidence of now, as of the plan's own instant.

    Raises:
        PipelineError: No plan of that id is kept for the lane, or its evidence has changed since.
    """
    rows = session.rows(_PACKAGE, "plan_by_id", {"report_id": retry_plan_id, "lane": lane.name})
    if not rows:
        raise PipelineError(
            "no plan of that id is kept for this lane",
            where=f"plan {retry_plan_id[:80]}",
            remedy=f"Make and keep one: cavra-pipeline retry-plan --lane {lane.name} --keep",
        )
    again = _made_again(session, RETRY_PLAN, json.loads(str(rows[0]["document"])), now=now)
    if again["retry_plan_id"] != retry_plan_id:
        raise PipelineError(
            "the evidence the plan rests on has changed since it was made",
            where=f"plan {retry_plan_id}",
            remedy="Make a new plan, look at it, and execute that one",
        )
    return again


def days_between(first: date, last: date) -> list[date]:
    """Returns every day from ``first`` to ``last`` inclusive."""
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def reports_of_days(session: Session, first: date | None = None, last: date | None = None) -> list[dict[str, object]]:
    """Lists the kept reports of a range of days without their documents."""
    return session.rows(_PACKAGE, "reports_of_days", {"first": first, "last": last})


def outdated_report_days(session: Session, touched: set[date], *, leave_out: set[date], now: datetime) -> list[date]:
    """Finds the days whose kept reports late evidence has changed.

    A report rests on all evidence up to its instant, so every kept report from the earliest touched day on is made
    again and compared by id; those that say the same are left alone, and those of which evidence has been pruned.

    Args:
        session: An open warehouse.
        touched: Days on which late records were created.
        leave_out: Days whose reports are made again anyway.
        now: When this is asked.
    """
    if not touched:
        return []
    asked: dict[str, object] = {"first": min(touched), "paths": [f"$.{name}" for name in _MEMBERS]}
    alike: defaultdict[tuple[str, str | None, str], list[dict[str, Any]]] = defaultdict(list)
    for row in session.rows(_PACKAGE, "kept_since", asked):
        if row["report_day"] not in leave_out:
            alike[str(row["report"]), row["lane"], json.dumps(row["members"])].append(row)  # type: ignore[index]
    outdated: set[date] = set()
    for (report, lane, members), rows in alike.items():
        said = {name: json.loads(text) for name, text in zip(_MEMBERS, json.loads(members), strict=True) if text}
        judged_by = _judged_by(report, said)
        instants = [row["as_of"].replace(tzinfo=UTC) for row in rows]
        chosen = lane_named(lane) if lane else None
        there = are_answerable(session, instants, looks_back=_looks_back(report, chosen, judged_by))
        for batch in _batches([row for row, is_there in zip(rows, there, strict=True) if is_there], DAYS_TOGETHER):
            again = make_reports(
                session,
                report,
                chosen,
                instants=[row["as_of"].replace(tzinfo=UTC) for row in batch],
                now=now,
                parameters=judged_by,
            )
            outdated |= {
                row["report_day"]
                for row, document in zip(batch, again, strict=True)
                if document[_ID_FIELDS[report]] != row["report_id"]
            }
    return sorted(outdated)


_PARAMETERS: Final = {
    RETRY_PLAN: {name: name for name in POLICY_FIELDS} | {"retry_delay_minutes": "base_retry_delay_minutes"},
    RETRY_HEALTH: {name: name for name in HealthParameters.model_fields},
    DASHBOARD: {},
}
_MEMBERS: Final = sorted({member for members in _PARAMETERS.values() for member in members.values()})


def _judged_by(report: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a kept report was made with."""
    return {name: document[member] for name, member in _PARAMETERS[report].items()}


def _made_again(session: Session, report: str, document: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    """Makes a kept report again, with the parameters it was made with."""
    lane = lane_named(document["lane"]) if "lane" in document else None
    moments = [parse_as_of(document["as_of"])]
    parameters = _judged_by(report, document)
    return make_reports(session, report, lane, instants=moments, now=now, parameters=parameters)[0]
