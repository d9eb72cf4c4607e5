"""Checks a light proof: the history of one pair of a subject and a provider, in a sparse Merkle map of a lane's pairs.

Python 3.11 and nothing else; goes into every bundle. The place of a pair in the map follows from its name, so that the
map has one history of it, or none. The format is in docs/proof-format-answers.md.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .container import canonical, leaf, need, root_of
from .derive import Document, LanePairs, LaneRecord, Pair, lane_records
from .signatures import checkpoint, exact_base64, is_signed, public_key, to_sign

TYPE = "https://cavra-pipeline.example/proof/pair/v1"
SIGNED_TYPE = "application/vnd.cavra-pipeline.pair+json"
EMPTY = bytes(32)
EVER = datetime.max.replace(tzinfo=UTC)
BITS = 256
#: Types of the records that make the history of a pair.
TYPES = ("delivery", "execution", "acknowledgement", "approval")
#: Down to this depth the nodes of a map are cached: its root and every path share them.
REMEMBERED = 12


def key_of(lane: str, pair: Pair) -> bytes:
    """Returns the place of a pair in the map."""
    return hashlib.sha256(canonical([lane, *pair])).digest()


def history_root(salt: bytes, leaves: Sequence[bytes]) -> bytes:
    """Returns the root over the records of a pair; without the salt no one can test a guess at them."""
    # Most pairs have one record.
    return node_hash(leaf(salt), leaves[0]) if len(leaves) == 1 else root_of([leaf(salt), *leaves])


@dataclass
class PairMap:
    """The map of a lane; an entry is the place of a pair and the root of its history, and they are in order."""

    entries: list[bytes]
    nodes: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def root(self) -> bytes:
        """Returns the root of the map."""
        return self._node(0, 0, 0, len(self.entries))

    def path(self, place: bytes) -> tuple[list[bytes], bytes | None]:
        """Returns the nodes beside the path to a place, from the root on, and the entry at its end, if any."""
        first, last, way, beside = 0, len(self.entries), 0, list[bytes]()
        while last - first > 1:
            depth, left = len(beside) + 1, 2 * way
            middle = self._middle(left | 1, depth, first, last)
            if bit_of(place, depth - 1):
                beside.append(self._node(left, depth, first, middle))
                way, first = left | 1, middle
            else:
                beside.append(self._node(left | 1, depth, middle, last))
                way, last = left, middle
        return beside, self.entries[first] if last > first else None

    def _middle(self, way: int, depth: int, first: int, last: int) -> int:
        return bisect_left(self.entries, (way << BITS - depth).to_bytes(len(EMPTY), "big"), first, last)

    def _node(self, way: int, depth: int, first: int, last: int) -> bytes:
        if last - first <= 1:
            return place_hash(self.entries[first]) if last > first else EMPTY
        node = self.nodes.get((depth, way)) if depth <= REMEMBERED else None
        if node is None:
            left, below = 2 * way, depth + 1
            middle = self._middle(left | 1, below, first, last)
            node = node_hash(self._node(left, below, first, middle), self._node(left | 1, below, middle, last))
            if depth <= REMEMBERED:
                self.nodes[depth, way] = node
        return node


def bit_of(key: bytes, depth: int) -> int:
    """Returns which way a place lies at a depth: 0 left, 1 right."""
    return key[depth // 8] >> (7 - depth % 8) & 1


def place_hash(entry: bytes) -> bytes:
    """Returns the hash of a part of the map with one pair, over its whole place."""
    return hashlib.sha256(b"\2" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Returns the hash of a part of the map with more pairs."""
    return hashlib.sha256(b"\1" + left + right).digest()


def map_root(key: bytes, beside: Sequence[bytes], end: bytes) -> bytes:
    """Returns the root of a map from the path to a place and the hash at its end."""
    for depth in range(len(beside) - 1, -1, -1):
        end = node_hash(beside[depth], end) if bit_of(key, depth) else node_hash(end, beside[depth])
    return end


