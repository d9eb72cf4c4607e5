"""The recovery report: when a recovery opens, is past its limit, is closed and is opened again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.errors import UsageError, checked
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.recoveries.report import recovery_reports
from tests.recoveries.stores import ask_recoveries, closure, playbook, routes
from tests.support import (
    AS_OF,
    MICROSECOND,
    NOW,
    Record,
    acknowledgement,
    at,
    delivery,
    ingested,
    record,
    without_clock,
)


def _report(tmp_path: Path, *records: Record, **more: Any) -> dict[str, Any]:
    return ask_recoveries(ingested(tmp_path, records), **more)


@pytest.mark.parametrize(
    ("age", "status", "level"),
    [
        (timedelta(minutes=240), "open", "warning"),
        (timedelta(minutes=240) + MICROSECOND, "breached", "critical"),
    ],
)
def test_a_recovery_is_past_its_limit_only_over_it(tmp_path: Path, age: timedelta, status: str, level: str) -> None:
    report = _report(tmp_path, playbook(AS_OF - age, "slack"))
    (row,) = report["recoveries"]

    assert (row["slo_status"], row["age_minutes"], report["alert_level"]) == (status, 240, level)
    assert report["recovery_slo_breached_count"] == (status == "breached")
    assert report["recovery_open_count"] == 1


@pytest.mark.parametrize("state", ["resolved", "mitigated"])
def test_a_closing_state_closes_at_its_instant(tmp_path: Path, state: str) -> None:
    home = ingested(tmp_path, [playbook(at(600), "slack"), closure(at(30), state)])
    (before,) = ask_recoveries(home, at(30, microseconds=-1))["recoveries"]
    (after,) = ask_recoveries(home, at(30))["recoveries"]

    assert (before["slo_status"], before["closed_at"], before["closure_minutes"]) == ("breached", None, None)
    assert (after["slo_status"], after["closed_at"], after["closure_minutes"]) == ("closed", at(30).isoformat(), 570)


@pytest.mark.parametrize("state", ["deferred", "escalated", "reopened", "shrugged"])
def test_another_state_leaves_it_open_or_makes_it_so(tmp_path: Path, state: str) -> None:
    first = _report(tmp_path / "left", playbook(at(60), "slack"), closure(at(30), state))
    again = _report(tmp_path / "made", playbook(at(60), "slack"), closure(at(40)), closure(at(30), state))

    shown = "other" if state == "shrugged" else state
    for report in (first, again):
        (row,) = report["recoveries"]
        assert (row["closure_state"], row["slo_status"], row["closed_at"]) == (shown, "open", None)


def test_opening_again_does_not_restart_the_age(tmp_path: Path) -> None:
    (row,) = _report(
        tmp_path, playbook(at(241), "slack"), closure(at(200)), closure(at(1), "reopened")
    )["recoveries"]  # fmt: skip
    assert (row["slo_status"], row["age_minutes"]) == ("breached", 241)


def test_of_closures_of_one_instant_the_larger_id_decides(tmp_path: Path) -> None:
    kept = [closure(at(9), session_id="a"), closure(at(9), "reopened", session_id="b")]
    swapped = [closure(at(9), session_id="b"), closure(at(9), "reopened", session_id="a")]

    assert _report(tmp_path / "1", playbook(at(60), "slack"), *kept)["recovery_open_count"] == 1
    assert _report(tmp_path / "2", playbook(at(60), "slack"), *swapped)["recovery_open_count"] == 0


def test_a_closure_of_another_playbook_or_provider_closes_nothing(tmp_path: Path) -> None:
    report = _report(
        tmp_path,
        playbook(at(60), "slack", "teams"),
        closure(at(50), provider="teams", playbook_id="playbook-2"),
        closure(at(50), provider=" Teams "),
    )
    assert {row["provider"]: row["slo_status"] for row in report["recoveries"]} == {"slack": "open", "teams": "closed"}
    # Counted as CAVRA counts them: by record, whether or not its playbook is known.
    assert report["closure_state_counts"] == {"resolved": 2}


def test_a_newer_version_of_a_closure_replaces_it(tmp_path: Path) -> None:
    home = ingested(
        tmp_path,
        {
            "2026-06-24": [playbook(at(1600), "slack"), closure(at(1500), session_id="c")],
            "2026-06-25": [closure(at(100), "deferred", session_id="c")],
        },
    )
    (row,) = ask_recoveries(home)["recoveries"]
    assert (row["closure_state"], row["slo_status"]) == ("deferred", "breached")


def test_breached_ones_come_first_then_the_newest(tmp_path: Path) -> None:
    report = _report(
        tmp_path,
        playbook(at(400), "slack", playbook_id="late"),
        playbook(at(500), "slack", playbook_id="later"),
        playbook(at(600), "slack", playbook_id="done"),
        closure(at(300), playbook_id="done"),
        playbook(at(100), "teams", "slack", playbook_id="new"),
    )
    assert [(row["playbook_id"], row["provider"]) for row in report["recoveries"]] == [
        ("late", "slack"),
        ("later", "slack"),
        ("new", "slack"),
        ("new", "teams"),
        ("done", "slack"),
    ]


def test_rows_of_a_provider_that_overlap_are_one_group_and_touching_ones_are_two(tmp_path: Path) -> None:
    records = [
        playbook(at(100), "slack", playbook_id="a"),
        playbook(at(90), "slack", "teams", playbook_id="b"),
        playbook(at(50), "slack", playbook_id="c"),
        closure(at(80), playbook_id="a"),
    ]
    touching = _report(tmp_path / "touching", *records, closure(at(50), playbook_id="b"))
    overlapping = _report(
        tmp_path / "overlapping", *records, closure(at(50, microseconds=1), playbook_id="b")
    )  # fmt: skip

    def slack(report: dict[str, Any]) -> list[tuple[Any, ...]]:
        return [
            (one["playbook_ids"], one["open_count"], one["closed_at"])
            for one in report["recovery_groups"]
            if one["provider"] == "slack"
        ]

    assert slack(touching) == [(["c"], 1, None), (["a", "b"], 0, at(50).isoformat())]
    assert slack(overlapping) == [(["a", "b", "c"], 1, None)]
    assert touching["recovery_count"] == overlapping["recovery_count"] == 4


def test_without_a_playbook_nothing_is_open_and_the_report_says_that_nothing_is_known(tmp_path: Path) -> None:
    plan = record("recovery-escalation-plan", at(60), plan_id="plan-1", escalation_count=1, **routes(("p", "slack")))
    report = _report(tmp_path / "none", plan, closure(at(50), playbook_id="p"))
    assert (report["state"], report["alert_level"], report["playbook_count"]) == ("no_playbook", "unknown", 0)
    assert (report["recoveries"], report["recovery_count"]) == ([], 0)

    empty = _report(tmp_path / "empty", playbook(at(60)))
    assert (empty["state"], empty["alert_level"], empty["recoveries"]) == ("none_open", "healthy", [])


def test_who_was_notified_follows_from_the_plans_that_name_it(tmp_path: Path) -> None:
    def plan(minutes: int, plan_id: str, *named: tuple[str, str]) -> Record:
        return record("recovery-escalation-plan", at(minutes), plan_id=plan_id, **routes(*named))

    records = [
        playbook(at(100), "slack", "teams"),
        plan(90, "plan-1", ("playbook-1", "slack")),
        plan(80, "plan-2", ("playbook-1", "slack"), ("playbook-1", "teams")),
        plan(70, "plan-3", ("playbook-2", "slack")),
        delivery(at(89), subject="plan-1", failed=["jira"], providers=["jira", "webhook"]),
        delivery(at(69), subject="plan-3", providers=["splunk"]),
        acknowledgement(at(60), subject="plan-2", provider="teams", state="accepted"),
    ]
    home = ingested(tmp_path, records)
    names = ("escalated_in", "notified_through", "acknowledged")
    rows = {row["provider"]: [row[name] for name in names] for row in ask_recoveries(home)["recoveries"]}
    assert rows == {
        "slack": [["plan-1", "plan-2"], ["webhook"], True],
        "teams": [["plan-2"], [], True],
    }

    earlier = {row["provider"]: [row[name] for name in names] for row in ask_recoveries(home, at(85))["recoveries"]}
    assert earlier == {"slack": [["plan-1"], ["webhook"], False], "teams": [[], [], False]}


def test_a_withdrawn_acknowledgement_does_not_count(tmp_path: Path) -> None:
    plan = record("recovery-escalation-plan", at(90), plan_id="plan-1", **routes(("playbook-1", "slack")))
    said = [acknowledgement(at(60), subject="plan-1"), acknowledgement(at(50), subject="plan-1", state="deferred")]
    (row,) = _report(tmp_path, playbook(at(100), "slack"), plan, *said)["recoveries"]
    assert row["acknowledged"] is False


def test_what_comes_after_the_instant_changes_its_count_and_not_its_id(tmp_path: Path) -> None:
    records = [playbook(at(100), "slack")]
    before = ask_recoveries(ingested(tmp_path / "1", records), at(50))
    after = ask_recoveries(
        ingested(tmp_path / "2", [*records, closure(at(40)), playbook(at(30), "slack", playbook_id="p2")]), at(50)
    )
    assert before["recovery_report_id"] == after["recovery_report_id"]
    assert (before["future_record_count"], after["future_record_count"]) == (0, 2)
    assert {**before, "future_record_count": 2} == after


def test_reports_of_many_instants_are_those_made_one_by_one(tmp_path: Path) -> None:
    home = ingested(
        tmp_path,
        [
            playbook(at(500), "slack", "teams"),
            closure(at(400)),
            closure(at(300), "reopened"),
            closure(at(200), "mitigated", provider="teams"),
        ],
    )
    instants = [at(minutes) for minutes in (100, 600, 500, 400, 350, 300, 200)]
    with warehouse_of(home).reading() as session:
        together = recovery_reports(
            session, RecoveryParameters(), instants=instants, now=NOW, generated_by="tests"
        )  # fmt: skip
    assert together == [ask_recoveries(home, one) for one in instants]


def test_the_same_evidence_gives_the_same_id_whenever_it_is_asked(tmp_path: Path) -> None:
    home = ingested(tmp_path, [playbook(at(100), "slack")])
    first, second = ask_recoveries(home), ask_recoveries(home, now=NOW + timedelta(days=1))
    assert without_clock(first) == without_clock(second)
    assert ask_recoveries(home, slo_minutes=241)["recovery_report_id"] != first["recovery_report_id"]


@pytest.mark.parametrize("value", [0, 525_601, True, 1.5, "240"])
def test_a_limit_outside_its_bounds_is_refused_by_name(value: Any) -> None:
    with pytest.raises(UsageError, match="slo_minutes"):
        checked(RecoveryParameters, {"slo_minutes": value})


@pytest.mark.parametrize("value", [1, 525_600])
def test_a_limit_at_its_bounds_is_accepted(value: int) -> None:
    assert checked(RecoveryParameters, {"slo_minutes": value}).slo_minutes == value
