"""Many writers of one lake: each in its turn, nothing lost, nothing twice, whatever is killed or cut off."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from threading import Barrier
from typing import Any, Final

import pytest
import sqlalchemy as sa

from cavra_pipeline.errors import PipelineError, TransientError, UsageError
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import rebuild, warehouse_of
from cavra_pipeline.evidence.load import IngestResult
from cavra_pipeline.retention.prune import prune
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import leases, state_of
from cavra_pipeline.state.leases import Lease
from cavra_pipeline.warehouse import Session, WarehouseBusy, WriteConflict, lake
from cavra_pipeline.warehouse.lake import LakeWarehouse
from tests.lake.homes import MakeHome, ingest_and_tell, ingest_days, on_lake
from tests.support import (
    DAY,
    NOW,
    Record,
    delivery,
    drop,
    home_with,
    let_leases_expire,
    query,
    query_state,
    tables,
    take_in,
)

_CONTEXT: Final = get_context("forkserver")
KILLS: Final = 3
WAITING: Final = 4
DAYS: Final = [date(2026, 6, 20) + timedelta(days=number) for number in range(6)]


def records(day: date, count: int = 5) -> list[Record]:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return [
        delivery(noon + timedelta(seconds=n), subject=f"{day}-{n}", failed=["slack"], session_id=f"{day}-{n}")
        for n in range(count)
    ]


def by_day(days: list[date] = DAYS) -> dict[str, list[Record]]:
    return {day.isoformat(): records(day) for day in days}


def test_two_processes_that_write_at_once_lose_nothing_and_write_nothing_twice(
    tmp_path: Path, lake_home: MakeHome
) -> None:
    lake, file = lake_home(by_day()), home_with(tmp_path / "file", by_day())
    take_in(file)
    processes = [_CONTEXT.Process(target=ingest_days, args=(lake, DAYS[number::2])) for number in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(150)

    assert [process.exitcode for process in processes] == [0, 0]
    assert tables(lake) == tables(file)
    ((commits,),) = query(lake, "SELECT commit_number FROM identity")
    assert commits == len(DAYS)
    assert query_state(lake, "SELECT count(*) FROM ingested_files") == [(len(DAYS),)]
    assert query_state(lake, "SELECT commit_number FROM warehouses") == [(commits,)]
    assert query_state(lake, "SELECT * FROM leases") == []


def wait_and_ingest(home: Settings, monkeypatch: pytest.MonkeyPatch, **given: Any) -> list[IngestResult]:
    """Ingests in some threads that all wait for their turn; they get it one after the other."""
    waiting = Barrier(WAITING + 1)
    committing = leases.committing

    def wait(*args: Any) -> Any:
        waiting.wait(60)
        return committing(*args)

    with ThreadPoolExecutor(WAITING) as threads:
        with warehouse_of(home).writing("a long ingest"):
            monkeypatch.setattr(lake, "committing", wait)
            done = [threads.submit(ingest, home, now=NOW, **given) for _ in range(WAITING)]
            waiting.wait(60)
            monkeypatch.setattr(lake, "committing", committing)
        return [one.result() for one in done]


def test_whoever_has_its_turn_commits_what_waits_and_the_others_find_it_done(
    tmp_path: Path, lake_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, file = lake_home(by_day()), home_with(tmp_path / "file", by_day())
    query(home, "FROM identity")
    take_in(file)

    done = wait_and_ingest(home, monkeypatch)

    assert query(home, "SELECT commit_number FROM identity") == [(2,)], "the long ingest, and one for all that waited"
    assert sorted((len(one.drops), one.unchanged_count) for one in done) == [(0, 6), (0, 6), (0, 6), (6, 0)]
    assert sorted(len(one.touched_days) for one in done) == [0, 0, 0, len(DAYS)]
    assert tables(home) == tables(file)


def test_landing_files_that_are_to_be_read_again_are_whoever_has_read_them(
    lake_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = lake_home(by_day())
    take_in(home)
    before = tables(home)

    done = wait_and_ingest(home, monkeypatch, first=DAYS[0], last=DAYS[-1])

    assert [len(one.drops) for one in done] == [len(DAYS)] * WAITING
    assert tables(home) == before


def test_a_writer_waits_for_its_turn_no_longer_than_it_was_told_and_says_for_whom(lake_home: MakeHome) -> None:
    home = lake_home()
    impatient = home.but(busy_wait_seconds=0.3)
    with (
        warehouse_of(home).writing("a long ingest"),
        pytest.raises(WarehouseBusy, match=r"\(a long ingest\)"),
        warehouse_of(impatient).writing("another"),
    ):
        pass

    with warehouse_of(impatient).writing("another"):
        assert query(home, "SELECT commit_number FROM identity") == [(1,)]


def overlap(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits a day through the first writer that would commit, after the lease of that one has expired."""
    commit = LakeWarehouse._commit
    first = [True]

    def commit_late(self: LakeWarehouse, session: Session, lease: Lease) -> None:
        if first:
            first.clear()
            let_leases_expire(home)
            ingest_days(home, DAYS[1:2])
        commit(self, session, lease)

    monkeypatch.setattr(LakeWarehouse, "_commit", commit_late)


