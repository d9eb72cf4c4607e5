"""Code of the docs: cells are run on the recorded month and show what the docs show; commands are ones there are."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cavra_pipeline.cli import cli
from cavra_pipeline.settings import Settings
from tests.cli.command import command
from tests.frames.cells import COOKBOOK, NOTEBOOKS, PANDAS, Kernel, with_outputs, with_results
from tests.support import REPOSITORY

pytestmark = pytest.mark.slow

PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])
#: Commands that only read: where the docs leave nothing to fill in, they are run.
READING = {
    "status",
    "dashboard",
    "retry-health",
    "retry-plan",
    "incidents",
    "forecast",
    "recoveries",
    "closure",
    "slots",
    "sql",
}
FILES = (".db", ".zip", ".txt", ".json", ".jsonl")


def commands_in(page: Path) -> Iterator[list[str]]:
    """Yields the command lines of a page's shell blocks, each as words, without comments and redirections."""
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split(" && "):
                words = shlex.split(re.split(r" >>? | \| ", part)[0], comments=True)
                if "cavra-pipeline" in words[:2]:
                    yield words[words.index("cavra-pipeline") + 1 :]


def check(words: list[str]) -> None:
    """Passes if click can read a command line; runs nothing."""
    one: click.Command = cli
    while isinstance(one, click.Group) and words and words[0] in one.commands:
        one, words = one.commands[words[0]], words[1:]
    assert not isinstance(one, click.Group) or not words, words
    if not isinstance(one, click.Group):
        one.make_context(one.name, list(words))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_command_in_a_shell_block_is_one_that_there_is(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in commands_in(page):
        for name in words:
            if name.endswith(FILES) and "/" not in name:
                (tmp_path / name).touch()
        if words[-1:] != ["-h"]:
            check(words)


READ = sorted(
    {
        tuple(words)
        for page in PAGES
        for words in commands_in(page)
        if words and words[0] in READING and not any(word.isupper() for word in words)
    }
)


@pytest.mark.parametrize("words", READ, ids=" ".join)
def test_a_command_of_the_docs_that_only_reads_runs_on_the_month(words: tuple[str, ...], month: Settings) -> None:
    said = command(month.home, *words)

    assert said.code == 0, said.err
    assert said.out


@pytest.fixture
def _of_the_month(month: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAVRA_HOME", str(month.home))


@pytest.mark.usefixtures("_of_the_month")
def test_each_query_of_the_cookbook_gives_the_result_shown() -> None:
    page = COOKBOOK.read_text(encoding="utf-8")
    results = re.findall(r"^## (\d+)\. .*?\n\n```python\n.*?```\n\n```text\n(.+?)```", page, re.DOTALL | re.MULTILINE)

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
    page = PANDAS.read_text(encoding="utf-8")
    assert all(f"(notebooks/{path.name})" in page for path in NOTEBOOKS)


def test_a_cell_that_fails_or_shows_something_else_is_found() -> None:
    page = "```python\nx = 1\nprint(x + 1)\n```\n\n```text\n2\n```\n"
    assert with_results(page) == page
    assert with_results(page.replace("x = 1", "x = 2")) != page
    with pytest.raises(NameError):
        Kernel().run("y")


def test_the_example_of_another_code_location_is_one_that_dagster_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAVRA_HOME", str(REPOSITORY))
    page = PANDAS.read_text(encoding="utf-8")
    (example,) = re.findall(r"```py\n(import dagster as dg\n.*?)```", page, re.DOTALL)

    kernel = Kernel()
    kernel.run(example)
    _, keys = kernel.run("sorted(key.path[-1] for key in defs.resolve_asset_graph().get_all_asset_keys())")
    assert keys == ["deliveries", "failed_today", "outcomes"]
    kernel.run("dg.Definitions.validate_loadable(defs)")
