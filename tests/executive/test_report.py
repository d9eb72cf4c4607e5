"""The executive report: totals that add up, risks that name themselves, and no all-clear without evidence."""

from __future__ import annotations

import os
import re
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cavra_pipeline.boundary.fields import CLOSURE_STATES
from cavra_pipeline.boundary.kinds import KIND_PREFIX, fields_of
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.executive.providers import RETRIED, risk_of, steps_of
from cavra_pipeline.executive.render import report_markdown
from cavra_pipeline.executive.report import executive_reports
from cavra_pipeline.executive.words import are, decide_words, missed_words, missing_words, worker_words
from cavra_pipeline.lanes import ACKNOWLEDGEMENT_STATES, LANES, Gate
from cavra_pipeline.provider_names import provider_title
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.recoveries.report import recovery_reports
from cavra_pipeline.reports.cause_words import WORKERS_STEP
from tests.executive.histories import ask_escalation, ask_report
from tests.recoveries.stores import closure, playbook
from tests.support import (
    AS_OF,
    MICROSECOND,
    NOW,
    Record,
    acknowledgement,
    at,
    delivery,
    drop,
    execution,
    ingested,
    plan,
    take_in,
    without_clock,
    worker_run,
)

pytestmark = pytest.mark.slow


AUDIT = "acknowledgement_audit"


def _categories(report: dict[str, Any]) -> set[str]:
    return {risk["category"] for risk in report["key_risks"]}


def test_no_evidence_is_said_and_is_not_an_all_clear(tmp_path: Path) -> None:
    report = ask_report(ingested(tmp_path, []))
    assert (report["state"], report["alert_level"]) == ("no_evidence", "critical")
    assert "not an all-clear" in report["headline"]
    assert _categories(report) == {"no_evidence"}
    assert report["recommended_actions"][0]["action"] == report["what_to_do"]
    assert {lane["state"] for lane in report["lanes"]} == {"no_evidence"}


def test_evidence_without_a_playbook_is_no_all_clear_for_recoveries(tmp_path: Path) -> None:
    report = ask_report(ingested(tmp_path, [worker_run(at(10), lane="executive_report")]))
    assert {"no_playbook", "silent_lane"} <= _categories(report)
    assert "not an all-clear" in report["headline"]
    assert (report["recovery_state"], report["open_recovery_count"]) == ("no_playbook", 0)


def test_playbooks_alone_are_evidence(tmp_path: Path) -> None:
    report = ask_report(ingested(tmp_path, [playbook(at(30), "slack"), closure(at(10))]))
    assert (report["evidence_record_count"], report["latest_record_at"]) == (2, at(10).isoformat())
    assert report["recoveries"]["closed_within_limit_percent"] == 100
    assert "no_evidence" not in _categories(report)


def test_a_lane_that_is_not_in_use_is_no_risk(tmp_path: Path) -> None:
    report = ask_report(ingested(tmp_path, [playbook(at(30))]))
    (silent,) = [risk for risk in report["key_risks"] if risk["category"] == "silent_lane"]
    assert "Recovery escalation, Executive report" in silent["risk"]
    assert "Auditor export" not in silent["risk"]
    levels = {lane["lane"]: lane["alert_level"] for lane in report["lanes"]}
    assert (levels["recovery_escalation"], levels["auditor_export"]) == ("warning", "unknown")


@pytest.mark.slow
def test_reports_of_many_instants_are_those_made_one_by_one(tmp_path: Path) -> None:
    records = [
        playbook(at(3000), "slack"), delivery(at(2900), failed=["slack"]), closure(at(1500)),
        *[worker_run(at(m)) for m in range(60, 3000, 300)], closure(at(1000), "reopened"),
        delivery(at(200), lane="executive_report", failed=["teams"]),
    ]  # fmt: skip
    home = ingested(tmp_path, records)
    instants = [at(minutes) for minutes in (0, 1440, 2880, 90, 1440, 5000, 0)]
    for window_days in (1, 7):
        with warehouse_of(home).reading() as session:
            together = executive_reports(session, instants=instants, now=NOW, window_days=window_days)
        assert together == [ask_report(home, instant, window_days=window_days) for instant in instants]
        assert len({report["executive_report_id"] for report in together}) == len(set(instants))


def _quiet(lane: str) -> list[Record]:
    return [worker_run(at(m), lane=lane) for m in range(5, 600, 30)] + [plan(at(4), lane=lane)]


def test_a_quiet_week_is_under_control(tmp_path: Path) -> None:
    lanes = ("recovery_escalation", "executive_report", "recovery_health_alert", "executive_health_alert")
    records = [record for lane in lanes for record in _quiet(lane)]
    records += [playbook(at(60), "slack"), closure(at(50))]
    report = ask_report(ingested(tmp_path, records))
    assert (report["state"], report["key_risks"], report["recommended_actions"]) == ("under_control", [], [])
    assert report["headline"] == "No recovery is open and nothing is failing."


def test_the_headline_counts_what_is_open_and_past_the_limit(tmp_path: Path) -> None:
    records = [playbook(at(300), "slack", playbook_id="old"), playbook(at(30), "teams", playbook_id="new")]
    home = ingested(tmp_path, records)
    report = ask_report(home)
    assert report["headline"] == ("2 recoveries are open, 1 of them past the 4-hour limit; the oldest is 5 h old.")
    step = report["recommended_actions"][0]
    assert (report["what_to_do"], step["then"]) == ("Check that Slack works.", ["Close the Slack recovery."])
    assert ask_report(home, slo_minutes=300)["slo_breached_count"] == 0


def test_a_retry_that_failed_is_no_open_recovery(tmp_path: Path) -> None:
    retried = execution(at(50), lane="acknowledgement_audit", subject="audit-1", provider="splunk")
    report = ask_report(ingested(tmp_path, [playbook(at(60)), retried]))
    assert (report["escalation_count"], report["open_recovery_count"], report["failed_execution_count"]) == (1, 0, 1)
    assert report["open_recoveries"] == []
    assert [one["provider"] for one in report["failed_retries"]] == ["splunk"]


