"""The closure report: what is open now, and what CAVRA's dashboard lists over all records."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.boundary.kinds import DELIVERY_KIND
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.cavra_items import ARCHIVE_SOURCE
from cavra_pipeline.reports.closure import closure_reports
from cavra_pipeline.settings import Settings
from tests.api.server import NoDagster, served
from tests.cli.command import command
from tests.recoveries.stores import INSTANTS, closure, expected, home_of_store, needs_stores, playbook
from tests.support import AS_OF, NOW, Record, acknowledgement, at, delivery, execution, ingested, record, without_clock

pytestmark = pytest.mark.slow

ALERT_LANES = tuple(lane.name for lane in LANES.values() if lane.alerts_of)
ARCHIVE_STEM = "final-reporting-archive-reference-health-alert"


def ask_closure(settings: Settings, as_of: datetime = AS_OF) -> dict[str, Any]:
    with warehouse_of(settings).reading() as session:
        return closure_reports(session, instants=[as_of], now=NOW)[0]


def _items(report: dict[str, Any]) -> dict[str, int]:
    return {one["item"]: one["count"] for one in report["open_items"]}


def alert_plan(when: datetime, stem: str, *required: str, health_id: str = "health-1", **fields: Any) -> Record:
    return record(
        f"{stem}-plan", when, health_id=health_id, acknowledgement_required_providers=list(required), **fields
    )


def answer(when: datetime, stem: str, provider: str, state: str, health_id: str = "health-1") -> Record:
    said = {"health_id": health_id, "provider": provider, "acknowledgement_state": state}
    return record(f"{stem}-ack", when, **said)


def archive_delivery(when: datetime, *failed: str, health_id: str | None = "health-1", **fields: Any) -> Record:
    return record(
        DELIVERY_KIND,
        when,
        connector_delivery_source=ARCHIVE_SOURCE,
        delivery_success=not failed,
        providers=list(failed) or ["slack"],
        failed_providers=list(failed),
        **({"health_id": health_id} if health_id else {}),
        **fields,
    )


@needs_stores
@pytest.mark.parametrize("number", INSTANTS)
def test_cavras_own_items_are_those_of_its_dashboard_over_all_records(stored: Settings, number: int) -> None:
    theirs = expected()[number]
    ours = ask_closure(stored, datetime.fromisoformat(theirs["as_of"]))

    assert ours["cavra_open_items"] == theirs["closure_dashboard_all_records"]["open_items"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return home_of_store(tmp_path_factory.mktemp("all-lanes"), "all-lanes.db")


@needs_stores
def test_many_instants_together_are_answered_as_one_by_one(stored: Settings) -> None:
    instants = [datetime.fromisoformat(one["as_of"]) for one in reversed(expected())]
    with warehouse_of(stored).reading() as session:
        together = closure_reports(session, instants=instants, now=NOW)
    assert together == [ask_closure(stored, one) for one in instants]


def test_nothing_open_is_closed(tmp_path: Path) -> None:
    report = ask_closure(ingested(tmp_path, [delivery(at(10))]))
    assert (report["closure_state"], report["open_item_count"], report["open_items"]) == ("closed", 0, [])
    assert (report["alert_level"], report["cavra_open_items"]) == ("healthy", [])


@pytest.mark.parametrize("lane", ALERT_LANES)
def test_each_alert_lane_is_open_for_deliveries_executions_and_acknowledgements(tmp_path: Path, lane: str) -> None:
    stem = LANES[lane].kind_stem
    records = [
        alert_plan(at(100), stem, "Slack"),
        delivery(at(90), lane=lane, subject="health-1", failed=["slack", "teams"]),
        execution(at(80), lane=lane, subject="health-1", provider="slack", status="skipped"),
    ]
    report = ask_closure(ingested(tmp_path / "open", records))
    assert _items(report) == {
        f"{lane}_unresolved_delivery": 2,
        f"{lane}_unresolved_failed_execution": 1,
        f"{lane}_acknowledgement_outstanding": 1,
    }
    assert (report["closure_state"], report["open_item_count"]) == ("open", 3)

    after = [
        delivery(at(70), lane=lane, subject="health-1", providers=["slack", "teams"]),
        answer(at(60), stem, "slack", "acknowledged"),
    ]
    closed = ask_closure(ingested(tmp_path / "closed", [*records, *after]))
    assert closed["closure_state"] == "closed"
    # CAVRA keeps for ever what failed once, of the lane whose failures it looks at.
    assert bool(closed["cavra_open_items"]) == (lane == "executive_health_alert")


def test_archive_reference_alerts_are_found_by_their_source_and_kinds(tmp_path: Path) -> None:
    records = [
        alert_plan(at(100), ARCHIVE_STEM, "slack", "teams"),
        archive_delivery(at(90), "slack", "teams"),
        archive_delivery(at(85), "jira", health_id=None, event_id="event-1", event_type="event-1"),
        answer(at(80), ARCHIVE_STEM, "Slack", "resolved"),
    ]
    report = ask_closure(ingested(tmp_path / "open", records))
    assert _items(report) == {
        "archive_reference_health_alert_unresolved_delivery": 2,
        "archive_reference_health_alert_acknowledgement_outstanding": 1,
    }
    # A delivery to slack arrives; teams fails once more.
    more = [archive_delivery(at(70), "teams"), archive_delivery(at(60))]
    after = ask_closure(ingested(tmp_path / "one", [*records, *more]))
    assert _items(after)["archive_reference_health_alert_unresolved_delivery"] == 1


def test_an_acknowledgement_that_was_taken_back_is_outstanding_again_for_us_alone(tmp_path: Path) -> None:
    records = [alert_plan(at(100), ARCHIVE_STEM, "slack"), answer(at(90), ARCHIVE_STEM, "slack", "acknowledged")]
    taken_back = answer(at(80), ARCHIVE_STEM, "slack", "escalated")
    report = ask_closure(ingested(tmp_path, [*records, taken_back]))

    assert _items(report) == {"archive_reference_health_alert_acknowledgement_outstanding": 1}
    assert report["cavra_open_items"] == []


def test_cavra_counts_an_alert_from_its_plan_until_its_first_acknowledgement(tmp_path: Path) -> None:
    home = ingested(
        tmp_path,
        [alert_plan(at(100), ARCHIVE_STEM, "slack"), answer(at(50), ARCHIVE_STEM, "slack", "acknowledged")],
    )
    item = ["final_archive_health_alert_acknowledgement_outstanding"]
    seen = [ask_closure(home, moment)["cavra_open_items"] for moment in (
        at(100, microseconds=-1), at(100), at(50, microseconds=-1), at(50),
    )]  # fmt: skip
    assert seen == [[], item, item, []]


def test_of_recovery_alerts_cavra_counts_the_newest_plan_of_a_health_report_only(tmp_path: Path) -> None:
    stem = LANES["recovery_health_alert"].kind_stem
    plans = [alert_plan(at(100), stem, "slack", "teams"), alert_plan(at(90), stem, "slack")]
    home = ingested(tmp_path, [*plans, answer(at(80), stem, "slack", "acknowledged")])

    assert ask_closure(home)["cavra_open_items"] == []
    assert ask_closure(home, at(85))["cavra_open_items"] == ["recovery_retry_health_alert_acknowledgement_outstanding"]


def test_open_recoveries_and_acknowledgement_gaps_keep_it_open(tmp_path: Path) -> None:
    records = [playbook(at(100), "slack", "teams"), delivery(at(90), failed=["slack"])]
    report = ask_closure(ingested(tmp_path / "open", records))
    assert _items(report) == {"open_recovery": 2, "acknowledgement_gap": 1}

    said = [closure(at(60)), closure(at(60), "mitigated", provider="teams"), acknowledgement(at(50))]
    assert ask_closure(ingested(tmp_path / "closed", [*records, *said]))["closure_state"] == "closed"


def test_a_later_record_changes_no_id(tmp_path: Path) -> None:
    before = ask_closure(ingested(tmp_path / "1", [playbook(at(100), "slack")]), at(50))
    after = ask_closure(ingested(tmp_path / "2", [playbook(at(100), "slack"), delivery(at(10))]), at(50))
    assert before["closure_report_id"] == after["closure_report_id"]
    assert after["future_record_count"] == 1


def test_the_command_and_http_answer_the_same(tmp_path: Path) -> None:
    home = ingested(tmp_path, [playbook(at(300), "slack")])
    made = without_clock(ask_closure(home))

    assert without_clock(command(home.home, "closure", "--as-of", AS_OF.isoformat(), "--json").document) == made
    with served(home, dagster=NoDagster()) as service, service.client() as client:
        answered = client.get("/api/v1/closure", params={"as_of": AS_OF.isoformat()}).raise_for_status().json()
    assert without_clock(answered) == made
    shown = command(home.home, "closure", "--as-of", AS_OF.isoformat()).out
    assert "What is open now" in shown
    assert "next: cavra-pipeline recoveries" in shown
