"""Derived tables: what they hold after any ingests, and that answers are those of a fresh warehouse."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cavra_pipeline.evidence.keeper import rebuild, warehouse_of
from cavra_pipeline.lanes import LANES, LANES_OF_NEW_SUBJECTS
from cavra_pipeline.settings import Settings
from tests.retry.histories import histories
from tests.support import (
    Record,
    acknowledgement,
    ask_health,
    ask_plan,
    at,
    delivery,
    drop,
    execution,
    home_with,
    ingested,
    query,
    take_in,
    without_clock,
)

pytestmark = pytest.mark.slow

#: More for a long look: CAVRA_TEST_EXAMPLES=100 pytest tests/evidence/test_watched.py
EXAMPLES = int(os.environ.get("CAVRA_TEST_EXAMPLES", "2"))
KEY = "SELECT lane, coalesce(subject, '') FROM"
ROWS = "SELECT * EXCLUDE (row_id, session_key, is_watched, drop_day, file_name) FROM watchable_records"
OUTCOMES = "SELECT lane, coalesce(subject, ''), provider, is_failed, created_at FROM delivery_outcomes WHERE lane <> ''"
EXECUTED = (
    "SELECT lane, coalesce(subject, ''), coalesce(provider, '') FROM watchable_records WHERE record_type = 'execution'"
)
COUNTED = (
    "SELECT lane, created_at::DATE AS segment_day, record_type, count(*) FROM evidence WHERE lane <> '' GROUP BY ALL"
)
IN_ORDER = "ORDER BY lane, segment_day, record_type"
SUBJECTS = "SELECT DISTINCT subject FROM watched_records ORDER BY subject"


def settled(home: Settings) -> dict[tuple[str, str], datetime | None]:
    """When each subject was settled, worked out record by record; None if it is not."""
    delivered: dict[tuple[str, str, str], list[datetime]] = defaultdict(list)
    failed: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for lane, subject, provider, is_failed, created_at in query(home, OUTCOMES):
        delivered[lane, subject, provider] += [] if is_failed else [created_at]
        failed[lane, subject] += [created_at] if is_failed else []
    for lane, subject, provider in query(home, EXECUTED):
        delivered[lane, subject, provider] += []
    found: dict[tuple[str, str], datetime | None] = {}
    for lane, subject in {(lane, subject) for lane, subject, _ in delivered}:
        firsts = [min(times, default=None) for key, times in delivered.items() if key[:2] == (lane, subject)]
        known = [first for first in firsts if first is not None]
        has_all = len(known) == len(firsts) and lane not in LANES_OF_NEW_SUBJECTS
        found[lane, subject] = max(known + failed[lane, subject]) if has_all else None
    return found


def check(home: Settings) -> None:
    """Nothing that a rebuild would hold is missing; nothing is there twice, out of date or only in part."""
    expected = settled(home)
    for lane, subject, settled_at in query(home, "SELECT lane, coalesce(subject, ''), settled_at FROM watched_records"):
        assert settled_at == (expected.get((lane, subject)) if subject else None), (lane, subject)
    assert query(home, f"FROM lane_days {IN_ORDER}") == query(home, f"{COUNTED} {IN_ORDER}")
    watched = query(home, "SELECT * EXCLUDE (settled_at) FROM watched_records")
    current = query(home, ROWS)
    keys = set(query(home, f"{KEY} watched_records"))
    assert len(watched) == len({row[5] for row in watched})
    assert sorted(watched, key=repr) == sorted(
        (row for row in current if (row[1], row[2] or "") in keys or not row[2]), key=repr
    )
    assert set(query(home, f"{KEY} watchable_records WHERE is_watched")) <= keys


def rebuilt(home: Settings) -> Settings:
    """A copy of the home whose warehouse is made again from the landing zone."""
    copy = home.but(home=home.home.with_name("rebuilt"))
    shutil.rmtree(copy.home, ignore_errors=True)
    shutil.copytree(home.home, copy.home)
    rebuild(copy, without_missing=False)
    return copy


def answers(home: Settings) -> list[bytes]:
    return [without_clock(ask(home, lane)) for lane in LANES for ask in (ask_plan, ask_health)]


DAYS = ("2026-06-23", "2026-06-24", "2026-06-25")


@given(
    records=histories(30),
    steps=st.lists(
        st.tuples(st.sampled_from(DAYS), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 9)), max_size=12)),
        min_size=2,
        max_size=6,
    ),
    has_one_key=st.booleans(),
)
@settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.generate])
def test_after_any_drops_that_come_change_and_shrink_it_holds_what_a_rebuild_would(
    records: list[Record], steps: list[tuple[str, list[tuple[int, int]]]], has_one_key: bool
) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        home, landed = home_with(Path(one)), {}
        if has_one_key:
            give_one_key(home)
        for day, chosen in steps:
            # Few ids, so that versions stand against each other and move a record to another subject, lane or kind.
            landed[day] = [
                {**records[number % len(records)], "session_id": f"s-{name}"} for number, name in chosen if records
            ]
            drop(home, landed[day], day=day)
            take_in(home)
            check(home)
        said = answers(home)
        assert said == answers(rebuilt(home))
        assert said == answers(ingested(Path(other), landed))


def give_one_key(home: Settings) -> None:
    """Gives every text of the home the same key, as a forger could two ids."""
    take_in(home)
    with warehouse_of(home).writing("give every text the same key") as session:
        session.execute("CREATE OR REPLACE MACRO key_of(text) AS 1::BIGINT")


def test_an_id_that_shares_the_key_of_one_that_goes_is_watched_once(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    give_one_key(home)
    stays = delivery(at(60), failed=["slack"], session_id="d-1")
    drop(home, [stays], day="2026-06-23")
    drop(home, [delivery(at(50), subject="other", failed=["slack"], session_id="d-2")], day="2026-06-24")
    take_in(home)

    drop(home, [], day="2026-06-24")
    take_in(home)

    check(home)
    assert query(home, "SELECT session_id FROM watched_records") == [("d-1",)]


def test_a_subject_is_watched_from_its_first_failure_on_with_all_that_came_before(tmp_path: Path) -> None:
    before = [
        delivery(at(90)),
        acknowledgement(at(80)),
        delivery(at(70), subject="other"),
        execution(at(60), status="delivered"),
    ]
    home = ingested(tmp_path, {"2026-06-23": before})
    assert query(home, "FROM watched_records") == []

    drop(home, [delivery(at(30), failed=["slack"]), delivery(at(20), subject="other")], day="2026-06-24")
    take_in(home)
    assert query(home, SUBJECTS) == [("subject-1",)]
    assert query(home, "SELECT count(*) FROM watched_records") == [(4,)]
    check(home)

    drop(home, [delivery(at(10), subject="other", failed=["teams"]), acknowledgement(at(5))], day="2026-06-25")
    take_in(home)
    assert query(home, SUBJECTS) == [("other",), ("subject-1",)]
    assert query(home, "SELECT count(*) FROM watched_records") == [(8,)]
    check(home)


def test_a_subject_is_settled_once_all_has_arrived_and_no_longer_once_some_fails(tmp_path: Path) -> None:
    def settled_ats() -> list[tuple[object]]:
        check(home)
        return query(home, "SELECT DISTINCT settled_at FROM watched_records")

    failed = delivery(at(90), failed=["slack", "teams"], session_id="first")
    home = ingested(tmp_path, {"2026-06-23": [failed]})
    assert settled_ats() == [(None,)]
    for day, record, expected in (
        ("2026-06-24", delivery(at(80), providers=["slack"]), None),
        ("2026-06-25", delivery(at(70), providers=["teams"]), at(70)),
        ("2026-06-26", delivery(at(60), failed=["slack"], session_id="late"), at(60)),
        ("2026-06-27", execution(at(50), provider="webhook", status="failed"), None),
        ("2026-06-28", delivery(at(40), providers=["webhook"]), at(40)),
        # A newer version takes back that it failed.
        ("2026-06-29", delivery(at(60), providers=["slack"], session_id="late"), at(40)),
    ):
        drop(home, [record], day=day)
        take_in(home)
        assert settled_ats() == [(expected and expected.replace(tzinfo=None),)], day

    drop(home, [], day="2026-06-25")
    take_in(home)
    assert settled_ats() == [(None,)], "the delivery to Teams went with its landing file"


def test_a_subject_whose_deliveries_are_gone_is_no_longer_settled(tmp_path: Path) -> None:
    days = {
        "2026-06-23": [delivery(at(90), failed=["slack"]), delivery(at(80))],
        "2026-06-24": [acknowledgement(at(70))],
    }
    home = ingested(tmp_path, days)
    assert query(home, "SELECT DISTINCT settled_at FROM watched_records") == [(at(80).replace(tzinfo=None),)]

    drop(home, [], day="2026-06-23")
    take_in(home)
    check(home)
    assert query(home, "SELECT record_type, settled_at FROM watched_records") == [("acknowledgement", None)]


def test_a_failure_that_a_newer_version_takes_back_or_moves_is_no_longer_in_it(tmp_path: Path) -> None:
    home = ingested(tmp_path, {"2026-06-23": [delivery(at(30), failed=["slack"], session_id="s")]})
    moved = delivery(at(30), subject="other", failed=["slack"], session_id="s")
    drop(home, [moved], day="2026-06-25")
    take_in(home)
    assert query(home, SUBJECTS) == [("other",)]

    drop(home, [], day="2026-06-25")
    take_in(home)
    assert query(home, SUBJECTS) == [("subject-1",)]

    drop(home, [delivery(at(30), session_id="s")], day="2026-06-24")
    take_in(home)
    check(home)
    assert query(home, "SELECT count(*) FROM watched_records WHERE is_failed") == [(0,)]
