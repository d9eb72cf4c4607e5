"""A range of days of which one fails: the days before it are kept, it is named, and a second run does the rest."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.reports.store import RETRY_HEALTH, RETRY_PLAN, save_every_report, save_reports
from cavra_pipeline.state import state_of
from tests.support import NOW, delivery, drop, home_with, ingested, query, saved, tables, take_in

pytestmark = pytest.mark.slow

DAYS = [date(2026, 6, 23) + timedelta(days=number) for number in range(4)]
LINES = {day.isoformat(): [delivery(session_id=f"{day}-{number}") for number in range(3)] for day in DAYS}


def test_a_day_that_cannot_be_committed_keeps_the_days_before_it_and_a_second_ingest_does_the_rest(
    tmp_path: Path,
) -> None:
    home = home_with(tmp_path, LINES)
    with warehouse_of(home).writing("make one day fail") as session:
        session.execute("CREATE UNIQUE INDEX one_a_day ON drops (drop_day)")
        session.execute(
            "INSERT INTO drops SELECT DATE '2026-06-25', 'blocker', '', '', 0, 0, 0, 0, 0, NULL, now()::TIMESTAMP, 0"
        )

    with pytest.raises(PipelineError, match=r"2026-06-25/evidence\.jsonl: this landing file could not be committed"):
        take_in(home)

    assert query(home, "SELECT drop_day, count(*) FROM evidence GROUP BY 1 ORDER BY 1") == [(d, 3) for d in DAYS[:2]]
    with warehouse_of(home).writing("mend it") as session:
        session.execute("DROP INDEX one_a_day")
        session.execute("DELETE FROM drops WHERE file_name = 'blocker'")
    rest = take_in(home)
    assert [one.day for one in rest.drops] == DAYS[2:]
    assert rest.unchanged_count == 2
    assert tables(home) == tables(ingested(tmp_path / "undisturbed", LINES))


def test_an_unreadable_day_is_named_and_only_it_is_read_again_when_it_is_mended(tmp_path: Path) -> None:
    home = home_with(tmp_path, {day: lines for day, lines in LINES.items() if day != "2026-06-25"})
    drop(home, b"\x1f\x8b\x08", day="2026-06-25", name="evidence.jsonl.gz")

    (failure,) = take_in(home).failures

    assert "2026-06-25/evidence.jsonl.gz" in str(failure)
    (home.landing / "2026-06-25" / "evidence.jsonl.gz").unlink()
    drop(home, LINES["2026-06-25"], day="2026-06-25")
    mended = take_in(home)
    assert [one.name for one in mended.drops] == ["2026-06-25/evidence.jsonl"]
    assert mended.unchanged_count == 3
    assert query(home, "SELECT count(*) FROM evidence") == [(12,)]


def test_a_range_that_reaches_into_the_future_is_refused_before_anything_is_kept(tmp_path: Path) -> None:
    home = ingested(tmp_path, LINES)
    range_ = [NOW.date() - timedelta(days=1), NOW.date(), NOW.date() + timedelta(days=1)]

    with pytest.raises(UsageError, match="2026-07-02 is still to come"):
        list(save_every_report(warehouse_of(home), state_of(home), range_, now=NOW))

    assert saved(home) == {}
    warehouse, state = warehouse_of(home), state_of(home)
    assert len(list(save_reports(warehouse, state, RETRY_PLAN, "executive_report", range_[:2], now=NOW))) == 2


def test_days_that_are_made_together_are_named_together_when_the_statement_fails(tmp_path: Path) -> None:
    home = ingested(tmp_path, LINES)
    with warehouse_of(home).writing("break the evidence") as session:
        session.execute("DROP VIEW worker_runs")
        session.execute("DROP TABLE evidence_records CASCADE")

    with pytest.raises(PipelineError, match="recovery_escalation, 2026-06-23 to 2026-06-26: these days"):
        list(save_reports(warehouse_of(home), state_of(home), RETRY_HEALTH, "recovery_escalation", DAYS, now=NOW))

    assert saved(home) == {}
