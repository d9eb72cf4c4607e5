"""The executive report at a terminal: text that fits its width; a pipe still gets Markdown."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from cavra_pipeline.documents import pretty_json
from cavra_pipeline.escaping import visible
from tests.cli.command import command
from tests.recoveries.stores import playbook
from tests.support import at, delivery, ingested

pytestmark = pytest.mark.slow

AS_OF = ["--as-of", "2026-06-25T12:00:00Z"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    records = [playbook(at(600), "slack"), delivery(at(60), failed=["slack"], status_codes=[404])]
    return ingested(tmp_path, records).home


def at_a_terminal(home: Path, *arguments: str) -> str:
    """What the command says where standard output is a terminal."""
    ours, its = pty.openpty()
    environ = {**os.environ, "CAVRA_HOME": str(home), "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "80"}
    words = [sys.executable, "-m", "cavra_pipeline.cli", *arguments]
    said = b""
    with subprocess.Popen(words, stdout=its, stderr=subprocess.DEVNULL, env=environ):
        os.close(its)
        # Reading a terminal that no process has open any more is an error on Linux.
        with suppress(OSError):
            while chunk := os.read(ours, 65536):
                said += chunk
    os.close(ours)
    return said.decode()


def test_a_terminal_gets_text_and_a_pipe_markdown(home: Path) -> None:
    piped = command(home, "executive-report", *AS_OF).out
    shown = at_a_terminal(home, "executive-report", *AS_OF)
    chosen = at_a_terminal(home, "executive-report", *AS_OF, "--output", "markdown")

    assert piped.startswith("# Action needed: executive report")
    assert chosen.startswith("# Action needed: executive report")
    assert shown.startswith("Action needed: executive report")
    assert not any(mark in shown for mark in ("| ", "**", "## "))


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_the_text_fits_the_terminal_and_has_every_sentence_of_the_report(home: Path, width: int) -> None:
    said = command(home, "executive-report", *AS_OF, "--output", "text", environ={"COLUMNS": str(width)})
    report = command(home, "executive-report", *AS_OF, "--json").document

    assert (said.code, said.err) == (0, "")
    assert max(map(len, said.out.splitlines())) <= width
    words = " ".join(said.out.split())
    for action in report["recommended_actions"]:
        assert visible(action["action"].removesuffix(".")) in words
    for sentence in (report["headline"], *report["what_happened"]):
        assert sentence in words


def test_no_evidence_is_no_all_clear_in_text(tmp_path: Path) -> None:
    words = " ".join(command(ingested(tmp_path, []).home, "executive-report", "--output", "text").out.split())
    assert "That is not an all-clear" in words
    assert "unknown" in words
    assert "No recovery is open" not in words
    assert "nothing is failing" not in words


def test_json_is_indented_as_that_of_other_commands(home: Path, tmp_path: Path) -> None:
    said = command(home, "executive-report", *AS_OF, "--json")
    assert said.out.rstrip("\n") == pretty_json(said.document)
    assert command(home, "executive-report", *AS_OF, "--output-dir", str(tmp_path / "out")).code == 0
    (saved,) = (tmp_path / "out").glob("*.json")
    assert saved.read_text(encoding="utf-8").count("\n") == 1, "the saved report is canonical"
