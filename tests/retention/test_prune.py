"""Pruning: what goes, what stays and is still answered, what is refused, and drops that are closed from then on."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.errors import PipelineError, TransientError, UsageError
from cavra_pipeline.evidence import load as loading
from cavra_pipeline.evidence.commit import commit
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.queries import day_counts
from cavra_pipeline.reports.dashboard import dashboards
from cavra_pipeline.reports.store import days_between, days_to_remake, save_every_report, save_reports
from cavra_pipeline.retention.horizon import closed_drops
from cavra_pipeline.retention.prune import Pruned, horizon_day, preview, prune
from cavra_pipeline.settings import Settings, load_settings
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse import Session
from tests.cli.command import command
from tests.executive.histories import ask_report, escalated
from tests.recoveries.stores import ask_recoveries, closure, playbook
from tests.support import (
    MICROSECOND,
    NOW,
    Line,
    Record,
    acknowledgement,
    ask_health,
    ask_plan,
    delivery,
    drop,
    execution,
    home_with,
    ingested,
    plan,
    query,
    query_state,
    record,
    saved,
    sha256,
    take_in,
    worker_run,
)
from tests.warehouse.test_compact import everything
from tests.warehouse.workers import hold_in_the_middle_of_a_pruning

pytestmark = pytest.mark.slow

DAY = date(2026, 5, 1)
HORIZON = datetime(2026, 5, 1, tzinfo=UTC)
EVERY = (date(2026, 1, 1), date(2026, 7, 1))


def before(minutes: float) -> datetime:
    return HORIZON - timedelta(minutes=minutes)


def contents(home: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, which warehouse it is and the machine's own instants aside."""
    names = {name for (name,) in query(home, "SELECT table_name FROM duckdb_tables()")} - {
        "identity",
        "evidence_changes",
        "touched_segments",
    }
    but = {"drops": "EXCLUDE (ingested_at, commit_number, fingerprint)"}
    return {name: sorted(query(home, f"SELECT * {but.get(name, '')} FROM {name}"), key=repr) for name in sorted(names)}


def kept_ids(home: Settings) -> list[str]:
    return [name for (name,) in query(home, "SELECT session_id FROM evidence_records ORDER BY 1")]


def pruned(tmp_path: Path, lines_by_day: Mapping[str, list[Line]]) -> Settings:
    home = ingested(tmp_path, lines_by_day)
    prune(warehouse_of(home), state_of(home), DAY, now=NOW)
    return home


def count_at(home: Settings, as_of: datetime) -> object:
    with warehouse_of(home).reading() as session:
        return dashboards(session, instants=[as_of], now=NOW)[0]


# --- What goes and what stays ----------------------------------------------------------------------------------------


def test_a_record_of_the_last_microsecond_before_the_horizon_goes_and_one_at_it_stays(tmp_path: Path) -> None:
    home = pruned(tmp_path, {
        "2026-04-30": [delivery(HORIZON - MICROSECOND, session_id="goes")],
        "2026-05-01": [delivery(HORIZON, session_id="stays", subject="other")],
    })  # fmt: skip

    assert kept_ids(home) == ["stays"]


def test_what_is_not_over_stays_with_its_history_and_of_what_is_over_only_the_newest_answer(tmp_path: Path) -> None:
    home = pruned(tmp_path, {"2026-04-30": [
        delivery(before(90), session_id="failing-1", failed=["slack"]),
        delivery(before(80), session_id="failing-0", providers=["teams"]),
        acknowledgement(before(70), session_id="failing-2"),
        execution(before(60), session_id="unresolved-1", subject="unresolved"),
        delivery(before(50), session_id="over-1", subject="over", failed=["slack"]),
        acknowledgement(before(45), session_id="over-2", subject="over"),
        acknowledgement(before(40), session_id="over-3-newest-answer", subject="over", provider=" Slack "),
        execution(before(35), session_id="over-4", subject="over"),
        delivery(before(30), session_id="over-5", subject="over"),
        worker_run(before(20), session_id="run-1"), worker_run(before(10), session_id="run-2-newest"),
        plan(before(20), session_id="plan-1"), plan(before(10), session_id="plan-2-newest"),
        worker_run(before(20), session_id="run-3-newest-of-its-lane", lane="executive_report"),
        record("recovery-escalation-retry-health", before(5), "health"), record("x-unheard-of", before(5), "unknown"),
    ]})  # fmt: skip

    assert kept_ids(home) == [
        "failing-0", "failing-1", "failing-2", "over-3-newest-answer", "plan-2-newest", "run-2-newest",
        "run-3-newest-of-its-lane", "unresolved-1",
    ]  # fmt: skip


