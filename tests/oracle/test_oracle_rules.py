"""The oracle's own rules where the worked cases say nothing: chains of retries, approvals, alerts, unused lanes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.oracle.evidence import DELIVERY, LANES, PREFIX, OracleRecord, Raw, current
from tests.oracle.histories import history
from tests.oracle.model import health, plan
from tests.oracle.pairs import OracleLadder
from tests.oracle.recoveries import closure, recoveries

pytestmark = pytest.mark.slow

START = datetime(2026, 6, 25, 6, 0, tzinfo=UTC)
AUDIT = LANES["acknowledgement_audit"]


def made(kind: str, minute: float, session_id: str, **fields: Any) -> Raw:
    return {
        "session_id": session_id,
        "created_at": (START + timedelta(minutes=minute)).isoformat(),
        "metadata_kind": kind if kind == DELIVERY else PREFIX + kind,
        **fields,
    }


def sent(minute: float, session_id: str, subject: str, *, delivered: bool = False, provider: str = "slack") -> Raw:
    return made(
        DELIVERY,
        minute,
        session_id,
        connector_delivery_source=AUDIT.source,
        delivery_id=subject,
        providers=[provider],
        failed_providers=[] if delivered else [provider],
        delivery_success=delivered,
    )


def ran(
    minute: float, session_id: str, subject: str, new: str, *, status: str = "failed", provider: str = "slack"
) -> Raw:
    return made(
        AUDIT.execution,
        minute,
        session_id,
        delivery_id=subject,
        provider="slack",
        execution_status=status,
        retry_execution_record={"delivery_metadata_id": new, "skipped": ""},
    )


def approval(minute: float, session_id: str, subject: str, state: str) -> Raw:
    return made(AUDIT.approval, minute, session_id, delivery_id=subject, provider="Slack", approval_state=state)


def evidence(*records: Raw) -> list[OracleRecord]:
    return current({"2026-06-25/a.jsonl": records})


def attempts(*records: Raw, minute: float = 60) -> dict[tuple[str, str], list[str]]:
    ladder = OracleLadder(evidence(*records), AUDIT, START + timedelta(minutes=minute))
    return {pair: [delivery.session_id for delivery, _ in each.all] for pair, each in ladder.pairs.items()}


CHAIN = (sent(0, "d0", "a"), sent(1, "d1", "b"), ran(1, "x1", "a", "d1"), sent(2, "d2", "c"), ran(2, "x2", "b", "d2"))


def test_a_chain_of_retries_belongs_to_its_beginning() -> None:
    assert attempts(*CHAIN) == {("a", "slack"): ["d0", "d1", "d2"]}


def test_a_retry_stands_for_itself_until_its_execution_exists_and_without_one() -> None:
    late = (*CHAIN[:2], ran(5, "x1", "a", "d1"))

    assert attempts(*late, minute=4.9) == attempts(*CHAIN[:2]) == {("a", "slack"): ["d0"], ("b", "slack"): ["d1"]}
    assert attempts(*late, minute=5) == {("a", "slack"): ["d0", "d1"]}


def test_of_two_executions_that_name_one_delivery_the_earlier_counts() -> None:
    other = sent(0, "e0", "z")

    assert attempts(*CHAIN[:3], other, ran(2, "x0", "z", "d1")) == {
        ("a", "slack"): ["d0", "d1"],
        ("z", "slack"): ["e0"],
    }
    assert attempts(*CHAIN[:3], other, ran(0.5, "x0", "z", "d1")) == {
        ("a", "slack"): ["d0"],
        ("z", "slack"): ["e0", "d1"],
    }


def test_a_link_is_of_the_executions_provider_alone() -> None:
    retry = {**sent(1, "d1", "b"), "providers": ["slack", "jira"], "failed_providers": ["slack", "jira"]}

    assert attempts(sent(0, "d0", "a"), retry, ran(1, "x1", "a", "d1")) == {
        ("a", "slack"): ["d0", "d1"],
        ("b", "jira"): ["d1"],
    }


def test_a_circle_of_retries_has_no_beginning() -> None:
    circle = (*CHAIN, ran(3, "x3", "c", "d0"))

    assert attempts(*circle) == {("a", "slack"): ["d1"], ("b", "slack"): ["d2"], ("c", "slack"): ["d0"]}


def test_retries_that_share_a_new_subject_belong_each_to_its_own_first_one() -> None:
    other = (sent(0, "e0", "z"), sent(2, "e1", "b"), ran(2, "x2", "z", "e1"))

    assert attempts(*CHAIN[:3], *other) == {("a", "slack"): ["d0", "d1"], ("z", "slack"): ["e0", "e1"]}


def test_a_delivery_without_an_execution_stands_for_itself_though_its_subject_does_not() -> None:
    assert attempts(*CHAIN[:3], sent(5, "d5", "b")) == {("a", "slack"): ["d0", "d1"], ("b", "slack"): ["d5"]}


def test_a_delivered_retry_settles_the_first_subject() -> None:
    records = evidence(CHAIN[0], sent(1, "d1", "b", delivered=True), CHAIN[2])

    assert plan(records, AUDIT, START + timedelta(minutes=1), {})["decision_count"] == 0
    assert plan(records, AUDIT, START, {})["decision_count"] == 1


@pytest.mark.parametrize(
    ("later", "state"),
    [
        ((), "nothing"),
        ((approval(3, "p2", "a", "denied"),), "denied"),
        ((approval(3, "p2", "a", "denied"), approval(4, "p3", "b", "approved")), "nothing"),
        ((ran(4, "x9", "a", "", status="delivered"),), "approved"),
        ((ran(4, "x9", "a", ""),), "nothing"),
        ((ran(1, "x9", "a", "", status="delivered"),), "nothing"),
    ],
)
def test_an_approval_holds_until_it_is_withdrawn_or_used(later: tuple[Raw, ...], state: str) -> None:
    records = evidence(*CHAIN[:3], approval(2, "p1", "a", "approved"), *later)
    gaps = health(records, AUDIT, START + timedelta(hours=2), {})["approval_gaps"]

    assert [(gap["delivery_id"], gap["approval_state"]) for gap in gaps] == (
        [] if state == "nothing" else [("a", state)]
    )


def test_a_lane_without_a_record_is_not_in_use() -> None:
    unused = health(evidence(sent(10, "d0", "a")), AUDIT, START, {})
    used = health(evidence(sent(10, "d0", "a")), AUDIT, START + timedelta(minutes=10), {})

    assert (unused["alert_level"], unused["alerts"], unused["missed_worker_count"]) == ("unknown", [], 0)
    assert (unused["future_record_count"], used["future_record_count"]) == (1, 0)
    assert (used["alert_level"], used["missed_worker_count"]) == ("critical", 1)


def test_the_newest_alert_plan_and_acknowledgement_of_a_health_id_count() -> None:
    lane = LANES["recovery_health_alert"]
    required = {"health_id": "h", "acknowledgement_required_providers": ["slack", "Azure-Repos"]}
    taken = {"health_id": "h", "provider": "azure-repos"}
    records = evidence(
        made(lane.alert_plan, 0, "p0", health_id="h", acknowledgement_required_providers=["jira"]),
        made(lane.alert_plan, 1, "p1", **required),
        made(lane.acknowledgement, 2, "a1", **taken, acknowledgement_state="resolved"),
        made(lane.acknowledgement, 3, "a2", **taken, acknowledgement_state="escalated"),
    )

    counts = [
        health(records, lane, START + timedelta(minutes=minute), {})["outstanding_alert_acknowledgement_count"]
        for minute in range(4)
    ]
    assert counts == [1, 2, 1, 2]


def test_a_recovery_is_past_its_limit_by_its_exact_age_and_reopens() -> None:
    book = {"playbook_id": "k", "connector_recovery_playbook": {"provider_playbooks": [{"provider": "Slack"}]}}
    records = evidence(
        made("connector-recovery-playbook", 0, "k", **book),
        made("connector-recovery-closure", 250, "c1", playbook_id="k", provider="slack", closure_state="resolved"),
        made("connector-recovery-closure", 300, "c2", playbook_id="k", provider="slack", closure_state="reopened"),
    )

    asked = (240, 240.01, 250, 300)
    rows = [recoveries(records, START + timedelta(minutes=minute))["recoveries"][0] for minute in asked]
    assert [row["slo_status"] for row in rows] == ["open", "breached", "closed", "breached"]
    assert [row["closure_minutes"] for row in rows] == [None, None, 250, None]
    assert closure(records, START + timedelta(minutes=250))["closure_state"] == "closed"
    assert closure(records, START + timedelta(minutes=300))["counts"]["", "open_recovery"] == 1


COUNTS = (
    "approval_pending_count",
    "acknowledgement_pending_count",
    "failed_after_delivery_count",
    "outstanding_alert_acknowledgement_count",
    "skipped_execution_count",
    "unresolved_failed_execution_count",
)


def test_the_histories_hold_what_the_rules_are_about() -> None:
    found: set[str] = set()
    for seed in range(30):
        records = current(history(seed))
        end = records[-1].at
        for lane in LANES.values():
            ladder = OracleLadder(records, lane, end)
            report = health(records, lane, end, {})
            found |= {name for name in COUNTS if report.get(name)}
            own = [{ladder.subject(delivery) for delivery, _ in pair.all} for pair in ladder.pairs.values()]
            phenomena = {
                "chain of retries": any(len(subjects) > 2 for subjects in own),
                "delivery without a subject": any(not ladder.subject(delivery) for delivery in ladder.deliveries),
                "lane not in use": report["alert_level"] == "unknown",
                "settled pair": any(pair.settled for pair in ladder.pairs.values()),
            }
            found |= {name for name, is_there in phenomena.items() if is_there}
        rows = recoveries(records, end)["recoveries"]
        found |= {row[name] for row in rows for name in ("slo_status", "closure_state")}

    assert found >= {"chain of retries", "delivery without a subject", "lane not in use", "settled pair", *COUNTS}
    assert found >= {"open", "breached", "closed", "resolved", "mitigated", "deferred", "escalated", "reopened"}
