"""The escalation plan: a route for each open recovery and each provider with unresolved retries, and what to do."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.boundary.kinds import KIND_PREFIX, fields_of
from cavra_pipeline.errors import UsageError
from cavra_pipeline.executive.publish import escalation
from cavra_pipeline.settings import Settings
from tests.cli.command import command
from tests.executive.histories import ask_escalation, escalated
from tests.recoveries.stores import INSTANTS, closure, expected, home_of_store, needs_stores, playbook
from tests.support import (
    AS_OF,
    MICROSECOND,
    NOW,
    Record,
    acknowledgement,
    at,
    delivery,
    execution,
    ingested,
    judged,
    raw,
    without_clock,
)

pytestmark = pytest.mark.slow

AUDIT = "acknowledgement_audit"


def _routes(tmp_path: Path, *records: Record, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask_escalation(ingested(tmp_path, records), **more)["escalation_routes"]
    return found


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return home_of_store(tmp_path_factory.mktemp("all-lanes"), "all-lanes.db")


@needs_stores
@pytest.mark.parametrize("number", INSTANTS)
def test_the_routes_of_recoveries_are_cavras_in_its_order(stored: Settings, number: int) -> None:
    theirs = expected()[number]
    ours = ask_escalation(stored, datetime.fromisoformat(theirs["as_of"]), providers=["jira"])

    names = ("provider", "category", "severity", "playbook_id", "closure_state", "slo_status", "age_minutes")
    given = [one for one in theirs["escalation_plan"]["escalation_routes"] if one["playbook_id"]]
    made = [one for one in ours["escalation_routes"] if one["playbook_id"]]
    assert [[one[name] for name in names] for one in made] == [[one[name] for name in names] for one in given]
    # CAVRA counts a failed retry for ever; ours is over once something was delivered or somebody resolved it.
    retries = {one["provider"] for one in ours["escalation_routes"] if not one["playbook_id"]}
    assert retries <= {one["provider"] for one in theirs["escalation_plan"]["escalation_routes"]}
    # The channel is never what is broken.
    assert "jira" not in {one["provider"] for one in ours["escalation_routes"]}
    assert ours["selected_providers"] == (["jira"] if ours["escalation_routes"] else [])


@pytest.mark.parametrize(
    ("age", "state", "severity"),
    [
        (timedelta(minutes=180) - MICROSECOND, "within", "warning"),
        (timedelta(minutes=180), "at_risk", "warning"),
        (timedelta(minutes=240), "at_risk", "warning"),
        (timedelta(minutes=240) + MICROSECOND, "breached", "critical"),
    ],
)
def test_a_route_is_at_risk_from_three_quarters_of_the_limit_and_critical_only_over_it(
    tmp_path: Path, age: timedelta, state: str, severity: str
) -> None:
    plan = ask_escalation(ingested(tmp_path, [playbook(AS_OF - age, "slack")]))
    (route,) = plan["escalation_routes"]
    assert (route["slo_state"], route["severity"], plan["alert_level"]) == (state, severity, severity)
    assert (plan["slo_breached_count"], plan["slo_at_risk_count"]) == (state == "breached", state == "at_risk")


def test_an_escalation_plan_alone_opens_nothing_and_nothing_known_is_no_all_clear(tmp_path: Path) -> None:
    plan = ask_escalation(ingested(tmp_path / "alone", [escalated(at(600), ("playbook-1", "slack"))]))
    assert (plan["state"], plan["alert_level"], plan["escalation_count"]) == ("no_playbook", "unknown", 0)
    assert plan["selected_providers"] == []

    closed = ask_escalation(ingested(tmp_path / "closed", [playbook(at(60), "slack"), closure(at(50))]))
    assert (closed["state"], closed["alert_level"], closed["selected_providers"]) == ("none_open", "healthy", [])


@pytest.mark.parametrize("status", ["failed", "skipped"])
def test_a_provider_with_unresolved_audit_retries_has_one_critical_route(tmp_path: Path, status: str) -> None:
    retried = [
        execution(at(50 - n), lane=AUDIT, subject=f"delivery-{n}", provider="teams", status=status) for n in range(2)
    ]
    plan = ask_escalation(ingested(tmp_path / "open", [playbook(at(60)), *retried]))
    (route,) = plan["escalation_routes"]
    assert (route["provider"], route["category"], route["severity"]) == ("teams", "retry-execution", "critical")
    assert (route["playbook_id"], route["failure_count"], route["age_minutes"]) == ("", 2, None)
    assert (plan["failed_execution_count"], plan["open_recovery_count"], plan["escalation_count"]) == (2, 0, 1)

    over = [
        delivery(at(10), lane=AUDIT, subject="delivery-0", providers=["teams"]),
        acknowledgement(at(10), lane=AUDIT, subject="delivery-1", provider="teams", state="resolved"),
    ]
    after = ask_escalation(ingested(tmp_path / "over", [playbook(at(60)), *retried, *over]))
    assert (after["escalation_routes"], after["alert_level"]) == ([], "healthy")


def test_failed_retries_of_another_lane_make_no_route(tmp_path: Path) -> None:
    assert _routes(tmp_path, playbook(at(60)), execution(at(50))) == []


@pytest.mark.parametrize(
    ("more", "need"),
    [
        ([], "notify"),
        ([delivery(at(50), failed=["slack"])], "notify"),
        ([delivery(at(50))], "acknowledge"),
        ([delivery(at(50)), acknowledgement(at(40))], "close"),
        ([delivery(at(50)), acknowledgement(at(40)), closure(at(30), "deferred", provider="teams")], "resume"),
        ([closure(at(30), "escalated", provider="teams")], "decide"),
        ([closure(at(40), provider="teams"), closure(at(30), "reopened", provider="teams")], "fix_again"),
    ],
)
def test_each_route_says_what_it_needs_next(tmp_path: Path, more: list[Record], need: str) -> None:
    (route,) = _routes(tmp_path, playbook(at(60), "teams"), escalated(at(55), ("playbook-1", "teams")), *more)
    assert route["need"] == need
    assert "Teams" in route["recommended_action"]


def test_the_most_urgent_route_comes_first(tmp_path: Path) -> None:
    found = _routes(
        tmp_path,
        playbook(at(300), "slack", playbook_id="late", counts={"slack": 2}),
        playbook(at(20), "jira", playbook_id="many", counts={"jira": 9}),
        playbook(at(30), "jira", playbook_id="older", counts={"jira": 3}),
        playbook(at(10), "teams", playbook_id="new", counts={"teams": 3}),
        execution(at(5), lane=AUDIT, subject="d", provider="splunk"),
    )
    assert [one["playbook_id"] for one in found] == ["late", "", "many", "older", "new"]


def test_what_comes_after_the_instant_does_not_exist(tmp_path: Path) -> None:
    home = ingested(tmp_path, [playbook(at(10), "slack"), closure(at(5))])
    counts = [
        ask_escalation(home, moment)["escalation_count"]
        for moment in (at(10, microseconds=-1), at(10), at(5, microseconds=-1), at(5))
    ]
    assert counts == [0, 1, 1, 0]


def test_the_same_evidence_gives_the_same_id_whenever_and_by_whomever_it_is_asked(tmp_path: Path) -> None:
    records = [playbook(at(60), "slack"), delivery(at(50)), playbook(at(55), "teams", playbook_id="other")]
    one = ask_escalation(ingested(tmp_path / "1", records, threads=1), providers=["slack", "Teams"])
    two = ask_escalation(ingested(tmp_path / "2", records[::-1], threads=4), providers=["teams", "slack", "SLACK"])
    later = ask_escalation(ingested(tmp_path / "3", records), now=NOW + timedelta(days=1), generated_by="somebody")
    assert without_clock(one) == without_clock(two)
    assert one["plan_id"] != later["plan_id"]  # other connectors
    assert one["recovery_report_id"] == later["recovery_report_id"]


def test_the_record_of_a_plan_holds_its_routes_and_passes_the_boundary_whole(tmp_path: Path) -> None:
    retried = execution(at(5), lane=AUDIT, subject="d", provider="splunk")
    plan = ask_escalation(ingested(tmp_path / "1", [playbook(at(60), "teams"), retried]), providers=["slack"])
    (made,) = escalation(plan, requested_at=NOW, made_at=NOW).records
    envelope = {field.column for field in fields_of("x-unknown")}
    whole = {field.path for field in fields_of(KIND_PREFIX + "recovery-escalation-plan") if "[]" not in field.path}
    assert whole - envelope <= set(made)

    kept = judged(raw(made))
    assert getattr(kept, "dropped_field_count", None) == 0
    # Once recorded, the plan says who was notified of which recovery, and is none itself.
    again = ingested(tmp_path / "2", [playbook(at(60), "teams"), {**made, "created_at": at(30).isoformat()}])
    named = {one["provider"]: one["notified_through"] for one in ask_escalation(again)["escalation_routes"]}
    assert named == {"teams": []}


@pytest.mark.parametrize("name", ["escalate", "executive-report"])
def test_a_dry_run_says_which_connector_a_live_run_would_lack(name: str, tmp_path: Path) -> None:
    home = ingested(tmp_path, [playbook(at(60), "teams")])

    dry = command(home.home, name, "--provider", "slack", "--as-of", AS_OF.isoformat())
    silent = command(home.home, name, "--as-of", AS_OF.isoformat())

    assert dry.code == 0
    assert "slack is not set up on this host: a live run would be refused" in dry.out + dry.err
    assert "Dry run" not in silent.out + silent.err


@pytest.mark.parametrize("value", [0, -1, 525_601, 1.5, True, "240"])
def test_a_limit_outside_its_bounds_is_refused_by_name(tmp_path: Path, value: Any) -> None:
    with pytest.raises(UsageError, match="slo_minutes"):
        ask_escalation(ingested(tmp_path, []), slo_minutes=value)


@pytest.mark.parametrize("providers", ["slack", [""], ["a b"], ["x" * 65]])
def test_connector_names_that_are_none_are_refused(tmp_path: Path, providers: Any) -> None:
    with pytest.raises(UsageError, match="providers"):
        ask_escalation(ingested(tmp_path, []), providers=providers)
