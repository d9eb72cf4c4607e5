"""Kill -9 of ingest, import, rebuild and prune at random moments: nothing is lost, and every home opens after each."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import pytest

from cavra_pipeline.settings import Settings
from tests.support import Record, delivery, home_with, query, query_state, tables, take_in
from tests.worker.processes import command

KILLS: Final = int(os.environ.get("CAVRA_TEST_KILLS", "4"))
SEED: Final = 20260625
OLD: Final = "2026-01-10"
_CONTEXT: Final = get_context("forkserver")


def copy_of(home: Settings, name: str) -> Settings:
    """Another home with the same content."""
    folder = home.home.with_name(name)
    shutil.copytree(home.home, folder)
    return home.but(home=folder)


def give(home: Settings, arguments: Sequence[str], seconds: float | None) -> bool:
    """Gives a command, killed after so many seconds; returns whether it had not ended by then."""
    process = _CONTEXT.Process(target=command, args=(home.home, *arguments))
    process.start()
    process.join(seconds)
    is_hit = process.is_alive()
    process.kill()
    process.join(30)
    assert is_hit or process.exitcode == 0
    # Read as any other command would: the home opens, whatever the kill left.
    query(home, "SELECT count(*) FROM evidence")
    query_state(home, "SELECT count(*) FROM ingested_files")
    return is_hit


def all_of(home: Settings) -> tuple[object, ...]:
    """What must be the same, once what waits in the landing zone was ingested too."""
    take_in(home, now=datetime.now(UTC))
    held = {name: rows for name, rows in tables(home).items() if name != "drops"}
    names = ("prunings", "pruned_drops", "ingested_files")
    return held, [query_state(home, f"SELECT count(*) FROM {name}") for name in names]


def lines(count: int, at: datetime) -> list[Record]:
    seconds = range(count)
    return [
        delivery(at + timedelta(seconds=n), subject=f"s-{n}", failed=["slack"], session_id=f"d-{n}") for n in seconds
    ]


def prepared(tmp_path: Path, what: str) -> tuple[Settings, list[str]]:
    """A home before the command, and the command."""
    began = datetime(2026, 1, 10, 8, tzinfo=UTC)
    content = {OLD: lines(3000, began), "2026-06-24": lines(3000, began + timedelta(days=165))}
    home = home_with(tmp_path, {} if what == "import" else content)
    if what in ("rebuild", "prune"):
        take_in(home, now=datetime.now(UTC))
    source = tmp_path / "source"
    source.mkdir()
    if what == "import":
        other = home_with(tmp_path / "other", content)
        for path in sorted(other.landing.glob("*/*.jsonl")):
            path.rename(source / f"{path.parent.name}.jsonl")
    arguments = {"import": ["import", str(source)], "prune": ["prune", "--before", "2026-03-01"]}
    return home, arguments.get(what, [what])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", ["ingest", "import", "rebuild", "prune"])
def test_killed_at_any_moment_a_command_given_again_ends_as_if_it_had_not_been(tmp_path: Path, what: str) -> None:
    _CONTEXT.set_forkserver_preload(["tests.worker.processes"])
    template, arguments = prepared(tmp_path, what)
    calm = copy_of(template, "calm")
    give(copy_of(template, "warm"), arguments, None)  # the first one starts the server of processes
    started = time.monotonic()
    give(calm, arguments, None)
    longest = time.monotonic() - started
    expected = all_of(calm)

    rng, hits, rounds = random.Random(SEED), 0, 0
    while hits < KILLS:
        killed = copy_of(template, f"killed-{rounds}")
        # As often as a kill comes before the end; what ended has nothing left to do, so the next round has a new home.
        while hits < KILLS and give(killed, arguments, rng.uniform(0.02, longest)):
            hits += 1
        give(killed, arguments, None)
        assert all_of(killed) == expected
        assert not list(killed.home.glob("*.fresh*"))
        assert not list(killed.home.glob("warehouse.duckdb.refused-*"))
        shutil.rmtree(killed.home)
        rounds += 1
    print(f"{what}: {hits} kills before the end, on {rounds} homes, {time.monotonic() - started:.0f} s")  # noqa: T201
