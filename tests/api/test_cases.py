"""The worked cases over HTTP: every expected field of every answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.api.server import NoDagster, served
from tests.cases.ways import over_http
from tests.support import CASES, ingested, same

pytestmark = pytest.mark.slow

FOLDERS = sorted(path.parent for path in CASES.glob("*/queries.json"))


@pytest.mark.skipif(not FOLDERS, reason="the worked cases lie beside the repository, in ../shared/cases-v2")
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_answer_to_a_worked_case_is_the_expected_one_over_http(folder: Path, tmp_path: Path) -> None:
    home = ingested(tmp_path, (folder / "evidence.jsonl").read_bytes().splitlines())
    questions = json.loads((folder / "queries.json").read_text())

    with served(home, dagster=NoDagster()) as one, one.client() as client:
        wrong = [
            f"{number} {question['report']} {question['lane']} {difference}"
            for number, question in enumerate(questions)
            for difference in same(question["expect"], over_http(client, question))
        ]

    assert len(questions) > 0
    assert wrong == []
