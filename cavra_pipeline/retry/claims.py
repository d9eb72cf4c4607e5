"""Which due retries may be sent now, and the intent of each. Nothing is sent here.

``select`` serves the dry run, the live run and the moment of the claim, so all three follow the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.connectors import ConnectorProblem, DeliverySettings
from cavra_pipeline.documents import digest_of, instant, naive_utc
from cavra_pipeline.evidence.emitted import CLOCK_SLACK
from cavra_pipeline.lanes import Gate, Lane
from cavra_pipeline.reports.clearance import cleared_pairs
from cavra_pipeline.retry.first_delivery import FIRST_DELIVERIES
from cavra_pipeline.retry.records import RETRIES, idempotency_id, retry_notification
from cavra_pipeline.sending.engine import Run
from cavra_pipeline.sending.intents import ANSWERED, CLAIMED, DONE, REFUSED, SKIPPED, Intent, intents_where
from cavra_pipeline.state.leases import running_runs
from cavra_pipeline.state.tables import send_intents
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.retry"
_MICROSECOND: Final = timedelta(microseconds=1)
#: No provider's floor reaches further than this; one that does was written by a clock that was wrong.
_LONGEST_WAIT: Final = timedelta(seconds=DeliverySettings().max_retry_after_seconds)

#: Notifications have no retries of this kind.
_PURPOSES: Final = (RETRIES.name, FIRST_DELIVERIES.name)

_MOST_BOUND: Final = 1000

#: Why a retry is held whose provider another retry of the run probes.
PROBED: Final = "provider_incident"

_Pair = tuple[str, str]


@dataclass(slots=True)
class Selection:
    """Decisions that may be sent now, and the reason each other one is held."""

    selected: list[dict[str, Any]] = field(default_factory=list)
    pending: list[dict[str, Any]] = field(default_factory=list)
    held: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SelectionContext:
    """Inputs of the selection rules that are neither evidence nor state.

    Attributes:
        lane: The retry ladder.
        has_connector: Returns whether a provider's connector is configured and on.
        connector_problem: Returns why a provider's connector cannot be used, or None.
        is_asked_for: Whether somebody looked at a plan and asked for that one; then a refusal is tried again.
        probed: Providers of which one retry is enough, to see whether they work again.
    """

    lane: Lane
    has_connector: Callable[[str], bool]
    connector_problem: Callable[[str], ConnectorProblem | None] = lambda _provider: None
    is_asked_for: bool = False
    probed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PairEvidence:
    """Evidence about the (subject, provider) pairs behind a list of decisions.

    Attributes:
        executed: Executions that are recorded.
        newest_failures: The newest delivery of each pair that has not arrived.
        cleared: Pairs that an operator has acknowledged or approved, where the lane waits for that.
        unsendable: Subjects that are not what the lane asks for before a retry is sent.
        retried: Pairs whose subject stands for one that was tried first, and whose retries would count for that one.
    """

    executed: frozenset[str]
    newest_failures: Mapping[_Pair, str]
    cleared: frozenset[_Pair]
    unsendable: frozenset[str]
    retried: frozenset[_Pair]

    def is_sendable(self, pair: _Pair) -> bool:
        """Returns whether a retry of a pair may be sent, as far as its subject decides."""
        return pair[0] not in self.unsendable and pair not in self.retried


@dataclass(frozen=True, slots=True)
class _PairSends:
    """Intents of the pairs behind a list of decisions: retries, and the first deliveries that they repeat."""

    intents: Mapping[_Pair, Sequence[Intent]]
    running: frozenset[str]


def pair_evidence(
    session: Session,
    lane: Lane,
    decisions: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
    clock_slack: timedelta = CLOCK_SLACK,
) -> PairEvidence:
    """Reads from the warehouse what decides whether retries may go now.

    Args:
        session: An open warehouse.
        lane: The retry ladder.
        decisions: Those of a plan.
        now: The instant of the question.
        clock_slack: How far after it evidence may be dated and still count; zero where no retry is sent.
    """
    at = naive_utc(now)
    until: dict[str, object] = {"lane": lane.name, "until": at + clock_slack}
    subjects = sorted({str(decision[lane.subject_field]) for decision in decisions})
    ids = [_execution_id(lane, decision) for decision in decisions]
    executed = session.rows(_PACKAGE, "executed_retries", {"lane": lane.name, "execution_ids": ids})
    newest = session.rows(_PACKAGE, "newest_outcomes", {**until, "subjects": subjects})
    return PairEvidence(
        executed=frozenset(str(row["execution_id"]) for row in executed),
        newest_failures={_pair(lane, row, "subject"): str(row["latest_delivery_id"]) for row in newest},
        cleared=cleared_pairs(session, lane, decisions, (at, at + clock_slack)),
        unsendable=unsendable_subjects(session, lane, subjects, at),
        retried=_retried_pairs(session, lane, subjects, at),
    )


def unsendable_subjects(session: Session, lane: Lane, subjects: Sequence[str], at: datetime) -> frozenset[str]:
    """Returns the subjects that are not what the lane asks for before a retry is sent; UTC without a zone."""
    needs = lane.sendable
    if needs is None:
        return frozenset()
    parameters = {"as_of": at, "record_type": needs.record_type, "value": needs.value, "subjects": subjects}
    rows = session.rows(_PACKAGE, "sendable_subjects", parameters, subject=lane.subject_field, field=needs.field)
    return frozenset(subjects) - {str(row["subject"]) for row in rows}


def _retried_pairs(session: Session, lane: Lane, subjects: Sequence[str], at: datetime) -> frozenset[_Pair]:
    """The pairs whose retries would count for a subject that was tried first (contract section 4a)."""
    if not lane.retries_have_new_subjects:
        return frozenset()
    rows = session.rows(_PACKAGE, "retried_subjects_of", {"lane": lane.name, "until": at, "subjects": subjects})
    return frozenset(_pair(lane, row, "subject") for row in rows)


def select(
    evidence: PairEvidence,
    connection: sa.Connection,
    context: SelectionContext,
    decisions: Sequence[dict[str, Any]],
    *,
    limit: int,
    now: datetime,
) -> Selection:
    """Selects, in order, the due retries that may go now.

    Args:
        evidence: What the evidence says of their pairs.
        connection: The state database.
        context: The lane and its connectors.
        decisions: The plan's ``retry`` decisions.
        limit: How many to select at most.
        now: When this is asked.
    """
    sends = _pair_sends(connection, context.lane, decisions)
    selection = Selection()
    tried: set[object] = set()
    for decision in decisions:
        reason = _held_because(decision, evidence, sends, context, now=now)
        if not reason and decision["provider"] in context.probed & tried:
            reason = PROBED
        if context.lane.gate is not Gate.REQUEST and _pair(context.lane, decision) not in evidence.cleared:
            selection.pending.append(decision)
        elif reason or len(selection.selected) >= limit:
            selection.held.append({**decision, "held_because": reason or "over_the_limit_of_this_run"})
        else:
            selection.selected.append(decision)
            tried.add(decision["provider"])
    return selection


def _pair(lane: Lane, row: Mapping[str, Any], subject_field: str | None = None) -> _Pair:
    return str(row[subject_field or lane.subject_field]), str(row["provider"])


def _pair_sends(connection: sa.Connection, lane: Lane, decisions: Sequence[Mapping[str, Any]]) -> _PairSends:
    c, subjects = send_intents.c, {str(decision[lane.subject_field]) for decision in decisions}
    conditions = [c.lane == lane.name, c.purpose.in_(_PURPOSES)]
    # A database binds some ten thousand values at most; past this many, those of the whole lane are read.
    if len(subjects) <= _MOST_BOUND:
        conditions.append(c.subject.in_(subjects))
    intents: dict[_Pair, list[Intent]] = {}
    for intent in intents_where(connection, *conditions):
        intents.setdefault((intent.subject, intent.provider), []).append(intent)
    return _PairSends(intents, running_runs(connection))


def _held_because(
    decision: Mapping[str, Any], evidence: PairEvidence, sends: _PairSends, context: SelectionContext, *, now: datetime
) -> str | None:
    """Returns why a due retry does not go now, or None."""
    pair = _pair(context.lane, decision)
    intents = sends.intents.get(pair, ())
    if any(intent.state in (CLAIMED, ANSWERED) and intent.run_id in sends.running for intent in intents):
        return "claimed_by_another_run"
    decision_intent = _intent_of(decision, intents)
    state = decision_intent.state if decision_intent else None
    if state in (DONE, REFUSED, ANSWERED) or _execution_id(context.lane, decision) in evidence.executed:
        return "already_executed"
    if evidence.newest_failures.get(pair) != decision["latest_delivery_id"]:
        return "later_evidence"
    if not evidence.is_sendable(pair):
        return "subject_not_sendable"
    latest_intent = next((intent for intent in intents if _delivery_id(intent) == decision["latest_delivery_id"]), None)
    if latest_intent and latest_intent.state == REFUSED and not context.is_asked_for:
        return "provider_refused_it"
    if any(intent.due_at is not None and now < intent.due_at <= now + _LONGEST_WAIT for intent in intents):
        return "provider_asked_to_wait"
    problem = context.connector_problem(pair[1])
    if problem:
        return problem.reason
    return "no_connector" if state == SKIPPED and not context.has_connector(pair[1]) else None


def _intent_of(decision: Mapping[str, Any], intents: Sequence[Intent]) -> Intent | None:
    return next((intent for intent in intents if intent.answers == decision["latest_delivery_id"]), None)


def _delivery_id(intent: Intent) -> str:
    """The delivery that an intent makes: a retry's is named for it, a first delivery is its own."""
    return f"delivery-{intent.intent_id}" if intent.purpose == RETRIES.name else intent.intent_id


