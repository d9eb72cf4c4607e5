"""What killed imports left is removed by the next one; what a living import uses stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cavra_pipeline.evidence.landing import SIDECAR_SUFFIX, strays
from cavra_pipeline.evidence.leftovers import locked
from cavra_pipeline.settings import Settings
from tests.imports.sources import bring, json_lines
from tests.support import DAY, PSEUDONYMS, delivery, home_with, query, raw, take_in

pytestmark = pytest.mark.slow


@pytest.fixture
def importer(tmp_path: Path) -> Iterator[tuple[Settings, subprocess.Popen[bytes]]]:
    """A home, and an import of it in another process that waits for more of its input."""
    home = home_with(tmp_path)
    script = "from cavra_pipeline.cli import main; import sys; sys.argv = ['cavra-pipeline', 'import', '-']; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "CAVRA_HOME": str(home.home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin
    while not any(map(is_in_use, temporary(home))):
        assert process.poll() is None
    yield home, process
    process.kill()
    process.communicate()


def is_in_use(folder: Path) -> bool:
    """Whether a process has locked a folder, which it does after it has made it."""
    try:
        with locked(folder, wait=False) as is_free:
            return not is_free
    except FileNotFoundError:
        return False


def temporary(home: Settings) -> list[Path]:
    return list(home.landing.glob(".import-*"))


def test_the_folder_of_a_living_import_stays_and_its_import_succeeds(
    importer: tuple[Settings, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    home, process = importer
    (folder,) = temporary(home)

    bring(home, json_lines(tmp_path / "e.jsonl", [delivery(session_id="other")]))

    assert temporary(home) == [folder]
    out, err = process.communicate(raw(delivery(session_id="slow")) + b"\n")
    assert process.returncode == 0, (out, err)
    assert temporary(home) == []
    take_in(home)
    assert query(home, "SELECT session_id FROM evidence ORDER BY 1") == [("other",), ("slow",)]


def test_the_folder_of_a_killed_import_is_removed_by_the_next(
    importer: tuple[Settings, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    home, process = importer
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(temporary(home)) == 1

    bring(home, json_lines(tmp_path / "e.jsonl", [delivery(session_id="next")]))

    assert temporary(home) == []


def test_a_sidecar_that_was_put_in_place_without_its_landing_file_is_removed(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    source = json_lines(tmp_path / "e.jsonl", [delivery(session_id="a", note="left out")])
    (written,) = bring(home, source).written
    left = home.landing / DAY / f"import-000009-0123456789abcdef.jsonl{SIDECAR_SUFFIX}"
    others = home.landing / DAY / f"theirs.jsonl{SIDECAR_SUFFIX}"
    left.write_text("{}")
    others.write_text("{}")

    bring(home, source)

    assert not left.exists()
    assert strays(home.landing, PSEUDONYMS) == [f"{DAY}/{others.name}"]
    assert (home.landing / (written + SIDECAR_SUFFIX)).exists()
