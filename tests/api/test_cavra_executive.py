"""Escalation plan, executive report and its scheduled run at CAVRA's own paths: answers and what is stored."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.settings import Settings
from tests.api.server import CAVRA, NoDagster, served, token_file
from tests.api.test_cavra import refused
from tests.recoveries.stores import closure, playbook
from tests.support import NOW, at, execution, home_with, ingested, query, take_in

pytestmark = pytest.mark.slow

PLAN = f"{CAVRA}/recovery-escalation-plan"
REPORT = f"{CAVRA}/recovery-executive-report"
RUN = f"{REPORT}/schedule-run"
RECOVERIES = f"{CAVRA}/retry-recovery-report"
AUDIT = "acknowledgement_audit"
#: Members of CAVRA's own documents, as its recorded evidence has them.
PLAN_MEMBERS = {
    "alert_level", "critical_escalation_count", "escalation_count", "escalation_routes", "executive_summary",
    "failed_execution_count", "generated_at", "generated_by", "open_recovery_count", "plan_id", "product",
    "provider_count", "recovery_report_id", "recovery_slo_minutes", "schema_version", "selected_providers",
    "slo_breached_count",
}  # fmt: skip
ROUTE_MEMBERS = {
    "age_minutes", "category", "closure_state", "failure_count", "playbook_id", "provider", "reason",
    "recovery_slo_minutes", "severity", "slo_breached", "slo_status",
}  # fmt: skip
REPORT_MEMBERS = {
    "alert_level", "closure_trends", "escalation_plan_id", "executive_report_id", "executive_summary", "generated_at",
    "generated_by", "key_risks", "product", "provider_summary", "recovery_report_id", "recovery_slo_minutes",
    "schema_version",
}  # fmt: skip
RUN_MEMBERS = {
    "alert_level", "executive_report", "generated_at", "generated_by", "product", "run_id", "schedule",
    "schema_version", "summary",
}  # fmt: skip
WRONG_SCHEDULES: list[tuple[str, Any]] = [
    *(("interval_minutes", value) for value in (0, 525_601, "60", 1.5, True)),
    *(("enabled", value) for value in ("yes", 1)),
    *(("cadence", value) for value in ("every day", "https://example.com", 5, "x" * 300)),
]
STORED = "SELECT metadata_kind, decision_count, blocked_count, approval_required_count, signer FROM evidence "


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """Two open recoveries, one of them past its limit, one that is closed, and a retry that failed."""
    return ingested(
        tmp_path,
        [
            playbook(at(300), "slack", "jira", playbook_id="late"),
            playbook(at(60), "teams", playbook_id="new"),
            closure(at(30), "resolved", provider="jira", playbook_id="late"),
            execution(at(50), lane=AUDIT, subject="delivery-1", provider="splunk"),
        ],
        escalation_connectors=("webhook",),
    )


def test_a_plan_has_the_members_of_cavra_and_is_stored_with_its_counts(home: Settings) -> None:
    with served(home, clock=lambda: at(0), dagster=NoDagster()) as one, one.client() as client:
        answer = client.post(PLAN, json={"unknown": 1, "actor_claims": {"actor": "somebody"}})
        again = client.post(PLAN, json={"recovery_slo_minutes": 400.0})

    document = answer.json()
    plan = document["plan"]
    assert (answer.status_code, document.keys()) == (200, {"plan", "metadata", "actor"})
    assert plan.keys() >= PLAN_MEMBERS
    assert all(route.keys() >= ROUTE_MEMBERS for route in plan["escalation_routes"])
    assert [(one["provider"], one["severity"], one["slo_status"], one["slo_breached"]) for one in plan[
        "escalation_routes"
    ]] == [
        ("slack", "critical", "breached", True), ("splunk", "critical", "review_required", False),
        ("teams", "warning", "open", False),
    ]  # fmt: skip
    assert plan["executive_summary"] == {
        "status": "critical", "tracked_provider_count": 4, "execution_count": 1, "failed_execution_count": 1,
        "open_recovery_count": 2, "slo_breached_count": 1, "closure_rate": 0.3333,
    }  # fmt: skip
    # The channel is the host's, never what is broken.
    assert (plan["provider_count"], plan["selected_providers"]) == (3, ["webhook"])
    assert (plan["recovery_slo_minutes"], plan["generated_by"], document["actor"]) == (240, "console", None)
    assert (again.json()["plan"]["recovery_slo_minutes"], again.json()["plan"]["slo_breached_count"]) == (400, 0)
    kind = document["metadata"]["metadata_kind"]
    assert kind.endswith("audit-delivery-recovery-escalation-plan")
    assert query(home, f"{STORED} WHERE plan_id = '{plan['plan_id']}'") == [(kind, 3, 2, 2, "console")]


def test_a_scheduled_run_and_its_report_are_stored_together(home: Settings) -> None:
    schedule = {"interval_minutes": 25, "enabled": False, "cadence": "", "window_start": "now"}
    now = at(0).replace(minute=57, second=3)
    with served(home, clock=lambda: now, dagster=NoDagster()) as one, one.client() as client:
        answer = client.post(RUN, json={"schedule": schedule, "generated_by": "release-manager"})
        default = client.post(RUN, json={"schedule": "daily"})

    document = answer.json()
    run, report = document["run"], document["run"]["executive_report"]
    assert (answer.status_code, document.keys()) == (200, {"run", "metadata", "report_metadata", "actor"})
    assert run.keys() >= RUN_MEMBERS
    assert report.keys() >= REPORT_MEMBERS
    assert run["schedule"] == {
        "interval_minutes": 25, "enabled": False, "cadence": "every_25_minutes",
        "window_start": now.replace(minute=50, second=0).isoformat(),
        "window_end": (now.replace(minute=50, second=0) + timedelta(minutes=25)).isoformat(),
    }  # fmt: skip
    assert run["summary"] == {
        "executive_report_count": 1, "escalation_count": 3, "failed_execution_count": 1, "open_recovery_count": 2,
        "slo_breached_count": 1,
    }  # fmt: skip
    assert [(one["severity"], one["count"]) for one in report["key_risks"]] == [
        ("critical", 1), ("critical", 1), ("warning", 2),
    ]  # fmt: skip
    assert all(isinstance(action, str) for action in report["recommended_actions"])
    ids = report["executive_report_id"], run["run_id"]
    kinds = [document[name]["metadata_kind"] for name in ("report_metadata", "metadata")]
    stored = query(home, f"{STORED} WHERE executive_report_id = '{ids[0]}' OR run_id = '{ids[1]}' ORDER BY 1")
    assert stored == [(kinds[0], 3, 2, 2, "release-manager"), (kinds[1], 1, 2, 2, "release-manager")]
    shown = default.json()["run"]["schedule"]
    assert (shown["interval_minutes"], shown["cadence"], shown["enabled"]) == (1440, "every_1440_minutes", True)
    assert shown["window_start"] == now.replace(minute=0, second=0).isoformat()
    columns = "schedule_enabled, schedule_interval_minutes, schedule_cadence"
    assert query(home, f"SELECT {columns} FROM evidence WHERE run_id = '{ids[1]}'") == [(False, 25, "every_25_minutes")]


@pytest.mark.parametrize(
    ("path", "kind"), [(REPORT, "recovery-executive-report"), (RECOVERIES, "retry-recovery-report")]
)
def test_a_report_is_saved_only_for_a_token_that_may(tmp_path: Path, path: str, kind: str) -> None:
    tokens_file, tokens = token_file(tmp_path, planner="read plan", reader="read")
    records = [playbook(at(300), "slack"), execution(at(50), lane=AUDIT, subject="d", provider="slack")]
    home = ingested(tmp_path, records, api_tokens_file=tokens_file)
    with served(home, dagster=NoDagster()) as one:
        with one.client(tokens["reader"]) as client:
            seen = client.get(path, params={"generated_by": "somebody"}).json()
            refused(client.post(PLAN, json={}), 403)
            refused(client.post(RUN, json={}), 403)
        assert one.service.keeper.kept_count == 0
        with one.client(tokens["planner"]) as client:
            saved = client.get(path, params={"recovery_slo_minutes": 30}).json()
        assert one.service.keeper.kept_count == 1
    take_in(home, NOW)

    assert seen.keys() == saved.keys() == {"report", "metadata"}
    assert (seen["metadata"], seen["report"]["generated_by"]) == (None, "reader")
    assert saved["metadata"]["metadata_kind"].endswith(kind)
    assert saved["report"]["recovery_slo_minutes"] == 30
    assert query(home, f"{STORED} WHERE ends_with(metadata_kind, '{kind}')") == [
        (saved["metadata"]["metadata_kind"], *(2 if kind.endswith("executive-report") else 1, 2, 1), "planner")
    ]


@pytest.mark.parametrize("path", [PLAN, RUN])
def test_a_value_that_is_not_accepted_is_named_and_nothing_is_stored(tmp_path: Path, path: str) -> None:
    home = home_with(tmp_path)
    wrong: list[tuple[str, Any]] = [("recovery_slo_minutes", value) for value in ("soon", 0, 525_601, 1.5, True, [1])]
    wrong += [("generated_by", value) for value in ("on-call@example.com", 7)]
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        for name, value in wrong:
            refused(client.post(path, json={name: value}), 422, name)
        for name, value in WRONG_SCHEDULES if path == RUN else []:
            refused(client.post(path, json={"schedule": {name: value}}), 422, f"schedule.{name}")
        refused(client.post(path), 422, "body")
        refused(client.post(path, json=[]), 422, "body")
        refused(client.get(REPORT, params={"recovery_slo_minutes": "soon"}), 422, "recovery_slo_minutes")
        assert client.post(path, json={"generated_by": None, "recovery_slo_minutes": None}).status_code == 200

    kinds = query(home, "SELECT count(*) FROM evidence")
    assert kinds == [(1 if path == PLAN else 2,)]


def test_of_a_store_without_playbooks_nothing_is_known_and_no_level_is_healthy(tmp_path: Path) -> None:
    with served(home_with(tmp_path), dagster=NoDagster()) as one, one.client() as client:
        plan, report = client.post(PLAN, json={}).json()["plan"], client.get(RECOVERIES).json()["report"]

    assert (plan["alert_level"], plan["escalation_routes"], plan["selected_providers"]) == ("unknown", [], [])
    assert (plan["executive_summary"]["closure_rate"], report["execution_success_rate"]) == (None, None)


def test_a_retry_without_a_provider_is_one_of_an_unknown_provider_everywhere(tmp_path: Path) -> None:
    providers = [None, " ", "", "Splunk "]
    records = [
        execution(at(50 - n), lane=AUDIT, subject=f"d-{n}") | {"provider": one} for n, one in enumerate(providers)
    ]
    with served(ingested(tmp_path, records), clock=lambda: at(0), dagster=NoDagster()) as one, one.client() as client:
        report = client.get(RECOVERIES).json()["report"]

    assert [one["provider"] for one in report["latest_executions"]] == ["splunk", "unknown", "unknown", "unknown"]
    assert {one["provider"] for one in report["provider_summary"]} == {"splunk", "unknown"}