@pytest.mark.parametrize(("minutes", "percent"), [(240, 100), (241, 0)])
def test_the_share_closed_in_time_counts_from_the_playbook(tmp_path: Path, minutes: int, percent: int) -> None:
    records = [playbook(at(600), "slack"), closure(at(550)), closure(at(500), "reopened"), closure(at(600 - minutes))]
    report = ask_report(ingested(tmp_path, records))
    totals = report["recoveries"]
    assert (totals["closed_within_limit_percent"], totals["reopened_in_window_count"]) == (percent, 1)
    assert (totals["opened_in_window_count"], totals["closed_in_window_count"]) == (1, 1)


def test_recoveries_are_told_by_provider_and_cause(tmp_path: Path) -> None:
    def failed(minutes: float, provider: str, code: int | None) -> Record:
        entry = {"provider": provider, "success": False, "status_code": code}
        return delivery(
            at(minutes), lane="acknowledgement_audit", failed=[provider], delivery={"deliveries": [entry]}
        )  # fmt: skip

    report = ask_report(
        ingested(
            tmp_path,
            [
                failed(70, "slack", 401), failed(65, "slack", 403), failed(50, "slack", 500),
                failed(70, "teams", 503), failed(65, "teams", None), failed(70, "jira", None),
                playbook(at(60), "slack", "teams", "jira", "webhook"), closure(at(20), provider="jira"),
            ],
        )
    )  # fmt: skip
    causes = {one["cause"]: (one["open_count"], one["closed_in_window_count"]) for one in report["recoveries_by_cause"]}
    assert causes == {"credentials": (1, 0), "mixed": (1, 0), "no_answer": (0, 1), "unknown": (1, 0)}
    providers = {one["provider"]: one["open_count"] for one in report["recoveries_by_provider"]}
    assert providers == {"slack": 1, "teams": 1, "webhook": 1, "jira": 0}


def test_a_failing_provider_is_named_with_its_cause(tmp_path: Path) -> None:
    failures = [
        delivery(
            at(60 - n),
            failed=["servicenow"],
            status_codes=[401],
            delivery={"deliveries": [{"provider": "servicenow", "success": False, "status_code": 401}]},
        )
        for n in range(3)
    ]
    report = ask_report(ingested(tmp_path, [playbook(at(61), "servicenow"), *failures]))
    (risk,) = [risk for risk in report["key_risks"] if risk["category"] == "broken_provider"]
    assert risk["severity"] == "critical"
    assert risk["risk"].startswith("ServiceNow rejects our credentials (401); 1 notification has not arrived")
    assert "credential" in risk["action"]


@pytest.mark.parametrize(
    ("code", "says"), [(200, "answers without accepting the message (200)"), (None, "does not answer")]
)
def test_an_answer_that_accepts_nothing_is_not_silence(tmp_path: Path, code: int | None, says: str) -> None:
    entry = {"provider": "slack", "success": False, "status_code": code}
    failed = delivery(at(5), failed=["slack"], delivery={"deliveries": [entry]})
    (broken,) = ask_report(ingested(tmp_path, [failed]))["broken_providers"]
    assert broken["cause"] == f"Slack {says}"


def _attempt(minutes: float, code: int | None, *, subject: str = "one") -> Record:
    entry = {"provider": "webhook", "success": code == 200, "status_code": code}
    failed = [] if code == 200 else ["webhook"]
    return delivery(
        at(minutes), subject=subject, providers=["webhook"], failed=failed, delivery={"deliveries": [entry]}
    )


def test_a_provider_that_has_delivered_since_is_not_said_to_be_failing(tmp_path: Path) -> None:
    failures = [_attempt(90, 500), _attempt(80, 502), _attempt(70, 502)]
    down = ask_report(ingested(tmp_path / "down", failures))["broken_providers"][0]
    assert (down["cause"], down["severity"]) == ("Webhook is returning server errors (502)", "critical")
    assert down["action"] == "Ask the owner of the webhook receiver when it will work again."
    exhausted = "The notification to Webhook has no retries left: send it again in CAVRA, or allow more attempts."
    assert down["then"] == [exhausted]

    records = [*failures, _attempt(60, 200, subject="two"), playbook(at(30), "webhook")]
    report = ask_report(ingested(tmp_path / "up", records))
    (up,) = report["broken_providers"]
    assert (up["is_failing_now"], up["severity"]) == (False, "warning")
    assert up["cause"] == "A notification to Webhook failed (last error 502)"
    # It passed by itself: what is left is the notification.
    assert up["action"] == exhausted
    lost = [_attempt(90, 404), _attempt(60, 200, subject="two")]
    (gone,) = ask_report(ingested(tmp_path / "gone", lost))["broken_providers"]
    check = "Check the address of the Webhook delivery answered with 404 on 25 Jun: Webhook has accepted others since."
    assert (gone["is_failing_now"], gone["action"]) == (False, check)
    (risk,) = [risk["risk"] for risk in report["key_risks"] if risk["category"] == "broken_provider"]
    assert "others have arrived since; the oldest failed on 25 Jun 2026, 10:30 UTC; 1 recovery is open." in risk


