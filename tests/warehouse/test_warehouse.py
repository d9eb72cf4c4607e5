"""The DuckDB file: its schema, what it refuses, and that a transaction is all or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.warehouse import FileWarehouse, Rows, Session, WarehouseBusy
from cavra_pipeline.warehouse.schema import EVIDENCE_COLUMNS, VERSION
from tests.support import NOW, delivery, drop, home_with, ingested, query, tables, take_in, worker_run

needs_permissions = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


def test_a_warehouse_is_made_with_its_schema_by_whoever_opens_it_first(tmp_path: Path) -> None:
    with FileWarehouse(tmp_path / "new.duckdb").reading() as session:
        assert session.tuples("SELECT count(*) FROM evidence") == [(0,)]
        assert session.tuples("SELECT schema_version, commit_number FROM identity") == [(VERSION, 0)]


def test_the_columns_are_the_declared_ones_and_each_says_what_it_means(tmp_path: Path) -> None:
    home = ingested(tmp_path, [])
    found = query(
        home,
        "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE table_name = 'evidence_records' "
        "ORDER BY column_index",
    )
    assert found == [(name, type_, comment) for name, type_, comment in EVIDENCE_COLUMNS]
    assert all(comment for _, _, comment in found)
    assert len({name for name, _, _ in found}) == len(found)


def test_every_view_has_a_comment_and_answers(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    views = query(home, "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal")

    assert {"evidence", "deliveries", "delivery_outcomes", "acknowledgements", "retry_plans", "worker_runs",
            "executions", "drop_totals"} <= {name for name, _ in views}  # fmt: skip
    for name, comment in views:
        assert comment, name
        query(home, f"SELECT * FROM {name}")


def test_the_same_evidence_makes_a_schema_once(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    for day in ("2026-06-26", "2026-06-27"):
        drop(home, [delivery()], day=day)
        take_in(home)

    assert query(home, "SELECT count(*) FROM identity") == [(1,)]
    assert query(home, "SELECT count(*) FROM evidence") == [(3,)]


def test_a_warehouse_of_a_newer_release_is_refused_with_a_remedy_and_left_alone(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("UPDATE identity SET schema_version = ?", [VERSION + 1])
    before = home.warehouse.read_bytes()

    for opening in (FileWarehouse(home.warehouse).reading(), FileWarehouse(home.warehouse).writing("a test")):
        with (
            pytest.raises(
                PipelineError, match=f"schema version {VERSION + 1}, this release reads up to {VERSION}"
            ) as e,
            opening,
        ):
            pass
        assert "Upgrade cavra-pipeline" in e.value.remedy
        assert not isinstance(e.value, WarehouseBusy)
    assert home.warehouse.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"this is no database, only a text of some length " * 400, b"SQLite format 3\x00" * 1000]
)
def test_a_file_that_is_no_duckdb_database_is_refused_and_not_touched(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(content)

    for opening in (FileWarehouse(path).reading(), FileWarehouse(path).writing("a test")):
        with pytest.raises(PipelineError, match="not a DuckDB database this version reads") as e, opening:
            pass
        assert (e.value.where, "Move it away" in e.value.remedy) == (str(path), True)
    assert path.read_bytes() == content


def test_a_warehouse_that_holds_state_of_its_own_is_left_for_the_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE schema_version (version INTEGER, migrated_at TIMESTAMP)")
    before = path.read_bytes()

    with (
        pytest.raises(PipelineError, match="stored alerts, claims and reports in it") as e,
        FileWarehouse(path).reading(),
    ):
        pass
    assert "cavra-pipeline upgrade" in e.value.remedy
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    opening = FileWarehouse(tmp_path / "nowhere" / "warehouse.duckdb").reading()
    with pytest.raises(PipelineError, match="the folder can't be written") as raised, opening:
        pass
    assert raised.value.where == str(tmp_path / "nowhere")


@needs_permissions
def test_a_folder_and_a_file_without_permission_are_named(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    home.warehouse.chmod(0)
    try:
        with pytest.raises(PipelineError, match="the file can't be opened"):
            query(home, "SELECT 1")
    finally:
        home.warehouse.chmod(0o600)
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    opening = FileWarehouse(folder / "warehouse.duckdb").reading()
    with pytest.raises(PipelineError, match="the folder can't be written"), opening:
        pass


def test_a_transaction_that_fails_leaves_nothing_and_frees_the_file(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    before = tables(home)
    warehouse = FileWarehouse(home.warehouse, busy_wait_seconds=0.2)

    def change(session: Session, last: str) -> None:
        session.execute("DELETE FROM evidence_records")
        session.execute("CREATE TABLE left_behind (a INTEGER)")
        session.execute(last)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), warehouse.writing("a test") as session:
        change(session, "DELETE FROM drops")
    with pytest.raises(duckdb.CatalogException), warehouse.writing("a test") as session:
        change(session, "SELECT * FROM no_such_table")

    assert tables(home) == before
    assert query(home, "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'left_behind'") == [(0,)]


def test_a_first_transaction_that_fails_leaves_an_empty_file_that_the_next_one_fills(tmp_path: Path) -> None:
    warehouse = FileWarehouse(tmp_path / "warehouse.duckdb", busy_wait_seconds=0.2)
    with pytest.raises(ZeroDivisionError), warehouse.writing("a test"):
        raise ZeroDivisionError

    with warehouse.reading() as session:
        assert session.tuples("SELECT count(*) FROM evidence") == [(0,)]


@pytest.mark.parametrize("rows", [[], [(1, None)], [(2, "b"), (1, "a")]])
def test_rows_are_staged_for_the_statements_inside_and_no_other(rows: list[tuple[object, ...]], tmp_path: Path) -> None:
    warehouse = FileWarehouse(tmp_path / "warehouse.duckdb")
    with warehouse.writing("a test") as session:
        for _ in range(2):
            with session.staged(staged_rows=Rows({"number": "BIGINT", "name": "VARCHAR"}, rows)):
                assert session.tuples("SELECT * FROM staged_rows") == rows
            found = session.tuples("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'staged_rows'")
            assert found == [(0,)]


def test_an_answer_is_kept_for_the_statements_inside_and_no_other(tmp_path: Path) -> None:
    parameters: dict[str, object] = {
        "lane": "recovery_escalation", "instants": [NOW.replace(tzinfo=None)], "runs_since": None, "plans_since": None
    }  # fmt: skip
    home = ingested(tmp_path, [worker_run(), delivery()])
    kept = "SELECT count(*) FROM runs_and_plans"
    with warehouse_of(home).reading() as session:
        with session.kept("cavra_pipeline.reports", "runs_and_plans", parameters):
            assert session.tuples(kept) == [(1,)]
        with pytest.raises(duckdb.CatalogException):
            session.tuples(kept)
        assert session.tuples("SELECT count(*) FROM evidence") == [(2,)]


def test_a_reader_can_not_write(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])

    with (
        FileWarehouse(home.warehouse).reading() as session,
        pytest.raises(duckdb.InvalidInputException, match="read-only"),
    ):
        session.execute("DELETE FROM evidence_records")
    assert query(home, "SELECT count(*) FROM evidence") == [(1,)]


def test_two_readers_read_at_once_and_a_writer_waits_for_them_no_longer_than_it_was_told(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    warehouse = FileWarehouse(home.warehouse, busy_wait_seconds=0.2)

    with warehouse.reading() as one, warehouse.reading() as other:
        assert one.tuples("SELECT count(*) FROM evidence") == other.tuples("SELECT count(*) FROM evidence") == [(1,)]
        with pytest.raises(WarehouseBusy), warehouse.writing("a test"):
            pass
    with warehouse.writing("a test") as session:
        assert session.tuples("SELECT count(*) FROM evidence") == [(1,)]


def test_a_statement_that_fails_on_a_value_does_not_repeat_the_value(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(event_type="a value of a record")])

    with FileWarehouse(home.warehouse).reading() as session, pytest.raises(RuntimeError) as raised:
        session.tuples("SELECT event_type::INTEGER FROM evidence")
    assert "a value of a record" not in str(raised.value)


def test_the_home_says_when_it_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")

    with pytest.raises(PipelineError, match="the home folder can't be written") as raised:
        home_with(tmp_path)
    assert "CAVRA_HOME" in raised.value.where
