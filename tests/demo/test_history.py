from __future__ import annotations

import gzip
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.boundary.verdict import Kept
from cavra_pipeline.demo import DemoHistory, demo_history, write_demo
from cavra_pipeline.demo.history import MAX_DAYS, MIN_DAYS
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.importer import import_evidence
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.load import IngestResult
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session
from tests.support import judged

UNTIL = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)
MIDNIGHT_EDGES = [datetime(2026, 6, 30, 0, 0, tzinfo=UTC), datetime(2026, 6, 30, 23, 59, 59, 999999, tzinfo=UTC)]


def land(settings: Settings, history: DemoHistory, *, with_late: bool = True) -> IngestResult:
    for day, lines in history.lines_by_day(with_late=with_late).items():
        folder = settings.landing / day.isoformat()
        folder.mkdir(exist_ok=True)
        (folder / "demo.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return ingest(settings, now=history.until)


def report(session: Session, lane: str, *, as_of: datetime, window_hours: int | None = None) -> dict[str, Any]:
    parameters = health_parameters(LANES[lane], window_hours=window_hours)
    return retry_health_reports(session, LANES[lane], parameters, instants=[as_of], now=as_of)[0]


def plan(session: Session, lane: str, *, as_of: datetime) -> dict[str, Any]:
    return retry_plans(session, LANES[lane], retry_policy(LANES[lane]), instants=[as_of], now=as_of)[0]


def categories(health: dict[str, Any]) -> set[str]:
    return {alert["category"] for alert in health["alerts"]}


@pytest.fixture(scope="module")
def history() -> DemoHistory:
    return demo_history(until=UNTIL)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("home"), threads=1).prepare()


@pytest.fixture(scope="module")
def ingested(settings: Settings, history: DemoHistory) -> IngestResult:
    return land(settings, history)


@pytest.fixture(scope="module")
def session(settings: Settings, ingested: IngestResult) -> Iterator[Session]:
    with warehouse_of(settings).reading() as opened:
        yield opened


# What is generated.


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_demo(tmp_path / "first", demo_history(until=UNTIL))
    second = write_demo(tmp_path / "second", demo_history(until=UNTIL))
    assert [path.name for path in first] == [path.name for path in second]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_another_seed_gives_another_history_with_the_same_story(history: DemoHistory) -> None:
    other = demo_history(seed=8, until=UNTIL)
    assert other.sqlite_records != history.sqlite_records
    assert other.story == history.story


def test_thirty_days_are_five_to_eight_thousand_records_written_within_two_seconds(tmp_path: Path) -> None:
    began = time.process_time()
    history = demo_history(until=UNTIL)
    write_demo(tmp_path, history)
    assert time.process_time() - began < 2
    assert 5_000 <= history.expected.received_count <= 8_000


def test_every_incident_has_one_line_of_story_in_order_of_time(history: DemoHistory) -> None:
    assert len(history.story) == len(history.incidents)
    starts = [happened.started_at for happened in history.incidents.values()]
    assert starts == sorted(starts)
    assert all("\n" not in line and "{" not in line for line in history.story)


def test_every_record_is_of_a_declared_kind_and_lies_within_the_days(history: DemoHistory) -> None:
    for record in (*history.sqlite_records, *history.json_records):
        assert record["metadata_kind"] in KINDS
        assert UNTIL - timedelta(days=30) <= datetime.fromisoformat(record["created_at"]) <= UNTIL


def test_every_type_of_record_and_every_outcome_of_an_execution_occurs(session: Session) -> None:
    types = {name for (name,) in session.tuples("SELECT DISTINCT record_type FROM evidence")}
    assert types == {kind.record_type for kind in KINDS.values()}
    statuses = {name for (name,) in session.tuples("SELECT DISTINCT execution_status FROM executions")}
    assert statuses == {"delivered", "failed", "skipped"}


def test_deliveries_go_through_all_eight_connectors(session: Session) -> None:
    assert session.tuples("SELECT count(DISTINCT provider) FROM delivery_outcomes") == [(8,)]