def test_recoveries_stay_and_of_open_ones_who_was_notified(tmp_path: Path) -> None:
    def plan_of(minutes: float, playbook_id: str) -> Record:
        return escalated(before(minutes), (playbook_id, "jira"), subject=playbook_id, session_id=f"plan-{playbook_id}")

    home = pruned(tmp_path, {"2026-04-30": [
        *(playbook(before(90), "jira", playbook_id=name, session_id=name) for name in ("open", "closed", "again")),
        *(plan_of(80, name) for name in ("open", "closed", "again")),
        *(delivery(before(75), subject=name, session_id=f"sent-{name}") for name in ("open", "closed", "again")),
        closure(before(70), playbook_id="closed", provider="jira", session_id="said-closed"),
        closure(before(70), playbook_id="again", provider="jira", session_id="said-again"),
        delivery(before(95), lane="acknowledgement_audit", subject="a", failed=["jira"], session_id="cause"),
        delivery(before(94), lane="acknowledgement_audit", subject="a", providers=["jira"], session_id="arrived"),
        delivery(before(95), lane="acknowledgement_audit", subject="b", failed=["teams"], session_id="another"),
        delivery(before(94), lane="acknowledgement_audit", subject="b", providers=["teams"], session_id="arrived-too"),
    ], "2026-05-01": [
        closure(HORIZON, "reopened", playbook_id="again", provider="jira", session_id="reopened"),
    ]})  # fmt: skip

    assert kept_ids(home) == [
        "again", "cause", "closed", "open", "plan-again", "plan-open", "reopened", "said-again", "said-closed",
        "sent-again", "sent-open",
    ]  # fmt: skip
    report = ask_recoveries(home, HORIZON + timedelta(days=8))
    assert {row["playbook_id"]: (row["slo_status"], row["notified_through"]) for row in report["recoveries"]} == {
        "open": ("breached", ["slack"]),
        "again": ("breached", ["slack"]),
        "closed": ("closed", []),
    }
    totals = ask_report(home, HORIZON + timedelta(days=8))["recoveries"]
    assert (totals["opened_count"], totals["closed_count"], totals["open_count"]) == (3, 1, 2)


def test_what_came_before_an_escalation_plan_of_after_the_horizon_stays(tmp_path: Path) -> None:
    home = pruned(tmp_path, {
        "2026-04-30": [delivery(before(60), session_id="route", providers=["teams"]), delivery(before(5), subject="x")],
        "2026-05-01": [escalated(HORIZON, session_id="opened")],
    })  # fmt: skip

    assert kept_ids(home) == ["opened", "route"]


def test_a_superseded_version_goes_also_where_its_successor_stays(tmp_path: Path) -> None:
    old, new = (delivery(before(9), session_id="twice", failed=["slack"], attempt_count=n) for n in (1, 2))
    home = pruned(tmp_path, {"2026-04-29": [old], "2026-04-30": [new]})

    assert query(home, "SELECT attempt_count, is_current FROM evidence_records") == [(2, True)]


