"""The engine of every send: claim the intent, send, note the answer, record the outcome; take over what was left.

    with engine.running(run_id) as run:
        with warehouse.writing(...) as session:
            claimed = run.claim(session, intent, now=...)
        outcome = run.attempt(claimed)
        run.record(claimed, outcome)

A process that is killed leaves one of three things. An intent that nobody claimed waits for the next run. A claim whose
answer was noted is recorded by the next run. Any other claim is sent again, with the same message and the same ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from cavra_pipeline.connectors import DeliveryOutcome, Grade, Notification, Problem
from cavra_pipeline.documents import canonical_json, naive_utc
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.ingest import warehouse_of
from cavra_pipeline.evidence.own import commit_own_drop, write_own_drop
from cavra_pipeline.sending.intents import PACKAGE, Intent, intent_of, message_json, outcome_json, write_intents
from cavra_pipeline.sending.live_runs import LiveRun, LiveRuns, Note
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session

DONE, PENDING, REFUSED, SKIPPED = "done", "pending", "refused", "skipped"
#: Why a skipped intent was not sent.
NO_CONNECTOR: Final = "no_connector"
_DEFECT: Final = "connector_defect"
#: For so long at least it is known which commands were killed.
_REPEATABLE: Final = timedelta(days=1)


class Sender(Protocol):
    """What a live run sends through: the connectors of the host."""

    def has(self, provider: str) -> bool:
        """Tells whether the provider's connector is configured and on."""

    def problem(self, provider: str, *, reads_secrets: bool) -> Problem | None:
        """Returns why a connector cannot be used, or None; its secrets are looked for only if that is asked."""

    def send(self, provider: str, notification: Notification) -> DeliveryOutcome:
        """Makes one attempt; never raises for what the provider or the network does."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an attempt makes of its intent.

    Attributes:
        state: ``done``, ``refused``, ``skipped``, or ``pending`` if the intent itself is tried again.
        due_at: When the next attempt may be made, if somebody said so.
    """

    state: str
    due_at: datetime | None = None


def settled_by(_intent: Intent, outcome: DeliveryOutcome | None, _at: datetime) -> Verdict:
    """Returns the verdict on an attempt that stands for itself: a further one is another intent."""
    if outcome is None:
        return Verdict(SKIPPED)
    is_refused = not outcome.success and not outcome.transient
    return Verdict(REFUSED if is_refused else DONE, outcome.retry_not_before)


def _no_evidence(*_: object) -> list[dict[str, Any]]:
    return []


def _nothing_follows(*_: object) -> None:
    return


@dataclass(frozen=True, slots=True)
class Purpose:
    """What differs between the kinds of sends.

    Attributes:
        name: Stored with each intent.
        evidence: Makes the records of an attempt, from the intent, the outcome and the instant they are dated.
        verdict: Says what the attempt makes of the intent.
        follow_up: Changes what else depends on the outcome, in the transaction that stores it.
    """

    name: str
    evidence: Callable[[Intent, DeliveryOutcome | None, datetime], Sequence[dict[str, Any]]] = _no_evidence
    verdict: Callable[[Intent, DeliveryOutcome | None, datetime], Verdict] = settled_by
    follow_up: Callable[[Session, Intent, DeliveryOutcome | None, datetime], None] = _nothing_follows