def test_worker_runs_are_mostly_dry_and_some_are_live(session: Session) -> None:
    ((dry, live),) = session.tuples(
        "SELECT count(*) FILTER (is_dry_run), count(*) FILTER (NOT is_dry_run) FROM worker_runs"
    )
    assert isinstance(dry, int)
    assert isinstance(live, int)
    assert dry > 2 * live > 0


def test_a_lane_has_the_same_records_with_or_without_the_others(history: DemoHistory) -> None:
    alone = demo_history(until=UNTIL, lanes=["executive_report"])
    ids = {record["session_id"] for record in alone.sqlite_records}
    assert alone.sqlite_records == tuple(r for r in history.sqlite_records if r["session_id"] in ids)
    assert all("executive" in name for name in ids)
    assert alone.expected.quarantined == ("not_json",)
    assert "leaked_webhook" not in alone.incidents


# The files.


def test_the_stores_and_the_late_file_hold_what_the_history_says(tmp_path: Path, history: DemoHistory) -> None:
    store, planning, late = write_demo(tmp_path, history)
    with closing(sqlite3.connect(store)) as connection:
        rows = connection.execute("SELECT session_id, created_at, signer, payload FROM evidence_metadata").fetchall()
    assert [json.loads(payload) for *_, payload in rows] == list(history.sqlite_records)
    assert all([session_id, at, by] == [json.loads(payload)[key] for key in ("session_id", "created_at", "signer")]
               for session_id, at, by, payload in rows)  # fmt: skip
    assert json.loads(planning.read_text()) == {"items": list(history.json_records)}
    assert gzip.decompress(late.read_bytes()).decode().splitlines() == list(history.late_lines)
    assert history.late_day.isoformat() in late.name


def test_writing_again_replaces_the_files(tmp_path: Path, history: DemoHistory) -> None:
    paths = write_demo(tmp_path, history)
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in write_demo(tmp_path, history)] == before
    assert len(list(tmp_path.iterdir())) == 3


# The incidents, through the real path.


def test_the_totals_are_what_the_history_expects(
    ingested: IngestResult, session: Session, history: DemoHistory
) -> None:
    assert ingested.received_count == history.expected.received_count
    assert ingested.quarantined_count == len(history.expected.quarantined) == 2
    assert ingested.unknown_kind_count == 0
    assert not ingested.failures
    assert session.tuples("SELECT count(*) FROM evidence") == [(history.expected.accepted_count,)]


def test_a_pasted_token_and_half_a_line_are_quarantined(session: Session, history: DemoHistory) -> None:
    rows = session.tuples("SELECT reason, field, drop_day FROM quarantine ORDER BY reason")
    assert [reason for reason, _, _ in rows] == list(history.expected.quarantined)
    assert rows[0][2] == history.late_day
    assert rows[1][1] == "acknowledgement_id"


def test_the_findings_are_the_token_the_leaked_webhook_and_the_signer(session: Session, history: DemoHistory) -> None:
    rows = session.tuples("SELECT rule, action, path FROM findings ORDER BY rule")
    assert [(rule, action) for rule, action, _ in rows] == sorted(history.expected.findings)
    assert ("slack-webhook", "dropped", "delivery.deliveries[].request.url") in rows
    assert ("unsafe-actor-label", "pseudonymised", "signer") in rows


def test_the_address_that_signed_is_stored_as_a_pseudonym(session: Session) -> None:
    signed = session.tuples("SELECT acknowledgement_state FROM evidence WHERE signer LIKE 'actor-%'")
    assert signed == [("deferred",)]
    assert session.tuples("SELECT count(*) FROM evidence WHERE contains(signer, '@')") == [(0,)]


def test_no_secret_reaches_the_warehouse(settings: Settings, ingested: IngestResult, history: DemoHistory) -> None:
    stored = settings.warehouse.read_bytes()
    assert all(secret.encode() not in stored for secret in history.secrets)
    assert any(
        secret in line for secret in history.secrets for lines in history.lines_by_day().values() for line in lines
    )