def test_reports_and_the_digests_of_drops_stay_and_the_totals_of_every_day_add_up(tmp_path: Path) -> None:
    home = ingested(tmp_path, {
        "2026-04-30": [delivery(before(60)), delivery(before(50), note="AKIA" + "Q" * 16), "no json"],
        "2026-05-01": [delivery(HORIZON), "{"],
    })  # fmt: skip
    days = days_between(date(2026, 4, 30), DAY)
    list(save_every_report(warehouse_of(home), state_of(home), days, now=NOW))
    reports, drops = saved(home), query(home, "FROM drops")
    late = HORIZON + timedelta(days=9)
    counted = count_at(home, late)

    gone = prune(warehouse_of(home), state_of(home), DAY, now=NOW)

    assert gone == Pruned(record_count=2, quarantined_count=1, finding_count=1, closed_drop_count=1)
    assert (saved(home), query(home, "FROM drops")) == (reports, drops)
    assert [row[1] for row in query(home, "SELECT drop_day, sha256 FROM drops WHERE sha256 IS NOT NULL")] != []
    assert query(home, "SELECT drop_day FROM quarantine") == [(DAY,)]
    assert query(home, "SELECT * FROM drop_totals ORDER BY drop_day") == [
        (date(2026, 4, 30), "evidence.jsonl", 3, 0, 0, 0, 3),
        (DAY, "evidence.jsonl", 2, 1, 0, 1, 0),
    ]
    assert count_at(home, late) == counted
    with warehouse_of(home).reading() as session:
        assert [one["pruned_count"] for one in day_counts(session, days).values()] == [3, 0]


def test_a_second_time_and_an_earlier_day_find_nothing_to_do(tmp_path: Path) -> None:
    home = pruned(tmp_path, {"2026-04-01": [delivery(before(60 * 24 * 30))], "2026-04-30": [plan(before(5))]})
    standing = everything(home)

    assert prune(warehouse_of(home), state_of(home), DAY, now=NOW + timedelta(days=1)) == Pruned()
    assert prune(warehouse_of(home), state_of(home), DAY - timedelta(days=10), now=NOW) == Pruned()
    assert everything(home) == standing


# --- What can be asked -----------------------------------------------------------------------------------------------


def test_an_instant_that_pruning_has_made_unanswerable_is_refused_with_place_rule_and_remedy(tmp_path: Path) -> None:
    home = pruned(tmp_path, {"2026-04-30": [delivery(before(60))], "2026-05-01": [delivery(HORIZON)]})

    assert ask_plan(home, as_of=HORIZON - MICROSECOND)["evidence_record_count"] == 1
    with pytest.raises(
        UsageError, match=r"as_of 2026-04-30T23:59:59.999998.*before 2026-05-01.*has been pruned"
    ) as said:
        ask_plan(home, as_of=HORIZON - 2 * MICROSECOND)
    assert "as of 2026-04-30T23:59:59.999999+00:00 or later" in said.value.remedy


def test_a_health_report_is_answered_from_the_instant_on_whose_window_begins_at_the_horizon(tmp_path: Path) -> None:
    home = pruned(tmp_path, {"2026-04-30": [delivery(before(60))], "2026-05-01": [delivery(HORIZON, failed=["slack"])]})
    earliest = HORIZON + timedelta(hours=3) - MICROSECOND

    report = ask_health(home, as_of=earliest, window_hours=3)
    assert (report["evidence_record_count"], report["failed_recovery_escalation_delivery_count"]) == (2, 1)
    with pytest.raises(UsageError, match="has been pruned"):
        ask_health(home, as_of=earliest - MICROSECOND, window_hours=3)
    with pytest.raises(UsageError, match="has been pruned"):
        count_at(home, HORIZON + timedelta(days=6))
    with pytest.raises(UsageError, match="has been pruned"):
        ask_report(home, HORIZON + timedelta(days=5))


def test_a_range_of_reports_leaves_the_pruned_days_as_they_are_and_one_of_only_such_days_is_refused(
    tmp_path: Path,
) -> None:
    home = ingested(tmp_path, {"2026-04-30": [delivery(before(60))], "2026-05-20": [delivery(HORIZON)]})
    days = days_between(date(2026, 4, 29), date(2026, 5, 8))
    warehouse, lane = warehouse_of(home), "recovery_escalation"
    made = list(save_reports(warehouse, state_of(home), "retry_health", lane, days, now=NOW))
    kept = saved(home)
    prune(warehouse, state_of(home), DAY, now=NOW)

    again = list(save_reports(warehouse, state_of(home), "retry_health", lane, days, now=NOW))

    assert [one.day for one in again] == days_between(date(2026, 5, 7), date(2026, 5, 8))
    assert [one.document for one in again] == [one.document for one in made[-2:]]
    assert saved(home) == kept
    with pytest.raises(UsageError, match="has been pruned"):
        list(save_reports(warehouse, state_of(home), "retry_health", lane, days[:5], now=NOW))


