"""The API says what the command line says: to the byte, generated_at aside."""

from __future__ import annotations

import csv
import io
import json
import os
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from hypothesis import given, settings

from cavra_pipeline.alerts.leaks import handle_leaks
from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.alerts.watch import watch_pass
from cavra_pipeline.api import service as service_module
from cavra_pipeline.api.problems import HttpProblem
from cavra_pipeline.api.service import Service
from cavra_pipeline.lanes import LANES
from cavra_pipeline.state import state_of
from tests.api.server import NoDagster, served
from tests.cli.command import command
from tests.retry.histories import PARAMETERS, POLICIES, histories
from tests.support import (
    AS_OF,
    DAY,
    NOW,
    acknowledgement,
    delivery,
    ingested,
    query,
    take_in,
    without_clock,
    worker_run,
)

pytestmark = pytest.mark.slow

HISTORIES = int(os.environ.get("CAVRA_TEST_API_HISTORIES", "2"))
_STAMP = AS_OF.isoformat()
_LANES = ("recovery_escalation", "executive_report")


def said(home: Path, *arguments: str) -> dict[str, Any]:
    answer = command(home, *arguments, "--json")
    assert answer.code == 0, answer.err
    return dict(answer.document)


def flags(values: dict[str, Any]) -> list[str]:
    made: list[str] = []
    for name, value in values.items():
        flag = "--" + name.replace("_", "-").removesuffix("s" if name.startswith("non_") else "")
        if isinstance(value, bool):
            made += [flag] if value else []
        else:
            made += [part for one in (value if isinstance(value, list) else [value]) for part in (flag, str(one))]
    return made


@given(histories(), PARAMETERS, POLICIES)
@settings(max_examples=HISTORIES)
def test_histories_asked_over_http_agree_with_the_command_line(
    tmp_path_factory: pytest.TempPathFactory, history: Any, parameters: Any, policy: Any
) -> None:
    home = ingested(tmp_path_factory.mktemp("home"), history)
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        for lane in _LANES:
            asked = {"as_of": _STAMP, "generated_by": "tests", **parameters}
            answer = client.get(f"/api/v1/lanes/{lane}/health", params=asked).json()
            command_line = said(
                home.home, "retry-health", "--lane", lane, "--as-of", _STAMP, "--generated-by", "tests",
                *flags(parameters),
            )  # fmt: skip
            assert without_clock(answer["health"]) == without_clock(command_line)

            body = {"as_of": _STAMP, "generated_by": "tests", "retry_policy": policy}
            answer = client.post(f"/api/v1/lanes/{lane}/plan", json=body).json()
            command_line = said(
                home.home, "retry-plan", "--lane", lane, "--as-of", _STAMP, "--generated-by", "tests", *flags(policy)
            )
            assert without_clock(answer["plan"]) == without_clock(command_line)
            assert answer["actor"] == "local"


def test_the_text_of_an_answer_is_the_text_of_the_command_line(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(failed=["slack"]), worker_run()])
    printed = command(home.home, "dashboard", "--as-of", _STAMP, "--json").out.splitlines()
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        sent = client.get("/api/v1/dashboard", params={"as_of": _STAMP})

    assert sent.headers["content-type"] == "application/json"
    differing = [ours for ours, theirs in zip(sent.text.splitlines(), printed, strict=True) if ours != theirs]
    assert all('"generated_at"' in line for line in differing)


@pytest.mark.parametrize("lane", LANES)
def test_the_metadata_of_a_report_is_its_own_record_and_the_next_ingest_finds_it(tmp_path: Path, lane: str) -> None:
    home = ingested(tmp_path, [delivery(lane=lane, failed=["slack"])])
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        health = client.get(f"/api/v1/lanes/{lane}/health").json()
        plan = client.post(f"/api/v1/lanes/{lane}/plan", json={}).json()

        assert query(home, "SELECT count(*) FROM health_reports") == [(0,)]  # nothing waits for the warehouse
        assert take_in(home).quarantined_count == 0
    kept = query(home, "SELECT session_id, health_id, lane, alert_level FROM health_reports")
    planned = query(home, "SELECT session_id, retry_plan_id, retryable_count FROM retry_plans")

    record = health["metadata"]
    assert kept == [(record["session_id"], health["health"]["health_id"], lane, health["health"]["alert_level"])]
    assert planned == [(plan["metadata"]["session_id"], plan["plan"]["retry_plan_id"], plan["plan"]["retryable_count"])]
    assert set(record) < {*record, *health["health"]}


