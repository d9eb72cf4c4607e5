"""Real processes on one warehouse: waiting, telling who holds it, dying in the middle, and many at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import date
from functools import partial
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.errors import TransientError
from cavra_pipeline.warehouse import FileWarehouse, WarehouseBusy
from tests.support import ask_health, delivery, home_with, ingested, query, tables
from tests.warehouse.workers import hold_for_writing, hold_without_the_gate, ingest_day, read_counts

pytestmark = pytest.mark.slow

SPAWN = get_context("spawn")


@contextmanager
def another_process(target: Callable[..., None], path: Path, seconds: float = 60) -> Iterator[SpawnProcess]:
    """A process that holds the warehouse until it is done or the test is."""
    held = SPAWN.Event()
    process = SPAWN.Process(target=target, args=(path, held, seconds))
    process.start()
    try:
        assert held.wait(60), "the other process did not get hold of the warehouse"
        yield process
    finally:
        process.kill()
        process.join(30)
        process.close()


def test_a_busy_warehouse_is_given_up_in_time_and_the_holder_named(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    warehouse = FileWarehouse(home.warehouse, busy_wait_seconds=0.3)
    with another_process(hold_for_writing, home.home) as process:
        for opening in (warehouse.reading, partial(warehouse.writing, "a test")):
            began = time.monotonic()
            with ExitStack() as stack, pytest.raises(WarehouseBusy) as raised:
                stack.enter_context(opening())
            assert 0.3 <= time.monotonic() - began < 5
            assert f"held by process {process.pid} " in str(raised.value)
            assert "(a long test)" in str(raised.value)
            assert "CAVRA_BUSY_WAIT_SECONDS" in raised.value.remedy
            assert isinstance(raised.value, TransientError)


def test_a_holder_that_does_not_know_the_gate_is_named_too(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    warehouse = FileWarehouse(home.warehouse, busy_wait_seconds=0.3)
    with (
        another_process(hold_without_the_gate, home.warehouse) as process,
        pytest.raises(WarehouseBusy, match=rf"held by process {process.pid} \("),
        warehouse.reading(),
    ):
        pass


def test_a_caller_that_waits_gets_the_warehouse_when_it_is_free(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(session_id="there")])
    with another_process(hold_without_the_gate, home.warehouse, seconds=0.5):
        assert query(home, "SELECT session_id FROM evidence") == [("there",)]


def test_a_process_killed_inside_its_transaction_leaves_the_tables_as_they_were(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(), delivery()])
    before = tables(home)
    with another_process(hold_for_writing, home.home) as process:
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join(30)
        assert process.exitcode == -signal.SIGKILL

    assert tables(home) == before
    assert ask_health(home)["evidence_record_count"] == 2
    assert ingest_day(home.home, date(2026, 6, 25)) == 0


def test_eight_processes_ingest_while_four_read_and_nothing_fails_is_lost_or_doubled(tmp_path: Path) -> None:
    days = [date(2026, 6, number) for number in range(1, 9)]
    each = 40
    lines = {day.isoformat(): [delivery(session_id=f"{day}-{number}") for number in range(each)] for day in days}
    home = home_with(tmp_path, lines, is_new=True)
    with ProcessPoolExecutor(12, mp_context=SPAWN) as pool:
        writers = [pool.submit(ingest_day, home.home, day) for day in days]
        readers = [pool.submit(read_counts, home.home, 12) for _ in range(4)]
        assert [writer.result() for writer in writers] == [each] * len(days)
        for reader in readers:
            seen: list[int] = reader.result()
            assert seen == sorted(seen)
            assert all(count % each == 0 for count in seen)

    assert query(home, "SELECT count(*), count(DISTINCT session_id) FROM evidence_records WHERE is_current") == [
        (each * len(days), each * len(days))
    ]
    assert query(home, "SELECT count(*), sum(received_count) FROM drops") == [(len(days), each * len(days))]
    leftovers: list[Any] = [path.name for path in home.home.iterdir() if path.name.endswith((".tmp", ".wal"))]
    assert leftovers == []