def test_late_evidence_leaves_kept_reports_of_pruned_days_as_they_are_and_finds_the_others(tmp_path: Path) -> None:
    home = ingested(tmp_path, {"2026-04-30": [delivery(before(60))]})
    list(
        save_every_report(
            warehouse_of(home), state_of(home), [date(2026, 4, 30), date(2026, 5, 2), date(2026, 5, 9)], now=NOW
        )
    )
    prune(warehouse_of(home), state_of(home), DAY, now=NOW)
    drop(home, [delivery(before(30), failed=["slack"]), delivery(HORIZON, failed=["teams"])], day="2026-05-03")

    result = take_in(home)

    assert result.touched_days == {DAY}
    assert list(days_to_remake(state_of(home))) == [date(2026, 5, 2), date(2026, 5, 9)]


# --- Drops -----------------------------------------------------------------------------------------------------------


def test_closed_drops_are_not_read_again_unchanged_changed_new_or_forced_and_it_is_said(tmp_path: Path) -> None:
    home = pruned(tmp_path, {"2026-04-30": [delivery(before(60))], "2026-05-01": [delivery(before(9)), plan(HORIZON)]})
    standing = everything(home)
    assert (take_in(home).unchanged_count, take_in(home).closed_drops) == (2, [])

    drop(home, [delivery(before(60), failed=["slack"])], day="2026-04-30")
    drop(home, [delivery(before(55), failed=["slack"])], day="2026-04-30", name="late.jsonl")
    changed = take_in(home)
    forced = take_in(home, first=EVERY[0], last=EVERY[1])

    assert [one.name for one in changed.closed_drops] == ["2026-04-30/evidence.jsonl", "2026-04-30/late.jsonl"]
    assert [one.name for one in forced.closed_drops] == [
        "2026-04-30/evidence.jsonl", "2026-04-30/late.jsonl", "2026-05-01/evidence.jsonl",
    ]  # fmt: skip
    assert everything(home) == standing
    said = command(home.home, "ingest", "--json")
    assert (said.code, said.document["past_retention_drop_count"]) == (0, 2)
    assert "past retention: 2 landing files are left alone, 0 records are left out" in said.err


def test_records_from_before_the_horizon_in_a_later_drop_are_left_out_and_counted_every_time(tmp_path: Path) -> None:
    home = pruned(tmp_path, {"2026-04-30": [delivery(before(60))]})
    for times in (2, 3):
        lines = [delivery(before(30), failed=["slack"], session_id=f"late-{n}") for n in range(times)]
        drop(home, [*lines, delivery(HORIZON, session_id="new"), "{"], day="2026-05-02")
        assert take_in(home).past_retention_count == times
        assert kept_ids(home) == ["new"]
        assert query(home, "SELECT * FROM drop_totals WHERE drop_day = '2026-05-02'") == [
            (date(2026, 5, 2), "evidence.jsonl", times + 2, 1, 0, 1, times)
        ]
    assert ask_plan(home, as_of=HORIZON)["decision_count"] == 0


