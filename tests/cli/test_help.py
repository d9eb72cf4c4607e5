"""The help: every command under a heading, on one line, with examples that are commands; names that suggest."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cavra_pipeline.cli import cli
from cavra_pipeline.cli.command import HelpCommand, HelpGroup, name_of
from tests.cli.command import command


def every_command(group: click.Group = cli, *before: str) -> dict[tuple[str, ...], click.Command]:
    """Returns every command by its words, those of groups too."""
    found: dict[tuple[str, ...], click.Command] = {}
    for name, one in group.commands.items():
        found[*before, name] = one
        if isinstance(one, click.Group):
            found |= every_command(one, *before, name)
    return found


EVERY = every_command()


def test_the_list_of_commands_shows_each_whole_and_once_at_80_columns() -> None:
    said = command(Path("unused"), "--help", environ={"COLUMNS": "80"})
    lines = said.out.splitlines()

    assert max(map(len, lines)) <= 80
    assert "..." not in said.out.replace("[ARGS]...", "")
    for name in cli.commands:
        assert sum(line.startswith(f"  {name} ") for line in lines) == 1, name
    assert sum(line.endswith(":") and not line.startswith(" ") for line in lines) >= 7


def test_an_older_name_of_a_command_works_and_is_not_listed(tmp_path: Path) -> None:
    old, new = (command(tmp_path, name, "--help") for name in ("slots", "scheduled-runs"))

    assert old.code == 0
    assert old.out.split("\n", 1)[1] == new.out.split("\n", 1)[1]
    assert " slots " not in command(tmp_path, "--help").out


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_each_command_has_a_short_line_and_examples_that_click_understands(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = EVERY[words]
    monkeypatch.chdir(tmp_path)
    for name in ("plan.zip", "checkpoint.txt"):
        (tmp_path / name).touch()

    assert len(one.get_short_help_str(200)) <= 58
    assert isinstance(one, HelpCommand | HelpGroup)
    assert one.examples
    for example in one.examples:
        name, *arguments = shlex.split(example.split(" > ")[0].split(" >> ")[0].split(" < ")[0])
        assert name == "cavra-pipeline"
        assert tuple(arguments[: len(words)]) == words
        if not isinstance(one, click.Group):
            one.make_context(words[-1], arguments[len(words) :])


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_h_explains_each_command_in_plain_text(words: tuple[str, ...], tmp_path: Path) -> None:
    short, long = command(tmp_path, *words, "-h"), command(tmp_path, *words, "--help")

    assert (short.code, short.out) == (0, long.out)
    assert "\\b" not in short.out
    narrow = command(tmp_path, *words, "-h", environ={"COLUMNS": "80"}).out.splitlines()
    assert max(map(len, narrow)) <= 80
    assert not [line for line in narrow if re.search(r"\w-$", line)], "a name is broken at its hyphen"
    assert list(tmp_path.iterdir()) == []


NEEDY = {words: one for words, one in EVERY.items() if any(needed.required for needed in one.params)}


@pytest.mark.parametrize("words", NEEDY, ids=" ".join)
def test_a_command_without_what_it_needs_names_all_of_it_and_an_example(words: tuple[str, ...], tmp_path: Path) -> None:
    one = NEEDY[words]
    needed = [name_of(parameter) for parameter in one.params if parameter.required]

    said = command(tmp_path / "home", *words)

    rule, *remedy = said.err.splitlines()
    assert (said.code, said.out) == (2, "")
    assert rule.startswith(f"error: cavra-pipeline {' '.join(words)}: ")
    assert rule.endswith(" are missing" if len(needed) > 1 else " is missing")
    assert all(name in rule for name in needed)
    assert f"  Example: {one.examples[0]}" in remedy  # type: ignore[attr-defined]  # each command has some
    assert not [line for line in remedy if "None" in line]
    assert not (tmp_path / "home").exists()


def test_what_was_given_is_not_missing(tmp_path: Path) -> None:
    said = command(tmp_path / "home", "recovery", "close", "--by", "ops", "--state", "resolved")

    assert "--playbook and --provider are missing" in said.err
    assert "Add --by" not in said.err


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (["retry-paln"], "retry-plan"),
        (["dashboard", "--as-fo", "2d"], "--as-of"),
        (["retry-plan", "--lane", "auditor-exprt"], "Did you mean auditor_export?"),
        (["retry-plan", "--lane", "recovery"], "Did you mean recovery_escalation or recovery_health_alert?"),
        (["dashboard", "--output", "jsn"], "Did you mean json?"),
        (["scheduled-runs", "--schedule", "recovery_retry_wroker"], "Did you mean recovery_retry_worker?"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_a_misspelt_name_suggests_the_nearest(asked: list[str], named: str, tmp_path: Path) -> None:
    said = command(tmp_path / "home", *asked)

    assert said.code == 2
    assert named in said.err


def test_a_name_that_is_near_none_suggests_nothing(tmp_path: Path) -> None:
    said = command(tmp_path / "home", "retry-plan", "--lane", "zzzz")

    assert said.code == 2
    assert "Did you mean" not in said.err


def test_the_shell_completes_commands_lanes_and_forms(tmp_path: Path) -> None:
    def completed(*words: str) -> set[str]:
        line = " ".join(["cavra-pipeline", *words])
        environ = {"_CAVRA_PIPELINE_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words))}
        return {item.split(",")[1] for item in command(tmp_path, environ=environ).out.splitlines()}

    assert completed("retry-") == {"retry-health", "retry-plan"}
    assert completed("retry-plan", "--lane", "exec") == {"executive_report", "executive_health_alert"}
    assert completed("dashboard", "--output", "") == {"table", "json", "csv"}


def test_commands_start_without_pandas() -> None:
    loaded = "import sys, cavra_pipeline.cli; print([one for one in ('pandas', 'pyarrow') if one in sys.modules])"
    said = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert said.stdout == "['pyarrow']\n"
