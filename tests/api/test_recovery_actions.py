"""Opening and closing a recovery under /api/v1, and who is shown to have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.server import NoDagster, served, token_file
from tests.recoveries.stores import ask_recoveries, closure, playbook, routes
from tests.support import NOW, acknowledgement, at, delivery, ingested, query, record

CLOSURES = "/api/v1/recoveries/closures"
SAID = {"playbook_id": "playbook-1", "provider": "slack", "state": "mitigated", "by": "incident-lead"}
SECRET = "ghp_" + "0123456789abcdefghij0123456789abcdef"


def test_a_recovery_is_opened_and_closed_with_a_person_and_a_ticket(tmp_path: Path) -> None:
    failures = [
        delivery(at(minutes), lane="acknowledgement_audit", subject=f"d-{minutes}", failed=["slack"])
        for minutes in (90, 60)
    ]
    home = ingested(tmp_path, failures)
    with served(home, clock=lambda: at(30), dagster=NoDagster()) as one, one.client() as client:
        none = client.post("/api/v1/playbook", json={"min_failure_count": 3})
        opened = client.post("/api/v1/playbook", json={"by": "on-call"}).raise_for_status().json()
        again = client.post("/api/v1/playbook", json={})
        said = {**SAID, "playbook_id": opened["playbook"]["playbook_id"], "external_ref": "OPS-1"}
        closed = client.post(CLOSURES, json=said)
        same = client.post(CLOSURES, json=said)
        (row,) = client.get("/api/v1/recoveries").json()["recoveries"]

    assert (none.json()["playbook"], again.json()["playbook"], opened["playbook"]["signer"]) == (None, None, "on-call")
    assert (closed.status_code, closed.json()["closure"]["closure_state"]) == (201, "mitigated")
    assert (same.status_code, same.json()["closure"]) == (201, None)
    assert (row["slo_status"], row["owner"], row["external_ref"]) == ("closed", "incident-lead", "OPS-1")
    assert query(home, "SELECT count(*) FROM evidence WHERE record_type = 'closure'") == [(1,)]


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"playbook_id": "playbook-2"}, "playbook"),
        ({"provider": "teams"}, "provider"),
        ({"state": "done"}, "state"),
        ({"external_ref": "two words"}, "ref"),
        ({"external_ref": SECRET}, "ref"),
        ({"by": "a@example.com"}, "by"),
        ({"notes": "by hand"}, "notes"),
    ],
)
@pytest.mark.slow
def test_a_value_that_is_not_accepted_is_named_and_nothing_is_written(
    tmp_path: Path, wrong: dict[str, Any], where: str
) -> None:
    home = ingested(tmp_path, [playbook(at(60), "slack")])
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        answer = client.post(CLOSURES, json={**SAID, **wrong})

    assert (answer.status_code, where in answer.json()["errors"][0]["where"]) == (422, True)
    assert SECRET not in answer.text
    assert ask_recoveries(home)["recovery_open_count"] == 1


def test_only_a_token_that_may_acknowledge_opens_and_closes(tmp_path: Path) -> None:
    path, tokens = token_file(tmp_path, reader="read plan", lead="acknowledge read")
    home = ingested(tmp_path, [playbook(at(60), "slack")], api_tokens_file=path)
    said = {name: value for name, value in SAID.items() if name != "by"}

    def asked(client: httpx.Client) -> list[int]:
        return [client.post("/api/v1/playbook", json={}).status_code, client.post(CLOSURES, json=said).status_code]

    with served(home, dagster=NoDagster()) as one:
        with one.client(tokens["reader"]) as client:
            assert asked(client) == [403, 403]
        assert ask_recoveries(home)["recovery_open_count"] == 1
        with one.client(tokens["lead"]) as client:
            assert client.post(CLOSURES, json=SAID).status_code == 403
            assert asked(client) == [201, 201]
    (row,) = ask_recoveries(home, NOW)["recoveries"]
    assert (row["owner"], row["closure_state"]) == ("lead", "mitigated")


def test_the_newest_closure_names_the_owner_and_the_last_ticket_stays(tmp_path: Path) -> None:
    plan = record("recovery-escalation-plan", at(90), plan_id="plan-1", **routes(("playbook-1", "slack")))
    home = ingested(tmp_path, [
        playbook(at(100), "slack", "teams"), plan,
        acknowledgement(at(80), subject="plan-1", provider="webhook", signer="platform-oncall"),
        closure(at(60), "deferred", signer="incident-lead", external_ref="OPS-1"),
        closure(at(30), "escalated", signer="release-manager"),
    ])  # fmt: skip

    def shown(minutes: float) -> dict[str, Any]:
        rows = ask_recoveries(home, at(minutes))["recoveries"]
        return {row["provider"]: (row["owner"], row["external_ref"]) for row in rows}

    nobody = (None, None)
    assert shown(85) == {"slack": nobody, "teams": nobody}
    assert shown(70) == {"slack": ("platform-oncall", None), "teams": nobody}
    assert shown(60) == {"slack": ("incident-lead", "OPS-1"), "teams": nobody}
    assert shown(0) == {"slack": ("release-manager", "OPS-1"), "teams": nobody}


def test_the_overview_names_recoveries_and_what_blocks_the_closure(tmp_path: Path) -> None:
    home = ingested(tmp_path, [playbook(at(241), "slack"), playbook(at(239), "teams", playbook_id="playbook-2")])
    with served(home, clock=lambda: at(0), dagster=NoDagster()) as one, one.client() as client:
        found = client.get("/api/v1/lanes").raise_for_status().json()
        closure_report = client.get("/api/v1/closure").raise_for_status().json()

    assert (found["recoveries"]["recovery_open_count"], found["recoveries"]["recovery_slo_breached_count"]) == (2, 1)
    assert found["closure"] == {
        name: closure_report[name] for name in ("alert_level", "closure_state", "open_item_count")
    }
