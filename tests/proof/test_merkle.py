"""The tree against the vectors of RFC 6962's reference implementation, the drawing of RFC 9162, and the definition."""

from __future__ import annotations

from hashlib import sha256

import pytest

from cavra_pipeline.proof.merkle import (
    EMPTY_ROOT,
    Peaks,
    consistency_proof,
    leaf_hash,
    node_hash,
    root_of,
)
from tests.proof.notes import is_consistent

LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SIZES = range(1, 33)


def hashes(size: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(size)]


def defined_root(leaves: list[bytes]) -> bytes:
    """The definition of section 2.1, word for word: split at the largest power of two below the size."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + defined_root(leaves[:split]) + defined_root(leaves[split:])).digest()


def test_roots_are_those_of_the_reference_implementation() -> None:
    known = [leaf_hash(leaf) for leaf in LEAVES]

    assert [root_of(known[:size]).hex() for size in range(len(LEAVES) + 1)] == ROOTS
    assert EMPTY_ROOT.hex() == ROOTS[0]


def test_roots_are_those_of_the_definition_and_of_a_tree_that_grows_by_one_leaf() -> None:
    leaves = [str(number).encode() for number in range(70)]
    growing = Peaks()
    for size in range(71):
        assert root_of([leaf_hash(leaf) for leaf in leaves[:size]]) == defined_root(leaves[:size])
        assert growing.root == defined_root(leaves[:size])
        assert Peaks(growing.size, growing.hashes).root == growing.root
        if size < 70:
            growing.append(leaf_hash(leaves[size]))


def test_peaks_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="1 peaks for 3 leaves"):
        Peaks(3, [EMPTY_ROOT])


def test_proofs_are_those_of_the_drawing_in_rfc_9162() -> None:
    a, b, c, d, e, f, j = hashes(7)
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, m = node_hash(g, h), node_hash(i, j)
    tree = [a, b, c, d, e, f, j]

    assert root_of(tree) == node_hash(k, m)
    assert consistency_proof(tree, 3) == [c, d, g, m]
    assert consistency_proof(tree, 4) == [m]
    assert consistency_proof(tree, 6) == [i, j, k]
    assert consistency_proof(tree, 7) == []


def test_every_consistency_proof_holds_for_its_two_trees_only() -> None:
    for size in SIZES:
        tree = hashes(size)
        root = root_of(tree)
        for old in range(1, size + 1):
            proof, old_root = consistency_proof(tree, old), root_of(tree[:old])
            other = root_of([*tree[: old - 1], leaf_hash(b"another")])
            assert is_consistent(old, old_root, size, root, proof)
            assert not is_consistent(old, other, size, root, proof)
            assert not is_consistent(old, old_root, size, EMPTY_ROOT, proof)
            assert not is_consistent(old, old_root, size, root, [*proof, root])
            if proof:
                assert not is_consistent(old, old_root, size, root, proof[:-1])
            assert not is_consistent(size + 1, root, size, root, proof)


def test_proofs_of_what_a_tree_does_not_have_are_refused() -> None:
    tree = hashes(3)

    for old in (0, 4):
        with pytest.raises(IndexError):
            consistency_proof(tree, old)
    assert not is_consistent(0, EMPTY_ROOT, 3, root_of(tree), [])
