"""Versions: the later drop day, then file name, then line is current, whatever the order in which drops come."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cavra_pipeline.settings import Settings
from tests.support import Record, delivery, drop, home_with, ingested, query, tables, take_in

pytestmark = pytest.mark.slow

CURRENT = "SELECT session_id, event_type FROM evidence ORDER BY session_id"


def version(label: str, session_id: str = "one") -> Record:
    return delivery(session_id=session_id, event_type=label)


def test_the_later_line_wins_in_a_file(tmp_path: Path) -> None:
    home = ingested(tmp_path, [version("old"), version("new")])

    assert query(home, CURRENT) == [("one", "new")]
    assert query(home, "SELECT count(*) FROM evidence_records") == [(2,)]


def test_the_later_file_wins_over_the_later_line(tmp_path: Path) -> None:
    home = ingested(
        tmp_path, {"2026-06-25/a.jsonl": [version("a1"), version("a2")], "2026-06-25/b.jsonl": [version("b")]}
    )

    assert query(home, CURRENT) == [("one", "b")]


def test_the_later_day_wins_over_the_later_file_and_over_created_at(tmp_path: Path) -> None:
    newest_made = {**version("earlier drop"), "created_at": "2026-12-31T00:00:00Z"}
    home = ingested(tmp_path, {"2026-06-24/z.jsonl": [newest_made], "2026-06-25/a.jsonl": [version("later-drop")]})

    assert query(home, CURRENT) == [("one", "later-drop")]


def test_lines_are_compared_as_numbers_and_not_as_text(tmp_path: Path) -> None:
    home = ingested(tmp_path, [version(f"line-{number}") for number in range(1, 12)])

    assert query(home, CURRENT) == [("one", "line-11")]


def test_an_older_day_that_is_loaded_afterwards_or_again_does_not_win(tmp_path: Path) -> None:
    home = ingested(tmp_path, {"2026-06-25": [version("new")]})
    drop(home, [version("old")], day="2026-06-24")
    take_in(home)
    assert query(home, CURRENT) == [("one", "new")]

    drop(home, [version("old-changed"), version("other", "two")], day="2026-06-24")
    take_in(home)
    assert query(home, CURRENT) == [("one", "new"), ("two", "other")]


def test_a_changed_drop_that_loses_a_record_revives_the_older_version(tmp_path: Path) -> None:
    home = ingested(tmp_path, {"2026-06-24": [version("old")], "2026-06-25": [version("new"), version("x", "two")]})
    assert query(home, CURRENT) == [("one", "new"), ("two", "x")]

    drop(home, [version("x", "two")], day="2026-06-25")
    take_in(home)

    assert query(home, CURRENT) == [("one", "old"), ("two", "x")]
    assert query(home, "SELECT sum(superseded_count), sum(accepted_count) FROM drop_totals") == [(0, 2)]


def test_a_newer_version_that_is_quarantined_does_not_replace_the_older_one(tmp_path: Path) -> None:
    home = ingested(
        tmp_path, {"2026-06-24": [version("old")], "2026-06-25": [{**version("new"), "attempt_count": "x"}]}
    )

    assert query(home, CURRENT) == [("one", "old")]
    assert query(home, "SELECT count(*) FROM quarantine") == [(1,)]


def test_re_ingesting_any_number_of_times_gives_the_same_tables(tmp_path: Path) -> None:
    home = ingested(tmp_path, {
        "2026-06-24": [version("old"), b"{", version("x", "two")],
        "2026-06-25": [version("new"), {**version("y", "three"), "signer": "a@example.com"}],
    })  # fmt: skip
    before = tables(home)

    for _ in range(2):
        for found in sorted((home.landing).rglob("*.jsonl")):
            found.touch()
        assert len(take_in(home).drops) == 2
        assert tables(home) == before


VERSIONS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["2026-06-24", "2026-06-25"]), st.sampled_from(["a", "b"])),
    max_size=10,
)


def _write(home: Settings, drops: dict[tuple[str, str], list[Record]], keys: list[tuple[str, str]]) -> None:
    for day, name in keys:
        drop(home, drops[day, name], day=day, name=f"{name}.jsonl")


@given(before=VERSIONS, after=VERSIONS, seed=st.integers(0, 999))
@settings(max_examples=4, phases=[Phase.generate])
def test_drops_that_come_and_change_in_any_order_end_in_the_tables_of_one_ingest(
    before: list[tuple[str, str, str]], after: list[tuple[str, str, str]], seed: int
) -> None:
    def drops(entries: list[tuple[str, str, str]], word: str) -> dict[tuple[str, str], list[Record]]:
        made: dict[tuple[str, str], list[Record]] = {(d, n): [] for d in ("2026-06-24", "2026-06-25") for n in "ab"}
        for number, (session_id, day, name) in enumerate(entries):
            made[day, name].append(version(f"{word}-{number}-of-many", session_id))
        return made

    first, last = drops(before, "first"), drops(after, "last")
    order = list(last)
    random.Random(seed).shuffle(order)
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        home = home_with(Path(one))
        _write(home, first, order)
        take_in(home)
        for keys in (order[:2], order[2:]):
            _write(home, last, keys)
            take_in(home)
        fresh = home_with(Path(other))
        _write(fresh, last, sorted(last))
        take_in(fresh)

        assert tables(home) == tables(fresh)
        winners: dict[str, tuple[str, str, int, str]] = {}
        for (day, name), records in last.items():
            for number, made in enumerate(records):
                key = (day, name, number, made["event_type"])
                winners[made["session_id"]] = max(key, winners.get(made["session_id"], key))
        assert query(home, CURRENT) == sorted((one_id, winner[3]) for one_id, winner in winners.items())
