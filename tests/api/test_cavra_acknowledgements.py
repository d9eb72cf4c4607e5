"""Acknowledgements at CAVRA's own paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.server import CAVRA, NoDagster, served, token_file
from tests.api.test_cavra import refused
from tests.support import NOW, ask_health, at, delivery, home_with, ingested, query

#: As CAVRA has them, written out.
PATHS = {
    f"{CAVRA}/recovery-escalations/{{}}/acknowledgements": ("recovery_escalation", "plan_id"),
    f"{CAVRA}/recovery-escalations/retry-health-alerts/{{}}/acknowledgements": ("recovery_health_alert", "health_id"),
    f"{CAVRA}/recovery-executive-report/delivery-retry-health-alerts/{{}}/acknowledgements": (
        "executive_health_alert", "health_id",
    ),
}  # fmt: skip
FIRST = next(iter(PATHS)).format("subject-1")
SAID = {"provider": "Slack ", "acknowledged_by": "incident-lead"}
SECRET = "ghp_" + "0123456789abcdefghij0123456789abcdef"


@pytest.mark.parametrize("path", PATHS)
def test_an_acknowledgement_of_any_id_is_recorded_in_its_lane(tmp_path: Path, path: str) -> None:
    lane, field = PATHS[path]
    home = home_with(tmp_path)
    body = {**SAID, "external_ref": "INC-1042", "notes": "call me", "escalation_reason": "loud", "plan_id": "p-9"}
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        answer = client.post(path.format("never-seen"), json=body)

    document = answer.json()
    assert answer.status_code == 200
    assert document.keys() == {"acknowledgement", "metadata", "actor"}
    said, record = document["acknowledgement"], document["metadata"]
    assert (said[field], said["provider"], said["acknowledgement_state"]) == ("never-seen", "slack", "acknowledged")
    assert (said["acknowledged_by"], said["external_ref"], document["actor"]) == ("incident-lead", "INC-1042", None)
    assert said["acknowledgement_id"] == record["acknowledgement_id"]
    assert query(home, "SELECT session_id, lane, subject, external_ref FROM evidence") == [
        (record["session_id"], lane, "never-seen", "INC-1042")
    ]
    written = b"".join(file.read_bytes() for file in home.landing.rglob("*.jsonl"))
    assert b"call me" not in written
    assert b"loud" not in written


def test_an_acknowledgement_closes_the_gap_of_its_pair(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(at(60), failed=["slack"])])
    with served(home, clock=lambda: at(30), dagster=NoDagster()) as one, one.client() as client:
        client.post(FIRST, json={**SAID, "acknowledgement_state": "dismissed"}).raise_for_status()
        before = ask_health(home)["acknowledgement_pending_count"]
        client.post(FIRST, json=SAID).raise_for_status()
    after = ask_health(home)["acknowledgement_pending_count"]

    assert (before, after) == (1, 0)


def test_a_missing_or_wrong_value_is_a_400_and_nothing_is_written(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    alert = list(PATHS)[1].format("health-1")
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        for name in SAID:
            refused(client.post(FIRST, json={key: SAID[key] for key in SAID if key != name}), 400, name)
            refused(client.post(FIRST, json={**SAID, name: " "}), 400, name)
            refused(client.post(FIRST, json={**SAID, name: SECRET}), 400, name)
        refused(client.post(FIRST, json={**SAID, "acknowledgement_state": "maybe"}), 400, "acknowledgement_state")
        refused(client.post(alert, json={**SAID, "acknowledgement_state": "deferred"}), 400, "acknowledgement_state")
        refused(client.post(FIRST, json={**SAID, "external_ref": "two words"}), 400, "external_ref")
        refused(client.post(FIRST, json={**SAID, "external_ref": SECRET}), 400, "external_ref")
        refused(client.post(FIRST.replace("subject-1", SECRET), json=SAID), 400, "plan_id")
        refused(client.post(FIRST, json={**SAID, "provider": 7}), 422, "provider")
        refused(client.post(FIRST), 422, "body")

    assert not list(home.landing.rglob("*.jsonl"))


def test_with_a_token_its_name_acknowledges(tmp_path: Path) -> None:
    path, tokens = token_file(tmp_path, operator="acknowledge", reader="read plan")
    home = home_with(tmp_path, api_tokens_file=path)
    with served(home, clock=lambda: NOW, dagster=NoDagster()) as one:
        with one.client(tokens["operator"]) as client:
            document = client.post(FIRST, json=SAID).json()
            unnamed = client.post(FIRST, json={"provider": "slack"}).json()
        with one.client(tokens["reader"]) as client:
            refused(client.post(FIRST, json=SAID), 403)
        with one.client() as client:
            refused(client.post(FIRST, json=SAID), 401)

    assert document["actor"]["actor"] == document["acknowledgement"]["acknowledged_by"] == "operator"
    assert unnamed["metadata"]["signer"] == "operator"
    assert query(home, "SELECT DISTINCT signer FROM acknowledgements") == [("operator",)]
