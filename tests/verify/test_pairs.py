"""Light proofs of one pair: its whole history or none, by any bundle's verifier, and no lie about it."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cavra_pipeline.cli import cli
from cavra_pipeline.documents import canonical_bytes
from cavra_pipeline.errors import PipelineError, TransientError, UsageError
from cavra_pipeline.lanes import LANES
from cavra_pipeline.proof.keys import load_key, new_key
from cavra_pipeline.proof.log import append_map, entries_of, log_mark
from cavra_pipeline.proof.merkle import inclusion_proof, leaf_hash, root_of
from cavra_pipeline.proof.publish import publish
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.verify import home as verify_home_module
from cavra_pipeline.verify import pairs
from cavra_pipeline.verify import prove_pair as proving
from cavra_pipeline.verify.check import judged
from cavra_pipeline.verify.container import NotProven, unpack
from cavra_pipeline.verify.differences import Part
from cavra_pipeline.verify.home import verify_home
from cavra_pipeline.verify.pairs import PairMap, content_of, inclusion_root, map_root, place_hash
from cavra_pipeline.verify.prove import prove_report
from cavra_pipeline.verify.prove_pair import prove_pair
from tests.support import AS_OF, NOW, Record, acknowledgement, at, delivery, drop, execution, ingested, take_in
from tests.verify.bundles import RULES, fault_of

pytestmark = pytest.mark.slow

LANE = LANES["recovery_escalation"]
DAY = 24 * 60


def evidence() -> list[Record]:
    """A pair that is exhausted, one that was delivered, one that was acknowledged, and others."""
    return [
        *(delivery(at(3 * DAY - n), subject="exhausted", failed=["jira"], session_id=f"e-{n}") for n in range(3)),
        delivery(at(DAY), subject="delivered", failed=["slack"], session_id="d-1"),
        delivery(at(DAY - 30), subject="delivered", session_id="d-2"),
        delivery(at(60), subject="answered", failed=["slack"], session_id="a-1"),
        acknowledgement(at(50), subject="answered", provider="slack", session_id="a-2"),
        *(delivery(at(40), subject=f"other-{n}", failed=["teams"], session_id=f"o-{n}") for n in range(40)),
    ]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("pairs")
    new_key(folder / "signing.pem")
    return ingested(folder, evidence(), signing_key_file=folder / "signing.pem")


def proof(home: Settings, subject: str, provider: str, as_of: datetime = AS_OF) -> bytes:
    return prove_pair(home, LANE, subject, provider, as_of=as_of)


def signed(home: Settings, document: Record) -> bytes:
    """The document as the holder of the key would sign it."""
    from hashlib import sha256

    from cavra_pipeline.verify.pairs import SIGNED_TYPE
    from cavra_pipeline.verify.signatures import to_sign

    assert home.signing_key_file
    content = content_of(document)
    made = load_key(home.signing_key_file).sign(to_sign(content, SIGNED_TYPE))
    beside = {"sha256": sha256(content).hexdigest(), "signature": base64.b64encode(made).decode()}
    return canonical_bytes({**document, **beside}) + b"\n"


@pytest.mark.parametrize(("subject", "provider", "said"), [
    ("exhausted", "Jira", {"action": "suppress", "failure_count": 3, "is_delivered": False, "is_acknowledged": False}),
    ("delivered", "slack", {"action": None, "failure_count": 1, "is_delivered": True, "delivery_count": 2}),
    ("answered", "slack", {"action": "retry", "is_acknowledged": True, "acknowledgement_state": "acknowledged"}),
    ("exhausted", "slack", {"action": None, "failure_count": 0, "is_delivered": False, "delivery_count": 0}),
    ("never", "slack", {"delivery_count": 0, "is_acknowledged": False}),
])  # fmt: skip
def test_the_state_of_a_pair_is_proven_in_few_bytes(
    home: Settings, subject: str, provider: str, said: dict[str, Any]
) -> None:
    made = proof(home, subject, provider)
    state = json.loads(made)["state"]
    began = time.process_time()

    assert fault_of(made) == ""
    assert time.process_time() - began < 1
    assert len(made) < 20_000
    assert {name: state[name] for name in said} == said


def test_a_map_is_logged_once_and_again_when_the_lane_has_changed(tmp_path: Path) -> None:
    home = ingested(tmp_path, evidence())
    first, second = proof(home, "delivered", "slack"), proof(home, "exhausted", "jira")
    assert publish(home)[0].checkpoint.size == json.loads(json.loads(first)["entry"])["number"] == 2
    assert json.loads(first)["checkpoint"] == json.loads(second)["checkpoint"]

    drop(home, [delivery(at(5), subject="exhausted", failed=["jira"], session_id="late")], name="late.jsonl")
    take_in(home)
    third = proof(home, "exhausted", "jira")
    assert json.loads(json.loads(third)["entry"])["number"] == 4
    assert (fault_of(first), fault_of(second), fault_of(third)) == ("", "", "")
    assert verify_home(home, now=NOW).differences == []


def test_a_map_of_unchanged_records_is_logged_again_after_other_entries(tmp_path: Path) -> None:
    home = ingested(tmp_path, evidence())
    first = json.loads(json.loads(proof(home, "delivered", "slack"))["entry"])
    drop(home, [delivery(at(5), lane="executive_report", session_id="other")], name="other.jsonl")
    take_in(home)
    made = proof(home, "delivered", "slack")
    second = json.loads(json.loads(made)["entry"])

    assert (first["number"], second["number"], fault_of(made)) == (2, 4, "")
    assert first["map"] == second["map"]


def test_a_map_that_is_not_the_newest_entry_proves_nothing(tmp_path: Path) -> None:
    new_key(tmp_path / "signing.pem")
    home = ingested(tmp_path, evidence(), signing_key_file=tmp_path / "signing.pem")
    document = json.loads(proof(home, "answered", "slack"))
    assert fault_of(signed(home, document)) == ""

    late = acknowledgement(at(5), subject="answered", state="dismissed", session_id="late")
    drop(home, [late], name="late.jsonl")
    take_in(home)
    with state_of(home).reading() as connection:
        leaves = [leaf_hash(entry) for entry in entries_of(connection)]
    document |= {
        "entry_path": [one.hex() for one in inclusion_proof(leaves, 1)],
        "first_path": [one.hex() for one in [leaves[0], *inclusion_proof(leaves, 0)]],
        "checkpoint": publish(home)[0].text,
    }
    outdated = "log: the map is not its newest entry, so the lane may have changed since"
    assert fault_of(signed(home, document)) == outdated
    assert json.loads(proof(home, "answered", "slack"))["state"]["acknowledgement_state"] == "dismissed"


def meanwhile(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, act: Callable[[], object]) -> None:
    """Does something once, the next time that a function is called, before it is."""
    true, acts = getattr(where, name), [act]

    def called(*given: Any, **named: Any) -> Any:
        if acts:
            acts.pop()()
        return true(*given, **named)

    monkeypatch.setattr(where, name, called)


def test_two_proofs_at_once_both_hold_and_evidence_between_ends_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = ingested(tmp_path, evidence())
    made: list[bytes] = []
    other = LANES["executive_report"]
    meanwhile(
        monkeypatch, proving, "document_of", lambda: made.append(prove_pair(home, other, "none", "slack", as_of=AS_OF))
    )
    made.append(proof(home, "answered", "slack"))
    assert [json.loads(json.loads(one)["entry"])["number"] for one in made] == [2, 3]
    assert [fault_of(one) for one in made] == ["", ""]

    def commit() -> None:
        drop(home, [delivery(at(5), session_id="late")], name="late.jsonl")
        take_in(home)

    meanwhile(monkeypatch, proving, "document_of", commit)
    with pytest.raises(TransientError, match="committed meanwhile"):
        proof(home, "answered", "slack")
    assert publish(home)[0].checkpoint.size == 4, "no map of the evidence before was logged"


def test_a_proof_during_a_verification_ends_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = ingested(tmp_path, evidence())
    made: list[bytes] = []
    meanwhile(monkeypatch, verify_home_module, "derive", lambda: made.append(proof(home, "answered", "slack")))

    assert verify_home(home, now=NOW).differences == []
    assert [fault_of(one) for one in made] == [""]


@pytest.mark.parametrize(("false", "what"), [
    ({"root": "0" * 64}, "its map is not that of the lane's evidence: root"),
    ({"pair_count": 7, "pruned_record_count": 1}, "its map is not that of the lane's evidence: pair_count, "
     "pruned_record_count"),
    ({"note": "kept"}, "the entry is no map of a lane's pairs, or says more than that"),
    ({"pair_count": True}, "the entry is no map of a lane's pairs, or says more than that"),
])  # fmt: skip
def test_a_false_map_in_the_log_is_a_difference_of_the_home(tmp_path: Path, false: Record, what: str) -> None:
    home = ingested(tmp_path, evidence())
    proof(home, "answered", "slack")
    assert verify_home(home, now=NOW).differences == []

    with state_of(home).writing() as connection:
        true = json.loads(list(entries_of(connection))[-1])["map"]
        assert append_map(connection, {**true, **false}, read_mark=log_mark(connection), at=NOW)
    found = verify_home(home, now=NOW).differences
    assert what in {one.what for one in found}
    assert {(one.part, one.number) for one in found} == {(Part.COMMIT_LOG, 3)}

    drop(home, [delivery(at(5), session_id="late")], name="late.jsonl")
    take_in(home)
    left = {one.what for one in verify_home(home, now=NOW).differences}
    assert left == ({what} if what.startswith("the entry") else set()), "no map before a change can be made again"


def salt_of(bundle: bytes) -> str:
    payload = json.loads(base64.b64decode(json.loads(unpack(bundle)["attestation.json"])["payload"]))
    return str(payload["predicate"]["map_salt"])


def test_a_bundle_discloses_the_salt_only_where_it_checks_a_map(tmp_path: Path) -> None:
    home = ingested(tmp_path, evidence())

    def bundle(as_of: datetime = AS_OF) -> bytes:
        return prove_report(home, "retry_plan", LANE, as_of=as_of, now=NOW)

    assert salt_of(bundle()) == "", "there is no map"
    proof(home, "answered", "slack")
    assert salt_of(bundle()) != ""
    assert salt_of(bundle(at(DAY))) == "", "the last day is left out"
    drop(home, [delivery(at(5), session_id="late")], name="late.jsonl")
    take_in(home)
    late = bundle()
    assert (salt_of(late), fault_of(late)) == ("", ""), "the lane has changed since"


def test_the_subject_of_a_retry_is_refused_and_the_first_one_named(tmp_path: Path) -> None:
    lane = LANES["acknowledgement_audit"]
    link = {"delivery_metadata_id": "d-2"}
    home = ingested(tmp_path, [
        delivery(at(60), lane=lane.name, subject="first", failed=["slack", "jira"], session_id="d-1"),
        execution(at(30), lane=lane.name, subject="first", status="delivered", retry_execution_record=link),
        delivery(at(30), lane=lane.name, subject="retry", providers=["slack"], session_id="d-2"),
    ])  # fmt: skip
    with pytest.raises(UsageError, match="first subject of the chain: first") as refused:
        prove_pair(home, lane, "retry", "Slack", as_of=AS_OF)

    assert refused.value.where == "retry, slack"
    assert publish(home)[0].checkpoint.size == 1, "nothing was logged"
    assert json.loads(prove_pair(home, lane, "first", "slack", as_of=AS_OF))["state"]["is_delivered"] is True
    assert json.loads(prove_pair(home, lane, "retry", "jira", as_of=AS_OF))["state"]["delivery_count"] == 0


def test_a_bundle_of_the_lane_shows_that_the_map_is_of_all_its_records(
    home: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    proof(home, "answered", "slack")
    held, fault = judged(prove_report(home, "retry_plan", LANE, as_of=AS_OF, now=NOW), RULES)
    assert (fault, dict(held)["map"]) == ("", "entry 2: light proofs by it are of these records")

    liar = ingested(tmp_path, evidence())
    with monkeypatch.context() as patched:
        patched.setattr(pairs, "TYPES", ("delivery", "execution"))
        light = proof(liar, "answered", "slack")
        assert json.loads(light)["state"]["is_acknowledged"] is False
    assert fault_of(light) == "", "a light proof alone can't show it"
    with pytest.raises(PipelineError, match="the map of entry 2 is not that of the records"):
        prove_report(liar, "retry_plan", LANE, as_of=AS_OF, now=NOW)


def test_a_pair_with_newer_records_is_not_proven_as_of_an_older_instant(home: Settings) -> None:
    with pytest.raises(UsageError, match="the delivery has newer records"):
        proof(home, "answered", "slack", at(55))
    assert fault_of(proof(home, "answered", "slack", at(50))) == ""


def test_a_changed_bit_anywhere_in_a_light_proof_is_found(home: Settings, tmp_path: Path) -> None:
    unsigned = ingested(tmp_path, evidence())
    for made in (proof(home, "answered", "slack"), proof(unsigned, "never", "slack")):
        chosen = random.Random(4)
        bits = [chosen.randrange(8 * (len(made) - 1)) for _ in range(60)]
        flips = [made[: bit // 8] + bytes([made[bit // 8] ^ 1 << bit % 8]) + made[bit // 8 + 1 :] for bit in bits]
        assert [bit for bit, flip in zip(bits, flips, strict=True) if not fault_of(flip)] == []


def leave_out(document: Record) -> None:
    document["records"] = document["records"][:-1]


def leave_all_out(document: Record) -> None:
    document.update(records=[], salt="")


def say_delivered(document: Record) -> None:
    document["state"] = {**document["state"], "is_delivered": True}


def say_another(document: Record) -> None:
    document["provider"] = "teams"


@pytest.mark.parametrize(("lie", "fault"), [
    (leave_out, "pair: its history is not that of the map"),
    (leave_all_out, "pair: its history is not that of the map"),
    (say_delivered, "state: the records say otherwise"),
    (say_another, "pair: its history is not that of the map"),
])  # fmt: skip
def test_a_lie_that_the_holder_of_the_key_signs_is_found(
    home: Settings, lie: Callable[[Record], None], fault: str
) -> None:
    document = json.loads(proof(home, "answered", "slack"))
    lie(document)

    assert fault_of(signed(home, document)) == fault


def test_a_light_proof_is_held_against_a_key_and_a_checkpoint(home: Settings, tmp_path: Path) -> None:
    made, other = proof(home, "answered", "slack"), new_key(tmp_path / "other.pem").hex()
    assert fault_of(made, key=json.loads(made)["key"], against=publish(home)[0].text) == ""
    assert fault_of(made, key=other).startswith("signature: ")


def test_the_verifier_of_a_bundle_checks_a_light_proof(home: Settings, tmp_path: Path) -> None:
    bundle, light = tmp_path / "plan.zip", tmp_path / "pair.json"
    bundle.write_bytes(prove_report(home, "retry_plan", LANE, as_of=AS_OF, now=NOW))
    light.write_bytes(proof(home, "exhausted", "jira"))
    done = subprocess.run(
        [sys.executable, "-I", str(bundle), str(light)], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "exhausted; 3 of 3 attempts failed; not acknowledged" in done.stdout


def test_prove_writes_a_light_proof_that_verify_accepts(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAVRA_HOME", str(home.home))
    path = tmp_path / "pair.json"
    pair = ["--subject", "delivered", "--provider", "slack"]
    done = CliRunner().invoke(cli, ["prove", "--lane", LANE.name, *pair, "--as-of", AS_OF.isoformat(), "-o", str(path)])

    assert done.exit_code == 0, done.output
    assert done.output.startswith("delivered; 1 of 2 attempts failed")
    assert CliRunner().invoke(cli, ["verify", str(path)]).exit_code == 0
    for refused in ([], pair[:2], [*pair, "--report", "plan"], [*pair, "--max-retry-attempts", "3"]):
        assert isinstance(CliRunner().invoke(cli, ["prove", "--lane", LANE.name, *refused]).exception, UsageError)


def test_a_map_proves_each_place_and_each_absence_in_it() -> None:
    chosen = random.Random(5)
    for size in (0, 1, 2, 3, 50):
        made = PairMap(sorted(chosen.randbytes(64) for _ in range(size)))
        places = [entry[:32] for entry in made.entries]
        for key in [*places, *(chosen.randbytes(32) for _ in range(20))]:
            beside, end = made.path(key)
            assert map_root(key, beside, place_hash(end) if end else bytes(32)) == made.root()
            assert (end is not None and end.startswith(key)) is (key in places)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13])
def test_an_entry_is_in_the_log_at_its_place_alone(size: int) -> None:
    hashes = [leaf_hash(bytes([n])) for n in range(size)]
    for number in range(size):
        path = inclusion_proof(hashes, number)
        assert inclusion_root(number, size, hashes[number], path) == root_of(hashes)
        assert all(inclusion_root(number, size, hashes[n], path) != root_of(hashes) for n in range(size) if n != number)
        with pytest.raises(NotProven):
            inclusion_root(number, size, hashes[number], [*path, bytes(32)])
    with pytest.raises(IndexError):
        inclusion_proof(hashes, size)
