"""Kill -9 of ingest, import, rebuild and prune at random moments: nothing is lost, and every home opens after each."""

from __future__ import annotations

import os
import random
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


def kill_until(home: Settings, arguments: Sequence[str], kills: int, longest: float) -> int:
    """Gives a command again and again, killed after a random time, then once to its end; counts the kills that hit."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.worker.processes"])
    rng, hits = random.Random(SEED), 0
    for number in range(kills + 1):
        process = context.Process(target=command, args=(home.home, *arguments))
        process.start()
        if number < kills:
            process.join(rng.uniform(0.05, longest))
            hits += process.is_alive()
            process.kill()
            process.join(30)
            # Read as any other command would: the home opens, whatever the kill left.
            query(home, "SELECT count(*) FROM evidence")
        else:
            process.join(120)
            assert process.exitcode == 0
    return hits


def lines(count: int, at: datetime) -> list[Record]:
    seconds = range(count)
    return [
        delivery(at + timedelta(seconds=n), subject=f"s-{n}", failed=["slack"], session_id=f"d-{n}") for n in seconds
    ]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("what", ["ingest", "import", "rebuild", "prune"])
def test_killed_at_any_moment_a_command_given_again_ends_as_if_it_had_not_been(tmp_path: Path, what: str) -> None:
    began = datetime(2026, 1, 10, 8, tzinfo=UTC)
    content = {OLD: lines(3000, began), "2026-06-24": lines(3000, began + timedelta(days=165))}
    calm, killed = (home_with(tmp_path / name, {} if what == "import" else content) for name in ("calm", "killed"))
    source = tmp_path / "source"
    source.mkdir()
    for home in (calm, killed):
        if what in ("rebuild", "prune"):
            take_in(home, now=datetime.now(UTC))
    if what == "import":
        other = home_with(tmp_path / "other", content)
        for path in sorted(other.landing.glob("*/*.jsonl")):
            path.rename(source / f"{path.parent.name}.jsonl")
    arguments = {
        "ingest": ["ingest"],
        "import": ["import", str(source)],
        "rebuild": ["rebuild"],
        "prune": ["prune", "--before", "2026-03-01"],
    }[what]

    kill_until(calm, arguments, 0, 1)
    started = time.monotonic()
    hits = kill_until(killed, arguments, KILLS, 1.2)
    for home in (calm, killed):
        take_in(home, now=datetime.now(UTC))

    assert {name: rows for name, rows in tables(killed).items() if name != "drops"} == {
        name: rows for name, rows in tables(calm).items() if name != "drops"
    }
    counted = "SELECT count(*) FROM {}"
    for table in ("prunings", "pruned_drops", "ingested_files"):
        assert query_state(killed, counted.format(table)) == query_state(calm, counted.format(table)), table
    assert not list(killed.home.glob("*.fresh*"))
    assert not list(killed.home.glob("warehouse.duckdb.refused-*"))
    print(f"{what}: {KILLS} kills, {hits} before the end, {time.monotonic() - started:.0f} s")  # noqa: T201