def claim(
    evidence: PairEvidence,
    connection: sa.Connection,
    context: SelectionContext,
    run: Run,
    decision: dict[str, Any],
    *,
    now: datetime,
    retry_plan_id: str,
    by: str,
) -> Intent | Selection:
    """Claims one retry inside the open state transaction, if the rules still let it go at this moment.

    Returns:
        The claimed intent, or where the decision now belongs: pending or held.
    """
    again = select(evidence, connection, context, [decision], limit=1, now=now)
    if not again.selected:
        return again
    lane, pair = context.lane, _pair(context.lane, decision)
    intents = _pair_sends(connection, lane, [decision]).intents.get(pair, ())
    earlier_intent = _intent_of(decision, intents)
    moments = [datetime.fromisoformat(str(decision["latest_delivery_at"]))]
    if earlier_intent and earlier_intent.completed_at:
        moments.append(earlier_intent.completed_at)
    intent = Intent(
        intent_id=_execution_id(lane, decision),
        purpose=RETRIES.name,
        lane=lane.name,
        subject=pair[0],
        provider=pair[1],
        answers=str(decision["latest_delivery_id"]),
        message=retry_notification(lane, decision, _idempotency_id(lane, decision, intents)),
        context={
            "retry_plan_id": retry_plan_id,
            "generated_by": by,
            "max_retry_attempts": decision["max_retry_attempts"],
            **({lane.decision_field: decision.get(lane.decision_field)} if lane.decision_field else {}),
            "recorded_after": instant(max(moments) + _MICROSECOND),
        },
    )
    claimed = run.claim(connection, intent, now=now)
    return claimed or Selection(held=[{**decision, "held_because": "claimed_by_another_run"}])


def _idempotency_id(lane: Lane, decision: Mapping[str, Any], intents: Sequence[Intent]) -> str:
    """Returns the id of the message: what an earlier attempt at it carried, else one made from the first failure.

    An earlier attempt is known by its intent for the same failure, or by having made the failure that is retried now.
    """
    latest = decision["latest_delivery_id"]
    for intent in intents:
        if latest in (intent.answers, _delivery_id(intent)):
            return intent.message.idempotency_id
    return idempotency_id(lane, *_pair(lane, decision), str(decision["first_delivery_id"]))


def _execution_id(lane: Lane, decision: Mapping[str, Any]) -> str:
    return f"retry-{digest_of(lane.name, *_pair(lane, decision), decision['latest_delivery_id'])[:32]}"
