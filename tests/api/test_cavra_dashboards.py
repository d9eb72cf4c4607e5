"""CAVRA's two dashboards at its own paths; what they count is tested beside the reports."""

from __future__ import annotations

from pathlib import Path

from tests.api.server import CAVRA, NoDagster, served, token_file
from tests.api.test_cavra import refused
from tests.support import at, delivery, ingested, record

DASHBOARD = "/runtime/go-pilot/rollback-drill-notifications/dashboard"
CLOSURE = f"{CAVRA}/final-reporting-closure-dashboard"
ARCHIVE = "go_backend_rollback_drill_acknowledgement_audit_final_reporting_archive_reference_health_alert"
ALERTS = ("executive_retry_health_alert", "recovery_retry_health_alert", "final_archive_health_alert")


def test_dashboards_show_the_ten_newest_records_of_what_they_count(tmp_path: Path) -> None:
    others = [record("x", at(1), "other", metadata_kind="agent-session")]
    archive = delivery(at(2), session_id="archive", subject=None, event_id="h", connector_delivery_source=ARCHIVE)
    lost = [
        delivery(at(20 + n), lane="executive_health_alert", subject=f"h-{n}", session_id=f"d-{n}", failed=["slack"])
        for n in range(11)
    ]
    home = ingested(tmp_path, [*others, archive, *lost])
    with served(home, clock=lambda: at(0), dagster=NoDagster()) as one, one.client() as client:
        counted, closure = client.get(DASHBOARD, params={"unknown": "x"}), client.get(CLOSURE)
        kept = one.service.keeper.kept_count

    assert (counted.status_code, closure.status_code, kept) == (200, 200, 0)
    newest = ["archive", *(f"d-{n}" for n in range(9))]
    assert [one["session_id"] for one in counted.json()["latest"]] == newest
    assert (counted.json()["delivery_count"], counted.json()["failed_delivery_count"]) == (12, 11)
    document = closure.json()
    assert {name: len(document[name]["latest"]) for name in ALERTS} == dict(zip(ALERTS, (10, 0, 1), strict=True))
    assert document["open_items"] == ["executive_retry_health_alert_delivery_failed"]
    assert (document["closure_state"], document["alert_level"], document["open_item_count"]) == ("open", "critical", 1)


def test_dashboards_ask_for_a_token_where_there_are_tokens(tmp_path: Path) -> None:
    path, tokens = token_file(tmp_path, reader="read", planner="plan")
    with served(ingested(tmp_path, [delivery()], api_tokens_file=path), dagster=NoDagster()) as one:
        for address in (DASHBOARD, CLOSURE):
            with one.client() as client:
                refused(client.get(address), 401)
            with one.client(tokens["planner"]) as client:
                refused(client.get(address), 403)
            with one.client(tokens["reader"]) as client:
                assert client.get(address).status_code == 200
                assert client.post(address, json={}).status_code == 405
