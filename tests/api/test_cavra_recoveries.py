"""Recoveries at CAVRA's own paths: the report, a new playbook, a closure."""

from __future__ import annotations

from pathlib import Path

from tests.api.server import CAVRA, NoDagster, served
from tests.api.test_cavra import refused
from tests.recoveries.stores import ask_recoveries, playbook
from tests.support import at, delivery, home_with, ingested, query

REPORT = f"{CAVRA}/retry-recovery-report"
PLAYBOOK = f"{CAVRA}/connector-recovery-playbook"
CLOSURES = f"{CAVRA}/connector-recovery-playbooks/{{}}/closures"
SAID = {"provider": "Slack ", "closed_by": "incident-lead"}
SECRET = "ghp_" + "0123456789abcdefghij0123456789abcdef"


def test_a_recovery_is_opened_reported_and_closed_at_cavra_s_paths(tmp_path: Path) -> None:
    failures = [
        delivery(at(minutes), lane="acknowledgement_audit", subject=f"d-{minutes}", failed=["slack"])
        for minutes in (90, 60)
    ]
    home = ingested(tmp_path, failures)
    with served(home, clock=lambda: at(30), dagster=NoDagster()) as one, one.client() as client:
        opened = client.post(PLAYBOOK, json={"generated_by": "incident-lead", "unknown": 1})
        again = client.post(PLAYBOOK, json={})
        before = client.get(REPORT).json()
        playbook_id = opened.json()["playbook"]["playbook_id"]
        closed = client.post(CLOSURES.format(playbook_id), json={**SAID, "external_ref": "INC-1", "notes": "by hand"})
        after = client.get(REPORT, params={"recovery_slo_minutes": 60}).json()

    assert (opened.status_code, closed.status_code) == (200, 200)
    assert opened.json().keys() == {"playbook", "metadata", "actor"}
    entries = opened.json()["playbook"]["provider_playbooks"]
    assert [(one["provider"], one["failure_count"]) for one in entries] == [("slack", 2)]
    assert (again.status_code, again.json()["playbook"]) == (200, None)
    assert before.keys() == {"report", "metadata"}
    assert (before["report"]["recovery_open_count"], before["report"]["recovery_playbook_provider_count"]) == (1, 1)
    assert [row["generated_at"] for row in before["report"]["recovery_rows"]] == [at(30).isoformat()]
    assert closed.json().keys() == {"closure", "metadata", "actor"}
    assert closed.json()["closure"]["closure_state"] == "resolved"
    assert (after["report"]["recovery_open_count"], after["report"]["recovery_closed_count"]) == (0, 1)
    assert b"by hand" not in b"".join(file.read_bytes() for file in home.landing.rglob("*.jsonl"))


def test_a_closure_of_any_id_is_recorded_as_cavra_does(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        answer = client.post(CLOSURES.format("never-seen"), json={**SAID, "closure_state": "deferred"})

    assert answer.status_code == 200
    assert query(home, "SELECT playbook_id, provider, closure_state, blocked_count FROM evidence") == [
        ("never-seen", "slack", "deferred", 1)
    ]


def test_a_missing_or_wrong_value_of_a_closure_is_a_400_and_nothing_is_written(tmp_path: Path) -> None:
    home = ingested(tmp_path, [playbook(at(60), "slack", playbook_id="p-1")])
    path = CLOSURES.format("p-1")
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        for name in SAID:
            refused(client.post(path, json={key: SAID[key] for key in SAID if key != name}), 400, name)
            refused(client.post(path, json={**SAID, name: SECRET}), 400, name)
        refused(client.post(path, json={**SAID, "closure_state": "maybe"}), 400, "closure_state")
        refused(client.post(path, json={**SAID, "external_ref": "two words"}), 400, "external_ref")
        refused(client.post(CLOSURES.format(SECRET), json=SAID), 400, "playbook_id")
        assert client.post(path, json=[]).status_code == 422
        assert client.get(REPORT, params={"recovery_slo_minutes": "soon"}).status_code == 422
        assert client.post(PLAYBOOK, json={"lookback_hours": 0}).status_code == 422

    assert ask_recoveries(home)["recovery_open_count"] == 1
