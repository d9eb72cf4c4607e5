"""Which due retries may be sent now, and the intent of each. Nothing is sent here.

``select`` serves the dry run, the live run and the moment of the claim, so all three follow the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cavra_pipeline.connectors import DeliverySettings, Problem
from cavra_pipeline.documents import instant, naive_utc
from cavra_pipeline.lanes import Lane
from cavra_pipeline.retry.records import RETRIES, digest, idempotency_id, retry_notification
from cavra_pipeline.sending.engine import Run
from cavra_pipeline.sending.intents import Intent
from cavra_pipeline.sending.live_runs import LiveRuns
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.retry"
_MICROSECOND: Final = timedelta(microseconds=1)
#: No provider's floor reaches further than this; one that does was written by a clock that was wrong.
_LONGEST_WAIT: Final = timedelta(seconds=DeliverySettings().max_retry_after_seconds)


@dataclass(slots=True)
class Selection:
    """What of a plan may go now, and why the rest may not."""

    selected: list[dict[str, Any]] = field(default_factory=list)
    pending: list[dict[str, Any]] = field(default_factory=list)
    held: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the rules of selection ask about, besides the warehouse.

    Attributes:
        lane: The retry ladder.
        has_connector: Tells whether a provider's connector is configured and on.
        runs: The runs of the home that send.
        connector_problem: Returns why a provider's connector cannot be used, or None.
        is_asked_for: Whether somebody looked at a plan and asked for that one; then a refusal is tried again.
    """

    lane: Lane
    has_connector: Callable[[str], bool]
    runs: LiveRuns
    connector_problem: Callable[[str], Problem | None] = lambda _provider: None
    is_asked_for: bool = False


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is known of the pairs of some decisions."""

    intents: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]
    ended_runs: frozenset[str]
    executed: frozenset[str]
    newest_failures: Mapping[tuple[str, str], str]
    cleared: frozenset[tuple[str, str]]


def select(
    session: Session, desk: Desk, decisions: Sequence[dict[str, Any]], *, limit: int, now: datetime
) -> Selection:
    """Selects, in order, the due retries that may go now.

    Args:
        session: An open warehouse.
        desk: The lane and what surrounds it.
        decisions: The plan's ``retry`` decisions.
        limit: How many to select at most.
        now: When this is asked.
    """
    return _select(_standing(session, desk, decisions, now=now), desk, decisions, limit=limit, now=now)


def _select(
    known: _Standing, desk: Desk, decisions: Sequence[dict[str, Any]], *, limit: int, now: datetime
) -> Selection:
    selection = Selection()
    for decision in decisions:
        reason = _held_because(decision, known, desk, now=now)
        if desk.lane.live_needs_acknowledgement and _pair(desk.lane, decision) not in known.cleared:
            selection.pending.append(decision)
        elif reason or len(selection.selected) >= limit:
            selection.held.append({**decision, "held_because": reason or "over_the_limit_of_this_run"})
        else:
            selection.selected.append(decision)
    return selection


def _pair(lane: Lane, row: Mapping[str, Any], subject_field: str | None = None) -> tuple[str, str]:
    return str(row[subject_field or lane.subject_field]), str(row["provider"])


def _standing(session: Session, desk: Desk, decisions: Sequence[Mapping[str, Any]], *, now: datetime) -> _Standing:
    lane = desk.lane
    about: dict[str, object] = {
        "lane": lane.name,
        "subjects": sorted({str(decision[lane.subject_field]) for decision in decisions}),
    }
    intents: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in session.rows(_PACKAGE, "standing_intents", about):
        intents.setdefault(_pair(lane, row, "subject"), []).append(row)
    claimed = {str(row["run_id"]) for rows in intents.values() for row in rows if row["state"] == "claimed"}
    ids = [_execution_id(lane, decision) for decision in decisions]
    executed = session.rows(_PACKAGE, "executed_retries", {"lane": lane.name, "execution_ids": ids})
    cleared = session.rows(_PACKAGE, "cleared_pairs", {"lane": lane.name, "as_of": naive_utc(now)})
    return _Standing(
        intents=intents,
        ended_runs=desk.runs.are_over(claimed),
        executed=frozenset(str(row["execution_id"]) for row in executed),
        newest_failures={
            _pair(lane, row, "subject"): str(row["latest_delivery_id"])
            for row in session.rows(_PACKAGE, "newest_outcomes", {**about, "as_of": naive_utc(now)})
            if row["is_failed"]
        },
        cleared=frozenset(_pair(lane, row, "subject") for row in cleared),
    )


def _held_because(decision: Mapping[str, Any], known: _Standing, desk: Desk, *, now: datetime) -> str | None:
    """Why a due retry does not go now, or None."""
    pair = _pair(desk.lane, decision)
    intents = known.intents.get(pair, ())
    if any(row["state"] == "claimed" and row["run_id"] not in known.ended_runs for row in intents):
        return "claimed_by_another_run"
    own = _intent_of(decision, intents)
    state = own["state"] if own else None
    if state in ("done", "refused") or _execution_id(desk.lane, decision) in known.executed:
        return "already_executed"
    if known.newest_failures.get(pair) != decision["latest_delivery_id"]:
        return "later_evidence"
    made = next((row for row in intents if row["delivery_id"] == decision["latest_delivery_id"]), None)
    if made and made["state"] == "refused" and not desk.is_asked_for:
        return "provider_refused_it"
    floors = [row["due_at"] for row in intents]
    at = naive_utc(now)
    if any(floor is not None and at < floor <= at + _LONGEST_WAIT for floor in floors):
        return "provider_asked_to_wait"
    problem = desk.connector_problem(pair[1])
    if problem:
        return problem.reason
    return "no_connector" if state == "skipped" and not desk.has_connector(pair[1]) else None


def _intent_of(decision: Mapping[str, Any], intents: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return next((row for row in intents if row["answers"] == decision["latest_delivery_id"]), None)


def claim(
    session: Session, desk: Desk, run: Run, decision: dict[str, Any], *, now: datetime, retry_plan_id: str, by: str
) -> Intent | Selection:
    """Claims one retry inside the open transaction, if the rules still let it go at this moment.

    Returns:
        The claimed intent, or where the decision now belongs: pending or held.
    """
    known = _standing(session, desk, [decision], now=now)
    again = _select(known, desk, [decision], limit=1, now=now)
    if not again.selected:
        return again
    intents = known.intents.get(_pair(desk.lane, decision), ())
    own = _intent_of(decision, intents)
    moments = [datetime.fromisoformat(str(decision["latest_delivery_at"]))]
    if own and own["completed_at"]:
        moments.append(own["completed_at"].replace(tzinfo=UTC))
    subject, provider = _pair(desk.lane, decision)
    intent = Intent(
        intent_id=_execution_id(desk.lane, decision),
        purpose=RETRIES.name,
        lane=desk.lane.name,
        subject=subject,
        provider=provider,
        answers=str(decision["latest_delivery_id"]),
        message=retry_notification(desk.lane, decision, _idempotency_id(desk.lane, decision, intents)),
        context={
            "retry_plan_id": retry_plan_id,
            "generated_by": by,
            "max_retry_attempts": decision["max_retry_attempts"],
            "executive_report_id": decision.get("executive_report_id"),
            "recorded_after": instant(max(moments) + _MICROSECOND),
        },
    )
    claimed = run.claim(session, intent, now=now)
    return claimed or Selection(held=[{**decision, "held_because": "claimed_by_another_run"}])


def _idempotency_id(lane: Lane, decision: Mapping[str, Any], intents: Sequence[Mapping[str, Any]]) -> str:
    """The id of the message: what an earlier attempt at it carried, else made from the first failure.

    An earlier attempt is known by its intent for the same failure, or by having made the failure that is retried now.
    """
    latest = decision["latest_delivery_id"]
    for row in intents:
        if latest in (row["answers"], row["delivery_id"]):
            return str(row["idempotency_id"])
    return idempotency_id(lane, *_pair(lane, decision), str(decision["first_delivery_id"]))


def _execution_id(lane: Lane, decision: Mapping[str, Any]) -> str:
    return f"retry-{digest(lane.name, *_pair(lane, decision), decision['latest_delivery_id'])[:32]}"
