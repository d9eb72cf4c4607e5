"""The forecast against the oracle over random histories of seven lanes, every field, and the property of its section.

`CAVRA_ORACLE_HISTORIES` says how many histories (4 by default). A few share each span of time, and many a home.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.causes.forecast import ForecastParameters, forecast
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES as ENGINE_LANES
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session
from tests.oracle.evidence import LANES, OracleLane, OracleRecord, current, of_lane
from tests.oracle.forecast import SENDABLE, OracleForecast, Question
from tests.oracle.histories import Files, history, instants, plan_arguments
from tests.oracle.pairs import Pair
from tests.oracle.storyteller import APART, FIRST, PROVIDERS, Storyteller, nested_name
from tests.support import MICROSECOND, NOW, home_with, same, take_in

pytestmark = pytest.mark.slow

HISTORIES = int(os.environ.get("CAVRA_ORACLE_HISTORIES", "4"))
IN_A_HOME = 20
AT_A_TIME = 4
LAST_NAMED = 12
Planned = dict[Pair, Mapping[str, Any]]


def coming(seed: int, place: int) -> Files:
    """What a forecast rests on beside a history: schedules of any interval, and what its lanes may send."""
    teller = Storyteller(seed + 10**6, place)
    teller.prefix = f"h{place}-{seed}-"
    for lane in LANES.values():
        for _ in range(teller.random.randrange(3)):
            minutes = teller.random.choice((-1, 0, 1, 7, 45, 90, 600, 525_600, 525_601, None))
            schedule = {"interval_minutes": minutes, "enabled": teller.random.choice((True, True, True, None, False))}
            said = {name: value for name, value in schedule.items() if value is not None}
            run_id = f"run-{seed}-{lane.name.replace('_', '-')}"
            nested = {nested_name(lane, lane.worker_run): {"schedule": said}}
            teller.tell(lane.worker_run, teller.when(), run_id=run_id, **nested)
        if lane.name in SENDABLE:
            kinds, name, needed = SENDABLE[lane.name]
            for number in range(LAST_NAMED):
                subject = f"h{place}-{lane.subject_field.removesuffix('_id')}-{number}"
                for _ in range(teller.random.choice((0, 1, 1, 2))):
                    state = needed if teller.chance(0.8) else {"verified": "incomplete", "closed": "open"}[needed]
                    kind, when = teller.random.choice(kinds), teller.when()
                    teller.tell(kind, when, **{lane.subject_field: subject, name: state})
    return {f"{teller.begin.date().isoformat()}/coming-{seed}.jsonl": teller.records}


def files_of(seeds: Iterable[int], place: int) -> Files:
    """The landing files of some histories at one time: they share subjects, and so pairs."""
    files: Files = {}
    for seed in seeds:
        for name, records in (*history(seed, place).items(), *coming(seed, place).items()):
            files.setdefault(name, []).extend(records)
    return files


class Home:
    """A few histories in one home, and in the oracle's hands."""

    def __init__(self, number: int, folder: Path) -> None:
        """Lands and ingests the histories."""
        seeds = range(number * IN_A_HOME, min(HISTORIES, (number + 1) * IN_A_HOME))
        self.places = range(-(-len(seeds) // AT_A_TIME))
        files: Files = {}
        for place in self.places:
            files |= files_of(seeds[place * AT_A_TIME :][:AT_A_TIME], place)
        self.records: list[OracleRecord] = current(files)
        self.settings: Settings = home_with(folder, files)
        assert take_in(self.settings).quarantined_count == 0
        self.chooser = random.Random(f"forecasts {number}")

    def questions(self, lane: OracleLane) -> Iterator[Question]:
        """Questions about a lane: parameters of any kind, at instants of records, of runs, and after all of them."""
        chooser = self.chooser
        for place in self.places:
            near = [one for one in of_lane(self.records, lane) if 0 <= (one.at - FIRST) // APART - place < 1]
            early, late = instants(chooser.randrange(10**6), place, near)
            moments = [early, late, *(chooser.choice(near).at - chooser.randrange(2) * MICROSECOND for _ in near[:1])]
            for at in moments:
                policy = plan_arguments(chooser.randrange(100)) if chooser.random() < 0.6 else {}
                limit = chooser.choice((1, 2, 5, 5, 25))
                missing = frozenset(chooser.sample(PROVIDERS, chooser.choice((0, 0, 1, 2))))
                yield Question(at, chooser.choice((1, 24, 24, 168)), limit, policy, missing)


def asked(session: Session, lane: str, question: Question) -> dict[str, Any]:
    """The engine's forecast."""
    engine = ENGINE_LANES[lane]
    return forecast(
        session,
        engine,
        retry_policy(engine, question.policy),
        ForecastParameters(hours=question.hours, max_retry_deliveries=question.limit),
        as_of=question.as_of,
        now=NOW,
        has_connector=lambda provider: provider not in question.missing,
    )


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", range(-(-HISTORIES // IN_A_HOME)))
def test_the_forecast_is_the_oracles_over_random_histories(number: int, tmp_path: Path) -> None:
    home = Home(number, tmp_path)
    wrong, pair_count = list[str](), 0
    with warehouse_of(home.settings).reading() as session:
        for name, lane in LANES.items():
            for question in home.questions(lane):
                expected = OracleForecast(home.records, lane, question).document()
                pair_count += expected["pair_count"]
                wrong += [f"{name} {question}: {each}" for each in same(expected, asked(session, name, question))]

    assert wrong == []
    assert pair_count > 0


def held_home(folder: Path, made: Iterable[OracleRecord], known: Iterable[OracleRecord]) -> Settings:
    """A home of a history in which an assumption held: what was known, and what the runs came to."""
    home = home_with(folder, {"2026-06-25/evidence.jsonl": [record.raw for record in (*known, *made)]})
    result = take_in(home)
    assert (result.failures, result.quarantined_count) == ([], 0)
    return home


def planned(session: Session, lane: str, policy: Mapping[str, Any], moments: Sequence[datetime]) -> list[Planned]:
    """The decisions of the engine's plans by pair."""
    engine = ENGINE_LANES[lane]
    plans = retry_plans(session, engine, retry_policy(engine, policy), instants=moments, now=NOW)
    return [{(one[engine.subject_field], one["provider"]): one for one in plan["retry_decisions"]} for plan in plans]


@dataclass(frozen=True)
class Foretold:
    """What a forecast says of its pairs by a later instant."""

    said: Mapping[str, Any]
    lane: OracleLane
    then: datetime

    def at(self, name: str) -> dict[Pair, str]:
        """When a pair is tried, exhausted or delivered, if it is."""
        field = self.lane.subject_field
        return {(one[field], one["provider"]): one[name] for one in self.said["pairs"] if one[name]}

    def by_then(self, name: str) -> set[Pair]:
        """The pairs of which that is so by the instant."""
        return {pair for pair, when in self.at(name).items() if datetime.fromisoformat(when) <= self.then}

    @property
    def pairs(self) -> set[Pair]:
        """Every pair."""
        return set(self.at("action"))

    @property
    def exhausted(self) -> set[Pair]:
        """Pairs that the plan suppresses at the instant."""
        before = {pair for pair, action in self.at("action").items() if action == "suppress"}
        return before | self.by_then("exhausted_at")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", range(-(-HISTORIES // AT_A_TIME)))
def test_a_forecast_is_the_plan_of_a_history_in_which_the_assumption_held(number: int, tmp_path: Path) -> None:
    records, chooser = (
        current(files_of(range(number * AT_A_TIME, min(HISTORIES, (number + 1) * AT_A_TIME)), 0)),
        random.Random(f"property {number}"),
    )
    at = FIRST + timedelta(hours=chooser.randrange(20, 40), microseconds=chooser.randrange(2))
    question = Question(at, 24, chooser.choice((1, 2, 5)), chooser.choice(({}, plan_arguments(number))))
    known = [record for record in records if record.at <= at]
    of_lanes = {name: OracleForecast(records, lane, question) for name, lane in LANES.items()}
    fails = held_home(tmp_path / "fails", (one for each in of_lanes.values() for one in each.failing.made), known)
    takes = held_home(tmp_path / "takes", (one for each in of_lanes.values() for one in each.arriving.made), known)
    tried = 0

    with warehouse_of(fails).reading() as failing, warehouse_of(takes).reading() as arriving:
        for name, lane in LANES.items():
            said = asked(failing, name, question)
            assert said == asked(arriving, name, question)
            hours = chooser.randrange(1, question.hours)
            runs = [run - chooser.randrange(2) * MICROSECOND for run in of_lanes[name].runs]
            chosen = chooser.sample(runs, min(6, len(runs)))
            moments = sorted({*chosen, at + timedelta(hours=hours), question.until})
            plans = (planned(session, name, question.policy, moments) for session in (failing, arriving))
            for then, failed, arrived in zip(moments, *plans, strict=True):
                foretold = Foretold(said, lane, then)
                assert set(failed) == foretold.pairs
                assert {pair for pair, one in failed.items() if one["action"] == "suppress"} == foretold.exhausted
                again = {pair for pair, one in failed.items() if datetime.fromisoformat(one["latest_delivery_at"]) > at}
                assert again <= foretold.by_then("first_tried_at")
                assert set(arrived) == foretold.pairs - foretold.by_then("delivered_at")
                tried += len(again)
            later = Question(at + timedelta(hours=hours), question.hours - hours, question.limit, question.policy)
            rest = Foretold(asked(failing, name, later), lane, question.until)
            foretold = Foretold(said, lane, later.as_of)
            assert rest.at("exhausted_at") == {
                pair: when for pair, when in foretold.at("exhausted_at").items() if pair not in foretold.exhausted
            }
    assert tried
