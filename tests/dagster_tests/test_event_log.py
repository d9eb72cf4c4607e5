"""The event log that stores a batch at once: the rows of Dagster's own, all of a batch or nothing, side by side."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from cavra_pipeline.event_batches import BatchedEventLog
from cavra_pipeline.evidence.pseudonym_key import open_home
from cavra_pipeline.settings import Settings
from tests.dagster_tests.runs import DAY, EVIDENCE, key, new_home, run
from tests.support import delivery

pytestmark = pytest.mark.slow

DAYS = [DAY - timedelta(days=1), DAY]
ASSETS = (*EVIDENCE, "recovery_escalation_retry_health")


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[dg.EventLogEntry]:
    """Every event of a real run over two days."""
    folder = tmp_path_factory.mktemp("events")
    home = new_home(folder, {day.isoformat(): [delivery(session_id=day.isoformat())] for day in DAYS})
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        done = run(home, DAYS, assets=ASSETS, instance=instance)
        assert done.success
        return list(instance.all_logs(done.run_id))


def stored(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every file of an event log, with the ids of events."""
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for path in sorted(folder.glob("*.db")):
        with sqlite3.connect(path) as connection:
            for table, columns in {
                "event_logs": "id, run_id, event, dagster_event_type, step_key, asset_key, partition",
                "asset_keys": "asset_key, last_materialization, last_run_id, last_materialization_timestamp",
                "asset_event_tags": "event_id, asset_key, key, value",
                "asset_check_executions": "asset_key, check_name, partition, execution_status, evaluation_event",
            }.items():
                found = connection.execute(f"SELECT {columns} FROM {table}").fetchall()
                rows[f"{path.stem} {table}"] = sorted(found, key=repr)
        connection.close()
    return rows


def test_a_batch_leaves_the_rows_that_its_events_leave_one_by_one(
    tmp_path: Path, events: list[dg.EventLogEntry]
) -> None:
    one_by_one, batched = SqliteEventLogStorage(str(tmp_path / "plain")), BatchedEventLog(str(tmp_path / "batched"))
    for event in events:
        one_by_one.store_event(event)
    for start in range(0, len(events), 7):
        batched.store_event_batch(events[start : start + 7])

    rows = stored(tmp_path / "batched")
    assert rows == stored(tmp_path / "plain")
    assert len(rows["index event_logs"]) > 2 * len(ASSETS) * len(DAYS)


def test_events_one_by_one_leave_the_rows_of_dagsters_own_and_the_index_is_open_until_the_log_is_closed(
    tmp_path: Path, events: list[dg.EventLogEntry]
) -> None:
    theirs, ours = SqliteEventLogStorage(str(tmp_path / "plain")), BatchedEventLog(str(tmp_path / "ours"))
    for event in events:
        theirs.store_event(event)
        ours.store_event(event)

    assert [path.name for path in (tmp_path / "ours").glob("*-wal")] == ["index.db-wal"]
    ours.dispose()
    assert not list((tmp_path / "ours").glob("*-wal"))
    assert stored(tmp_path / "ours") == stored(tmp_path / "plain")


def test_a_log_that_was_closed_stores_again(tmp_path: Path, events: list[dg.EventLogEntry]) -> None:
    log = BatchedEventLog(str(tmp_path))
    log.store_event_batch(events[:20])
    log.dispose()
    log.store_event_batch(events[20:])

    assert len(log.get_records_for_run(events[0].run_id).records) == len(events)


