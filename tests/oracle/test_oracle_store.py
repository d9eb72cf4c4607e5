"""The oracle against CAVRA's own answers over a store that its code made: what the contract wants equal is equal."""

from __future__ import annotations

import pytest

from tests.oracle.evidence import LANES, OracleRecord, instant
from tests.oracle.model import health, outstanding
from tests.oracle.recoveries import cavra_open_items, cavra_outstanding_count, recoveries
from tests.oracle.store import INSTANTS, expected, needs_store, stored
from tests.support import same

pytestmark = needs_store


def known(number: int) -> list[OracleRecord]:
    return [record for record in stored() if record.at <= instant(expected()[number]["as_of"])]


@pytest.mark.parametrize("number", INSTANTS)
def test_recovery_rows_and_counts_are_those_of_cavra(number: int) -> None:
    theirs = expected()[number]["recovery_report"]
    ours = recoveries(stored(), instant(expected()[number]["as_of"]))

    rows = [
        {
            "opened_at": row["generated_at"],
            # CAVRA fills these for a closure of any state; the contract for one that closes.
            "closed_at": row["closed_at"] if row["slo_status"] == "closed" else None,
            "closure_minutes": row["closure_minutes"] if row["slo_status"] == "closed" else None,
            **{
                name: row[name]
                for name in (
                    "playbook_id",
                    "provider",
                    "category",
                    "failure_count",
                    "age_minutes",
                    "closure_state",
                    "slo_status",
                )
            },
        }
        for row in theirs["recovery_rows"]
    ]
    counts = ("recovery_closed_count", "recovery_open_count", "recovery_slo_breached_count", "closure_state_counts")
    assert same({"recoveries": rows, **{name: theirs[name] for name in counts}}, ours) == []
    assert ours["recovery_count"] == theirs["recovery_playbook_provider_count"]


@pytest.mark.parametrize("number", INSTANTS)
def test_open_items_and_outstanding_alerts_are_those_of_cavra(number: int) -> None:
    dashboards = expected()[number]["alert_dashboards"]
    recovery, executive = LANES["recovery_health_alert"], LANES["executive_health_alert"]
    archive = "final-reporting-archive-reference-health-alert"

    assert cavra_open_items(known(number)) == expected()[number]["closure_dashboard_all_records"]["open_items"]
    kinds = {
        "recovery": (recovery.alert_plan, recovery.acknowledgement, True),
        "executive": (executive.alert_plan, executive.acknowledgement, False),
        "archive": (f"{archive}-plan", f"{archive}-ack", False),
        "worker": ("worker-health-alert-plan", "worker-health-alert-ack", True),
    }
    assert {
        name: cavra_outstanding_count(known(number), plan, ack, newest=newest)
        for name, (plan, ack, newest) in kinds.items()
    } == {name: dashboards[name]["outstanding_acknowledgement_count"] for name in kinds}
    # Nothing here was escalated after it was acknowledged, so that our rule, the newest one, counts as many.
    assert {name: len(outstanding(known(number), plan, ack)) for name, (plan, ack, _) in kinds.items()} == {
        name: dashboards[name]["outstanding_acknowledgement_count"] for name in kinds
    }


@pytest.mark.parametrize("lane", ["recovery_escalation", "executive_report"])
@pytest.mark.parametrize("number", INSTANTS)
def test_missed_and_stale_fields_are_those_of_cavra(number: int, lane: str) -> None:
    theirs = expected()[number]["health"][lane]
    args = {name: theirs[name] for name in ("expected_interval_minutes", "stale_metadata_minutes")}
    ours = health(stored(), LANES[lane], instant(expected()[number]["as_of"]), args)

    fields = (
        "missed_worker_count",
        "stale_retry_plan_count",
        "latest_worker_run_id",
        "latest_worker_age_minutes",
        "latest_retry_plan_id",
        "latest_retry_plan_age_minutes",
        "worker_run_count",
        "retry_plan_count",
        "execution_record_count",
        "delivered_execution_count",
        "failed_execution_count",
    )
    assert same({name: theirs[name] for name in fields}, ours) == []


@pytest.mark.parametrize("number", INSTANTS)
def test_the_audit_workers_fields_are_those_of_cavra_under_our_names(number: int) -> None:
    theirs = expected()[number]["health"]["acknowledgement_audit_worker"]
    args = {name: theirs[name] for name in ("expected_interval_minutes", "stale_metadata_minutes")}
    ours = health(stored(), LANES["acknowledgement_audit"], instant(expected()[number]["as_of"]), args)

    names = {
        "missed_run_count": "missed_worker_count",
        "latest_run_id": "latest_worker_run_id",
        "latest_run_age_minutes": "latest_worker_age_minutes",
        "run_count": "worker_run_count",
        **{name: name for name in ("stale_retry_plan_count", "retry_plan_count", "selected_retry_count")},
        **{name: name for name in ("latest_retry_plan_id", "latest_retry_plan_age_minutes")},
    }
    assert same({our: theirs[their] for their, our in names.items()}, ours) == []
