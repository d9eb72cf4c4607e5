"""The worked cases through Dagster: materialise the drop, then each report with its run configuration."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cases.ways import in_dagster
from tests.dagster_tests.runs import EVIDENCE, new_home, run
from tests.imports.sources import bring
from tests.support import CASES, ask, query, same

FOLDERS = sorted(path.parent for path in CASES.glob("*/queries.json"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not FOLDERS, reason="the worked cases lie beside the repository, in ../shared/cases, and are not there"
    ),
]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_answer_to_a_worked_case_is_the_expected_one_in_dagster(folder: Path, tmp_path: Path) -> None:
    settings = new_home(tmp_path)
    written = bring(settings, folder / "evidence.jsonl").written
    days = sorted({datetime.fromisoformat(name.split("/")[0]).date() for name in written})
    assert days[0] >= date(2026, 6, 20)
    for day in days:
        assert run(settings, [day], assets=EVIDENCE).success
    lines = [line for line in (folder / "evidence.jsonl").read_bytes().splitlines() if line.strip()]
    assert query(settings, "SELECT sum(received_count), sum(quarantined_count) FROM drops") == [(len(lines), 0)]

    turns: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for question in json.loads((folder / "queries.json").read_text()):
        turns[question["lane"], question["report"].replace("-", "_")].append(question)
    wrong: list[str] = []
    for turn in range(max(map(len, turns.values()))):
        asked = {key: questions[turn] for key, questions in turns.items() if turn < len(questions)}
        for question, answer in zip(asked.values(), in_dagster(settings, list(asked.values())), strict=True):
            about = f"{question['lane']} {question['report']} {turn}"
            wrong += [f"{about} {difference}" for difference in same(question["expect"], answer)]
            id_field = "retry_plan_id" if question["report"] == "retry-plan" else "health_id"
            if answer[id_field] != ask(settings, question)[id_field]:
                wrong.append(f"{about}: another id than on the command line")
    assert turns
    assert wrong == []