def test_a_pruning_while_a_drop_is_read_again_stops_that_drop_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = ingested(tmp_path, {"2026-04-30": [delivery(before(60), failed=["slack"], session_id="failing")]})

    def prune_first(session: Session, *more: object) -> set[date]:
        session.execute("INSERT INTO prunings VALUES (1, TIMESTAMP '2026-05-01', now()::TIMESTAMP, 0, 0, 0, 0, 0)")
        return commit(session, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(loading, "commit", prune_first)
    with pytest.raises(TransientError, match=r"2026-04-30/evidence.jsonl.*pruned while it was read"):
        take_in(home, first=EVERY[0], last=EVERY[1])
    assert kept_ids(home) == ["failing"]


# --- Failures --------------------------------------------------------------------------------------------------------


def prunings_of(home: Settings) -> list[tuple[Any, ...]]:
    """What the state holds of prunings."""
    tables = ("prunings", "pruned_drops")
    return [row for table in tables for row in query_state(home, f"SELECT * FROM {table} ORDER BY 1, 2, 3")]


@pytest.mark.slow
def test_a_kill_in_the_middle_is_made_good_by_the_next_writer(tmp_path: Path) -> None:
    home = ingested(tmp_path, {"2026-04-30": [delivery(before(60)), "{"]})
    standing = contents(home)
    context = get_context("spawn")
    held = context.Event()
    process = context.Process(target=hold_in_the_middle_of_a_pruning, args=(home.home, DAY, held))
    process.start()
    try:
        assert held.wait(60)
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.join(30)

    assert contents(home) == standing
    stored = prunings_of(home)
    assert prune(warehouse_of(home), state_of(home), DAY, now=NOW) == Pruned()
    assert (kept_ids(home), prunings_of(home)) == ([], stored)


def fail_after(monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    run = Session.run

    def fails(session: Session, package: str, name: str, *more: Any, **parts: Any) -> None:
        run(session, package, name, *more, **parts)
        if name == last:
            raise RuntimeError

    monkeypatch.setattr(Session, "run", fails)


def test_a_failure_before_a_pruning_is_stored_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = ingested(tmp_path, {"2026-04-30": [delivery(before(60)), "{"]})
    standing = contents(home)

    with monkeypatch.context() as patched:
        fail_after(patched, "add_older_versions")
        with pytest.raises(RuntimeError):
            prune(warehouse_of(home), state_of(home), DAY, now=NOW)

    assert (contents(home), prunings_of(home)) == (standing, [])


@pytest.mark.parametrize("last", ["insert_pruned_drops", "delete_marked", "fill_watched_records", "mirror_rows"])
def test_a_failure_after_a_pruning_is_stored_is_made_good_before_new_evidence(
    last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = {"2026-04-30": [delivery(before(60)), delivery(before(50), session_id="f", failed=["slack"]), "{"]}
    home, twin = (ingested(tmp_path / name, lines) for name in ("one", "other"))
    standing = contents(home)

    with monkeypatch.context() as patched:
        fail_after(patched, last)
        with pytest.raises(RuntimeError):
            prune(warehouse_of(home), state_of(home), DAY, now=NOW)

    assert contents(home) == standing
    prune(warehouse_of(twin), state_of(twin), DAY, now=NOW)
    assert prunings_of(home) == prunings_of(twin)
    for one in (home, twin):
        drop(one, [delivery(before(50), subject="late", failed=["slack"], session_id="late")], day="2026-05-02")
        drop(one, [delivery(before(50), subject="closed", session_id="closed")], day="2026-04-30", name="more.jsonl")
        take_in(one)
    assert contents(home) == contents(twin)


# --- The command and the setting -------------------------------------------------------------------------------------


def aged(tmp_path: Path, days: int) -> tuple[Settings, date]:
    """A home with a record of so many days ago and one of yesterday, by the clock of the machine."""
    now = datetime.now(UTC)
    records = [delivery(now - timedelta(days=back), session_id=name) for back, name in ((days, "old"), (1, "new"))]
    return ingested(tmp_path, {str(now.date()): list(records)}), now.date()


def test_the_command_says_what_it_removed_and_dry_run_only_what_it_would(tmp_path: Path) -> None:
    home, today = aged(tmp_path, 91)
    setting = {"CAVRA_RETENTION_DAYS": "90"}
    standing = everything(home)

    dry = command(home.home, "prune", "--dry-run", "--json", environ=setting)
    assert everything(home) == standing
    said = command(home.home, "prune", "--json", environ=setting)

    counts = asdict(Pruned(record_count=1, closed_drop_count=1))
    day = (today - timedelta(days=90)).isoformat()
    assert (dry.code, dry.document) == (0, {"before": day, "dry_run": True, **counts})
    assert (said.code, said.document, said.err) == (0, {"before": day, "dry_run": False, **counts}, "")
    assert kept_ids(home) == ["new"]
    again = command(home.home, "prune", environ=setting).out
    assert again == f"nothing to remove: no evidence here was created before {day}\n"


def test_a_person_reads_what_a_pruning_would_remove_and_what_frees_the_space(tmp_path: Path) -> None:
    home, _ = aged(tmp_path, 91)
    setting = {"CAVRA_RETENTION_DAYS": "90"}

    dry = command(home.home, "prune", "--dry-run", environ=setting).out
    assert "would be removed: 1 record, 0 quarantined lines, 0 findings; 1 landing file would not be read again" in dry
    assert "compact" not in dry
    assert "next: cavra-pipeline compact" in command(home.home, "prune", environ=setting).out


def test_evidence_of_exactly_the_days_of_the_setting_stays(tmp_path: Path) -> None:
    home, today = aged(tmp_path, 90)

    assert horizon_day(Settings(home=home.home, retention_days=90), now=NOW) == NOW.date() - timedelta(days=90)
    assert command(home.home, "prune", environ={"CAVRA_RETENTION_DAYS": "91"}).code == 0
    assert kept_ids(home) == ["new", "old"]
    assert command(home.home, "prune", "--before", str(today - timedelta(days=89))).code == 0
    assert kept_ids(home) == ["new"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "CAVRA_RETENTION_DAYS: no retention is set, so no evidence is pruned"),
        (["--before", str(datetime.now(UTC).date() - timedelta(days=29))], "of the last 30 days is always retained"),
        (["--before", "yesterday"], "does not match the format"),
    ],
)
def test_without_a_retention_or_with_too_late_a_day_nothing_is_done(
    arguments: list[str], says: str, tmp_path: Path
) -> None:
    home, _ = aged(tmp_path, 400)
    said = command(home.home, "prune", *arguments)

    assert said.code == 2
    assert says in " ".join(said.err.split())
    assert kept_ids(home) == ["new", "old"]


def test_the_setting_is_checked_at_start() -> None:
    assert load_settings({}).retention_days is None
    assert load_settings({"CAVRA_RETENTION_DAYS": "30"}).retention_days == 30
    for text in ("29", "36501", "forever"):
        with pytest.raises(UsageError, match=r"CAVRA_RETENTION_DAYS.*from 30 to 36500"):
            load_settings({"CAVRA_RETENTION_DAYS": text})


def no_pattern(n: int) -> str:
    """Text that no compression makes much smaller."""
    return "-".join(sha256(b"%d %d" % (n, part)) for part in range(3))


def test_a_pruned_and_compacted_warehouse_is_smaller_and_says_the_same(tmp_path: Path) -> None:
    old = [
        delivery(
            before(n),
            subject=f"old-{n}",
            event_id=no_pattern(n),
            run_id=no_pattern(-n),
            event_type=no_pattern(n + 10_000),
            session_id=f"s-{n}",
        )
        for n in range(1, 6001)
    ]
    home = ingested(tmp_path, {"2026-04-28": list(old), "2026-05-01": [delivery(HORIZON, failed=["slack"])]})
    size, said = home.warehouse.stat().st_size, ask_plan(home, as_of=HORIZON)

    done = command(home.home, "prune", "--before", str(DAY), "--compact", "--json")

    assert (done.code, done.document["record_count"]) == (0, 6000)
    assert done.document["after_bytes"] == home.warehouse.stat().st_size < size
    assert ask_plan(home, as_of=HORIZON) == said


def test_nothing_is_closed_and_nothing_refused_before_the_first_pruning(tmp_path: Path) -> None:
    home = home_with(tmp_path, {"2020-01-01": [delivery(before(60 * 24 * 3000))]})
    with warehouse_of(home).reading() as session:
        assert closed_drops(session).holds(date.min, "any.jsonl") is False
    assert preview(warehouse_of(home), DAY) == Pruned()
    take_in(home)
    assert ask_health(home, as_of=datetime(2000, 1, 1, tzinfo=UTC))["future_record_count"] == 1
    with pytest.raises(PipelineError):
        horizon_day(home, now=NOW)
