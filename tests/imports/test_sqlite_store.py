"""CAVRA's SQLite store: dated by its rows, and refused with a remedy while it is being written or incomplete."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from cavra_pipeline.evidence import sqlite_store as module
from tests.imports.sources import TABLE, bring, bring_what_can_be, sqlite_store
from tests.support import NOW, Record, delivery, home_with, query, take_in

RECORDS = [delivery(session_id=f"s-{n}") for n in range(3)]
AT = "2026-06-24T07:08:09.000010+00:00"


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BUSY_SECONDS", 0.1)


def undated(**fields: object) -> Record:
    return {key: value for key, value in delivery(session_id="a").items() if key != "created_at"} | fields


def dated_by_row(path: Path, payload: str, created_at: object = AT) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(TABLE)
        connection.execute(
            "INSERT INTO evidence_metadata (session_id, created_at, payload) VALUES ('a', ?, ?)", (created_at, payload)
        )
        connection.commit()
    return path


NESTED = {"delivery": {"deliveries": [{"provider": "slack", "created_at": "2020-01-01T00:00:00Z"}]}}
PAYLOADS = {
    "none": json.dumps(undated()),
    "one nested only": json.dumps({**NESTED, **undated()}),
    "null": json.dumps({"created_at": None, **undated()}),
    "empty": json.dumps(undated(created_at="")),
    "over several lines": json.dumps(undated(), indent=2),
    "its words in a text": json.dumps(undated(note='"created_at": "2020"')),
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_payload_without_created_at_has_that_of_its_row(payload: str, tmp_path: Path) -> None:
    home = home_with(tmp_path)

    result = bring(home, dated_by_row(tmp_path / "e.db", payload))

    assert (result.imported_count, result.quarantined_count) == (1, 0)
    assert [name.split("/")[0] for name in result.written] == ["2026-06-24"]
    take_in(home)
    assert query(home, "SELECT session_id, created_at::VARCHAR FROM evidence") == [("a", "2026-06-24 07:08:09.00001")]


def test_a_payload_with_created_at_keeps_its_own_and_stands_as_it_is(tmp_path: Path) -> None:
    home = home_with(tmp_path)

    bring(home, dated_by_row(tmp_path / "e.db", json.dumps(undated(created_at="2026-06-23T01:02:03Z"))))

    take_in(home)
    assert query(home, "SELECT created_at::VARCHAR FROM evidence") == [("2026-06-23 01:02:03",)]


@pytest.mark.parametrize("created_at", [None, "", 7, "not a time"])
def test_a_row_that_has_no_time_either_is_quarantined(created_at: object, tmp_path: Path) -> None:
    result = bring(home_with(tmp_path), dated_by_row(tmp_path / "e.db", json.dumps(undated()), created_at))

    assert (result.imported_count, result.quarantined_count) == (0, 1)


SESSION = {"session_id": "api-session", "product": "CAVRA", "schema_version": "cavra.evidence.metadata.v1"}


@pytest.mark.parametrize("created_at", [{}, {"created_at": None}, {"created_at": ""}], ids=["none", "null", "empty"])
def test_an_agent_session_without_a_time_is_kept_under_the_day_of_its_import(
    created_at: dict[str, object], tmp_path: Path
) -> None:
    home = home_with(tmp_path)

    first = bring(home, dated_by_row(tmp_path / "e.db", json.dumps(SESSION | created_at), ""))
    again = bring(
        home, dated_by_row(tmp_path / "f.db", json.dumps(SESSION | created_at), ""), now=NOW + timedelta(days=1)
    )

    assert (first.imported_count, first.quarantined_count) == (1, 0)
    assert (again.imported_count, again.known_count) == (0, 1)
    take_in(home)
    found = query(home, "SELECT session_id, metadata_kind, created_at::VARCHAR FROM evidence_records")
    assert found == [("api-session", None, f"{NOW.date()} 00:00:00")]


NOT_KEPT = {
    "a kind": SESSION | {"metadata_kind": "release-connector-delivery"},
    "another schema": SESSION | {"schema_version": "cavra.report.v1"},
    "no schema": {"session_id": "a"},
    "a time that is none": SESSION | {"created_at": "soon"},
    "no session_id": {key: value for key, value in SESSION.items() if key != "session_id"},
    "a secret in its name": SESSION | {"session_id": "gh" + "p_" + "q7Zr2Xw9Lm4Tb6Vn8Kd3Hs5Jf1Gp0Yc1ab12"},
}


@pytest.mark.parametrize("record", NOT_KEPT.values(), ids=NOT_KEPT)
def test_another_record_without_a_time_is_quarantined(record: dict[str, object], tmp_path: Path) -> None:
    home = home_with(tmp_path)

    result = bring(home, dated_by_row(tmp_path / "e.db", json.dumps(record), ""))

    assert (result.imported_count, result.quarantined_count) == (0, 1)
    take_in(home)
    assert query(home, "SELECT count(*) FROM evidence_records") == [(0,)]


def test_a_store_without_the_other_columns_is_read(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "e.db")) as connection:
        connection.execute("CREATE TABLE evidence_metadata (session_id TEXT, payload TEXT)")
        connection.execute("INSERT INTO evidence_metadata VALUES ('a', ?)", (json.dumps(RECORDS[0]),))
        connection.commit()

    assert bring(home_with(tmp_path), tmp_path / "e.db").imported_count == 1


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A program that has the store open."""
    path = sqlite_store(tmp_path / "live.db", RECORDS)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def insert(connection: sqlite3.Connection, count: int) -> None:
    for n in range(count):
        record = delivery(session_id=f"t-{n}", note="n" * 2000)
        connection.execute(
            "INSERT INTO evidence_metadata (session_id, payload) VALUES (?, ?)", (f"t-{n}", json.dumps(record))
        )