def test_the_files_go_through_import_with_the_same_result_and_leave_no_secret(
    tmp_path: Path, session: Session, history: DemoHistory
) -> None:
    files = write_demo(tmp_path / "source", history)
    settings = Settings(home=tmp_path / "home", threads=1).prepare()
    imported = import_evidence(settings, [(file.name, file) for file in files], now=UNTIL)
    assert not imported.failures
    assert imported.received_count == history.expected.received_count
    ingest(settings, now=UNTIL)
    with warehouse_of(settings).reading() as other:
        assert other.tuples("SELECT count(*) FROM evidence") == [(history.expected.accepted_count,)]
        assert len(other.tuples("SELECT 1 FROM quarantine")) == 2
        assert len(other.tuples("SELECT 1 FROM findings")) == 3
        for lane in LANES:
            assert report(other, lane, as_of=UNTIL) == report(session, lane, as_of=UNTIL)
            assert plan(other, lane, as_of=UNTIL) == plan(session, lane, as_of=UNTIL)
    kept = b"".join(path.read_bytes() for path in settings.home.rglob("*") if path.is_file())
    assert all(secret.encode() not in kept for secret in history.secrets)


def test_what_cavra_writes_outside_the_allowlist_is_dropped(ingested: IngestResult) -> None:
    assert ingested.dropped_field_count > 1_000


def test_the_newer_version_of_a_plan_is_current(session: Session) -> None:
    versions = session.tuples(
        "SELECT is_current, alert_level, failed_execution_count FROM evidence_records "
        "WHERE session_id IN (SELECT session_id FROM evidence_records WHERE NOT is_current) ORDER BY drop_day"
    )
    assert [current for current, *_ in versions] == [False, True]
    assert versions[1] == (True, "critical", 2)


@pytest.mark.parametrize("lane", ["recovery_escalation", "executive_report"])
def test_both_main_lanes_show_an_outage_of_three_hours(session: Session, history: DemoHistory, lane: str) -> None:
    outage_at = history.incidents["worker_outage"]
    assert outage_at.ended_at
    (outage,) = report(session, lane, as_of=outage_at.ended_at + timedelta(hours=2))["outages"]
    lasted = datetime.fromisoformat(outage["ended_at"]) - datetime.fromisoformat(outage["started_at"])
    assert timedelta(hours=2, minutes=55) < lasted < timedelta(hours=3, minutes=10)
    assert abs(datetime.fromisoformat(outage["started_at"]) - outage_at.started_at) < timedelta(minutes=10)
    assert outage["missed_runs"] >= 2


def test_the_outage_is_the_only_one_of_the_escalation_lane(session: Session) -> None:
    assert report(session, "recovery_escalation", as_of=UNTIL)["outages"] == []
    assert len(report(session, "recovery_escalation", as_of=UNTIL, window_hours=24 * 31)["outages"]) == 1


def test_the_executive_worker_is_missed_and_its_plan_stale(session: Session, history: DemoHistory) -> None:
    health = report(session, "executive_report", as_of=UNTIL)
    assert health["alert_level"] == "critical"
    assert {
        "missed_executive_delivery_retry_worker",
        "stale_executive_delivery_retry_plan",
        "failed_executive_report_delivery",
    } <= categories(health)
    (open_outage,) = health["outages"]
    assert open_outage["ended_at"] is None
    stopped_at = history.incidents["executive_worker_stopped"].started_at
    assert abs(datetime.fromisoformat(open_outage["started_at"]) - stopped_at) < timedelta(hours=1)


def test_the_escalation_lane_has_gaps_missing_deferred_and_escalated(session: Session) -> None:
    health = report(session, "recovery_escalation", as_of=UNTIL)
    gaps = {(gap["provider"], gap["acknowledgement_state"]) for gap in health["acknowledgement_gaps"]}
    assert {("slack", None), ("jira", "deferred"), ("splunk", "escalated"), ("servicenow", None)} <= gaps
    assert "recovery_escalation_acknowledgement_gap" in categories(health)
    assert health["missed_worker_count"] == health["stale_retry_plan_count"] == 0


