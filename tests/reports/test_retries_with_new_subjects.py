"""A retry whose delivery has a subject of its own belongs to what it retries (contract section 4a)."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from tests.support import (
    AS_OF,
    MICROSECOND,
    NOW,
    Record,
    acknowledgement,
    ask_health,
    ask_plan,
    at,
    delivery,
    execution,
    ingested,
    record,
    without_clock,
)

pytestmark = pytest.mark.slow

LANE = "acknowledgement_audit"
CLOSEOUT = "release_closeout"


def sent(minutes: int, subject: str, *, failed: bool = True, **fields: Any) -> Record:
    fields.setdefault("lane", LANE)
    return delivery(
        at(minutes), subject=subject, failed=["slack"] if failed else [], session_id=f"sent-{subject}", **fields
    )


def retried(minutes: int, subject: str, by: str, *, status: str = "failed", **fields: Any) -> Record:
    """The execution that says which delivery was a retry of the subject."""
    lane = fields.pop("lane", LANE)
    key = "new_delivery_id" if LANES[lane].results_are_nested else "delivery_metadata_id"
    payload: Record = {LANES[lane].kinds.execution.replace("-", "_"): {key: f"sent-{by}"}}
    return execution(at(minutes), lane=lane, subject=subject, status=status, **payload, **fields)


def pairs(plan: dict[str, Any]) -> list[tuple[str, str, int]]:
    key = LANES[plan["lane"]].subject_field
    return [(one[key], one["action"], one["retry_count"]) for one in plan["retry_decisions"]]


def test_failures_of_a_chain_of_retries_add_up_at_its_beginning(tmp_path: Path) -> None:
    chain = [sent(300, "a"), sent(200, "b"), retried(200, "a", "b"), sent(100, "c"), retried(100, "b", "c")]
    home = ingested(tmp_path, chain)

    assert pairs(ask_plan(home, LANE)) == [("a", "suppress", 3)]
    assert pairs(ask_plan(home, LANE, at(150))) == [("a", "retry", 2)]
    assert pairs(ask_plan(home, LANE, at(250))) == [("a", "retry", 1)]
    assert ask_health(home, LANE)["unresolved_delivery_count"] == 1


def test_a_retry_that_keeps_a_retry_s_subject_stands_for_itself_until_it_is_named(tmp_path: Path) -> None:
    again = delivery(at(100), lane=LANE, subject="b", failed=["slack"], session_id="sent-again")
    chain = [sent(300, "a"), sent(200, "b"), retried(200, "a", "b"), again, retried(50, "b", "again")]
    home = ingested(tmp_path, chain)

    with warehouse_of(home).reading() as session:
        asked = [at(150), at(75), at(25)]
        plans = retry_plans(session, LANES[LANE], retry_policy(LANES[LANE], {}), instants=asked, now=NOW)
    assert [pairs(plan) for plan in plans] == [
        [("a", "retry", 2)], [("a", "retry", 2), ("b", "retry", 1)], [("a", "suppress", 3)],
    ]  # fmt: skip
    assert [pairs(ask_plan(home, LANE, moment)) for moment in asked] == [pairs(plan) for plan in plans]


@pytest.mark.parametrize("lane", [LANE, CLOSEOUT])
def test_a_retry_that_arrives_settles_what_it_retries(lane: str, tmp_path: Path) -> None:
    answered = retried(100, "a", "b", status="delivered", lane=lane)
    home = ingested(tmp_path, [sent(300, "a", lane=lane), sent(100, "b", failed=False, lane=lane), answered])

    assert pairs(ask_plan(home, lane, at(101))) == [("a", "retry", 1)]
    assert pairs(ask_plan(home, lane)) == []
    health = ask_health(home, lane)
    assert (health["unresolved_delivery_count"], health["unresolved_failed_execution_count"]) == (0, 0)


def test_without_an_execution_a_retry_stands_for_itself(tmp_path: Path) -> None:
    home = ingested(tmp_path, [sent(300, "a"), sent(200, "b"), sent(100, "c", failed=False)])

    assert pairs(ask_plan(home, LANE)) == [("a", "retry", 1), ("b", "retry", 1)]


def test_a_link_is_of_the_execution_s_provider_only(tmp_path: Path) -> None:
    both = delivery(at(200), lane=LANE, subject="b", failed=["slack", "teams"], session_id="sent-b")
    home = ingested(tmp_path, [sent(300, "a"), both, retried(200, "a", "b")])

    found = {(one["delivery_id"], one["provider"]): one["retry_count"] for one in
             ask_plan(home, LANE)["retry_decisions"]}  # fmt: skip
    assert found == {("a", "slack"): 2, ("b", "teams"): 1}


def test_of_two_executions_that_name_one_delivery_the_earlier_counts(tmp_path: Path) -> None:
    links = [retried(150, "a", "c"), retried(199, "b", "c")]
    home = ingested(tmp_path, [sent(300, "a"), sent(290, "b"), sent(200, "c"), *links])

    assert pairs(ask_plan(home, LANE)) == [("a", "retry", 1), ("b", "retry", 2)]


def test_in_a_lane_whose_retries_keep_their_subject_no_link_counts(tmp_path: Path) -> None:
    payload: Record = {LANES["auditor_export"].kinds.execution.replace("-", "_"): {"delivery_metadata_id": "sent-b"}}
    linked = execution(at(200), lane="auditor_export", subject="a", **payload)
    home = ingested(tmp_path, [sent(300, "a", lane="auditor_export"), sent(200, "b", lane="auditor_export"), linked])

    assert pairs(ask_plan(home, "auditor_export")) == [("a", "retry", 1), ("b", "retry", 1)]


def test_answers_and_executions_of_a_retry_s_subject_are_of_the_first(tmp_path: Path) -> None:
    chain = [sent(300, "a"), sent(200, "b"), retried(200, "a", "b")]
    failed = execution(at(150), lane=LANE, subject="b")
    home = ingested(tmp_path / "open", [*chain, failed])
    closed = ingested(
        tmp_path / "closed", [*chain, failed, acknowledgement(at(100), lane=LANE, subject="b", state="resolved")]
    )

    assert ask_health(home, LANE)["unresolved_failed_execution_count"] == 1
    assert ask_health(closed, LANE)["unresolved_failed_execution_count"] == 0


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_circle_of_links_ends_and_loses_nothing(order: tuple[int, ...], tmp_path: Path) -> None:
    links = [retried(100, "a", "b"), retried(101, "b", "c"), retried(102, "c", "a")]
    records = [sent(300, "a"), sent(299, "b"), sent(298, "c"), *(links[n] for n in order)]
    home = ingested(tmp_path, records)

    assert sum(count for _, _, count in pairs(ask_plan(home, LANE))) == 3


def test_a_link_counts_from_its_execution_on_though_the_delivery_came_before(tmp_path: Path) -> None:
    home = ingested(tmp_path, [sent(300, "a"), sent(200, "b"), retried(100, "a", "b")])

    assert pairs(ask_plan(home, LANE, at(100) - MICROSECOND)) == [("a", "retry", 1), ("b", "retry", 1)]
    assert pairs(ask_plan(home, LANE, at(100))) == [("a", "retry", 2)]


def test_many_instants_at_once_answer_as_each_alone(tmp_path: Path) -> None:
    """Instants between a delivery and its link, at them and around them, in one question and one by one."""
    records = [
        sent(300, "a"), sent(240, "b"), retried(210, "a", "b"), sent(180, "c", failed=False),
        retried(150, "b", "c", status="delivered"), sent(120, "d"), retried(130, "a", "d"),
        acknowledgement(at(90), lane=LANE, subject="b", state="resolved"),
    ]  # fmt: skip
    home = ingested(tmp_path, records)
    instants = [at(minutes, microseconds=off) for minutes in range(60, 330, 15) for off in (-1, 0, 1)]
    lane = LANES[LANE]

    with warehouse_of(home).reading() as session:
        plans = retry_plans(session, lane, retry_policy(lane), instants=instants, now=NOW, generated_by="tests")
    with warehouse_of(home).reading() as session:
        health = retry_health_reports(
            session, lane, health_parameters(lane), instants=instants, now=NOW, generated_by="tests"
        )

    assert [without_clock(one) for one in plans] == [without_clock(ask_plan(home, LANE, when)) for when in instants]
    assert [without_clock(one) for one in health] == [without_clock(ask_health(home, LANE, when)) for when in instants]


def test_a_retry_without_a_subject_counts_from_its_link_on_among_many_instants(tmp_path: Path) -> None:
    nameless = delivery(at(180), lane=LANE, subject=None, session_id="nameless")
    named = {"delivery_metadata_id": "nameless"}
    link = execution(at(120), lane=LANE, subject="a", status="delivered", retry_execution_record=named)
    home = ingested(tmp_path, [sent(300, "a"), nameless, link])
    instants = [at(minutes, microseconds=off) for minutes in (300, 180, 120, 60) for off in (-1, 0, 1)]
    lane = LANES[LANE]

    with warehouse_of(home).reading() as session:
        plans = retry_plans(session, lane, retry_policy(lane), instants=instants, now=NOW, generated_by="tests")

    assert [one["decision_count"] for one in plans] == [0, *[1] * 6, *[0] * 5]
    assert [without_clock(one) for one in plans] == [without_clock(ask_plan(home, LANE, when)) for when in instants]


def test_an_event_id_that_is_the_event_s_type_is_no_subject(tmp_path: Path) -> None:
    fields: Record = {"subject": None, "failed": ["slack"], "lane": LANE, "event_type": "cavra.drill"}
    typed = delivery(at(10), event_id="cavra.drill", session_id="s-typed", **fields)
    named = delivery(at(9), event_id="event-1", session_id="s-named", **fields)
    home = ingested(tmp_path, [typed, named])

    assert [subject for subject, _, _ in pairs(ask_plan(home, LANE))] == ["event-1", "s-typed"]


def approval(minutes: float, state: str, subject: str = "a", **fields: Any) -> Record:
    named = {"delivery_id": subject, "provider": "slack", "approval_state": state}
    return record("retry-execution-approval-decision", AS_OF - timedelta(minutes=minutes), **named, **fields)


@pytest.mark.parametrize(
    ("decisions", "gap"),
    [
        ([], None),
        ([approval(60, "approved")], False),
        ([approval(60, "denied")], "denied"),
        ([approval(60, "approved"), approval(50, "expired")], "expired"),
        ([approval(60, "denied"), approval(50, "approved")], False),
        ([approval(60, "approved", "another")], None),
        ([approval(-1, "approved")], None),
        ([approval(60, "approved"), execution(at(50), lane=LANE, subject="a", status="delivered")], "approved"),
        ([approval(60, "approved"), execution(at(70), lane=LANE, subject="a", status="delivered")], False),
        ([approval(60, "approved"), execution(at(50), lane=LANE, subject="a", status="failed")], False),
    ],
)
def test_an_approval_holds_until_withdrawn_or_used_up(
    decisions: list[Record], gap: str | bool | None, tmp_path: Path
) -> None:
    home = ingested(tmp_path, [sent(300, "a", audit_id="audit-1"), *decisions])

    health = ask_health(home, LANE)

    expected = [] if gap is False else [{
        "delivery_id": "a", "audit_id": "audit-1", "provider": "slack", "since": at(300).isoformat(),
        "approval_state": gap, "provider_incident_id": None,
    }]  # fmt: skip
    assert health["approval_gaps"] == expected
    assert health["approval_pending_count"] == len(expected)
    categories = [alert["category"] for alert in health["alerts"]]
    assert ("acknowledgement_audit_approval_gap" in categories) is bool(expected)


def test_what_waits_or_is_exhausted_needs_no_approval_yet(tmp_path: Path) -> None:
    exhausted = [sent(minutes, "a") | {"session_id": f"s-{minutes}"} for minutes in (300, 200, 100)]
    home = ingested(tmp_path, [*exhausted, sent(5, "b")])

    assert pairs(ask_plan(home, LANE)) == [("a", "suppress", 3), ("b", "wait", 1)]
    assert ask_health(home, LANE)["approval_gaps"] == []
