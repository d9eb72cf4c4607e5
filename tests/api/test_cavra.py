"""CAVRA's own paths: its names, its lenient bodies, and our rules for values."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from cavra_pipeline.lanes import LANES
from tests.api.server import CAVRA, NoDagster, served, token_file
from tests.support import AS_OF, NOW, delivery, home_with, ingested, query, take_in

#: As CAVRA has them, written out: a path that CAVRA lacks can't come from our own table.
PLANS = {
    f"{CAVRA}/recovery-escalations/retry-plan": "recovery_escalation",
    f"{CAVRA}/recovery-escalations/retry-health-alerts/retry-plan": "recovery_health_alert",
    f"{CAVRA}/recovery-executive-report/delivery-retry-plan": "executive_report",
    f"{CAVRA}/recovery-executive-report/delivery-retry-health-alerts/retry-plan": "executive_health_alert",
}
HEALTHS = {
    f"{CAVRA}/recovery-escalations/retry-health": "recovery_escalation",
    f"{CAVRA}/recovery-executive-report/delivery-retry-health": "executive_report",
}
PLAN, HEALTH = next(iter(PLANS)), next(iter(HEALTHS))


def refused(answer: httpx.Response, status: int, where: str | None = None) -> None:
    """The answer is a problem with CAVRA's member and ours, and names the value."""
    document = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert isinstance(document["detail"], str)
    assert {"type", "title", "status", "detail"} <= document.keys()
    if where:
        assert [one["where"] for one in document["errors"]] == [where]


def test_plans_and_health_stand_at_the_paths_of_cavra_and_nowhere_else(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(lane=lane, failed=["slack"]) for lane in {*PLANS.values()}])
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
        for path, lane in PLANS.items():
            answer, ours = client.post(path, json={}), client.post(f"/api/v1/lanes/{lane}/plan", json={})
            document = answer.json()
            assert answer.status_code == 200
            assert document.keys() == {"plan", "metadata", "actor"}
            assert document["plan"]["retry_plan_id"] == ours.json()["plan"]["retry_plan_id"]
            assert document["metadata"]["metadata_kind"].endswith(LANES[lane].kinds.retry_plan)
            assert (document["actor"], document["plan"]["generated_by"]) == (None, "console")
        for path, lane in HEALTHS.items():
            document, ours = client.get(path).json(), client.get(f"/api/v1/lanes/{lane}/health")
            assert document.keys() == {"health", "metadata"}
            assert document["health"]["generated_by"] == "console"
            assert document["health"]["health_id"] == ours.json()["health"]["health_id"]

    is_plan = [path for path in paths if path.startswith(CAVRA) and path.endswith("retry-plan")]
    is_health = [path for path in paths if path.startswith(CAVRA) and path.endswith("retry-health")]
    assert (sorted(is_plan), sorted(is_health)) == (sorted(PLANS), sorted(HEALTHS))


@pytest.mark.parametrize("policy", [None, "fast", 7, True, ["x"], {}])
@pytest.mark.slow
def test_a_policy_that_is_no_object_and_unknown_fields_are_ignored(tmp_path: Path, policy: Any) -> None:
    home = ingested(tmp_path, [delivery(failed=["slack"])])
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        plain = client.post(PLAN, json={}).json()["plan"]
        body = {"retry_policy": policy, "schedule": 5, "actor_claims": {"actor": "somebody"}, "generated_by": None}
        answer = client.post(PLAN, json=body)
        health = client.get(HEALTH, params={"since": "never", "generated_by": ""})

    assert answer.status_code == health.status_code == 200
    assert answer.json()["plan"]["retry_plan_id"] == plain["retry_plan_id"]
    assert (answer.json()["actor"], health.json()["health"]["generated_by"]) == (None, "console")


def test_a_policy_of_an_object_is_judged_by_our_rules(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(AS_OF - timedelta(days=1), failed=["slack"])])
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        once = client.post(PLAN, json={"retry_policy": {"max_retry_attempts": 1}}).json()["plan"]
        twice = client.post(PLAN, json={"retry_policy": {"max_retry_attempts": 2.0}}).json()["plan"]
        for value in (0, 101, "3", 2.5, True):
            answer = client.post(PLAN, json={"retry_policy": {"max_retry_attempts": value}})
            refused(answer, 422, "retry_policy.max_retry_attempts")
        refused(client.post(PLAN, json={"retry_policy": {"max_retries": 3}}), 422, "retry_policy.max_retries")
        refused(client.post(PLAN, json={"generated_by": "a@b.example"}), 422, "generated_by")
        kept = one.service.keeper.kept_count

    assert [one["action"] for one in (*once["retry_decisions"], *twice["retry_decisions"])] == ["suppress", "retry"]
    assert kept == 2


