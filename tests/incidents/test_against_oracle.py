"""Incidents against the oracle in plain Python, and against what was put into the histories.

`CAVRA_ORACLE_HISTORIES` says how many histories (40 by default).
"""

from __future__ import annotations

import os
import random
from datetime import timedelta
from pathlib import Path

import pytest

from tests.incidents.histories import BEGIN, ask_incidents, by_chance, oracle_records, with_incidents
from tests.oracle.evidence import current
from tests.oracle.histories import history, instants
from tests.oracle.incidents import incidents
from tests.support import MICROSECOND, Record, home_with, ingested, same, take_in

pytestmark = pytest.mark.slow

HISTORIES = int(os.environ.get("CAVRA_ORACLE_HISTORIES", "40"))
END = BEGIN + timedelta(days=400)


def test_injected_incidents_are_found_with_exact_intervals_and_causes(tmp_path: Path) -> None:
    told = [with_incidents(seed) for seed in range(HISTORIES)]
    records = [record for history_, _ in told for record in history_]
    injected = [one for _, put in told for one in put]
    home = ingested(tmp_path, records)
    chooser = random.Random("instants")
    edges = [moment for one in injected for moment in (one.began_at, one.ended_at)]
    asked = [END, *(chooser.choice(edges) + chooser.choice((-1, 0, 1)) * MICROSECOND for _ in range(20))]

    answers = ask_incidents(home, asked)

    of_all = oracle_records(records)
    for at, answer in zip(asked, answers, strict=True):
        assert same({"incidents": incidents(of_all, at)}, answer) == []
    for at, answer in zip(asked[1:4], (ask_incidents(home, [at], is_open=True)[0] for at in asked[1:4]), strict=True):
        still = [one for one in incidents(of_all, at) if one["ended_at"] is None]
        assert same({"incidents": still}, answer) == []
    found = {(one["provider"], one["lane"], one["began_at"], one["ended_at"], one["cause"]) for one in
             answers[0]["incidents"]}  # fmt: skip
    assert {
        (one.provider, one.lane, one.began_at.isoformat(), one.ended_at.isoformat(), one.cause) for one in injected
    } <= found
    assert {one["cause"] for one in answers[0]["incidents"]} >= {one.cause for one in injected}


def test_failures_that_are_independent_are_no_incident(tmp_path: Path) -> None:
    rates = (0.01, 0.05, 0.1, 0.3)
    records: list[Record] = []
    for seed in range(HISTORIES):
        records += by_chance(seed, rate=rates[seed % len(rates)])

    (answer,) = ask_incidents(ingested(tmp_path, records), [END])

    # In the first 30 days too little is known of a provider to tell chance from a cause.
    known = {one["provider"] for one in answer["incidents"] if one["began_at"] >= (BEGIN + timedelta(30)).isoformat()}
    assert len(known) <= HISTORIES // 100


@pytest.mark.parametrize("seed", range(min(HISTORIES, 12)))
def test_the_engine_finds_the_oracles_incidents_in_random_histories(seed: int, tmp_path: Path) -> None:
    files = history(seed)
    records = current(files)
    home = home_with(tmp_path, files)
    take_in(home)
    asked = [*instants(seed, 0, records), *(record.at for record in records[:: max(1, len(records) // 20)])]

    answers = ask_incidents(home, asked)

    for at, answer in zip(asked, answers, strict=True):
        assert same({"incidents": incidents(records, at)}, answer) == []
    assert [ask_incidents(home, [at])[0] for at in asked[:3]] == answers[:3]
    for at, answer in zip(asked, ask_incidents(home, asked, is_open=True), strict=True):
        still = [one for one in incidents(records, at) if one["ended_at"] is None]
        assert same({"incidents": still}, answer) == []