def test_of_a_batch_that_can_not_be_stored_nothing_is(
    tmp_path: Path, events: list[dg.EventLogEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = BatchedEventLog(str(tmp_path))
    prepare = log._event_to_row

    def prepare_all_but_the_last(event: dg.EventLogEntry) -> Any:
        if event is events[-1]:
            raise RuntimeError("this one is refused")
        return prepare(event)

    monkeypatch.setattr(log, "_event_to_row", prepare_all_but_the_last)
    with pytest.raises(RuntimeError, match="refused"):
        log.store_event_batch(events)
    assert not any(stored(tmp_path).values())

    log.store_event_batch(events[:-1])
    assert len(log.get_records_for_run(events[0].run_id).records) == len(events) - 1


def test_of_a_batch_that_the_index_refuses_nothing_is_stored(
    tmp_path: Path, events: list[dg.EventLogEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = BatchedEventLog(str(tmp_path))

    def refuse(*_: Any) -> None:
        raise RuntimeError("the tags are refused")

    with monkeypatch.context() as patch:
        patch.setattr(log, "_store_asset_event_tags", refuse)
        with pytest.raises(RuntimeError, match="refused"):
            log.store_event_batch(events)
    assert not any(stored(tmp_path).values())

    log.store_event_batch(events)
    assert len(log.get_records_for_run(events[0].run_id).records) == len(events)


def test_batches_of_several_processes_wait_for_each_other_and_none_is_lost(
    tmp_path: Path, events: list[dg.EventLogEntry]
) -> None:
    runs = [f"run-{number}" for number in range(6)]

    def store(run_id: str) -> None:
        log = BatchedEventLog(str(tmp_path))
        mine: Sequence[dg.EventLogEntry] = [event._replace(run_id=run_id) for event in events]
        for start in range(0, len(mine), 5):
            log.store_event_batch(mine[start : start + 5])

    BatchedEventLog(str(tmp_path))
    with ThreadPoolExecutor(len(runs)) as pool:
        list(pool.map(store, runs))

    assert [len(stored(tmp_path)[f"{run_id} event_logs"]) for run_id in runs] == [len(events)] * len(runs)


def test_a_home_takes_it_wherever_it_is_moved_and_leaves_a_storage_that_somebody_named(tmp_path: Path) -> None:
    home = Settings(home=tmp_path / "home").prepare()
    moved = home.home.rename(tmp_path / "moved")
    with dg.DagsterInstance.from_config(str(moved / "dagster")) as instance:
        assert isinstance(instance.event_log_storage, BatchedEventLog)
        assert [path.parent.name for path in moved.rglob("index.db")] == ["runs"]
    assert not home.home.exists()

    named = tmp_path / "named"
    yaml = moved / "dagster" / "dagster.yaml"
    yaml.write_text(yaml.read_text() + f"storage:\n  sqlite:\n    base_dir: {named}\n")
    with dg.DagsterInstance.from_config(str(moved / "dagster")) as instance:
        assert type(instance.event_log_storage) is SqliteEventLogStorage
    assert list(named.rglob("index.db"))


def test_a_run_over_days_hands_its_events_over_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    store = BatchedEventLog.store_event_batch

    def counted(log: BatchedEventLog, batch: Sequence[dg.EventLogEntry]) -> None:
        sizes.append(len(batch))
        store(log, batch)

    monkeypatch.setattr(BatchedEventLog, "store_event_batch", counted)
    home = new_home(tmp_path, {DAY.isoformat(): [delivery()]})
    days = [date(2026, 6, 20) + timedelta(days=number) for number in range(6)]
    with dg.DagsterInstance.from_config(str(home.dagster_home)) as instance:
        assert run(home, days, assets=ASSETS, instance=instance).success
        materialized = instance.get_materialized_partitions(key("deliveries"))

    assert sizes.count(len(days)) == len(ASSETS)  # what each made; what is planned is one batch more
    assert max(sizes) >= len(ASSETS) * len(days)
    assert materialized == {day.isoformat() for day in days}


OPENING = """
import sys, time
import dagster as dg
time.sleep(max(0, float(sys.argv[1]) - time.time()))
with dg.DagsterInstance.get() as instance:
    print(instance.get_runs_count())
"""


@pytest.mark.slow
@pytest.mark.parametrize("_round", range(3))
def test_programs_that_start_together_on_a_new_home_make_its_databases_one_at_a_time(
    tmp_path: Path, _round: int
) -> None:
    home = open_home(new_home(tmp_path))
    at_once = str(time.time() + 12)
    environ = {**os.environ, "DAGSTER_HOME": str(home.dagster_home)}
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", OPENING, at_once], env=environ, cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]  # fmt: skip
    said = [one.communicate(timeout=120) for one in programs]

    assert [one.returncode for one in programs] == [0] * 4, "\n".join(err for _, err in said)
    assert [out.strip() for out, _ in said] == ["0"] * 4
