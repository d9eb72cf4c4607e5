"""Import twice, later, newer: nothing changes that should not, and the newer version wins."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from cavra_pipeline.evidence.landing import sidecar_of
from tests.imports.sources import bring, json_lines, json_store, landed, sqlite_store
from tests.support import DAY, NOW, Line, at, delivery, home_with, query, sha256, tables, take_in

pytestmark = pytest.mark.slow

MIXED: list[Line] = [
    delivery(session_id="a", note="dropped"),
    delivery(at(60 * 24), session_id="b"),
    "no json",
    {"session_id": ""},
]


def test_the_same_import_twice_changes_no_byte_of_the_landing_zone_and_nothing_is_ingested_again(
    tmp_path: Path,
) -> None:
    home = home_with(tmp_path)
    source = json_lines(tmp_path / "e.jsonl", MIXED)
    first = bring(home, source)
    before = landed(home)
    take_in(home)

    again = bring(home, source)

    assert (len(first.written), again.written, again.known_count) == (3, [], 4)
    assert landed(home) == before
    assert take_in(home).drops == []


def test_importing_the_landing_zone_changes_nothing_and_another_home_has_the_same_evidence_of_it(
    tmp_path: Path,
) -> None:
    home, other = home_with(tmp_path / "here"), home_with(tmp_path / "there")
    lines: list[Line] = [
        delivery(session_id="a", event_type="two words", signer="on-call@example.com", note="dropped"),
        "no json",
    ]
    bring(home, json_lines(tmp_path / "e.jsonl", lines))
    take_in(home)
    before = landed(home)

    again = bring(home, home.landing)
    beside = bring(other, home.landing)
    take_in(other)

    assert (again.received_count, again.written, landed(home)) == (0, [], before)
    assert again.notes == [f"{home.landing}: what lies in the landing zone is not imported again"]
    assert (beside.imported_count, beside.finding_count, beside.quarantined_count) == (1, 0, 0)
    columns = "SELECT session_id, event_type, signer FROM evidence"
    assert query(other, columns) == query(home, columns)


def test_the_next_day_the_same_import_changes_nothing_either_not_even_for_what_can_not_be_dated(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    source = json_lines(tmp_path / "e.jsonl", MIXED)
    bring(home, source)
    before = landed(home)

    again = bring(home, source, now=NOW + timedelta(days=1))

    assert again.written == []
    assert landed(home) == before


def test_the_same_records_from_another_shape_change_nothing(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    records = [delivery(at(2), session_id="a"), delivery(at(1), session_id="b")]
    bring(home, json_store(tmp_path / "e.json", records, indent=None))
    before = landed(home)

    again = [
        bring(home, json_lines(tmp_path / "e.jsonl", records)),
        bring(home, sqlite_store(tmp_path / "e.db", records)),
    ]

    assert [result.written for result in again] == [[], []]
    assert landed(home) == before


def test_a_later_import_of_a_newer_version_wins_and_importing_the_old_one_again_does_not_bring_it_back(
    tmp_path: Path,
) -> None:
    home = home_with(tmp_path)
    old = json_lines(tmp_path / "z-old.jsonl", [delivery(session_id="a", plan_id="old")])
    new = json_lines(tmp_path / "a-new.jsonl", [delivery(session_id="a", plan_id="new")])
    current = "SELECT session_id, plan_id FROM evidence"

    bring(home, old)
    take_in(home)
    assert query(home, current) == [("a", "old")]
    bring(home, new)
    take_in(home)
    assert query(home, current) == [("a", "new")]

    bring(home, old)
    take_in(home)
    assert query(home, current) == [("a", "new")]
    assert query(home, "SELECT sum(accepted_count), sum(superseded_count) FROM drop_totals") == [(1, 1)]


def test_ten_imports_of_one_day_keep_their_order(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    for version in range(12):
        bring(home, json_lines(tmp_path / "e.jsonl", [delivery(session_id="a", plan_id=f"v{version}")]))

    take_in(home)

    assert query(home, "SELECT plan_id FROM evidence") == [("v11",)]


def test_a_quarantined_record_is_handed_on_as_its_row_only(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    bad = '{"session_id": "canary-content", "metadata_kind": "x-canary", "created_at": "not a time"}'
    bring(home, json_lines(tmp_path / "e.jsonl", [delivery(session_id="good"), bad]))

    content = landed(home)
    take_in(home)

    assert not any(b"canary" in one for one in content.values())
    assert query(home, "SELECT source_file, line_number, sha256, reason, field FROM quarantine") == [
        ("e.jsonl", 2, sha256(bad.encode()), "bad_timestamp", "created_at")
    ]
    assert query(home, "SELECT sum(received_count), sum(accepted_count), sum(quarantined_count) FROM drop_totals") == [
        (2, 1, 1)
    ]


def test_a_forged_sidecar_is_refused_with_its_drop_and_a_new_import_of_the_source_heals_it(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    source = json_lines(tmp_path / "e.jsonl", [delivery(session_id="a", note="x")])
    (written,) = bring(home, source).written
    sidecar = sidecar_of(home.landing / written)
    sidecar.write_text(sidecar.read_text().replace('"dropped_field_count": 1', '"dropped_field_count": "canary"'))

    (failure,) = take_in(home).failures

    assert "sidecar is not one that import wrote" in str(failure)
    assert "canary" not in str(failure)
    assert query(home, "SELECT count(*) FROM evidence") == [(0,)]
    sidecar.unlink()
    (home.landing / written).unlink()
    bring(home, source)
    assert take_in(home).failures == []
    assert query(home, "SELECT session_id FROM evidence") == [("a",)]


def test_an_import_that_was_killed_half_way_leaves_nothing_that_is_ingested(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    left = home.landing / ".import-left"
    left.mkdir()
    json_lines(left / f"{DAY}.jsonl", [delivery(session_id="half")])
    (home.landing / DAY).mkdir()
    (home.landing / DAY / "import-000001-0123456789abcdef.jsonl.boundary.json").write_text("{}")

    assert take_in(home).drops == []
    bring(home, json_lines(tmp_path / "e.jsonl", [delivery(session_id="whole")]))
    assert take_in(home).failures == []
    assert query(home, "SELECT session_id FROM evidence") == [("whole",)]


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_order_in_which_unrelated_sources_are_imported_does_not_matter(shuffled: bool, tmp_path: Path) -> None:
    def made(where: Path, reverse: bool) -> dict[str, list[tuple[object, ...]]]:
        where.mkdir()
        home = home_with(where)
        sources = [json_lines(where / f"{n}.jsonl", [delivery(at(n), session_id=f"s-{n}")]) for n in range(5)]
        for source in reversed(sources) if reverse else sources:
            bring(home, source)
        take_in(home)
        found = tables(home)
        return {"evidence": sorted((row[0], row[1]) for row in found["evidence_records"])}

    assert made(tmp_path / "one", False) == made(tmp_path / "two", shuffled)