def test_the_notifications_of_a_step_add_up(tmp_path: Path) -> None:
    def tried(lane: str, subject: str, *minutes: float) -> list[Record]:
        return [delivery(at(m), lane=lane, subject=subject, failed=["slack"], status_codes=[401]) for m in minutes]

    records = [
        *tried("executive_report", "due", 90), *tried("executive_report", "later", 1),
        *tried("recovery_escalation", "held", 80), *tried("recovery_escalation", "cleared", 70),
        acknowledgement(at(60), subject="cleared", provider="slack"),
        *tried(AUDIT, "unapproved", 85), *tried(AUDIT, "exhausted", 900, 700, 500),
        playbook(at(30), "slack"),
    ]  # fmt: skip
    report = ask_report(ingested(tmp_path, records))
    (slack,) = report["broken_providers"]
    assert [slack[name] for name in ("failing_notice_count", *RETRIED)] == [6, 3, 2, 1]
    assert report["what_to_do"] == "Renew the Slack credential or restore its permissions."
    worker, *of_people = slack["then"]
    assert worker == "Retry 3 of the 6 live."
    assert of_people == [
        "Acknowledge 1 and approve (in CAVRA) 1 of the 6 notifications to Slack.",
        "1 of them has no retries left: send it again in CAVRA, or allow more attempts.",
        "Close the Slack recovery.",
    ]
    assert missed_words(report) == "People may have missed 6 notifications sent to Slack (the oldest from 24 Jun)."
    assert missing_words(report) == (
        "Not arrived: 2 escalations of recoveries, 2 executive reports and 2 audit deliveries."
    )
    fix, release = report["recommended_actions"][:2]
    assert (fix["action"], fix["role"], fix["then"]) == (slack["action"], "platform team", [worker])
    assert fix["because"] == f"{slack['cause']}."
    assert (release["action"], release["role"], release["then"]) == (of_people[0], "incident lead", of_people[1:])
    assert release["because"] == "3 notifications wait for a person."
    assert not any("," in one["role"] for one in report["recommended_actions"]), "a step is of one role"
    (risk,) = [one["risk"] for one in report["key_risks"] if one["category"] == "broken_provider"]
    assert "not arrived: 3 can be retried, 2 must be acknowledged or approved, 1 has no retries left;" in risk
    assert not {"acknowledgement_pending", "approval_pending"} & _categories(report), "its provider's step says it"


@pytest.mark.parametrize(
    ("reason", "action"),
    [
        (
            "recovery_escalation_retry_health_not_found",
            "Check in CAVRA that the recovery health report is still stored, and have it made again if it is not. "
            "Then retry or resolve it.",
        ),
        (None, "Recovery escalation: find out why nothing was sent. Then retry or resolve it."),
    ],
)
def test_a_retry_skipped_for_a_known_reason_has_its_step(tmp_path: Path, reason: str | None, action: str) -> None:
    named: dict[str, Any] = {"recovery_escalation_retry_execution_record": {"skipped": reason}} if reason else {}
    skipped = execution(at(60), subject="one", provider="slack", status="skipped", **named)
    report = ask_report(ingested(tmp_path, [_attempt(90, 500), skipped]))
    (step,) = [r["action"] for r in report["key_risks"] if r["category"] == "unresolved_failed_execution"]
    assert step == action


def test_no_step_asks_to_release_what_a_person_put_off(tmp_path: Path) -> None:
    """A deferred notification keeps its place in the sum; its step agrees on a date, and one dismissed has a review."""

    def slack(folder: str, *records: Record) -> dict[str, Any]:
        (provider,) = ask_report(ingested(tmp_path / folder, records))["broken_providers"]
        return dict(provider)

    def tried(subject: str, code: int) -> Record:
        return delivery(at(80), subject=subject, failed=["slack"], status_codes=[code])

    put_off = acknowledgement(at(60), subject="later", provider="slack", state="deferred")
    both = slack("both", tried("held", 401), tried("later", 401), put_off)
    assert (both["uncleared_count"], both["declined_counts"], both["cleared_count"]) == (1, {"deferred": 1}, 0)
    agree = "Agree when to retry the deferred notification to Slack: no date is on record."
    both_agree = "Agree when to retry the deferred one: no date is on record."
    assert both["then"] == ["Acknowledge 1 of the 2 notifications to Slack.", both_agree]
    _, release = steps_of(both)
    assert (release["role"], release["then"]) == ("incident lead", [both_agree])
    assert release["because"] == "1 notification waits for a person, and 1 is deferred."
    assert "1 must be acknowledged or approved, 1 is deferred;" in risk_of(both)
    alone = slack("alone", tried("later", 503), put_off, delivery(at(50), subject="other", providers=["slack"]))
    assert (alone["uncleared_count"], alone["declined_counts"], alone["role"]) == (0, {"deferred": 1}, "incident lead")
    assert [alone["action"], *alone["then"]] == [agree]
    broken = slack("broken", tried("later", 401), put_off)
    assert [(step["role"], step["action"], step["because"]) for step in steps_of(broken)[1:]] == [
        ("incident lead", agree, "1 is deferred.")
    ]
    never = acknowledgement(at(60), subject="later", provider="slack", state="dismissed")
    final = slack("final", tried("later", 503), never, delivery(at(50), subject="other", providers=["slack"]))
    assert [final["action"], *final["then"]] == ["Review the decision about 1 notification to Slack: 1 is dismissed."]


@pytest.mark.parametrize(
    ("before", "after", "trend"),
    [
        (2, 2, " The same as on 19 Jun."),
        (2, 1, " Improving: 2 open on 19 Jun, 2 past the limit."),
        (1, 2, " Getting worse: 1 open on 19 Jun, 1 past the limit."),
        (0, 1, " Getting worse: none was open on 19 Jun."),
    ],
)
def test_the_headline_says_whether_it_gets_better(tmp_path: Path, before: int, after: int, trend: str) -> None:
    old = [playbook(at(8 * 1440), "slack", playbook_id=f"old-{n}") for n in range(2)]
    ends = [closure(at(7 * 1440), playbook_id=f"old-{n}") for n in range(before, 2)]
    if after < before:
        ends.append(closure(at(600), playbook_id="old-0"))
    new = [playbook(at(600), "slack", playbook_id=f"new-{n}") for n in range(after - before)]
    assert ask_report(ingested(tmp_path, [*old, *ends, *new]))["headline"].endswith(trend)


@pytest.mark.parametrize(("count", "is_now"), [(2, False), (3, True)])
def test_a_provider_fails_now_if_several_failed_after_its_last_success(
    tmp_path: Path, count: int, is_now: bool
) -> None:
    later = [_attempt(10 + n, 503, subject=f"late-{n}") for n in range(count)]
    records = [_attempt(90, 500), _attempt(60, 200, subject="two"), *later]
    (broken,) = ask_report(ingested(tmp_path, records))["broken_providers"]
    assert broken["is_failing_now"] is is_now
    assert ("is returning server errors" in broken["cause"]) is is_now


