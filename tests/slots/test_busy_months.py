"""Twenty-four months with extra, early, late, duplicate and manual runs: no miss hidden, no false one, causes right.

Slow: about half a minute of processor time a month. CAVRA_TEST_BUSY_MONTHS=N judges N of them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice, product
from multiprocessing import get_context

import pytest

from tests.slots.busy import BusyWorld
from tests.slots.simulation import month_with
from tests.slots.test_simulation import NIGHTS, closed

MONTHS = int(os.environ.get("CAVRA_TEST_BUSY_MONTHS", "24"))
CRONS = {"worker": "*/30 * * * *", "report": "30 2 * * *", "often": "*/4 6-7 * * *"}
EVERY = [
    (zone, nights[number], seed) for seed, number, (zone, nights) in product(range(3), range(2), NIGHTS.items())
]  # fmt: skip


def judged(month: tuple[str, str, int]) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]], int]:
    """Counts of one month: true and given verdicts, true and given causes, and runs that nobody scheduled."""
    zone, night, seed = month
    world = BusyWorld(seed, zone, month_with(datetime.fromisoformat(night).replace(tzinfo=UTC)), CRONS)
    # What was still going on in the last hours has no end yet.
    verdicts = world.watched()
    expected = {(name, at) for name, at in closed(world) if at < world.end - timedelta(days=1)}
    assert expected <= verdicts.keys() <= world.truth.keys()
    kinds = Counter((world.truth[key].kind, str(verdicts[key].kind)) for key in expected)
    causes = Counter(
        (str(world.truth[key].cause), str(verdicts[key].cause))
        for key in expected
        if world.truth[key].kind == str(verdicts[key].kind) == "missed"
    )
    return kinds, causes, sum(map(len, world.manual.values())) + len(world.duplicates)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_no_run_beside_the_schedule_hides_a_miss_or_makes_one(record_property: Callable[[str, object], None]) -> None:
    kinds: Counter[tuple[str, str]] = Counter()
    causes: Counter[tuple[str, str]] = Counter()
    extra = 0
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        for found, why, runs in processes.map(judged, islice(EVERY, MONTHS)):
            kinds, causes, extra = kinds + found, causes + why, extra + runs
            print(f"{dict(found)} {dict(why)}", flush=True)  # noqa: T201 -- a month at a time

    wrong = {pair: count for pair, count in kinds.items() if pair[0] != pair[1]}
    right = sum(count for (true, given), count in causes.items() if true == given)
    figures = {
        "months": min(MONTHS, len(EVERY)),
        "slots": kinds.total(),
        "runs_beside_the_schedule": extra,
        "verdicts": dict(Counter({true: count for (true, given), count in kinds.items() if true == given})),
        "missed_slots": causes.total(),
        "cause_is_right": f"{right / causes.total():.2%}",
        "wrong_causes": {f"{true} given as {given}": n for (true, given), n in causes.items() if true != given},
    }
    for name, value in figures.items():
        record_property(name, value)
        print(f"{name}: {value}")  # noqa: T201 -- the figures are what this test is run for
    assert wrong == {}
    assert {true for true, _ in kinds} == {"on_time", "late", "early", "missed"}
    assert right / causes.total() >= 0.98
