"""What the console asks beside the reports: lanes at a past instant, the records of an alert, silences, previews."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.alerts.watch import watch_pass
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.executive.escalation import escalation_plan
from cavra_pipeline.executive.page import PageContext
from cavra_pipeline.executive.render import report_html
from cavra_pipeline.executive.report import executive_reports
from cavra_pipeline.lanes import LANES
from cavra_pipeline.proof.basis import basis_of_page
from tests.api.server import NoDagster, served, token_file
from tests.recoveries.stores import playbook
from tests.support import NOW, Record, acknowledgement, delivery, execution, ingested, record

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)


def test_a_step_asks_to_check_a_delivery_where_its_provider_accepted_others_since(tmp_path: Path) -> None:
    home = ingested(tmp_path, [
        delivery(NOW - 3 * HOUR, subject="one", failed=["slack"], status_codes=[404]),
        delivery(NOW - 4 * HOUR, subject="two", failed=["slack"], status_codes=[404]),
        delivery(NOW - 3 * HOUR, subject="one", failed=["webhook"], status_codes=[404]),
        delivery(NOW - 2 * HOUR, subject="three", failed=["jira"], status_codes=[503]),
        delivery(NOW - 1 * HOUR, lane="executive_report", subject="four", providers=["slack"]),
        delivery(NOW - 5 * HOUR, lane="executive_report", subject="five", providers=["webhook"]),
    ])  # fmt: skip
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        answer = client.get("/api/v1/lanes").json()
        before = client.get("/api/v1/lanes", params={"as_of": (NOW - 90 * HOUR / 60).isoformat()}).json()

    day = f"{NOW - 3 * HOUR:%-d %b}"
    check = f"Check the address of each Slack delivery answered with 404, the last on {day}"
    assert answer["steps_without_incident"] == [
        f"{check}: Slack has accepted others since.",
        "Jira: nothing to fix, this passes by itself.",
        "Correct the Webhook address.",
    ]
    assert before["steps_without_incident"] == [
        "Correct the Slack address.",
        "Jira: nothing to fix, this passes by itself.",
        "Correct the Webhook address.",
    ]


def test_the_lanes_at_a_past_instant_are_those_of_then(tmp_path: Path) -> None:
    failed_at = NOW - HOUR
    home = ingested(tmp_path, [delivery(failed_at, failed=["slack"])])
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        before, then, now = (
            client.get("/api/v1/lanes", params={"as_of": at.isoformat()} if at else {}).json()
            for at in (failed_at - timedelta(microseconds=1), failed_at, None)
        )
    counts = [lanes["lanes"][0]["unresolved_delivery_count"] for lanes in (before, then, now)]
    assert counts == [0, 1, 1]
    assert then["as_of"] == failed_at.isoformat()


def test_an_alert_of_a_lane_names_the_deliveries_that_it_is_about_and_no_others(tmp_path: Path) -> None:
    home = ingested(tmp_path, [
        delivery(NOW - 3 * HOUR, subject="plan-1", failed=["slack"]),
        delivery(NOW - 3 * HOUR, subject="plan-2", failed=["slack"]),
        delivery(NOW - 3 * HOUR, subject="plan-3", failed=[], providers=["slack"]),
        execution(NOW - HOUR, subject="plan-2", status="failed"),
    ])  # fmt: skip
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        lane = client.get("/api/v1/lanes").json()["lanes"][0]
        alerts = {alert["category"]: alert for alert in lane["alerts"]}
        gap, failed = (
            alerts["recovery_escalation_acknowledgement_gap"],
            alerts["failed_recovery_escalation_retry_execution"],
        )
        asked = {"record_type": failed["record_type"], "subject": [pair["subject"] for pair in failed["pairs"]]}
        records = client.get("/api/v1/evidence", params=asked).json()["records"]
        both = client.get("/api/v1/evidence", params={"subject": ["plan-1", "plan-3"]}).json()["records"]
        too_many = client.get("/api/v1/evidence", params={"subject": ["plan-1"] * 101})

    assert gap["pairs"] == [{"subject": f"plan-{n}", "provider": "slack"} for n in (1, 2)]
    assert failed["pairs"] == [{"subject": "plan-2", "provider": "slack"}]
    assert [(one["record_type"], one["subject"]) for one in records] == [("execution", "plan-2")]
    assert sorted(one["subject"] for one in both) == ["plan-1", "plan-3"]
    assert too_many.status_code == 422


def test_a_lane_counts_waiting_retries_that_a_person_holds_once_they_are_due(tmp_path: Path) -> None:
    just_now = NOW - timedelta(minutes=5)
    home = ingested(tmp_path, [
        delivery(just_now, subject="plan-1", failed=["slack"]),
        delivery(just_now, subject="plan-2", failed=["teams"]),
        acknowledgement(just_now, subject="plan-2", provider="teams", state="accepted"),
        delivery(just_now, lane="executive_report", subject="run-1", failed=["slack"]),
    ])  # fmt: skip
    with served(home, dagster=NoDagster()) as service, service.client() as client:
        lanes = {lane["lane"]: lane for lane in client.get("/api/v1/lanes").json()["lanes"]}

    names = ("waiting_count", "held_count", "held_when_due_count")
    assert [lanes["recovery_escalation"][name] for name in names] == [2, 0, 1]
    assert [lanes["executive_report"][name] for name in names] == [1, 0, 0]


def test_a_lane_and_a_plan_tell_ready_retries_from_those_that_wait_for_a_person(tmp_path: Path) -> None:
    pairs = {"plan-1": "slack", "plan-2": "teams", "plan-3": "webhook"}
    home = ingested(tmp_path, [
        *(
            delivery(NOW - 3 * HOUR, subject=subject, failed=[provider], status_codes=[404])
            for subject, provider in pairs.items()
        ),
        acknowledgement(NOW - 2 * HOUR, subject="plan-1", provider="slack", state="accepted"),
        acknowledgement(NOW - 2 * HOUR, subject="plan-2", provider="teams", state="deferred"),
        delivery(NOW - 3 * HOUR, lane="executive_report", subject="run-1", failed=["slack"]),
    ])  # fmt: skip
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        lanes = {lane["lane"]: lane for lane in client.get("/api/v1/lanes").json()["lanes"]}
        plans = {
            lane: client.get(f"/api/v1/lanes/{lane}/plan").json()
            for lane in ("recovery_escalation", "executive_report")
        }
        what_if = client.get("/api/v1/lanes/recovery_escalation/plan", params={"max_retry_attempts": 1}).json()
        saved = client.post("/api/v1/lanes/recovery_escalation/plan", json={}).json()

    escalations, reports = lanes["recovery_escalation"], lanes["executive_report"]
    assert (escalations["retryable_count"], escalations["held_count"]) == (3, 2)
    assert (reports["retryable_count"], reports["held_count"]) == (1, 0)
    assert escalations["failing_without_incident"] == {"slack": 1, "teams": 1, "webhook": 1}
    assert escalations["causes_without_incident"] == [
        {
            "provider": name,
            "cause": "gone",
            "delivery_count": 1,
            "status_codes": [404],
            "failed_at": (NOW - 3 * HOUR).isoformat(),
            "accepted_at": None,
            "is_failing_now": True,
        }
        for name in ("slack", "teams", "webhook")
    ]
    declined = {"plan-2": "deferred", "plan-3": None}
    held = [
        {"subject": subject, "provider": pairs[subject], "declined_state": state} for subject, state in declined.items()
    ]
    assert [plans["recovery_escalation"]["pending"], plans["executive_report"]["pending"]] == [held, []]
    assert (what_if["plan"]["suppressed_count"], what_if["pending"]) == (3, [])
    assert saved["pending"] == held
    assert "pending" not in saved["plan"]


def test_a_retry_waits_for_an_approval_until_the_newest_decision_approves_it(tmp_path: Path) -> None:
    lane = "acknowledgement_audit"
    named = {"delivery_id": "one", "provider": "slack"}
    home = ingested(tmp_path, [
        delivery(NOW - 3 * HOUR, lane=lane, subject="one", failed=["slack"]),
        record("retry-execution-approval-decision", NOW - HOUR, approval_state="denied", **named),
        record("retry-execution-approval-decision", NOW, approval_state="approved", **named),
    ])  # fmt: skip
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        found = [
            (
                client.get(f"/api/v1/lanes/{lane}/plan", params={"as_of": at.isoformat()}).json()["pending"],
                client.get("/api/v1/lanes", params={"as_of": at.isoformat()}).json()["lanes"],
            )
            for at in (NOW - timedelta(microseconds=1), NOW)
        ]
    gaps = [
        [
            (gap["delivery_id"], gap["approval_state"])
            for one in lanes
            if one["lane"] == lane
            for gap in one["approval_gaps"]
        ]
        for _, lanes in found
    ]
    assert [pending for pending, _ in found] == [
        [{"subject": "one", "provider": "slack", "declined_state": "denied"}],
        [],
    ]
    assert gaps == [[("one", "denied")], []]


def test_a_lane_names_the_health_alerts_that_no_one_has_acknowledged(tmp_path: Path) -> None:
    lane = "recovery_health_alert"
    named: Record = {"health_id": "health-1", "acknowledgement_required_providers": ["slack", "teams"]}
    home = ingested(tmp_path, [
        record(f"{LANES[lane].kind_stem}-plan", NOW - 2 * HOUR, **named),
        acknowledgement(NOW - HOUR, lane=lane, subject="health-1", provider="slack"),
        acknowledgement(NOW - HOUR, lane=lane, subject="health-1", provider="teams", state="escalated"),
    ])  # fmt: skip
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        found = {each["lane"]: each for each in client.get("/api/v1/lanes").json()["lanes"]}
    left = {"health_id": "health-1", "provider": "teams", "acknowledgement_state": "escalated"}
    assert found.pop(lane)["outstanding_acknowledgements"] == [left]
    assert [each["outstanding_acknowledgements"] for each in found.values()] == [[]] * len(found)


@pytest.mark.parametrize("provider", [None, "slack"])
def test_the_records_of_a_subject_include_those_of_its_retries(tmp_path: Path, provider: str | None) -> None:
    lane = "acknowledgement_audit"

    def failed(hours: int, subject: str, session_id: str) -> Record:
        return delivery(NOW - hours * HOUR, lane=lane, subject=subject, failed=["slack"], session_id=session_id)

    def retried(hours: int, subject: str, made: str, session_id: str) -> Record:
        nested: Record = {"retry_execution_record": {"delivery_metadata_id": made}}
        return execution(NOW - hours * HOUR, lane=lane, subject=subject, session_id=session_id, **nested)

    home = ingested(tmp_path, [
        failed(9, "one", "d-1"), failed(8, "two", "d-2"),
        failed(7, "new", "d-3"), retried(7, "one", "d-3", "e-3"),
        failed(6, "newer", "d-4"), retried(6, "new", "d-4", "e-4"),
        failed(5, "shared", "d-5"), retried(5, "two", "d-5", "e-5"),
        failed(4, "shared", "d-6"),
    ])  # fmt: skip
    asked = {"lane": lane, **({"provider": provider} if provider else {})}
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        found = {
            subject: [
                record["record"]["session_id"]
                for record in client.get("/api/v1/evidence", params={**asked, "subject": subject}).json()["records"]
            ]
            for subject in ("one", "two", "newer")
        }

    assert {subject: sorted(ids) for subject, ids in found.items()} == {
        "one": ["d-1", "d-3", "d-4", "e-3", "e-4"],
        "two": ["d-2", "d-5", "e-5"],
        "newer": ["d-4"],
    }


def test_a_preview_of_a_health_report_leaves_no_record_and_a_saved_one_does(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(NOW - HOUR, failed=["slack"])])
    address = "/api/v1/lanes/recovery_escalation/health"
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        preview = client.get(address, params={"keep": "false"}).json()
        assert one.service.keeper.kept_count == 0
        kept = client.get(address).json()
        assert one.service.keeper.kept_count == 1

    assert preview == {**kept, "metadata": None}
    assert kept["metadata"]["health_id"] == kept["health"]["health_id"]


def test_a_silence_is_made_and_ended_over_http_by_whoever_may(tmp_path: Path) -> None:
    path, tokens = token_file(tmp_path, reader="read", lead="read acknowledge")
    home = ingested(tmp_path, [], api_tokens_file=path)
    body = {"kind": "missed_run", "subject": "daily_close", "minutes": 90, "comment": "planned work"}
    with served(home, dagster=NoDagster()) as one, one.client(tokens["reader"]) as reader:
        refused = reader.post("/api/v1/silences", json=body)
        with one.client(tokens["lead"]) as lead:
            made = lead.post("/api/v1/silences", json=body)
            silence = made.json()["silence"]
            held = lead.get("/api/v1/alerts").json()["silences"]
            end = f"/api/v1/silences/{silence['silence_id']}/end"
            kept = reader.post(end, json={})
            ended = lead.post(end, json={})
            again = lead.post(end, json={})
            left = lead.get("/api/v1/alerts").json()["silences"]

    assert (refused.status_code, made.status_code, kept.status_code) == (403, 201, 403)
    assert (silence["author"], silence["ends_at"]) == ("lead", (NOW + timedelta(minutes=90)).isoformat())
    assert held == [silence]
    assert (ended.status_code, ended.json()["silence"]["ends_at"]) == (200, NOW.isoformat())
    assert (again.status_code, left) == (404, [])


@pytest.mark.parametrize("change", [
    {"minutes": 0}, {"minutes": 366 * 24 * 60 + 1}, {"kind": "no_such_kind"}, {"comment": "a@b.example"},
    {"kind": None, "subject": None},
])  # fmt: skip
def test_a_silence_that_is_not_accepted_is_refused_and_none_is_made(tmp_path: Path, change: dict[str, object]) -> None:
    body = {"kind": "missed_run", "subject": None, "minutes": 60, "comment": "planned work", "by": "on-call", **change}
    with served(ingested(tmp_path, []), dagster=NoDagster()) as one, one.client() as client:
        answer = client.post("/api/v1/silences", json=body)
        held = client.get("/api/v1/alerts").json()["silences"]

    assert (answer.status_code, held) == (422, [])
    assert len(answer.json()["errors"]) >= 1


def test_an_alert_is_told_with_its_own_events_alone(tmp_path: Path) -> None:
    home = ingested(tmp_path, [])
    signals = [Signal("failed_run", name, "critical", NOW) for name in ("daily_close", "prune_runs")]
    watch_pass(home, Observation(["failed_run"], signals), clock=lambda: NOW)
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        listed = client.get("/api/v1/alerts").json()["alerts"]
        story = client.get(f"/api/v1/alerts/{listed[0]['alert_id']}").json()
        unknown = client.get("/api/v1/alerts/alert-nothere")

    assert story["alert"] == listed[0]
    assert {one["alert_id"] for one in story["events"]} == {listed[0]["alert_id"]}
    assert (len(listed), unknown.status_code) == (2, 404)


def test_the_report_and_the_escalation_plan_are_previewed_without_a_trace(tmp_path: Path) -> None:
    home = ingested(tmp_path, [playbook(NOW - 9 * HOUR, "slack")])
    at = NOW - HOUR
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        asked = {"as_of": at.isoformat()}
        report = client.get("/api/v1/executive-report", params=asked).json()
        page = client.get("/api/v1/executive-report.html", params=asked)
        plan = client.get("/api/v1/escalation-plan", params=asked).json()
        wrong = client.get("/api/v1/escalation-plan", params={"slo_minutes": 0})
        kept = one.service.keeper.kept_count
        with warehouse_of(home).reading() as session:
            (expected,) = executive_reports(session, instants=[at], now=NOW)
            routes = escalation_plan(session, as_of=at, now=NOW, providers=[])["escalation_routes"]

    basis = basis_of_page(home, at)
    assert basis is not None
    assert (report, page.text) == (expected, report_html(expected, PageContext(basis)))
    assert "of 1 day" in page.text
    assert page.headers["content-disposition"].startswith("attachment; ")
    assert (plan["escalation_routes"], len(routes)) == (routes, 1)
    assert (wrong.status_code, kept) == (422, 0)
