"""The examples in OpenAPI are recorded answers of the service: CAVRA_RECORD_EXAMPLES=1 records them again."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic import BaseModel, ValidationError

from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.alerts.watch import watch_pass
from cavra_pipeline.api import answers, common, models
from cavra_pipeline.api.service import json_answer
from cavra_pipeline.assets.reports import HealthConfig, PlanConfig, RecoveriesConfig
from cavra_pipeline.cli import cli
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.reports.health import HealthParameters
from cavra_pipeline.reports.policy import RetryPolicy
from cavra_pipeline.reports.store import save_every_report
from cavra_pipeline.sources import pull, read_sources
from cavra_pipeline.state import state_of
from tests.api.server import CAVRA, NoDagster, Served, served
from tests.connectors.receiver import Receiver, answer
from tests.recoveries.stores import closure, playbook
from tests.support import AS_OF, DAY, NOW, REPOSITORY, acknowledgement, delivery, execution, home_with, plan, take_in
from tests.worker.support import connectors_file

pytestmark = pytest.mark.slow

FILE = REPOSITORY / "cavra_pipeline" / "api" / "examples.json"
LANE = "/api/v1/lanes/recovery_escalation"
STAMP = {"as_of": AS_OF.isoformat()}
TOKEN = "ghp_" + "0123456789abcdefghij0123456789abcdef"
RUN = uuid.UUID(int=1)
SOURCE = {"type": "file", "path": "records.jsonl", "every_minutes": 5}
PLAYBOOK = {"min_failure_count": 1, "lookback_hours": 168, "by": "incident-lead"}
CLOSURE = {
    "playbook_id": "playbook-1", "provider": "slack", "state": "mitigated", "external_ref": "INC-1042",
    "by": "incident-lead",
}  # fmt: skip
SILENCE = {"kind": "provider_incident", "minutes": 240, "comment": "credential renewal INC-1042", "by": "on-call"}
#: Answers of the same shape as that of the lane that is recorded.
OF_OTHER_LANES = {
    "cavra_health_executive_report", "cavra_plan_executive_report", "cavra_plan_recovery_health_alert",
    "cavra_plan_executive_health_alert", "cavra_acknowledge_recovery_health_alert",
    "cavra_acknowledge_executive_health_alert", "cavra_history_executive_health_alert",
    "cavra_deliver_executive_health_alert", "cavra_worker_recovery_health_alert", "cavra_worker_executive_report",
    "cavra_worker_executive_health_alert",
}  # fmt: skip


class OneRefresh(NoDagster):
    """Knows one refresh, by a fixed id."""

    def launch_refresh(self, days: Any) -> str:
        return str(RUN)

    def run_status(self, run_id: str) -> dict[str, Any] | None:
        return {"run_id": run_id, "status": "success", "job": "daily_close", "from": DAY, "to": DAY}


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    before = AS_OF - timedelta(hours=1)
    home = home_with(tmp_path, [
        delivery(before, session_id="delivery-1", subject="plan-1", failed=["slack"], password=TOKEN),
        *[delivery(before, subject=f"plan-{n}", failed=["jira"], status_codes=[401]) for n in (2, 3, 4)],
        acknowledgement(AS_OF - timedelta(minutes=30), session_id="ack-1", subject="plan-1"),
        execution(AS_OF - timedelta(minutes=20), session_id="execution-1", subject="plan-1"),
        plan(AS_OF - timedelta(minutes=40), session_id="retry-plan-1"), playbook(before, "slack"),
        closure(before, "deferred"), "not json",
        delivery(before, lane="acknowledgement_audit", session_id="delivery-2", subject="audit-1", failed=["teams"]),
    ], connectors_file=tmp_path / "connectors.yaml", sources_file=tmp_path / "sources.yaml",
        live_lanes=frozenset(LANES))  # fmt: skip
    take_in(home)
    list(save_every_report(warehouse_of(home), state_of(home), [AS_OF.date()], now=NOW))
    (tmp_path / "records.jsonl").write_text(
        json.dumps(delivery(before, session_id="delivery-3", subject="plan-3")) + "\n"
    )
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"sources": {"exports": SOURCE}}))
    pull(home, read_sources(home.sources_file).named("exports"), {}, clock=lambda: NOW)
    signals = [Signal("failed_run", "daily_close", "critical", NOW)]
    watch_pass(home, Observation(["failed_run"], signals), clock=lambda: NOW)
    with Receiver() as receiver, served(home, dagster=OneRefresh()) as one:
        monkeypatch.setenv("SLACK", receiver.script("/slack", answer(200, "ok")))
        connectors_file(tmp_path / "connectors.yaml", slack={"url_env": "SLACK"})
        yield one


def recorded(client: httpx.Client) -> dict[str, Any]:
    """One answer of each operation, each list cut to its first entry."""
    body = {"subject": "plan-1", "provider": "slack", "state": "accepted", "by": "incident-lead"}
    alert = client.get("/api/v1/alerts").json()["alerts"][0]["alert_id"]
    saved = client.get("/api/v1/history").json()["reports"][0]["report_id"]
    latest = client.get("/api/v1/checkpoints/latest").json()
    # Before anything is written: the log has not grown since, whatever the time that the rest takes.
    consistent = client.get(
        "/api/v1/checkpoints/consistency", params={name: latest[name] for name in ("origin", "size", "root")}
    )
    silenced = client.post("/api/v1/silences", json=SILENCE)
    answers = {
        "lane_health": client.get(f"{LANE}/health", params=STAMP),
        "make_plan": client.post(f"{LANE}/plan", json=STAMP),
        "cavra_health_recovery_escalation": client.get(f"{CAVRA}/recovery-escalations/retry-health"),
        "cavra_plan_recovery_escalation": client.post(f"{CAVRA}/recovery-escalations/retry-plan", json={}),
        "cavra_acknowledge_recovery_escalation": client.post(
            f"{CAVRA}/recovery-escalations/plan-1/acknowledgements",
            json={"provider": "slack", "acknowledged_by": "incident-lead", "external_ref": "INC-1042"},
        ),
        "cavra_evidence": client.get("/evidence", params={"limit": 1}),
        "cavra_evidence_record": client.get("/evidence/delivery-1"),
        "cavra_notifications": client.get(CAVRA.removesuffix("/acknowledgements/audit-delivery"), params={"limit": 1}),
        "cavra_history_recovery_health_alert": client.get(f"{CAVRA}/recovery-escalations/retry-health-alerts"),
        "cavra_dashboard_recovery_health_alert": client.get(
            f"{CAVRA}/recovery-escalations/retry-health-alert-dashboard"
        ),
        "cavra_dashboard_executive_health_alert": client.get(
            f"{CAVRA}/recovery-executive-report/delivery-retry-health-alert-dashboard"
        ),
        "cavra_dashboard": client.get(f"{CAVRA.removesuffix('/acknowledgements/audit-delivery')}/dashboard"),
        "cavra_closure_dashboard": client.get(f"{CAVRA}/final-reporting-closure-dashboard"),
        "cavra_escalation_plan": client.post(f"{CAVRA}/recovery-escalation-plan", json={}),
        "cavra_executive_report": client.get(f"{CAVRA}/recovery-executive-report"),
        "cavra_schedule_run": client.post(f"{CAVRA}/recovery-executive-report/schedule-run", json={}),
        "cavra_recoveries": client.get(f"{CAVRA}/retry-recovery-report"),
        "cavra_playbook": client.post(f"{CAVRA}/connector-recovery-playbook", json={}),
        "cavra_closure": client.post(
            f"{CAVRA}/connector-recovery-playbooks/playbook-1/closures",
            json={"provider": "slack", "closed_by": "incident-lead", "external_ref": "INC-1042"},
        ),
        "cavra_deliver_plan": client.post(f"{CAVRA}/recovery-escalations/latest/deliver", json={"provider": "slack"}),
        "cavra_deliver_run": client.post(
            f"{CAVRA}/recovery-executive-report/schedule-runs/latest/deliver", json={"provider": "slack"}
        ),
        "cavra_deliver_recovery_health_alert": client.post(
            f"{CAVRA}/recovery-escalations/retry-health-alerts/deliver", json={}
        ),
        "cavra_worker_recovery_escalation": client.post(
            f"{CAVRA}/recovery-escalations/retry-worker-run", json={"execute": True}
        ),
        "preview_plan": client.get(f"{LANE}/plan", params=STAMP),
        "lanes": client.get("/api/v1/lanes"),
        "dashboard": client.get("/api/v1/dashboard", params=STAMP),
        "recoveries": client.get("/api/v1/recoveries", params=STAMP),
        "closure": client.get("/api/v1/closure", params=STAMP),
        "incidents": client.get("/api/v1/incidents", params=STAMP),
        "lane_forecast": client.get(f"{LANE}/forecast", params=STAMP),
        "explanation": client.get("/api/v1/explain", params={"subject": "plan-1", "provider": "slack", **STAMP}),
        "evidence": client.get("/api/v1/evidence", params={"limit": 1}),
        "list_acknowledgements": client.get(f"{LANE}/acknowledgements"),
        "history": client.get("/api/v1/history", params={"limit": 1}),
        "saved_report": client.get(f"/api/v1/history/{saved}"),
        "latest_checkpoint": client.get("/api/v1/checkpoints/latest"),
        "checkpoint_consistency": consistent,
        "proof_basis": client.get(f"{LANE}/proof", params=STAMP),
        "quarantine": client.get("/api/v1/quarantine"),
        "findings": client.get("/api/v1/findings"),
        "partitions": client.get("/api/v1/partitions", params={"from": DAY, "to": DAY}),
        "make_acknowledgement": client.post(f"{LANE}/acknowledgements", json=body),
        "make_acknowledgements": client.post(
            "/api/v1/acknowledgements",
            json={
                "deliveries": [
                    {"lane": "recovery_escalation", "subject": body["subject"], "provider": body["provider"]}
                ],
                "state": "acknowledged",
                "by": body["by"],
            },
        ),
        "make_playbook": client.post("/api/v1/playbook", json=PLAYBOOK),
        "make_recovery_closure": client.post("/api/v1/recoveries/closures", json=CLOSURE),
        "sources": client.get("/api/v1/sources"),
        "refresh": client.post("/api/v1/refresh", json={}),
        "refresh_status": client.get(f"/api/v1/refresh/{RUN}"),
        "alerts": client.get("/api/v1/alerts"),
        "alert_events": client.get("/api/v1/alerts/events"),
        "alert_story": client.get(f"/api/v1/alerts/{alert}"),
        "make_silence": silenced,
        "end_a_silence": client.post(f"/api/v1/silences/{silenced.json()['silence']['silence_id']}/end", json={}),
        "executive_report": client.get("/api/v1/executive-report", params=STAMP),
        "preview_escalation_plan": client.get("/api/v1/escalation-plan", params=STAMP),
        "acknowledge_an_alert": client.post(f"/api/v1/alerts/{alert}/acknowledge", json={"by": "on-call"}),
        "slots": client.get("/api/v1/slots"),
        "status": client.get("/api/v1/status"),
        "alive": client.get("/healthz"),
    }
    assert {name: one.status_code for name, one in answers.items() if one.status_code >= 300} == {}
    return {name: _cut(one.json()) for name, one in sorted(answers.items())}


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _cut(member) for name, member in value.items()}
    return [_cut(member) for member in value[:1]] if isinstance(value, list) else value


def _shape(value: Any) -> Any:
    """The names in a document; ids, counts and instants aside."""
    if isinstance(value, dict):
        return {name: _shape(member) for name, member in value.items()}
    return [_shape(member) for member in value] if isinstance(value, list) else None


def test_the_examples_have_the_shape_of_what_the_service_answers(service: Served) -> None:
    with service.client() as client:
        answers = recorded(client)
        document = client.get("/openapi.json").json()
    if os.environ.get("CAVRA_RECORD_EXAMPLES"):
        FILE.write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")
        common.examples.cache_clear()

    assert _shape(common.examples()) == _shape(answers)
    operations = {one["operationId"]: one for path in document["paths"].values() for one in path.values()}
    assert answers.keys() <= operations.keys()
    without = operations.keys() - answers.keys()
    assert without == {
        "plan_as_csv", "executive_report_as_html", "resolve_alert_by_hand", "plan_bundle", "health_bundle",
        "saved_bundle", "executive_bundle", *OF_OTHER_LANES,
    }  # fmt: skip


def test_an_answer_that_is_not_what_openapi_declares_is_not_given() -> None:
    fitting, other = json_answer({"status": "ok"}), json_answer({"status": "well"})

    assert fitting.checked(answers.Alive) is fitting
    with pytest.raises(ValidationError):
        other.checked(answers.Alive)


@pytest.mark.parametrize("source", [RetryPolicy, HealthParameters, RecoveryParameters])
def test_api_options_and_run_configuration_have_the_fields_of_the_one_model(source: type[BaseModel]) -> None:
    query, config, command = {
        RetryPolicy: (models.PlanQuery, PlanConfig, "retry-plan"),
        HealthParameters: (models.HealthQuery, HealthConfig, "retry-health"),
        RecoveryParameters: (models.RecoveriesQuery, RecoveriesConfig, "recoveries"),
    }[source]

    options = {parameter.name for parameter in cli.commands[command].params}
    for fields in (query.model_fields.keys(), config.model_fields.keys(), options):
        assert source.model_fields.keys() <= fields