def test_the_same_question_within_a_second_is_answered_and_kept_once(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        answers = {client.get("/api/v1/lanes/executive_report/health").text for _ in range(5)}
        kept = one.service.keeper.kept_count

    assert len(answers) == kept
    assert kept <= 2  # a busy machine may take longer than a second for five


def test_an_answer_that_is_not_old_is_given_again_only_while_nobody_could_make_it_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "_SAME_SECONDS", (0.0, 10.0))
    monkeypatch.setattr(service_module, "_SAME_TIMES", 0.0)
    numbers = count(1)
    service = Service(ingested(tmp_path, []), clock=lambda: NOW, dagster=NoDagster(), tokens=None)

    def answer() -> str:
        return service.ask(["a question"], lambda _: next(numbers)).body.decode().strip()

    try:
        assert [answer(), answer()] == ["1", "2"]
        with service.reading(), service.reading():
            assert [answer(), answer()] == ["2", "2"]
            monkeypatch.setattr(service_module, "_SAME_SECONDS", (0.0, 0.0))
            monkeypatch.setattr(service_module, "_TURN_SECONDS", 0.01)
            with pytest.raises(HttpProblem):
                answer()
        assert answer() == "3"
    finally:
        service.close()


def test_a_look_at_a_plan_and_at_the_lanes_keeps_nothing(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(failed=["slack"])])
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        look = client.get("/api/v1/lanes/recovery_escalation/plan", params={"as_of": _STAMP}).json()["plan"]
        lanes = client.get("/api/v1/lanes").json()["lanes"]
        kept = one.service.keeper.kept_count

    assert kept == 0
    assert look["retryable_count"] + look["waiting_count"] == 1
    assert [lane["lane"] for lane in lanes] == list(LANES)


def test_decisions_as_csv_hold_no_formula(tmp_path: Path) -> None:
    failing = [delivery(subject=subject, failed=["slack"]) for subject in ("plan-1", "plan-2")]
    home = ingested(tmp_path, failing)
    with duckdb.connect(str(home.warehouse)) as connection:
        # Beneath the boundary, which lets no such text in.
        for table in ("evidence_records", "watched_records"):
            connection.execute(f"UPDATE {table} SET subject = '=cmd()' WHERE subject = 'plan-1'")
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        sent = client.get("/api/v1/lanes/recovery_escalation/plan.csv", params={"as_of": _STAMP})

        before = client.get("/api/v1/lanes/recovery_escalation/plan.csv", params={"as_of": "2026-06-01T00:00:00Z"})

    rows = list(csv.DictReader(io.StringIO(sent.text)))
    header = sent.text.splitlines()[0]
    assert (before.status_code, before.text) == (200, f"{header}\n")
    assert (header[:11], "provider_incident_id" in header) == ('"plan_id","', True)
    assert sent.headers["content-type"] == "text/csv; charset=utf-8"
    assert [row["plan_id"] for row in rows] == ["'=cmd()", "plan-2"]


def pages(client: httpx.Client, path: str, member: str, **asked: Any) -> list[list[Any]]:
    found, cursor = [], None
    while True:
        page = client.get(path, params={**asked, **({"cursor": cursor} if cursor else {})}).json()
        found.append(page[member])
        cursor = page["next"]
        if cursor is None:
            return found


