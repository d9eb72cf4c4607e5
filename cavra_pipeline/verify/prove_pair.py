"""Proves the state of one pair of a home: a map of the lane's pairs in the commit log, and the pair's way through it.

The map is made when it is asked for and appended to the log, unless the newest one of the lane is the same.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from cavra_pipeline.documents import canonical_bytes, instant
from cavra_pipeline.errors import PipelineError, TransientError, UsageError
from cavra_pipeline.evidence.keeper import HomeKeeper, warehouse_of
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.lanes import Lane
from cavra_pipeline.proof.checkpoint import Checkpoint, Note
from cavra_pipeline.proof.keys import load_key
from cavra_pipeline.proof.log import append_map, checkpoint_of, entries_of
from cavra_pipeline.proof.merkle import inclusion_proof, leaf_hash
from cavra_pipeline.proof.signing import sign
from cavra_pipeline.provider_names import provider_name
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import database_now, state_of
from cavra_pipeline.verify import pairs
from cavra_pipeline.verify.bundle import public_text
from cavra_pipeline.verify.check import judged
from cavra_pipeline.verify.lane_rules import lane_rules
from cavra_pipeline.verify.prove import disclosed, map_salt, pruned_of
from cavra_pipeline.verify.signatures import to_sign
from cavra_pipeline.warehouse import Session
from cavra_pipeline.warehouse.schema import identity_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class _Mapped:
    """The pairs of a lane, each with its records, when the log had this head."""

    head: Checkpoint
    histories: dict[pairs.Pair, list[bytes]]
    map: pairs.PairMap
    pruned_record_count: int


def prove_pair(settings: Settings, lane: Lane, subject: str, provider: str, *, as_of: datetime) -> bytes:
    """Returns the light proof of a pair: its whole history, and that it is whole.

    Args:
        settings: The home.
        lane: The lane.
        subject: Subject of the pair's deliveries; one that never was is proven to have no history.
        provider: The provider.
        as_of: Instant of the state; no record of the pair may be newer.

    Raises:
        UsageError: Nothing was ever ingested, or the pair has newer records.
        TransientError: Evidence was committed meanwhile.
        PipelineError: The key can't be read.
    """
    with warehouse_of(settings).reading() as session:
        mapped = _map_of(session, settings, lane)
    head, log, entry = _logged(settings, lane, mapped)
    key = load_key(settings.signing_key_file) if settings.signing_key_file else None
    rules, pair, leaves = lane_rules()[lane.name], (subject, provider_name(provider)), [leaf_hash(one) for one in log]
    records, place = mapped.histories.get(pair, []), pairs.key_of(lane.name, pair)
    beside, end = mapped.map.path(place)
    document: dict[str, Any] = {
        "type": pairs.TYPE,
        "lane": lane.name,
        "subject": subject,
        "provider": pair[1],
        "as_of": instant(as_of.astimezone(UTC)),
        "state": pairs.state_of(rules, pair, pairs.entries_of(rules, list(map(json.loads, records))), as_of),
        "salt": pairs.pair_salt(map_salt(pseudonyms_of(settings), lane), place).hex() if records else "",
        "records": [json.loads(text) for text in records],
        "map_path": [one.hex() for one in beside],
        "other": [end.hex(), mapped.map.histories[end].hex()] if end and end != place else None,
        "entry": log[entry].decode(),
        "entry_path": [one.hex() for one in inclusion_proof(leaves, entry)],
        "first_path": [one.hex() for one in [leaves[0], *inclusion_proof(leaves, 0)]],
        "checkpoint": (sign(head, key) if key else Note(head)).text,
        "key": public_text(head.origin, key.public_key().public_bytes_raw()) if key else None,
    }
    return _checked(_signed(document, key), lane)


def _map_of(session: Session, settings: Settings, lane: Lane) -> _Mapped:
    """The map of a lane's pairs as the open warehouse has them, if the log says the same."""
    pseudonyms = pseudonyms_of(settings)
    with state_of(settings).reading() as connection:
        head = checkpoint_of(connection)
    if head is None:
        raise UsageError("there is no commit log yet", where=str(settings.home), remedy="Run: cavra-pipeline ingest")
    if HomeKeeper(settings).is_ahead_of_state(identity_of(session, where=str(settings.warehouse))):
        raise _moved(lane)
    texts, rules = dict[str, bytes](), lane_rules()[lane.name]
    for day in disclosed(session, lane, date.max, pseudonyms).values():
        texts |= {json.loads(text)["session_id"]: text for text in day.records}
    made, found = pairs.map_of(rules, texts, map_salt(pseudonyms, lane))
    return _Mapped(head, found, made, pruned_of(session, lane)["record_count"])


def _logged(settings: Settings, lane: Lane, mapped: _Mapped) -> tuple[Checkpoint, list[bytes], int]:
    """The head of the log, its entries, and the place of the one with the map, which is appended unless it is there."""
    said = {
        "lane": lane.name,
        "root": mapped.map.root().hex(),
        "pair_count": len(mapped.histories),
        "pruned_record_count": mapped.pruned_record_count,
    }
    with state_of(settings).writing() as connection:
        if not append_map(connection, said, known=mapped.head, at=database_now(connection)):
            raise _moved(lane)
        head, log = checkpoint_of(connection), list(entries_of(connection))
    assert head is not None  # noqa: S101 -- the map is in it
    return head, log, max(at for at, entry in enumerate(log) if json.loads(entry).get("map") == said)


def _signed(document: dict[str, Any], key: Ed25519PrivateKey | None) -> bytes:
    content = pairs.content_of(document)
    signature = key.sign(to_sign(content, pairs.SIGNED_TYPE)) if key else b""
    beside = {"sha256": sha256(content).hexdigest(), "signature": base64.b64encode(signature).decode()}
    return canonical_bytes({**document, **beside}) + b"\n"


def _checked(proof: bytes, lane: Lane) -> bytes:
    _, fault = judged(proof, lane_rules())
    if fault.startswith("state: there are records"):
        raise UsageError("the pair has newer records", where="as_of", remedy="Leave it out, or name a later instant")
    if fault:
        raise PipelineError(f"the proof does not hold: {fault}", where=lane.name, remedy="Report this as a defect")
    return proof


def _moved(lane: Lane) -> TransientError:
    return TransientError("evidence was committed meanwhile", where=lane.name, remedy="Run the command again")
