"""A file, a lake on a folder and a lake on S3 give the same bytes: tables, and every report of the worked cases."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from cavra_pipeline.lanes import LANES
from cavra_pipeline.retry.acknowledge import acknowledge
from cavra_pipeline.settings import Settings
from tests.cli.command import command
from tests.lake.buckets import BucketServer
from tests.lake.homes import MakeHome, environ_of, on_lake
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


@pytest.fixture
def homes_of(
    tmp_path: Path, lake_home: MakeHome, server: BucketServer, new_postgresql: Callable[[], str]
) -> Callable[[Path], dict[str, Settings]]:
    """Makes a home with its file, one on a lake, and one on a lake on S3, each with the evidence of a worked case."""

    def make(folder: Path) -> dict[str, Settings]:
        assert server.environ["AWS_ENDPOINT_URL"]
        lines = (folder / "evidence.jsonl").read_bytes().splitlines()
        (tmp_path / "s3").mkdir()
        homes = {
            "file": home_with(tmp_path / "file", {DAY: lines}),
            "lake": lake_home({DAY: lines}),
            "lake on S3": on_lake(
                tmp_path / "s3", sa.make_url(new_postgresql()), {DAY: lines}, data_address="s3://cavra/data"
            ),
        }
        assert len({take_in(home).received_count for home in homes.values()} - {0}) == 1
        return homes

    return make


def differing(answers: dict[str, bytes]) -> set[str]:
    """The homes whose answer is not the file's."""
    return {name for name, answer in answers.items() if answer != answers["file"]}


@needs_cases
@pytest.mark.timeout(900)
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_answer_of_a_worked_case_has_the_same_bytes(
    folder: Path, homes_of: Callable[[Path], dict[str, Settings]]
) -> None:
    homes = homes_of(folder)
    wrong = []
    for question in json.loads((folder / "queries.json").read_text()):
        answers = {name: ask(home, question) for name, home in homes.items()}
        assert same(question["expect"], answers["lake on S3"]) == []
        if other := differing({name: without_clock(answer) for name, answer in answers.items()}):
            wrong.append(f"{question['report']} {question['lane']} {other}")

    assert wrong == []
    assert tables(homes["file"]) == tables(homes["lake"]) == tables(homes["lake on S3"])
    assert [home.warehouse.exists() for home in homes.values()] == [True, False, False]


@needs_cases
@pytest.mark.timeout(900)
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_report_over_all_lanes_has_the_same_bytes(
    folder: Path, homes_of: Callable[[Path], dict[str, Settings]]
) -> None:
    homes = homes_of(folder)
    wrong = []
    for asked in COMMANDS:
        said = {name: command(home.home, *asked, environ=environ_of(home)) for name, home in homes.items()}
        assert [(one.code, one.err) for one in said.values()] == [(0, "")] * 3, asked
        if other := differing({name: json.dumps(timeless(one.document)).encode() for name, one in said.items()}):
            wrong.append(f"{asked[0]} {other}")

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
