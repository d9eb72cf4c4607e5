"""Posts a checkpoint through a connector, so that somebody else holds it; where it is signed and made: ``proof``."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

import sqlalchemy as sa

from cavra_pipeline.connectors import DeliveryOutcome, Notification
from cavra_pipeline.errors import PipelineError, TransientError, UsageError
from cavra_pipeline.proof.checkpoint import Note
from cavra_pipeline.sending.engine import Engine, Purpose, Sender, Settlement
from cavra_pipeline.sending.intents import DONE, PENDING, Intent, intents_where
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.state.tables import send_intents


def _settlement(_intent: Intent, outcome: DeliveryOutcome | None, _at: datetime) -> Settlement:
    """A checkpoint that did not arrive may be posted again, under the same id."""
    return Settlement(DONE if outcome and outcome.success else PENDING)


CHECKPOINTS: Final = Purpose("checkpoint", settlement=_settlement)


@dataclass(frozen=True, slots=True)
class Witness:
    """Where a checkpoint was posted.

    Attributes:
        provider: The connector that took it.
        size: Entries of the log that it is of.
        posted_at: When it was taken.
    """

    provider: str
    size: int
    posted_at: datetime


def witnesses_of(connection: sa.Connection, origin: str) -> list[Witness]:
    """Returns the newest checkpoint of a log that each connector took, in order of their names.

    Args:
        connection: The state database, open for reading.
        origin: Which log.
    """
    c = send_intents.c
    posted = intents_where(connection, c.purpose == CHECKPOINTS.name, c.subject == origin, c.state == DONE)
    newest: dict[str, Witness] = {}
    for intent in posted:
        size = intent.message.facts["size"]
        witness = newest.get(intent.provider)
        if intent.completed_at and isinstance(size, int) and (witness is None or witness.size < size):
            newest[intent.provider] = Witness(intent.provider, size, intent.completed_at)
    return [newest[name] for name in sorted(newest)]


def post_checkpoint(
    settings: Settings, note: Note, provider: str, sender: Sender, *, clock: Callable[[], datetime]
) -> bool:
    """Sends a checkpoint once; it holds no content of records.

    Args:
        settings: The home.
        note: The checkpoint.
        provider: Name of a connector of the host.
        sender: The host's connectors.
        clock: Returns the current time.

    Returns:
        Whether it was sent now; False if the same one was posted there before.

    Raises:
        UsageError: There is no such connector.
        TransientError: Another command posts it, or it did not arrive; the same command may be repeated.
        PipelineError: The connector can't be used, or refused it.
    """
    if not sender.has(provider):
        raise UsageError(
            "no such connector is configured", where=provider, remedy="See what there is: cavra-pipeline connectors"
        )
    if problem := sender.problem(provider, reads_secrets=True):
        raise PipelineError(
            f"the connector can't be used: {problem.reason}", where=provider, remedy="Run: cavra-pipeline connectors"
        )
    engine, now = Engine(settings, CHECKPOINTS, clock), clock()
    intent = _intent(note, provider, now)
    with engine.running(uuid.uuid4().hex, sender) as run:
        with state_of(settings).writing() as connection:
            claimed = run.claim(connection, intent, now=now)
        if claimed is None:
            return _is_posted(settings, intent)
        outcome = run.attempt(claimed)
        engine.record(claimed, outcome)
    run.raise_defects()
    if outcome is None or not outcome.success:
        reason = outcome.reason if outcome else "no connector"
        kind = TransientError if outcome and outcome.transient else PipelineError
        raise kind(f"the checkpoint did not arrive: {reason}", where=provider, remedy="Repeat the command")
    return True


def _is_posted(settings: Settings, intent: Intent) -> bool:
    with state_of(settings).reading() as connection:
        (stored,) = intents_where(connection, send_intents.c.intent_id == intent.intent_id)
    if stored.state != DONE:
        raise TransientError("another command posts this checkpoint", where=intent.provider, remedy="Repeat it later")
    return False


def _intent(note: Note, provider: str, now: datetime) -> Intent:
    head = note.checkpoint
    digest = sha256(f"{provider}\n{note.text}".encode()).hexdigest()[:32]
    message = Notification(
        idempotency_id=f"checkpoint-{digest}",
        event_type="commit_log.checkpoint",
        title=f"CAVRA: checkpoint {head.size:,} of the commit log",
        summary=f"Keep this where whoever runs the pipeline can't write.\n\n{note.text}",
        severity="info",
        subject=head.origin,
        occurred_at=now,
        facts={"origin": head.origin, "size": head.size, "root": head.root.hex()},
    )
    return Intent(f"checkpoint-{digest}", CHECKPOINTS.name, "", head.origin, provider, message)


def tag_message(note: Note) -> str:
    """Returns a checkpoint as the message of a git tag: a subject, an empty line, and the note."""
    return f"Checkpoint {note.checkpoint.size} of {note.checkpoint.origin}\n\n{note.text}"
