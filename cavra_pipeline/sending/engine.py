"""The engine of every send: claim the intent, send, store the answer, record the outcome; take over what was left.

    with engine.running(run_id, sender) as run:
        with state.writing() as connection:
            claimed = run.claim(connection, intent, now=...)
        outcome = run.attempt(claimed)
        run.engine.record(claimed, outcome)

A process that is killed leaves one of three things. An intent that no one claimed waits for the next run. A claim whose
answer was stored is recorded by the next run. Any other claim is sent again, with the same message and the same ids,
once the lease of the run that made it has expired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import sqlalchemy as sa

from cavra_pipeline.connectors import ConnectorProblem, DeliveryOutcome, Grade, Notification
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.emitted import save_emitted_drop
from cavra_pipeline.sending.intents import (
    ANSWERED,
    CLAIMED,
    DONE,
    PENDING,
    REFUSED,
    SKIPPED,
    UNSETTLED,
    Intent,
    intent_of,
    intents_where,
    outcome_document,
    write_intents,
)
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import State, state_of
from cavra_pipeline.state.leases import LEASE_SECONDS, Lease, ended_early, leased, running_runs
from cavra_pipeline.state.tables import leases, send_intents

#: Why a skipped intent was not sent.
NO_CONNECTOR: Final = "no_connector"
_DEFECT: Final = "connector_defect"
#: For so long at least it is known which commands were killed.
_REPEATABLE: Final = timedelta(days=1)
_C: Final = send_intents.c


class Sender(Protocol):
    """The host's connectors, as a live run uses them."""

    def has(self, provider: str) -> bool:
        """Returns whether the provider's connector is configured and on."""

    def problem(self, provider: str, *, reads_secrets: bool) -> ConnectorProblem | None:
        """Returns why a connector cannot be used, or None; its secrets are looked for only if that is asked."""

    def send(self, provider: str, notification: Notification, *, claim_ends_at: datetime) -> DeliveryOutcome:
        """Makes one attempt that ends before the claim does; never raises for what the provider or network does."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """New state of an intent after an attempt.

    Attributes:
        state: ``done``, ``refused``, ``skipped``, or ``pending`` if the intent itself is tried again.
        due_at: When the next attempt may be made, if somebody said so.
    """

    state: str
    due_at: datetime | None = None


def settled_by(_intent: Intent, outcome: DeliveryOutcome | None, _at: datetime) -> Settlement:
    """Returns the settlement of an attempt that stands for itself: a further one is another intent."""
    if outcome is None:
        return Settlement(SKIPPED)
    is_refused = not outcome.success and not outcome.transient
    return Settlement(REFUSED if is_refused else DONE, outcome.retry_not_before)


@dataclass(frozen=True, slots=True)
class Purpose:
    """Differences between the kinds of sends.

    Attributes:
        name: Stored with each intent.
        evidence: Makes the records of an attempt, from the intent, the outcome and the instant they are dated.
        settlement: Says what the attempt makes of the intent.
        follow_up: Changes what else depends on the outcome, in the state transaction that settles the intent.
    """

    name: str
    evidence: Callable[[Intent, DeliveryOutcome | None, datetime], Sequence[dict[str, Any]]] = lambda *_: ()
    settlement: Callable[[Intent, DeliveryOutcome | None, datetime], Settlement] = settled_by
    follow_up: Callable[[sa.Connection, Intent, DeliveryOutcome | None, datetime], None] = lambda *_: None


@dataclass(frozen=True, slots=True)
class Engine:
    """Sends the intents of one purpose.

    Attributes:
        settings: The home.
        purpose: What is sent.
        clock: Returns the current time.
    """

    settings: Settings
    purpose: Purpose
    clock: Callable[[], datetime]

    @property
    def state(self) -> State:
        """The state database of the home."""
        return state_of(self.settings)

    @contextmanager
    def running(self, run_id: str, sender: Sender) -> Iterator[Run]:
        """Starts a run after the answers that ended runs left are recorded.

        Raises:
            PipelineError: A run of that id is running, or something can't be written.
        """
        with leased(self.state, run_id) as lease:
            self.finish()
            yield Run(self, sender, lease)

    def finish(self) -> None:
        """Records the answers of runs that ended before they did; removes leases that nothing depends on."""
        with self.state.reading() as connection:
            running = running_runs(connection)
            left = intents_where(connection, _C.purpose == self.purpose.name, _C.state == ANSWERED)
        for intent in left:
            if intent.run_id not in running:
                self.record(intent, intent.outcome)
        since = self.clock() - _REPEATABLE
        needed = sa.select(_C.run_id).where(_C.run_id.is_not(None), _C.state.in_(UNSETTLED) | (_C.created_at >= since))
        with self.state.reading() as connection:
            stale = ended_early(connection) - set(connection.scalars(needed))
        if stale:
            with self.state.writing() as connection:
                connection.execute(sa.delete(leases).where(leases.c.run_id.in_(stale)))

    def record(self, intent: Intent, outcome: DeliveryOutcome | None) -> datetime:
        """Commits the evidence of an attempt, then settles the intent; safe to repeat.

        Returns:
            The instant that the evidence is dated: that of the answer, but after what the attempt answers.

        Raises:
            PipelineError: Something can't be written; the answer stays stored.
        """
        at = outcome.completed_at if outcome else self.clock()
        if after := intent.context.get("recorded_after"):
            at = max(at, datetime.fromisoformat(after))
        name = intent.intent_id if outcome else f"{intent.intent_id}-skipped"
        if records := self.purpose.evidence(intent, outcome, at):
            save_emitted_drop(self.settings, name, records, now=at, act="record a send")
        with self.state.writing() as connection:
            self.settle(connection, intent, outcome, at=at)
        return at

    def settle(
        self, connection: sa.Connection, intent: Intent, outcome: DeliveryOutcome | None, *, at: datetime
    ) -> None:
        """Stores the outcome of a claimed intent, inside the open transaction; nothing if that has happened."""
        settlement = self.purpose.settlement(intent, outcome, at)
        values = {
            "state": settlement.state,
            "due_at": settlement.due_at,
            "completed_at": at,
            "reason": outcome.reason if outcome else NO_CONNECTOR,
            "status_code": outcome.status_code if outcome else None,
            **({"outcome": outcome_document(outcome)} if outcome else {}),
        }
        if _change(connection, intent, (CLAIMED, ANSWERED), values):
            self.purpose.follow_up(connection, intent, outcome, at)


def _change(connection: sa.Connection, intent: Intent, states: Sequence[str], values: dict[str, Any]) -> bool:
    """Changes an intent while the run that claimed it still holds it."""
    conditions = _C.intent_id == intent.intent_id, _C.run_id == intent.run_id, _C.state.in_(states)
    return connection.execute(sa.update(send_intents).where(*conditions).values(values)).rowcount == 1


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the engine: what claims are made for.

    Attributes:
        engine: The engine.
        sender: The host's connectors.
        lease: Shows other processes that the run is running.
        defects: Types of what connectors raised and should not have.
    """

    engine: Engine
    sender: Sender
    lease: Lease
    defects: list[str] = field(default_factory=list)

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.lease.run_id

    def claim(self, connection: sa.Connection, intent: Intent, *, now: datetime) -> Intent | None:
        """Claims an intent for this run inside the open transaction; stores it first if it is new.

        Returns:
            The intent as stored, with the message of its first claim; None if another run sends it, or its outcome
            is known.
        """
        write_intents(connection, [intent], now=now)
        free = _C.state.in_((PENDING, SKIPPED)) | self._abandoned(connection)
        return self._claimed(connection, intent.intent_id, free, now=now, context=dict(intent.context))

    def claim_due(self, connection: sa.Connection, providers: Sequence[str], *, now: datetime) -> Intent | None:
        """Claims the intent of the purpose that has been due longest, inside the open transaction; None if none is."""
        due_at = sa.func.coalesce(_C.due_at, _C.created_at)
        is_free = ((_C.state == PENDING) & (due_at <= now)) | self._abandoned(connection)
        longest = (
            sa.select(_C.intent_id)
            .where(_C.purpose == self.engine.purpose.name, _C.provider.in_(providers), is_free)
            .order_by(due_at, _C.created_at, _C.intent_id)
            .limit(1)
        )
        intent_id = connection.scalar(longest)
        return self._claimed(connection, intent_id, is_free, now=now) if intent_id else None

    def _abandoned(self, connection: sa.Connection) -> sa.ColumnElement[bool]:
        """Claims without an answer whose run has ended."""
        return (_C.state == CLAIMED) & _C.run_id.not_in(running_runs(connection))

    def _claimed(
        self, connection: sa.Connection, intent_id: str, is_free: sa.ColumnElement[bool], *, now: datetime, **more: Any
    ) -> Intent | None:
        values = {"state": CLAIMED, "run_id": self.run_id, "claim_count": _C.claim_count + 1, "claimed_at": now, **more}
        is_intent = _C.intent_id == intent_id
        if connection.execute(sa.update(send_intents).where(is_intent, is_free).values(values)).rowcount != 1:
            return None
        return intent_of(connection.execute(sa.select(send_intents).where(is_intent)).mappings().one())

    def attempt(self, intent: Intent) -> DeliveryOutcome | None:
        """Sends a claimed intent and stores the answer; None if its provider has no connector.

        Raises:
            LeaseLost: The run may no longer send; nothing was sent.
            PipelineError: The answer can't be stored; the next run repeats the send under the same id.
        """
        if not self.sender.has(intent.provider):
            return None
        started_at = self.engine.clock()
        self.lease.renew()
        try:
            ends_at = started_at + timedelta(seconds=LEASE_SECONDS)
            outcome = self.sender.send(intent.provider, intent.message, claim_ends_at=ends_at)
        except Exception as error:  # noqa: BLE001 -- whatever it is, no one knows what became of the message
            self.defects.append(type(error).__name__)
            now = self.engine.clock()
            outcome = DeliveryOutcome(intent.provider, Grade.AMBIGUOUS, None, 1, started_at, now, None, _DEFECT)
        with self.engine.state.writing() as connection:
            _change(connection, intent, (CLAIMED,), {"state": ANSWERED, "outcome": outcome_document(outcome)})
        return outcome

    def raise_defects(self) -> None:
        """Ends the run in an error if a connector raised; the attempts are recorded.

        Raises:
            PipelineError: One did; the message holds the exception's type only.
        """
        if self.defects:
            raise PipelineError(
                f"a connector failed in a way it should not ({', '.join(sorted(set(self.defects)))})",
                where=f"run {self.run_id}",
                remedy="Report this as a defect; the attempts are recorded as failed and keep their idempotency id",
            )
