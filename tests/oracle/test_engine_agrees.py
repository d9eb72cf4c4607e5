"""The engine against the oracle over random histories of seven lanes: every field of every answer.

`CAVRA_ORACLE_HISTORIES` says how many histories (6 by default); up to 20 share a home, one after another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES as ENGINE_LANES
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.settings import Settings
from tests.oracle.evidence import LANES, OracleRecord, current, of_lane
from tests.oracle.histories import Files, health_arguments, history, instants, plan_arguments
from tests.oracle.model import health, plan
from tests.support import NOW, home_with, same, take_in

HISTORIES = int(os.environ.get("CAVRA_ORACLE_HISTORIES", "6"))
#: Histories that share a home: one statement answers for all their instants, and the first ones leave lanes unused.
IN_A_HOME = 20


class Home:
    """A few histories in one home, and in the oracle's hands."""

    def __init__(self, number: int, folder: Path) -> None:
        """Lands and ingests the histories."""
        self.number = number
        self.seeds = range(number * IN_A_HOME, min(HISTORIES, (number + 1) * IN_A_HOME))
        files: Files = {}
        for place, seed in enumerate(self.seeds):
            files |= history(seed, place)
        self.records: list[OracleRecord] = current(files)
        self.settings: Settings = home_with(folder, files)
        self.ingested = take_in(self.settings)
        self.instants: list[datetime] = sorted(
            {moment for place, seed in enumerate(self.seeds) for moment in instants(seed, place, self.records)}
        )

    def differences(self) -> Iterator[str]:
        """What the engine answers otherwise than the oracle, lane by lane."""
        with warehouse_of(self.settings).reading() as session:
            for name, lane in LANES.items():
                engine, records = ENGINE_LANES[name], of_lane(self.records, lane)
                for policy in ({}, plan_arguments(self.number)):
                    answers = retry_plans(
                        session, engine, retry_policy(engine, policy), instants=self.instants, now=NOW
                    )
                    for at, answer in zip(self.instants, answers, strict=True):
                        for difference in same(plan(records, lane, at, policy), answer):
                            yield f"plan {name} {at.isoformat()} {policy}: {difference}"
                for given in ({}, health_arguments(self.number)):
                    parameters = health_parameters(engine, **given)
                    reports = retry_health_reports(session, engine, parameters, instants=self.instants, now=NOW)
                    for at, report in zip(self.instants, reports, strict=True):
                        for difference in same(health(records, lane, at, given), report):
                            yield f"health {name} {at.isoformat()} {given}: {difference}"


@pytest.mark.parametrize("number", range(-(-HISTORIES // IN_A_HOME)))
def test_the_engine_answers_as_the_oracle_does_over_random_histories(number: int, tmp_path: Path) -> None:
    home = Home(number, tmp_path)

    assert home.ingested.failures == []
    assert home.ingested.quarantined_count == 0
    assert list(home.differences()) == []
