"""Provider incidents (contract section 14): one broken provider behind many failing deliveries, as of any instants.

What belongs here: the report. Which runs of failures are incidents, and when, is decided in `failure_runs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.boundary.judge import is_safe_identifier
from cavra_pipeline.documents import PRODUCT, ascending, identify, instant, naive_utc
from cavra_pipeline.errors import UnknownName, use_one_of
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.provider_names import provider_name
from cavra_pipeline.recoveries.causes import cause_of
from cavra_pipeline.reports.failure_runs import FailureRun, RunView, failure_runs
from cavra_pipeline.reports.stretches import stretches
from cavra_pipeline.retention.horizon import require_answerable
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"
#: Members of an incident: name, type, what it holds.
INCIDENT_COLUMNS: Final = (
    ("incident_id", "VARCHAR", "Digest of provider, lane and began_at"),
    ("provider", "VARCHAR", "The provider that failed"),
    ("lane", "VARCHAR", "The lane, where only its deliveries failed; null for all"),
    ("lanes", "VARCHAR[]", "Lanes of its failures"),
    ("began_at", "TIMESTAMP", "First failure"),
    ("last_success_at", "TIMESTAMP", "Success before it, or null"),
    ("ended_at", "TIMESTAMP", "First success after it; null while it is open"),
    ("failure_count", "BIGINT", "Failures"),
    ("subject_count", "BIGINT", "Different subjects among them"),
    ("pairs", "STRUCT[]", "Lanes and subjects of its failures that have not been delivered yet"),
    ("status_codes", "INTEGER[]", "Different statuses of its failures"),
    ("cause", "VARCHAR", "What all its statuses have in common"),
)
#: Causes that another attempt can't cure: one delivery shows whether the provider works again.
PROBED_CAUSES: Final = frozenset({"credentials", "gone"})
#: The command whose answer names every provider.
PROVIDERS_LISTED: Final = "cavra-pipeline dashboard"
#: Causes that end without anybody's doing: where others have arrived since, there is nothing left to fix.
PASSING_CAUSES: Final = frozenset({"throttled", "server_error", "no_answer"})


def incident_reports(
    session: Session,
    *,
    instants: Sequence[datetime],
    now: datetime,
    provider: str | None = None,
    is_open: bool = False,
) -> list[dict[str, Any]]:
    """Makes the report of provider incidents as of each instant, in one pass over the evidence.

    Args:
        session: An open warehouse.
        instants: The instants of the reports, in any order.
        now: When the reports are made; only ``generated_at`` shows it.
        provider: Only incidents of this provider, however it is spelled.
        is_open: Only incidents that are open at the instant.

    Returns:
        A report for each instant, in the order of the instants; incidents sorted by ``began_at``, provider and lane.

    Raises:
        UsageError: The evidence of an instant has been pruned.
    """
    by_instant = incidents(session, instants, is_open=is_open)
    name = provider_name(provider) if provider else None
    reports = []
    for at in instants:
        rows = [incident for incident in by_instant[naive_utc(at)] if name in (None, incident["provider"])]
        reports.append(
            {
                "schema_version": "cavra-pipeline.provider-incidents.v1",
                "product": PRODUCT,
                "as_of": instant(naive_utc(at)),
                "generated_at": instant(now),
                "incident_count": len(rows),
                "open_incident_count": sum(incident["ended_at"] is None for incident in rows),
                "incidents": rows,
            }
        )
    return reports


def known_providers(session: Session, at: datetime, *, subject: str | None = None) -> list[str]:
    """Returns the public-safe providers that deliveries name, of one subject or of all; `at` is UTC without a zone."""
    parameters: dict[str, object] = {"as_of": at, "subject": subject}
    names = (str(row["provider"]) for row in session.rows(_PACKAGE, "known_providers", parameters))
    return [name for name in names if is_safe_identifier(name)]


def require_known_provider(session: Session, provider: str, at: datetime) -> None:
    """Refuses a provider that no delivery up to an instant names.

    Raises:
        UsageError: There is no such provider; the remedy names the nearest, or all if they are few.
    """
    names = known_providers(session, naive_utc(at))
    if names and provider_name(provider) not in names:
        remedy = use_one_of(provider, names, listed_in=PROVIDERS_LISTED)
        raise UnknownName("no delivery names this provider", where="provider", remedy=remedy)


def incidents(
    session: Session, instants: Sequence[datetime], *, is_open: bool = False
) -> dict[datetime, list[dict[str, Any]]]:
    """Returns the incidents as each instant sees them, by instant in UTC without a zone.

    With `is_open`, only those that are open at their instant: of a single instant the newest deliveries tell them.
    Else the whole history is read once and remembered. Incidents that instants see alike are shared.

    Outcomes from before the horizon of retention count for nothing: of those that arrived many are gone.

    Raises:
        UsageError: The evidence of an instant has been pruned.
    """
    horizon = require_answerable(session, instants)
    ascending_instants = ascending(instants)
    if is_open and len(ascending_instants) == 1:
        newest: Sequence[FailureRun] = failure_runs(session, ascending_instants[0], horizon=horizon, is_open=True)
        runs = {ascending_instants[0]: newest}
    else:
        runs = _whole_runs(session, ascending_instants, horizon)
    shared: dict[tuple[int, RunView], dict[str, Any]] = {}
    by_instant: dict[datetime, list[dict[str, Any]]] = {}
    for at in ascending_instants:
        seen = []
        for run in runs[at]:
            if run.is_incident(at) and not (is_open and run.ended_at(at)):
                key = id(run), run.view(at)
                shared[key] = shared.get(key) or _incident(run, at)
                seen.append(shared[key])
        by_instant[at] = sorted(
            seen, key=lambda incident: (incident["began_at"], incident["provider"], incident["lane"] or "")
        )
    return by_instant


def _whole_runs(
    session: Session, instants: Sequence[datetime], horizon: datetime | None
) -> dict[datetime, Sequence[FailureRun]]:
    """The runs that each instant may see: one statement over the whole history, remembered, serves almost all."""
    cache, key = session.cache(), (_PACKAGE, "failure_runs")
    last = datetime.max  # noqa: DTZ901 -- the warehouse keeps UTC without a zone
    runs: dict[datetime, Sequence[FailureRun]] = {}
    for stretch in stretches(session, LANES.values(), [*instants, last]):
        if stretch[-1] < last:
            of_stretch: Sequence[FailureRun] = failure_runs(session, stretch[-1], horizon=horizon)
        else:
            if key not in cache:
                cache[key] = failure_runs(session, last, horizon=horizon)
            of_stretch = cache[key]
        runs.update(dict.fromkeys(stretch, of_stretch))
    return runs


def _incident(run: FailureRun, at: datetime) -> dict[str, Any]:
    failures = run.failures_until(at)
    codes = {failure.status_code for failure in failures}
    named = {"provider": run.provider, "lane": run.lane, "began_at": instant(run.began_at)}
    return {
        "incident_id": identify("provider-incident", named),
        "provider": run.provider,
        "lane": run.lane,
        "lanes": sorted({failure.lane for failure in failures}),
        "began_at": named["began_at"],
        "last_success_at": instant(run.last_success_at),
        "ended_at": instant(run.ended_at(at)),
        "failure_count": len(failures),
        "subject_count": len({failure.pair for failure in failures if failure.subject is not None}),
        "pairs": [{"lane": lane, "subject": subject} for lane, subject in run.open_pairs(at)],
        "status_codes": sorted(code for code in codes if code is not None),
        "cause": cause_of(codes),
    }


class OpenIncidents:
    """The open incident of each (lane, subject, provider) as instants see it, to name beside entries about the pair."""

    def __init__(self, by_instant: Mapping[datetime, Mapping[tuple[str, str, str], str]]) -> None:
        """Takes the ids by instant, UTC without a zone."""
        self._by_instant = by_instant
        self._named: dict[tuple[int, str | None], tuple[dict[str, object], dict[str, object]]] = {}

    def of(self, at: datetime, lane: Lane, subject: object, provider: object) -> str | None:
        """Returns the id of the open incident of a pair at an instant, or None."""
        return self._by_instant[at].get((lane.name, str(subject), str(provider)))

    def beside(self, at: datetime, lane: Lane, rows: Iterable[dict[str, object]]) -> list[dict[str, object]]:
        """Returns the rows with ``provider_incident_id``; rows that instants share are shared again."""
        return [self._beside(row, self.of(at, lane, row[lane.subject_field], row["provider"])) for row in rows]

    def _beside(self, row: dict[str, object], incident_id: str | None) -> dict[str, object]:
        key = id(row), incident_id
        if key not in self._named:
            # The row is kept too: no other may have its id meanwhile.
            self._named[key] = row, type(row)({**row, "provider_incident_id": incident_id})
        return self._named[key][1]


def open_incidents(session: Session, instants: Sequence[datetime]) -> OpenIncidents:
    """Finds the open incident of every pair at each instant: that of the provider as a whole before a lane's."""
    cache, key = session.cache(), (_PACKAGE, "open_incidents", *instants)
    if key not in cache:
        cache[key] = {at: _of_pairs(seen) for at, seen in incidents(session, instants, is_open=True).items()}
    return OpenIncidents(cache[key])


