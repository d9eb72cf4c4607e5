"""Saved reports: the documents are those that were made, byte for byte, and days of late evidence are made again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from backports import zstd

from cavra_pipeline.documents import canonical_json
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence import keeper
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports import store
from cavra_pipeline.reports.replan import replan
from cavra_pipeline.reports.store import (
    Report,
    SavedReports,
    days_between,
    days_to_remake,
    list_reports,
    save_every_report,
    save_plan,
    save_reports,
)
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import State, state_of
from tests.support import (
    NOW,
    REPORTS_A_DAY,
    Record,
    acknowledgement,
    ask_plan,
    delivery,
    drop,
    execution,
    ingested,
    plan,
    query_state,
    saved,
    take_in,
    text,
    worker_run,
)

pytestmark = pytest.mark.slow

DAYS = days_between(date(2026, 6, 20), date(2026, 6, 25))
LANE = "recovery_escalation"
#: What a text must survive: quotes, the marks of JSON, other scripts, characters that JSON writes as escapes.
SUBJECTS = ('say "retry_decisions":[', "],{}", "Ωmega 日本", "tab\tand \x01", "plain")


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
    return list(save_every_report(warehouse_of(home), state_of(home), days, now=now))


def documents(home: Settings) -> dict[tuple[str, str | None, date], str]:
    """Every saved document, as text."""
    return {key: row["document"] for key, row in saved(home).items()}


def test_what_is_saved_is_what_was_made(home: Settings) -> None:
    made = keep(home, DAYS)

    assert len(made) == REPORTS_A_DAY * len(DAYS)
    assert documents(home) == {(one.report, one.lane, one.day): canonical_json(one.document) for one in made}


@pytest.mark.slow
def test_days_together_and_days_one_by_one_in_any_order_save_the_same(home: Settings, tmp_path: Path) -> None:
    other = ingested(tmp_path / "other", list(evidence()))
    keep(home, DAYS)
    for day in reversed(DAYS):
        keep(other, [day])

    assert documents(other) == documents(home)


def test_a_day_that_is_made_again_leaves_the_documents_of_the_other_days(home: Settings) -> None:
    keep(home, DAYS)
    before = saved(home)
    late = datetime.combine(DAYS[-1], time(1), NOW.tzinfo)
    drop(home, [delivery(late, subject="late", failed=["slack"])], day="2026-06-30")
    take_in(home)

    made = keep(home, DAYS[-1:], NOW + timedelta(hours=1))

    after = saved(home)
    assert {key: row for key, row in after.items() if key[2] != DAYS[-1]} == {
        key: row for key, row in before.items() if key[2] != DAYS[-1]
    }
    (again,) = (one for one in made if (one.report, one.lane) == ("retry_plan", LANE))
    key = ("retry_plan", LANE, DAYS[-1])
    assert after[key]["document"] == canonical_json(again.document) != before[key]["document"]


def test_a_report_that_says_the_same_is_left_as_it_is(home: Settings) -> None:
    keep(home, DAYS)
    before = saved(home)

    keep(home, DAYS, NOW + timedelta(hours=1))

    assert saved(home) == before


def test_nothing_of_a_batch_is_saved_where_the_state_refuses_one_report(home: Settings) -> None:
    keep(home, DAYS[:2])
    before = saved(home)
    with state_of(home).writing() as c:
        c.execute(sa.text("CREATE TRIGGER refused BEFORE INSERT ON saved_reports WHEN NEW.report_day = '2026-06-24' "
                          "BEGIN SELECT RAISE(ABORT, 'refused'); END"))  # fmt: skip

    with pytest.raises(PipelineError, match="2026-06-22 to 2026-06-25: these days could not be made or saved"):
        keep(home, DAYS[2:])

    assert saved(home) == before


# --- Days to make again ----------------------------------------------------------------------------------------------


def late(home: Settings, when: datetime, name: str = "late.jsonl", **fields: Any) -> None:
    drop(home, [delivery(when, subject="late", failed=["slack"], **fields)], day="2026-06-30", name=name)


def test_late_evidence_asks_for_the_days_from_its_instant_on_until_each_is_made_again(home: Settings) -> None:
    keep(home, DAYS)
    assert days_to_remake(state_of(home)) == {}
    late(home, datetime.combine(DAYS[3], time(9), NOW.tzinfo))

    take_in(home)

    assert list(days_to_remake(state_of(home))) == DAYS[3:]
    keep(home, DAYS[3:4])
    assert list(days_to_remake(state_of(home))) == DAYS[4:]
    list(save_reports(warehouse_of(home), state_of(home), "retry_plan", LANE, DAYS, now=NOW))
    assert list(days_to_remake(state_of(home))) == DAYS[4:]
    keep(home, DAYS)
    assert days_to_remake(state_of(home)) == {}


@pytest.mark.parametrize(("microseconds", "asked"), [(0, True), (1, False)])
def test_evidence_of_a_report_s_own_instant_outdates_it_and_later_does_not(
    home: Settings, microseconds: int, asked: bool
) -> None:
    as_of = datetime.combine(DAYS[2], time(12), NOW.tzinfo)
    warehouse, state = warehouse_of(home), state_of(home)
    list(save_reports(warehouse, state, "retry_plan", LANE, DAYS[2:3], now=as_of))
    late(home, as_of + timedelta(microseconds=microseconds))

    take_in(home)

    assert bool(days_to_remake(state_of(home))) is asked


def test_a_drop_that_is_read_again_outdates_only_from_what_has_changed(home: Settings) -> None:
    late(home, datetime.combine(DAYS[0], time(9), NOW.tzinfo), session_id="same")
    take_in(home)
    keep(home, DAYS)

    take_in(home, first=date(2026, 6, 1), last=date(2026, 7, 1))
    assert days_to_remake(state_of(home)) == {}

    path = home.landing / "2026-06-30" / "late.jsonl"
    later = delivery(datetime.combine(DAYS[4], time(9), NOW.tzinfo), subject="added", failed=["teams"])
    drop(home, path.read_bytes() + text([later]), day="2026-06-30", name="late.jsonl")
    take_in(home)
    assert list(days_to_remake(state_of(home))) == DAYS[4:]


def test_a_version_that_is_current_again_outdates_from_its_own_instant_on(home: Settings) -> None:
    early, recent = (datetime.combine(day, time(9), NOW.tzinfo) for day in (DAYS[1], DAYS[4]))
    late(home, early, session_id="twice")
    late(home, recent, name="newer.jsonl", session_id="twice")
    take_in(home)
    keep(home, DAYS)

    drop(home, [], day="2026-06-30", name="newer.jsonl")
    take_in(home)

    assert list(days_to_remake(state_of(home))) == DAYS[1:]


def test_a_report_made_while_late_evidence_is_committed_is_asked_for(home: Settings, monkeypatch: Any) -> None:
    made = store.make_reports

    def and_meanwhile(*arguments: Any, **more: Any) -> Any:
        found = made(*arguments, **more)
        late(home, datetime.combine(DAYS[0], time(9), NOW.tzinfo))
        return found

    def save(*arguments: Any) -> None:
        take_in(home)
        saving(*arguments)

    saving = store._save
    monkeypatch.setattr(store, "make_reports", and_meanwhile)
    monkeypatch.setattr(store, "_save", save)
    list(save_reports(warehouse_of(home), state_of(home), "retry_plan", LANE, DAYS[:1], now=NOW))

    assert list(days_to_remake(state_of(home))) == DAYS[:1]


def test_a_change_that_a_crash_kept_from_the_state_is_noted_by_the_next_writer(home: Settings) -> None:
    keep(home, DAYS)
    late(home, datetime.combine(DAYS[3], time(9), NOW.tzinfo))
    remember, keeper.HomeKeeper._remember = keeper.HomeKeeper._remember, lambda *_: None  # type: ignore[method-assign]
    try:
        take_in(home)
    finally:
        keeper.HomeKeeper._remember = remember  # type: ignore[method-assign]
    assert days_to_remake(state_of(home)) == {}

    drop(home, [delivery(NOW)], day="2026-07-01")
    take_in(home)

    assert list(days_to_remake(state_of(home))) == DAYS[3:]


def test_a_state_that_is_older_than_the_warehouse_asks_for_every_day_that_may_differ(home: Settings) -> None:
    keep(home, DAYS)
    copy = (home.home / "state.db").read_bytes()
    for number, day in enumerate((DAYS[4], DAYS[2], DAYS[5])):
        late(home, datetime.combine(day, time(9), NOW.tzinfo), name=f"{number}.jsonl", session_id=f"late-{number}")
        take_in(home)
    for suffix in ("", "-wal", "-shm"):
        (home.home / f"state.db{suffix}").unlink(missing_ok=True)
    (home.home / "state.db").write_bytes(copy)

    drop(home, [delivery(NOW)], day="2026-07-01")
    take_in(home)

    assert set(days_to_remake(state_of(home))) >= set(DAYS[2:])


def test_a_warehouse_that_is_made_again_from_the_same_files_outdates_no_report(home: Settings) -> None:
    keep(home, DAYS)
    home.warehouse.unlink()

    take_in(home)

    assert days_to_remake(state_of(home)) == {}
    before = saved(home)
    keep(home, DAYS, NOW + timedelta(hours=1))
    assert saved(home) == before


# --- On both databases -----------------------------------------------------------------------------------------------


@pytest.fixture
def state(state_address: str | None, tmp_path: Path) -> State:
    """An empty state database."""
    return State(state_address or f"sqlite:///{tmp_path / 'another.db'}")


def page(state: State, **which: Any) -> list[tuple[Any, ...]]:
    rows = list_reports(state, SavedReports(**which), limit=3)
    return [(row["report_day"], row["generated_at"], row["report_id"], row["report"]) for row in rows]


def test_pages_follow_each_other_without_a_gap_or_a_repeat(state: State, home: Settings) -> None:
    warehouse = warehouse_of(home)
    list(save_every_report(warehouse, state, DAYS[:3], now=NOW))
    (newest, *_) = list_reports(state, SavedReports(report="retry_plan", lane=LANE), with_documents=True)
    save_plan(state, newest["document"], now=NOW + timedelta(hours=1))

    found: list[tuple[Any, ...]] = []
    while some := page(state, after=found[-1] if found else None):
        found += some

    assert found == sorted(found, reverse=True)
    assert len(found) == len(set(found)) == 3 * REPORTS_A_DAY + 1
    assert page(state, report_id=newest["report_id"]) == [one for one in found if one[2] == newest["report_id"]]
    assert {row["lane"] for row in list_reports(state, SavedReports(report="dashboard"))} == {None}
    assert [one[0] for one in page(state, report="dashboard", first=DAYS[1], last=DAYS[1])] == [DAYS[1]]


def test_a_saved_plan_replaces_itself_and_is_made_again_by_its_id(state: State, home: Settings) -> None:
    plan = ask_plan(home)
    for hours in (0, 1):
        save_plan(state, plan, now=NOW + timedelta(hours=hours))

    assert len(list_reports(state, SavedReports(report_id=plan["retry_plan_id"]))) == 1
    with warehouse_of(home).reading() as session:
        again = replan(session, state, LANES[LANE], plan["retry_plan_id"], now=NOW)
        with pytest.raises(PipelineError, match="no plan of that id is saved"):
            replan(session, state, LANES["executive_report"], plan["retry_plan_id"], now=NOW)
    assert again["retry_plan_id"] == plan["retry_plan_id"]
    assert days_to_remake(state) == {}


# --- What-if -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "parameters", "as_of"),
    [
        ("retry_plan", {"max_retry_attempts": 7}, None),
        ("retry_plan", {}, "2026-06-21T09:00:00Z"),
        ("retry_health", {"window_hours": 1}, None),
        ("dashboard", {}, "2026-06-21T09:00:00Z"),
        ("recoveries", {"slo_minutes": 1}, None),
        ("closure", {}, "2026-06-21T09:00:00Z"),
    ],
)
def test_a_what_if_is_saved_beside_the_report_of_its_day_and_never_in_its_place(
    home: Settings, report: str, parameters: dict[str, Any], as_of: str | None
) -> None:
    lane = LANE if report.startswith("retry") else None
    keep(home, DAYS)
    before = rows(home)
    for _ in range(2):
        found = list(
            save_reports(
                warehouse_of(home), state_of(home), report, lane, DAYS[:2], now=NOW, as_of=as_of, parameters=parameters
            )
        )
        assert {one.is_what_if for one in found} == {True}

    after = rows(home)
    added = [row for row in after if row not in before]
    assert [row for row in before if row not in after] == []
    assert {row[0] for row in added} == {f"asked_{report}"}
    assert len(added) == 2
    late(home, datetime.combine(DAYS[0], time(1), NOW.tzinfo))
    take_in(home)
    keep(home, DAYS)
    assert days_to_remake(state_of(home)) == {}, "a what-if is not made again"


def test_the_days_own_instant_and_the_lanes_own_policy_are_no_what_if(home: Settings) -> None:
    keep(home, DAYS[:1])
    before, end = rows(home), datetime.combine(DAYS[0], time.max, NOW.tzinfo)
    own = {"retry_delay_minutes": LANES[LANE].retry_delay_minutes, "max_retry_attempts": 3}

    (found,) = save_reports(
        warehouse_of(home), state_of(home), "retry_plan", LANE, DAYS[:1], now=NOW, as_of=end.isoformat(), parameters=own
    )

    assert not found.is_what_if
    assert rows(home) == before


def rows(home: Settings) -> Any:
    return query_state(
        home, "SELECT report, lane, report_day, report_id, as_of, document FROM saved_reports ORDER BY 1, 2, 3, 4"
    )


def test_the_same_evidence_is_saved_as_the_same_bytes_by_any_number_of_threads(tmp_path: Path) -> None:
    stored, printed = [], []
    for threads, later in ((1, timedelta(0)), (4, timedelta(hours=5)), (None, timedelta(days=40))):
        home = ingested(tmp_path / str(threads), list(evidence()), threads=threads)
        made = list(save_every_report(warehouse_of(home), state_of(home), DAYS[:2], now=NOW + later))
        stored.append(rows(home))
        listed = list_reports(state_of(home), SavedReports(), with_documents=True)
        printed.append({one["report_id"]: one["document"] for one in listed})
        assert printed[-1] == {one.report_id: one.document for one in made}
        assert {one["generated_at"] for one in printed[-1].values()} == {(NOW + later).isoformat()}

    assert stored[0] == stored[1] == stored[2]
    documents = [zstd.decompress(row[-1]) for row in stored[0]]
    assert len(documents) == 2 * REPORTS_A_DAY
    assert not any(name in document for document in documents for name in (b'"generated_at"', b'"future_record_count"'))
    assert any("future_record_count" in one for one in printed[0].values())
