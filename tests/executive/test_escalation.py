"""The escalation plan: what is open, how late it is, who was told, what to do."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.boundary.kinds import KIND_PREFIX, fields_of
from cavra_pipeline.errors import UsageError
from tests.executive.histories import ask_escalation, opening
from tests.support import (
    AS_OF,
    MICROSECOND,
    NOW,
    Record,
    acknowledgement,
    at,
    delivery,
    execution,
    ingested,
    without_clock,
)


def _open(tmp_path: Path, *records: Record, **more: Any) -> list[dict[str, Any]]:
    recoveries: list[dict[str, Any]] = ask_escalation(ingested(tmp_path, records), **more)["recoveries"]
    return recoveries


@pytest.mark.parametrize(
    ("age", "state"),
    [
        (timedelta(minutes=180) - MICROSECOND, "within"),
        (timedelta(minutes=180), "at_risk"),
        (timedelta(minutes=240), "at_risk"),
        (timedelta(minutes=240) + MICROSECOND, "breached"),
    ],
)
def test_a_recovery_is_at_risk_from_three_quarters_of_the_limit_and_breached_only_over_it(
    tmp_path: Path, age: timedelta, state: str
) -> None:
    home = ingested(tmp_path, {"2026-06-25": [opening(AS_OF - age)]})
    plan = ask_escalation(home)
    assert [one["slo_state"] for one in plan["recoveries"]] == [state]
    assert plan["slo_breached_count"] == (state == "breached")
    assert plan["alert_level"] == ("critical" if state == "breached" else "warning")


@pytest.mark.parametrize("state", ["resolved", "dismissed"])
def test_a_recovery_closes_when_every_connector_has_a_closing_answer(tmp_path: Path, state: str) -> None:
    both = opening(at(60), providers=["Slack ", "jira"])
    closing = [
        acknowledgement(at(9 - n), provider=provider, state=state) for n, provider in enumerate(("slack", "jira"))
    ]
    assert _open(tmp_path / "one", both, delivery(at(59)), closing[0])[0]["plan_id"] == "subject-1"
    assert _open(tmp_path / "both", both, delivery(at(59)), *closing) == []


@pytest.mark.parametrize("state", ["acknowledged", "accepted", "deferred", "escalated"])
def test_other_answers_leave_a_recovery_open(tmp_path: Path, state: str) -> None:
    (one,) = _open(tmp_path, opening(at(60)), delivery(at(59)), acknowledgement(at(50), state=state))
    assert one["routes"][0]["state"] == {"accepted": "acknowledged"}.get(state, state)


def test_only_the_newest_answer_counts_and_of_equal_times_the_larger_id(tmp_path: Path) -> None:
    first = acknowledgement(at(9), state="resolved", session_id="a")
    second = acknowledgement(at(9), state="escalated", session_id="b")
    assert len(_open(tmp_path / "1", opening(at(60)), first, second)) == 1
    swapped = [{**first, "session_id": "b2"}, {**second, "session_id": "a2"}]
    assert _open(tmp_path / "2", opening(at(60)), *swapped) == []


def test_a_failing_notice_keeps_a_resolved_recovery_open_until_it_is_delivered(tmp_path: Path) -> None:
    records = [opening(at(60)), delivery(at(50), failed=["slack"]), acknowledgement(at(40), state="resolved")]
    (one,) = _open(tmp_path / "failing", *records)
    assert (one["routes"][0]["state"], one["need"], one["severity"]) == ("failing", "repair_delivery", "critical")
    assert _open(tmp_path / "delivered", *records, delivery(at(30))) == []


def test_a_failed_retry_stands_until_something_was_delivered_or_somebody_resolved_it(tmp_path: Path) -> None:
    records = [opening(at(60)), delivery(at(50)), execution(at(40), status="skipped")]
    plan = ask_escalation(ingested(tmp_path / "failed", records))
    assert plan["failed_execution_count"] == 1
    assert plan["recoveries"][0]["routes"][0]["state"] == "retry_failed"
    (one,) = _open(tmp_path / "delivered", *records, delivery(at(30)))
    assert (one["routes"][0]["state"], one["routes"][0]["is_execution_failed"]) == ("delivered", False)
    assert _open(tmp_path / "resolved", *records, acknowledgement(at(30), state="resolved")) == []


def test_a_recovery_that_is_opened_again_has_a_new_clock_and_says_so(tmp_path: Path) -> None:
    (one,) = _open(
        tmp_path,
        opening(at(1000)),
        acknowledgement(at(900), state="resolved"),
        acknowledgement(at(30), state="escalated"),
    )
    assert (one["age_minutes"], one["reopened_count"], one["slo_state"]) == (30, 1, "within")
    assert one["first_opened_at"] < one["opened_at"]


def test_the_oldest_recovery_comes_first_and_each_says_what_it_needs(tmp_path: Path) -> None:
    recoveries = _open(
        tmp_path,
        opening(at(10), subject="b"),
        opening(at(20), subject="c"),
        delivery(at(19), subject="c"),
        opening(at(20), subject="a"),
        delivery(at(19), subject="a", failed=["slack"], status_codes=[401]),
    )
    assert [(one["plan_id"], one["need"]) for one in recoveries] == [
        ("a", "acknowledge_failure"),
        ("c", "answer"),
        ("b", "send"),
    ]
    assert "Slack" in recoveries[0]["recommended_action"]


def test_a_recovery_nobody_was_told_of_is_open_and_offered_every_connector(tmp_path: Path) -> None:
    (one,) = _open(tmp_path, opening(at(10), providers=[]), providers=["Teams", "service-now"])
    assert [(route["provider"], route["state"]) for route in one["routes"]] == [
        ("service_now", "not_sent"),
        ("teams", "not_sent"),
    ]


def test_what_comes_after_the_instant_does_not_exist(tmp_path: Path) -> None:
    home = ingested(tmp_path, [opening(at(10)), acknowledgement(at(5), state="resolved")])
    assert ask_escalation(home, at(10, microseconds=-1))["state"] == "no_evidence"
    assert ask_escalation(home, at(10))["escalation_count"] == 1
    assert ask_escalation(home, at(5, microseconds=-1))["escalation_count"] == 1
    assert ask_escalation(home, at(5))["escalation_count"] == 0


def test_no_evidence_is_not_an_all_clear(tmp_path: Path) -> None:
    empty = ask_escalation(ingested(tmp_path / "empty", []))
    assert (empty["state"], empty["alert_level"], empty["selected_providers"]) == ("no_evidence", "warning", ["slack"])
    closed = [opening(at(60)), acknowledgement(at(50), state="resolved")]
    clear = ask_escalation(ingested(tmp_path / "clear", closed))
    assert (clear["state"], clear["alert_level"], clear["selected_providers"]) == ("none_open", "healthy", [])


def test_a_plan_that_escalates_nothing_and_a_plan_of_our_own_open_no_recovery(tmp_path: Path) -> None:
    ours = ask_escalation(ingested(tmp_path / "before", [opening(at(60))]))
    records = [
        opening(at(60)),
        opening(at(50), subject="quiet", escalation_count=0),
        opening(at(40), subject=ours["plan_id"]),
        delivery(at(39), subject=ours["plan_id"], failed=["slack"]),
        delivery(at(38), subject="unplanned", failed=["slack"]),
    ]
    plan = ask_escalation(ingested(tmp_path / "after", records))
    assert [one["plan_id"] for one in plan["recoveries"]] == ["subject-1"]
    assert plan["unplanned_failure_count"] == 1


def test_the_same_evidence_gives_the_same_id_whenever_and_by_whomever_it_is_asked(tmp_path: Path) -> None:
    records = [opening(at(60)), delivery(at(50)), opening(at(55), subject="other")]
    one = ask_escalation(ingested(tmp_path / "1", records, threads=1), providers=["slack", "Teams"])
    two = ask_escalation(ingested(tmp_path / "2", records[::-1], threads=4), providers=["teams", "slack", "SLACK"])
    later = ask_escalation(ingested(tmp_path / "3", records), now=NOW + timedelta(days=1), generated_by="somebody")
    assert without_clock(one) == without_clock(two)
    assert one["plan_id"] != later["plan_id"]  # other connectors
    assert one["recovery_report_id"] == later["recovery_report_id"]


def test_the_plan_has_every_field_of_its_kind(tmp_path: Path) -> None:
    plan = ask_escalation(ingested(tmp_path, [opening(at(60))]))
    envelope = {field.column for field in fields_of("x-unknown")}
    assert {field.column for field in fields_of(KIND_PREFIX + "recovery-escalation-plan")} - envelope <= set(plan)


@pytest.mark.parametrize("value", [0, -1, 525_601, 1.5, True, "240", None])
def test_a_limit_outside_its_bounds_is_refused_by_name(tmp_path: Path, value: Any) -> None:
    with pytest.raises(UsageError, match=r"slo_minutes.*1 to 525600"):
        ask_escalation(ingested(tmp_path, []), slo_minutes=value)


@pytest.mark.parametrize("value", [1, 525_600])
def test_a_limit_at_its_bounds_is_accepted(tmp_path: Path, value: int) -> None:
    assert ask_escalation(ingested(tmp_path, [opening(at(60))]), slo_minutes=value)["slo_minutes"] == value


@pytest.mark.parametrize("providers", ["slack", [""], ["a b"], ["x" * 65]])
def test_connector_names_that_are_none_are_refused(tmp_path: Path, providers: Any) -> None:
    with pytest.raises(UsageError, match="providers"):
        ask_escalation(ingested(tmp_path, []), providers=providers)
