"""Our DSSE envelopes, verified by an implementation of the specification that is not ours (``securesystemslib``)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Key, Signature, SSlibKey  # type: ignore[attr-defined]

from cavra_pipeline.lanes import LANES
from cavra_pipeline.proof.keys import new_key
from cavra_pipeline.settings import Settings
from cavra_pipeline.verify import pairs
from cavra_pipeline.verify.container import unpack
from cavra_pipeline.verify.prove_pair import prove_pair
from cavra_pipeline.verify.signatures import PAYLOAD_TYPE, exact_base64, public_key
from tests.support import AS_OF, ask_plan, at, delivery, ingested
from tests.verify.bundles import KEY, Log, bundle_of

pytestmark = pytest.mark.slow

END = datetime(2026, 11, 24, 20, tzinfo=UTC)


def key_of(key: Ed25519PrivateKey, keyid: str) -> Key:
    """A public key as the other implementation has it."""
    return SSlibKey(keyid, "ed25519", "ed25519", {"public": key.public_key().public_bytes_raw().hex()})


@pytest.fixture
def attestation(month: Settings, month_log: Log) -> dict[str, Any]:
    bundle = bundle_of(month_log, ask_plan(month, "executive_report", END))
    found: dict[str, Any] = json.loads(unpack(bundle)["attestation.json"])
    return found


def test_another_implementation_verifies_the_attestation_of_a_bundle(attestation: dict[str, Any]) -> None:
    keyid = attestation["signatures"][0]["keyid"]
    envelope = Envelope.from_dict(attestation)

    assert envelope.payload_type == PAYLOAD_TYPE
    assert json.loads(envelope.payload)["_type"] == "https://in-toto.io/Statement/v1"
    assert set(envelope.verify([key_of(KEY, keyid)], 1)) == {keyid}


def test_another_implementation_refuses_what_ours_refuses(attestation: dict[str, Any]) -> None:
    keyid = attestation["signatures"][0]["keyid"]
    envelope, key = Envelope.from_dict(attestation), key_of(KEY, keyid)
    changed = bytes([envelope.payload[0] ^ 1]) + envelope.payload[1:]
    stranger = key_of(Ed25519PrivateKey.from_private_bytes(bytes(32)), keyid)

    for false, by in (
        (Envelope(changed, envelope.payload_type, envelope.signatures), key),
        (Envelope(envelope.payload, "application/json", envelope.signatures), key),
        (envelope, stranger),
    ):
        with pytest.raises(VerificationError):
            false.verify([by], 1)


def test_another_implementation_verifies_a_light_proof(tmp_path: Path) -> None:
    new_key(tmp_path / "signing.pem")
    home = ingested(tmp_path, [delivery(at(60), failed=["slack"])])
    signed = home.but(signing_key_file=tmp_path / "signing.pem")
    proof = json.loads(prove_pair(signed, LANES["recovery_escalation"], "subject-1", "slack", as_of=AS_OF))
    ours = public_key(proof["key"], proof["checkpoint"].split("\n")[0])
    key = SSlibKey("ours", "ed25519", "ed25519", {"public": ours.raw.hex()})
    made = {"ours": Signature("ours", exact_base64(proof["signature"]).hex())}

    envelope = Envelope(pairs.content_of(proof), pairs.SIGNED_TYPE, made)
    assert set(envelope.verify([key], 1)) == {"ours"}
    with pytest.raises(VerificationError):
        Envelope(pairs.content_of(proof) + b" ", pairs.SIGNED_TYPE, made).verify([key], 1)
