"""What the API makes shows in Dagster: an event of its asset, with the metadata that a run gives."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._daemon.types import DaemonHeartbeat

from cavra_pipeline.assets.report_metadata import report_metadata
from cavra_pipeline.assets.reports import log_head
from cavra_pipeline.definitions import open_dagster
from cavra_pipeline.evidence.keeper import HomeKeeper
from cavra_pipeline.reports.store import RETRY_HEALTH, Report
from cavra_pipeline.resources import dagster_instance
from cavra_pipeline.state import state_of
from tests.api.server import served
from tests.dagster_tests.runs import key
from tests.support import NOW, REPORTS_A_DAY, at, delivery, drop, ingested, take_in

pytestmark = pytest.mark.slow


def test_each_report_is_an_event_of_its_asset_and_no_run(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(failed=["slack"])])
    with served(home) as one, one.client() as client:
        health = client.get("/api/v1/lanes/recovery_escalation/health").json()["health"]
        plan = client.post("/api/v1/lanes/executive_report/plan", json={}).json()["plan"]
        client.get("/api/v1/dashboard")
        client.get("/api/v1/lanes")
    with dg.DagsterInstance.from_config(str(home.dagster_home)) as instance:
        events = {
            name: instance.fetch_materializations(key(name), limit=10).records
            for name in ("recovery_escalation_retry_health", "executive_report_retry_plan", "dashboard",
                        "executive_report_retry_health")
        }  # fmt: skip
        assert instance.get_runs_count() == 0

    assert [len(found) for found in events.values()] == [1, 1, 1, 0]
    told = events["recovery_escalation_retry_health"][0].asset_materialization
    assert told is not None
    assert told.partition == NOW.date().isoformat()
    expected = report_metadata(home, Report(RETRY_HEALTH, "recovery_escalation", NOW.date(), health), log_head(home))
    assert {"report_sha256", "evidence_root", "checkpoint"} <= expected.keys()
    shown = {name: value.value for name, value in told.metadata.items()}
    assert shown == {name: getattr(value, "value", value) for name, value in expected.items()}
    planned = events["executive_report_retry_plan"][0].asset_materialization
    assert planned is not None
    assert planned.metadata["report_id"].value == plan["retry_plan_id"]


@pytest.mark.parametrize("damage", [
    "UPDATE log_entries SET entry = '{no json' WHERE entry_number = 2",
    "UPDATE log_entries SET entry = '[]' WHERE entry_number = 2",
    "UPDATE log_entries SET peaks = '7' WHERE entry_number = 2",
    "DELETE FROM log_entries WHERE entry_number = 1",
])  # fmt: skip
def test_a_report_is_shown_without_a_head_where_the_log_is_damaged(tmp_path: Path, damage: str) -> None:
    home = ingested(tmp_path, [delivery(at(60))])
    drop(home, [delivery(at(5))], name="more.jsonl")
    take_in(home)
    assert log_head(home) is not None
    with state_of(home).writing() as connection:
        assert connection.execute(sa.text(damage)).rowcount == 1
    told = open_dagster(home, lambda: NOW)
    document = {"as_of": NOW.isoformat(), "alert_level": "healthy", "evidence_record_count": 1, "dashboard_id": "d",
                "lanes": {}}  # fmt: skip
    told.report(Report("dashboard", None, NOW.date(), document))
    told.close()

    assert log_head(home) is None
    assert (told.state()["reported_count"], told.state()["lost_count"]) == (1, 0)


def test_no_head_is_shown_while_the_log_lacks_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = ingested(tmp_path, [delivery(at(60))])
    before = log_head(home)

    def fail(*_: object) -> None:
        raise MemoryError

    drop(home, [delivery(at(5))], name="more.jsonl")
    with monkeypatch.context() as patched:
        patched.setattr(HomeKeeper, "_remember", fail)
        take_in(home)
    assert log_head(home) is None
    take_in(home)
    after = log_head(home)
    assert before is not None
    assert after is not None
    assert (before.checkpoint.size, after.checkpoint.size) == (1, 2)


def test_whoever_tells_dagster_does_not_wait_for_it_and_all_is_told_in_the_end(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    told = open_dagster(home, lambda: NOW)
    document = {"as_of": NOW.isoformat(), "alert_level": "healthy", "evidence_record_count": 1, "dashboard_id": "d",
                "lanes": {}}  # fmt: skip
    for _ in range(20):
        told.report(Report("dashboard", None, NOW.date(), document))
    waiting = told.state()["waiting_count"]
    told.close()

    assert waiting > 0
    assert told.state()["reported_count"] == 20
    assert told.state()["lost_count"] == 0


def test_the_status_says_whether_the_daemon_gives_signs_of_life(tmp_path: Path) -> None:
    home = ingested(tmp_path, [])
    said = []
    with dagster_instance(home) as instance, served(home) as one, one.client() as client:
        until = time.monotonic() + 60
        while not client.get("/api/v1/status").json()["dagster"]["is_open"] and time.monotonic() < until:
            time.sleep(0.1)
        for beat in (None, NOW, NOW - timedelta(days=1)):
            if beat:
                instance.add_daemon_heartbeat(DaemonHeartbeat(beat.timestamp(), "SENSOR", "one", []))
            dagster = client.get("/api/v1/status").json()["dagster"]
            said.append((dagster["daemon"], dagster["are_alerts_evaluated"]))

    # No sensor has ever ticked.
    assert said == [("never_seen", False), ("alive", False), ("silent", False)]


def test_a_refresh_is_a_run_that_makes_every_report(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(failed=["slack"])])
    today = datetime.now(UTC).date().isoformat()
    with served(home, clock=lambda: datetime.now(UTC)) as one, one.client() as client:
        asked = client.post("/api/v1/refresh", json={"from": today, "to": today})
        again = client.post("/api/v1/refresh", json={})
        run_id, until = asked.json()["run_id"], time.monotonic() + 120
        state = client.get(f"/api/v1/refresh/{run_id}")
        while time.monotonic() < until and state.json()["status"] not in ("success", "failure"):
            time.sleep(0.2)
            state = client.get(f"/api/v1/refresh/{run_id}")
        kept = client.get("/api/v1/history", params={"from": today}).json()["reports"]
        unknown = client.get("/api/v1/refresh/0d2c4f1e-7a37-4a6e-9a43-3a1f2e6f8b11")

    assert (asked.status_code, again.status_code, unknown.status_code) == (202, 409, 404)
    assert state.json()["status"] == "success"
    assert state.json()["ui"].endswith(run_id)
    assert len(kept) == REPORTS_A_DAY
