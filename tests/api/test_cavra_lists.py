"""Records at CAVRA's own paths: evidence, drill notifications, histories and dashboards of alerts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.boundary.kinds import DELIVERY_KIND, KIND_PREFIX, PACKAGE_KIND
from cavra_pipeline.connectors.sources import SecretSource
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.alert_dashboard import AlertSource, alert_dashboard
from cavra_pipeline.sources import Source, pull
from tests.api.server import CAVRA, NoDagster, Served, served, token_file
from tests.api.test_cavra import refused
from tests.oracle.store import expected, lines, needs_store
from tests.support import (
    AS_OF,
    MICROSECOND,
    NOW,
    acknowledgement,
    at,
    delivery,
    execution,
    home_with,
    ingested,
    plan,
    query,
    record,
    take_in,
    worker_run,
)

pytestmark = pytest.mark.slow

NOTIFICATIONS = CAVRA.removesuffix("/acknowledgements/audit-delivery")
ALERTS = f"{CAVRA}/recovery-escalations/retry-health-alerts"
EXECUTIVE = f"{CAVRA}/recovery-executive-report/delivery-retry-health-alerts"
RECOVERY_LANE, EXECUTIVE_LANE = "recovery_health_alert", "executive_health_alert"


def ids(document: dict[str, Any]) -> list[str]:
    return [one["session_id"] for one in document["items"]]


def alert_plan(lane: str, when: datetime, session_id: str, **fields: Any) -> dict[str, Any]:
    return record(f"{LANES[lane].kind_stem}-plan", when, session_id, **{"plan_id": session_id, **fields})


EVIDENCE = [
    record("x-agent-session", at(4), "agent-1", signer="agent", metadata_kind=None, blocked_count=2),
    delivery(at(3), session_id="b-2", failed=["slack"], blocked_count=1),
    delivery(at(3), session_id="b-1", decision_count=1, approval_required_count=1),
    record("retry-execution-approval-decision", at(2), "approval/1", approval_state="approved", signer="lead"),
    delivery(at(1), session_id="other", connector_delivery_source="some_other_source"),
]
NEWEST_FIRST = ["other", "approval/1", "b-1", "b-2", "agent-1"]


@pytest.fixture
def evidence(tmp_path: Path) -> Iterator[Served]:
    with served(ingested(tmp_path, EVIDENCE), dagster=NoDagster()) as one:
        yield one


def test_evidence_comes_newest_first_and_equal_instants_by_id(evidence: Served) -> None:
    with evidence.client() as client:
        whole = client.get("/evidence").json()
        pages = [client.get("/evidence", params={"limit": 2, "offset": offset}).json() for offset in (0, 2, 4, 6)]

    assert whole.keys() == {"items", "total", "limit", "offset"}
    assert (ids(whole), whole["total"], whole["limit"], whole["offset"]) == (NEWEST_FIRST, 5, 50, 0)
    assert [ids(page) for page in pages] == [NEWEST_FIRST[:2], NEWEST_FIRST[2:4], NEWEST_FIRST[4:], []]
    assert {page["total"] for page in pages} == {5}
    assert whole["items"][3]["failed_providers"] == ["slack"]
    assert "metadata_kind" not in whole["items"][4]


@pytest.mark.parametrize(
    ("asked", "used"),
    [(-1, 1), (0, 1), (1, 1), (500, 500), (501, 500), (10**30, 500)],
)
def test_a_limit_is_cut_and_the_answer_says_to_what(evidence: Served, asked: int, used: int) -> None:
    with evidence.client() as client:
        for path in ("/evidence", NOTIFICATIONS, ALERTS):
            assert client.get(path, params={"limit": asked}).json()["limit"] == used


@pytest.mark.parametrize(("asked", "used"), [(-1, 0), (0, 0), (10**30, 2**62)])
def test_an_offset_is_cut_and_the_answer_says_to_what(evidence: Served, asked: int, used: int) -> None:
    with evidence.client() as client:
        document = client.get("/evidence", params={"offset": asked}).json()

    assert (document["offset"], document["total"], len(document["items"])) == (used, 5, 0 if used else 5)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"session_id": "b-"}, ["b-1", "b-2"]),
        ({"session_id": "-1"}, ["b-1", "agent-1"]),
        ({"session_id": "%"}, []),
        ({"signer": "lead"}, ["approval/1"]),
        ({"signer": "lea"}, []),
        ({"signer": ""}, NEWEST_FIRST),
        ({"min_blocked": 0}, NEWEST_FIRST),
        ({"min_blocked": 1}, ["b-2", "agent-1"]),
        ({"min_blocked": 2}, ["agent-1"]),
        ({"min_blocked": 10**30}, []),
        ({"has_approvals": "true"}, ["b-1"]),
        ({"has_approvals": "false"}, ["other", "approval/1", "b-2", "agent-1"]),
        ({"metadata_kind": DELIVERY_KIND}, ["other", "b-1", "b-2"]),
        ({"metadata_kind": "release"}, []),
        ({"approval_state": "approved"}, ["approval/1"]),
        ({"approval_state": "denied"}, []),
        ({"environment": "production"}, []),
        (
            {
                "rollout_status": "x",
                "environment": "x",
                "deployment_target": "x",
                "target_ring": "x",
                "promotion_execution_status": "x",
                "rollback_execution_status": "x",
            },
            [],
        ),
        ({"environment": "", "target_ring": ""}, NEWEST_FIRST),
        ({"metadata_kind": DELIVERY_KIND, "has_approvals": "true"}, ["b-1"]),
        ({"since": "yesterday"}, NEWEST_FIRST),
    ],
)
def test_filters_of_evidence_pass_what_they_name_and_nothing_else(
    evidence: Served, asked: dict[str, Any], found: list[str]
) -> None:
    with evidence.client() as client:
        document = client.get("/evidence", params=asked).json()

    assert (ids(document), document["total"]) == (found, len(found))


def test_a_filter_of_a_wrong_type_is_refused(evidence: Served) -> None:
    with evidence.client() as client:
        for name, value in {"limit": "x", "offset": "1.5", "min_blocked": "many", "has_approvals": "maybe"}.items():
            refused(client.get("/evidence", params={name: value}), 422, name)
        refused(client.get(NOTIFICATIONS, params={"delivery_success": "maybe"}), 422, "delivery_success")
        refused(client.get(ALERTS, params={"suppressed": "maybe"}), 422, "suppressed")


def test_one_record_is_found_by_its_whole_id(evidence: Served) -> None:
    with evidence.client() as client:
        whole = {one["session_id"]: one for one in client.get("/evidence").json()["items"]}
        for session_id in NEWEST_FIRST:
            assert client.get(f"/evidence/{session_id}").json() == whole[session_id]
        assert client.get("/evidence/approval%2F1").json() == whole["approval/1"]
        missing = client.get("/evidence/b-")
        refused(missing, 404)
        assert missing.json()["detail"] == "evidence metadata not found"


def test_a_pulled_record_holds_nothing_that_is_not_allowlisted(tmp_path: Path) -> None:
    sent = {"provider": "teams", "success": False, "request": {"url": "https://teams.example/private-hook"}}
    home = ingested(tmp_path, [delivery(session_id="d-1", failed=["teams"], delivery={"deliveries": [sent]})])
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        answers = [client.get(path) for path in ("/evidence", "/evidence/d-1", NOTIFICATIONS)]

    assert [one.status_code for one in answers] == [200, 200, 200]
    assert answers[1].json()["delivery"] == {"deliveries": [{"provider": "teams", "success": False}]}
    assert not any("private-hook" in one.text for one in answers)


def test_another_home_pulls_from_here_as_from_cavra(tmp_path: Path) -> None:
    path, tokens = token_file(tmp_path, puller="read")
    more = [delivery(at(n / 10), session_id=f"s-{n:04d}", failed=["slack"]) for n in range(501)]
    home = ingested(tmp_path, [*EVIDENCE, *more], api_tokens_file=path)
    other = home_with(tmp_path / "other")
    with served(home, dagster=NoDagster()) as one:
        header = SecretSource("header_env", "TOKEN", tmp_path)
        source = Source("upstream", "api", 5, url=one.url, header="Authorization", header_source=header)
        secret = {"TOKEN": f"Bearer {tokens['puller']}"}
        first = pull(other, source, secret, clock=lambda: NOW)
        again = pull(other, source, secret, clock=lambda: NOW)
    take_in(other)

    assert (first.result.imported_count, first.request_count) == (506, 2)
    assert again.result.imported_count == 0
    everything = "SELECT * EXCLUDE (drop_day, file_name, line_number, dropped_field_count) FROM evidence ORDER BY ALL"
    assert query(other, everything) == query(home, everything)
    assert query(other, "SELECT count(*) FROM quarantine") == [(0,)]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["w-1", "a-1", "d-2", "d-1", "package-1"]),
        ({"provider": "SLACK"}, ["a-1", "d-1"]),
        ({"provider": "teams"}, ["d-2"]),
        ({"delivery_success": "false"}, ["d-1"]),
        ({"delivery_success": "true"}, ["d-2"]),
        ({"acknowledgement_state": "resolved"}, ["a-1"]),
        ({"acknowledgement_state": "accepted"}, []),
        ({"audit_id": "audit-1"}, ["package-1"]),
        ({"alert_level": "critical"}, ["package-1"]),
        ({"connector_delivery_source": LANES["recovery_escalation"].delivery_source}, ["d-1"]),
        ({"metadata_kind": PACKAGE_KIND}, ["package-1"]),
        ({"cadence": "hourly"}, ["w-1"]),
        ({"delivery_id": "delivery-9"}, ["d-2"]),
        ({"schedule_id": "daily"}, []),
    ],
)
def test_notifications_are_the_records_about_drills(tmp_path: Path, asked: dict[str, str], found: list[str]) -> None:
    run = worker_run(at(1), session_id="w-1")
    run["recovery_escalation_retry_worker_run"]["schedule"]["cadence"] = "hourly"
    package = {**record("x", at(5), "package-1", audit_id="audit-1", alert_level="critical")}
    package["metadata_kind"] = PACKAGE_KIND
    home = ingested(tmp_path, [
        *EVIDENCE[:1], EVIDENCE[-1], package, run, acknowledgement(at(2), session_id="a-1", state="resolved"),
        delivery(at(4), session_id="d-1", failed=["slack"]),
        delivery(at(3), session_id="d-2", lane="acknowledgement_audit", subject="delivery-9", providers=["teams"]),
    ])  # fmt: skip
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        document = client.get(NOTIFICATIONS, params=asked).json()

    assert document.keys() == {"schema_version", "product", "items", "total", "limit", "offset"}
    assert (ids(document), document["total"], document["product"]) == (found, len(found), "CAVRA")


def _history(lane: str) -> list[dict[str, Any]]:
    return [
        alert_plan(lane, at(9), "p-1", health_id="h-1", selected_providers=["slack"], suppressed_providers=["jira"]),
        delivery(at(8), lane=lane, subject="h-1", session_id="d-1", failed=["slack"]),
        acknowledgement(at(7), lane=lane, subject="h-1", session_id="a-1"),
        plan(at(6), lane=lane, session_id="rp-1"),
        worker_run(at(5), lane=lane, session_id="w-1"),
        execution(at(4), lane=lane, subject="h-1", session_id="e-1"),
        delivery(at(3), session_id="elsewhere", failed=["slack"]),
        delivery(at(2), lane=lane, subject="h-2", session_id="d-2", providers=["teams"]),
    ]


def test_a_history_of_alerts_holds_what_cavra_puts_in_it(tmp_path: Path) -> None:
    home = ingested(tmp_path, [*_history(RECOVERY_LANE)])
    other = ingested(tmp_path / "other", [*_history(EXECUTIVE_LANE)])
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        recovery = client.get(ALERTS).json()
        asked: list[dict[str, Any]] = [
            {"health_id": "h-1"}, {"provider": "slack"}, {"suppressed": True}, {"suppressed": False},
            {"acknowledgement_state": "acknowledged"}, {"metadata_kind": DELIVERY_KIND},
        ]  # fmt: skip
        found = [ids(client.get(ALERTS, params=one).json()) for one in asked]
        assert ids(client.get(EXECUTIVE).json()) == []
    with served(other, dagster=NoDagster()) as one, one.client() as client:
        executive = client.get(EXECUTIVE).json()

    assert recovery.keys() == {"schema_version", "product", "items", "total", "limit", "offset"}
    assert ids(recovery) == ["d-2", "a-1", "d-1", "p-1"]
    assert ids(executive) == ["d-2", "e-1", "w-1", "rp-1", "a-1", "d-1", "p-1"]
    assert found == [
        ["a-1", "d-1", "p-1"], ["a-1", "d-1", "p-1"], ["p-1"], ["d-2", "a-1", "d-1"], ["a-1"], ["d-2", "d-1"],
    ]  # fmt: skip


def _dashboard(client: Any, path: str) -> dict[str, Any]:
    return dict(client.get(f"{path.removesuffix('s')}-dashboard").json())


@pytest.mark.parametrize(("lane", "path"), [(RECOVERY_LANE, ALERTS), (EXECUTIVE_LANE, EXECUTIVE)])
def test_two_plans_of_one_health_report_count_as_cavra_counts_them(tmp_path: Path, lane: str, path: str) -> None:
    home = ingested(tmp_path, [
        alert_plan(lane, at(9), "p-1", health_id="h-1", acknowledgement_required_providers=["slack", "Service-Now"]),
        alert_plan(lane, at(8), "p-2", health_id="h-1", acknowledgement_required_providers=["slack"]),
        alert_plan(lane, at(7), "p-3", acknowledgement_required_providers=["slack"]),
    ])  # fmt: skip
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        document = _dashboard(client, path)

    newest = {"health_id": "h-1", "provider": "slack", "plan_id": "p-2"}
    older = [{**newest, "plan_id": "p-1", "provider": name} for name in ("service_now", "slack")]
    # Of a plan without a health report there is no newest one; where every plan counts, it counts too.
    nameless = {**newest, "health_id": "", "plan_id": "p-3"}
    counted = [nameless, newest, *older] if lane == EXECUTIVE_LANE else [newest]
    assert document["outstanding_acknowledgements"] == counted
    assert document["outstanding_acknowledgement_count"] == len(counted)
    assert (document["plan_count"], document["alert_level"]) == (3, "critical")
    assert [one["session_id"] for one in document["latest"]] == ["p-3", "p-2", "p-1"]


@pytest.mark.parametrize(
    ("states", "is_outstanding"),
    [(["acknowledged"], False), (["resolved"], False), (["dismissed"], True), (["escalated"], True),
     (["acknowledged", "escalated"], False)],
)  # fmt: skip
def test_a_later_word_takes_no_acknowledgement_back_in_a_dashboard(
    tmp_path: Path, states: list[str], is_outstanding: bool
) -> None:
    said = [acknowledgement(at(5 - n), lane=RECOVERY_LANE, subject="h-1", state=one) for n, one in enumerate(states)]
    required = alert_plan(RECOVERY_LANE, at(9), "p-1", health_id="h-1", acknowledgement_required_providers=["slack"])
    with served(ingested(tmp_path, [required, *said]), dagster=NoDagster()) as one, one.client() as client:
        document = _dashboard(client, ALERTS)

    assert document["outstanding_acknowledgement_count"] == int(is_outstanding)
    assert document["alert_level"] == ("critical" if is_outstanding else "healthy")


@pytest.mark.parametrize(("lane", "path"), [(RECOVERY_LANE, ALERTS), (EXECUTIVE_LANE, EXECUTIVE)])
def test_what_was_suppressed_is_a_warning_of_recovery_alerts_only(tmp_path: Path, lane: str, path: str) -> None:
    quiet = alert_plan(lane, at(9), "p-1", health_id="h-1", suppressed_provider_count=2)
    delivered = delivery(at(8), lane=lane, subject="h-1", session_id="d-1")
    with served(ingested(tmp_path, [quiet, delivered]), dagster=NoDagster()) as one, one.client() as client:
        document = _dashboard(client, path)

    assert document["suppressed_provider_count"] == 2
    assert document["alert_level"] == ("warning" if lane == RECOVERY_LANE else "healthy")
    names = {"delivery_success_count", "delivery_failed_count", "selected_provider_count"}
    assert document.keys() & {*names, "failed_delivery_count"} == (
        {"failed_delivery_count"} if lane == RECOVERY_LANE else names
    )


def test_a_dashboard_of_nothing_is_healthy_and_what_comes_later_does_not_exist(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(AS_OF, lane=RECOVERY_LANE, subject="h-1", failed=["slack"])])
    now = AS_OF - MICROSECOND
    seen = []
    with served(home, clock=lambda: now, dagster=NoDagster()) as one, one.client() as client:
        seen.append(_dashboard(client, ALERTS))
    now = AS_OF
    with served(home, clock=lambda: now, dagster=NoDagster()) as one, one.client() as client:
        seen.append(_dashboard(client, ALERTS))

    assert [one["failed_delivery_count"] for one in seen] == [0, 1]
    assert [one["alert_level"] for one in seen] == ["healthy", "critical"]
    assert [len(one["latest"]) for one in seen] == [0, 1]


@needs_store
def test_dashboards_agree_with_those_of_cavra_over_its_own_store(tmp_path: Path) -> None:
    home = home_with(tmp_path, {"2026-11-21": lines()})
    take_in(home, datetime(2026, 11, 22, tzinfo=UTC))
    compared, differing = 0, []
    with warehouse_of(home).reading() as session:
        for answer in expected():
            as_of = datetime.fromisoformat(answer["as_of"])
            for name, lane in {"recovery": RECOVERY_LANE, "executive": EXECUTIVE_LANE}.items():
                ours = alert_dashboard(session, AlertSource.of(LANES[lane]), as_of=as_of)
                compared += ours["plan_count"]
                if ours != answer["alert_dashboards"][name]:
                    differing.append((answer["as_of"], name))
    assert differing == []
    assert compared > 10


def test_kinds_of_drills_begin_as_the_filter_says() -> None:
    assert KIND_PREFIX.startswith("go-backend-rollback-drill-")
    assert PACKAGE_KIND.startswith("go-backend-rollback-drill-")
    assert all(lane.delivery_source.startswith("go_backend_rollback_drill") for lane in LANES.values())
