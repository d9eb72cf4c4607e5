"""The newest acknowledgement, plan and run decide (contract section 7), also where they say nothing."""

from __future__ import annotations

from pathlib import Path

from cavra_pipeline.verify.derive import derive
from tests.support import Record, acknowledgement, ask_health, at, delivery, ingested, plan, record, worker_run
from tests.verify.bundles import NOTHING_PRUNED, RULES

LANE = "recovery_health_alert"
STEM = "recovery-escalation-retry-health-alert"


def counts(tmp_path: Path, lane: str, lines: list[Record]) -> tuple[int, int]:
    """Outstanding acknowledgements and unresolved executions, by the engine; the plain verifier says the same."""
    report = ask_health(ingested(tmp_path, lines), lane)
    again = derive(report, RULES[lane], lines, NOTHING_PRUNED)
    names = ("outstanding_alert_acknowledgement_count", "unresolved_failed_execution_count")
    assert [again[name] for name in names] == [report[name] for name in names]
    return report[names[0]], report[names[1]]


def alert_plan(minutes: float, session_id: str, *providers: str) -> Record:
    required = {"acknowledgement_required_providers": list(providers)} if providers else {}
    return record(f"{STEM}-plan", at(minutes), session_id, health_id="h-1", plan_id=session_id, **required)


def ack(kind: str, minutes: float, **fields: str) -> Record:
    return record(kind, at(minutes), f"ack-{minutes}", provider="slack", **fields)


def test_an_alert_is_outstanding_again_after_an_answer_without_a_state(tmp_path: Path) -> None:
    answered = [
        alert_plan(30, "p-1", "slack"),
        ack(f"{STEM}-ack", 20, health_id="h-1", acknowledgement_state="resolved"),
    ]

    assert counts(tmp_path / "answered", LANE, answered) == (0, 0)
    assert counts(tmp_path / "again", LANE, [*answered, ack(f"{STEM}-ack", 10, health_id="h-1")]) == (1, 0)


def test_the_newest_alert_plan_requires_nothing_where_it_names_nobody(tmp_path: Path) -> None:
    assert counts(tmp_path / "one", LANE, [alert_plan(30, "p-1", "slack")]) == (1, 0)
    assert counts(tmp_path / "two", LANE, [alert_plan(30, "p-1", "slack"), alert_plan(20, "p-2")]) == (0, 0)


def test_a_failed_retry_is_unresolved_again_after_an_answer_without_a_state(tmp_path: Path) -> None:
    lane, kind = "recovery_escalation", "recovery-escalation-ack"
    failed = record("recovery-escalation-retry-execution-record", at(40), "x-1", plan_id="s", provider="slack",
                    execution_status="failed")  # fmt: skip
    closed = [failed, ack(kind, 20, plan_id="s", acknowledgement_state="dismissed")]

    assert counts(tmp_path / "closed", lane, closed) == (0, 0)
    assert counts(tmp_path / "again", lane, [*closed, ack(kind, 10, plan_id="s")]) == (0, 1)


def test_an_empty_id_or_state_reads_as_a_missing_one(tmp_path: Path) -> None:
    lane = "recovery_escalation"
    lines = [
        delivery(at(60), subject="s", providers=["slack"], failed=["slack"]),
        acknowledgement(at(50), subject="s", provider="slack", state=""),
        {**worker_run(at(40), session_id="w-1"), "run_id": ""},
        {**plan(at(30), session_id="p-1"), "retry_plan_id": ""},
    ]

    report = ask_health(ingested(tmp_path, lines), lane)

    (gap,) = report["acknowledgement_gaps"]
    assert gap["acknowledgement_state"] is None
    assert (report["latest_worker_run_id"], report["latest_retry_plan_id"]) == ("w-1", "p-1")
    again = derive(report, RULES[lane], lines, NOTHING_PRUNED)
    assert [gap["acknowledgement_state"] for gap in again["acknowledgement_gaps"]] == [None]
    assert (again["latest_worker_run_id"], again["latest_retry_plan_id"]) == ("w-1", "p-1")
