"""The pages docs/evidence*.md say what the declared table does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cavra_pipeline.boundary.kinds import KINDS
from tests.evidence.reference import main, with_tables
from tests.support import REPOSITORY

PAGES = sorted((REPOSITORY / "docs").glob("evidence*.md"))
MARKS = ("envelope", "kinds", "reasons", "rules")


def test_the_pages_of_evidence_are_those_that_the_declared_table_makes() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)

    assert sorted(re.findall(r"<!-- (?!end )(\w+) -->", text)) == list(MARKS)
    assert with_tables(text) == text
    table = text[text.index("<!-- kinds -->") :].partition("<!-- end -->")[0]
    assert table.count("\n| `") == len(KINDS)


def test_a_table_that_was_changed_by_hand_is_made_again_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (REPOSITORY / "docs" / "evidence-secrets.md").read_text(encoding="utf-8")
    page = tmp_path / "evidence.md"
    page.write_text(text.replace("- `not_json`\n", "- `not_at_all`\n"), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["reference", str(page)])

    main()

    assert page.read_text(encoding="utf-8") == text
