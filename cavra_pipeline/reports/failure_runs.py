"""Unbroken runs of failures of a provider, and since when each is an incident (contract section 14)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

from cavra_pipeline.lanes import INCIDENT_DAYS, LANES_OF_NEW_SUBJECTS
from cavra_pipeline.sql import literal, statement
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"
#: Subjects from which a run is an incident, by the share of failed outcomes before it, in percent at most.
_LEAST_SUBJECTS: Final = ((1, 3), (5, 5), (10, 6), (20, 9), (30, 12))
_MOST_SUBJECTS: Final = 20

_SHARE: Final = timedelta(days=INCIDENT_DAYS)
#: How far back the newest successes are looked for, one after the other.
_LOOKS_BACK: Final = (*(timedelta(hours=6 * 16**n) for n in range(3)), timedelta.max)

Pair = tuple[str, str]
#: What an instant sees of a run: how many failures, how many of them delivered meanwhile, and whether it has ended.
RunView = tuple[int, int, bool]


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed outcome of a run's provider; ``settled_at``: when a delivery of its pair first succeeded, ever."""

    at: datetime
    session_id: str
    lane: str
    subject: str | None
    status_code: int | None
    settled_at: datetime | None

    @property
    def pair(self) -> Pair:
        """Lane and subject."""
        return self.lane, self.subject or ""


@dataclass(frozen=True, slots=True)
class FailureRun:
    """A run of failures, whole; instants are UTC without a zone.

    Attributes:
        provider: The provider.
        lane: The lane whose outcomes alone are looked at, or None for all.
        failures: In order.
        last_success_at: The success before it, or None.
        success_at: The first success after it, or None.
        is_incident_from: When it came to hold enough subjects.
        settled: When deliveries of its pairs first succeeded, ascending.
        is_inside: From when until before when all its failures lay inside an incident of the provider as a whole.
    """

    provider: str
    lane: str | None
    failures: Sequence[Failure]
    last_success_at: datetime | None
    success_at: datetime | None
    is_incident_from: datetime
    settled: Sequence[datetime]
    is_inside: tuple[datetime, datetime] | None = None

    @property
    def began_at(self) -> datetime:
        """The first failure."""
        return self.failures[0].at

    def is_incident(self, at: datetime) -> bool:
        """Returns whether an instant sees it as an incident of its own."""
        is_inside = self.is_inside is not None and self.is_inside[0] <= at < self.is_inside[1]
        return self.is_incident_from <= at and not is_inside

    def ended_at(self, at: datetime) -> datetime | None:
        """Returns when it ended, as an instant sees it; None while it is open."""
        return self.success_at if self.success_at is not None and self.success_at <= at else None

    def view(self, at: datetime) -> RunView:
        """Returns what tells apart the instants that see the run differently."""
        seen = bisect_right(self.failures, at, key=lambda failure: failure.at)
        return seen, bisect_right(self.settled, at), self.ended_at(at) is not None

    def failures_until(self, at: datetime) -> Sequence[Failure]:
        """Returns the failures that an instant sees."""
        return self.failures[: bisect_right(self.failures, at, key=lambda failure: failure.at)]

    def open_pairs(self, at: datetime) -> list[Pair]:
        """Returns its (lane, subject) pairs that have not been delivered at an instant, sorted."""
        seen = (failure for failure in self.failures_until(at) if failure.subject is not None)
        return sorted({failure.pair for failure in seen if failure.settled_at is None or failure.settled_at > at})


def least_subjects(failed: int, outcomes: int) -> int:
    """Returns from how many subjects on a run is an incident, by the outcomes of the days before it."""
    return next((least for percent, least in _LEAST_SUBJECTS if 100 * failed <= percent * outcomes), _MOST_SUBJECTS)


@dataclass(frozen=True, slots=True)
class _Reach:
    """How far back the runs of which providers are looked for; instants are UTC without a zone."""

    since: datetime
    until: datetime
    providers: Sequence[str]


def failure_runs(
    session: Session, until: datetime, *, horizon: datetime | None, is_open: bool = False, provider: str | None = None
) -> list[FailureRun]:
    """Returns every run that may be an incident, from the outcomes up to an instant.

    Args:
        session: An open warehouse.
        until: The last instant that is asked about, the only one if the runs are to be open.
        horizon: What was created before it counts for nothing, since parts of it have been pruned.
        is_open: Read only as far back as the runs that are open at the instant; others may be missing or cut short.
        provider: Only runs of this provider; None for all.
    """
    earliest = horizon or datetime.min  # noqa: DTZ901 -- the warehouse keeps UTC without a zone
    rows_of_scopes: list[dict[str, Any]] = session.rows(
        _PACKAGE,
        "newest_failures",
        {"since": earliest, "until": until, "least_subjects": _LEAST_SUBJECTS[0][1]},
        failures=_failures(),
    )
    scopes = {
        (row["provider"], row["scope"]): row["since"] for row in rows_of_scopes if provider in (None, row["provider"])
    }
    if is_open:
        reach = _reach_of_open(session, scopes, earliest, until)
    else:
        reach = _Reach(earliest, until, sorted({name for name, _ in scopes}))
    if not reach.providers:
        return []
    rows = session.rows(
        _PACKAGE,
        "failure_runs",
        {
            "since": reach.since,
            "until": reach.until,
            "providers": reach.providers,
            "least_subjects": _LEAST_SUBJECTS[0][1],
            "days_before": INCIDENT_DAYS,
        },
        failures=_failures(),
    )
    return _runs(session, rows, until)


