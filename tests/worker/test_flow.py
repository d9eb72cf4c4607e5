"""The operator's whole loop through the command line, over a real wire, with evidence of every step."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from standardwebhooks import Webhook

from cavra_pipeline import cli
from cavra_pipeline.connectors import DeliverySettings
from cavra_pipeline.lanes import LANES
from cavra_pipeline.retry import sender
from tests.connectors.receiver import Answer, Receiver, answer, hang, reset, throttled
from tests.recoveries.stores import playbook
from tests.support import AS_OF, Line, acknowledgement, at, delivery, drop, home_with, plan, worker_run
from tests.worker.support import SIGNING, Clock, connectors_file

pytestmark = pytest.mark.slow

LANE = "--lane=recovery_escalation"
Cavra = Callable[..., "Said"]


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        assert self.code == 0, self.err
        document: dict[str, Any] = json.loads(self.out)
        return document


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The command line's clock, moved by the test."""
    made = Clock(AS_OF)
    for module in vars(cli).values():
        if isinstance(module, ModuleType) and hasattr(module, "clock"):
            monkeypatch.setattr(module, "clock", made)
    return made


@pytest.fixture
def cavra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], clock: Clock) -> Cavra:
    """The command line on a home of its own."""
    monkeypatch.setenv("CAVRA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CAVRA_CONNECTORS", str(tmp_path / "connectors.yaml"))
    monkeypatch.setenv("CAVRA_IMMEDIATE_TRIES", "1")
    monkeypatch.setenv("CAVRA_THREADS", "1")
    monkeypatch.setenv("SIGNING", SIGNING)
    monkeypatch.delenv("CAVRA_LIVE_LANES", raising=False)
    monkeypatch.setattr(sender, "DeliverySettings", partial(DeliverySettings, read_timeout_seconds=0.3))

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["cavra-pipeline", *arguments])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return Said(int(code or 0), captured.out, captured.err)

    return run


def begin(tmp_path: Path, receiver: Receiver, lines: Sequence[Line], *answers: Answer) -> None:
    """Puts evidence in the home and a receiver behind its webhook."""
    drop(home_with(tmp_path), lines)
    url = receiver.script("/hook", *answers)
    connectors_file(tmp_path / "connectors.yaml", webhook={"url": url, "signing_secrets_env": "SIGNING"})


def worker(cavra: Cavra, *arguments: str, lane: str = LANE) -> dict[str, Any]:
    return cavra("worker", lane, "--json", *arguments).json


def executions(document: dict[str, Any]) -> list[tuple[str, int]]:
    return [(one["execution_status"], one["status_code"]) for one in document["executions"]]


