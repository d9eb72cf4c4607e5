"""Plan and health over random histories: equal to the oracle, and the same bytes whatever the order and the threads."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import Settings
from tests.retry import oracle
from tests.retry.histories import PARAMETERS, POLICIES, histories
from tests.support import (
    AS_OF,
    NOW,
    Record,
    ask_health,
    ask_plan,
    drop,
    home_with,
    ingested,
    same,
    take_in,
    without_clock,
)

HISTORIES = histories()


@given(records=HISTORIES, policy=POLICIES, parameters=PARAMETERS, late=st.sampled_from([0, 15, 45, -1]))
@settings(max_examples=8, phases=[Phase.explicit, Phase.generate])
def test_plan_and_health_of_every_lane_are_what_the_contract_says(
    records: list[Record], policy: dict[str, Any], parameters: dict[str, Any], late: int
) -> None:
    as_of = AS_OF + timedelta(minutes=late)
    with TemporaryDirectory() as folder:
        home = ingested(Path(folder), records)
        for lane in LANES:
            plan = ask_plan(home, lane, as_of, **policy)
            assert same(oracle.plan(records, lane, as_of, policy), plan) == []
            health = ask_health(home, lane, as_of, **parameters)
            assert same(oracle.health(records, lane, as_of, parameters), health) == []


def answers(home: Settings, threads: int) -> list[bytes]:
    asked = replace(home, threads=threads)
    now = NOW + timedelta(seconds=threads)
    return [without_clock(ask(asked, lane, now=now)) for lane in LANES for ask in (ask_plan, ask_health)]


@given(records=histories(60), seed=st.integers(0, 99))
@settings(max_examples=3, phases=[Phase.generate])
def test_reports_are_the_same_bytes_with_any_threads_and_any_order_of_drops(records: list[Record], seed: int) -> None:
    drops = {f"2026-06-{10 + number % 3}": records[number % 3 :: 3] for number in range(3)}
    shuffled = list(drops)
    random.Random(seed).shuffle(shuffled)
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        home = ingested(Path(one), drops, threads=1)
        expected = answers(home, 1)
        assert answers(home, 2) == answers(home, 8) == expected

        again = home_with(Path(other), threads=8)
        for day in shuffled:
            drop(again, drops[day], day=day)
            take_in(again)
        for day in reversed(shuffled):
            drop(again, drops[day], day=day)
        take_in(again)
        assert answers(again, 8) == expected