@pytest.mark.parametrize("is_checked", [True, False], ids=["its lease is checked", "it slept after the check"])
def test_a_writer_that_lost_its_turn_commits_nothing(
    is_checked: bool, lake_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = lake_home(by_day(DAYS[1:2]))
    query(home, "FROM identity")
    overlap(home, monkeypatch)
    if not is_checked:
        monkeypatch.setattr(Lease, "renew", lambda _: None)

    with pytest.raises(WriteConflict) as raised, warehouse_of(home).writing("a test") as session:
        session.execute("INSERT INTO touched_segments VALUES ('lost', DATE '2026-01-01', 1)")

    assert isinstance(raised.value, TransientError)
    assert query(home, "FROM touched_segments WHERE lane = 'lost'") == []
    assert query(home, "SELECT count(*) FROM evidence") == [(5,)], "the other's commit stands"


def test_an_ingest_that_lost_its_turn_is_done_again(lake_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home = lake_home(by_day(DAYS[:2]))
    query(home, "FROM identity")
    overlap(home, monkeypatch)

    done = take_in(home, days=DAYS[:1])

    assert (done.received_count, done.failures) == (5, [])
    assert query(home, "SELECT drop_day, count(*) FROM evidence GROUP BY ALL ORDER BY ALL") == [
        (DAYS[0], 5), (DAYS[1], 5),
    ]  # fmt: skip
    assert query(home, "SELECT commit_number FROM identity") == [(2,)]


def test_a_reader_keeps_its_snapshot_while_writers_commit(lake_home: MakeHome) -> None:
    home = lake_home(by_day(DAYS[:1]))
    take_in(home)
    with warehouse_of(home).reading() as session:
        before = session.tuples("SELECT count(*) FROM evidence")
        drop(home, records(DAYS[1]), day=DAYS[1].isoformat())
        take_in(home)
        rebuild(home, without_missing=False)
        warehouse_of(home).compact()

        assert session.tuples("SELECT count(*) FROM evidence") == before == [(5,)]
        assert session.tuples("SELECT count(*) FROM watched_records") == [(5,)]
    assert query(home, "SELECT count(*) FROM evidence") == [(10,)]


def test_a_reader_can_change_nothing(lake_home: MakeHome) -> None:
    home = lake_home(by_day(DAYS[:1]))
    take_in(home)
    with pytest.raises(PipelineError) as raised, warehouse_of(home).reading() as session:
        session.execute("DELETE FROM evidence_records")

    assert "DELETE" not in str(raised.value)
    assert query(home, "SELECT count(*) FROM evidence") == [(5,)]


@pytest.mark.timeout(400)
def test_a_writer_killed_in_its_commit_leaves_all_of_it_or_nothing(tmp_path: Path, lake_home: MakeHome) -> None:
    home, file = lake_home(), home_with(tmp_path / "file", by_day(DAYS[: KILLS + 1]))
    take_in(file)
    query(home, "FROM identity")
    chance = random.Random(20260625)
    for day in DAYS[:KILLS]:
        drop(home, records(day), day=day.isoformat())
        committing = _CONTEXT.Event()
        process = _CONTEXT.Process(target=ingest_and_tell, args=(home, committing))
        process.start()
        assert committing.wait(60)
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.join(30)
        # Its lease ends by itself; this stands for that time.
        let_leases_expire(home)
        assert query(home, "SELECT count(*) FROM evidence WHERE drop_day = $day".replace("$day", f"'{day}'")) in (
            [(0,)], [(5,)],
        )  # fmt: skip

    drop(home, records(DAYS[KILLS]), day=DAYS[KILLS].isoformat())
    take_in(home)
    assert tables(home) == tables(file)
    assert query_state(home, "SELECT count(*) FROM ingested_files") == [(KILLS + 1,)]


def write_over(home: Settings, restart: Callable[[], None]) -> None:
    """Writes, with a restart before the commit."""
    with warehouse_of(home).writing("a test") as session:
        session.execute("INSERT INTO touched_segments VALUES ('lost', DATE '2026-01-01', 1)")
        restart()


def test_a_restart_of_postgresql_fails_one_commit_and_nothing_after_it(
    tmp_path: Path, restart: tuple[sa.URL, Callable[[], None]]
) -> None:
    address, again = restart
    home = on_lake(tmp_path, address, by_day(DAYS[:2]))
    take_in(home, days=DAYS[:1])
    with ExitStack() as stack:
        reader = stack.enter_context(warehouse_of(home).reading())
        assert reader.tuples("SELECT count(*) FROM evidence") == [(5,)]
        with pytest.raises(TransientError, match="can't be reached"):
            write_over(home, again)

    let_leases_expire(home)
    assert query(home, "FROM touched_segments WHERE lane = 'lost'") == []
    assert take_in(home).received_count == 5
    assert query(home, "SELECT count(*) FROM evidence") == [(10,)]


def test_the_data_folder_of_a_lake_is_that_with_which_it_was_made(tmp_path: Path, lake_home: MakeHome) -> None:
    home = lake_home(by_day(DAYS[:1]))
    take_in(home)
    other = tmp_path / "other"
    other.mkdir()

    with pytest.raises(UsageError, match="CAVRA_DATA_URL"):
        query(home.but(data_address=str(other)), "FROM identity")


def test_a_data_file_that_is_lost_is_named_as_that_and_a_rebuild_brings_it_back(lake_home: MakeHome) -> None:
    home = lake_home({DAY: records(date.fromisoformat(DAY), 200)})
    take_in(home)
    before = tables(home)
    assert home.data_address
    for path in Path(home.data_address).rglob("*.parquet"):
        path.unlink()
    with pytest.raises(PipelineError, match="a data file of the lake is missing or damaged"):
        query(home, "SELECT * FROM evidence")

    assert rebuild(home, without_missing=False) == 1
    assert tables(home) == before


def test_a_pruning_removes_the_same_from_a_lake(tmp_path: Path, lake_home: MakeHome) -> None:
    old = delivery(datetime(2026, 1, 2, tzinfo=UTC), subject="old", session_id="old")
    days = {"2026-01-02": [old], DAYS[0].isoformat(): records(DAYS[0])}
    homes = home_with(tmp_path / "file", days), lake_home(days)
    for home in homes:
        take_in(home)
        assert prune(warehouse_of(home), state_of(home), DAYS[0], now=NOW).record_count == 1

    assert tables(homes[0]) == tables(homes[1])
    assert query(homes[1], "SELECT count(*) FROM prunings") == [(1,)]
    assert rebuild(homes[1], without_missing=False) == 2
    assert tables(homes[0]) == tables(homes[1]), "a lake that is made again is pruned again"


def test_a_compacted_lake_says_the_same_in_fewer_files(lake_home: MakeHome) -> None:
    home = lake_home()
    for day in DAYS[:3]:
        drop(home, records(day, 40), day=day.isoformat())
        take_in(home)
    before = tables(home)
    files = "SELECT file_count FROM ducklake_table_info('warehouse') WHERE table_name = 'evidence_records'"
    ((many,),) = query(home, files)

    compacted = warehouse_of(home).compact()

    ((few,),) = query(home, files)
    assert compacted.after_bytes > 0
    assert (many, few) == (3, 1)
    assert tables(home) == before
    take_in(home, first=DAYS[0], last=DAYS[2], now=NOW + timedelta(days=1))
    assert tables(home) == before
