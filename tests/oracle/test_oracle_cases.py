"""The oracle against the worked cases of the second edition: every expected field of every answer."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from tests.oracle.evidence import LANES, current
from tests.oracle.model import health, plan
from tests.support import REPOSITORY, same

FOLDERS = sorted(path.parent for path in (REPOSITORY.parent / "shared" / "cases-v2").glob("*/queries.json"))


@pytest.mark.skipif(not FOLDERS, reason="the worked cases lie beside the repository, in ../shared/cases-v2")
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_oracle_gives_every_expected_answer_of_a_worked_case(folder: Path) -> None:
    lines = (folder / "evidence.jsonl").read_text().splitlines()
    records = current({"2026-06-25/evidence.jsonl": [json.loads(line) for line in lines if line.strip()]})
    questions = json.loads((folder / "queries.json").read_text())
    answer = {"retry-plan": plan, "retry-health": health}

    wrong = [
        f"{number} {question['report']} {question['lane']} {difference}"
        for number, question in enumerate(questions)
        for difference in same(
            question["expect"],
            answer[question["report"]](
                records, LANES[question["lane"]], datetime.fromisoformat(question["as_of"]), question["args"]
            ),
        )
    ]

    assert len(questions) > 0
    assert wrong == []
