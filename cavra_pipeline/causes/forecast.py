"""The forecast (contract section 15): what becomes of a lane's failing pairs if nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from cavra_pipeline.causes.simulation import Ladder, Simulated, SimulatedPair, simulate
from cavra_pipeline.documents import PRODUCT, identify, instant, naive_utc, whole_minutes
from cavra_pipeline.errors import Accepts, UsageError
from cavra_pipeline.lanes import Gate, Lane
from cavra_pipeline.reports.plan import retry_delays, retry_plans
from cavra_pipeline.reports.policy import MAX_MINUTES, RetryPolicy
from cavra_pipeline.retry.claims import PairEvidence, pair_evidence
from cavra_pipeline.retry.worker import DEFAULT_RETRY_DELIVERIES, MAX_RETRY_DELIVERIES
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.causes"
DEFAULT_HOURS: Final = 24
MAX_HOURS: Final = 168
#: So many failures alike, of so many days, are needed before it is said what became of them.
_LEAST_ALIKE, _ALIKE_DAYS = 20, 30


class ForecastParameters(BaseModel):
    """How far a forecast looks. The API and the command line take the same fields."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    hours: Annotated[int, Field(ge=1, le=MAX_HOURS), Accepts()] = Field(
        default=DEFAULT_HOURS, description="How far ahead to forecast, in hours.", examples=[DEFAULT_HOURS]
    )
    max_retry_deliveries: Annotated[int, Field(ge=1, le=MAX_RETRY_DELIVERIES), Accepts()] = Field(
        default=DEFAULT_RETRY_DELIVERIES, description="Retries that a worker run selects at most.", examples=[5]
    )


def forecast(
    session: Session,
    lane: Lane,
    policy: RetryPolicy,
    parameters: ForecastParameters,
    *,
    as_of: datetime,
    now: datetime,
    has_connector: Callable[[str], bool] = lambda _provider: True,
) -> dict[str, Any]:
    """Works the coming worker runs of a lane through, once with every retry failing and once with every one delivered.

    Args:
        session: An open warehouse.
        lane: The retry ladder.
        policy: Bounds and delays.
        parameters: How far to look, and how much a run takes.
        as_of: Evidence, acknowledgements and approvals are those of this instant.
        now: When the forecast is made; only ``generated_at`` shows it.
        has_connector: Returns whether the host has a provider's connector.

    Returns:
        The forecast; ``pairs`` has an entry for each decision of the plan at ``as_of``, in its order.

    Raises:
        UsageError: The evidence of the instant has been pruned, or the instant is at the end of the calendar.
    """
    at = naive_utc(as_of)
    until = _until(at, parameters.hours)
    (plan,) = retry_plans(session, lane, policy, instants=[as_of], now=now)
    decisions: Sequence[dict[str, Any]] = plan["retry_decisions"]
    runs, is_on = _runs(session, lane, at, until)
    evidence = pair_evidence(session, lane, decisions, now=as_of, clock_slack=timedelta())
    reasons = _held_reasons(lane, decisions, evidence)
    skipped = _skipped(session, lane, at)
    free = [n for n, reason in enumerate(reasons) if reason is None]
    pairs = [_pair(lane, decisions[n], skipped, has_connector) for n in free]
    ladder = Ladder(retry_delays(session, policy), parameters.max_retry_deliveries)
    failing, delivered = (
        simulate(pairs, runs, ladder, as_of=at, until=until, is_delivered=is_delivered)
        for is_delivered in (False, True)
    )
    alike = _alike(session, lane, at)
    places = {n: place for place, n in enumerate(free)}
    entries = []
    for n, decision in enumerate(decisions):
        place = places.get(n)
        tried_at = _tried(failing, delivered, place) if place is not None else dict.fromkeys(_TRIED)
        never = reasons[n] or (None if tried_at["first_tried_at"] else _never(pairs[places[n]], is_on))
        counted = alike.get((decision["provider"], decision["retry_count"]), {})
        entries.append(_pair_forecast(lane, decision, tried_at, never, counted))
    return _document(lane, plan, parameters, entries, runs, failing, (instant(at), instant(until), instant(now)))


def _until(at: datetime, hours: int) -> datetime:
    """The end of a forecast; the delay after its last run must lie within the calendar too."""
    last = naive_utc(datetime.max.replace(tzinfo=UTC)) - timedelta(hours=hours, minutes=MAX_MINUTES)
    if at > last:
        raise UsageError("no later year can be forecast", where="as_of", remedy="Give an instant before the year 9998")
    return at + timedelta(hours=hours)


