"""What materialises: reports by day, checks, metadata, and nothing that is not public-safe."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.reports import health, store
from cavra_pipeline.reports.store import days_between
from cavra_pipeline.retention.prune import prune
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from tests.dagster_tests.runs import (
    DAY,
    EVIDENCE,
    REPORTS,
    checks,
    key,
    metadata_of,
    new_home,
    report_ids,
    reports,
    run,
)
from tests.evidence.secrets_made_up import SECRETS, canary
from tests.imports.sources import bring, json_lines
from tests.support import NOW, acknowledgement, at, delivery, drop, execution, plan, query, saved, worker_run

pytestmark = pytest.mark.slow

LINES_BY_DAY = {
    "2026-06-24": [
        delivery(at(60 * 30), session_id="d-1", failed=["slack"]),
        worker_run(at(60 * 25), session_id="w-1"),
    ],
    "2026-06-25": [
        delivery(at(60), session_id="d-2", failed=["slack"]),
        acknowledgement(at(30), session_id="a-1"),
        plan(at(20), session_id="p-1"),
        worker_run(at(20), session_id="w-2"),
        execution(at(10), session_id="x-1", status="delivered"),
    ],
    "2026-06-26": [],
}
DAYS = [date(2026, 6, 24), DAY, date(2026, 6, 26)]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, dg.ExecuteInProcessResult]:
    """A clean day, all of it materialised; only read here."""
    settings = new_home(tmp_path_factory.mktemp("clean"), {"2026-06-25": LINES_BY_DAY["2026-06-25"]})
    return settings, run(settings)


def test_a_clean_day_is_green_and_every_check_about_evidence_has_passed(
    clean: tuple[Settings, dg.ExecuteInProcessResult],
) -> None:
    result = clean[1]

    assert result.success
    found = checks(result)
    for name in (
        "totals_add_up", "schema_is_declared", "drops_are_readable", "nothing_quarantined", "nothing_found",
    ):  # fmt: skip
        assert found[name][0], name
    assert len(found) >= 5 + len(REPORTS)


def test_a_run_works_out_the_health_of_a_lane_once_and_the_next_run_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = new_home(tmp_path, {"2026-06-25": LINES_BY_DAY["2026-06-25"]})
    made: list[str] = []
    make = health._reports

    def noting(session: Any, lane: Lane, *args: Any, **asked: Any) -> Any:
        made.append(lane.name)
        return make(session, lane, *args, **asked)

    monkeypatch.setattr(health, "_reports", noting)
    assert run(settings, assets=(*EVIDENCE, *REPORTS, "executive_recovery_report")).success
    assert sorted(made) == sorted(LANES)
    together = reports(settings)

    assert run(settings, assets=["dashboard"]).success
    assert sorted(made) == sorted([*LANES, *LANES])
    assert reports(settings) == together


def test_every_report_of_the_day_is_kept_once_and_judged_at_its_end(
    clean: tuple[Settings, dg.ExecuteInProcessResult],
) -> None:
    kept = reports(clean[0])

    expected = {(kind, lane, DAY) for lane in LANES for kind in ("retry_plan", "retry_health")}
    assert kept.keys() == {*expected, *((name, None, DAY) for name in ("dashboard", "recoveries", "closure"))}
    assert {one["as_of"] for one in kept.values()} == {"2026-06-25T23:59:59.999999+00:00"}


def test_metadata_of_a_day_are_numbers_that_plot(clean: tuple[Settings, dg.ExecuteInProcessResult]) -> None:
    result = clean[1]

    evidence = metadata_of(result, "evidence")
    assert (evidence["received_count"], evidence["accepted_count"], evidence["dagster/row_count"]) == (5, 5, 5)
    assert [metadata_of(result, name)["dagster/row_count"] for name in EVIDENCE[1:]] == [1, 1, 1, 1, 1, 0, 0]
    for name in REPORTS:
        shown = metadata_of(result, name)
        assert isinstance(shown["evidence_record_count"], int), name
        assert shown["alert_level"] in ("healthy", "warning", "critical", "unknown")
        assert isinstance(shown["details"], str | dg.TableMetadataValue)
        assert sum(isinstance(value, int) for value in shown.values()) > 1, name


@pytest.mark.slow
def test_a_range_run_is_the_same_as_its_days_one_by_one_and_a_second_run_changes_no_id(tmp_path: Path) -> None:
    one_by_one, at_once = new_home(tmp_path / "a", LINES_BY_DAY), new_home(tmp_path / "b", LINES_BY_DAY)

    assert run(one_by_one, DAYS, assets=EVIDENCE).success
    for day in DAYS:
        assert run(one_by_one, [day], assets=REPORTS).success
    result = run(at_once, DAYS)
    assert result.success

    ids = report_ids(at_once)
    assert len(ids) == len(DAYS) * len(REPORTS)
    assert report_ids(one_by_one) == ids
    assert [metadata_of(result, "evidence", day)["received_count"] for day in DAYS] == [2, 5, 0]
    assert run(at_once, DAYS).success
    assert report_ids(at_once) == ids


def test_an_unchanged_drop_is_not_read_again_unless_the_run_says_so(tmp_path: Path) -> None:
    settings = new_home(tmp_path, LINES_BY_DAY)
    first = run(settings, assets=EVIDENCE)
    second = run(settings, assets=EVIDENCE)
    third = run(settings, assets=EVIDENCE, config={"ingest": {"read_again": True}})

    assert [metadata_of(result, "evidence")["drops_read"] for result in (first, second, third)] == [1, 0, 1]
    assert query(settings, "SELECT drop_day FROM drops") == [(DAY,)]


def test_a_day_to_come_is_no_partition_and_today_is_one(tmp_path: Path) -> None:
    settings = new_home(tmp_path)
    today = datetime.now(UTC).date()

    assert run(settings, [today], assets=["dashboard"]).success
    with pytest.raises(dg.DagsterUnknownPartitionError):
        run(settings, [today + timedelta(days=2)], assets=["dashboard"])
    assert [key[2] for key in reports(settings)] == [today]


def test_a_quarantined_record_fails_its_check_as_an_error_and_the_run_succeeds(tmp_path: Path) -> None:
    settings = new_home(tmp_path, {"2026-06-25": [delivery(), delivery(plan_id=canary("npm token")), "no json"]})

    result = run(settings)

    found = checks(result)
    assert result.success
    assert found["nothing_quarantined"] == (False, "ERROR")
    assert found["nothing_found"][0] is False
    assert found["totals_add_up"][0] is found["drops_are_readable"][0] is True
    shown = metadata_of(result, "evidence")
    assert (shown["received_count"], shown["accepted_count"], shown["quarantine"]) == (3, 1, 2)


def test_a_secret_that_was_dropped_is_a_warning_only(tmp_path: Path) -> None:
    url = canary("teams webhook")
    leak = delivery(delivery={"deliveries": [{"provider": "teams", "request": {"url": url}}]})
    settings = new_home(tmp_path, {"2026-06-25": [leak]})

    result = run(settings)

    found = checks(result)
    assert result.success
    assert found["nothing_found"] == (False, "WARN")
    assert found["nothing_quarantined"][0] is True
    assert metadata_of(result, "evidence")["findings"] == 1


def test_an_unreadable_drop_fails_its_check_with_a_remedy_and_the_others_are_ingested(tmp_path: Path) -> None:
    settings = new_home(tmp_path, {"2026-06-25": [delivery(session_id="good")]})
    drop(settings, b"\x1f\x8b\x08", name="cut.jsonl.gz")

    result = run(settings)

    assert result.success
    assert checks(result)["drops_are_readable"] == (False, "ERROR")
    (evaluation,) = (e for e in result.get_asset_check_evaluations() if e.check_name == "drops_are_readable")
    remedy = evaluation.metadata["remedy"]
    assert isinstance(remedy, dg.TableMetadataValue)
    (failure,) = (record.data for record in remedy.records)
    assert (failure["place"], failure["what is wrong"]) == (
        "2026-06-25/cut.jsonl.gz",
        "the compressed file is damaged or cut short",
    )
    assert failure["what to do"]
    assert query(settings, "SELECT session_id FROM evidence") == [("good",)]


def test_a_version_that_was_superseded_is_in_the_totals_of_its_day(tmp_path: Path) -> None:
    settings = new_home(
        tmp_path,
        {
            "2026-06-24": [delivery(session_id="a", plan_id="old"), delivery(session_id="b")],
            "2026-06-25": [delivery(session_id="a", plan_id="new")],
        },
    )

    result = run(settings, DAYS[:2], assets=EVIDENCE)

    assert checks(result)["totals_add_up"][0]
    counted = [metadata_of(result, "evidence", day) for day in DAYS[:2]]
    assert [(c["received_count"], c["accepted_count"], c["superseded_count"]) for c in counted] == [
        (2, 1, 1),
        (1, 1, 0),
    ]


def test_a_lane_that_is_critical_is_an_error_on_its_own_asset_and_the_run_succeeds(tmp_path: Path) -> None:
    settings = new_home(tmp_path, LINES_BY_DAY)

    result = run(settings, assets=[*EVIDENCE, "executive_report_retry_health", "executive_report_retry_plan"])

    found = checks(result)
    assert result.success
    assert found["executive_report_retry_health is_healthy"] == (False, "ERROR")
    assert found["executive_report_retry_plan is_healthy"][0] is True


def test_no_secret_is_in_dagsters_own_records(tmp_path: Path) -> None:
    settings = new_home(tmp_path)
    values = {name: value for name, (_, value) in SECRETS.items()}
    bring(
        settings,
        json_lines(
            tmp_path / "e.jsonl",
            [
                made
                for name, value in values.items()
                for made in (delivery(session_id=name, note=value), delivery(session_id=f"{name} 2", plan_id=value))
            ],
        ),
    )

    with dg.DagsterInstance.ephemeral() as instance:
        result = run(settings, instance=instance)
        logged = "".join(map(str, instance.all_logs(result.run_id)))

    assert result.success
    assert len(logged) > 10_000
    assert [name for name, value in values.items() if value.splitlines()[-1] in logged] == []


REFUSED = "WHEN NEW.report_day = '2026-06-26' BEGIN SELECT RAISE(ABORT, 'refused'); END"


def test_days_that_fail_keep_those_before_and_a_second_run_does_exactly_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "DAYS_TOGETHER", 2)
    settings = new_home(tmp_path, LINES_BY_DAY)
    asset = "recovery_escalation_retry_health"
    with dg.DagsterInstance.ephemeral() as instance:
        assert run(settings, DAYS, assets=EVIDENCE, instance=instance).success
        with state_of(settings).writing() as c:
            c.execute(sa.text(f"CREATE TRIGGER refused BEFORE INSERT ON saved_reports {REFUSED}"))
        failed = run(settings, DAYS, assets=[asset], instance=instance)
        assert not failed.success
        (failure,) = (event for event in failed.all_node_events if event.is_step_failure)
        assert "retry_health of recovery_escalation, 2026-06-26" in str(failure.event_specific_data)
        assert [key[2] for key in reports(settings) if key[0] == "retry_health"] == DAYS[:2]
        assert instance.get_materialized_partitions(key(asset)) == {day.isoformat() for day in DAYS[:2]}

        with state_of(settings).writing() as c:
            c.execute(sa.text("DROP TRIGGER refused"))
        before = made_at(settings)
        assert run(settings, DAYS, assets=[asset], instance=instance).success
        after = made_at(settings)
        assert {day: after[day] for day in DAYS[:2]} == before
        assert list(after) == DAYS


def test_days_that_are_saved_show_as_made_although_what_is_read_after_them_fails(tmp_path: Path) -> None:
    settings = new_home(tmp_path, LINES_BY_DAY)
    asset = "recovery_escalation_retry_health"
    with dg.DagsterInstance.ephemeral() as instance:
        assert run(settings, DAYS, assets=EVIDENCE, instance=instance).success
        with state_of(settings).writing() as c:
            c.execute(sa.text("ALTER TABLE schedule_slots RENAME TO slots_away"))

        assert not run(settings, DAYS, assets=[asset], instance=instance).success

        assert [key[2] for key in reports(settings) if key[0] == "retry_health"] == DAYS
        assert instance.get_materialized_partitions(key(asset)) == {day.isoformat() for day in DAYS}


def made_at(settings: Settings) -> dict[date, datetime]:
    """When the report of each day was made."""
    return {day: row["generated_at"] for (_, _, day), row in saved(settings).items()}


def test_a_range_over_pruned_days_makes_the_reports_that_can_still_be_made_and_only_such_days_are_refused(
    tmp_path: Path,
) -> None:
    lines = {"2026-06-10": [delivery(at(60 * 24 * 15)), "no json"], **LINES_BY_DAY}
    settings = new_home(tmp_path, lines).but(start_date=date(2026, 6, 1))
    days = days_between(date(2026, 6, 10), DAY)
    assert run(settings, days, assets=EVIDENCE).success
    prune(warehouse_of(settings), state_of(settings), date(2026, 6, 12), now=NOW)

    config = {"ingest": {"read_again": True}}
    result = run(settings, days, assets=[*EVIDENCE, *REPORTS, "executive_recovery_report"], config=config)

    assert result.success
    assert checks(result)["totals_add_up"] == (True, "ERROR")
    assert metadata_of(result, "evidence", days[0])["drops_past_retention"] == 1
    made = {key[2] for key in reports(settings) if key[0] == "retry_health"}
    assert made == set(days_between(date(2026, 6, 18), DAY))
    assert min(key[2] for key in reports(settings) if key[0] == "retry_plan") == date(2026, 6, 11)
    refused = run(settings, days[:1], assets=["recovery_escalation_retry_plan"])
    assert not refused.success
    (failure,) = (event for event in refused.all_node_events if event.is_step_failure)
    assert "has been pruned" in str(failure.event_specific_data)
