"""The worked cases, through the domain functions: every expected field of every answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import CASES, ask, home_with, query, same, take_in

FOLDERS = sorted(path.parent for path in CASES.glob("*/queries.json"))

pytestmark = pytest.mark.skipif(
    not FOLDERS, reason="the worked cases lie beside the repository, in ../shared/cases, and are not there"
)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_answer_of_a_worked_case_is_as_expected_and_no_line_raises_an_alarm(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "evidence.jsonl").read_bytes().splitlines()
    home = home_with(tmp_path, {"2026-06-25": lines})

    result = take_in(home)

    assert (result.received_count, result.failures) == (len([line for line in lines if line.strip()]), [])
    assert (result.quarantined_count, result.finding_count, result.unknown_kind_count) == (0, 0, 0)
    assert query(home, "SELECT * FROM quarantine") == query(home, "SELECT * FROM findings") == []
    questions = json.loads((folder / "queries.json").read_text())
    assert questions
    wrong = [
        f"{number} {question['report']} {question['lane']} {difference}"
        for number, question in enumerate(questions)
        for difference in same(question["expect"], ask(home, question))
    ]
    assert wrong == []


def test_the_comparison_sees_a_difference_in_every_kind_of_value() -> None:
    expected = {"n": 1, "at": "2026-06-25T10:00:00+00:00", "list": [{"a": None}], "level": "critical"}

    assert same(expected, {**expected, "at": "2026-06-25T15:30:00+05:30", "more": 1}) == []
    changes: tuple[dict[str, object], ...] = (
        {"n": True},
        {"at": "2026-06-25T10:00:01Z"},
        {"list": []},
        {"list": [{}]},
        {"level": "healthy"},
    )
    for changed in changes:
        assert len(same(expected, {**expected, **changed})) == 1, changed
    assert same({"a": None}, {}) == [".a: is missing"]
