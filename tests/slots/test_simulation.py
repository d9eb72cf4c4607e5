"""Months of made-up trouble in four time zones over the nights on which clocks change, judged by the watcher.

By default one month a zone, two with each night. CAVRA_TEST_MONTHS=N runs N seeds for each zone and night.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from tests.slots.simulation import World, closing, month_with

pytestmark = pytest.mark.slow

MONTHS = int(os.environ.get("CAVRA_TEST_MONTHS", "0"))
CRONS = {"worker": "*/30 * * * *", "report": "30 2 * * *"}
#: The night on which clocks go forward, and the one on which they go back. Kolkata never changes its own.
NIGHTS = {
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "Australia/Lord_Howe": ("2026-10-04", "2026-04-05"),
    "Asia/Kolkata": ("2026-03-29", "2026-10-25"),
}
EVERY = [(zone, night, seed) for zone, nights in NIGHTS.items() for night in nights for seed in range(MONTHS)]
FEW = [(zone, nights[number % 2], 0) for number, (zone, nights) in enumerate(NIGHTS.items())]


def closed(world: World) -> set[tuple[str, datetime]]:
    """The slots whose grace had ended by the last observation."""
    last = max(observation.at for observation in world.observations())
    return {
        (name, at)
        for name, known in world.slots.items()
        for at, after in pairwise(known[1:])
        if closing(at, after) < last
    }


@pytest.mark.timeout(3600)
def test_every_slot_of_a_month_gets_the_verdict_that_is_true_and_a_missed_one_its_cause(
    record_property: Callable[[str, object], None],
) -> None:
    right: Counter[bool] = Counter()
    for zone, night, seed in EVERY or FEW:
        world = World(seed, zone, month_with(datetime.fromisoformat(night).replace(tzinfo=UTC)), CRONS)

        verdicts = world.watched()

        expected = closed(world)
        assert expected <= verdicts.keys() <= world.truth.keys()
        assert [key for key in expected if str(verdicts[key].kind) != world.truth[key].kind] == []
        missed = [key for key in expected if world.truth[key].kind == "missed"]
        right.update(str(verdicts[key].cause) == world.truth[key].cause for key in missed)
    record_property("missed_slots", right.total())
    record_property("cause_is_right", f"{right[True] / right.total():.2%}")
    assert right[True] / right.total() >= 0.95
