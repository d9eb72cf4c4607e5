"""Signed notes and consistency proofs as somebody else verifies them."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cavra_pipeline.proof.checkpoint import Note, key_id
from cavra_pipeline.proof.merkle import node_hash


def is_signed_by(note: Note, public_key: bytes) -> bool:
    """Tells whether a note has a valid signature by a key of 32 bytes, under the name of its log."""
    origin = note.checkpoint.origin
    made = [made for name, key, made in note.signatures if (name, key) == (origin, key_id(origin, public_key))]
    try:
        for one in made:
            Ed25519PublicKey.from_public_bytes(public_key).verify(one, note.checkpoint.text.encode())
    except InvalidSignature:
        return False
    return bool(made)


def is_consistent(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Tells whether a tree grew out of an older one that was not empty (RFC 9162, section 2.1.4.2)."""
    if not 0 < old_size <= size:
        return False
    if old_size == size:
        return not proof and old_root == root
    path = list(proof)
    if old_size.bit_count() == 1:
        path.insert(0, old_root)
    if not path:
        return False
    place, last = old_size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_node = node = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old_node, node = node_hash(sibling, old_node), node_hash(sibling, node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and old_node == old_root and node == root