def inclusion_root(at: int, size: int, hashed: bytes, path: Sequence[bytes]) -> bytes:
    """Returns the root of a log from one of its entries and the path from there (RFC 9162, section 2.1.3.2)."""
    last = size - 1
    need(0 <= at <= last, "log: it has no such entry")
    for sibling in path:
        need(last, "log: the path of the entry is too long")
        if at & 1 or at == last:
            hashed = node_hash(sibling, hashed)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            hashed = node_hash(hashed, sibling)
        at, last = at >> 1, last >> 1
    need(not last, "log: the path of the entry is too short")
    return hashed


def histories(pairs: LanePairs) -> dict[Pair, list[LaneRecord]]:
    """Returns the deliveries, executions, acknowledgements and approvals of each pair of a lane, oldest first."""
    by_id = {pair: {a.record.session_id: a.record for a in attempts} for pair, attempts in pairs.attempts.items()}
    for pair, records in pairs.by_pair(*TYPES[1:]).items():
        if all(pair):
            by_id.setdefault(pair, {}).update((record.session_id, record) for record in records)
    return {pair: sorted(records.values()) for pair, records in by_id.items()}


def map_of(lane: Document, records: Sequence[Document], texts: Mapping[str, bytes], salt: bytes) -> PairMap:
    """Returns the map of a lane's pairs.

    Args:
        lane: The rules of the lane.
        records: Every record of the lane, or all of `TYPES`.
        texts: Each by its `session_id`, as it is hashed.
        salt: Hides the histories of all pairs of the lane; that of a pair follows from it.
    """
    parsed, entries = lane_records(lane, records), list[bytes]()
    pairs = LanePairs(lane, parsed, max((record.at for record in parsed), default=EVER))
    for pair, history in histories(pairs).items():
        place = key_of(lane["name"], pair)
        leaves = [leaf(texts[record.session_id]) for record in history]
        entries.append(place + history_root(pair_salt(salt, place), leaves))
    return PairMap(sorted(entries))


def pair_salt(salt: bytes, place: bytes) -> bytes:
    """Returns the salt of a pair, from which that of its lane doesn't follow."""
    return hmac.digest(salt, place, "sha256")[:16]


def state_of(lane: Document, pair: Pair, records: Sequence[LaneRecord], as_of: datetime) -> Document:
    """Returns the state of a pair by its history and the lane's own policy (contract sections 6 and 7)."""
    pairs = LanePairs(lane, records, as_of)
    attempts, failing = pairs.attempts.get(pair, []), pair in pairs.failing
    names = lane["subject_field"], "provider"
    decision = next((d for d in pairs.decisions(lane["policy"]) if tuple(d[name] for name in names) == pair), {})
    acknowledgements, approvals = (pairs.by_pair(type_).get(pair) for type_ in ("acknowledgement", "approval"))
    answer = acknowledgements[-1].answer() if acknowledgements else None
    return {
        "delivery_count": len(attempts), "failure_count": sum(attempt.is_failed for attempt in attempts),
        "is_delivered": bool(attempts) and not failing,
        "action": decision.get("action"), "reason": decision.get("reason"),
        "is_acknowledged": answer in lane["clearing"], "acknowledgement_state": answer,
        "approval_state": approvals[-1].raw.get("approval_state") if approvals else None,
    }  # fmt: skip


def in_words(state: Document) -> str:
    """Returns the state of a pair as a sentence."""
    failures = f"{state['failure_count']} of {state['delivery_count']} attempts failed"
    is_over = state["reason"] == "max_retry_attempts_reached"
    then = "delivered" if state["is_delivered"] else "exhausted" if is_over else state["action"] or "never sent"
    answer = state["acknowledgement_state"]
    acknowledged = "not acknowledged" if answer is None else f"acknowledgement: {answer}"
    return f"{then}; {failures}; {acknowledged}"