def test_the_operators_loop_from_a_failing_escalation_to_a_healthy_lane(
    tmp_path: Path, cavra: Cavra, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = delivery(at(60), subject="plan-7", failed=["webhook"], session_id="d-1")
    with Receiver() as receiver:
        begin(tmp_path, receiver, [failed, plan(at(10)), worker_run(at(10))], answer(200))

        assert cavra("ingest").code == 0
        gaps = cavra("retry-health", LANE, "--json").json["acknowledgement_gaps"]
        assert [(gap["plan_id"], gap["provider"], gap["acknowledgement_state"]) for gap in gaps] == [
            ("plan-7", "webhook", None)
        ]
        assert cavra("retry-health", LANE, "--fail-on=warning").code == 3

        dry = worker(cavra)
        assert (dry["dry_run"], dry["acknowledgement_pending_count"], dry["selected_retry_count"]) == (True, 1, 0)

        refused = cavra("worker", LANE, "--live")
        assert refused.code == 2
        assert "CAVRA_LIVE_LANES" in refused.err
        monkeypatch.setenv("CAVRA_LIVE_LANES", ",".join(LANES))
        waits = worker(cavra, "--live")
        assert (waits["acknowledgement_pending_count"], waits["executions"]) == (1, [])
        assert receiver.requests() == []

        said = ("--plan=plan-7", "--provider=webhook", "--state=accepted")
        assert cavra("ack", *said, "--by=someone@example.org").code == 2
        assert cavra("ack", *said, "--by=on-call", "--json").json["acknowledgement_state"] == "accepted"
        assert worker(cavra)["selected_retry_count"] == 1
        assert receiver.requests() == []

        kept = cavra("retry-plan", LANE, "--save", "--json").json
        sent = worker(cavra, "--live", f"--plan={kept['retry_plan_id']}")
        assert executions(sent) == [("delivered", 200)]
        (received,) = receiver.requests("/hook")
        message = Webhook(SIGNING)
        signed = {name.lower(): value for name, value in received.headers}
        assert received.header("webhook-timestamp") == str(int(AS_OF.timestamp()))
        assert message.sign(str(received.header("webhook-id")), AS_OF, received.body.decode()) in str(
            signed["webhook-signature"]
        )
        assert json.loads(received.body)["data"]["subject"] == "plan-7"

    clock.move(5)
    assert cavra("retry-plan", LANE, "--json").json["retry_decisions"] == []
    health = cavra("retry-health", LANE, "--json").json
    assert (health["alerts"], health["acknowledgement_gaps"]) == ([], [])
    assert (health["execution_record_count"], health["delivered_execution_count"]) == (1, 1)
    assert (health["worker_run_count"], health["dry_run_count"]) == (5, 3)
    assert cavra("retry-health", LANE, "--fail-on=warning").code == 0
    counted = cavra("dashboard", "--json").json["lanes"]["recovery_escalation"]
    assert (counted["dry_worker_run_count"], counted["live_worker_run_count"]) == (3, 2)
    table = cavra("worker", LANE)
    assert "dry run: nothing was sent" in table.out


def test_the_executive_lane_needs_the_explicit_request_only(
    tmp_path: Path, cavra: Cavra, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = "--lane=executive_report"
    failed = delivery(
        at(60), lane="executive_report", subject="run-3", failed=["webhook"], executive_report_id="report-3"
    )
    monkeypatch.setenv("CAVRA_LIVE_LANES", ",".join(LANES))
    with Receiver() as receiver:
        begin(tmp_path, receiver, [failed], answer(503), answer(200))

        assert cavra("ack", lane, "--plan=run-3", "--provider=webhook", "--state=accepted", "--by=me").code == 2
        assert worker(cavra, lane=lane)["selected_retry_count"] == 1
        assert receiver.requests() == []
        first = worker(cavra, "--live", lane=lane)
        assert executions(first) == [("failed", 503)]
        assert "failed_executive_report_delivery" in [
            alert["category"] for alert in cavra("retry-health", lane, "--json").json["alerts"]
        ]
        assert worker(cavra, "--live", lane=lane)["waiting_retry_count"] == 1
        clock.move(60)
        second = worker(cavra, "--live", lane=lane)
        assert [one["execution_status"] for one in second["executions"]] == ["delivered"]
        assert len({one.header("webhook-id") for one in receiver.requests()}) == 1
    health = cavra("retry-health", lane, "--json").json
    assert (health["failed_execution_count"], health["delivered_execution_count"], health["alerts"]) == (1, 1, [])


@pytest.mark.parametrize(
    ("first", "grade", "minutes"),
    [
        (answer(503), "failed", 30),
        (hang(), "ambiguous", 30),
        (reset(), "ambiguous", 30),
        (throttled(4 * 3600), "throttled", 240),
    ],
    ids=["503", "hang after storing", "reset", "429 with Retry-After"],
)
def test_a_transient_answer_is_retried_when_it_is_due_with_the_same_id(
    tmp_path: Path,
    cavra: Cavra,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    first: Answer,
    grade: str,
    minutes: int,
) -> None:
    monkeypatch.setenv("CAVRA_LIVE_LANES", ",".join(LANES))
    lines = [delivery(at(60), failed=["webhook"]), acknowledgement(at(30), provider="webhook")]
    with Receiver() as receiver:
        begin(tmp_path, receiver, lines, first, answer(200))

        (made,) = worker(cavra, "--live")["executions"]
        assert (made["execution_status"], made["grade"]) == ("failed", grade)
        assert made["retry_not_before"] == ((AS_OF + timedelta(hours=4)).isoformat() if minutes == 240 else None)
        clock.at = AS_OF + timedelta(minutes=minutes) - timedelta(microseconds=1)
        early = worker(cavra, "--live")
        assert early["selected_retry_count"] == 0
        assert [one["held_because"] for one in early["held_retries"]] == (
            ["provider_asked_to_wait"] if minutes == 240 else []
        )
        clock.at = AS_OF + timedelta(minutes=minutes)
        (again,) = worker(cavra, "--live")["executions"]

        assert again["execution_status"] == "delivered"
        assert len(receiver.requests("/hook")) == 2
        assert len({one.header("webhook-id") for one in receiver.requests("/hook")}) == 1
    assert cavra("retry-plan", LANE, "--json").json["retry_decisions"] == []


def test_a_permanent_refusal_is_not_tried_again_until_somebody_asks_for_it(
    tmp_path: Path, cavra: Cavra, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAVRA_LIVE_LANES", ",".join(LANES))
    lines = [delivery(at(60), failed=["webhook"]), acknowledgement(at(30), provider="webhook")]
    with Receiver() as receiver:
        begin(tmp_path, receiver, lines, answer(410), answer(200))
        (made,) = worker(cavra, "--live")["executions"]
        assert (made["execution_status"], made["grade"], made["status_code"]) == ("failed", "rejected", 410)
        for arguments in ((), ("--live",), ("--live",)):
            clock.move(6 * 60)
            document = worker(cavra, *arguments)
            assert [one["held_because"] for one in document["held_retries"]] == ["provider_refused_it"]
        assert len(receiver.requests("/hook")) == 1

        kept = cavra("retry-plan", LANE, "--save", "--json").json["retry_plan_id"]
        (again,) = worker(cavra, "--live", f"--plan={kept}")["executions"]
        assert again["execution_status"] == "delivered"
        assert len({one.header("webhook-id") for one in receiver.requests("/hook")}) == 1


def test_a_plan_that_is_not_kept_or_whose_evidence_has_changed_is_refused(
    tmp_path: Path, cavra: Cavra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAVRA_LIVE_LANES", ",".join(LANES))
    lines = [delivery(at(60), failed=["webhook"]), acknowledgement(at(30), provider="webhook")]
    with Receiver() as receiver:
        begin(tmp_path, receiver, lines, answer(200))
        assert cavra("ingest").code == 0
        unkept = cavra("retry-plan", LANE, "--json").json["retry_plan_id"]
        refused = cavra("worker", LANE, "--live", f"--plan={unkept}")
        assert (refused.code, "retry-plan --lane recovery_escalation --save" in refused.err) == (1, True)
        kept = cavra("retry-plan", LANE, "--save", "--json").json["retry_plan_id"]
        drop(home_with(tmp_path), [delivery(at(50), subject="other")], name="late.jsonl")
        refused = cavra("worker", LANE, "--live", f"--plan={kept}")
        assert (refused.code, "has changed since it was made" in refused.err) == (1, True)
        assert receiver.requests() == []


def test_a_named_connectors_file_that_is_not_there_is_named_and_is_not_an_empty_one(
    tmp_path: Path, cavra: Cavra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAVRA_CONNECTORS", str(tmp_path / "connetcors.yaml"))

    (problem,) = worker(cavra)["connector_problems"]

    assert problem["reason"] == "connectors_file_unusable"
    assert "connetcors.yaml: it cannot be read" in problem["faults"][0]


@pytest.mark.parametrize("number", ["0", "26"])
def test_a_number_of_retries_that_is_not_accepted_is_wrong_usage(
    cavra: Cavra, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CAVRA_CONNECTORS")
    refused = cavra("worker", LANE, f"--max-retry-deliveries={number}")

    assert refused.code == 2
    assert "--max-retry-deliveries" in refused.err


@pytest.mark.slow
def test_what_is_exported_and_imported_into_an_empty_home_makes_the_same_reports(
    tmp_path: Path, cavra: Cavra, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAVRA_LIVE_LANES", ",".join(LANES))
    lines: list[Line] = []
    lanes = ("recovery_escalation", "executive_report", "recovery_health_alert", "executive_health_alert")
    for lane in lanes:
        for n, provider in enumerate(("webhook", "slack", "teams")):
            subject = f"{lane}-{n}"
            lines += [
                delivery(at(90 + n, microseconds=n), lane=lane, subject=subject, failed=[provider], status_codes=[503]),
                delivery(at(80 + n), lane=lane, subject=f"{subject}-ok", providers=[provider]),
                acknowledgement(at(30), lane=lane, subject=subject, provider=provider) if lane != "executive_report"
                else worker_run(at(300 + n), lane=lane, enabled=None),
            ]  # fmt: skip
    with Receiver() as receiver:
        begin(tmp_path, receiver, lines, answer(200), answer(503), answer(200))
        for lane in lanes:
            worker(cavra, "--live", lane=f"--lane={lane}")
            worker(cavra, lane=f"--lane={lane}")
        cavra("ack", "--plan=recovery_escalation-1", "--provider=slack", "--state=deferred", "--by=on-call")
    clock.move(5)

    def reports() -> list[str]:
        return [
            str(cavra(command, f"--lane={lane}", "--json").json[name])
            for lane in lanes
            for command, name in (("retry-plan", "retry_plan_id"), ("retry-health", "health_id"))
        ]

    before = reports()
    exported = cavra("export", "--all")
    assert "CAVRA" in exported.err
    assert exported.code == 0
    (tmp_path / "exported.jsonl").write_text(exported.out, encoding="utf-8")

    monkeypatch.setenv("CAVRA_HOME", str(tmp_path / "empty"))
    imported = cavra("import", "--json", str(tmp_path / "exported.jsonl"))
    assert imported.code == 0, imported.err
    assert cavra("ingest").code == 0
    assert reports() == before
    assert cavra("export", "--all").out == exported.out
    assert cavra("quarantine", "--json").json["count"] == 0
    assert cavra("findings", "--json").json["count"] == 0


def test_an_export_may_be_of_what_was_made_here_or_of_what_came_since(
    tmp_path: Path, cavra: Cavra, clock: Clock
) -> None:
    with Receiver() as receiver:
        begin(tmp_path, receiver, [delivery(at(60), failed=["webhook"], session_id="theirs")], answer(200))
        clock.move(1)
        worker(cavra)

    def kinds(*arguments: str) -> list[str]:
        found = [json.loads(line) for line in cavra("export", *arguments).out.splitlines()]
        return [str(one["metadata_kind"]).rsplit("-", 2)[-1] for one in found]

    assert kinds() == ["plan", "run"]
    assert kinds("--all") == ["delivery", "plan", "run"]
    moment: datetime = clock() + timedelta(microseconds=1)
    assert kinds(f"--since={clock().isoformat()}") == ["plan", "run"]
    assert kinds(f"--since={moment.isoformat()}") == []


EXECUTIVE = "--lane=executive_report"


def webhook_id(headers: Sequence[tuple[str, str]]) -> str:
    return {name.lower(): value for name, value in headers}["webhook-id"]


def test_an_executive_report_that_does_not_arrive_is_retried_under_the_same_id(
    tmp_path: Path, cavra: Cavra, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as receiver:
        begin(tmp_path, receiver, [worker_run(at(10))], answer(503), answer(200))
        cavra("ingest")

        dry = cavra("executive-report", "--provider=webhook")
        assert "Dry run: would notify webhook" in dry.err
        assert "set up on this host" not in dry.err
        assert not receiver.requests("/hook")
        assert cavra("retry-plan", EXECUTIVE, "--json").json["decision_count"] == 0
        assert cavra("executive-report", "--provider=webhook", "--live").code == 2
        monkeypatch.setenv("CAVRA_LIVE_LANES", ",".join(LANES))
        clock.move(1)

        assert cavra("executive-report", "--provider=webhook", "--live").code == 1

        (decision,) = cavra("retry-plan", EXECUTIVE, "--json").json["retry_decisions"]
        assert (decision["action"], decision["provider"], decision["failed_status_codes"]) == ("wait", "webhook", [503])
        assert str(decision["executive_report_id"]).startswith("executive-report-")
        clock.move(31)
        assert executions(worker(cavra, "--live", lane=EXECUTIVE)) == [("delivered", 200)]
        first, second = receiver.requests("/hook")
        assert webhook_id(first.headers) == webhook_id(second.headers)
        assert cavra("retry-plan", EXECUTIVE, "--json").json["decision_count"] == 0


def test_an_escalation_plan_is_told_through_its_connectors_and_one_that_is_not_on_is_refused(
    tmp_path: Path, cavra: Cavra, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = delivery(at(300), subject="plan-7", failed=["webhook"], session_id="d-1")
    opened = playbook(at(301), "jira")
    monkeypatch.setenv("CAVRA_LIVE_LANES", ",".join(LANES))
    with Receiver() as receiver:
        begin(tmp_path, receiver, [opened, failed], answer(200))
        cavra("ingest")

        refused = cavra("escalate", "--provider=slack", "--live")
        assert (refused.code, receiver.requests("/hook")) == (2, [])
        told = cavra("escalate", "--provider=webhook", "--live", "--json").json

        assert told["plan"]["slo_breached_count"] == 1
        assert [outcome["grade"] for outcome in told["delivery"]["outcomes"]] == ["delivered"]
        assert len(receiver.requests("/hook")) == 1
        clock.move(1)
        again = cavra("escalate", "--json").json["plan"]
        (route,) = again["escalation_routes"]
        assert (route["provider"], route["notified_through"], route["need"]) == ("jira", ["webhook"], "acknowledge")