def _runs(session: Session, lane: Lane, at: datetime, until: datetime) -> tuple[list[datetime], bool]:
    """The coming worker runs, and whether their schedule is on. Of a worker that never ran no run is to come."""
    rows: list[dict[str, Any]] = session.rows(_PACKAGE, "newest_run", {"lane": lane.name, "as_of": at})
    if not rows or rows[0]["schedule_enabled"] is False:
        return [], False
    minutes = rows[0]["schedule_interval_minutes"] or 0
    interval = timedelta(minutes=minutes if 0 < minutes <= MAX_MINUTES else lane.expected_interval_minutes)
    newest = rows[0]["created_at"]
    numbers = range((at - newest) // interval + 1, (until - newest) // interval + 1)
    return [newest + n * interval for n in numbers], True


def _held_reasons(lane: Lane, decisions: Sequence[Mapping[str, Any]], evidence: PairEvidence) -> list[str | None]:
    """Returns why no run may select each pair, judged at the instant; None where a run may."""
    gate = {Gate.ACKNOWLEDGEMENT: "acknowledgement", Gate.APPROVAL: "approval"}.get(lane.gate)
    reasons: list[str | None] = []
    for decision in decisions:
        pair = str(decision[lane.subject_field]), str(decision["provider"])
        if decision["action"] == "suppress" or not evidence.is_sendable(pair):
            reasons.append("not_retryable")
        else:
            reasons.append(gate if gate and pair not in evidence.cleared else None)
    return reasons


def _skipped(session: Session, lane: Lane, at: datetime) -> dict[tuple[str, str], str | None]:
    rows = session.rows(_PACKAGE, "skipped_pairs", {"lane": lane.name, "as_of": at})
    return {(str(row["subject"]), str(row["provider"])): instant(row["skipped_at"]) for row in rows}


def _pair(
    lane: Lane,
    decision: Mapping[str, Any],
    skipped: Mapping[tuple[str, str], str | None],
    has_connector: Callable[[str], bool],
) -> SimulatedPair:
    is_usable = has_connector(decision["provider"])
    skipped_at = skipped.get((decision[lane.subject_field], decision["provider"]))
    was_skipped = skipped_at is not None and _moment(skipped_at) > _moment(decision["latest_delivery_at"])
    due_at = _moment(decision["next_retry_at"])
    return SimulatedPair(decision["retry_count"], due_at, is_usable, not is_usable and was_skipped)


def _moment(text: str) -> datetime:
    return naive_utc(datetime.fromisoformat(text))


_TRIED: Final = ("first_tried_at", "exhausted_at", "delivered_at")


def _tried(failing: Simulated, delivered: Simulated, place: int) -> dict[str, str | None]:
    """When a pair is tried, exhausted and delivered; a pair is tried later, or never, where others fail before it."""
    if_failing, if_delivered = failing.pairs[place], delivered.pairs[place]
    first = if_failing.first_tried_at or if_delivered.first_tried_at
    return dict(zip(_TRIED, map(instant, (first, if_failing.ended_at, if_delivered.ended_at)), strict=True))


def _never(pair: SimulatedPair, is_on: bool) -> str:
    if not is_on:
        return "schedule_disabled"
    return "not_due" if pair.has_connector else "no_connector"


def _alike(session: Session, lane: Lane, at: datetime) -> dict[tuple[str, int], dict[str, Any]]:
    parameters: dict[str, object] = {"lane": lane.name, "as_of": at, "least": _LEAST_ALIKE, "days": _ALIKE_DAYS}
    rows: list[dict[str, Any]] = session.rows(_PACKAGE, "failures_alike", parameters)
    return {(row["provider"], row["retry_count"]): row for row in rows}


def _pair_forecast(
    lane: Lane,
    decision: Mapping[str, Any],
    tried_at: Mapping[str, str | None],
    never_tried: str | None,
    counted: Mapping[str, Any],
) -> dict[str, Any]:
    kept = (lane.subject_field, "provider", "action", "retry_count", "next_retry_at", "provider_incident_id")
    return {
        **{name: decision[name] for name in kept},
        **tried_at,
        "never_tried": never_tried,
        "alike_failure_count": counted.get("alike_failure_count"),
        "alike_delivered_count": counted.get("alike_delivered_count"),
    }


def _document(
    lane: Lane,
    plan: Mapping[str, Any],
    parameters: ForecastParameters,
    entries: Sequence[Mapping[str, Any]],
    runs: Sequence[datetime],
    failing: Simulated,
    moments: tuple[str | None, str | None, str | None],
) -> dict[str, Any]:
    as_of, until, generated_at = moments
    document: dict[str, Any] = {
        "schema_version": "cavra-pipeline.forecast.v1",
        "product": PRODUCT,
        "lane": lane.name,
        "forecast_id": "",
        "as_of": as_of,
        "until": until,
        "generated_at": generated_at,
        "hours": parameters.hours,
        "max_retry_deliveries": parameters.max_retry_deliveries,
        "retry_plan_id": plan["retry_plan_id"],
        "pair_count": len(entries),
        "exhausted_count": sum(pair["exhausted_at"] is not None for pair in entries),
        "delivered_count": sum(pair["delivered_at"] is not None for pair in entries),
        "never_tried_count": sum(pair["never_tried"] is not None for pair in entries),
        "runs": len(runs),
        "queue_peak": failing.queue_peak,
        "late_by_minutes": whole_minutes(failing.late_by),
        "pairs": list(entries),
    }
    document["forecast_id"] = identify(f"forecast-{lane.name}", document)
    return document
