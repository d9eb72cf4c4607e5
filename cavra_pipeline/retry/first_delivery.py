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

from cavra_pipeline.connectors import DeliveryOutcome, Grade, Notification, Severity
from cavra_pipeline.documents import instant, naive_utc
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.boundary import actor_label
from cavra_pipeline.evidence.ingest import ingest, warehouse_of
from cavra_pipeline.evidence.own import commit_own_drop, write_own_drop
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.retry.policy import retry_policy
from cavra_pipeline.retry.records import delivery_record, digest, idempotency_id
from cavra_pipeline.sending.engine import NO_CONNECTOR, PENDING, Engine, Purpose, Run, Sender
from cavra_pipeline.sending.intents import PACKAGE as SENDING
from cavra_pipeline.sending.intents import Intent, intent_of, write_intents
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.retry"
_SEVERITIES: Final[Mapping[str, Severity]] = {"critical": "critical", "warning": "warning", "healthy": "info"}
_CLAIMED: Final = "claimed"
_OPEN: Final = (PENDING, _CLAIMED)
_UNSENT: Final = {_CLAIMED: "claimed_by_another_run"}
#: How long to wait for another process that is sending the same message, in seconds, and how often to look again.
_WAIT_SECONDS: Final = 60.0
_LOOKS: Final = 3


@dataclass(frozen=True, slots=True)
class Announcement:
    """What goes out first.

    Attributes:
        lane: The lane that retries it.
        subject: The lane's subject field and its value, made from content, and what else identifies it.
        title: One line.
        summary: What happened, without record content.
        alert_level: critical, warning or healthy.
        facts: Counts and ids.
        generated_by: Actor label.
        records: Evidence that it was made.
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
        session_id = f"delivery-{digest(self.lane.name, name, provider)[:32]}"
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

    @property
    def name(self) -> str:
        """Names the landing file of its evidence."""
        return str(self.records[0]["session_id"])

    def is_said_by(self, intent: Intent) -> bool:
        """Tells whether an earlier message says the same as of the same instant; ages in its summary do not count."""
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
        clock: Tells the time.
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
        drop = write_own_drop(settings, announcement.name, announcement.records, now=clock())
        with warehouse_of(settings).writing("record what was made") as session:
            commit_own_drop(session, drop, now=clock())
        yield document
        return
    ingest(settings, now=clock())
    with Engine(settings, FIRST_DELIVERIES, clock).running(run_id, sender) as run:
        take_over_first_deliveries(run, lane)
        said, intents = _plan(run, announcement, providers)
        said |= {one.provider: _deliver(run, one) for one in intents}
        yield {
            **document,
            "delivered_at": instant(clock()),
            "outcomes": [_shown(said[provider]) for provider in providers],
        }
        run.engine.runs.clear_away({one.run_id for one in said.values() if one.run_id} - {run_id})
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
    """Stores what is to be sent, with the evidence that it was made, in one transaction.

    Returns:
        By provider the deliveries that this announcement would only repeat, and the intents of the others.
    """
    engine, said = run.engine, dict[str, Intent]()
    for look in range(_LOOKS):
        now = engine.clock()
        with warehouse_of(engine.settings).reading() as session:
            said = _said_before(session, run, announcement, providers)
        running = {str(one.run_id) for one in said.values() if one.state in _OPEN}
        if running and look < _LOOKS - 1:
            for run_id in running - {run.alive.run_id}:
                engine.runs.wait_for(run_id, seconds=_WAIT_SECONDS)
            take_over_first_deliveries(run, announcement.lane)
            continue
        intents = [announcement.intent(one, now=now) for one in providers if one not in said]
        if not intents:
            return said, []
        drop = write_own_drop(engine.settings, announcement.name, announcement.records, now=now)
        with warehouse_of(engine.settings).writing("record what is to be sent") as session:
            commit_own_drop(session, drop, now=now)
            # Another process may have begun with the same since it was asked.
            if _said_before(session, run, announcement, providers).keys() == said.keys():
                write_intents(session, [replace(one, run_id=run.alive.run_id) for one in intents], now=now)
                return said, intents
    return said, []


def take_over_first_deliveries(run: Run, lane: Lane) -> None:
    """Sends what killed processes left of the lane's first deliveries, each under its own ids.

    What has no connector now is left for a later run.
    """
    run = replace(run, engine=replace(run.engine, purpose=FIRST_DELIVERIES))
    run.engine.finish()
    asked: dict[str, object] = {"lane": lane.name, "purpose": FIRST_DELIVERIES.name}
    with warehouse_of(run.engine.settings).reading() as session:
        open_intents = [intent_of(row) for row in session.rows(_PACKAGE, "open_first_deliveries", asked)]
    over = run.engine.runs.are_over({str(one.run_id) for one in open_intents})
    for intent in open_intents:
        if intent.run_id in over:
            _deliver(run, intent)


def _deliver(run: Run, intent: Intent) -> Intent:
    """Makes one delivery, unless its outcome is known; waits for another process that is making it.

    Without a connector the intent stays as it is: a later live run of the lane sends it.
    """
    engine, stored = run.engine, intent
    if not run.sender.has(intent.provider):
        return stored
    for _ in range(_LOOKS):
        with warehouse_of(engine.settings).writing("claim a delivery") as session:
            claimed = run.claim(session, intent, now=engine.clock())
            # A rebuilt warehouse has the evidence of a delivery and no intent of it.
            if claimed and (recorded := _recorded(session, claimed)):
                engine.settle(session, claimed, recorded, at=recorded.completed_at)
                return replace(claimed, outcome=recorded)
            (row,) = session.rows(SENDING, "stored_intents", {"intent_ids": [intent.intent_id]})
        if claimed:
            outcome = run.attempt(claimed)
            engine.record(claimed, outcome)
            return replace(claimed, outcome=outcome)
        stored = intent_of(row)
        if stored.state != _CLAIMED:
            break
        engine.runs.wait_for(str(stored.run_id), seconds=_WAIT_SECONDS)
        engine.finish()
    return stored


def _recorded(session: Session, intent: Intent) -> DeliveryOutcome | None:
    rows = session.rows(_PACKAGE, "recorded_delivery", {"session_id": intent.intent_id, "provider": intent.provider})
    if not rows:
        return None
    row: dict[str, Any] = rows[0]
    at = row["created_at"].replace(tzinfo=UTC)
    grade = Grade.FAILED if row["is_failed"] else Grade.DELIVERED
    return DeliveryOutcome(intent.provider, grade, row["status_code"], row["attempt_count"], at, at, None, "recorded")


def _said_before(session: Session, run: Run, announcement: Announcement, providers: Sequence[str]) -> dict[str, Intent]:
    """The deliveries that this announcement would only repeat, by provider.

    They say the same, and their command was killed within the lane's interval, is still running, or ended after this
    one was asked for.
    """
    if announcement.requested_at is None:
        return {}
    interval = timedelta(minutes=announcement.lane.expected_interval_minutes)
    asked: dict[str, object] = {
        "lane": announcement.lane.name,
        "purpose": FIRST_DELIVERIES.name,
        "providers": list(providers),
        "run_id": run.alive.run_id,
        "killed_runs": sorted(run.engine.runs.left()),
        "requested_at": naive_utc(announcement.requested_at),
        "killed_since": naive_utc(announcement.requested_at - interval),
    }
    found = [intent_of(row) for row in session.rows(_PACKAGE, "announced_before", asked)]
    return {one.provider: one for one in found if announcement.is_said_by(one)}


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