def test_one_escalation_failed_when_retried_and_was_never_delivered(session: Session) -> None:
    health = report(session, "recovery_escalation", as_of=UNTIL)
    assert "failed_recovery_escalation_retry_execution" in categories(health)
    assert session.tuples(
        "SELECT count(*) FROM executions WHERE provider = 'sentinel' AND execution_status = 'failed'"
    ) != [(0,)]
    sentinel = [
        d for d in plan(session, "recovery_escalation", as_of=UNTIL)["retry_decisions"] if d["provider"] == "sentinel"
    ]
    assert [(d["action"], d["failed_status_codes"]) for d in sentinel] == [("suppress", [403])]


@pytest.mark.parametrize("lane", ["recovery_escalation", "executive_report"])
def test_the_expired_token_leaves_retries_exhausted_waiting_and_due(session: Session, lane: str) -> None:
    decisions = plan(session, lane, as_of=UNTIL)["retry_decisions"]
    of_servicenow = [d for d in decisions if d["provider"] == "servicenow"]
    actions = [d["action"] for d in of_servicenow]
    assert actions.count("suppress") >= 2
    assert actions.count("wait") >= 1
    assert actions.count("retry") >= 1
    assert all(401 in d["failed_status_codes"] for d in of_servicenow)


def test_teams_failed_for_a_day_and_nothing_of_it_is_left_to_retry(session: Session, history: DemoHistory) -> None:
    down = history.incidents["teams_down"]
    assert down.ended_at
    failed = session.tuples(
        "SELECT count(*) FROM delivery_outcomes WHERE provider = 'teams' AND is_failed AND status_code = 503 "
        "AND lane IN ('recovery_escalation', 'executive_report') AND created_at BETWEEN $start AND $end",
        {"start": down.started_at.replace(tzinfo=None), "end": down.ended_at.replace(tzinfo=None)},
    )
    assert failed[0][0] != 0
    for lane in ("recovery_escalation", "executive_report"):
        later = plan(session, lane, as_of=down.ended_at + timedelta(days=1))
        assert not [d for d in later["retry_decisions"] if d["provider"] == "teams"]


def test_the_schedule_was_disabled_for_an_afternoon_and_is_on_again(session: Session, history: DemoHistory) -> None:
    disabled = history.incidents["schedule_disabled"]
    assert disabled.ended_at
    then = report(session, "recovery_escalation", as_of=disabled.ended_at - timedelta(minutes=5))
    assert "disabled_recovery_escalation_retry_schedule" in categories(then)
    now = report(session, "recovery_escalation", as_of=UNTIL)
    assert now["disabled_schedule_count"] == 9
    assert "disabled_recovery_escalation_retry_schedule" not in categories(now)


@pytest.mark.parametrize("lane", ["recovery_health_alert", "executive_health_alert"])
def test_the_alert_lanes_run_since_a_week_and_miss_nothing(session: Session, lane: str) -> None:
    health = report(session, lane, as_of=UNTIL)
    assert health["evidence_record_count"] > 100
    assert health["outages"] == []
    assert health["stale_retry_plan_count"] == 0


def test_without_the_late_file_its_day_looks_like_an_outage(tmp_path: Path, history: DemoHistory) -> None:
    settings = Settings(home=tmp_path, threads=1).prepare()
    land(settings, history, with_late=False)
    with warehouse_of(settings).reading() as session:
        (gap,) = report(session, "recovery_escalation", as_of=UNTIL)["outages"]
        assert gap["missed_runs"] >= 47
    again = land(settings, history)
    assert history.late_day in again.touched_days
    with warehouse_of(settings).reading() as session:
        assert report(session, "recovery_escalation", as_of=UNTIL)["outages"] == []


