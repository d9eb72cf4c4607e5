"""Kept reports: the documents are those that were made, byte for byte, and each entry is kept once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest

from cavra_pipeline.documents import canonical_json
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.store import Report, days_between, keep_every_report
from cavra_pipeline.settings import Settings
from tests.support import (
    NOW,
    Record,
    acknowledgement,
    as_of_version,
    delivery,
    drop,
    execution,
    ingested,
    plan,
    query,
    take_in,
    worker_run,
)

DAYS = days_between(date(2026, 6, 20), date(2026, 6, 25))
LANE = "recovery_escalation"
#: What a text must survive: quotes, the marks of JSON, other scripts, characters that JSON writes as escapes.
SUBJECTS = ('say "retry_decisions":[', "],{}", "Ωmega 日本", "tab\tand \x01", "plain")
DOCUMENTS = "SELECT report, lane, report_day, document FROM reports"
ENTRIES = "SELECT number, entry FROM report_entries ORDER BY number"


def evidence() -> Iterator[Record]:
    """Failures that begin on different days and stand for one day, some or all."""
    for number, subject in enumerate(SUBJECTS):
        begun = datetime.combine(DAYS[number], time(12), NOW.tzinfo)
        yield delivery(begun, subject=subject, failed=["slack", "teams"], session_id=f"first {number}")
        yield acknowledgement(begun + timedelta(hours=30), subject=subject, session_id=f"answer {number}")
        yield execution(begun + timedelta(hours=1), subject=subject, status="failed", session_id=f"execution {number}")
        yield worker_run(begun, session_id=f"run {number}")
        yield plan(begun, session_id=f"plan {number}")
        if number % 2:
            yield delivery(begun + timedelta(hours=20), subject=subject, session_id=f"second {number}")


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """A home with evidence of some days and no report."""
    return ingested(tmp_path / "home", list(evidence()))


def keep(home: Settings, days: list[date], now: datetime = NOW) -> list[Report]:
    return list(keep_every_report(warehouse_of(home), days, now=now))


def kept(home: Settings) -> dict[tuple[str, str | None, date], str]:
    """Every kept document, as text."""
    return {(report, lane, day): document for report, lane, day, document in query(home, DOCUMENTS)}


def test_what_is_kept_is_what_was_made_and_each_entry_stands_once(home: Settings) -> None:
    made = keep(home, DAYS)

    assert len(made) == (2 * len(LANES) + 1) * len(DAYS)
    assert kept(home) == {(one.report, one.lane, one.day): canonical_json(one.document) for one in made}
    entries = query(home, ENTRIES)
    assert [number for number, _ in entries] == list(range(1, len(entries) + 1))
    assert len({entry for _, entry in entries}) == len(entries)
    lists = [one.document.get("retry_decisions") or one.document.get("acknowledgement_gaps") or [] for one in made]
    assert {entry for _, entry in entries} == {canonical_json(dict(entry)) for entries in lists for entry in entries}
    assert sum(map(len, lists)) > 2 * len(entries)


@pytest.mark.slow
def test_days_together_and_days_one_by_one_in_any_order_keep_the_same_documents(home: Settings, tmp_path: Path) -> None:
    other = ingested(tmp_path / "other", list(evidence()))
    keep(home, DAYS)
    for day in reversed(DAYS):
        keep(other, [day])

    assert kept(other) == kept(home)
    assert {entry for _, entry in query(other, ENTRIES)} == {entry for _, entry in query(home, ENTRIES)}


def test_a_day_that_is_kept_again_leaves_the_documents_of_the_other_days(home: Settings) -> None:
    keep(home, DAYS)
    before = kept(home)
    late = datetime.combine(DAYS[-1], time(1), NOW.tzinfo)
    drop(home, [delivery(late, subject="late", failed=["slack"])], day="2026-06-30")
    take_in(home)

    made = keep(home, DAYS[-1:], NOW + timedelta(hours=1))

    after = kept(home)
    assert {key: text for key, text in after.items() if key[2] != DAYS[-1]} == {
        key: text for key, text in before.items() if key[2] != DAYS[-1]
    }
    (again,) = (one for one in made if (one.report, one.lane) == ("retry_plan", LANE))
    assert after["retry_plan", LANE, DAYS[-1]] == canonical_json(again.document) != before["retry_plan", LANE, DAYS[-1]]


def test_reports_that_an_earlier_release_kept_are_the_same_after_it_and_left_alone_if_they_say_the_same(
    home: Settings,
) -> None:
    keep(home, DAYS)
    before = kept(home)
    as_of_version(home, 3)

    assert kept(home) == before
    keep(home, DAYS, NOW + timedelta(hours=1))
    assert kept(home) == before
