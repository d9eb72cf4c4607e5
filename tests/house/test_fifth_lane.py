"""A lane is one row: a fifth one is found by everything that has to do with lanes, and needs no other line of code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPOSITORY

LANE = "drill_alert"
#: Adds the row before anything else is imported, then collects where it shows.
SCRIPT = """
import json, sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cavra_pipeline import lanes

row = replace(
    lanes.LANES["executive_health_alert"], name="drill_alert", delivery_source=lanes.SOURCE + "_drill_alert",
    kind_stem="recovery-escalation-retry-health-alert-delivery-retry-health-alert",
    alert_name="drill_alert", cavra=replace(lanes.LANES["executive_health_alert"].cavra, base="drill-alerts"),
)
lanes.LANES[row.name] = row

from click.testing import CliRunner

from cavra_pipeline.api.app import create_app
from cavra_pipeline.cli import cli
from cavra_pipeline.console import console_router
from cavra_pipeline.reports.dashboard import dashboards
from cavra_pipeline.definitions import defs
from cavra_pipeline.desired_state import declared
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.settings import Settings, load_settings

home = Settings(home=Path(sys.argv[1])).prepare()
now = datetime(2026, 7, 1, tzinfo=UTC)
folder = home.landing / "2026-06-30"
folder.mkdir()
kind = "go-backend-rollback-drill-acknowledgement-audit-delivery-"
(folder / "e.jsonl").write_text("".join(json.dumps(one) + "\\n" for one in (
    {"session_id": "d", "created_at": "2026-06-30T10:00:00Z", "metadata_kind": "release-connector-delivery",
     "connector_delivery_source": row.delivery_source, "health_id": "h-1",
     "providers": ["slack"], "failed_providers": ["slack"], "delivery_success": False},
    {"session_id": "a", "created_at": "2026-06-30T11:00:00Z", "metadata_kind": kind + row.kind_stem + "-ack",
     "health_id": "h-1", "provider": "slack", "acknowledgement_id": "a", "acknowledgement_state": "acknowledged"},
)))
ingest(home, now=now)
with warehouse_of(home).reading() as session:
    counted = dashboards(session, instants=[now], now=now)[0]
    health = retry_health_reports(session, row, health_parameters(row), instants=[now], now=now)[0]
    lanes_in_sql = session.tuples("SELECT DISTINCT lane FROM evidence ORDER BY 1")

repository = defs.get_repository_def()
jobs = {
    name: sorted(key.path[-1] for key in repository.get_job(name).asset_layer.executable_asset_keys)
    for name in ("executive_delivery_retry", "recovery_retry_worker", "daily_close")
}
document = json.loads(create_app(None, hosts=None, requests_per_second=1).openapi())
script = next(one for one in console_router().routes if "name" in one.path).endpoint
asked = type("Request", (), {"headers": {}})()
print(json.dumps({
    "help": [CliRunner().invoke(cli, [name, "--help"]).output for name in ("retry-plan", "retry-health", "worker")],
    "enum": document["paths"]["/api/v1/lanes/{lane}/health"]["get"]["parameters"][0]["schema"]["enum"],
    "acknowledged": document["paths"]["/api/v1/lanes/{lane}/acknowledgements"]["post"]["parameters"][0]["schema"],
    "paths": [path for path in document["paths"] if "drill-alerts" in path],
    "jobs": jobs,
    "desired": declared("executive_delivery_retry").lanes,
    "schedules": sorted(one.name for one in repository.schedule_defs),
    "assets": sorted(key.path[-1] for key in repository.asset_graph.get_all_asset_keys()),
    "console": script(asked, "lanes.js").body.decode(),
    "settings": sorted(load_settings({"CAVRA_LIVE_LANES": "drill_alert"}).live_lanes),
    "sql": [lane for (lane,) in lanes_in_sql],
    "dashboard": counted["lanes"]["drill_alert"]["deliveries_by_provider"],
    "health": [health["failed_drill_alert_delivery_count"], health["unresolved_delivery_count"]],
}))
"""


@pytest.mark.slow
def test_a_fifth_row_is_found_by_everything_that_lists_lanes(tmp_path: Path) -> None:
    environ = {**os.environ, "CAVRA_HOME": str(tmp_path / "home")}
    said = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "home")],
        cwd=REPOSITORY,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout.splitlines()[-1])

    assert all(LANE in text for text in found["help"])
    assert LANE in found["enum"]
    assert LANE in found["acknowledged"]["enum"]
    assert len(found["paths"]) == 5
    ladder = {f"{LANE}_retry_plan", f"{LANE}_retry_worker", f"{LANE}_retry_health"}
    assert ladder <= set(found["assets"])
    assert ladder <= set(found["jobs"]["executive_delivery_retry"])
    assert ladder & set(found["jobs"]["daily_close"]) == ladder - {f"{LANE}_retry_worker"}
    assert ladder.isdisjoint(found["jobs"]["recovery_retry_worker"])
    assert found["desired"] == ["executive_report", "executive_health_alert", LANE]
    assert "executive_delivery_retry" in found["schedules"]
    assert f'"{LANE}": "executive_delivery_retry"' in found["console"]
    assert found["settings"] == found["sql"] == [LANE]
    assert found["dashboard"] == {"slack": {"failed": 1, "delivered": 0}}
    assert found["health"] == [1, 1]
