"""CAVRA's two dashboards over its own recorded store: every count that CAVRA's answers have, and what never clears."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.boundary.kinds import KIND_PREFIX
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.cavra_dashboard import closure_dashboard, notification_dashboard
from cavra_pipeline.settings import Settings
from tests.recoveries.stores import INSTANTS, expected, home_of_store, needs_stores
from tests.support import AS_OF, MICROSECOND, at, delivery, execution, ingested, record

pytestmark = pytest.mark.slow

PREFIX = "acknowledgement_audit_delivery_"
#: Where CAVRA calls the count of a kind otherwise than the kind, last parts.
RENAMED = {
    "recovery-escalation-delivery-retry-plan": "recovery-escalation-retry-plan",
    "worker-health-alert-plan": "worker-health-alert",
}
#: Counts of CAVRA's recovery report, and the dashboard's.
OF_EXECUTIONS = {
    "execution_count": "retry_execution_record_count",
    "execution_success_count": "retry_execution_success_count",
    "execution_failed_count": "retry_execution_failed_count",
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return home_of_store(tmp_path_factory.mktemp("all-lanes"), "all-lanes.db")


def _counted(home: Settings, as_of: datetime = AS_OF) -> dict[str, Any]:
    with warehouse_of(home).reading() as session:
        return notification_dashboard(session, as_of=as_of)


def _closure(home: Settings, as_of: datetime = AS_OF) -> dict[str, Any]:
    with warehouse_of(home).reading() as session:
        return closure_dashboard(session, as_of=as_of)


@needs_stores
@pytest.mark.parametrize("number", INSTANTS)
def test_final_reporting_is_as_closed_as_cavra_says_over_all_records(stored: Settings, number: int) -> None:
    theirs = expected()[number]
    ours = _closure(stored, datetime.fromisoformat(theirs["as_of"]))

    given = theirs["closure_dashboard_all_records"]
    assert {name: ours[name] for name in given} == given
    assert len(ours["recommended_actions"]) == len(ours["open_items"])


@needs_stores
@pytest.mark.parametrize("number", INSTANTS)
def test_the_dashboard_counts_each_kind_as_often_as_cavra_holds_it(stored: Settings, number: int) -> None:
    theirs = expected()[number]
    ours = _counted(stored, datetime.fromisoformat(theirs["as_of"]))

    given = {kind.removeprefix(KIND_PREFIX): count for kind, count in theirs["records_by_kind"].items()}
    assert ours["delivery_count"] == given.pop("release-connector-delivery")
    packages = given.pop("go-backend-rollback-drill-acknowledgement-audit-package", 0)
    assert ours["acknowledgement_audit_package_count"] == packages
    named = {f"{PREFIX}{RENAMED.get(kind, kind).replace('-', '_')}_count": count for kind, count in given.items()}
    # CAVRA's sum of alerts is called what its event's kind is called; nothing else is counted twice.
    assert {name: ours[name] for name in named} == named
    report = theirs["recovery_report"]
    assert {name: ours[PREFIX + counted] for name, counted in OF_EXECUTIONS.items()} == {
        name: report[name] for name in OF_EXECUTIONS
    }
    closed = sum(report["closure_state_counts"].get(state, 0) for state in ("resolved", "mitigated"))
    assert ours[f"{PREFIX}connector_recovery_closed_count"] == closed


@needs_stores
def test_sums_are_over_all_records_and_what_the_envelope_does_not_say_is_null(stored: Settings) -> None:
    ours = _counted(stored, datetime.fromisoformat(expected()[-1]["as_of"]))

    unknown = {name for name, value in ours.items() if value is None}
    assert unknown == {
        f"{PREFIX}final_reporting_{name}_count"
        for name in ("release_ready", "release_readiness_approved", "release_closure_packet_verified",
                     "archive_manifest_signed")
    }  # fmt: skip
    assert len([name for name in ours if name.endswith("_count")]) > 100
    assert ours[f"{PREFIX}recovery_escalation_route_count"] == 23
    dry, all_ = ours[f"{PREFIX}worker_dry_run_count"], ours[f"{PREFIX}worker_run_count"]
    assert (ours[f"{PREFIX}worker_executed_count"], all_) == (all_ - dry, 13)
    success, tried = ours[f"{PREFIX}success_count"], ours[f"{PREFIX}count"]
    assert success == tried - ours[f"failed_{PREFIX}count"] > 0
    assert ours[f"{PREFIX}success_rate"] == round(success / tried, 4)


def test_every_lane_has_its_ladder_in_the_dashboard(tmp_path: Path) -> None:
    records = [
        one
        for n, lane in enumerate(LANES)
        for one in (
            delivery(at(90 + n), lane=lane, subject=f"s-{n}", failed=["slack"]),
            execution(at(30 + n), lane=lane, subject=f"s-{n}", status="skipped"),
        )
    ]
    ours = _counted(ingested(tmp_path, records))

    assert ours["delivery_count"] == ours["failed_delivery_count"] == len(LANES)
    failed = [name for name, value in ours.items() if name.endswith("execution_failed_count") and value == 1]
    assert len(failed) == len(LANES)


def test_a_dashboard_of_nothing_is_healthy_and_what_comes_later_does_not_exist(tmp_path: Path) -> None:
    lost = delivery(AS_OF, lane="acknowledgement_audit", subject="d", failed=["Service-Now"])
    home = ingested(tmp_path, [lost])

    before, after = _counted(home, AS_OF - MICROSECOND), _counted(home)
    names = ("alert_level", f"{PREFIX}health", f"{PREFIX}providers", f"{PREFIX}success_rate", "delivery_count")
    assert [before[name] for name in names] == ["healthy", "healthy", [], None, 0]
    assert [after[name] for name in names] == ["critical", "critical", ["service_now"], 0.0, 1]
    assert before["outstanding_acknowledgement_count"] == 0
    assert (_closure(home)["closure_state"], _closure(home)["recommended_actions"]) == ("closed", [])


def test_what_a_notification_plan_requires_is_not_known(tmp_path: Path) -> None:
    plan = record("plan", at(5), metadata_kind="go-backend-rollback-drill-notification-plan")
    ours = _counted(ingested(tmp_path, [plan]))

    assert (ours["plan_count"], ours["outstanding_acknowledgement_count"]) == (1, None)
