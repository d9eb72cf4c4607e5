"""The warehouse file is derived: deleted, garbled or restored from a backup, the next command makes it right again."""

from __future__ import annotations

import logging
import os
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cavra_pipeline.errors import PipelineError, TransientError
from cavra_pipeline.evidence.keeper import HomeKeeper, rebuild
from cavra_pipeline.lanes import LANES
from cavra_pipeline.retry.acknowledge import acknowledge
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse import Session
from cavra_pipeline.warehouse.base import ATTEMPTS, WriteConflict
from tests.support import (
    AS_OF,
    ask_health,
    ask_plan,
    at,
    delivery,
    drop,
    file_of,
    home_with,
    query,
    query_state,
    tables,
    take_in,
)
from tests.worker.support import Crash

pytestmark = pytest.mark.slow

CONTENT = "SELECT * FROM evidence_records ORDER BY drop_day, file_name, line_number"


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """Two days of evidence, a quarantined line and a newer version of a record."""
    lines = [delivery(at(60 + n), subject=f"run-{n}", failed=["slack"], session_id=f"d{n}") for n in range(30)]
    made = home_with(tmp_path, {"2026-06-24": [*lines, "{no json"], "2026-06-25": [lines[0] | {"attempt_count": 3}]})
    take_in(made)
    return made


def answers(home: Settings) -> Any:
    held = {name: rows for name, rows in tables(home).items() if name not in ("identity", "drops")}
    return held, ask_plan(home), ask_health(home), query(home, CONTENT)


