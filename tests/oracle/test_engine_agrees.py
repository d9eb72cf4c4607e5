"""The engine against the oracle over random histories of seven lanes: every field of every answer.

`CAVRA_ORACLE_HISTORIES` says how many histories (6 by default). Up to 50 share a home, one after another: a statement
costs as much for all their instants as for one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path

import pytest

from cavra_pipeline.documents import naive_utc
from cavra_pipeline.errors import checked
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES as ENGINE_LANES
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.recoveries.report import recovery_reports
from cavra_pipeline.reports.closure import closures_of
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session
from tests.oracle.evidence import LANES, OracleRecord, Raw, current, of_lane
from tests.oracle.histories import (
    Files,
    health_arguments,
    history,
    instants,
    plan_arguments,
    recovery_arguments,
)
from tests.oracle.model import health_of, plan_of
from tests.oracle.pairs import OracleLadder
from tests.oracle.recoveries import ARCHIVE, closure_of, recoveries_of
from tests.support import NOW, home_with, same, take_in

pytestmark = pytest.mark.slow

HISTORIES = int(os.environ.get("CAVRA_ORACLE_HISTORIES", "6"))
IN_A_HOME = 50


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
        asked = [instants(seed, place, self.records) for place, seed in enumerate(self.seeds)]
        self.ends: list[datetime] = [end for _, end in asked]
        self.instants: list[datetime] = sorted({moment for pair in asked for moment in pair})
        lanes = {**LANES, ARCHIVE.name: ARCHIVE}
        records = {name: of_lane(self.records, lane) for name, lane in lanes.items()}
        self.health: dict[str, list[Raw]] = {}
        self.recoveries: list[Raw] = []
        self.ladder = cache(lambda name, at: OracleLadder(records[name], lanes[name], at))

    def differences(self) -> Iterator[str]:
        """What the engine answers otherwise than the oracle.

        Parameters other than the defaults are asked for at the ends: where a retry is not linked to what it retries
        yet, an instant costs statements of its own.
        """
        with warehouse_of(self.settings).reading() as session:
            for given, moments in (({}, self.instants), (plan_arguments(self.number), self.ends)):
                yield from self._plans(session, given, moments)
            for given in ({}, recovery_arguments(self.number)):
                yield from self._recoveries(session, given)
            yield from self._health(session, health_arguments(self.number), self.ends)
            yield from self._health(session, {}, self.instants)
            yield from self._closures(session)

    def _plans(self, session: Session, given: Raw, moments: list[datetime]) -> Iterator[str]:
        for name in LANES:
            lane = ENGINE_LANES[name]
            plans = retry_plans(session, lane, retry_policy(lane, given), instants=moments, now=NOW)
            for at, answer in zip(moments, plans, strict=True):
                wrong = same(plan_of(self.ladder(name, at), given), answer)
                yield from (f"plan {name} {at.isoformat()} {given}: {each}" for each in wrong)

    def _health(self, session: Session, given: Raw, moments: list[datetime]) -> Iterator[str]:
        for name in LANES:
            lane = ENGINE_LANES[name]
            parameters = health_parameters(lane, **given)
            reports = retry_health_reports(session, lane, parameters, instants=moments, now=NOW)
            self.health[name] = reports
            for at, answer in zip(moments, reports, strict=True):
                wrong = same(health_of(self.ladder(name, at), given), answer)
                yield from (f"health {name} {at.isoformat()} {given}: {each}" for each in wrong)

    def _recoveries(self, session: Session, given: Raw) -> Iterator[str]:
        reports = recovery_reports(session, checked(RecoveryParameters, given), instants=self.instants, now=NOW)
        self.recoveries = self.recoveries or reports
        for at, answer in zip(self.instants, reports, strict=True):
            wrong = same(recoveries_of(self.records, self.ladder("recovery_escalation", at), **given), answer)
            yield from (f"recoveries {at.isoformat()} {given}: {each}" for each in wrong)

    def _closures(self, session: Session) -> Iterator[str]:
        """From the health and recovery reports that were made last with the defaults, as the product has them."""
        asked = [naive_utc(at) for at in self.instants]
        answers = closures_of(session, self.health, self.recoveries, instants=asked, made_by={})
        for at, answer in zip(self.instants, answers, strict=True):
            report = closure_of(self.records, {name: self.ladder(name, at) for name in (*LANES, ARCHIVE.name)})
            counts = {"_".join(filter(None, name)): count for name, count in report.pop("counts").items()}
            items = [{"item": name, "count": count} for name, count in counts.items() if count]
            own = sorted(answer["open_items"], key=lambda item: str(item["item"]))
            expected = {**report, "open_items": sorted(items, key=lambda item: str(item["item"]))}
            yield from (f"closure {at.isoformat()}: {each}" for each in same(expected, {**answer, "open_items": own}))


@pytest.mark.timeout(1800)  # fifty histories are half a minute of one core
@pytest.mark.parametrize("number", range(-(-HISTORIES // IN_A_HOME)))
def test_the_engine_answers_as_the_oracle_does_over_random_histories(number: int, tmp_path: Path) -> None:
    home = Home(number, tmp_path)

    assert home.ingested.failures == []
    assert home.ingested.quarantined_count == 0
    assert list(home.differences()) == []
