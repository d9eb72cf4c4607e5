"""The dashboard counts what is open beside what was done (contract section 9)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.dashboard import dashboards
from cavra_pipeline.settings import Settings
from tests.recoveries.stores import ask_recoveries, closure, expected, home_of_store, needs_stores, playbook
from tests.support import AS_OF, NOW, at, delivery, execution, ingested, record

AUDIT = "acknowledgement_audit"


def _dashboard(settings: Settings, as_of: datetime = AS_OF) -> dict[str, Any]:
    with warehouse_of(settings).reading() as session:
        return dashboards(session, instants=[as_of], now=NOW)[0]


def test_skipped_retries_are_counted_by_reason_up_to_the_instant(tmp_path: Path) -> None:
    def skipped(minutes: float, lane: str, reason: str | None) -> dict[str, Any]:
        kind = LANES[lane].kinds.execution.replace("-", "_")
        nested = {kind: {"skipped": reason}} if reason else {}
        return {**execution(at(minutes), lane=lane, status="skipped"), **nested}

    home = ingested(
        tmp_path,
        [
            skipped(50, "recovery_escalation", "connector_config_not_configured"),
            skipped(40, AUDIT, "connector_config_not_configured"),
            skipped(30, AUDIT, None),
            skipped(10, AUDIT, "audit_package_not_found"),
            execution(at(20), lane=AUDIT, status="failed"),
        ],
    )
    counted = _dashboard(home, at(15))
    assert counted["skipped_reasons"] == {"connector_config_not_configured": 2, "other": 1}
    assert counted["lanes"][AUDIT]["skipped_reasons"] == {"connector_config_not_configured": 1, "other": 1}
    assert sum(counted["skipped_reasons"].values()) == counted["skipped_execution_count"] == 3
    assert _dashboard(home)["skipped_reasons"]["audit_package_not_found"] == 1


def test_gaps_alerts_recoveries_and_the_closure_are_counted(tmp_path: Path) -> None:
    stem = LANES["executive_health_alert"].kind_stem
    home = ingested(
        tmp_path,
        [
            delivery(at(90), lane=AUDIT, subject="audit-1", failed=["slack"]),
            record(f"{stem}-plan", at(80), health_id="health-1", acknowledgement_required_providers=["slack", "teams"]),
            playbook(at(300), "slack", "teams"),
            closure(at(200), provider="teams"),
            playbook(at(20), "jira", playbook_id="playbook-2"),
        ],
    )
    counted = _dashboard(home)
    assert (counted["open_approval_gap_count"], counted["lanes"][AUDIT]["open_approval_gap_count"]) == (1, 1)
    assert counted["outstanding_alert_acknowledgement_count"] == 2
    assert counted["lanes"]["executive_health_alert"]["outstanding_alert_acknowledgement_count"] == 2
    names = ("recovery_open_count", "recovery_closed_count", "recovery_slo_breached_count", "closure_state")
    assert [counted[name] for name in names] == [2, 1, 1, "open"]

    before = _dashboard(home, at(301))
    assert [before[name] for name in names] == [0, 0, 0, "closed"]
    assert (before["open_approval_gap_count"], before["outstanding_alert_acknowledgement_count"]) == (0, 0)


@needs_stores
@pytest.mark.slow
def test_the_counts_of_recoveries_are_those_of_the_recovery_report(tmp_path: Path) -> None:
    home = home_of_store(tmp_path, "all-lanes.db")
    as_of = datetime.fromisoformat(expected()[-1]["as_of"])
    counted, report = _dashboard(home, as_of), ask_recoveries(home, as_of)
    for name in ("recovery_open_count", "recovery_closed_count", "recovery_slo_breached_count"):
        assert counted[name] == report[name] > 0
    assert sum(counted["skipped_reasons"].values()) == counted["skipped_execution_count"] > 0