def test_a_store_that_is_locked_is_said_with_a_remedy(writer: sqlite3.Connection, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    writer.execute("BEGIN EXCLUSIVE")

    (failure,) = bring_what_can_be(home, tmp_path / "live.db").failures

    assert failure.what == "another program is writing the SQLite store (SQLITE_BUSY)"
    assert ".backup" in failure.remedy
    writer.execute("COMMIT")
    assert bring(home, tmp_path / "live.db").imported_count == 3


def test_a_writer_that_has_not_begun_to_write_the_file_is_no_hindrance(
    writer: sqlite3.Connection, tmp_path: Path
) -> None:
    writer.execute("BEGIN IMMEDIATE")
    insert(writer, 1)

    assert bring(home_with(tmp_path), tmp_path / "live.db").imported_count == 3


def test_a_store_left_in_the_middle_of_a_write_is_said(writer: sqlite3.Connection, tmp_path: Path) -> None:
    writer.execute("PRAGMA cache_size = 1")
    writer.execute("BEGIN IMMEDIATE")
    insert(writer, 500)
    for suffix in ("", "-journal"):
        shutil.copy(tmp_path / f"live.db{suffix}", tmp_path / f"left.db{suffix}")

    (failure,) = bring_what_can_be(home_with(tmp_path), tmp_path / "left.db").failures

    assert failure.what.startswith("the SQLite store was left in the middle of a write")
    assert (tmp_path / "left.db-journal").exists()
    (tmp_path / "left.db-journal").unlink()
    (said,) = bring_what_can_be(home_with(tmp_path), tmp_path / "left.db").notes
    assert "longer than its header says" in said


def test_a_store_in_wal_mode_is_read_with_what_its_log_holds(writer: sqlite3.Connection, tmp_path: Path) -> None:
    writer.execute("PRAGMA journal_mode = wal")
    insert(writer, 2)

    result = bring(home_with(tmp_path), tmp_path / "live.db")

    assert (result.imported_count, result.notes) == (5, [])


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_store_in_wal_mode_without_its_log_is_imported_with_a_note(
    suffix: str, writer: sqlite3.Connection, tmp_path: Path
) -> None:
    writer.execute("PRAGMA journal_mode = wal")
    insert(writer, 2)
    content = (tmp_path / "live.db").read_bytes()
    folder = tmp_path / "copy"
    folder.mkdir()
    copy = folder / f"e.db{suffix}"
    copy.write_bytes(gzip.compress(content) if suffix else content)

    result = bring(home_with(tmp_path), copy)

    assert result.imported_count == 3
    (said,) = result.notes
    assert said.startswith(f"{copy}: the SQLite store is in WAL mode and its -wal file is not beside it")
    assert [path.name for path in folder.iterdir()] == [copy.name]


def test_a_store_whose_table_is_in_the_log_that_was_not_copied_is_a_failure(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "live.db")) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute(TABLE)
        connection.commit()
        shutil.copy(tmp_path / "live.db", tmp_path / "copy.db")

    (failure,) = bring_what_can_be(home_with(tmp_path), tmp_path / "copy.db").failures

    assert failure.what == "the SQLite store is in WAL mode and its -wal file is not beside it"
    assert "Copy both files" in failure.remedy
