"""Unbroken runs of failures of a provider, and since when each is an incident (contract section 14)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from cavra_pipeline.lanes import INCIDENT_DAYS, LANES
from cavra_pipeline.sql import literal, statement
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"
#: Subjects from which a run is an incident, by the share of failed outcomes before it, in percent at most.
_LEAST_SUBJECTS: Final = ((1, 3), (5, 5), (10, 6), (20, 9), (30, 12))
_MOST_SUBJECTS: Final = 20

Pair = tuple[str, str]


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
        is_inside: From when until before when all its failures lay inside an incident of the provider as a whole.
    """

    provider: str
    lane: str | None
    failures: Sequence[Failure]
    last_success_at: datetime | None
    success_at: datetime | None
    is_incident_from: datetime
    is_inside: tuple[datetime, datetime] | None = None

    @property
    def began_at(self) -> datetime:
        """The first failure."""
        return self.failures[0].at

    def is_incident(self, at: datetime) -> bool:
        """Tells whether an instant sees it as an incident of its own."""
        is_inside = self.is_inside is not None and self.is_inside[0] <= at < self.is_inside[1]
        return self.is_incident_from <= at and not is_inside

    def ended_at(self, at: datetime) -> datetime | None:
        """Returns when it ended, as an instant sees it; None while it is open."""
        return self.success_at if self.success_at is not None and self.success_at <= at else None

    def failures_until(self, at: datetime) -> Sequence[Failure]:
        """Returns the failures that an instant sees."""
        return self.failures[: bisect_right(self.failures, at, key=lambda one: one.at)]

    def open_pairs(self, at: datetime) -> list[Pair]:
        """Returns its (lane, subject) pairs that have not been delivered at an instant, sorted."""
        seen = (one for one in self.failures_until(at) if one.subject is not None)
        return sorted({one.pair for one in seen if one.settled_at is None or one.settled_at > at})


def least_subjects(failed: int, outcomes: int) -> int:
    """Returns from how many subjects on a run is an incident, by the outcomes of the days before it."""
    return next((least for percent, least in _LEAST_SUBJECTS if 100 * failed <= percent * outcomes), _MOST_SUBJECTS)


def failure_runs(
    session: Session, asked: Sequence[datetime], *, horizon: datetime | None, is_open: bool = False
) -> list[FailureRun]:
    """Returns every run that some instant may see as an incident.

    Args:
        session: An open warehouse.
        asked: One of the ``shared_stretches``.
        horizon: What was created before it counts for nothing, since parts of it have been pruned.
        is_open: Leave out what has ended before the first of them.
    """
    parts = {"attributed": _attributed(), "in_runs": statement(_PACKAGE, "tables_in_runs").rstrip()}
    about: dict[str, object] = {
        "instants": list(asked),
        "least_subjects": _LEAST_SUBJECTS[0][1],
        "days_before": INCIDENT_DAYS,
    }
    earliest = horizon or datetime.min  # noqa: DTZ901 -- the warehouse keeps UTC without a zone
    spans: list[dict[str, Any]] = session.rows(_PACKAGE, "failure_spans", {**about, "horizon": earliest}, **parts)
    if is_open:
        spans = _touching([one for one in spans if one["until"] is None or one["until"] > asked[0]], spans)
    if not spans:
        return []
    within = {
        "since": max(earliest, min(span["since"] for span in spans)),
        "until": max(span["until"] or asked[-1] for span in spans),
    }
    rows = session.rows(_PACKAGE, "failure_runs", {**about, **within}, **parts)
    return _runs(rows)


def _attributed() -> str:
    """The watched outcomes of every lane. Retries are attributed only where they have subjects of their own."""
    new = [literal(lane.name) for lane in LANES.values() if lane.retries_have_new_subjects]
    others = [literal(lane.name) for lane in LANES.values() if not lane.retries_have_new_subjects]
    parts = [statement(_PACKAGE, "attributed_of_lane", lane=name).rstrip() for name in new]
    if others:
        parts.append(statement(_PACKAGE, "outcomes_of_lanes", lanes=", ".join(others)).rstrip())
    return "\nUNION ALL BY NAME\n".join(parts)


def _touching(chosen: Sequence[Mapping[str, Any]], spans: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The chosen spans and those that reach into them: what a lane's run lies inside may have ended before."""
    since = min((one["since"] for one in chosen), default=None)
    return [one for one in spans if since is not None and (one["until"] is None or one["until"] >= since)]


def _runs(rows: Iterable[Mapping[str, Any]]) -> list[FailureRun]:
    runs: list[FailureRun] = []
    for _, group in groupby(rows, key=lambda row: (row["provider"], row["scope"], row["run"])):
        if run := _run(list(group)):
            runs.append(run)
    of_provider = _by_failure(run for run in runs if run.lane is None)
    return [run if run.lane is None else _placed(run, of_provider) for run in runs]


def _run(rows: Sequence[Mapping[str, Any]]) -> FailureRun | None:
    first = rows[0]
    failures = [
        Failure(
            row["created_at"], row["session_id"], row["lane"], row["subject"], row["status_code"], row["settled_at"]
        )
        for row in rows
    ]
    least = least_subjects(first["failed_before_count"], first["before_count"])
    firsts: dict[Pair, datetime] = {}
    for one in failures:
        if one.subject is not None:
            firsts.setdefault(one.pair, one.at)
    if len(firsts) < least:
        return None
    return FailureRun(
        first["provider"],
        first["scope"],
        failures,
        first["last_success_at"],
        first["ended_at"],
        list(firsts.values())[least - 1],
    )


def _by_failure(runs: Iterable[FailureRun]) -> dict[tuple[str, str], FailureRun]:
    """The incident of a provider as a whole that each failed delivery is part of."""
    return {(run.provider, one.session_id): run for run in runs for one in run.failures}


def _placed(run: FailureRun, of_provider: Mapping[tuple[str, str], FailureRun]) -> FailureRun:
    """The run of a lane with the time for which all its failures so far lie inside one incident of its provider."""
    outer = of_provider.get((run.provider, run.failures[0].session_id))
    if outer is None:
        return run
    outside = (one.at for one in run.failures if of_provider.get((run.provider, one.session_id)) is not outer)
    until = next(outside, datetime.max)  # noqa: DTZ901 -- the warehouse keeps UTC without a zone
    return FailureRun(
        run.provider,
        run.lane,
        run.failures,
        run.last_success_at,
        run.success_at,
        run.is_incident_from,
        (outer.is_incident_from, until),
    )