@pytest.mark.parametrize(
    ("status", "provider", "is_folded"),
    [("failed", "webhook", True), ("skipped", "webhook", True), ("skipped", "slack", False)],
)
def test_failed_retries_are_folded_into_the_cause_of_all_of_them(
    tmp_path: Path, status: str, provider: str, is_folded: bool
) -> None:
    retried = execution(at(60), subject="one", provider=provider, status=status)
    report = ask_report(ingested(tmp_path, [_attempt(90, 500), retried]))
    (broken,) = report["broken_providers"]
    assert broken["failed_retry_count"] == int(status == "failed")
    assert ("unresolved_failed_execution" in _categories(report)) is not is_folded
    assert any("; 1 retry failed" in risk["risk"] for risk in report["key_risks"]) is (status == "failed")


@pytest.mark.parametrize(
    ("minutes", "last", "usual", "is_failing"),
    [
        (125, 5, 125, True),
        (125, 130, 125, True),
        (125, 130, 125, False),
        (125, 200, None, False),
        (65, 5, None, False),
        (60, 5, None, False),
    ],
)
def test_a_worker_that_runs_regularly_but_seldom_has_one_step(
    tmp_path: Path, minutes: int, last: int, usual: int | None, is_failing: bool
) -> None:
    runs = [worker_run(at(last + minutes * n), lane=AUDIT) for n in range(12)]
    failures = [delivery(at(20), lane=AUDIT, failed=["slack"], status_codes=[503])] if is_failing else []
    report = ask_report(ingested(tmp_path, [*runs, *failures, plan(at(5), lane=AUDIT)]))
    (lane,) = [lane for lane in report["lanes"] if lane["lane"] == AUDIT]
    assert lane["usual_interval_minutes"] == usual
    of_lane = [risk for risk in report["key_risks"] if "Acknowledgement audit" in risk["risk"]]
    if usual:
        (risk,) = of_lane
        assert risk["risk"].endswith("the retry worker runs every 2 h 5 min, expected every 1 h.")
        assert risk["action"] == (
            "On the host that runs Acknowledgement audit, check that its schedule is due as often as expected, "
            "or adjust what is expected."
        )
        assert risk["severity"] == ("critical" if last > 120 and is_failing else "warning")
    else:
        assert {risk["category"] for risk in of_lane} <= {"missed_worker"}
    assert any("were down" in said or "was down" in said for said in report["what_happened"]) is (last == 200)


@pytest.mark.parametrize(
    ("closed", "still_open", "says"),
    [
        (0, 1, "0 of 1 recoveries due were closed within the 4-hour limit; it is still open."),
        (0, 2, "0 of 2 recoveries due were closed within the 4-hour limit; all 2 are still open."),
        (1, 0, "1 of 1 recoveries due was closed within the 4-hour limit."),
        (2, 2, "2 of 4 recoveries due were closed within the 4-hour limit; the other 2 are still open."),
        (4, 0, "4 of 4 recoveries due were closed within the 4-hour limit."),
        (
            5,
            0,
            "4 of 5 recoveries due were closed within the 4-hour limit; the other was closed late; "
            "half of the 5 closed took at most 50 min.",
        ),
        (
            20,
            1,
            "90 % of 21 recoveries due were closed within the 4-hour limit; 1 was closed late, and 1 is still open; "
            "half of the 20 closed took at most 50 min.",
        ),
    ],
)
def test_one_ratio_is_said_of_the_recoveries_due_and_a_median_of_several(
    tmp_path: Path, closed: int, still_open: int, says: str
) -> None:
    books = [playbook(at(600), "slack", playbook_id=f"p{n}") for n in range(closed + still_open)]
    ends = [closure(at(550 if n < 4 or (closed == 20 and n < 19) else 10), playbook_id=f"p{n}") for n in range(closed)]
    happened = ask_report(ingested(tmp_path, [*books, *ends]))["what_happened"]
    assert says in happened
    assert sum("within the 4-hour limit" in sentence for sentence in happened) == 1


def test_a_recovery_opened_and_closed_between_two_points_is_seen(tmp_path: Path) -> None:
    records = [playbook(at(340), "slack"), closure(at(10))]
    points = ask_report(ingested(tmp_path, records), window_days=1)["backlog"]
    assert [(one["open_count"], one["breached_count"]) for one in points] == [(0, 0)] * 3
    assert [(one["most_open_count"], one["most_breached_count"]) for one in points] == [(0, 0), (0, 0), (1, 1)]


def test_a_new_date_is_agreed_with_the_owner_of_the_recovery_by_its_ticket(tmp_path: Path) -> None:
    records = [playbook(at(600), "slack"), closure(at(580), "deferred", signer="on-call", external_ref="OPS-1")]
    actions = {action["action"] for action in ask_report(ingested(tmp_path / "named", records))["recommended_actions"]}
    assert "Agree a new date for the deferred Slack recovery with on-call (OPS-1)." in actions
    assert "Assign more people to the open recoveries, or accept that they take longer." in actions
    assert not any("find what" in action for action in actions), "the providers' steps name the causes"

    alone = [playbook(at(600), "slack"), closure(at(580), "deferred", signer="")]
    actions = {action["action"] for action in ask_report(ingested(tmp_path / "alone", alone))["recommended_actions"]}
    assert "Agree a new date for the deferred Slack recovery." in actions


def test_the_worker_of_several_lanes_is_one_risk_and_its_stale_plans_none(tmp_path: Path) -> None:
    lanes = ("recovery_escalation", "executive_report")
    records = [make(at(minutes), lane=lane) for lane in lanes for make, minutes in ((worker_run, 600), (plan, 599))]
    lanes_down = "Recovery escalation and Executive report"
    down = f"{lanes_down}: nothing is retried, as the retry worker is down, for up to 9 h 30 min"
    failure = delivery(at(90), lane="executive_report", failed=["slack"], status_codes=[503])
    for more, end, urgency in (([], "; nothing waits there now.", "soon"), ([failure], ".", "now")):
        report = ask_report(ingested(tmp_path / urgency, [*records, *more]))
        (worker,) = [risk for risk in report["key_risks"] if "worker" in risk["category"]]
        assert worker["risk"] == f"{down}{end}"
        assert not any("stale" in risk["category"] for risk in report["key_risks"])
        (step,) = [one for one in report["recommended_actions"] if one["action"] == WORKERS_STEP]
        assert step["urgency"] == urgency
        said = "Nothing waits for a retry in those lanes now."
        assert (said in report["what_happened"]) is (urgency == "soon")


