"""Random histories of seven lanes, asked in every way: each answer is that of the others, and of the oracle.

`CAVRA_WAYS_HISTORIES` says how many histories (1 by default).
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.api.server import NoDagster, served
from tests.cases.ways import OF_A_LANE, Question, in_dagster, on_the_command_line, over_http
from tests.dagster_tests.runs import new_home
from tests.oracle.evidence import LANES, OracleRecord, current
from tests.oracle.histories import health_arguments, history, instants, plan_arguments, recovery_arguments
from tests.oracle.model import health, plan
from tests.oracle.recoveries import closure, recoveries
from tests.support import same, take_in, without_clock

pytestmark = pytest.mark.slow

#: Seeds that the other tests of random histories do not use.
SEEDS = [7_000_000 + number for number in range(int(os.environ.get("CAVRA_WAYS_HISTORIES", "1")))]


def questions(seed: int, records: list[OracleRecord]) -> list[list[dict[str, Any]]]:
    """Two rounds of questions about every report: at an instant of the history, and with other parameters after it."""
    now, end = (moment.isoformat() for moment in instants(seed, 0, records))
    return [
        [
            *({"report": "retry-plan", "lane": lane, "as_of": at, "args": given[0]} for lane in LANES),
            *({"report": "retry-health", "lane": lane, "as_of": at, "args": given[1]} for lane in LANES),
            {"report": "recoveries", "as_of": at, "args": given[2]},
            {"report": "closure", "as_of": at, "args": {}},
        ]
        for at, given in (
            (now, ({}, {}, {})),
            (end, (plan_arguments(seed), health_arguments(seed), recovery_arguments(seed))),
        )
    ]


def oracle(records: list[OracleRecord], question: Question) -> dict[str, Any]:
    """The oracle's answer to a question."""
    at, args = datetime.fromisoformat(question["as_of"]), question["args"]
    if question["report"] in OF_A_LANE:
        make = plan if question["report"] == "retry-plan" else health
        return make(records, LANES[question["lane"]], at, args)
    if question["report"] == "recoveries":
        return recoveries(records, at, **args)
    report = closure(records, at)
    del report["counts"]
    return report


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_way_to_ask_gives_the_answer_of_the_others_and_of_the_oracle(seed: int, tmp_path: Path) -> None:
    settings = new_home(tmp_path, history(seed))
    assert take_in(settings).failures == []
    records = current(history(seed))

    wrong: list[str] = []
    with served(settings, dagster=NoDagster()) as one, one.client() as client:
        for asked in questions(seed, records):
            for question, saved in zip(asked, in_dagster(settings, asked), strict=True):
                printed = on_the_command_line(settings.home, question)
                answered = over_http(client, question)
                about = f"{question['report']} {question.get('lane')} {question['as_of']} {question['args']}"
                wrong += [f"{about}: {difference}" for difference in same(oracle(records, question), printed)]
                bytes_of = {json.dumps(json.loads(without_clock(each)), sort_keys=True)
                            for each in (printed, answered, saved)}  # fmt: skip
                if len(bytes_of) > 1:
                    wrong.append(f"{about}: the command line, Dagster and the API do not agree")

    assert wrong == []