def test_a_body_that_is_missing_or_no_object_is_refused(tmp_path: Path) -> None:
    with served(home_with(tmp_path), dagster=NoDagster()) as one, one.client() as client:
        refused(client.post(PLAN), 422, "body")
        refused(client.post(PLAN, json=[]), 422, "body")
        refused(client.post(PLAN, json="plan"), 422, "body")
        refused(client.post(PLAN, content="{", headers={"Content-Type": "application/json"}), 400)
        refused(client.post(PLAN, content="{}", headers={"Content-Type": "text/plain"}), 415)
        assert one.service.keeper.kept_count == 0


@pytest.mark.parametrize("name", ["expected_interval_minutes", "stale_metadata_minutes"])
def test_minutes_that_are_no_minutes_are_refused(tmp_path: Path, name: str) -> None:
    with served(ingested(tmp_path, [delivery()]), dagster=NoDagster()) as one, one.client() as client:
        for value in ("soon", "0", "525601", "1.5"):
            refused(client.get(HEALTH, params={name: value}), 422, name)
        for value in ("1", "525600"):
            assert client.get(HEALTH, params={name: value}).json()["health"][name] == int(value)


def test_the_name_of_a_token_replaces_the_name_in_a_request(tmp_path: Path) -> None:
    path, tokens = token_file(tmp_path, planner="read plan", reader="read")
    home = ingested(tmp_path, [delivery(failed=["slack"])], api_tokens_file=path)
    with served(home, dagster=NoDagster()) as one:
        with one.client(tokens["planner"]) as client:
            plan = client.post(PLAN, json={"generated_by": "somebody@else.example"}).json()
            health = client.get(HEALTH, params={"generated_by": "somebody-else"}).json()
        with one.client(tokens["reader"]) as client:
            seen = client.get(HEALTH).json()
            refused(client.post(PLAN, json={}), 403)
        with one.client() as client:
            refused(client.get(HEALTH), 401)
        assert one.service.keeper.kept_count == 2
        take_in(home, NOW)

    assert plan["actor"] == {
        "actor": "planner", "subject": "planner", "issuer": "cavra-pipeline", "groups": [], "repository": None,
    }  # fmt: skip
    assert plan["plan"]["generated_by"] == plan["metadata"]["signer"] == "planner"
    assert health["metadata"]["signer"] == "planner"
    assert (seen["metadata"], seen["health"]["generated_by"]) == (None, "reader")
    assert query(home, "SELECT DISTINCT signer FROM evidence WHERE signer <> 'release-governance'") == [("planner",)]


@pytest.mark.slow
def test_a_lane_without_evidence_is_unknown_and_no_failure(tmp_path: Path) -> None:
    with served(home_with(tmp_path), dagster=NoDagster()) as one, one.client() as client:
        lanes = client.get("/api/v1/lanes").json()["lanes"]
        healths = [client.get(f"/api/v1/lanes/{lane}/health") for lane in LANES]

    assert {one.status_code for one in healths} == {200}
    levels = {one["lane"]: one["alert_level"] for one in lanes}
    always = {name for name, lane in LANES.items() if lane.is_always_in_use}
    assert levels.keys() == LANES.keys()
    assert {name for name, level in levels.items() if level != "unknown"} == always


def test_a_body_that_is_nested_too_deeply_is_refused_and_one_that_is_not_is_answered(tmp_path: Path) -> None:
    with served(home_with(tmp_path), dagster=NoDagster()) as one, one.client() as client:

        def status_of(depth: int) -> int:
            body = '{"ignored": ' + "[" * depth + "]" * depth + "}"
            return client.post(PLAN, content=body, headers={"Content-Type": "application/json"}).status_code

        assert [status_of(depth) for depth in (20, 99, 100)] == [200, 200, 422]
        # A Python whose parser of JSON refuses it has another code.
        assert {status_of(2_000), status_of(20_000)} <= {400, 422}
