"""Kill -9 at random moments of a backfill: run again, every table is what an undisturbed run makes of it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from cavra_pipeline.settings import Settings
from tests.support import (
    AS_OF,
    REPOSITORY,
    acknowledgement,
    delivery,
    execution,
    home_with,
    plan,
    query,
    saved,
    without_clock,
    worker_run,
)

pytestmark = pytest.mark.slow

KILLS: Final = int(os.environ.get("CAVRA_TEST_KILLS", "3"))
SEED: Final = 20260626
DAYS: Final = [date(2026, 6, 20) + timedelta(days=number) for number in range(6)]
COMMAND: Final = ["backfill", "--from", DAYS[0].isoformat(), "--to", DAYS[-1].isoformat(), "--json"]


def histories() -> dict[str, list[Any]]:
    """Failing, mended and repeated deliveries over some days, with faults, a newer version and a secret."""
    rng = random.Random(SEED)
    lines: dict[str, list[Any]] = {}
    for number, day in enumerate(DAYS):
        noon = AS_OF - timedelta(days=5 - number)
        made: list[Any] = []
        for n in range(60):
            lane, subject = rng.choice(["recovery_escalation", "executive_report"]), f"subject-{n % 9}"
            makers: list[Callable[..., Any]] = [
                partial(delivery, subject=subject, failed=["slack"]),
                partial(delivery, subject=subject),
                partial(acknowledgement, subject=subject),
                partial(execution, subject=subject),
                worker_run,
                plan,
            ]
            made.append(rng.choice(makers)(noon + timedelta(seconds=n), lane=lane, session_id=f"s-{day}-{n}"))
        made += [
            "{",
            {**delivery(noon), "session_id": f"s-{DAYS[0]}-1"},
            {**delivery(noon), "session_id": f"s-{day}", "note": "ghp_" + "a1" * 18},
        ]
        lines[day.isoformat()] = made
    return lines


def started(settings: Settings) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "cavra_pipeline.cli", *COMMAND],
        cwd=REPOSITORY,
        env={**os.environ, "CAVRA_HOME": str(settings.home), "CAVRA_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def completed(settings: Settings) -> float:
    """Runs the backfill to its end; returns the seconds from the first sign of a warehouse to it."""
    one = started(settings)
    wait_for_a_warehouse(settings, one)
    began = time.monotonic()
    out, err = one.communicate(timeout=150)
    assert (one.returncode, err) == (0, b""), err
    kept = saved(settings)
    assert json.loads(out)["report_count"] == len(kept)
    assert {day for *_, day in kept} == {*DAYS}
    return time.monotonic() - began


def wait_for_a_warehouse(settings: Settings, one: subprocess.Popen[bytes]) -> None:
    while not settings.warehouse.exists() and one.poll() is None:
        time.sleep(0.005)


def digests(settings: Settings) -> dict[str, str]:
    """A digest of each table's rows and of the saved documents, the instants at which this machine made them aside."""
    names = {str(name) for (name,) in query(settings, "SELECT table_name FROM duckdb_tables()")}
    clocks = {"drops": "* EXCLUDE (ingested_at, fingerprint, commit_number)"}
    names -= {"identity", "evidence_changes", "touched_segments"}
    rows = {name: query(settings, f"SELECT {clocks.get(name, '*')} FROM {name}") for name in names}
    rows["reports"] = [(*key, without_clock(json.loads(row["document"]))) for key, row in saved(settings).items()]
    texts = {name: "\n".join(sorted(map(repr, found))) for name, found in rows.items()}
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}


@pytest.mark.slow
@pytest.mark.timeout(120 + 60 * KILLS)
def test_a_backfill_killed_at_any_moment_and_run_again_leaves_what_an_undisturbed_one_leaves(tmp_path: Path) -> None:
    lines = histories()
    undisturbed = home_with(tmp_path / "undisturbed", lines, is_new=True)
    seconds = completed(undisturbed)
    expected = digests(undisturbed)
    rng = random.Random(SEED)
    killed_at_work = 0
    for number in range(KILLS):
        home = home_with(tmp_path / str(number), lines, is_new=True)
        one = started(home)
        # Nine kills in ten hit the work itself, the others the start of Python before it.
        if rng.random() < 0.9:
            wait_for_a_warehouse(home, one)
        time.sleep(rng.uniform(0, seconds * 0.9))
        killed_at_work += one.poll() is None and home.warehouse.exists()
        one.kill()
        one.communicate()
        completed(home)
        assert digests(home) == expected, f"kill {number}"
    print(f"{KILLS} kills, {killed_at_work} of them with the warehouse begun and the backfill unfinished")  # noqa: T201
