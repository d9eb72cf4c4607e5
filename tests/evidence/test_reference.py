"""The page docs/evidence.md says what the declared table does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.evidence.reference import main, with_tables
from tests.support import REPOSITORY

PAGE = REPOSITORY / "docs" / "evidence.md"
MARKS = ("envelope", "kinds", "reasons", "rules")


def test_the_page_of_evidence_is_the_one_that_the_declared_table_makes() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert sorted(re.findall(r"<!-- (?!end )(\w+) -->", text)) == list(MARKS)
    assert with_tables(text) == text
    table = text[text.index("<!-- kinds -->") :].partition("<!-- end -->")[0]
    assert table.count("\n| `") == len(KINDS)


def test_a_table_that_was_changed_by_hand_is_made_again_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PAGE.read_text(encoding="utf-8")
    page = tmp_path / "evidence.md"
    page.write_text(text.replace("- `not_json`\n", "- `not_at_all`\n"), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["reference", str(page)])

    main()

    assert page.read_text(encoding="utf-8") == text
