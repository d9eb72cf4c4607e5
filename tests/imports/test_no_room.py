"""A disk with no room: said with place and remedy; what was there before is there after, and the next try succeeds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from tests.imports.sources import bring, bring_what_can_be, json_lines, landed
from tests.support import at, delivery, home_with, query, tables, take_in

pytestmark = pytest.mark.slow

MEBIBYTE = 1024 * 1024


def many(count: int, name: str) -> list[dict[str, object]]:
    return [delivery(at(n / 10), session_id=f"{name}-{n}", event_id=os.urandom(90).hex()) for n in range(count)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB, where this user may make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not shutil.which("mount"):
        pytest.skip("there is no mount command")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("this user can't mount a file system; the limit on file sizes is tested instead")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, *, leave: int) -> Path:
    """Fills a disk up to so many bytes."""
    filler = disk / "filler"
    room = shutil.disk_usage(disk).free - leave
    filler.write_bytes(b"\0" * max(room, 0))
    return filler


def test_an_import_that_runs_out_of_room_leaves_the_landing_zone_as_it_was(small_disk: Path, tmp_path: Path) -> None:
    home = home_with(small_disk)
    bring(home, json_lines(tmp_path / "before.jsonl", many(20, "before")))
    before = landed(home)
    big = json_lines(tmp_path / "big.jsonl", many(8000, "big"))
    filler = fill(small_disk, leave=MEBIBYTE)

    with pytest.raises(
        PipelineError, match=r"can't be written \(No space left on device\). Free some disk space"
    ) as raised:
        bring_what_can_be(home, big)

    assert raised.value.where == str(home.landing)
    assert landed(home) == before
    assert [path.name for path in home.landing.iterdir()] == ["2026-06-25"]
    filler.unlink()
    assert bring(home, big).imported_count == 8000


@pytest.mark.parametrize("leave", [64 * 1024, 2 * MEBIBYTE])
def test_an_ingest_that_runs_out_of_room_leaves_the_warehouse_as_it_was(
    small_disk: Path, tmp_path: Path, leave: int
) -> None:
    home = home_with(small_disk)
    bring(home, json_lines(tmp_path / "before.jsonl", many(20, "before")))
    take_in(home)
    before = tables(home)
    bring(home, json_lines(tmp_path / "big.jsonl", many(16000, "big")))
    filler = fill(small_disk, leave=leave)

    with pytest.raises(PipelineError, match=r"there is no room left to write\. Free some disk space") as raised:
        take_in(home)

    assert raised.value.where in (str(home.warehouse), state_of(home).where)
    filler.unlink()
    assert tables(home) == before
    assert take_in(home).failures == []
    assert query(home, "SELECT count(*) FROM evidence") == [(16020,)]


def limited(home: Settings, bytes_: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process that may not write a file past a size."""
    script = (
        "import resource, sys; from cavra_pipeline.cli import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes_}, {bytes_})); sys.argv[0] = 'cavra-pipeline'; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "CAVRA_HOME": str(home.home)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_says_that_it_can_not_write_without_a_traceback_and_harms_nothing(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    bring(home, json_lines(tmp_path / "before.jsonl", many(20, "before")))
    take_in(home)
    drops, rows = landed(home), tables(home)
    big = json_lines(tmp_path / "big.jsonl", many(16000, "big"))

    done = limited(home, MEBIBYTE, "import", str(big))

    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert "can't be written to it (File too large)" in done.stderr
    assert landed(home) == drops
    bring(home, big)

    done = limited(home, 2 * MEBIBYTE, "ingest")

    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert "can't be written to it (File too large)" in done.stderr
    assert tables(home) == rows
    assert take_in(home).failures == []
    assert query(home, "SELECT count(*) FROM evidence") == [(16020,)]
