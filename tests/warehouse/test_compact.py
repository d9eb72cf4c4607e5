"""Compaction: smaller, the same in everything that can be asked, and harmless when it fails or is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.reports.store import save_every_report
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse import WarehouseBusy
from tests.cli.command import command
from tests.support import DAY, NOW, ask_health, ask_plan, delivery, drop, home_with, query, take_in, worker_run
from tests.warehouse.workers import hold_in_the_middle_of_a_replacement

pytestmark = pytest.mark.slow

LANE = "recovery_escalation"
CATALOG = (
    "SELECT table_name, comment, sql FROM duckdb_tables()",
    "SELECT table_name, column_name, comment, data_type FROM duckdb_columns() WHERE NOT internal",
    "SELECT view_name, comment, sql FROM duckdb_views() WHERE NOT internal",
    "SELECT function_name, parameters::VARCHAR FROM duckdb_functions() WHERE NOT internal",
)


def everything(home: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """The catalog and every row of every table, in the order in which they are stored."""
    names = [name for (name,) in query(home, "SELECT table_name FROM duckdb_tables() ORDER BY 1")]
    return {sql: sorted(query(home, sql), key=repr) for sql in CATALOG} | {
        name: query(home, f"SELECT * FROM {name}") for name in names
    }


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """A home whose one drop was read twice, the second time with far fewer lines."""
    home = home_with(tmp_path)
    for count in (6000, 100):
        lines = [delivery(failed=["slack"], subject=f"{count}-{n}", session_id=f"s-{n}") for n in range(count)]
        drop(home, [*lines, worker_run(), "{"])
        take_in(home)
    list(save_every_report(warehouse_of(home), state_of(home), [date.fromisoformat(DAY)], now=NOW))
    return home


def test_a_compacted_warehouse_is_smaller_and_the_same_in_all_that_can_be_asked(home: Settings) -> None:
    before, size = everything(home), home.warehouse.stat().st_size
    answers = ask_plan(home, LANE), ask_health(home, LANE)

    said = command(home.home, "compact", "--json")

    assert (said.code, said.err) == (0, "")
    assert said.document == {"before_bytes": size, "after_bytes": home.warehouse.stat().st_size}
    assert said.document["after_bytes"] < size
    assert everything(home) == before
    assert (ask_plan(home, LANE), ask_health(home, LANE)) == answers
    assert sorted(path.name for path in home.home.glob("warehouse*")) == ["warehouse.duckdb", "warehouse.duckdb.gate"]
    drop(home, [delivery(session_id="later")], name="later.jsonl")
    assert take_in(home).unchanged_count == 1
    assert query(home, "SELECT count(*) FROM evidence WHERE session_id = 'later'") == [(1,)]
    assert " MB now" in command(home.home, "compact").out


def test_a_home_without_a_warehouse_gets_an_empty_one(tmp_path: Path) -> None:
    home = home_with(tmp_path)

    warehouse_of(home).compact()

    assert query(home, "SELECT count(*) FROM evidence") == [(0,)]


@contextmanager
def replacing(home: Settings) -> Iterator[Any]:
    context = get_context("spawn")
    held = context.Event()
    process = context.Process(target=hold_in_the_middle_of_a_replacement, args=(home.home, held))
    process.start()
    try:
        assert held.wait(60)
        yield process
    finally:
        process.kill()
        process.join(30)


@pytest.mark.slow
def test_others_wait_and_a_kill_in_the_middle_leaves_the_warehouse_as_it_was(home: Settings) -> None:
    before = everything(home)
    with replacing(home) as process:
        impatient = Settings(home=home.home, busy_wait_seconds=0.2)
        with pytest.raises(WarehouseBusy, match="compact"):
            query(impatient, "SELECT 1")
        with pytest.raises(WarehouseBusy, match="compact"):
            warehouse_of(impatient).compact()
        os.kill(process.pid, signal.SIGKILL)
        process.join(30)

    assert everything(home) == before
    assert home.warehouse.with_name("warehouse.duckdb.fresh").exists()
    warehouse_of(home).compact()
    assert everything(home) == before
    assert not home.warehouse.with_name("warehouse.duckdb.fresh").exists()
