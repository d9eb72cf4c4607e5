"""A lake gives the bytes that the file gives: tables, and every report of the worked cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cavra_pipeline.lanes import LANES
from cavra_pipeline.retry.acknowledge import acknowledge
from cavra_pipeline.settings import Settings
from tests.cli.command import command
from tests.lake.homes import MakeHome, environ_of
from tests.support import (
    AS_OF,
    CASES,
    DAY,
    NOW,
    ask,
    at,
    delivery,
    home_with,
    same,
    tables,
    take_in,
    without_clock,
)

FOLDERS = sorted(path.parent for path in CASES.glob("*/queries.json"))
needs_cases = pytest.mark.skipif(
    not FOLDERS, reason="the worked cases lie beside the repository, in ../shared/cases, and are not there"
)
AT = AS_OF.isoformat()
#: Reports over all lanes, and one of each report of a lane.
COMMANDS = (
    ("dashboard", "--as-of", AT, "--json"),
    ("incidents", "--as-of", AT, "--json"),
    ("recoveries", "--as-of", AT, "--json"),
    ("closure", "--as-of", AT, "--json"),
    ("escalate", "--as-of", AT, "--json"),
    ("forecast", "--lane", "recovery_escalation", "--as-of", AT, "--json"),
    ("executive-report", "--as-of", AT, "--output", "json"),
)


def timeless(document: object) -> object:
    """A document without the instants at which it was made, at any depth, in its own order."""
    if isinstance(document, dict):
        return {key: timeless(value) for key, value in document.items() if key != "generated_at"}
    return [timeless(one) for one in document] if isinstance(document, list) else document


def both(folder: Path, tmp_path: Path, lake_home: MakeHome) -> tuple[Settings, Settings]:
    """A home with its file and one on a lake, with the evidence of a worked case ingested."""
    lines = (folder / "evidence.jsonl").read_bytes().splitlines()
    file, lake = home_with(tmp_path / "file", {DAY: lines}), lake_home({DAY: lines})
    assert take_in(file).received_count == take_in(lake).received_count > 0
    return file, lake


@needs_cases
@pytest.mark.timeout(900)
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_answer_of_a_worked_case_has_the_same_bytes(folder: Path, tmp_path: Path, lake_home: MakeHome) -> None:
    file, lake = both(folder, tmp_path, lake_home)
    wrong = []
    for question in json.loads((folder / "queries.json").read_text()):
        answer = ask(lake, question)
        assert same(question["expect"], answer) == []
        if without_clock(ask(file, question)) != without_clock(answer):
            wrong.append(f"{question['report']} {question['lane']}")

    assert wrong == []
    assert tables(file) == tables(lake)
    assert not lake.warehouse.exists(), "a home on a lake has no file"


@needs_cases
@pytest.mark.timeout(900)
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_report_over_all_lanes_has_the_same_bytes(folder: Path, tmp_path: Path, lake_home: MakeHome) -> None:
    homes = both(folder, tmp_path, lake_home)
    wrong = []
    for asked in COMMANDS:
        said = [command(home.home, *asked, environ=environ_of(home)) for home in homes]
        assert [(one.code, one.err) for one in said] == [(0, "")] * 2, asked
        if len({json.dumps(timeless(one.document)) for one in said}) > 1:
            wrong.append(asked[0])

    assert wrong == []


def test_an_acknowledgement_through_a_lake_closes_the_same_gap(tmp_path: Path, lake_home: MakeHome) -> None:
    lines = [delivery(at(90), failed=["slack"], subject="plan-1"), delivery(at(30), subject="plan-2")]
    file, lake = home_with(tmp_path / "file", {DAY: lines}), lake_home({DAY: lines})
    lane = LANES["recovery_escalation"]
    question = {"report": "retry-health", "lane": lane.name, "as_of": NOW.isoformat(), "args": {}}

    pending, answers = [], []
    for home in (file, lake):
        take_in(home)
        pending.append(ask(home, question)["acknowledgement_pending_count"])
        acknowledge(home, lane, subject="plan-1", provider="slack", state="acknowledged", by="on-call", now=AS_OF)
        answers.append(ask(home, question))

    assert pending == [1, 1]
    assert answers[0]["acknowledgement_pending_count"] == 0
    assert without_clock(answers[0]) == without_clock(answers[1])
    assert tables(file)["evidence_records"] == tables(lake)["evidence_records"]
