"""CAVRA's sending paths over a real wire: what goes out, what never does, and the evidence that is left."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.settings import Settings
from tests.api.server import CAVRA, NoDagster, Served, served, token_file
from tests.api.test_cavra import refused
from tests.connectors.receiver import Answer, Receiver, answer, hang
from tests.recoveries.stores import playbook
from tests.support import (
    AS_OF,
    MICROSECOND,
    Record,
    acknowledgement,
    at,
    delivery,
    home_with,
    query,
    record,
    take_in,
    worker_run,
)  # fmt: skip
from tests.worker.support import SIGNING, Clock, connectors_file

pytestmark = pytest.mark.slow

#: As CAVRA has them, written out: the lane, what its worker's results show, and the paths.
WORKERS = {
    f"{CAVRA}/recovery-escalations/retry-worker-run": ("recovery_escalation", "plan"),
    f"{CAVRA}/recovery-escalations/retry-health-alerts/retry-worker-run": ("recovery_health_alert", "health"),
    f"{CAVRA}/recovery-executive-report/delivery-retry-worker-run": ("executive_report", "schedule_run"),
    f"{CAVRA}/recovery-executive-report/delivery-retry-health-alerts/retry-worker-run": (
        "executive_health_alert", "health",
    ),
}  # fmt: skip
PLAN = f"{CAVRA}/recovery-escalations/{{}}/deliver"
RUN = f"{CAVRA}/recovery-executive-report/schedule-runs/{{}}/deliver"
ALERTS = {
    f"{CAVRA}/recovery-escalations/retry-health-alerts/deliver": "recovery_health_alert",
    f"{CAVRA}/recovery-executive-report/delivery-retry-health-alerts/deliver": "executive_health_alert",
}
ALERT = next(iter(ALERTS))
WORKER = next(iter(WORKERS))
DELIVERIES = {
    PLAN.format("plan-1"): "recovery_escalation",
    RUN.format("run-1"): "executive_report",
    **ALERTS,
}
KEYS = {
    PLAN.format("plan-1"): "plan delivery plan_metadata metadata success event_id actor",
    RUN.format("run-1"): "run delivery metadata run_metadata success event_id actor",
    **dict.fromkeys(ALERTS, "health plan delivery plan_metadata metadata success event_id actor"),
    **dict.fromkeys(WORKERS, "run metadata retry_metadata retry_results actor"),
}
EVERY = (*DELIVERIES, *WORKERS)


def escalation(when: Any = AS_OF, plan_id: str = "plan-1", count: int = 3, **fields: Any) -> Record:
    """An escalation plan as CAVRA stores one: its providers are what is broken."""
    routes = [
        {"provider": "splunk", "category": "siem", "severity": "critical", "playbook_id": f"playbook-{number}",
         "slo_status": "breached", "age_minutes": 300, "failure_count": 2}
        for number in range(count)
    ]  # fmt: skip
    counts = {"escalation_count": count, "slo_breached_count": count, "failed_execution_count": 0}
    payload = {"recovery_escalation_plan": {"escalation_routes": routes}}
    named = {"plan_id": plan_id, "selected_providers": ["splunk"], "alert_level": "critical"}
    return record("recovery-escalation-plan", when, plan_id, **named, **counts, **payload, **fields)


def scheduled(when: Any = AS_OF, run_id: str = "run-1", report_id: str = "report-1") -> list[Record]:
    """A scheduled run and the report that it made."""
    run = {"run_id": run_id, "alert_level": "critical", "escalation_count": 1}
    made = {"executive_report_id": report_id, "alert_level": "critical"}
    return [
        record("recovery-executive-report", when, report_id, **made),
        record("recovery-executive-report-schedule-run", when, run_id, **run),
    ]


def failures(**fields: Any) -> list[Record]:
    """A failed delivery in each lane, whose subject is stored too; the escalation is acknowledged."""
    subjects = {
        "recovery_escalation": "plan-1",
        "executive_report": "run-1",
        "recovery_health_alert": "h-1",
        "executive_health_alert": "h-2",
    }
    failed = [
        delivery(at(60), lane=lane, subject=subject, failed=["webhook"], session_id=f"failed-{lane}", **fields)
        for lane, subject in subjects.items()
    ]
    planned = [
        record(f"{LANES[lane].kind_stem}-plan", at(61), f"alert-{lane}", plan_id=f"alert-{lane}", health_id=subject)
        for lane, subject in subjects.items()
        if LANES[lane].alerts_of
    ]
    accepted = acknowledgement(at(30), subject="plan-1", provider="webhook", state="accepted")
    return [*failed, *planned, escalation(at(70)), *scheduled(at(70)), accepted]


@dataclass
class Wire:
    """A service whose connectors lead to a receiver."""

    home: Settings
    one: Served
    receiver: Receiver
    clock: Clock
    client: httpx.Client

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.client.post(path, json=body)

    def said(self, path: str, **body: Any) -> dict[str, Any]:
        answered = self.post(path, **body)
        assert answered.status_code == 200, answered.text
        document: dict[str, Any] = answered.json()
        return document

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(one.body)["data"] for one in self.receiver.requests("/hook")]


Wired = Callable[..., Any]


@pytest.fixture
def wired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wired:
    monkeypatch.setenv("SIGNING", SIGNING)

    @contextmanager
    def serve(
        records: list[Record],
        *answers: Answer,
        live: tuple[str, ...] = tuple(LANES),
        connectors: tuple[str, ...] | None = ("webhook",),
        **settings: Any,
    ) -> Iterator[Wire]:
        clock = Clock(AS_OF)
        with Receiver() as receiver:
            path = tmp_path / "connectors.yaml"
            url = receiver.script("/hook", *(answers or (answer(200),)))
            on = {"webhook": {"url": url, "signing_secrets_env": "SIGNING"}}
            monkeypatch.setenv("SLACK", receiver.script("/slack", answer(200, "ok")))
            on["slack"] = {"url_env": "SLACK"}
            if connectors is not None:
                connectors_file(path, **{name: on[name] for name in connectors})
                settings["connectors_file"] = path
            home = home_with(tmp_path, records, live_lanes=frozenset(live), threads=1, immediate_tries=1, **settings)
            take_in(home)
            with served(home, clock=clock, dagster=NoDagster()) as one, one.client() as client:
                yield Wire(home, one, receiver, clock, client)

    return serve


def landed(home: Settings) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in home.landing.rglob("*.jsonl")}


def made_here(home: Settings) -> Mapping[str, int]:
    """How many records of each type the pipeline wrote."""
    return dict(query(home, "SELECT record_type, count(*) FROM evidence WHERE signer = 'console' GROUP BY ALL"))


# --- Shapes --------------------------------------------------------------------------------------------------------


def test_the_answers_have_the_members_of_cavra_and_no_others(wired: Wired) -> None:
    results = {"decision", "delivery", "delivery_metadata", "execution_record", "execution_metadata", "skipped"}
    with wired(failures()) as wire:
        paths = wire.client.get("/openapi.json").json()["paths"]
        for path, (lane, shown) in WORKERS.items():
            for body in ({}, {"execute": True}):
                said = wire.said(path, **body)
                assert said.keys() == set(KEYS[path].split())
                (result,) = said["retry_results"]
                assert result.keys() == results | {shown}
                assert result["decision"][LANES[lane].subject_field]
                assert result[shown] is not None
                assert (said["run"]["lane"], said["run"]["dry_run"], said["actor"]) == (lane, not body, None)
                assert said["metadata"]["metadata_kind"].endswith(LANES[lane].kinds.worker_run)
                assert said["retry_metadata"]["metadata_kind"].endswith(LANES[lane].kinds.retry_plan)
        for path in DELIVERIES:
            assert wire.said(path).keys() == set(KEYS[path].split())

    ours = {path for path in paths if path.endswith(("/deliver", "worker-run"))}
    assert ours == {PLAN.format("{plan_id}"), RUN.format("{run_id}"), *ALERTS, *WORKERS}


# --- What never goes out -------------------------------------------------------------------------------------------


def test_a_dry_run_of_a_worker_selects_records_itself_and_sends_nothing(wired: Wired) -> None:
    bodies: list[dict[str, Any]] = [{}, {"execute": False}, {"dry_run": True}, {"dry_run": True, "execute": True}]
    with wired(failures(), live=()) as wire:
        for path, body in zip(WORKERS, bodies, strict=True):
            said = wire.said(path, **body)
            (result,) = said["retry_results"]
            assert (said["run"]["dry_run"], said["run"]["selected_retry_count"]) == (True, 1)
            assert (result["skipped"], result["delivery"], result["execution_metadata"]) == ("dry_run", None, None)
        assert wire.receiver.requests() == []
        assert made_here(wire.home) == {"worker_run": 4, "retry_plan": 4}


def test_a_dry_delivery_says_what_would_be_sent_and_sends_nothing(wired: Wired) -> None:
    with wired([escalation(), *scheduled()], live=()) as wire:
        before = landed(wire.home)
        for path in DELIVERIES:
            said = wire.said(path, dry_run=True)
            assert [(one["provider"], one["reason"]) for one in said["delivery"]["deliveries"]] == [
                ("webhook", "dry_run")
            ]
            assert (said["success"], said["metadata"]) == (False, None)
        assert wire.receiver.requests() == []
        assert landed(wire.home) == before


def test_a_lane_that_the_host_does_not_name_sends_nothing_whatever_is_asked(wired: Wired) -> None:
    with wired(failures(), live=("acknowledgement_audit",)) as wire:
        before = landed(wire.home)
        for path in EVERY:
            lane = DELIVERIES.get(path) or WORKERS[path][0]
            for body in ({"execute": True}, {"dry_run": False}, {"execute": True, "live_lanes": [lane], "live": True}):
                refusal = wire.post(path, **body, force=True)
                refused(refusal, 403)
                assert "CAVRA_LIVE_LANES" in refusal.json()["detail"]
                assert lane in refusal.json()["detail"]
        assert wire.receiver.requests() == []
        assert landed(wire.home) == before


def test_no_plan_is_made_for_a_lane_that_is_not_live(wired: Wired) -> None:
    with wired([playbook(at(600), "splunk")], live=()) as wire:
        before = landed(wire.home)
        refused(wire.post(PLAN.format("latest")), 403)
        refused(wire.post(RUN.format("latest")), 403)
        assert landed(wire.home) == before


# --- Retry workers -------------------------------------------------------------------------------------------------


def test_a_live_worker_sends_each_due_retry_once_and_leaves_its_evidence(wired: Wired) -> None:
    with wired(failures()) as wire:
        for number, (path, (lane, _)) in enumerate(WORKERS.items(), 1):
            said = wire.said(path, execute=True)
            (result,) = said["retry_results"]
            again = wire.said(path, execute=True)
            assert (again["retry_results"], len(wire.messages)) == ([], number)
            subject = result["decision"][LANES[lane].subject_field]
            execution, sent, shown = (
                result[name] for name in ("execution_metadata", "delivery_metadata", "execution_record")
            )
            assert sorted(evidence(wire.home, lane)) == [
                (sent["session_id"], "delivery", subject),
                (execution["session_id"], "execution", subject),
            ]
            assert wire.messages[-1]["subject"] == subject
            assert (execution["execution_status"], shown["delivery_success"], result["skipped"]) == (
                "delivered", True, "",
            )  # fmt: skip
            run = said["run"]
            assert (sent["retry_plan_id"], sent["worker_run_id"]) == (run["retry_plan_id"], run["run_id"])
            assert shown["execution_id"] == execution["execution_id"]
            assert shown["delivery_metadata_id"] == result["delivery"]["session_id"] == sent["session_id"]
            assert (result["delivery"]["success"], result["delivery"]["event_id"]) == (True, subject)
            assert said["metadata"]["session_id"] == f"worker-run-{run['run_id']}"


def evidence(home: Settings, lane: str) -> list[tuple[Any, ...]]:
    """Deliveries and executions of a lane that were made here."""
    rows = query(home, "SELECT session_id, record_type, subject, lane FROM evidence WHERE signer = 'console'")
    return [row[:3] for row in rows if row[1] in ("delivery", "execution") and row[3] == lane]


def test_the_gate_of_escalations_holds_what_nobody_has_cleared(wired: Wired) -> None:
    states = (None, "deferred", "dismissed", "accepted")
    failed = [delivery(at(60), subject=f"plan-{state}", failed=["webhook"]) for state in states]
    words = [
        acknowledgement(at(20), subject=f"plan-{state}", provider="webhook", state=state) for state in states if state
    ]
    with wired([*failed, *words]) as wire:
        said = wire.said(WORKER, execute=True)
        assert [message["subject"] for message in wire.messages] == ["plan-accepted"]
    assert (len(said["retry_results"]), said["run"]["acknowledgement_pending_count"]) == (1, 3)


def test_a_worker_obeys_its_policy_its_limit_and_says_its_schedule(wired: Wired) -> None:
    failed = [delivery(at(60), lane="executive_report", subject=f"r-{n}", failed=["webhook"]) for n in range(3)]
    path = next(one for one in WORKERS if WORKERS[one][0] == "executive_report")
    with wired(failed) as wire:
        none = wire.said(path, execute=True, retry_policy={"max_retry_attempts": 1})
        assert (none["run"]["suppressed_retry_count"], none["retry_results"], wire.messages) == (3, [], [])
        schedule = {"enabled": False, "interval_minutes": 7, "cadence": "every_7_minutes"}
        two = wire.said(path, dry_run=False, max_retry_deliveries=2, schedule=schedule, retry_policy="fast")
        assert (len(two["retry_results"]), len(wire.messages)) == (2, 2)
        run = two["metadata"]["recovery_executive_report_delivery_retry_worker_run"]
        assert run["schedule"] == {"enabled": False, "interval_minutes": 7}


def test_without_any_connector_escalations_are_skipped_and_other_lanes_refuse(wired: Wired) -> None:
    with wired(failures(), connectors=None) as wire:
        for path in EVERY:
            if path != WORKER:
                refusal = wire.post(path, execute=True)
                refused(refusal, 400)
                assert refusal.json()["detail"] == "connector config is not configured"
            if path in WORKERS:
                assert wire.said(path)["run"]["dry_run"] is True
        (result,) = wire.said(WORKER, execute=True)["retry_results"]
        assert result["skipped"] == result["execution_record"]["skipped"] == "connector_config_not_configured"
        assert (result["execution_metadata"]["execution_status"], result["delivery"]) == ("skipped", None)


# --- First deliveries ----------------------------------------------------------------------------------------------


def test_a_stored_plan_goes_once_to_each_connector_and_lists_its_routes(wired: Wired) -> None:
    with wired([escalation(at(5))], connectors=("webhook", "slack")) as wire:
        first = wire.said(PLAN.format("plan-1"), max_routes=2)
        (message,) = wire.messages
        again = wire.said(PLAN.format("plan-1"), provider="webhook")
        both = wire.said(PLAN.format("plan-1"), provider="all")
        assert (len(wire.messages), len(wire.receiver.requests("/slack"))) == (1, 1)
        stored = query(
            wire.home, "SELECT session_id, plan_id, lane FROM evidence WHERE record_type = 'delivery' ORDER BY ALL"
        )

    assert message["subject"] == first["event_id"] == first["plan"]["plan_id"] == "plan-1"
    assert message["summary"].splitlines()[1:] == ["Splunk: critical, open for 5 h, 2 failures"] * 2 + ["And 1 more."]
    assert (first["success"], first["plan_metadata"]["session_id"]) == (True, "plan-1")
    assert first["metadata"]["connector_delivery_source"] == LANES["recovery_escalation"].delivery_source
    assert again["metadata"] == first["metadata"]
    assert [one["success"] for one in both["delivery"]["deliveries"]] == [True, True]
    assert {row[1:] for row in stored} == {("plan-1", "recovery_escalation")}
    assert {row[0] for row in stored} == {one["session_id"] for one in both["delivery"]["deliveries"]}


def test_what_cavra_has_delivered_or_the_worker_retries_is_not_delivered_first_again(wired: Wired) -> None:
    theirs = [
        delivery(at(4), subject=plan_id, providers=["webhook"], failed=failed, session_id=f"of-{plan_id}")
        for plan_id, failed in (("plan-1", []), ("plan-2", ["webhook"]))
    ]
    with wired([escalation(at(5)), escalation(at(5), "plan-2"), *theirs]) as wire:
        arrived, failing = wire.said(PLAN.format("plan-1")), wire.said(PLAN.format("plan-2"))
        assert wire.receiver.requests() == []
        assert query(wire.home, "SELECT count(*) FROM evidence WHERE record_type = 'delivery'") == [(2,)]
    assert (arrived["success"], arrived["metadata"]["session_id"]) == (True, "of-plan-1")
    assert (failing["success"], failing["metadata"]["session_id"]) == (False, "of-plan-2")


def test_latest_is_the_newest_plan_and_where_there_is_none_a_new_one(wired: Wired, tmp_path: Path) -> None:
    older, newer = escalation(at(50), "plan-old"), escalation(at(5), "plan-new")
    with wired([older, newer, escalation(at(-5), "plan-later")]) as wire:
        assert wire.said(PLAN.format("latest"))["event_id"] == "plan-new"
        refused(wire.post(PLAN.format("plan-later")), 404)


def test_latest_without_a_plan_makes_stores_and_delivers_one(wired: Wired) -> None:
    with wired([playbook(at(600), "splunk")], escalation_connectors=("webhook",)) as wire:
        said = wire.said(PLAN.format("latest"), recovery_slo_minutes=900)
        again = wire.said(PLAN.format("latest"))
        (message,) = wire.messages
        assert query(wire.home, "SELECT plan_id FROM evidence WHERE record_type = 'escalation_plan'") == [
            (said["event_id"],)
        ]
    assert (said["plan"]["alert_level"], said["plan"]["selected_providers"]) == ("warning", ["webhook"])
    assert again["event_id"] == message["subject"] == said["event_id"]
    assert [one["provider"] for one in said["plan"]["escalation_routes"]] == ["splunk"]


def test_a_plan_without_routes_notifies_nobody(wired: Wired) -> None:
    with wired([escalation(count=0)]) as wire:
        said = wire.said(PLAN.format("plan-1"))
        assert wire.receiver.requests() == []
    assert (said["success"], said["delivery"], said["metadata"]) == (True, None, None)


def test_a_stored_run_is_delivered_under_its_ids_and_a_failure_is_the_workers(wired: Wired) -> None:
    with wired([playbook(at(600), "splunk"), *scheduled(at(5))], answer(503), answer(200)) as wire:
        first = wire.said(RUN.format("run-1"), max_risks=1)
        again = wire.said(RUN.format("run-1"))
        assert len(wire.messages) == 1
        wire.clock.move(60)
        worker = next(one for one in WORKERS if WORKERS[one][0] == "executive_report")
        (result,) = wire.said(worker, execute=True)["retry_results"]
        ids = [one.header("webhook-id") for one in wire.receiver.requests("/hook")]

    assert (first["success"], first["delivery"]["deliveries"][0]["status_code"]) == (False, 503)
    assert (first["metadata"]["run_id"], first["metadata"]["executive_report_id"]) == ("run-1", "report-1")
    assert (first["run"]["run_id"], first["run_metadata"]["session_id"]) == ("run-1", "run-1")
    assert again["metadata"] == first["metadata"]
    assert result["delivery"]["success"] is True
    assert result["schedule_run"]["session_id"] == "run-1"
    assert ids[0] == ids[1]


def test_latest_without_a_run_makes_report_and_run(wired: Wired) -> None:
    with wired([playbook(at(600), "splunk")]) as wire:
        said = wire.said(RUN.format("latest"))
        stored = query(
            wire.home,
            "SELECT record_type, count(*) FROM evidence WHERE record_type IN ('executive_report', 'schedule_run')"
            " GROUP BY ALL ORDER BY ALL",
        )
        assert len(wire.messages) == 1
    assert stored == [("executive_report", 1), ("schedule_run", 1)]
    assert said["metadata"]["run_id"] == said["run"]["run_id"] == said["event_id"]
    assert said["metadata"]["executive_report_id"] == said["run"]["executive_report_id"]


def test_what_is_not_stored_is_a_404_and_nothing_is_written(wired: Wired) -> None:
    with wired([]) as wire:
        for path, detail in (
            (PLAN, "recovery escalation plan not found"),
            (RUN, "recovery executive report schedule run not found"),
        ):
            for name in ("never-seen", "%00", "%FF", "a'b", "x" * 512):
                refusal = wire.post(path.format(name))
                refused(refusal, 404)
                assert refusal.json()["detail"] == detail
            refused(wire.post(path.format("x" * 513)), 422)
        assert wire.receiver.requests() == []
        assert landed(wire.home) == {}


# --- Health alerts -------------------------------------------------------------------------------------------------


def test_a_health_alert_goes_to_every_connector_and_asks_for_acknowledgements(wired: Wired) -> None:
    with wired([], connectors=("webhook", "slack")) as wire:
        for number, (path, lane) in enumerate(ALERTS.items(), 1):
            judged = LANES[str(LANES[lane].alerts_of)]
            with warehouse_of(wire.home).reading() as session:
                (expected,) = retry_health_reports(
                    session, judged, health_parameters(judged), instants=[AS_OF], now=AS_OF, generated_by="console"
                )
            said = wire.said(path, max_alerts=1)
            assert (len(wire.messages), len(wire.receiver.requests("/slack"))) == (number, number)
            with warehouse_of(wire.home).reading() as session:
                (own,) = retry_health_reports(
                    session, LANES[lane], health_parameters(LANES[lane]), instants=[AS_OF], now=AS_OF
                )
            plan, message = said["plan"], wire.messages[-1]
            assert said["health"] == expected
            assert message["subject"] == said["event_id"] == said["metadata"]["health_id"] == plan["health_id"]
            assert message["summary"].splitlines()[1].startswith("And ")
            assert plan["selected_providers"] == plan["acknowledgement_required_providers"] == ["slack", "webhook"]
            assert said["plan_metadata"]["session_id"] == said["metadata"]["plan_id"] == plan["plan_id"]
            assert (said["success"], own["outstanding_alert_acknowledgement_count"]) == (True, 2)
        assert made_here(wire.home) == {"alert_plan": 2, "delivery": 4}


def test_an_alert_of_ours_suppresses_its_repeat_until_the_window_is_over(wired: Wired) -> None:
    with wired([]) as wire:
        wire.said(ALERT)
        wire.clock.at += timedelta(minutes=60) - MICROSECOND
        held = wire.said(ALERT)
        assert (len(wire.messages), held["delivery"], held["success"]) == (1, None, True)
        wire.clock.at += MICROSECOND
        wire.said(ALERT)
        assert len(wire.messages) == 2


def test_nobody_is_notified_of_a_healthy_lane(wired: Wired) -> None:
    quiet = [worker_run(at(1)), record("recovery-escalation-delivery-retry-plan", at(1), "p-1", retry_plan_id="p-1")]
    with wired(quiet) as wire:
        said = wire.said(ALERT, force=True)
        assert wire.receiver.requests() == []
    assert (said["health"]["alert_level"], said["success"], said["delivery"]) == ("healthy", True, None)
    assert said["plan_metadata"].get("selected_providers", []) == []


# --- How it is sent ------------------------------------------------------------------------------------------------


def test_retries_and_timeout_bound_one_attempt(wired: Wired) -> None:
    with wired([escalation(), escalation(at(1), "plan-2")], answer(503), answer(503), answer(503), hang()) as wire:
        tried = wire.said(PLAN.format("plan-1"), retries=2)
        assert (len(wire.messages), tried["delivery"]["deliveries"][0]["attempt_count"]) == (3, 3)
        started = time.monotonic()
        hung = wire.said(PLAN.format("plan-2"), retries=0, timeout_seconds=0.2)
        assert time.monotonic() - started < 15
        assert (hung["success"], len(wire.messages)) == (False, 4)


def test_a_send_that_hangs_keeps_no_reader_waiting_and_only_few_may_send_at_once(wired: Wired) -> None:
    plans = [escalation(at(number), f"plan-{number}") for number in range(6)]
    with wired(plans, hang()) as wire, ThreadPoolExecutor(6) as pool:
        sends = [
            pool.submit(wire.post, PLAN.format(f"plan-{number}"), timeout_seconds=10, retries=0) for number in range(4)
        ]
        wire.receiver.wait_for("/hook", 4, seconds=60)
        refusal = wire.post(PLAN.format("plan-5"))
        refused(refusal, 503)
        assert "Retry-After" in refusal.headers
        assert wire.client.get("/api/v1/lanes").status_code == 200
        assert wire.client.get("/healthz").status_code == 200
        assert not any(one.done() for one in sends)
        assert {one.result().status_code for one in sends} == {200}
        assert len(wire.messages) == 4
        assert wire.post(PLAN.format("plan-5"), dry_run=True).status_code == 200


def test_the_same_alert_asked_for_twice_at_once_is_sent_once(wired: Wired) -> None:
    with wired([], connectors=("webhook",)) as wire, ThreadPoolExecutor(2) as pool:
        alerts = [pool.submit(wire.post, ALERT) for _ in range(2)]
        assert {one.result().status_code for one in alerts} == {200}
        assert len(wire.messages) == 1


# --- Bad input -----------------------------------------------------------------------------------------------------

RETRIES: tuple[Any, ...] = ("two", "2", -1, 5, 1.5, True, [])
SECONDS: tuple[Any, ...] = ("soon", 0, -1, 31, {}, False)
SENDING = [*(("retries", value) for value in RETRIES), *(("timeout_seconds", value) for value in SECONDS)]
LISTED: tuple[Any, ...] = (0, 101, "many", 1.5, True)
BAD: dict[str, list[tuple[str, Any]]] = {
    PLAN.format("plan-1"): [("max_routes", value) for value in LISTED] + [("recovery_slo_minutes", "x")],
    RUN.format("run-1"): [("max_risks", value) for value in LISTED] + [("recovery_slo_minutes", 0)],
    **{
        path: [
            *(("max_alerts", value) for value in LISTED),
            *(("suppression_window_minutes", value) for value in (-1, 10_081, "hour", True)),
            *(("force", value) for value in ("yes", 1)),
            *(("expected_interval_minutes", value) for value in (0, 525_601, "x")),
            *(("stale_metadata_minutes", value) for value in (0, "x")),
        ]
        for path in ALERTS
    },
    **{
        path: [
            *(("max_retry_deliveries", value) for value in (0, 26, "5", 2.5, True)),
            *((name, value) for name in ("dry_run", "execute") for value in ("true", 1)),
            ("schedule.enabled", {"enabled": "on"}),
            ("schedule.interval_minutes", {"interval_minutes": 0}),
            ("retry_policy.max_retry_attempts", {"max_retry_attempts": 0}),
            ("retry_policy.speed", {"speed": 1}),
        ]
        for path in WORKERS
    },
}


def test_a_value_that_is_not_accepted_is_named_and_nothing_is_sent(wired: Wired) -> None:
    with wired(failures(), connectors=("webhook",)) as wire:
        before = landed(wire.home)
        for path in EVERY:
            for where, value in BAD[path] + SENDING:
                refused(wire.post(path, **{where.partition(".")[0]: value}, **_live(path, where)), 422, where)
            refused(wire.post(path, generated_by="a@b.example"), 422, "generated_by")
            refused(wire.post(path, generated_by=7), 422, "generated_by")
            refused(wire.client.post(path), 422, "body")
            refused(wire.client.post(path, json=[]), 422, "body")
            refused(wire.client.post(path, content="{", headers={"Content-Type": "application/json"}), 400)
            refused(wire.client.post(path, content="{}", headers={"Content-Type": "text/plain"}), 415)
        for path in DELIVERIES:
            for value in ("pagerduty", "slack", "webhook,slack", ",", "all,webhook", "web hook\n"):
                refused(wire.post(path, provider=value), 400, "provider")
            wrong: Any
            for wrong in (7, ["webhook"], {}):
                refused(wire.post(path, provider=wrong), 422, "provider")
        assert wire.receiver.requests() == []
        assert landed(wire.home) == before


def _live(path: str, where: str) -> dict[str, Any]:
    return {"execute": True} if path in WORKERS and where != "execute" and where != "dry_run" else {}


def test_sending_needs_the_scope_live_and_no_other_origin(wired: Wired, tmp_path: Path) -> None:
    path, tokens = token_file(tmp_path, sender="live", planner="read plan acknowledge")
    with wired(failures(), api_tokens_file=path) as wire:
        with wire.one.client(tokens["planner"]) as client:
            for one in EVERY:
                refused(client.post(one, json={}), 403)
        for one in EVERY:
            refused(wire.post(one), 401)
        with wire.one.client(tokens["sender"]) as client:
            foreign = client.post(ALERT, json={}, headers={"Origin": "https://elsewhere.example"})
            refused(foreign, 403)
            assert wire.receiver.requests() == []
            said = client.post(ALERT, json={"generated_by": "somebody-else"}).json()
        assert len(wire.messages) == 1
    assert said["actor"]["actor"] == said["metadata"]["signer"] == said["plan_metadata"]["signer"] == "sender"
