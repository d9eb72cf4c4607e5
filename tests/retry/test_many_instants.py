"""Plan and health over random histories: the same bytes at once and one by one, whatever the order and the threads."""

from __future__ import annotations

import os
import random
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cavra_pipeline.documents import canonical_json
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.settings import Settings
from tests.retry.histories import PARAMETERS, POLICIES, histories, instants
from tests.support import (
    AS_OF,
    NOW,
    Record,
    ask_health,
    ask_plan,
    drop,
    home_with,
    ingested,
    take_in,
    without_clock,
)

pytestmark = pytest.mark.slow

HISTORIES = histories()
#: More for a long look: CAVRA_TEST_EXAMPLES=100 pytest tests/retry/test_many_instants.py
EXAMPLES = int(os.environ.get("CAVRA_TEST_EXAMPLES", "2"))


ANY_INSTANTS = st.lists(instants(), min_size=1, max_size=5).map(
    lambda drawn: [*drawn, AS_OF - timedelta(days=1), AS_OF, *drawn[:2]]
)


@given(records=HISTORIES, policy=POLICIES, parameters=PARAMETERS, asked=ANY_INSTANTS)
@settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.generate])
def test_many_instants_at_once_are_the_same_as_one_by_one_whatever_the_threads(
    records: list[Record], policy: dict[str, Any], parameters: dict[str, Any], asked: list[datetime]
) -> None:
    with TemporaryDirectory() as folder:
        home = ingested(Path(folder), records)
        for lane in LANES.values():
            judged_by, in_force = health_parameters(lane, **parameters), retry_policy(lane, policy)
            made: list[list[str]] = []
            plans: list[dict[str, Any]] = []
            reports: list[dict[str, Any]] = []
            for threads in (1, 2, 8):
                with warehouse_of(home.but(threads=threads)).reading() as session:
                    plans = retry_plans(session, lane, in_force, instants=asked, now=NOW)
                    reports = retry_health_reports(session, lane, judged_by, instants=asked, now=NOW)
                made.append([canonical_json(one) for one in (*plans, *reports)])
            assert made[0] == made[1] == made[2]
            with warehouse_of(home).reading() as session:
                for at, one_plan, one_report in zip(asked, plans, reports, strict=True):
                    assert without_clock(
                        retry_plans(session, lane, in_force, instants=[at], now=NOW)[0]
                    ) == without_clock(one_plan)
                    alone = retry_health_reports(session, lane, judged_by, instants=[at], now=NOW)[0]
                    assert without_clock(alone) == without_clock(one_report)


def answers(home: Settings, threads: int) -> list[bytes]:
    asked = home.but(threads=threads)
    now = NOW + timedelta(seconds=threads)
    return [without_clock(ask(asked, lane, now=now)) for lane in LANES for ask in (ask_plan, ask_health)]


@pytest.mark.slow
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