def test_a_lane_whose_worker_is_down_while_nothing_waits_is_not_urgent(tmp_path: Path) -> None:
    report = ask_report(ingested(tmp_path, [worker_run(at(600), lane=AUDIT), plan(at(599), lane=AUDIT)]))
    (worker,) = [risk for risk in report["key_risks"] if risk["category"] == "missed_worker"]
    assert worker["risk"].endswith("; one is due every 1 h; nothing waits there now.")
    assert worker["severity"] == "warning"
    # The level is the lane's; the first sentence says why no step is urgent.
    assert (report["state"], {one["urgency"] for one in report["recommended_actions"]}) == ("action_needed", {"soon"})
    assert report["headline"].endswith(" By CAVRA's rule Acknowledgement audit is critical; no step is urgent.")
    page = report_markdown(report)
    assert "**1. Do first (" in page
    assert "Do now" not in page
    urgent = ask_report(ingested(tmp_path / "urgent", [worker_run(at(600), lane=AUDIT), _attempt(90, 401)]))
    assert "no step is urgent" not in urgent["headline"]


def test_a_provider_is_closed_but_for_what_waits_for_a_decision(tmp_path: Path) -> None:
    def closing(*states: str | None) -> str:
        books = [playbook(at(600), "slack", playbook_id=f"p{n}") for n in range(len(states))]
        said = [closure(at(500), state, playbook_id=f"p{n}") for n, state in enumerate(states) if state]
        (broken,) = ask_report(ingested(tmp_path / "-".join(map(str, states)), [*books, *said]))["broken_providers"]
        return str(broken["then"][-1])

    assert closing(None, None) == "Close the 2 Slack recoveries."
    assert closing("deferred") == "Close the Slack recovery once its new date is agreed."
    assert closing("escalated", None, None) == (
        "Close 2 of the 3 Slack recoveries; the escalated one once its escalation is decided."
    )
    assert closing("deferred", "escalated", None) == (
        "Close 1 of the 3 Slack recoveries; the 2 deferred and escalated ones as their decisions are made."
    )
    assert closing("deferred", "deferred") == "Close the 2 Slack recoveries as their decisions are made."


def test_a_failure_that_nothing_was_accepted_after_is_corrected(tmp_path: Path) -> None:
    records = [_attempt(120, 500), _attempt(90, 200, subject="two"), _attempt(60, 404, subject="three")]
    (webhook,) = ask_report(ingested(tmp_path / "before", records))["broken_providers"]
    assert (webhook["is_failing_now"], webhook["action"]) == (False, "Correct the Webhook address.")
    later = [*records, _attempt(30, 200, subject="four")]
    (webhook,) = ask_report(ingested(tmp_path / "after", later))["broken_providers"]
    assert webhook["action"] == (
        "Check the address of each Webhook delivery answered with 404, the last on 25 Jun: "
        "Webhook has accepted others since."
    )


def test_the_counts_of_sendings_and_of_what_has_not_arrived_name_their_units(tmp_path: Path) -> None:
    failed = delivery(at(60), lane=AUDIT, providers=["slack", "jira", "teams"], failed=["slack", "jira"])
    happened = ask_report(ingested(tmp_path, [failed, delivery(at(50), subject="other")]))["what_happened"]
    assert "2 sendings of notifications, repeats included; 1 failed at one or more providers." in happened
    assert "Of these sendings and earlier ones, 2 have not arrived, counted once per provider." in happened
    calm = ask_report(ingested(tmp_path / "calm", [delivery(at(50))]))["what_happened"]
    assert not any("not arrived" in sentence for sentence in calm)


@pytest.mark.parametrize("is_known", [True, False])
def test_the_window_before_is_compared_only_where_it_was_seen_whole(tmp_path: Path, is_known: bool) -> None:
    # The window begins at midnight six days before the instant, the one before it seven days earlier.
    start = AS_OF.replace(hour=0, minute=0) - timedelta(days=13)
    first = playbook(start if is_known else start + MICROSECOND, "teams", playbook_id="first")
    records = [first, playbook(at(8 * 1440), "slack"), closure(at(8 * 1440 - 60))]
    before = ask_report(ingested(tmp_path, records))["recoveries_before"]
    if is_known:
        assert (before["opened_in_window_count"], before["closed_within_limit_percent"]) == (2, 100)
    else:
        assert before is None


def test_the_cause_is_that_of_the_open_incident(tmp_path: Path) -> None:
    def failed(minutes: float, code: int) -> Record:
        entry = {"provider": "slack", "success": False, "status_code": code}
        delivered = {"deliveries": [entry]}
        return delivery(at(minutes), subject=f"s{minutes}", failed=["slack"], delivery=delivered)

    home = ingested(tmp_path, [failed(30, 503), failed(20, 503), failed(10, 401)])
    (broken,) = ask_report(home)["broken_providers"]
    assert broken["cause"] == "Slack fails in several ways (401, 503)"
    assert broken["provider_incident_id"].startswith("provider-incident-")
    (alone,) = ask_report(home, at(20))["broken_providers"]
    assert (alone["cause"], alone["provider_incident_id"]) == ("Slack is returning server errors (503)", None)


def test_percentages_are_rounded_down_so_that_100_means_all(tmp_path: Path) -> None:
    records = [delivery(at(n), subject=f"s{n}") for n in range(1, 300)] + [delivery(at(300), failed=["slack"])]
    (slack,) = ask_report(ingested(tmp_path, records))["deliveries_by_provider"]
    assert slack == {"provider": "slack", "delivered_count": 299, "failed_count": 1, "delivered_percent": 99}


