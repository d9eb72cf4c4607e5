"""Proves the state of one pair of a home: a map of the lane's pairs in the commit log, and the pair's way through it.

The map is brought up to date when it is asked for, and appended to the log unless its newest entry is the same.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from cavra_pipeline.documents import canonical_bytes, instant
from cavra_pipeline.errors import PipelineError, TransientError, UsageError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.proof.checkpoint import Checkpoint, Note
from cavra_pipeline.proof.keys import load_key
from cavra_pipeline.proof.log import append_map, entries_of
from cavra_pipeline.proof.merkle import inclusion_proof, leaf_hash
from cavra_pipeline.proof.signing import sign
from cavra_pipeline.provider_names import provider_name
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import database_now, state_of
from cavra_pipeline.verify import pairs
from cavra_pipeline.verify.bundle import public_text
from cavra_pipeline.verify.check import judged
from cavra_pipeline.verify.derive import Pair, lane_records
from cavra_pipeline.verify.lane_rules import lane_rules
from cavra_pipeline.verify.maps import document_of, first_subject, history_of
from cavra_pipeline.verify.prove import LaneRead, map_salt, pruned_of, read_log
from cavra_pipeline.verify.signatures import to_sign
from cavra_pipeline.verify.stored_maps import current_map, store_map

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def prove_pair(settings: Settings, lane: Lane, subject: str, provider: str, *, as_of: datetime) -> bytes:
    """Returns the light proof of a pair: its whole history, and that it is whole.

    Args:
        settings: The home.
        lane: The lane.
        subject: First subject of the pair's deliveries; one that never was is proven to have no history.
        provider: The provider.
        as_of: Instant of the state; no record of the pair may be newer.

    Raises:
        UsageError: Nothing was ever ingested, the subject is that of a retry, or the pair has newer records.
        TransientError: Evidence was committed meanwhile.
        PipelineError: The key can't be read.
    """
    rules, pair, pseudonyms = lane_rules()[lane.name], (subject, provider_name(provider)), pseudonyms_of(settings)
    salt, place = map_salt(pseudonyms, lane), pairs.key_of(lane.name, pair)
    with warehouse_of(settings).reading() as session:
        read = read_log(session, settings, lane.name, date.max)
        _refuse_a_retry(first_subject(session, lane, pair), pair)
        stored = current_map(settings, session, lane, read.entries, salt)
        records, pruned = history_of(session, lane, pair), pruned_of(session, lane)["record_count"]
    if read.is_outdated(settings):
        raise _moved(lane)
    lane_map = stored.pairs
    head, log = _logged(settings, lane, read, document_of(lane, lane_map, pruned))
    store_map(settings, lane, stored)
    key = load_key(settings.signing_key_file) if settings.signing_key_file else None
    leaves, entry = [leaf_hash(text) for text in log], len(log) - 1
    beside, end = lane_map.path(place)
    document: dict[str, Any] = {
        "type": pairs.TYPE,
        "lane": lane.name,
        "subject": subject,
        "provider": pair[1],
        "as_of": instant(as_of.astimezone(UTC)),
        "state": pairs.state_of(rules, pair, lane_records(rules, list(map(json.loads, records))), as_of),
        "salt": pairs.pair_salt(salt, place).hex() if records else "",
        "records": [json.loads(text) for text in records],
        "map_path": [node.hex() for node in beside],
        "other": None if end is None or end.startswith(place) else [end[: len(place)].hex(), end[len(place) :].hex()],
        "entry": log[entry].decode(),
        "entry_path": [node.hex() for node in inclusion_proof(leaves, entry)],
        "first_path": [node.hex() for node in [leaves[0], *inclusion_proof(leaves, 0)]],
        "checkpoint": (sign(head, key) if key else Note(head)).text,
        "key": public_text(head.origin, key.public_key().public_bytes_raw()) if key else None,
    }
    return _checked(_signed(document, key), lane)


def store_maps(settings: Settings) -> None:
    """Stores the map of each lane as of the evidence there is, so that the next light proof need not make it.

    Raises:
        UsageError: Nothing was ever ingested.
        PipelineError: A file can't be written.
    """
    for lane in LANES.values():
        salt = map_salt(pseudonyms_of(settings), lane)
        with warehouse_of(settings).reading() as session:
            read = read_log(session, settings, lane.name, date.max)
            stored = current_map(settings, session, lane, read.entries, salt)
        store_map(settings, lane, stored)


def _refuse_a_retry(first: str, pair: Pair) -> None:
    """Refuses the subject of a retry: its deliveries are those of the subject at the beginning of the chain."""
    subject, provider = pair
    if first != subject:
        raise UsageError(
            "the subject is that of a retry, which belongs to the history of another one",
            where=f"{subject}, {provider}",
            remedy=f"Ask for the first subject of the chain: {first}",
        )


def _logged(settings: Settings, lane: Lane, read: LaneRead, said: dict[str, Any]) -> tuple[Checkpoint, list[bytes]]:
    """The head of the log and its entries up to the one with the map, which is appended unless it is the newest."""
    state = state_of(settings)
    with state.writing() as connection:
        head = append_map(connection, said, read_mark=read.mark, at=database_now(connection))
    if head is None:
        raise _moved(lane)
    with state.reading() as connection:
        return head, list(entries_of(connection))[: head.size]


def _signed(document: dict[str, Any], key: Ed25519PrivateKey | None) -> bytes:
    content = pairs.content_of(document)
    signature = key.sign(to_sign(content, pairs.SIGNED_TYPE)) if key else b""
    beside = {"sha256": sha256(content).hexdigest(), "signature": base64.b64encode(signature).decode()}
    return canonical_bytes({**document, **beside}) + b"\n"


def _checked(proof: bytes, lane: Lane) -> bytes:
    _, fault = judged(proof, lane_rules())
    if fault.startswith("state: there are records"):
        raise UsageError(
            "the delivery has newer records", where="as_of", remedy="Leave it out, or name a later instant"
        )
    if fault:
        raise PipelineError(f"the proof does not hold: {fault}", where=lane.name, remedy="Report this as a defect")
    return proof


def _moved(lane: Lane) -> TransientError:
    return TransientError("evidence was committed meanwhile", where=lane.name, remedy="Run the command again")
