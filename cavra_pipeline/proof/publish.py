"""Checkpoints for others: the head of the commit log, signed if a key is configured, and what it grew out of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.proof.checkpoint import Checkpoint, Note, key_id
from cavra_pipeline.proof.keys import load_key
from cavra_pipeline.proof.log import checkpoint_of, entries_of
from cavra_pipeline.proof.merkle import consistency_proof, leaf_hash, root_of
from cavra_pipeline.proof.signing import sign
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of


class EmptyLog(UsageError):
    """Nothing was ever ingested, so there is no head of a log."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What a log says of an older checkpoint.

    Attributes:
        against: The older checkpoint.
        is_consistent: Whether the log begins with the entries that the checkpoint is of.
        reason: Why not, or empty.
        proof: Consistency proof of RFC 6962, from the older tree to the log's; empty if it is not consistent.
    """

    against: Checkpoint
    is_consistent: bool
    reason: str
    proof: tuple[bytes, ...] = ()

    def document(self) -> dict[str, Any]:
        """Returns it as an answer has it."""
        return {
            "size": self.against.size,
            "root": self.against.root.hex(),
            "is_consistent": self.is_consistent,
            "reason": self.reason,
            "proof": [digest.hex() for digest in self.proof],
        }


def publish(settings: Settings, against: Checkpoint | None = None) -> tuple[Note, Growth | None]:
    """Returns the head of the log as a note, and whether it has grown out of an older checkpoint.

    The root is made from the entries as they are; it must be the one that was stored with the newest.

    Raises:
        EmptyLog: Nothing was ever ingested.
        UsageError: The key's file is not one.
        PipelineError: The entries are not those that were appended, or the key can't be read.
    """
    with state_of(settings).reading() as connection:
        hashes = [leaf_hash(entry) for entry in entries_of(connection)]
        stored = checkpoint_of(connection)
    if stored is None:
        raise EmptyLog("the commit log is empty", where=str(settings.home), remedy="Run: cavra-pipeline ingest")
    if (len(hashes), root_of(hashes)) != (stored.size, stored.root):
        raise PipelineError(
            "the entries of the commit log are not those that were appended",
            where=str(settings.home),
            remedy="Run: cavra-pipeline verify --home, which names them",
        )
    note = sign(stored, load_key(settings.signing_key_file)) if settings.signing_key_file else Note(stored)
    return note, _growth(stored, hashes, against) if against else None


def signer_of(settings: Settings, checkpoint: Checkpoint) -> str | None:
    """Returns the key that signs a home's checkpoints, as a verifier names it; None where they are unsigned.

    Raises:
        UsageError: The key's file is not one.
        PipelineError: The key can't be read.
    """
    if not settings.signing_key_file:
        return None
    public_key = load_key(settings.signing_key_file).public_key().public_bytes_raw()
    return f"{checkpoint.origin}+{key_id(checkpoint.origin, public_key).hex()}"


def checkpoint_document(note: Note, growth: Growth | None) -> dict[str, Any]:
    """Returns a checkpoint as an answer has it."""
    return {
        "origin": note.checkpoint.origin,
        "size": note.checkpoint.size,
        "root": note.checkpoint.root.hex(),
        "is_signed": bool(note.signatures),
        "note": note.text,
        "against": growth.document() if growth else None,
    }


def _growth(head: Checkpoint, hashes: list[bytes], against: Checkpoint) -> Growth:
    if against.origin != head.origin:
        return Growth(against, False, "it is of another log")
    if against.size > head.size:
        return Growth(against, False, f"it has {against.size} entries, and the log has {head.size}")
    if root_of(hashes[: against.size]) != against.root:
        return Growth(against, False, "entries that it is of have been changed")
    return Growth(against, True, "", tuple(consistency_proof(hashes, against.size)) if against.size else ())