def test_the_window_starts_at_midnight_and_counts_from_there(tmp_path: Path) -> None:
    midnight = AS_OF.replace(hour=0)
    home = ingested(
        tmp_path,
        {
            "2026-06-24": [delivery(midnight - MICROSECOND, subject="before"), execution(midnight - MICROSECOND)],
            "2026-06-25": [delivery(midnight, subject="in"), execution(midnight, status="delivered")],
        },
    )
    one, two = ask_report(home, window_days=1), ask_report(home, window_days=2)
    assert one["window_start"] == "2026-06-25T00:00:00+00:00"
    assert [r["activity"]["delivery_count"] for r in (one, two)] == [1, 2]
    assert [r["activity"]["failed_execution_count"] for r in (one, two)] == [0, 1]


def test_an_outage_counts_for_its_part_inside_the_window(tmp_path: Path) -> None:
    midnight = AS_OF.replace(hour=0)
    runs = [worker_run(midnight - timedelta(hours=3)), worker_run(midnight + timedelta(hours=2)), worker_run(AS_OF)]
    home = ingested(tmp_path, runs)
    lane = next(lane for lane in ask_report(home, window_days=1)["lanes"] if lane["lane"] == "recovery_escalation")
    assert [outage["minutes_in_window"] for outage in lane["outages"]] == [120, 570]
    assert (lane["outage_minutes"], lane["open_outage_count"], lane["state"]) == (690, 0, "running")
    assert worker_words(lane, AS_OF.isoformat()) == "2 outages, 14 h", "the words have the whole of it"


@pytest.mark.parametrize(
    ("opened", "minutes", "is_asked"), [(2, 10, False), (3, 10, True), (1, 239, False), (1, 241, True)]
)
def test_more_people_are_asked_for_where_many_are_open_or_one_is_late(
    tmp_path: Path, opened: int, minutes: int, is_asked: bool
) -> None:
    books = [playbook(at(minutes), "slack", playbook_id=f"p{n}") for n in range(opened)]
    assert ("growing_backlog" in _categories(ask_report(ingested(tmp_path, books)))) == is_asked


def test_quarantined_lines_make_the_report_say_what_it_lacks(tmp_path: Path) -> None:
    home = ingested(tmp_path, [playbook(at(10), "slack"), "half a li"])
    report = ask_report(home)
    actions = [action["action"] for action in report["recommended_actions"]]
    assert "Find out why 1 line could not be read, fix the source and import it again." in actions
    assert (report["quarantined_record_count"], "quarantined_evidence" in _categories(report)) == (1, True)


def test_the_report_refers_to_the_escalation_plan_of_the_same_connectors(tmp_path: Path) -> None:
    home = ingested(tmp_path, [playbook(at(10), "teams"), delivery(at(9))])
    plan_ = ask_escalation(home, providers=["slack"])
    report = ask_report(home, providers=["slack"])
    assert report["escalation_plan_id"] == plan_["plan_id"]
    assert report["recovery_report_id"] == plan_["recovery_report_id"]
    envelope = {field.column for field in fields_of("x-unknown")}
    assert {field.column for field in fields_of(KIND_PREFIX + "recovery-executive-report")} - envelope <= set(report)


def test_the_same_evidence_gives_the_same_bytes_and_id(tmp_path: Path) -> None:
    records = [playbook(at(n), "slack", playbook_id=f"s{n % 7}", session_id=f"p{n}") for n in range(40)]
    records += [
        delivery(at(n), subject=f"s{n % 7}", failed=["slack"] if n % 3 else [], session_id=f"d{n}") for n in range(30)
    ]
    one = ask_report(ingested(tmp_path / "1", records, threads=1))
    two = ask_report(ingested(tmp_path / "2", records[::-1], threads=4), now=NOW + timedelta(days=2))
    assert without_clock(one) == without_clock(two)
    more = ask_report(ingested(tmp_path / "3", [*records, delivery(at(0), subject="s1")]))
    assert more["executive_report_id"] != one["executive_report_id"]


@pytest.mark.parametrize("value", [0, 367, True, 7.0, "7"])
def test_a_window_outside_its_bounds_is_refused_by_name(tmp_path: Path, value: Any) -> None:
    with pytest.raises(UsageError, match=r"window_days.*1 to 366"):
        ask_report(ingested(tmp_path, []), window_days=value)


def test_a_label_that_is_not_public_safe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="generated_by"):
        ask_report(ingested(tmp_path, []), generated_by="a@example.org")


#: For more histories: CAVRA_TEST_REPORTS=300 pytest tests/executive/test_report.py
HISTORIES = int(os.environ.get("CAVRA_TEST_REPORTS", "6"))
#: What people are asked to do about an open recovery, by what it needs.
_STEPS = {"decide": "Decide", "resume": "Agree a new date", "notify": "Notify an owner", "acknowledge": "Name an owner"}

#: The platform team's step for notifications that no person has to release.
_LIVE = r"etry .* (with a live worker|live)\."


def _number(actions: list[dict[str, Any]], action: str) -> int:
    (number,) = [one["number"] for one in actions if one["action"] == action]
    return int(number)


def _assert_people_are_asked_for_what_is_needed(provider: dict[str, Any], steps: str) -> None:
    """The gates of the lanes at which the provider fails decide between the two words; the numbers add up."""
    gates = {LANES[lane].gate for lane in provider["lanes"]}
    verbs = {Gate.ACKNOWLEDGEMENT: "cknowledge", Gate.APPROVAL: "pprove"}
    named = {gate for gate, verb in verbs.items() if verb in steps}
    assert named <= gates
    assert bool(named) is (provider["uncleared_count"] > 0)
    asked = re.search(r"Acknowledge (\d+) and approve \(in CAVRA\) (\d+) of", steps)
    alone = re.search(r"(?:Acknowledge|Approve) (?:(\d+) of )?the (?:(\d+) )?notifications? to", steps)
    numbers = asked.groups() if asked else [alone[1] or alone[2] or "1"] if alone else []
    assert (asked is not None) is (len(named) == 2)
    assert sum(map(int, numbers)) == provider["uncleared_count"]


