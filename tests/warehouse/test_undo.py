"""A process that dies while DuckDB writes over its metadata: the file is whole again, with all that was committed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import duckdb
import pytest

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.warehouse import Warehouse
from cavra_pipeline.warehouse.undo import journal_of, roll_back

PAGE: Final = 4096
FIRST_BLOCK: Final = 3 * PAGE
BLOCK: Final = 256 * 1024

State = dict[str, bytes]


def warehouse(folder: Path) -> Warehouse:
    return Warehouse(folder / "warehouse.duckdb", busy_wait_seconds=20, threads=1)


def files(folder: Path) -> State:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def put(folder: Path, state: State) -> Warehouse:
    for path in folder.iterdir():
        path.unlink()
    for name, content in state.items():
        (folder / name).write_bytes(content)
    return warehouse(folder)


def numbers(one: Warehouse) -> list[tuple[object, ...]]:
    with one.reading() as session:
        return session.tuples("SELECT number FROM kept ORDER BY number")


#: Commits a second row and dies before DuckDB closes the file, which is when it would write its checkpoint.
COMMITS_AND_DIES = """
import os, signal, sys
from pathlib import Path
from cavra_pipeline.warehouse import Warehouse
with Warehouse(Path(sys.argv[1]), threads=1).writing('commit and die') as session:
    session.execute('INSERT INTO kept VALUES (2)')
    session.execute('COMMIT')
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def states(tmp_path: Path) -> tuple[State, State]:
    """The files after a commit and before its checkpoint, as a killed writer leaves them; and after the checkpoint."""
    made = warehouse(tmp_path)
    with made.writing("first") as session:
        session.execute("CREATE TABLE kept AS SELECT 1 AS number")
    done = subprocess.run([sys.executable, "-c", COMMITS_AND_DIES, str(made.path)], check=False)
    assert done.returncode == -signal.SIGKILL
    before = files(tmp_path)
    with duckdb.connect(str(made.path)):  # replays the log and, closing, writes the checkpoint
        pass
    after = files(tmp_path)
    assert before.keys() == after.keys() | {made.log.name}
    return before, after


def torn(before: State, after: State, name: str, at: int) -> State:
    """What is on disk if the write over the first block ended at a page: new up to there, old from there on."""
    old, new = before[name], after[name]
    return {**before, name: old[:FIRST_BLOCK] + new[FIRST_BLOCK : FIRST_BLOCK + at] + old[FIRST_BLOCK + at :]}


def test_wherever_a_write_over_the_metadata_is_cut_all_that_was_committed_is_there(
    tmp_path: Path, states: tuple[State, State]
) -> None:
    before, after = states
    name = warehouse(tmp_path).path.name
    refused = 0
    for at in range(0, BLOCK + PAGE, PAGE):
        crashed = torn(before, after, name, at)
        bare = put(tmp_path, {key: content for key, content in crashed.items() if not key.endswith(".undo")})
        try:
            duckdb.connect(str(bare.path), read_only=True).close()
        except duckdb.Error:
            refused += 1
        one = put(tmp_path, crashed)
        assert numbers(one) == [(1,), (2,)], f"cut after {at} bytes"
        assert not journal_of(one.path).exists()

    assert refused, "no cut harms the file without a journal: this test shows nothing"


def test_a_checkpoint_that_came_to_its_end_is_not_undone(tmp_path: Path, states: tuple[State, State]) -> None:
    _, after = states
    one = put(tmp_path, after)

    assert not roll_back(one.path)
    assert files(tmp_path) == {name: content for name, content in after.items() if not name.endswith(".undo")}
    assert numbers(one) == [(1,), (2,)]


@pytest.mark.parametrize("kept", [0, 1, 40, 60, 5000, -1])
def test_a_journal_that_is_not_whole_is_from_before_the_checkpoint_and_changes_nothing(
    tmp_path: Path, states: tuple[State, State], kept: int
) -> None:
    before, _ = states
    journal = journal_of(warehouse(tmp_path).path).name
    one = put(tmp_path, {**before, journal: before[journal][:kept]})

    assert not roll_back(one.path)
    assert files(tmp_path)[one.path.name] == before[one.path.name]
    assert numbers(one) == [(1,), (2,)]


def test_a_writer_goes_on_from_a_torn_file_and_so_does_one_that_was_killed_while_putting_it_right(
    tmp_path: Path, states: tuple[State, State]
) -> None:
    before, after = states
    one = put(tmp_path, torn(before, after, warehouse(tmp_path).path.name, 5 * PAGE))
    journal = journal_of(one.path).read_bytes()
    assert roll_back(one.path)
    journal_of(one.path).write_bytes(journal)  # as if it had died before it removed it

    with one.writing("go on") as session:
        session.execute("INSERT INTO kept VALUES (3)")
    assert numbers(one) == [(1,), (2,), (3,)]
    assert sorted(files(tmp_path)) == ["warehouse.duckdb", "warehouse.duckdb.gate"]


def test_where_no_journal_can_be_written_nothing_is_changed(tmp_path: Path) -> None:
    one = warehouse(tmp_path)
    with one.writing("first") as session:
        session.execute("CREATE TABLE kept AS SELECT 1 AS number")
    before = one.path.read_bytes()
    journal_of(one.path).mkdir()

    with pytest.raises(PipelineError, match="killed process"), one.writing("second"):
        raise AssertionError("it was let in")
    journal_of(one.path).rmdir()
    assert one.path.read_bytes() == before
    assert numbers(one) == [(1,)]


def test_a_commit_and_a_failed_one_leave_no_journal_and_a_reader_makes_none(tmp_path: Path) -> None:
    one = warehouse(tmp_path)
    with one.writing("first") as session:
        session.execute("CREATE TABLE kept AS SELECT 1 AS number")
        assert journal_of(one.path).exists()
    with pytest.raises(duckdb.CatalogException), one.writing("second") as session:
        session.execute("INSERT INTO kept VALUES (2); INSERT INTO what_is_not_there VALUES (2)")
    with one.reading():
        assert not journal_of(one.path).exists()
    assert numbers(one) == [(1,)]


def test_the_lock_is_held_while_the_journal_is_there(tmp_path: Path) -> None:
    """Closing a handle of the file would drop DuckDB's lock; another process must be refused to the end."""
    one = warehouse(tmp_path)
    intruder = "import duckdb, sys; duckdb.connect(sys.argv[1])"
    with one.writing("first") as session:
        session.execute("CREATE TABLE kept AS SELECT 1 AS number")
        done = subprocess.run(
            [sys.executable, "-c", intruder, str(one.path)],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 1
        assert "lock" in done.stderr
