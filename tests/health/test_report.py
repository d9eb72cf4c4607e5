"""The health report (contract section 7), boundary by boundary: each on both sides."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.errors import UsageError
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.health import health_parameters
from tests.support import (
    AS_OF,
    MICROSECOND,
    NOW,
    Record,
    acknowledgement,
    ask_health,
    at,
    delivery,
    drop,
    execution,
    ingested,
    plan,
    record,
    take_in,
    worker_run,
)

WINDOW = 168 * 60
FRESH = [worker_run(at(1), session_id="fresh-run"), plan(at(1), session_id="fresh-plan")]


def report(tmp_path: Path, records: list[Record], lane: str = "recovery_escalation", **asked: Any) -> dict[str, Any]:
    return ask_health(ingested(tmp_path, records), lane, **asked)


def categories(answer: dict[str, Any]) -> list[str]:
    return [alert["category"] for alert in answer["alerts"]]


def test_a_lane_that_runs_has_no_alert(tmp_path: Path) -> None:
    answer = report(tmp_path, [*FRESH, delivery(at(5))])

    assert (answer["alerts"], answer["alert_level"], answer["recommended_actions"]) == ([], "healthy", [])
    assert (answer["latest_worker_run_id"], answer["latest_retry_plan_id"]) == ("fresh-run", "fresh-plan")
    assert (answer["outages"], answer["missed_run_count"], answer["evidence_record_count"]) == ([], 0, 3)


@pytest.mark.parametrize("lane", [lane.name for lane in LANES.values() if lane.is_always_in_use])
def test_a_lane_without_evidence_never_ran_and_is_not_all_clear(lane: str, tmp_path: Path) -> None:
    answer = report(tmp_path, [], lane)

    assert answer["outages"] == [{"started_at": None, "ended_at": None, "missed_runs": 1}]
    assert (answer["missed_run_count"], answer["missed_worker_count"], answer["stale_retry_plan_count"]) == (1, 1, 1)
    assert (answer["latest_worker_run_id"], answer["latest_worker_age_minutes"]) == (None, None)
    assert (answer["latest_retry_plan_id"], answer["latest_retry_plan_age_minutes"]) == (None, None)
    name = "executive_delivery" if lane == "executive_report" else lane
    assert categories(answer) == [f"missed_{name}_retry_worker", f"stale_{name}_retry_plan"]


@pytest.mark.parametrize("lane", [lane.name for lane in LANES.values() if not lane.is_always_in_use])
def test_a_lane_is_in_use_from_its_first_record_on(lane: str, tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(lane=lane)])

    before = ask_health(home, lane, AS_OF - MICROSECOND)
    assert (before["alert_level"], before["alerts"], before["outages"]) == ("unknown", [], [])
    assert (before["missed_worker_count"], before["stale_retry_plan_count"], before["missed_run_count"]) == (0, 0, 0)
    assert before["future_record_count"] == 1
    after = ask_health(home, lane)
    assert (after["alert_level"], after["missed_worker_count"], after["stale_retry_plan_count"]) == ("critical", 1, 1)
    assert after["outages"] == [{"started_at": None, "ended_at": None, "missed_runs": 1}]


@pytest.mark.parametrize(("lane", "minutes"), [("recovery_escalation", 30), ("executive_report", 60)])
def test_the_worker_is_missed_one_microsecond_after_two_intervals(lane: str, minutes: int, tmp_path: Path) -> None:
    home = ingested(tmp_path, [worker_run(at(2 * minutes), lane=lane), plan(at(), lane=lane)])

    due = ask_health(home, lane)
    assert (due["missed_worker_count"], due["latest_worker_age_minutes"], due["alerts"]) == (0, 2 * minutes, [])
    assert due["outages"] == []
    over = ask_health(home, lane, AS_OF + MICROSECOND)
    assert (over["missed_worker_count"], over["latest_worker_age_minutes"]) == (1, 2 * minutes)
    assert (over["alert_level"], [o["ended_at"] for o in over["outages"]]) == ("critical", [None])


@pytest.mark.parametrize(("lane", "minutes"), [("recovery_escalation", 120), ("executive_report", 180)])
def test_the_plan_is_stale_one_microsecond_after_its_time(lane: str, minutes: int, tmp_path: Path) -> None:
    home = ingested(tmp_path, [worker_run(at(), lane=lane), plan(at(minutes), lane=lane)])

    assert ask_health(home, lane)["stale_retry_plan_count"] == 0
    over = ask_health(home, lane, AS_OF + MICROSECOND)
    assert (over["stale_retry_plan_count"], over["latest_retry_plan_age_minutes"]) == (1, minutes)
    assert (over["alert_level"], len(over["alerts"])) == ("warning", 1)


def test_the_window_is_open_at_its_start_and_closed_at_the_instant(tmp_path: Path) -> None:
    moments = [at(WINDOW, microseconds=-1), at(WINDOW), at(WINDOW, microseconds=1), AS_OF, AS_OF + MICROSECOND]
    records = [
        made
        for moment in moments
        for made in (
            worker_run(moment, selected_retry_count=1), plan(moment, retryable_count=1),
            execution(moment, status="failed"),
            execution(moment, status="delivered"), delivery(moment, failed=["slack"]),
        )
    ]  # fmt: skip
    answer = report(tmp_path, records)

    for field in ("worker_run_count", "dry_run_count", "selected_retry_count", "retry_plan_count", "retryable_count",
                  "failed_execution_count", "delivered_execution_count",
                  "failed_recovery_escalation_delivery_count"):  # fmt: skip
        assert (field, answer[field]) == (field, 2)
    assert (answer["execution_record_count"], answer["future_record_count"]) == (4, 5)
    assert answer["evidence_record_count"] == 20
    assert answer["unresolved_delivery_count"] == 1


def test_a_run_is_dry_unless_it_says_otherwise(tmp_path: Path) -> None:
    answer = report(tmp_path, [worker_run(at(n), dry_run=said) for n, said in enumerate([True, False, None])])

    assert (answer["worker_run_count"], answer["dry_run_count"]) == (3, 2)


def test_a_gap_is_an_outage_only_if_it_is_over_two_intervals(tmp_path: Path) -> None:
    runs = [worker_run(at(m)) for m in (200, 140, 79, 10)]
    home = ingested(tmp_path, runs)

    assert ask_health(home)["outages"] == [
        {"started_at": at(110).isoformat(), "ended_at": at(79).isoformat(), "missed_runs": 1},
        {"started_at": at(49).isoformat(), "ended_at": at(10).isoformat(), "missed_runs": 1},
    ]
    assert ask_health(home, expected_interval_minutes=34)["missed_run_count"] == 1
    assert ask_health(home, expected_interval_minutes=35)["outages"] == []


@pytest.mark.parametrize(
    ("gap", "missed"), [(60, 0), (60.5, 1), (89.99, 1), (90, 2), (119, 2), (120, 3), (60 * 24, 47)]
)
def test_missed_runs_are_the_whole_intervals_of_a_gap_less_one(gap: float, missed: int, tmp_path: Path) -> None:
    answer = report(tmp_path, [worker_run(at(gap + 5)), worker_run(at(5))])

    assert answer["missed_run_count"] == missed


def test_an_outage_counts_if_it_ends_in_the_window_or_is_open_and_not_if_it_ended_before(tmp_path: Path) -> None:
    runs = [worker_run(at(m)) for m in (1000, 600, 300)]
    home = ingested(tmp_path, runs)

    def ends(**asked: Any) -> list[str | None]:
        return [outage["ended_at"] for outage in ask_health(home, **asked)["outages"]]

    assert ends() == [at(600).isoformat(), at(300).isoformat(), None]
    assert ends(window_hours=10) == [at(300).isoformat(), None]
    assert ends(window_hours=5) == [None]
    assert ends(window_hours=5, as_of=AS_OF - MICROSECOND) == [at(300).isoformat(), None]


def test_the_newest_of_two_runs_at_one_instant_is_the_larger_session_id(tmp_path: Path) -> None:
    runs = [worker_run(at(5), session_id="b", enabled=False), worker_run(at(5), session_id="a", enabled=True)]
    answer = report(tmp_path, [*runs, plan(at(1))])

    assert answer["latest_worker_run_id"] == "b"
    assert categories(answer) == ["disabled_recovery_escalation_retry_schedule"]


@pytest.mark.parametrize(
    ("state", "is_gap"),
    [(None, True), ("acknowledged", False), ("accepted", False), ("resolved", False), ("deferred", True),
     ("escalated", True), ("dismissed", True)],
)  # fmt: skip
def test_a_failing_pair_is_a_gap_unless_it_was_acknowledged_accepted_or_resolved(
    state: str | None, is_gap: bool, tmp_path: Path
) -> None:
    failures = [delivery(at(90), failed=["Slack"]), delivery(at(60), failed=["slack"])]
    acknowledged = [acknowledgement(at(30), provider=" SLACK", state=state)] if state else []
    answer = report(tmp_path, [*FRESH, *failures, *acknowledged])

    gap = {"plan_id": "subject-1", "provider": "slack", "since": at(90).isoformat(), "acknowledgement_state": state}
    gap |= {"provider_incident_id": None}
    assert answer["acknowledgement_gaps"] == ([gap] if is_gap else [])
    assert answer["acknowledgement_pending_count"] == int(is_gap)
    assert categories(answer) == ["recovery_escalation_acknowledgement_gap"] * is_gap
    assert answer["unresolved_delivery_count"] == 1


def test_only_the_newest_acknowledgement_of_that_very_pair_counts(tmp_path: Path) -> None:
    records = [
        *[delivery(at(90), subject=name, failed=["slack"])
          for name in ("taken-back", "given", "tie", "elsewhere", "future")],
        acknowledgement(at(50), subject="taken-back"), acknowledgement(at(40), subject="taken-back", state="escalated"),
        acknowledgement(at(50), subject="given", state="deferred"), acknowledgement(at(40), subject="given"),
        acknowledgement(at(40), subject="tie", session_id="1"),
        acknowledgement(at(40), subject="tie", session_id="2", state="dismissed"),
        acknowledgement(at(40), subject="elsewhere", provider="teams"),
        acknowledgement(AS_OF + MICROSECOND, subject="future"),
    ]  # fmt: skip
    gaps = report(tmp_path, records)["acknowledgement_gaps"]

    assert [(gap["plan_id"], gap["acknowledgement_state"]) for gap in gaps] == [
        ("elsewhere", None), ("future", None), ("taken-back", "escalated"), ("tie", "dismissed"),
    ]  # fmt: skip


@pytest.mark.parametrize("lane", [name for name in LANES if name != "recovery_escalation"])
def test_a_lane_that_needs_no_acknowledgement_has_no_gap(lane: str, tmp_path: Path) -> None:
    answer = report(tmp_path, [delivery(at(60), lane=lane, failed=["slack"])], lane)

    assert (answer["unresolved_delivery_count"], answer["acknowledgement_gaps"]) == (1, [])
    assert ("failed_executive_report_delivery" in categories(answer)) is (lane == "executive_report")


@pytest.mark.parametrize(
    ("more", "is_unresolved"),
    [
        ([], True),
        ([delivery(at(61))], False),
        ([delivery(at(60), session_id="a")], False),
        ([delivery(at(60), session_id="z")], False),
        ([delivery(at(59))], False),
        ([delivery(at(59), failed=["slack"])], True),
        ([delivery(at(59), providers=["teams"])], True),
        ([delivery(at(59), subject="another")], True),
        ([delivery(AS_OF + MICROSECOND)], True),
        ([execution(at(59), status="delivered")], False),
        ([execution(at(61), status="delivered")], True),
        ([execution(at(59), status="skipped")], True),
        ([execution(at(59), status="delivered", provider="teams")], True),
        ([acknowledgement(at(90), state="resolved")], False),
        ([acknowledgement(at(30), state="dismissed")], False),
        ([acknowledgement(at(30), state="acknowledged")], True),
        ([acknowledgement(at(30), state="resolved"), acknowledgement(at(20), state="escalated")], True),
        ([acknowledgement(AS_OF + MICROSECOND, state="resolved")], True),
    ],
)
@pytest.mark.parametrize("status", ["failed", pytest.param("skipped", marks=pytest.mark.slow)])
def test_a_failed_execution_stands_until_its_pair_is_delivered_resolved_or_dismissed(
    status: str, more: list[Record], is_unresolved: bool, tmp_path: Path
) -> None:
    answer = report(tmp_path, [*FRESH, execution(at(60), status=status, session_id="m"), *more])

    assert answer["unresolved_failed_execution_count"] == int(is_unresolved)
    assert ("failed_recovery_escalation_retry_execution" in categories(answer)) is is_unresolved


def test_an_old_failed_execution_still_stands_though_the_window_no_longer_counts_it(tmp_path: Path) -> None:
    answer = report(tmp_path, [execution(at(WINDOW * 9))])

    assert (answer["failed_execution_count"], answer["unresolved_failed_execution_count"]) == (0, 1)


def test_disabled_schedules_are_counted_in_the_window_and_alert_only_if_the_newest_says_so(tmp_path: Path) -> None:
    runs = [worker_run(at(m), enabled=enabled) for m, enabled in ((61, False), (31, False), (1, True))]
    home = ingested(tmp_path, [*runs, plan(at(1))])

    assert (ask_health(home)["disabled_schedule_count"], ask_health(home)["alerts"]) == (2, [])
    before = ask_health(home, as_of=at(31), stale_metadata_minutes=999)
    assert "disabled_recovery_escalation_retry_schedule" in categories(before)
    assert ask_health(home, window_hours=1)["disabled_schedule_count"] == 1


def test_records_of_other_lanes_are_not_counted(tmp_path: Path) -> None:
    others = [
        made
        for lane in LANES.keys() - {"recovery_escalation"}
        for made in (worker_run(at(1), lane=lane), plan(at(1), lane=lane), execution(at(1), lane=lane),
                     delivery(at(1), lane=lane, failed=["slack"]), delivery(AS_OF + MICROSECOND, lane=lane))
    ]  # fmt: skip
    home = ingested(tmp_path, others)

    answer = ask_health(home)
    assert (answer["evidence_record_count"], answer["future_record_count"], answer["worker_run_count"]) == (0, 0, 0)
    assert (answer["unresolved_delivery_count"], answer["unresolved_failed_execution_count"]) == (0, 0)


@pytest.mark.parametrize("lane", ["recovery_health_alert", "executive_health_alert"])
def test_every_accepted_spelling_of_an_alert_lane_s_kinds_counts(lane: str, tmp_path: Path) -> None:
    stem = LANES[lane].kind_stem
    spellings = [f"{stem}-delivery-retry", f"{stem}-retry", stem]
    records = [
        made
        for number, ladder in enumerate(spellings)
        for made in (
            worker_run(at(90 - number), lane=lane, ladder=ladder, session_id=f"run-{number}", enabled=False),
            execution(at(80), lane=lane, ladder=ladder, subject=f"h-{number}", session_id=f"execution-{number}"),
        )
    ]
    answer = report(tmp_path, [*records, plan(at(1), lane=lane)], lane, expected_interval_minutes=60)

    assert (answer["worker_run_count"], answer["disabled_schedule_count"]) == (3, 3)
    assert (answer["execution_record_count"], answer["unresolved_failed_execution_count"]) == (3, 3)
    assert answer["latest_worker_run_id"] == "run-2"
    assert categories(answer) == [f"failed_{lane}_retry_execution", f"disabled_{lane}_retry_schedule"]


@pytest.mark.parametrize("lane", LANES)
def test_alerts_come_in_the_contract_s_order_each_with_its_severity_and_a_next_step(lane: str, tmp_path: Path) -> None:
    name = "executive_delivery" if lane == "executive_report" else lane
    records = [worker_run(at(999), lane=lane, enabled=False), execution(at(90), lane=lane),
               delivery(at(90), lane=lane, failed=["teams"])]  # fmt: skip
    answer = report(tmp_path, records, lane)

    expected = [
        ("critical", f"missed_{name}_retry_worker"),
        ("warning", f"stale_{name}_retry_plan"),
        *([("warning", "recovery_escalation_acknowledgement_gap")] if lane == "recovery_escalation" else []),
        *([("warning", "acknowledgement_audit_approval_gap")] if lane == "acknowledgement_audit" else []),
        ("critical", f"failed_{name}_retry_execution"),
        *([("critical", "failed_executive_report_delivery")] if lane == "executive_report" else []),
        ("warning", f"disabled_{name}_retry_schedule"),
    ]
    assert [(alert["severity"], alert["category"]) for alert in answer["alerts"]] == expected
    assert len(answer["recommended_actions"]) == answer["alert_count"] == len(expected)
    assert all(answer["recommended_actions"])
    assert answer["alert_level"] == "critical"


def test_sums_past_64_bits_are_exact(tmp_path: Path) -> None:
    most = 2**63 - 1
    records = [worker_run(at(n), selected_retry_count=most) for n in (1, 2)]
    answer = report(tmp_path, [*records, plan(at(1), retryable_count=most), plan(at(2), retryable_count=most)])

    assert answer["selected_retry_count"] == answer["retryable_count"] == 2 * most


@pytest.mark.parametrize(
    ("name", "high"),
    [("expected_interval_minutes", 525_600), ("stale_metadata_minutes", 525_600), ("window_hours", 87_600)],
)
def test_a_parameter_is_accepted_at_its_bounds_and_refused_by_name_past_them(name: str, high: int) -> None:
    lane = LANES["executive_report"]
    for fine in (1, high):
        assert getattr(health_parameters(lane, **{name: fine}), name) == fine
    wrong: list[Any] = [0, -1, high + 1, 1.5, 30.0, float("nan"), "30", True, [30]]
    for value in wrong:
        with pytest.raises(UsageError, match=rf"^{name}: the value is not accepted\. Give an integer from 1 to {high}"):
            health_parameters(lane, **{name: value})


def test_the_widest_window_and_the_earliest_instant_are_answered(tmp_path: Path) -> None:
    home = ingested(tmp_path, [worker_run(datetime.fromisoformat("0001-01-01T00:00:00+00:00"), session_id="first")])
    earliest = datetime.fromisoformat("0001-01-01T00:00:00+00:00")

    assert ask_health(home, as_of=earliest, window_hours=87_600)["latest_worker_run_id"] == "first"
    latest = datetime.fromisoformat("9999-12-31T23:59:59.999999+00:00")
    assert ask_health(home, as_of=latest, window_hours=87_600)["missed_worker_count"] == 1


def test_the_id_is_the_same_for_the_same_evidence_and_question_and_no_other(tmp_path: Path) -> None:
    home = ingested(tmp_path, [*FRESH, delivery(at(60), failed=["slack"])])
    first = ask_health(home)["health_id"]

    assert ask_health(home, now=NOW + timedelta(days=1), generated_by="another")["health_id"] == first
    others = [
        ask_health(home, **changed)["health_id"]
        for changed in (
            {"as_of": AS_OF + MICROSECOND}, {"expected_interval_minutes": 31}, {"stale_metadata_minutes": 121},
            {"window_hours": 169}, {"lane": "executive_report"},
        )
    ]  # fmt: skip
    drop(home, [record("recovery-escalation-plan", at(5), plan_id="p")], name="more.jsonl")
    take_in(home)
    others.append(ask_health(home)["health_id"])
    assert len({first, *others}) == len(others) + 1