def test_pages_hold_every_row_once_and_a_cursor_belongs_to_its_filters(tmp_path: Path) -> None:
    home = ingested(
        tmp_path, [*(delivery(session_id=f"d-{n}") for n in range(5)), acknowledgement(), "not json", "nor this", "3"]
    )
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        listed = pages(client, "/api/v1/evidence", "records", limit=2)
        held = pages(client, "/api/v1/quarantine", "quarantine", limit=2)
        filtered = client.get("/api/v1/evidence", params={"record_type": "acknowledgement"}).json()["records"]
        cursor = client.get("/api/v1/evidence", params={"limit": 1}).json()["next"]
        foreign = client.get("/api/v1/evidence", params={"limit": 1, "cursor": cursor, "lane": "executive_report"})
        made_up = [client.get("/api/v1/evidence", params={"cursor": text}) for text in ("x", "AAAA", cursor[:-4])]

    assert [len(page) for page in listed] == [2, 2, 2]
    assert len({row["record"]["session_id"] for page in listed for row in page}) == 6
    assert [len(page) for page in held] == [2, 1]
    assert said(home.home, "quarantine")["quarantine"] == [row for page in held for row in page]
    assert [row["record"]["metadata_kind"].rpartition("-")[2] for row in filtered] == ["ack"]
    assert {answer.status_code for answer in (foreign, *made_up)} == {404}


ACKNOWLEDGEMENTS = "/api/v1/lanes/recovery_escalation/acknowledgements"


def test_a_leak_is_resolved_over_http_and_an_alert_that_ends_by_itself_is_not(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    signals = [
        Signal("secret_finding", "2026-06-25", "critical", NOW, evidence={"newest_leak": 1}),
        Signal("failed_run", "daily_close", "critical", NOW),
    ]
    watch_pass(home, Observation(["secret_finding", "failed_run"], signals), clock=lambda: NOW)
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        listed = client.get("/api/v1/alerts").json()["alerts"]
        ids = {row["kind"]: row["alert_id"] for row in listed}
        refused = client.post(f"/api/v1/alerts/{ids['secret_finding']}/acknowledge", json={"by": "on-call"})
        untouched = client.get("/api/v1/alerts").json()["alerts"]
        answers = {
            kind: client.post(f"/api/v1/alerts/{ids[kind]}/resolve", json={"by": "on-call"}) for kind in sorted(ids)
        }
        unknown = client.post("/api/v1/alerts/alert-nothere/resolve", json={"by": "on-call"})
        left = client.get("/api/v1/alerts").json()["alerts"]

    assert {row["kind"]: row["ends_by_hand"] for row in listed} == {"secret_finding": True, "failed_run": False}
    assert (refused.status_code, untouched) == (409, listed)
    assert "ends only when a person resolves it" in refused.text
    assert answers["secret_finding"].json()["alert"]["state"] == "resolved"
    assert (answers["failed_run"].status_code, unknown.status_code) == (409, 404)
    assert [row["kind"] for row in left] == ["failed_run"]


def test_the_status_counts_the_leaks_that_were_open_at_an_instant(tmp_path: Path) -> None:
    token = "ghp_" + "0123456789abcdefghij0123456789abcdef"
    home = ingested(tmp_path, [delivery(signer=token), delivery(subject="other")])
    with state_of(home).writing() as c:
        handle_leaks(c, DAY, newest=1, now=NOW + timedelta(hours=2))
    instants = [NOW + shift for shift in (-timedelta(days=20), timedelta(hours=1), timedelta(hours=3))]
    with served(home, dagster=NoDagster(), clock=lambda: NOW + timedelta(hours=5)) as one, one.client() as client:
        asked = [client.get("/api/v1/status", params={"as_of": at.isoformat()}) for at in instants]
        wrong = client.get("/api/v1/status", params={"as_of": "yesterday"})

    assert [answer.json()["evidence"]["open_leak_days"] for answer in asked] == [[], [DAY], []]
    assert {answer.json()["now"] for answer in asked} == {(NOW + timedelta(hours=5)).isoformat()}
    assert wrong.status_code == 422


def test_an_acknowledgement_is_seen_by_the_very_next_question(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(failed=["slack"])])
    body = {"subject": "subject-1", "provider": "slack", "state": "accepted", "by": "incident-lead"}
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        before = client.get("/api/v1/lanes/recovery_escalation/health").json()["health"]
        made = client.post(ACKNOWLEDGEMENTS, json=body)
        after = client.get("/api/v1/lanes/recovery_escalation/health").json()["health"]
        listed = client.get("/api/v1/lanes/recovery_escalation/acknowledgements").json()["acknowledgements"]

        unknown = client.post(ACKNOWLEDGEMENTS, json={**body, "subject": "subject-2"})
        forced = client.post(ACKNOWLEDGEMENTS, json={**body, "subject": "subject-2", "force": True})
        withdrawal = {name: value for name, value in body.items() if name != "state"}
        neither = client.post(ACKNOWLEDGEMENTS, json=withdrawal)
        withdrawn = client.post(ACKNOWLEDGEMENTS, json={**withdrawal, "withdraw": True})
        later = {"as_of": (NOW + timedelta(minutes=1)).isoformat()}
        again = client.get("/api/v1/lanes/recovery_escalation/health", params=later).json()["health"]

    assert (unknown.status_code, neither.status_code) == (422, 422)
    assert unknown.json()["errors"][0]["where"] == "plan_id"
    assert "Did you mean subject-1?" in unknown.json()["errors"][0]["remedy"]
    assert (forced.status_code, withdrawn.status_code) == (201, 201)
    assert withdrawn.json()["acknowledgement"]["acknowledgement_state"] == "deferred"
    assert again["acknowledgement_pending_count"] == 1
    assert made.status_code == 201
    assert made.json()["acknowledgement"]["signer"] == "incident-lead"
    assert (before["acknowledgement_pending_count"], after["acknowledgement_pending_count"]) == (1, 0)
    assert [row["record"]["acknowledgement_state"] for row in listed] == ["accepted"]


