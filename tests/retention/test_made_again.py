"""A pruned warehouse that is made again from the landing zone and the state: the same tables, the same answers."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cavra_pipeline.evidence.keeper import rebuild, warehouse_of
from cavra_pipeline.reports.store import days_to_remake, save_every_report
from cavra_pipeline.retention.prune import prune
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import State, state_of
from cavra_pipeline.state.tables import pruned_drops, prunings
from tests.retention.test_against_twin import DAY, DROP_DAYS, HORIZON, answers, moved, stories, stories_told
from tests.retention.test_prune import contents, prunings_of
from tests.retry.histories import histories
from tests.support import NOW, Record, acknowledgement, delivery, drop, home_with, ingested, query, saved, take_in

pytestmark = pytest.mark.slow

#: More for a long run: CAVRA_TEST_EXAMPLES=100 pytest tests/retention/test_made_again.py
EXAMPLES = int(os.environ.get("CAVRA_TEST_EXAMPLES", "2"))
#: After a second pruning, a day later, the first of them can still be asked about its last hour.
ASKED = [HORIZON + timedelta(days=1, hours=1), *(HORIZON + timedelta(days=days) for days in (2, 9, 10))]


def before(minutes: float) -> datetime:
    return HORIZON - timedelta(minutes=minutes)


def everything(home: Settings) -> tuple[Any, ...]:
    """What must be the same: tables, what the state holds of prunings, answers."""
    told = answers(home, ASKED, {}, {"window_hours": 1}), stories_told(home, ASKED)
    return contents(home), prunings_of(home), told


def drop_numbered(home: Settings, records: list[Record], *, name: str, id_prefix: str) -> None:
    for number, day in enumerate(DROP_DAYS):
        lines = [{**one, "session_id": f"{id_prefix}-{one['session_id']}"} for one in records[number::3]]
        drop(home, lines, day=day, name=name)


@pytest.mark.slow
@given(told=stories(), later=histories(20), last=histories(12), again=st.booleans())
@settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.generate])
def test_a_warehouse_pruned_twice_is_the_same_when_it_is_made_again(
    told: list[Record], later: list[Record], last: list[Record], again: bool
) -> None:
    with TemporaryDirectory() as folder:
        home = home_with(Path(folder))
        drop_numbered(home, told, name="evidence.jsonl", id_prefix="a")
        take_in(home)
        prune(warehouse_of(home), state_of(home), DAY, now=NOW)
        # Of both sides of the horizon, and other versions of some.
        drop_numbered(home, moved(later, timedelta(hours=6)), name="later.jsonl", id_prefix="b")
        drop_numbered(home, moved(later, timedelta(hours=1)), name="another.jsonl", id_prefix="a")
        take_in(home)
        if again:
            prune(warehouse_of(home), state_of(home), DAY + timedelta(days=1), now=NOW)
        drop_numbered(home, last, name="last.jsonl", id_prefix="b")
        take_in(home)
        standing = everything(home)

        home.warehouse.unlink()
        assert everything(home) == standing
        rebuild(home, without_missing=False)
        assert everything(home) == standing
        assert take_in(home).drops == []


def test_files_that_came_after_a_pruning_are_read_again_as_they_were_then(tmp_path: Path) -> None:
    old = [delivery(before(60), session_id="gone"), delivery(before(50), session_id="f", subject="o", failed=["slack"])]
    both = [delivery(before(40), session_id="goes too"), delivery(HORIZON, session_id="stays"), "{"]
    home = ingested(tmp_path, {"2026-06-24": old, "2026-06-26": both})
    prune(warehouse_of(home), state_of(home), DAY, now=NOW)
    drop(home, [delivery(before(9), session_id="closed day")], day="2026-06-24", name="more.jsonl")
    drop(home, [delivery(before(9), session_id="late", failed=["teams"]), delivery(HORIZON, session_id="new")],
         day="2026-06-27")  # fmt: skip
    take_in(home)
    ids = "SELECT session_id FROM evidence_records ORDER BY 1"
    assert query(home, ids) == [("f",), ("new",), ("stays",)]
    standing = everything(home)

    home.warehouse.unlink()

    assert query(home, ids) == [("f",), ("new",), ("stays",)]
    assert everything(home) == standing


def test_a_version_left_out_after_a_pruning_lets_the_one_before_be_current_again(tmp_path: Path) -> None:
    home = ingested(tmp_path, {"2026-06-25": [delivery(before(50), session_id="v", failed=["slack"])]})
    prune(warehouse_of(home), state_of(home), DAY, now=NOW)
    drop(home, [delivery(before(40), session_id="v")], day="2026-06-27")
    take_in(home)
    current = "SELECT session_id, is_current, drop_day FROM evidence_records"
    assert query(home, current) == [("v", True, date(2026, 6, 25))]
    standing = everything(home)

    home.warehouse.unlink()

    assert query(home, current) == [("v", True, date(2026, 6, 25))]
    assert everything(home) == standing


@pytest.mark.parametrize("newer_day", ["2026-06-25", "2026-06-28"])
def test_a_version_older_than_one_that_was_pruned_never_comes_back(newer_day: str, tmp_path: Path) -> None:
    home = ingested(tmp_path, {
        "2026-06-26": [delivery(HORIZON, session_id="v", subject="x")],
        "2026-06-27": [delivery(before(40), session_id="v", subject="x")],
    })  # fmt: skip
    prune(warehouse_of(home), state_of(home), DAY, now=NOW)
    assert query(home, "SELECT * FROM evidence_records") == []
    drop(home, [delivery(HORIZON, session_id="v", subject="x", attempt_count=7)], day=newer_day, name="newer.jsonl")
    take_in(home, first=date(2026, 6, 1), last=date(2026, 7, 1))
    current = "SELECT attempt_count, is_current FROM evidence_records"
    assert query(home, current) == [(7, True)]
    standing = everything(home)

    home.warehouse.unlink()

    assert query(home, current) == [(7, True)]
    assert everything(home) == standing


def test_saved_reports_outlive_the_warehouse_and_need_not_be_made_again(tmp_path: Path) -> None:
    days = [date(2026, 6, 24), date(2026, 6, 26)]
    home = ingested(tmp_path, {"2026-06-24": [delivery(before(60), failed=["slack"])], "2026-06-26": [delivery()]})
    list(save_every_report(warehouse_of(home), state_of(home), days, now=NOW))
    prune(warehouse_of(home), state_of(home), DAY, now=NOW)
    standing = saved(home)

    home.warehouse.write_bytes(os.urandom(100_000))
    take_in(home)

    assert (saved(home), days_to_remake(state_of(home))) == (standing, {})


def test_a_state_that_lost_its_prunings_gets_them_back_from_the_warehouse(tmp_path: Path) -> None:
    home = ingested(tmp_path, {"2026-06-24": [
        delivery(before(60)), delivery(before(50), subject="open", failed=["slack"]), "{",
        acknowledgement(before(40)),
    ]})  # fmt: skip
    prune(warehouse_of(home), state_of(home), DAY, now=NOW)
    standing = everything(home)
    with state_of(home).writing() as c:
        for table in (prunings, pruned_drops):
            c.execute(sa.delete(table))

    drop(home, [], day="2026-06-28", name="empty.jsonl")
    take_in(home)

    assert prunings_of(home) == standing[1]
    home.warehouse.unlink()
    assert everything(home)[1:] == standing[1:]


def test_prunings_are_stored_and_applied_with_either_database(state_address: str | None, tmp_path: Path) -> None:
    lines = [delivery(before(60)), delivery(before(50), subject="o", failed=["slack"])]
    home = home_with(tmp_path, {"2026-06-24": lines}, state_address=state_address)
    take_in(home)
    state: State = state_of(home)

    gone = prune(warehouse_of(home), state, DAY, now=NOW)

    assert gone.record_count == 1
    assert query(home, "SELECT subject FROM evidence_records") == [("o",)]
    with state.reading() as c:
        numbered = c.execute(sa.select(prunings.c.pruning_number, prunings.c.horizon))
        assert [tuple(row) for row in numbered] == [(1, datetime(2026, 6, 25, tzinfo=UTC))]
        assert c.scalars(sa.select(pruned_drops.c.remaining_lines)).all() == [[2]]
    standing = everything_but_state(home)
    home.warehouse.unlink()
    assert everything_but_state(home) == standing


def everything_but_state(home: Settings) -> tuple[Any, ...]:
    return contents(home), stories_told(home, ASKED)