@dataclass(frozen=True, slots=True)
class Engine:
    """Sends the intents of one purpose.

    Attributes:
        settings: The home.
        purpose: What is sent.
        clock: Tells the time.
    """

    settings: Settings
    purpose: Purpose
    clock: Callable[[], datetime]

    @property
    def runs(self) -> LiveRuns:
        """The runs of the home that send."""
        return LiveRuns(self.settings.home / "live-runs")

    @contextmanager
    def running(self, run_id: str, sender: Sender) -> Iterator[Run]:
        """Starts a run after what killed runs noted is recorded.

        Raises:
            PipelineError: A run of that id is running, or something can't be written.
        """
        with self.runs.living(run_id) as alive:
            self.finish()
            yield Run(self, sender, alive)

    def finish(self) -> None:
        """Records the answers that runs noted and did not live to record; clears away what is no longer needed."""
        left = self.runs.left()
        if not left:
            return
        warehouse = warehouse_of(self.settings)
        with warehouse.reading() as session:
            rows = session.rows(PACKAGE, "claimed_intents", {"purpose": self.purpose.name})
        for intent in map(intent_of, rows):
            note = self.runs.note_of(intent.run_id) if intent.run_id in left else None
            if note and note.intent_id == intent.intent_id:
                self.record(intent, note.outcome)
        with warehouse.reading() as session:
            since: dict[str, object] = {"since": naive_utc(self.clock() - _REPEATABLE)}
            in_use = {str(row["run_id"]) for row in session.rows(PACKAGE, "runs_in_use", since)}
        self.runs.clear_away(left - in_use)

    def record(self, intent: Intent, outcome: DeliveryOutcome | None) -> datetime:
        """Writes the evidence of an attempt to the disk, then commits it with the outcome; safe to repeat.

        Returns:
            The instant that the evidence is dated: that of the answer, but after what the attempt answers.

        Raises:
            PipelineError: Something can't be written; the outcome stays noted.
        """
        at = outcome.completed_at if outcome else self.clock()
        if after := intent.context.get("recorded_after"):
            at = max(at, datetime.fromisoformat(after))
        records = self.purpose.evidence(intent, outcome, at)
        name = intent.intent_id if outcome else f"{intent.intent_id}-skipped"
        drop = write_own_drop(self.settings, name, records, now=at) if records else None
        with warehouse_of(self.settings).writing("record a send") as session:
            if drop:
                commit_own_drop(session, drop, now=at)
            self.settle(session, intent, outcome, at=at)
        return at

    def settle(self, session: Session, intent: Intent, outcome: DeliveryOutcome | None, *, at: datetime) -> None:
        """Stores the outcome of a claimed intent, inside the open transaction; nothing if that has happened."""
        verdict = self.purpose.verdict(intent, outcome, at)
        settled = session.rows(
            PACKAGE,
            "settle_intent",
            {
                "intent_id": intent.intent_id,
                "run_id": intent.run_id,
                "state": verdict.state,
                "due_at": naive_utc(verdict.due_at) if verdict.due_at else None,
                "completed_at": naive_utc(at),
                "reason": outcome.reason if outcome else NO_CONNECTOR,
                "status_code": outcome.status_code if outcome else None,
                "outcome": outcome_json(outcome) if outcome else None,
            },
        )
        if settled:
            self.purpose.follow_up(session, intent, outcome, at)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the engine: what claims are made for.

    Attributes:
        engine: The engine.
        sender: The host's connectors.
        alive: Shows other processes that the run is running.
        defects: Types of what connectors raised and should not have.
    """

    engine: Engine
    sender: Sender
    alive: LiveRun
    defects: list[str] = field(default_factory=list)

    def claim(self, session: Session, intent: Intent, *, now: datetime) -> Intent | None:
        """Claims an intent for this run inside the open transaction; stores it first if it is new.

        Returns:
            The intent as stored, with the message of its first claim; None if another run sends it, or its outcome
            is known.
        """
        write_intents(session, [intent], now=now)
        (stored,) = session.rows(PACKAGE, "stored_intents", {"intent_ids": [intent.intent_id]})
        claimed = session.rows(
            PACKAGE,
            "claim_intent",
            {
                "intent_id": intent.intent_id,
                "run_id": self.alive.run_id,
                "now": naive_utc(now),
                "message": message_json(intent.message),
                "context": canonical_json(intent.context),
                "ended_runs": sorted(self._abandoned([stored])),
            },
        )
        return intent_of(claimed[0]) if claimed else None

    def claim_due(self, session: Session, providers: Sequence[str], *, now: datetime) -> Intent | None:
        """Claims the intent of the purpose that has been due longest, inside the open transaction; None if none is."""
        purpose = self.engine.purpose.name
        open_claims = session.rows(PACKAGE, "claimed_intents", {"purpose": purpose})
        claimed = session.rows(
            PACKAGE,
            "claim_due",
            {
                "purpose": purpose,
                "providers": list(providers),
                "run_id": self.alive.run_id,
                "now": naive_utc(now),
                "ended_runs": sorted(self._abandoned(open_claims)),
            },
        )
        return intent_of(claimed[0]) if claimed else None

    def _abandoned(self, rows: Sequence[Mapping[str, Any]]) -> set[str]:
        """The runs among the holders of claims that are over and noted no answer: each holds one claim at a time."""
        claimed = {str(row["run_id"]): row for row in rows if row["state"] == "claimed"}
        over = self.engine.runs.are_over(claimed.keys())
        return {run_id for run_id in over if not self._is_noted(claimed[run_id])}

    def _is_noted(self, row: Mapping[str, Any]) -> bool:
        note = self.engine.runs.note_of(str(row["run_id"]))
        return note is not None and note.intent_id == row["intent_id"]

    def attempt(self, intent: Intent) -> DeliveryOutcome | None:
        """Sends a claimed intent and notes the answer; None if its provider has no connector.

        Raises:
            PipelineError: The answer can't be noted; the next run repeats the send under the same id.
        """
        if not self.sender.has(intent.provider):
            return None
        started_at = self.engine.clock()
        try:
            outcome = self.sender.send(intent.provider, intent.message)
        except Exception as error:  # noqa: BLE001 -- whatever it is, nobody knows what became of the message
            self.defects.append(type(error).__name__)
            now = self.engine.clock()
            outcome = DeliveryOutcome(intent.provider, Grade.AMBIGUOUS, None, 1, started_at, now, None, _DEFECT)
        self.alive.note(Note(intent.intent_id, outcome))
        return outcome

    def raise_defects(self) -> None:
        """Ends the run in an error if a connector raised; the attempts are recorded.

        Raises:
            PipelineError: One did; the message holds the exception's type only.
        """
        if self.defects:
            raise PipelineError(
                f"a connector failed in a way it should not ({', '.join(sorted(set(self.defects)))})",
                where=f"run {self.alive.run_id}",
                remedy="Report this as a defect; the attempts are recorded as failed and keep their idempotency id",
            )
