"""First deliveries: an escalation plan or an executive report goes once to each connector, through the engine.

A failure is what the lane's retry plan takes up. What a killed process left is finished by the next live run of the
lane; a command that is repeated after its process was killed finishes what that one began and sends nothing new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.connectors import DeliveryOutcome, Grade, Notification, Severity
from cavra_pipeline.documents import digest_of, instant
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.emitted import save_emitted_drop
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.retry.records import delivery_record, idempotency_id
from cavra_pipeline.sending.engine import NO_CONNECTOR, Engine, Purpose, Run, Sender
from cavra_pipeline.sending.intents import ANSWERED, CLAIMED, UNSETTLED, Intent, intents_where, write_intents
from cavra_pipeline.settings import Settings
from cavra_pipeline.state.leases import LEASE_SECONDS, ended_early, running_runs, wait_for
from cavra_pipeline.state.tables import leases, send_intents
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.retry"
_SEVERITIES: Final[Mapping[str, Severity]] = {
    "critical": "critical", "warning": "warning", "healthy": "info", "unknown": "info",
}  # fmt: skip
_UNSENT: Final = {CLAIMED: "claimed_by_another_run", ANSWERED: "claimed_by_another_run"}
#: How long to wait for another process that is sending the same message, in seconds, and how often to ask again.
_WAIT_SECONDS: Final = LEASE_SECONDS + 1
_LOOKS: Final = 3
_C: Final = send_intents.c


@dataclass(frozen=True, slots=True)
class Announcement:
    """A message for its first delivery.

    Attributes:
        lane: The lane that retries it.
        subject: The lane's subject field and its value, made from content, and what else identifies it.
        title: One line.
        summary: What happened, without record content.
        alert_level: critical, warning, healthy or unknown.
        facts: Counts and ids.
        generated_by: Actor label.
        records: Evidence that it was made; none if that is evidence already.
        requested_at: When somebody asked for it. The repeat of a command may be another document, made of later
            evidence, and is recognised by what it says. None if the subject alone identifies a repeat.
        as_of: The instant that whoever asked named; None for now.
    """

    lane: Lane
    subject: Mapping[str, Any]
    title: str
    summary: str
    alert_level: str
    facts: Mapping[str, str | int | None]
    generated_by: str
    records: Sequence[dict[str, Any]] = field(default_factory=tuple)
    requested_at: datetime | None = None
    as_of: datetime | None = None

    def intent(self, provider: str, *, now: datetime) -> Intent:
        """Makes the intent for one connector; its ids follow from lane, subject and provider."""
        name = str(self.subject[self.lane.subject_field])
        session_id = f"delivery-{digest_of(self.lane.name, name, provider)[:32]}"
        return Intent(
            intent_id=session_id,
            purpose=FIRST_DELIVERIES.name,
            lane=self.lane.name,
            subject=name,
            provider=provider,
            message=Notification(
                idempotency_id=idempotency_id(self.lane, name, provider, session_id),
                event_type=f"cavra.{self.lane.name}",
                title=self.title,
                summary=self.summary,
                severity=_SEVERITIES[self.alert_level],
                subject=name,
                occurred_at=now,
                facts=self.facts,
            ),
            context={
                "subject": dict(self.subject),
                "as_of": instant(self.as_of),
                "generated_by": self.generated_by,
                "max_attempt_count": retry_policy(self.lane).max_retry_attempts,
            },
        )

    def without_records(self) -> Announcement:
        """Returns the same announcement without evidence that it was made."""
        return replace(self, records=())

    def record_made(self, settings: Settings, *, now: datetime) -> None:
        """Saves the evidence that it was made; what a schedule makes again adds none.

        Raises:
            PipelineError: Something can't be written.
        """
        if self.records and not (self.requested_at is None and self._is_recorded(settings)):
            name = str(self.records[0]["session_id"])
            save_emitted_drop(settings, name, self.records, now=now, act="record what was made")

    def _is_recorded(self, settings: Settings) -> bool:
        with warehouse_of(settings).reading() as session:
            return bool(session.rows(_PACKAGE, "holds_record", {"session_id": self.records[-1]["session_id"]}))

    def is_said_by(self, intent: Intent) -> bool:
        """Returns whether an earlier message says the same as of the same instant; ages in its summary do not count."""
        said = intent.message.title, dict(intent.message.facts), intent.context["as_of"]
        return said == (self.title, dict(self.facts), instant(self.as_of))


def _records(intent: Intent, outcome: DeliveryOutcome | None, at: datetime) -> list[dict[str, Any]]:
    lane, context = LANES[intent.lane], intent.context
    if outcome is None:
        return []
    return [
        delivery_record(
            lane,
            [outcome],
            session_id=intent.intent_id,
            event_type=f"cavra.{lane.name}",
            subject=context["subject"],
            max_attempt_count=context["max_attempt_count"],
            created_at=at,
            signer=context["generated_by"],
        )
    ]


#: A first delivery is tried once; what fails is the lane's to retry, under the same idempotency id.
FIRST_DELIVERIES: Final = Purpose("first_delivery", evidence=_records)


@contextmanager
def first_delivery(
    settings: Settings,
    sender: Sender,
    announcement: Announcement,
    *,
    providers: Sequence[str],
    is_live: bool,
    clock: Callable[[], datetime],
    run_id: str,
) -> Iterator[dict[str, Any]]:
    """Delivers one announcement through connectors, one attempt each, and yields how it went.

    The block is part of the run: until it has ended well, the command counts as killed and may be repeated.

    Args:
        settings: The home; a live delivery needs the lane in ``live_lanes``.
        sender: The host's connectors.
        announcement: What is sent.
        providers: Connectors to go through.
        is_live: Whether to send; False says what would be sent.
        clock: Returns the current time.
        run_id: A new id for this run.

    Raises:
        UsageError: The lane is not live on this host, or a connector that a person named is not on.
        PipelineError: Something can't be written, or a connector is defective.
    """
    lane = announcement.lane
    actor_label(announcement.generated_by, where="generated_by")
    missing = [provider for provider in providers if not sender.has(provider)]
    if is_live:
        _require(settings, announcement, missing)
    document: dict[str, Any] = {
        "lane": lane.name,
        **announcement.subject,
        "dry_run": not is_live,
        "title": announcement.title,
        "providers": list(providers),
        "without_connector": missing,
        "delivered_at": None,
        "outcomes": [],
    }
    if not is_live or not providers:
        announcement.record_made(settings, now=clock())
        yield document
        return
    ingest(settings, now=clock())
    with Engine(settings, FIRST_DELIVERIES, clock).running(run_id, sender) as run:
        take_over_first_deliveries(run, lane)
        said, intents = _plan(run, announcement, providers)
        said |= {intent.provider: _deliver(run, intent) for intent in intents}
        yield {
            **document,
            "delivered_at": instant(clock()),
            "outcomes": [_shown(said[provider]) for provider in providers],
        }
        with run.engine.state.writing() as connection:
            shown = {intent.run_id for intent in said.values()} & ended_early(connection)
            connection.execute(sa.delete(leases).where(leases.c.run_id.in_(shown)))
    run.raise_defects()


def _require(settings: Settings, announcement: Announcement, missing: Sequence[str]) -> None:
    """Refuses what can't be sent. A schedule's connector that is not on holds its own delivery only."""
    settings.require_live(announcement.lane.name)
    if missing and announcement.requested_at:
        raise UsageError(
            "no connector that is on",
            where=f"provider {', '.join(missing)[:80]}",
            remedy=f"Name connectors that are on in {settings.connectors_file}",
        )


def _plan(run: Run, announcement: Announcement, providers: Sequence[str]) -> tuple[dict[str, Intent], Sequence[Intent]]:
    """Records that the announcement was made, then stores what is to be sent.

    Returns:
        By provider the deliveries that this announcement would only repeat, and the intents of the others.
    """
    engine, said = run.engine, dict[str, Intent]()
    for attempt in range(_LOOKS):
        now = engine.clock()
        with engine.state.reading() as connection:
            said = _said_before(connection, run, announcement, providers)
        running = {str(intent.run_id) for intent in said.values() if intent.state in UNSETTLED}
        if running and attempt < _LOOKS - 1:
            for run_id in running - {run.run_id}:
                wait_for(engine.state, run_id, seconds=_WAIT_SECONDS)
            take_over_first_deliveries(run, announcement.lane)
            continue
        fresh = [announcement.intent(provider, now=now) for provider in providers if provider not in said]
        if not fresh:
            return said, []
        announcement.record_made(engine.settings, now=now)
        with engine.state.writing() as connection:
            # Another process may have begun with the same since it was asked.
            if _said_before(connection, run, announcement, providers).keys() == said.keys():
                write_intents(connection, (replace(intent, run_id=run.run_id) for intent in fresh), now=now)
                return said, fresh
    return said, []


def take_over_first_deliveries(run: Run, lane: Lane) -> None:
    """Sends what ended runs left of the lane's first deliveries, each under its own ids.

    What has no connector now is left for a later run.
    """
    run = replace(run, engine=replace(run.engine, purpose=FIRST_DELIVERIES))
    run.engine.finish()
    of_lane = _C.purpose == FIRST_DELIVERIES.name, _C.lane == lane.name, _C.state.in_(UNSETTLED)
    with run.engine.state.reading() as connection:
        running = running_runs(connection)
        left = [intent for intent in intents_where(connection, *of_lane) if intent.run_id not in running]
    for intent in left:
        _deliver(run, intent)


def _deliver(run: Run, intent: Intent) -> Intent:
    """Makes one delivery, unless its outcome is known; waits for another process that is making it.

    Without a connector the intent stays as it is: a later live run of the lane sends it.
    """
    engine, stored = run.engine, intent
    if not run.sender.has(intent.provider):
        return stored
    for _ in range(_LOOKS):
        with engine.state.writing() as connection:
            claimed = run.claim(connection, intent, now=engine.clock())
            (stored,) = intents_where(connection, _C.intent_id == intent.intent_id)
        if claimed:
            # What the evidence has is no first delivery any more: CAVRA made it, or a state that was restored lacks it.
            if recorded := _recorded(run, claimed):
                with engine.state.writing() as connection:
                    engine.settle(connection, claimed, recorded, at=recorded.completed_at)
                return replace(claimed, outcome=recorded)
            outcome = run.attempt(claimed)
            engine.record(claimed, outcome)
            return replace(claimed, outcome=outcome)
        if stored.state not in (CLAIMED, ANSWERED):
            break
        wait_for(engine.state, str(stored.run_id), seconds=_WAIT_SECONDS)
        engine.finish()
    return stored


def _recorded(run: Run, intent: Intent) -> DeliveryOutcome | None:
    """The outcome that the evidence has of a delivery, or None."""
    with warehouse_of(run.engine.settings).reading() as session:
        row = recorded_delivery(session, LANES[intent.lane], intent.subject, intent.provider)
    if row is None:
        return None
    at = row["created_at"].replace(tzinfo=UTC)
    grade = Grade.FAILED if row["is_failed"] else Grade.DELIVERED
    return DeliveryOutcome(intent.provider, grade, row["status_code"], row["attempt_count"], at, at, None, "recorded")


def recorded_delivery(session: Session, lane: Lane, subject: str, provider: str) -> dict[str, Any] | None:
    """Returns what the evidence has of a delivery of the subject: one that arrived, else the newest failure; or None.

    Args:
        session: An open warehouse.
        lane: Its lane.
        subject: Its subject.
        provider: The connector.

    Returns:
        ``session_id``, ``created_at``, ``is_failed``, ``status_code`` and ``attempt_count``.
    """
    parameters: dict[str, object] = {"lane": lane.name, "subject": subject, "provider": provider}
    return next(iter(session.rows(_PACKAGE, "recorded_delivery", parameters)), None)


def _said_before(
    connection: sa.Connection, run: Run, announcement: Announcement, providers: Sequence[str]
) -> dict[str, Intent]:
    """The deliveries that this announcement would only repeat, by provider.

    They say the same, and their command was killed within the lane's interval, is still running, or ended after this
    one was asked for.
    """
    if announcement.requested_at is None:
        return {}
    lane, requested_at = announcement.lane, announcement.requested_at
    killed_since = requested_at - timedelta(minutes=lane.expected_interval_minutes)
    intents = intents_where(
        connection,
        _C.purpose == FIRST_DELIVERIES.name,
        _C.lane == lane.name,
        _C.provider.in_(providers),
        _C.state.in_(UNSETTLED)
        | (_C.run_id == run.run_id)
        | (_C.run_id.in_(ended_early(connection)) & (_C.created_at >= killed_since))
        | (_C.completed_at >= requested_at),
    )
    return {intent.provider: intent for intent in intents if announcement.is_said_by(intent)}


def _shown(intent: Intent) -> dict[str, Any]:
    outcome = intent.outcome
    return {
        "provider": intent.provider,
        "subject": intent.subject,
        "success": outcome is not None and outcome.success,
        "grade": outcome.grade.value if outcome else None,
        "reason": outcome.reason if outcome else _UNSENT.get(intent.state, NO_CONNECTOR),
        "status_code": outcome.status_code if outcome else None,
        "attempt_count": outcome.attempt_count if outcome else 0,
    }