def test_many_are_acknowledged_at_once_and_a_rejected_one_stops_no_other(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(subject=f"plan-{n}", failed=["slack"]) for n in (1, 2)])
    lane, provider = "recovery_escalation", "slack"
    named = [{"lane": lane, "subject": f"plan-{n}", "provider": provider} for n in (1, 9, 2, 1)]
    body = {"deliveries": named, "state": "accepted", "by": "incident-lead"}
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        answered = client.post("/api/v1/acknowledgements", json=body)
        listed = client.get(ACKNOWLEDGEMENTS).json()["acknowledgements"]
        none = client.post("/api/v1/acknowledgements", json={**body, "deliveries": []})
        wrong = client.post("/api/v1/acknowledgements", json={**body, "by": "a@b.example"})

    first, unknown, second = answered.json()["deliveries"]
    assert [first["acknowledgement"]["plan_id"], second["acknowledgement"]["plan_id"]] == ["plan-1", "plan-2"]
    assert first["error"] is None
    assert unknown["acknowledgement"] is None
    assert unknown["error"]["what"] == "no delivery of it in the lane recovery_escalation is known"
    assert sorted(row["subject"] for row in listed) == ["plan-1", "plan-2"]
    assert (none.status_code, wrong.status_code) == (422, 422)


def test_a_plan_that_is_kept_stands_in_the_history(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(failed=["slack"])])
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        plan = client.post("/api/v1/lanes/recovery_escalation/plan", json={"keep": True}).json()["plan"]
        kept = client.get(f"/api/v1/history/{plan['retry_plan_id']}").json()["report"]
        none = client.get("/api/v1/history/retry-plan-of-nobody")
        days = client.get("/api/v1/partitions", params={"from": "2026-06-01", "to": "2026-06-30"}).json()

    assert json.dumps(kept["document"], sort_keys=True) == json.dumps(plan, sort_keys=True)
    assert none.status_code == 404
    assert len(days["partitions"]) == 30


@pytest.mark.parametrize(("day", "status"), [("2026-06-25", 202), (0, 422), (-1e-180, 422), (86400, 422), ([], 422)])
def test_a_day_is_a_written_day_and_never_a_number_of_seconds(day: object, status: int, tmp_path: Path) -> None:
    with served(ingested(tmp_path, []), dagster=NoDagster()) as one, one.client() as client:
        answer = client.post("/api/v1/refresh", json={"from": day, "to": day})

    assert answer.status_code == status
