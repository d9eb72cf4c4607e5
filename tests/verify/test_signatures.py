"""Ed25519 in plain Python: the vectors of RFC 8032, another implementation, and what is refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cavra_pipeline.verify.signatures import BASE, D, L, P, is_signed, to_sign

#: RFC 8032, section 7.1: public key, message, signature.
VECTORS = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc_hold_and_no_other_message(key: str, message: str, signature: str) -> None:
    raw, said, made = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)

    assert is_signed(raw, said, made)
    assert not is_signed(raw, said + b"\0", made)


def test_signatures_of_another_implementation_hold() -> None:
    for number in range(5):
        key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        message = to_sign(bytes(range(number * 20)))
        signature = key.sign(message)

        assert is_signed(key.public_key().public_bytes_raw(), message, signature)
        assert not is_signed(Ed25519PrivateKey.from_private_bytes(bytes([99]) * 32).public_key().public_bytes_raw(),
                             message, signature)  # fmt: skip


def test_a_second_form_of_a_signature_is_refused() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    public, signature = key.public_key().public_bytes_raw(), key.sign(b"a message")
    scalar = int.from_bytes(signature[32:], "little")

    assert is_signed(public, b"a message", signature)
    assert not is_signed(public, b"a message", signature[:32] + (scalar + L).to_bytes(32, "little"))
    assert not is_signed(public, b"a message", signature + b"\0")
    assert not is_signed(public[:31], b"a message", signature)


@pytest.mark.parametrize(
    "point", [P.to_bytes(32, "little"), (2**255 + 1).to_bytes(32, "little"), (2).to_bytes(32, "little")]
)
def test_a_key_that_is_no_point_signs_nothing(point: bytes) -> None:
    """The first is not reduced, the second has a sign and x = 0, the third is on no curve."""
    signature = Ed25519PrivateKey.from_private_bytes(bytes(32)).sign(b"")

    assert not is_signed(point, b"", signature)


def test_the_base_point_is_on_the_curve() -> None:
    x, y = BASE

    assert (y * y - x * x - 1 - D * x * x * y * y) % P == 0