def checks(raw: bytes, lanes: Document, *, key: str | None, against: str | None) -> Iterator[tuple[str, str]]:
    """Checks a light proof, as `check.checks` does a bundle."""
    proof = json.loads(raw)
    need(canonical(proof) + b"\n" == raw, "file: it is not written as it must be")
    need(proof["type"] == TYPE, "file: it is a proof of another type")
    need(proof.keys() == MEMBERS, "file: it holds others than a proof of a pair has")
    digest, content = proof["sha256"], content_of(proof)
    need(hashlib.sha256(content).hexdigest() == digest, "file: it was changed")
    yield "file", f"{len(raw):,} bytes"
    note, entry_text = proof["checkpoint"], proof["entry"].encode()
    is_signed_by = key or proof["key"]
    signer = public_key(is_signed_by, note.split("\n")[0]) if is_signed_by else None
    signed = exact_base64(proof["signature"])
    is_ours = is_signed(signer.raw, to_sign(content, SIGNED_TYPE), signed) if signer else not signed
    need(is_ours, "signature: the proof is not signed by the key")
    origin, size, root = checkpoint(note, signer)
    lines = f"{origin}\n{size}\n{root}\n\n"
    need(note == lines or (signer and note.startswith(lines)), "signature: the checkpoint is not written as it must be")
    whose = "your key" if key else "the key in the proof; is it theirs?"
    yield "signature", f"by {signer.name}+{signer.key_id.hex()}, {whose}" if signer else "none: it only fits together"
    entry = json.loads(entry_text)
    mapped = entry["map"]
    first, *path_of_first = map(bytes.fromhex, proof["first_path"])
    need(origin == f"cavra-pipeline/{first.hex()[:16]}", "log: the checkpoint is that of another log")
    path = [*map(bytes.fromhex, proof["entry_path"])]
    reached = {inclusion_root(0, size, first, path_of_first)}
    reached.add(inclusion_root(entry["number"] - 1, size, leaf(entry_text), path))
    need(reached == {exact_base64(root)}, "log: the entry is not in the log of the checkpoint")
    need((entry["act"], mapped["lane"]) == ("map", proof["lane"]), "log: the entry is no map of the lane")
    need(entry["number"] == size, "log: the map is not its newest entry, so the lane may have changed since")
    yield "log", f"entry {entry['number']} of {size} is the map of {mapped['pair_count']:,} pairs; checkpoint {root}"
    if against:
        need((origin, size, root) == checkpoint(against, signer), "history: your checkpoint is another; ask for growth")
        yield "history", "your checkpoint is the one of this proof"
    yield from _pair(proof, lanes[proof["lane"]], mapped)


def content_of(proof: Document) -> bytes:
    """Returns the part of a light proof that is hashed and signed."""
    return canonical({name: value for name, value in proof.items() if name not in ("sha256", "signature")})


#: The members of a light proof.
MEMBERS = frozenset({
    "type", "lane", "subject", "provider", "as_of", "state", "salt", "records", "map_path", "other", "entry",
    "entry_path", "first_path", "checkpoint", "key", "sha256", "signature",
})  # fmt: skip


def _pair(proof: Document, lane: Document, mapped: Document) -> Iterator[tuple[str, str]]:
    pair = proof["subject"], proof["provider"]
    place, texts = key_of(lane["name"], pair), [*map(canonical, proof["records"])]
    beside, end = [*map(bytes.fromhex, proof["map_path"])], EMPTY
    need(len(beside) <= BITS, "pair: the way through the map is too long")
    if texts:
        end = place_hash(place + history_root(bytes.fromhex(proof["salt"]), [*map(leaf, texts)]))
        need(proof["other"] is None, "pair: it has a history and another one's place")
    elif proof["other"]:
        other, root = map(bytes.fromhex, proof["other"])
        same = all(bit_of(other, depth) == bit_of(place, depth) for depth in range(len(beside)))
        need(other != place and len(other) == len(root) == len(EMPTY) and same, "pair: it is the one that is left out")
        end = place_hash(other + root)
    need(map_root(place, beside, end).hex() == mapped["root"], "pair: its history is not that of the map")
    counted = f"{len(texts)} records" if len(texts) != 1 else "1 record"
    yield "pair", f"{counted}: all that the lane had of it"
    as_of, records = datetime.fromisoformat(proof["as_of"]), lane_records(lane, proof["records"])
    need(all(record.at <= as_of for record in records), "state: there are records of a later instant")
    need(state_of(lane, pair, records, as_of) == proof["state"], "state: the records say otherwise")
    yield "state", in_words(proof["state"])
    if mapped["pruned_record_count"]:
        yield (
            "retention",
            f"{mapped['pruned_record_count']:,} older records of the lane were pruned; only the log says so",
        )