def _reach_of_open(
    session: Session, scopes: Mapping[tuple[str, str], datetime], earliest: datetime, at: datetime
) -> _Reach:
    """Searches back for the newest success of each scope, further each time, until each is found or none is left.

    An open run begins after it, and is too short to be an incident where the success is newer than the failures that
    the scope's instant is about.
    """
    left, began = dict(scopes), dict[str, datetime]()
    until = at
    for back in _LOOKS_BACK:
        since = _before(at, back, earliest)
        parameters = {"since": since, "until": until, "providers": sorted({provider for provider, _ in left})}
        newest: dict[tuple[str, str], datetime] = {}
        rows: list[dict[str, Any]] = session.rows(_PACKAGE, "newest_successes", parameters)
        for row in rows:
            provider, success_at = row["provider"], row["success_at"]
            for scope in ("", row["lane"]):
                newest[provider, scope] = max(success_at, newest.get((provider, scope), success_at))
        for pair in left.keys() & newest.keys():
            if newest[pair] <= left.pop(pair):
                began[pair[0]] = min(newest[pair], began.get(pair[0], newest[pair]))
        if not left or since == earliest:
            break
        until = since
    began.update((provider, earliest) for provider, _ in left)
    return _Reach(_before(min(began.values(), default=at), _SHARE, earliest), at, sorted(began))


def _before(at: datetime, back: timedelta, earliest: datetime) -> datetime:
    return at - back if at - earliest > back else earliest


def _failures() -> str:
    return statement(_PACKAGE, "failed_outcomes").rstrip()


def _runs(session: Session, rows: Iterable[Mapping[str, Any]], until: datetime) -> list[FailureRun]:
    groups = [list(group) for _, group in groupby(rows, key=lambda row: (row["provider"], row["scope"], row["run"]))]
    groups = [group for group in groups if len({(row["lane"], row["part"]) for row in group}) >= _least(group[0])]
    subjects = _subjects(session, groups, until)
    runs = [run for group in groups if (run := _run(group, subjects))]
    of_provider = _by_failure(run for run in runs if run.lane is None)
    return [run if run.lane is None else _placed(run, of_provider) for run in runs]


def _least(row: Mapping[str, Any]) -> int:
    return least_subjects(row["failed_before_count"], row["before_count"])


def _subjects(
    session: Session, groups: Sequence[Sequence[Mapping[str, Any]]], until: datetime
) -> dict[tuple[str, str, str], tuple[str, datetime | None]]:
    """The subject that was tried first of each failure, by lane, record and provider, and when it was delivered."""
    if not groups:
        return {}
    parameters: dict[str, object] = {
        "session_ids": sorted({row["session_id"] for group in groups for row in group}),
        "since": min(group[0]["created_at"] for group in groups),
        "until": until,
    }
    lanes = [literal(name) for name in LANES_OF_NEW_SUBJECTS]
    roots = "\nUNION ALL\n".join(statement(_PACKAGE, "roots_of_lane", lane=name).rstrip() for name in lanes)
    rows: list[dict[str, Any]] = session.rows(_PACKAGE, "subjects_of_failures", parameters, roots=roots)
    return {(row["lane"], row["session_id"], row["provider"]): (row["subject"], row["settled_at"]) for row in rows}


def _run(
    rows: Sequence[Mapping[str, Any]], subjects: Mapping[tuple[str, str, str], tuple[str, datetime | None]]
) -> FailureRun | None:
    first = rows[0]
    failures = []
    for row in rows:
        subject, settled_at = subjects.get((row["lane"], row["session_id"], row["provider"]), (None, None))
        failures.append(
            Failure(row["created_at"], row["session_id"], row["lane"], subject, row["status_code"], settled_at)
        )
    least = _least(first)
    firsts: dict[Pair, datetime] = {}
    for failure in failures:
        if failure.subject is not None:
            firsts.setdefault(failure.pair, failure.at)
    if len(firsts) < least:
        return None
    return FailureRun(
        first["provider"],
        first["scope"],
        failures,
        first["last_success_at"],
        first["ended_at"],
        list(firsts.values())[least - 1],
        sorted(failure.settled_at for failure in failures if failure.settled_at is not None),
    )


def _by_failure(runs: Iterable[FailureRun]) -> dict[tuple[str, str], FailureRun]:
    """The incident of a provider as a whole that each failed delivery is part of."""
    return {(run.provider, failure.session_id): run for run in runs for failure in run.failures}


def _placed(run: FailureRun, of_provider: Mapping[tuple[str, str], FailureRun]) -> FailureRun:
    """The run of a lane with the time for which all its failures so far lie inside one incident of its provider."""
    outer = of_provider.get((run.provider, run.failures[0].session_id))
    if outer is None:
        return run
    outside = (
        failure.at for failure in run.failures if of_provider.get((run.provider, failure.session_id)) is not outer
    )
    until = next(outside, datetime.max)  # noqa: DTZ901 -- the warehouse keeps UTC without a zone
    return replace(run, is_inside=(outer.is_incident_from, until))
