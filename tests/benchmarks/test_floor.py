"""What no change may lose, told by counts, not by times: passes, statements, rows, and what is not read again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from benchmarks.__main__ import prepare
from benchmarks.cases import CASES
from benchmarks.records import write_drop
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.reports.store import RETRY_HEALTH, RETRY_PLAN, days_between, save_reports
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse import Session
from tests.support import home_with, take_in

pytestmark = pytest.mark.slow

NOW = datetime(2026, 6, 1, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Counts the statements that sessions run; they run all the same."""
    statements: Counter[str] = Counter()
    really = Session._execute

    def execute(session: Session, sql: str, parameters: Any) -> Any:
        statements[sql] += 1
        return really(session, sql, parameters)

    with mock.patch.object(Session, "_execute", execute):
        yield statements


def land(home: Settings, day: date, records: int) -> None:
    folder = home.landing / day.isoformat()
    folder.mkdir()
    start = datetime.combine(day, datetime.min.time(), UTC)
    write_drop(folder / "evidence.jsonl", records, seed=day.toordinal(), start=start, span=timedelta(days=1))


def test_every_case_of_the_suite_sees_every_record_and_unchanged_drops_are_not_read(tmp_path: Path) -> None:
    prepare(tmp_path, 300)

    counts = {
        name: CASES[name](tmp_path)
        for name in ("raw", "pydantic_and_pandas", "ingest_clean", "ingest_unchanged", "ingest_forced", "ingest_faulty")
    }

    assert counts.pop("ingest_unchanged") == 1
    assert set(counts.values()) == {300}
    with counted() as statements:
        assert take_in(Settings(home=tmp_path / "clean")).drops == []
    assert not any("evidence_records" in sql for sql in statements)


def test_a_new_day_takes_as_many_statements_however_many_days_and_records_are_there(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    took = []
    for number, records in enumerate((5, 5, 400, 5)):
        land(home, START.date() + timedelta(days=number), records)
        if number == 0:
            take_in(home, now=NOW)
            continue
        with counted() as statements:
            assert take_in(home, now=NOW).received_count == records
        took.append(statements.total())

    assert len(set(took)) == 1


def test_a_range_of_days_is_one_pass_whatever_its_length(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    for number in range(3):
        land(home, START.date() + timedelta(days=number), 40)
    take_in(home, now=NOW)
    for report in (RETRY_PLAN, RETRY_HEALTH):
        passes = []
        for length in (2, 30):
            days = days_between(START.date(), START.date() + timedelta(days=length - 1))
            with counted() as statements:
                kept = list(save_reports(warehouse_of(home), state_of(home), report, "executive_report", days, now=NOW))
            assert [one.day for one in kept] == days
            passes.append(statements.total())
        assert passes[0] == passes[1], report