def overwrite_all(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


def overwrite_the_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(random.Random(2).randbytes(8192))


def truncate(path: Path) -> None:
    os.truncate(path, 20_000)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def put_another_database_there(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" * 1000)


def put_a_foreign_duckdb_file_there(path: Path) -> None:
    path.unlink()
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE of_somebody_else (a INTEGER)")


@pytest.mark.parametrize(
    "harm",
    [
        Path.unlink,
        overwrite_all,
        overwrite_the_header,
        truncate,
        empty,
        put_another_database_there,
        put_a_foreign_duckdb_file_there,
    ],
)
@pytest.mark.parametrize("is_writer", [False, True], ids=["a reader", "a writer"])
def test_a_lost_or_garbled_file_is_made_again_by_whoever_opens_it_next(
    home: Settings, harm: Callable[[Path], None], is_writer: bool, caplog: pytest.LogCaptureFixture
) -> None:
    before = answers(home)
    harm(home.warehouse)

    with caplog.at_level(logging.WARNING):
        if is_writer:
            take_in(home)
        after = answers(home)

    assert after == before
    set_aside = list(home.home.glob("warehouse.duckdb.refused-*"))
    assert len(set_aside) == (harm is not Path.unlink)
    assert "was rebuilt from 2 landing files" in caplog.text
    ((because, name),) = query_state(home, "SELECT made_because, set_aside_as FROM warehouses ORDER BY made_at")[1:]
    assert because == ("missing" if harm is Path.unlink else "refused")
    assert name == (set_aside[0].name if set_aside else None)


def lose_before_the_state_knows(
    home: Settings, harm: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, *, most: int
) -> list[None]:
    """Loses the file between a commit and what the state stores of it, the first times; returns the commits so far."""
    committed, commits = HomeKeeper.committed, list[None]()

    def lost_then_committed(keeper: HomeKeeper, *given: Any) -> None:
        commits.append(None)
        if len(commits) <= most:
            harm(home.warehouse)
        committed(keeper, *given)

    monkeypatch.setattr(HomeKeeper, "committed", lost_then_committed)
    return commits


@pytest.mark.parametrize("harm", [Path.unlink, overwrite_all, truncate])
def test_an_ingest_whose_file_is_lost_before_the_state_knows_of_it_is_repeated(
    home: Settings, harm: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = query(home, "SELECT count(*) FROM evidence_records")[0][0]
    drop(home, [delivery(at(5), subject="run-new", failed=["slack"])], day="2026-06-25", name="new.jsonl")
    losses = lose_before_the_state_knows(home, harm, monkeypatch, most=1)

    take_in(home)
    assert len(losses) == 2, "the commit that was lost, and the one that stands"
    assert query(home, "SELECT count(*) FROM evidence_records WHERE subject = 'run-new'") == [(1,)]
    assert query(home, "SELECT count(*) FROM evidence_records") == [(before + 1,)]
    assert query_state(home, "SELECT count(*) FROM ingested_files") == [(3,)]


def test_an_acknowledgement_whose_file_is_lost_while_it_is_written_is_recorded_once(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute, harmed = Session._execute, list[None]()

    def then_lose(session: Session, sql: str, parameters: Any) -> Any:
        done = execute(session, sql, parameters)
        if "INSERT INTO drops" in sql and not harmed:
            harmed.append(None)
            overwrite_all(home.warehouse)
            # What DuckDB says of the next block that it has to read.
            raise duckdb.IOException("Corrupt database file: computed checksum 1 does not match stored checksum 2")
        return done

    with monkeypatch.context() as patched:
        patched.setattr(Session, "_execute", then_lose)
        acknowledge(
            home,
            LANES["recovery_escalation"],
            subject="run-1",
            provider="slack",
            state="acknowledged",
            by="lead",
            now=AS_OF,
        )
    assert harmed, "the file was lost"
    counted = "SELECT count(*) FROM evidence WHERE record_type = 'acknowledgement'"
    assert query(home, counted) == [(1,)]
    assert len(list(home.landing.glob("*/cavra-pipeline-acknowledgement-*"))) == 1


def test_an_ingest_whose_file_is_lost_each_time_says_to_repeat_it(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(home, [delivery(at(5), subject="run-new", failed=["slack"])], day="2026-06-25", name="new.jsonl")
    with monkeypatch.context() as patched:
        losses = lose_before_the_state_knows(home, Path.unlink, patched, most=ATTEMPTS)
        with pytest.raises(WriteConflict, match="lost after a commit") as refused:
            take_in(home)
    assert len(losses) == ATTEMPTS
    assert refused.value.remedy.startswith("Repeat it")

    take_in(home)
    assert query_state(home, "SELECT count(*) FROM ingested_files") == [(3,)]


def test_an_ingest_whose_state_is_busy_after_the_commit_stands(
    home: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    drop(home, [delivery(at(5), subject="run-new", failed=["slack"])], day="2026-06-25", name="new.jsonl")

    def busy(*_: object) -> None:
        raise TransientError("the state is busy", where="the state", remedy="wait")

    monkeypatch.setattr(HomeKeeper, "committed", busy)
    with caplog.at_level(logging.WARNING):
        take_in(home)
    monkeypatch.undo()
    assert "the state does not know it yet" in caplog.text
    assert query(home, "SELECT count(*) FROM evidence_records WHERE subject = 'run-new'") == [(1,)]
    assert query_state(home, "SELECT count(*) FROM ingested_files") == [(2,)]

    take_in(home)
    assert query_state(home, "SELECT count(*) FROM ingested_files") == [(3,)]


def test_noise_inside_the_file_fails_one_command_at_most_and_the_next_is_right(home: Settings) -> None:
    before = answers(home)
    content = bytearray(home.warehouse.read_bytes())
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        used = connection.execute(
            "SELECT DISTINCT block_id FROM pragma_storage_info('evidence_records') WHERE persistent"
        ).fetchall()
    for (block,) in used:
        start = 12288 + block * 262144
        content[start + 1000 : start + 2000] = random.Random(3).randbytes(1000)
    home.warehouse.write_bytes(bytes(content))

    # Whether opening finds it, or the first statement that reads it, depends on what else the blocks hold.
    with suppress(TransientError):
        query(home, CONTENT)
    assert answers(home) == before
    assert len(list(home.home.glob("*.refused-*"))) == 1


def test_a_log_without_its_file_is_not_read_into_the_new_one(home: Settings) -> None:
    before = answers(home)
    home.warehouse.unlink()
    file_of(home).log.write_bytes(b"left of another file")

    assert answers(home) == before


def test_a_warehouse_from_an_older_backup_is_made_again_from_all_that_the_state_knows(home: Settings) -> None:
    backup = home.warehouse.read_bytes()
    drop(home, [delivery(at(5), subject="late", failed=["slack"])], name="late.jsonl")
    take_in(home)
    before = answers(home)
    home.warehouse.write_bytes(backup)

    assert answers(home) == before
    assert query_state(home, "SELECT made_because FROM warehouses ORDER BY made_at")[-1:] == [("older_than_state",)]


def test_a_warehouse_that_the_state_knows_well_is_left_as_it_is(home: Settings) -> None:
    marks = file_of(home).stamp()
    answers(home)

    assert file_of(home).stamp() == marks
    assert len(query_state(home, "SELECT * FROM warehouses")) == 1


@pytest.mark.parametrize("is_older", [False, True], ids=["lost", "older"])
def test_a_state_that_is_lost_or_older_learns_from_the_warehouse_what_was_ingested(
    home: Settings, is_older: bool
) -> None:
    path = home.home / "state.db"
    backup = path.read_bytes()
    drop(home, [delivery(at(5), subject="late", failed=["slack"])], name="late.jsonl")
    take_in(home)
    before = answers(home)
    path.unlink()
    if is_older:
        path.write_bytes(backup)

    assert answers(home) == before
    take_in(home)
    drop(home, [delivery(at(4), subject="later", failed=["slack"])], name="later.jsonl")
    take_in(home)
    assert len(query_state(home, "SELECT * FROM ingested_files")) == 4
    home.warehouse.unlink()
    assert query(home, "SELECT count(*) FROM drops") == [(4,)]


def test_the_next_ingest_tells_the_state_of_a_commit_whose_process_was_killed(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(home, [delivery(at(5), subject="late", failed=["slack"])], name="late.jsonl")
    with monkeypatch.context() as patched:
        patched.setattr(HomeKeeper, "_remember", lambda *_: (_ for _ in ()).throw(Crash))
        with pytest.raises(Crash):
            take_in(home)
    assert len(query_state(home, "SELECT * FROM ingested_files")) == 2

    assert take_in(home).drops == []

    assert len(query_state(home, "SELECT * FROM ingested_files")) == 3
    marks = file_of(home).stamp()
    take_in(home)
    assert file_of(home).stamp() == marks, "what is told already is not told again"
    before = answers(home)
    home.warehouse.unlink()
    assert answers(home) == before


@pytest.mark.parametrize("is_landing_empty", [False, True], ids=["other days", "no landing files"])
def test_the_state_is_told_of_commits_also_where_an_ingest_has_nothing_to_read(
    home: Settings, is_landing_empty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(home, [delivery(at(5), subject="late", failed=["slack"])], name="late.jsonl")
    with monkeypatch.context() as patched:
        patched.setattr(HomeKeeper, "_remember", lambda *_: (_ for _ in ()).throw(Crash))
        with pytest.raises(Crash):
            take_in(home)
    changes = len(query_state(home, "SELECT * FROM evidence_changes"))
    if is_landing_empty:
        shutil.rmtree(home.landing)
    else:
        drop(home, [delivery(at(4), subject="later", failed=["slack"])], name="later.jsonl")

    assert take_in(home, days=[AS_OF.date() + timedelta(days=1)]).drops == []

    assert len(query_state(home, "SELECT * FROM ingested_files")) == 3
    assert len(query_state(home, "SELECT * FROM evidence_changes")) == changes + 1
    assert query(home, "SELECT count(*) FROM evidence WHERE subject = 'later'") == [(0,)]


def test_with_state_and_warehouse_gone_the_next_ingest_reads_the_landing_zone(home: Settings) -> None:
    before = answers(home)
    home.warehouse.unlink()
    (home.home / "state.db").unlink()

    assert query(home, "SELECT count(*) FROM drops") == [(0,)]
    take_in(home)
    assert answers(home) == before


@pytest.mark.parametrize("harm", [Path.unlink, overwrite_all, None], ids=["deleted", "garbled", "intact"])
def test_landing_files_that_are_gone_are_named_and_left_out_only_on_request(
    home: Settings, harm: Callable[[Path], None] | None
) -> None:
    (home.landing / "2026-06-24" / "evidence.jsonl").unlink()
    if harm:
        harm(home.warehouse)
    before = home.warehouse.read_bytes() if home.warehouse.exists() else None
    asked: list[Callable[[], object]] = [lambda: rebuild(home, without_missing=False)]
    if harm:
        asked.append(lambda: query(home, "SELECT 1"))

    for opening in asked:
        with pytest.raises(PipelineError, match=r"1 landing files .* 2026-06-24") as raised:
            opening()
        assert "rebuild --without-them" in raised.value.remedy
        assert (home.warehouse.read_bytes() if home.warehouse.exists() else None) == before, "it stays as it was"
    assert not list(home.home.glob("warehouse.duckdb.refused-*"))

    assert rebuild(home, without_missing=True) == 1
    assert query(home, "SELECT count(*) FROM evidence_records") == [(1,)]
    home.warehouse.unlink()
    assert query(home, "SELECT count(*) FROM evidence_records") == [(1,)], "what was left out is forgotten"


def test_a_landing_file_that_can_not_be_read_any_more_counts_as_gone(home: Settings) -> None:
    (home.landing / "2026-06-24" / "evidence.jsonl").write_bytes(b"\x1f\x8b damaged")
    (home.landing / "2026-06-24" / "evidence.jsonl").rename(home.landing / "2026-06-24" / "evidence.jsonl.gz")
    with state_of(home).writing() as connection:
        connection.exec_driver_sql(
            "UPDATE ingested_files SET file_name = 'evidence.jsonl.gz' WHERE drop_day = '2026-06-24'"
        )
    home.warehouse.unlink()

    with pytest.raises(PipelineError, match="can't be read any more"):
        query(home, "SELECT 1")
    assert not home.warehouse.exists()


def test_new_landing_files_wait_for_an_ingest_when_the_warehouse_is_made_again(home: Settings) -> None:
    drop(home, [delivery(at(5), subject="new", failed=["slack"])], name="new.jsonl")
    home.warehouse.unlink()

    assert query(home, "SELECT count(*) FROM drops") == [(2,)]
    take_in(home)
    assert query(home, "SELECT count(*) FROM drops") == [(3,)]