def _assert_closed_is_what_no_decision_holds(steps: str, needs: Counter[str], name: str) -> None:
    """A recovery that waits for a person's decision is closed only after it."""
    total, held = needs.total(), needs["decide"] + needs["resume"]
    asked = re.search(rf"Close (?:(\d+) of )?the (?:(\d+) )?{name} recover", steps)
    assert (asked is not None) is (total > 0)
    if asked:
        assert int(asked[2] or 1) == total
        assert asked[1] is None or int(asked[1]) == total - held
        assert (asked[1] is not None) is (0 < held < total)
        assert (" once its " in steps or " as their decisions are made" in steps) is (held > 0)


_MINUTES = st.integers(0, 3 * 1440)
_BOOK = st.sampled_from(["a", "b", "c"])
_PROVIDER = st.sampled_from(["slack", "jira"])
_EVENT = st.one_of(
    st.tuples(st.just("playbook"), _MINUTES, _BOOK, st.lists(_PROVIDER, unique=True)),
    st.tuples(st.just("closure"), _MINUTES, _BOOK, _PROVIDER, st.sampled_from(CLOSURE_STATES)),
    st.tuples(st.just("delivery"), _MINUTES, _BOOK, _PROVIDER, st.booleans()),
    st.tuples(st.just("acknowledgement"), _MINUTES, _BOOK, _PROVIDER, st.sampled_from(ACKNOWLEDGEMENT_STATES)),
    st.tuples(st.just("run"), _MINUTES, _BOOK),
)


def _record(number: int, event: tuple[Any, ...]) -> Record:
    what, minutes, book, *more = event
    when, id_ = at(minutes), f"r{number:03d}"
    if what == "playbook":
        # Each playbook of CAVRA's has an id of its own.
        return playbook(when, *more[0], playbook_id=f"{book}-{id_}" if number % 2 else book, session_id=id_)
    if what == "closure":
        return closure(when, more[1], provider=more[0], playbook_id=book, session_id=id_)
    if what == "acknowledgement":
        return acknowledgement(when, subject=book, provider=more[0], state=more[1], session_id=id_)
    lane = list(LANES)[number % len(LANES)]
    if what == "run":
        return worker_run(when, lane=lane, session_id=id_)
    failed = [more[0]] if more[1] else []
    return delivery(when, lane=lane, subject=book, providers=[more[0]], failed=failed, session_id=id_)


def _open(records: list[Record], moment: datetime) -> list[tuple[str, str]]:
    """The definition, read off the contract and applied to one instant."""
    seen = sorted(
        (r for r in records if datetime.fromisoformat(r["created_at"]) <= moment),
        key=lambda r: (r["created_at"], r["session_id"]),
    )
    states = {(r["playbook_id"], r["provider"]): r["closure_state"] for r in seen if "closure_state" in r}
    opened = [
        (r["playbook_id"], entry["provider"])
        for r in seen
        for entry in r.get("connector_recovery_playbook", {}).get("provider_playbooks", [])
    ]
    return [one for one in opened if states.get(one) not in ("resolved", "mitigated")]


@pytest.mark.timeout(30 * HISTORIES)
@settings(max_examples=HISTORIES)
@given(st.lists(_EVENT, max_size=25))
def test_no_action_count_or_sentence_of_a_report_contradicts_another(events: list[tuple[Any, ...]]) -> None:
    with TemporaryDirectory() as folder:
        home = ingested(Path(folder), [_record(number, event) for number, event in enumerate(events)])
        report = ask_report(home)
        with warehouse_of(home).reading() as session:
            (listed,) = recovery_reports(session, RecoveryParameters(), instants=[AS_OF], now=NOW)
    assert [one["playbook_id"] for one in report["open_recoveries"]] == [
        one["playbook_id"] for one in listed["recoveries"] if one["slo_status"] != "closed"
    ]
    opened, broken, actions = report["open_recoveries"], report["broken_providers"], report["recommended_actions"]
    of_provider = Counter(one["provider"] for one in opened)
    late = Counter(one["provider"] for one in opened if one["slo_status"] == "breached")

    assert {one["provider"]: one["open_recovery_count"] for one in broken if one["open_recovery_count"]} == of_provider
    assert {one["provider"]: one["slo_breached_count"] for one in broken if one["slo_breached_count"]} == late
    assert all(one["open_recovery_count"] or one["failing_notice_count"] for one in broken)
    missing = sum(one["failing_notice_count"] for one in broken)
    assert sum(lane["failing_notice_count"] for lane in report["lanes"]) == missing
    assert sum(map(int, re.findall(r"\d+", missing_words(report)))) == missing
    assert sum(map(int, re.findall(r"(\d+)(?: notifications? sent)? to ", missed_words(report)))) == missing
    own = [one["action"] for one in actions if one["role"] == "executive" and (one["number"] or 0) > 1]
    assert re.findall(r"\(step (\d)\)", decide_words(report, {n: n for n in range(1, 9)})) == [
        str(_number(actions, each)) for each in own
    ]
    order = [(one["urgency"] != "now", -one["freed_recovery_count"]) for one in actions]
    assert order == sorted(order)
    # Both steps of a provider free its recoveries.
    assert sum(one["freed_recovery_count"] for one in report["key_risks"]) == len(opened)
    assert len({one["action"] for one in actions}) == len(actions)
    said = {one["action"] for one in actions}
    step_of = {one["provider"]: one["action"].removesuffix(".") for one in broken}
    assert all(one["recommended_action"].startswith(step_of[one["provider"]]) for one in opened)
    assert all(one["action"].endswith(".") and provider_title(one["provider"]) in one["action"] for one in broken)
    for one in broken:
        assert (" failed (" in one["cause"]) is (one["failing_notice_count"] > 0 and not one["is_failing_now"])
        assert sum((*(one[name] for name in RETRIED), *one["declined_counts"].values())) == one["failing_notice_count"]
        steps = " ".join([one["action"], *one["then"]])
        _assert_people_are_asked_for_what_is_needed(one, steps)
        assert ("again in CAVRA" in steps) is (one["suppressed_count"] > 0)
        for state, text in (("deferred", "Agree when to retry"), ("escalated", "Get a decision about")):
            assert (text in steps) is (state in one["declined_counts"])
        assert (re.search(_LIVE, steps) is not None) is (one["cleared_count"] > 0)
        of_worker = [
            each["role"] for each in steps_of(one) if re.search(_LIVE, " ".join([each["action"], *each["then"]]))
        ]
        assert of_worker == ["platform team"] * (one["cleared_count"] > 0)
        assert [each for step in steps_of(one) for each in (step["action"], *step["then"])] == [
            one["action"],
            *one["then"],
        ]
        needs = Counter(route["need"] for route in opened if route["provider"] == one["provider"])
        _assert_closed_is_what_no_decision_holds(steps, needs, provider_title(one["provider"]))
        assert one["is_failing_now"] or one["slo_breached_count"] or one["severity"] == "warning"
    assert {one["action"] for one in broken} <= said
    for one in opened:
        assert (one["slo_status"] == "breached") <= (report["alert_level"] == "critical")
        step = _STEPS.get(one["need"])
        assert step is None or any(step in each and provider_title(one["provider"]) in each for each in said)
    idle = {lane["lane"] for lane in report["lanes"] if not lane["failing_notice_count"]}
    for one in report["key_risks"]:
        if one["category"] == "missed_worker":
            down = {lane["lane"] for lane in report["lanes"] if lane["open_outage_count"]}
            assert (one["severity"] == "warning") is ("nothing waits there now" in one["risk"]) is (down <= idle)
    for need, step in _STEPS.items():
        assert any(one["need"] == need for one in opened) == any(each.startswith(step) for each in said)
    assert report["what_to_do"] == (actions[0]["action"] if actions else "Nothing; the next report comes as scheduled.")
    counted = f"{are(len(opened), 'recovery', 'recoveries')} open"
    assert not opened or (counted in report["headline"] and ("past the" in report["headline"]))
    assert (len(late) > 0) == ("of them past" in report["headline"] or "open, past the" in report["headline"])


