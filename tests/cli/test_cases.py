"""The worked cases through the command line: import, ingest, every question with `--json`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cases.ways import on_the_command_line
from tests.cli.command import command
from tests.support import CASES, same

FOLDERS = sorted(path.parent for path in CASES.glob("*/queries.json"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not FOLDERS, reason="the worked cases lie beside the repository, in ../shared/cases, and are not there"
    ),
]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_answer_to_a_worked_case_is_the_expected_one_on_the_command_line(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    lines = [line for line in (folder / "evidence.jsonl").read_bytes().splitlines() if line.strip()]
    imported = command(home, "import", str(folder / "evidence.jsonl"), "--json")
    ingested = command(home, "ingest", "--json")
    assert (imported.code, ingested.code) == (0, 0), imported.err + ingested.err
    assert imported.document["imported_count"] == ingested.document["received_count"] == len(lines)
    assert (ingested.document["quarantined_count"], ingested.document["finding_count"]) == (0, 0)

    questions = json.loads((folder / "queries.json").read_text())
    wrong: list[str] = []
    for number, question in enumerate(questions):
        answer = on_the_command_line(home, question)
        about = f"{number} {question['report']} {question['lane']}"
        wrong += [f"{about} {difference}" for difference in same(question["expect"], answer)]
    assert questions
    assert wrong == []
