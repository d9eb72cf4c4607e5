"""The cookbook and the notebooks: each cell is run on the recorded month, and shows what the docs show."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cavra_pipeline.settings import Settings
from tests.frames.cells import COOKBOOK, NOTEBOOKS, Kernel, with_outputs, with_results
from tests.support import REPOSITORY


@pytest.fixture
def _of_the_month(month: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAVRA_HOME", str(month.home))


@pytest.mark.usefixtures("_of_the_month")
def test_each_query_of_the_cookbook_gives_the_result_shown() -> None:
    page = COOKBOOK.read_text(encoding="utf-8")
    results = re.findall(r"^### (\d+)\. .*?\n\n```python\n.*?```\n\n```text\n(.+?)```", page, re.DOTALL | re.MULTILINE)

    assert [int(number) for number, _ in results] == list(range(1, 16))
    assert all(shown.strip() for _, shown in results)
    assert with_results(page) == page


@pytest.mark.usefixtures("_of_the_month")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_cell_of_a_notebook_gives_the_output_shown(path: Path) -> None:
    notebook = path.read_text(encoding="utf-8")
    document = json.loads(notebook)

    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in document["cells"]}) == len(document["cells"]) > 8
    assert sum(bool(cell.get("outputs")) for cell in document["cells"]) > 6
    assert with_outputs(notebook) == notebook


def test_there_are_two_notebooks_and_the_docs_name_both() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["incident-review", "provider-month"]
    page = COOKBOOK.read_text(encoding="utf-8")
    assert all(f"(notebooks/{path.name})" in page for path in NOTEBOOKS)


def test_a_cell_that_fails_or_shows_something_else_is_found() -> None:
    page = "```python\nx = 1\nprint(x + 1)\n```\n\n```text\n2\n```\n"
    assert with_results(page) == page
    assert with_results(page.replace("x = 1", "x = 2")) != page
    with pytest.raises(NameError):
        Kernel().run("y")


def test_the_example_of_another_code_location_is_one_that_dagster_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAVRA_HOME", str(REPOSITORY))
    page = COOKBOOK.read_text(encoding="utf-8")
    (example,) = re.findall(r"```py\n(import dagster as dg\n.*?)```", page, re.DOTALL)

    kernel = Kernel()
    kernel.run(example)
    _, keys = kernel.run("sorted(key.path[-1] for key in defs.resolve_asset_graph().get_all_asset_keys())")
    assert keys == ["deliveries", "failed_today", "outcomes"]
    kernel.run("dg.Definitions.validate_loadable(defs)")
