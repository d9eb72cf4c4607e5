"""The retry plan (contract section 6): which pairs it decides on, when it retries, waits and gives up."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.lanes import LANES
from tests.support import AS_OF, MICROSECOND, NOW, Record, ask_plan, at, delivery, drop, ingested, take_in


def decisions(tmp_path: Path, records: list[Record], **asked: Any) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = ask_plan(ingested(tmp_path, records), **asked)["retry_decisions"]
    return made


def test_no_evidence_and_no_failure_need_no_decision(tmp_path: Path) -> None:
    plan = ask_plan(ingested(tmp_path, [delivery()]))

    assert (plan["retry_decisions"], plan["alert_level"], plan["evidence_record_count"]) == ([], "healthy", 1)
    assert ask_plan(ingested(tmp_path / "empty", []))["alert_level"] == "healthy"


def test_a_success_settles_a_pair_whether_failures_come_before_or_after_it(tmp_path: Path) -> None:
    records = [
        delivery(at(90), subject="before", failed=["slack"]), delivery(at(60), subject="before"),
        delivery(at(90), subject="after"), delivery(at(60), subject="after", failed=["slack"]),
        delivery(at(90), subject="never", failed=["slack"]), delivery(at(60), subject="never", providers=["teams"]),
    ]  # fmt: skip
    home = ingested(tmp_path, records)

    def named(answer: dict[str, Any]) -> list[str]:
        return [one["plan_id"] for one in answer["retry_decisions"]]

    assert named(ask_plan(home)) == ["never"]
    assert named(ask_plan(home, as_of=at(60) - MICROSECOND)) == ["before", "never"]


def test_all_deliveries_of_a_pair_that_is_not_settled_are_its_failures(tmp_path: Path) -> None:
    records = [delivery(at(m), failed=["slack"], session_id=f"f-{m}") for m in (500, 400, 200, 100)]
    (only,) = decisions(tmp_path, [*records, delivery(at(300), providers=["teams"])])

    assert (only["retry_count"], only["first_delivery_id"], only["latest_delivery_id"]) == (4, "f-500", "f-100")


def test_of_two_deliveries_at_one_instant_the_larger_session_id_is_later(tmp_path: Path) -> None:
    (only,) = decisions(tmp_path, [delivery(at(60), session_id=name, failed=["slack"]) for name in ("b", "c", "a")])

    assert (only["first_delivery_id"], only["latest_delivery_id"]) == ("a", "c")


def test_providers_of_one_delivery_fail_and_succeed_apart(tmp_path: Path) -> None:
    records = [
        delivery(at(60), providers=["slack", "teams"], failed=["slack"]),
        delivery(at(50), subject="all", providers=["jira", "teams"], success=False),
        delivery(at(40), subject="none", providers=["jira"], success=True),
        delivery(at(40), subject="unsaid", providers=["jira"], delivery_success=None),
        delivery(at(30), subject="only-named-as-failed", providers=[], failed=["splunk"]),
    ]
    assert [(d["plan_id"], d["provider"]) for d in decisions(tmp_path, records)] == [
        ("all", "jira"), ("all", "teams"), ("only-named-as-failed", "splunk"),
        ("subject-1", "slack"), ("unsaid", "jira"),
    ]  # fmt: skip


def test_provider_names_are_compared_trimmed_in_lower_case_with_underscores(tmp_path: Path) -> None:
    spellings = ["Service-Now", " service_now ", "SERVICE-NOW\t"]
    records = [delivery(at(100 - n), failed=[name], session_id=f"s-{n}") for n, name in enumerate(spellings)]
    (only,) = decisions(tmp_path, records)

    assert (only["provider"], only["retry_count"]) == ("service_now", 3)
    assert decisions(tmp_path / "cleared", [*records, delivery(at(1), providers=["Service_Now"])]) == []


SUBJECTS: list[tuple[str, Record, str | None]] = [
    ("recovery_escalation", {"plan_id": "p", "event_id": "e"}, "p"),
    ("recovery_escalation", {"plan_id": "", "event_id": "e"}, "e"),
    ("recovery_escalation", {"plan_id": None, "event_id": "e", "run_id": "r", "health_id": "h"}, "e"),
    ("recovery_escalation", {"plan_id": None, "run_id": "r"}, None),
    ("executive_report", {"run_id": "r", "event_id": "e"}, "r"),
    ("executive_report", {"run_id": "", "event_id": "e"}, "e"),
    ("executive_report", {"run_id": None, "plan_id": "p"}, "its-own-id"),
    ("recovery_health_alert", {"health_id": "h", "event_id": "e"}, "h"),
    ("recovery_health_alert", {"health_id": "", "event_id": "e"}, "e"),
    ("recovery_health_alert", {"health_id": None, "plan_id": "p"}, None),
    ("executive_health_alert", {"health_id": None, "event_id": "e"}, "e"),
    ("executive_health_alert", {"health_id": None, "run_id": "r"}, None),
]


def test_the_subject_is_the_first_that_is_not_empty(tmp_path: Path) -> None:
    home = ingested(tmp_path, [
        delivery(at(60), lane=lane, failed=[f"at-{number}"], session_id="its-own-id" if lane == "executive_report" and
                 subject == "its-own-id" else f"id-{number}", **fields)
        for number, (lane, fields, subject) in enumerate(SUBJECTS)
    ])  # fmt: skip

    for asked in LANES:
        named = {d["provider"]: d[LANES[asked].subject_field] for d in ask_plan(home, asked)["retry_decisions"]}
        assert named == {
            f"at_{number}": subject
            for number, (lane, _, subject) in enumerate(SUBJECTS)
            if lane == asked and subject is not None
        }


@pytest.mark.parametrize(("early", "action"), [(-1, "retry"), (0, "retry"), (1, "wait")])
def test_it_waits_until_the_very_microsecond_and_then_retries(early: int, action: str, tmp_path: Path) -> None:
    (only,) = decisions(tmp_path, [delivery(at(15, microseconds=early), failed=["slack"])])

    assert only["action"] == action
    assert only["reason"] == {"retry": "retry_delay_elapsed", "wait": "retry_delay_not_elapsed"}[action]
    assert only["next_retry_at"] == (AS_OF + early * MICROSECOND).isoformat()


@pytest.mark.parametrize(("failures", "action"), [(1, "retry"), (2, "retry"), (3, "suppress"), (4, "suppress")])
def test_it_gives_up_exactly_at_the_last_attempt(failures: int, action: str, tmp_path: Path) -> None:
    (only,) = decisions(tmp_path, [delivery(at(999 + n), failed=["slack"]) for n in range(failures)])

    assert (only["action"], only["retry_count"], only["max_retry_attempts"]) == (action, failures, 3)
    assert (only["next_retry_at"] is None) is (action == "suppress")


@pytest.mark.parametrize(
    ("policy", "minutes"),
    [
        ({}, [15, 30, 60, 120, 240, 480, 960, 1440, 1440]),
        ({"backoff_multiplier": 1}, [15] * 9),
        ({"retry_delay_minutes": 2000}, [1440] * 9),
        ({"retry_delay_minutes": 0}, [1, 2, 4, 8, 16, 32, 64, 128, 256]),
        ({"retry_delay_minutes": 0, "allow_immediate_retry": True}, [0] * 9),
        ({"retry_delay_minutes": 0.75, "allow_immediate_retry": True}, [0, 1, 3, 6, 12, 24, 48, 96, 192]),
        ({"retry_delay_minutes": 100, "backoff_multiplier": 1.15, "max_retry_delay_minutes": 140},
         [100, 115, 132] + [140] * 6),
        ({"backoff_multiplier": 100, "max_retry_delay_minutes": 525_600}, [15, 1500, 150_000] + [525_600] * 6),
    ],
)  # fmt: skip
def test_the_delay_grows_by_the_multiplier_up_to_its_cap_in_whole_minutes_rounded_down(
    policy: dict[str, Any], minutes: list[int], tmp_path: Path
) -> None:
    records = [
        delivery(at(n), subject=f"s-{failures}", failed=["slack"]) for failures in range(1, 10) for n in range(failures)
    ]
    made = decisions(tmp_path, records, max_retry_attempts=100, **policy)

    assert [decision["retry_delay_minutes"] for decision in made] == minutes


def test_a_delay_that_would_overflow_stops_at_its_cap(tmp_path: Path) -> None:
    records = [delivery(at(n), failed=["slack"]) for n in range(99)]
    home = ingested(tmp_path, records)
    cap: dict[str, Any] = {"backoff_multiplier": 100, "max_retry_attempts": 100}

    (only,) = ask_plan(home, **cap)["retry_decisions"]
    assert (only["retry_count"], only["retry_delay_minutes"], only["action"]) == (99, 1440, "wait")
    (none,) = ask_plan(home, **cap, retry_delay_minutes=0, allow_immediate_retry=True)["retry_decisions"]
    assert (none["retry_delay_minutes"], none["action"]) == (0, "retry")


def test_only_a_latest_failure_with_a_non_retryable_status_of_that_provider_is_suppressed(tmp_path: Path) -> None:
    both = ["jira", "slack"]
    records = [
        delivery(at(90), subject="now", providers=both, failed=both, status_codes=[503, 404]),
        delivery(at(95), subject="before", failed=["slack"], status_codes=[404]),
        delivery(at(90), subject="before", failed=["slack"], status_codes=[503]),
        delivery(at(90), subject="nested", failed=["slack"],
                 delivery={"deliveries": [{"provider": "Slack", "status_code": 404}]}),
        delivery(at(90), subject="unknown", failed=["slack"], status_codes=[None]),
    ]  # fmt: skip
    made = decisions(tmp_path, records, non_retryable_status_codes=[404, 410], max_retry_attempts=9)

    assert [(d["plan_id"], d["provider"], d["action"]) for d in made] == [
        ("before", "slack", "retry"),
        ("nested", "slack", "suppress"),
        ("now", "jira", "retry"),
        ("now", "slack", "suppress"),
        ("unknown", "slack", "retry"),
    ]
    assert [d["reason"] for d in made if d["action"] == "suppress"] == ["non_retryable_status_code"] * 2
    assert [d["failed_status_codes"] for d in made] == [[404, 503], [404], [503], [404], []]


def test_decisions_are_sorted_by_subject_then_provider_and_not_by_time(tmp_path: Path) -> None:
    pairs = [
        ("b", "slack"),
        ("a", "teams"),
        ("B", "jira"),
        ("a", "jira"),
        ("Z", "slack"),
        ("a-10", "slack"),
        ("a-9", "x"),
    ]
    records = [delivery(at(n), subject=subject, failed=[provider]) for n, (subject, provider) in enumerate(pairs)]

    assert [(d["plan_id"], d["provider"]) for d in decisions(tmp_path, records)] == sorted(pairs)


def test_records_after_the_instant_do_not_exist_for_it(tmp_path: Path) -> None:
    records = [
        delivery(at(60), failed=["slack"], session_id="first"),
        delivery(AS_OF, failed=["slack"], session_id="now"),
        delivery(AS_OF + MICROSECOND, session_id="too late"),
    ]
    home = ingested(tmp_path, records)

    (only,) = ask_plan(home)["retry_decisions"]
    assert (only["retry_count"], only["latest_delivery_id"]) == (2, "now")
    (before,) = ask_plan(home, as_of=AS_OF - MICROSECOND)["retry_decisions"]
    assert (before["retry_count"], before["latest_delivery_id"]) == (1, "first")
    assert ask_plan(home, as_of=AS_OF + MICROSECOND)["retry_decisions"] == []


@pytest.mark.parametrize(
    ("failures", "level"),
    [({}, "healthy"), ({"w": 1}, "warning"), ({"w": 1, "r": 60}, "critical"), ({"r": 60}, "critical")],
)
def test_the_level_is_critical_if_anything_is_due_and_warning_if_it_only_waits(
    failures: dict[str, float], level: str, tmp_path: Path
) -> None:
    home = ingested(tmp_path, [delivery(at(m), subject=name, failed=["slack"]) for name, m in failures.items()])

    assert ask_plan(home)["alert_level"] == level


def test_an_exhausted_pair_alone_is_critical(tmp_path: Path) -> None:
    plan = ask_plan(ingested(tmp_path, [delivery(at(1), failed=["slack"])]), max_retry_attempts=1)

    assert (plan["suppressed_count"], plan["retryable_count"], plan["alert_level"]) == (1, 0, "critical")


def test_the_executive_lane_names_the_report_of_the_latest_failure_and_no_other_lane_does(tmp_path: Path) -> None:
    records = [
        delivery(at(60), lane="executive_report", failed=["slack"], executive_report_id="new"),
        delivery(at(90), lane="executive_report", failed=["slack"], executive_report_id="old"),
        delivery(at(60), failed=["slack"], executive_report_id="unasked"),
    ]
    home = ingested(tmp_path, records)

    (only,) = ask_plan(home, "executive_report")["retry_decisions"]
    assert only["executive_report_id"] == "new"
    assert "executive_report_id" not in ask_plan(home)["retry_decisions"][0]


def test_a_plan_says_what_it_rests_on(tmp_path: Path) -> None:
    plan = ask_plan(ingested(tmp_path, [delivery(at(60), failed=["slack"])]), max_retry_attempts=7, generated_by="me")

    assert plan["schema_version"] == (
        "cavra.go-backend-pilot.rollback-drill-acknowledgement-audit-delivery-recovery-escalation-delivery-retry-plan.v1"
    )
    assert (plan["as_of"], plan["generated_at"], plan["generated_by"]) == (AS_OF.isoformat(), NOW.isoformat(), "me")
    assert (plan["lane"], plan["max_retry_attempts"], plan["base_retry_delay_minutes"]) == (
        "recovery_escalation",
        7,
        15,
    )


def test_the_id_is_the_same_for_the_same_evidence_and_question_and_no_other(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(at(60), failed=["slack"])])
    first = ask_plan(home)

    def changed(home_asked: Any = home, as_of: datetime = AS_OF, **asked: Any) -> str:
        return str(ask_plan(home_asked, as_of=as_of, **asked)["retry_plan_id"])

    assert changed(now=NOW + timedelta(days=1), generated_by="another") == first["retry_plan_id"]
    others = [
        changed(as_of=AS_OF + MICROSECOND), changed(max_retry_attempts=4), changed(backoff_multiplier=3),
        changed(retry_delay_minutes=16), changed(max_retry_delay_minutes=1441), changed(allow_immediate_retry=True),
        changed(non_retryable_status_codes=[404]), changed(lane="executive_report"),
    ]  # fmt: skip
    drop(home, [delivery(at(30), subject="more", failed=["slack"])], name="more.jsonl")
    take_in(home)
    others.append(changed())
    assert len({first["retry_plan_id"], *others}) == len(others) + 1