def test_the_plans_in_the_evidence_count_what_our_own_plan_counts(session: Session) -> None:
    """The drill keeps honest books: a sample of its plans against ours at the same instant."""
    for lane in ("recovery_escalation", "executive_report"):
        written = session.tuples(
            "SELECT created_at, retryable_count, waiting_count, suppressed_count FROM retry_plans WHERE lane = $lane "
            "ORDER BY created_at",
            {"lane": lane},
        )
        for at, *counts in written[:: len(written) // 25]:
            assert isinstance(at, datetime)
            ours = plan(session, lane, as_of=at.replace(tzinfo=UTC))
            assert counts == [ours["retryable_count"], ours["waiting_count"], ours["suppressed_count"]], at


# The bounds.


@pytest.mark.parametrize("days", [MIN_DAYS, MAX_DAYS])
def test_the_shortest_and_the_longest_history_hold_every_incident(days: int) -> None:
    history = demo_history(days=days, until=UNTIL)
    assert len(history.story) == len(demo_history(until=UNTIL).story)
    oldest = min(datetime.fromisoformat(record["created_at"]) for record in history.sqlite_records)
    assert timedelta(0) <= oldest - (UNTIL - timedelta(days=days)) < timedelta(hours=1)
    assert oldest < history.incidents["worker_outage"].started_at


@pytest.mark.parametrize("days", [MIN_DAYS - 1, MAX_DAYS + 1, 0, -1, True])
def test_days_outside_the_bounds_are_refused_by_name(days: int) -> None:
    with pytest.raises(UsageError, match=r"days: .* from 14 to 366"):
        demo_history(days=days, until=UNTIL)


def test_an_end_without_a_time_zone_is_refused() -> None:
    with pytest.raises(UsageError, match="until"):
        demo_history(until=UNTIL.replace(tzinfo=None))


@pytest.mark.parametrize("lanes", [["no_such_lane"], []])
def test_lanes_that_do_not_exist_or_none_are_refused(lanes: list[str]) -> None:
    with pytest.raises(UsageError, match="lane"):
        demo_history(until=UNTIL, lanes=lanes)


def test_the_end_may_be_given_in_any_zone(history: DemoHistory) -> None:
    shifted = demo_history(until=UNTIL.astimezone(timezone(timedelta(hours=5, minutes=30))))
    assert shifted == history


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("until", MIDNIGHT_EDGES)
def test_the_story_holds_for_any_seed_at_either_end_of_a_day(tmp_path: Path, seed: int, until: datetime) -> None:
    history = demo_history(seed=seed, days=MIN_DAYS, until=until)
    settings = Settings(home=tmp_path, threads=1).prepare()
    assert land(settings, history).quarantined_count == 2
    with warehouse_of(settings).reading() as session:
        for lane in ("recovery_escalation", "executive_report"):
            decisions = plan(session, lane, as_of=until)["retry_decisions"]
            assert {d["action"] for d in decisions if d["provider"] == "servicenow"} == {"suppress", "wait", "retry"}
            assert "teams" not in {d["provider"] for d in decisions if 503 in d["failed_status_codes"]}
            assert report(session, lane, as_of=until, window_hours=336)["future_record_count"] == 0
        assert report(session, "executive_report", as_of=until)["missed_worker_count"] == 1
        escalation = report(session, "recovery_escalation", as_of=until, window_hours=336)
        assert len(escalation["outages"]) == 1
        assert escalation["acknowledgement_pending_count"] >= 4
        assert len(session.tuples("SELECT 1 FROM findings")) == 3


def test_each_generated_line_is_judged_as_expected(history: DemoHistory) -> None:
    lines = [line for lines in history.lines_by_day().values() for line in lines]
    verdicts = [judged(line.encode()) for line in lines]
    refused = sorted(verdict.reason.value for verdict in verdicts if not isinstance(verdict, Kept))
    assert refused == list(history.expected.quarantined)
    assert sum(len(verdict.findings) for verdict in verdicts) == len(history.expected.findings)