@settings(max_examples=6)
@given(st.lists(_EVENT, max_size=25))
def test_opened_is_closed_and_open_in_every_history(events: list[tuple[Any, ...]]) -> None:
    records = [_record(number, event) for number, event in enumerate(events)]
    with TemporaryDirectory() as folder:
        report = ask_report(ingested(Path(folder), records), window_days=4)
    totals = report["recoveries"]
    assert totals["opened_count"] == totals["closed_count"] + totals["open_count"]
    assert totals["open_count"] == report["open_recovery_count"] == len(_open(records, AS_OF))
    for groups in (report["recoveries_by_provider"], report["recoveries_by_cause"]):
        for name in ("open_count", "slo_breached_count", "opened_in_window_count", "closed_in_window_count"):
            assert sum(group[name] for group in groups) == totals[name]
    trend = report["closure_trend"]
    assert trend[-1]["open_count"] == totals["open_count"]
    for before, day in pairwise(trend):
        assert day["open_count"] == before["open_count"] + day["opened_count"] - day["closed_count"]
    for point in report["backlog"]:
        moment = datetime.fromisoformat(point["at"])
        late = _open([r for r in records if "closure_state" in r or _is_late(r, moment)], moment)
        assert (point["open_count"], point["breached_count"]) == (len(_open(records, moment)), len(late))
    changes = [datetime.fromisoformat(record["created_at"]) for record in records]
    for before, point in pairwise(report["backlog"]):
        first, last = (datetime.fromisoformat(one["at"]) for one in (before, point))
        most = max(len(_open(records, each)) for each in (first, last, *(c for c in changes if first < c <= last)))
        assert point["most_open_count"] == most
        assert point["most_breached_count"] >= max(before["breached_count"], point["breached_count"])


def _is_late(record: Record, moment: datetime) -> bool:
    return moment - datetime.fromisoformat(record["created_at"]) > timedelta(minutes=240)


@pytest.mark.slow
@settings(max_examples=6)
@given(st.lists(_EVENT, max_size=25), st.lists(_MINUTES, min_size=1, max_size=8), st.integers(1, 3))
def test_reports_made_together_are_those_made_one_by_one_in_every_history(
    events: list[tuple[Any, ...]], minutes: list[int], window_days: int
) -> None:
    instants = [at(number) for number in minutes]
    with TemporaryDirectory() as folder:
        home = ingested(Path(folder), [_record(number, event) for number, event in enumerate(events)])
        with warehouse_of(home).reading() as session:
            together = executive_reports(session, instants=instants, now=NOW, window_days=window_days)
        assert together == [ask_report(home, instant, window_days=window_days) for instant in instants]


def test_a_record_created_after_the_instant_changes_no_id(tmp_path: Path) -> None:
    home = ingested(tmp_path, [playbook(at(600), "slack"), worker_run(at(30))])
    before = ask_report(home), ask_escalation(home)
    drop(home, [delivery(AS_OF + MICROSECOND, lane=lane) for lane in LANES], name="later.jsonl")
    take_in(home)

    after = ask_report(home), ask_escalation(home)
    assert after[0]["future_record_count"] == before[0]["future_record_count"] + len(LANES)
    assert after[0]["executive_report_id"] == before[0]["executive_report_id"]
    assert after[1]["plan_id"] == before[1]["plan_id"]


def test_late_evidence_changes_the_report_and_its_id(tmp_path: Path) -> None:
    home = ingested(tmp_path, [playbook(at(60), "slack")])
    before = ask_report(home)
    drop(home, [closure(at(50))], name="late.jsonl")
    take_in(home)
    after = ask_report(home)
    assert (before["open_recovery_count"], after["open_recovery_count"]) == (1, 0)
    assert before["executive_report_id"] != after["executive_report_id"]
