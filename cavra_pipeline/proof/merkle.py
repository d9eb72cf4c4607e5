"""The Merkle tree of RFC 6962, section 2.1: roots, proofs of a leaf, and proofs that a tree grew out of an older one.

Functions take leaf hashes, not leaves, so that a caller can keep 32 bytes instead of a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Final

EMPTY_ROOT: Final = sha256(b"").digest()
_LEAF, _NODE = b"\x00", b"\x01"


def leaf_hash(leaf: bytes) -> bytes:
    """Returns the hash of a leaf's bytes."""
    return sha256(_LEAF + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Returns the hash of a node with these children."""
    return sha256(_NODE + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Returns the root of a tree with these leaf hashes."""
    if not hashes:
        return EMPTY_ROOT
    # Level by level: the last node of an odd level moves up as it is, which is the split that the RFC defines.
    level = list(hashes)
    while len(level) > 1:
        parents = [sha256(_NODE + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
        if len(level) % 2:
            parents.append(level[-1])
        level = parents
    return level[0]


class Peaks:
    """Roots of the full subtrees of a growing tree, largest first: what the next leaf and the root are made from."""

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        """Takes a tree up where ``size`` and ``hashes`` of another say it stands.

        Raises:
            ValueError: A tree of that size has another number of full subtrees.
        """
        self.size = size
        self.hashes = list(hashes)
        if len(self.hashes) != size.bit_count():
            raise ValueError(f"{len(self.hashes)} peaks for {size} leaves")

    def append(self, leaf: bytes) -> None:
        """Adds a leaf hash."""
        node, place = leaf, self.size
        while place & 1:
            node, place = node_hash(self.hashes.pop(), node), place >> 1
        self.hashes.append(node)
        self.size += 1

    @property
    def root(self) -> bytes:
        """The root of the tree as it is."""
        if not self.hashes:
            return EMPTY_ROOT
        node = self.hashes[-1]
        for peak in reversed(self.hashes[:-1]):
            node = node_hash(peak, node)
        return node


def _split(size: int) -> int:
    """The largest power of two below a size of two or more."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(hashes: Sequence[bytes], at: int) -> list[bytes]:
    """Returns the proof that a tree has a leaf (RFC 6962, section 2.1.1).

    Args:
        hashes: Leaf hashes of the whole tree.
        at: Which leaf, from 0.

    Raises:
        IndexError: The tree has no such leaf.
    """
    if not 0 <= at < len(hashes):
        raise IndexError(f"a tree of {len(hashes)} leaves has no leaf {at}")
    if len(hashes) == 1:
        return []
    middle = _split(len(hashes))
    if at < middle:
        return [*inclusion_proof(hashes[:middle], at), root_of(hashes[middle:])]
    return [*inclusion_proof(hashes[middle:], at - middle), root_of(hashes[:middle])]


def consistency_proof(hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """Returns the proof that a tree grew out of the one of its first leaves (RFC 6962, section 2.1.2).

    Args:
        hashes: Leaf hashes of the whole tree.
        old_size: How many leaves the older tree had, at least 1.

    Raises:
        IndexError: The tree is smaller than that, or the older tree is empty.
    """
    if not 0 < old_size <= len(hashes):
        raise IndexError(f"a tree of {len(hashes)} leaves did not grow out of one of {old_size}")
    return list(_consistency(hashes, old_size, is_whole=True))


def _consistency(hashes: Sequence[bytes], old_size: int, *, is_whole: bool) -> Iterator[bytes]:
    if old_size == len(hashes):
        if not is_whole:
            yield root_of(hashes)
        return
    middle = _split(len(hashes))
    if old_size <= middle:
        yield from _consistency(hashes[:middle], old_size, is_whole=is_whole)
        yield root_of(hashes[middle:])
    else:
        yield from _consistency(hashes[middle:], old_size - middle, is_whole=False)
        yield root_of(hashes[:middle])