def _of_pairs(seen: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str, str], str]:
    named: dict[tuple[str, str, str], str] = {}
    for incident in sorted(seen, key=lambda incident: incident["lane"] is None):
        named.update(
            {
                (pair["lane"], pair["subject"], incident["provider"]): incident["incident_id"]
                for pair in incident["pairs"]
            }
        )
    return named


def incidents_of_pair(runs: Iterable[FailureRun], at: datetime, lane: Lane, subject: str) -> list[dict[str, Any]]:
    """Returns those of a provider's incidents that a pair's failures are part of, as an instant sees them."""
    pair = (lane.name, subject)
    return [
        _incident(run, at)
        for run in runs
        if run.is_incident(at) and pair in {failure.pair for failure in run.failures_until(at)}
    ]


def is_to_be_probed(incident: Mapping[str, Any], lane: Lane) -> bool:
    """Returns whether an incident is open, concerns a lane, and can't be ended by retries alone."""
    is_near = incident["lane"] in (None, lane.name)
    return is_near and incident["ended_at"] is None and incident["cause"] in PROBED_CAUSES


def has_probed(runs: Iterable[FailureRun], lane: Lane, at: datetime) -> bool:
    """Returns whether an instant sees such an incident among the runs of failures of a provider."""
    return any(run.is_incident(at) and is_to_be_probed(_incident(run, at), lane) for run in runs)
