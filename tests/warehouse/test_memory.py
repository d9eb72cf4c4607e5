"""What readers share: an answer holds as long as the evidence stays as it is, and no longer."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.executive.report import executive_reports
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports import health
from cavra_pipeline.reports.dashboard import dashboards
from cavra_pipeline.reports.store import DASHBOARD, RETRY_HEALTH, days_between, evaluated_at, save_reports
from cavra_pipeline.retention.prune import prune
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse import Memory, Warehouse
from tests.support import (
    AS_OF,
    NOW,
    REPOSITORY,
    acknowledgement,
    at,
    delivery,
    drop,
    execution,
    ingested,
    take_in,
    worker_run,
)

pytestmark = pytest.mark.slow

DAYS = days_between(date(2026, 6, 20), date(2026, 6, 25))
INSTANTS = [evaluated_at(day, NOW) for day in DAYS]
LANE = LANES["recovery_escalation"]


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """A home with evidence of which health has something to say."""
    return ingested(tmp_path, [
        delivery(at(60 * 24 * 3), failed=["slack"], session_id="d-1"),
        acknowledgement(at(60 * 24 * 2), session_id="a-1"),
        execution(at(60 * 30), session_id="x-1"),
        worker_run(at(60 * 20), session_id="w-1"),
    ])  # fmt: skip


@pytest.fixture
def shared(home: Settings) -> Warehouse:
    """Its warehouse, with a memory."""
    return warehouse_of(home, memory=Memory())


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Each time that health is worked out: of which lane, and for how many instants."""
    seen: list[tuple[str, int]] = []
    make = health._reports

    def noting(session: Any, lane: Any, *args: Any, **values: Any) -> Any:
        seen.append((lane.name, len(values["instants"])))
        return make(session, lane, *args, **values)

    monkeypatch.setattr(health, "_reports", noting)
    return seen


def ask(warehouse: Warehouse, instants: Any = INSTANTS, now: Any = NOW, **parameters: int) -> list[dict[str, Any]]:
    with warehouse.reading() as session:
        judged_by = health.health_parameters(LANE, **parameters)
        return health.retry_health_reports(session, LANE, judged_by, instants=instants, now=now)


def test_an_answer_from_memory_is_the_one_that_would_be_made_and_tells_its_own_time(
    home: Settings, shared: Warehouse, made: list[tuple[str, int]]
) -> None:
    later = NOW + timedelta(minutes=5)
    ask(shared)
    again = ask(shared, now=later)

    assert len(made) == 1
    assert [list(one.items()) for one in again] == [list(one.items()) for one in ask(warehouse_of(home), now=later)]


def test_only_instants_that_are_not_known_are_worked_out(
    home: Settings, shared: Warehouse, made: list[tuple[str, int]]
) -> None:
    ask(shared, INSTANTS[:4])
    answer = ask(shared, [AS_OF, *reversed(INSTANTS)])

    assert made == [(LANE.name, 4), (LANE.name, 3)]
    assert answer == ask(warehouse_of(home), [AS_OF, *reversed(INSTANTS)])


def test_other_parameters_are_another_question(shared: Warehouse, made: list[tuple[str, int]]) -> None:
    assert ask(shared)[-1]["window_hours"] != ask(shared, window_hours=24)[-1]["window_hours"]
    assert len(made) == 2


def test_dashboard_and_executive_report_take_the_health_that_was_kept_before_them(
    home: Settings, shared: Warehouse, made: list[tuple[str, int]]
) -> None:
    for lane in LANES:
        list(save_reports(shared, state_of(home), RETRY_HEALTH, lane, DAYS, now=NOW))
    kept = list(save_reports(shared, state_of(home), DASHBOARD, None, DAYS, now=NOW))
    with shared.reading() as session:
        reports = executive_reports(session, instants=INSTANTS, now=NOW)

    assert made == [(lane, len(DAYS)) for lane in LANES]
    with warehouse_of(home).reading() as session:
        assert [one.document for one in kept] == dashboards(session, instants=INSTANTS, now=NOW)
        assert reports == executive_reports(session, instants=INSTANTS, now=NOW)


def test_evidence_that_comes_changes_or_goes_is_seen_at_once(home: Settings, shared: Warehouse) -> None:
    def answers() -> list[str]:
        said = ask(shared)
        assert said == ask(warehouse_of(home))
        return [one["health_id"] for one in said]

    first = answers()
    drop(home, [delivery(at(60), subject="subject-2", failed=["teams"], session_id="d-2")], name="late.jsonl")
    take_in(home)
    second = answers()
    drop(home, [delivery(at(60), subject="subject-2", session_id="d-2")], name="late.jsonl")
    take_in(home)
    third = answers()

    assert first != second != third


def test_a_pruning_makes_the_memory_forget(home: Settings, shared: Warehouse, made: list[tuple[str, int]]) -> None:
    now = NOW + timedelta(days=60)
    ask(shared, [now])
    prune(warehouse_of(home), state_of(home), date(2026, 7, 10), now=now)

    assert ask(shared, [now]) == ask(warehouse_of(home), [now])
    assert len(made) == 3


def test_a_writer_has_no_memory_because_evidence_may_change_under_it(shared: Warehouse) -> None:
    with shared.writing("a test") as session:
        session.cache()["a question"] = "an answer"
        assert session.cache() == {}


def test_evidence_is_written_only_where_the_mark_is_left() -> None:
    writes = re.compile(r"(INSERT INTO|DELETE FROM|UPDATE)\s+(evidence_records|watched_records|pruned_\w+)\b")
    found = {
        path.parent.parent.name
        for path in (REPOSITORY / "cavra_pipeline").glob("*/sql/*.sql")
        if writes.search(path.read_text(encoding="utf-8"))
    }

    assert found == {"evidence", "retention"}
