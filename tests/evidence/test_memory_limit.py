"""An ingest that is given too little memory ends with a message, and succeeds once it is given enough."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cavra_pipeline.errors import OutOfMemory
from cavra_pipeline.settings import Settings
from tests.support import at, delivery, home_with, query, take_in

pytestmark = pytest.mark.slow

MEBIBYTE = 1024 * 1024


def many(count: int) -> list[dict[str, object]]:
    return [delivery(at(n / 100), session_id=f"s-{n}", event_id=f"{n:0400}") for n in range(count)]


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """A home with evidence that is read on several threads."""
    return home_with(tmp_path, many(6000))


def limited(home: Settings, megabytes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process with so much address space."""
    size = megabytes * MEBIBYTE
    script = (
        f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({size}, {size})); "
        "import sys; from cavra_pipeline.cli import main; sys.argv[0] = 'cavra-pipeline'; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "CAVRA_HOME": str(home.home), "CAVRA_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("megabytes", [1024, 2048, 3583])
def test_a_limit_on_address_space_that_is_too_low_is_said_before_anything_is_read(
    megabytes: int, home: Settings
) -> None:
    done = limited(home, megabytes, "ingest")

    assert done.returncode == 1, done.stderr
    assert f"this process may take {megabytes:,} MB, and 2 threads need 3,584 MB\n  Raise the limit" in done.stderr
    assert "Traceback" not in done.stderr
    assert query(home, "SELECT count(*) FROM evidence") == [(0,)]


@pytest.mark.slow
def test_at_the_limit_that_the_message_names_the_ingest_succeeds(home: Settings) -> None:
    done = limited(home, 3584, "ingest")

    assert done.returncode == 0, done.stderr
    assert query(home, "SELECT count(*) FROM evidence") == [(6000,)]


def test_duckdb_short_of_memory_is_an_error_that_names_the_landing_file_and_the_setting(tmp_path: Path) -> None:
    home = home_with(tmp_path, many(6000), memory_limit="2MB")

    with pytest.raises(OutOfMemory, match="there is not enough memory to commit this landing file") as raised:
        take_in(home)

    assert raised.value.where == "2026-06-25/evidence.jsonl"
    assert "CAVRA_MEMORY_LIMIT" in raised.value.remedy
    enough = Settings(home=home.home, threads=2)
    assert take_in(enough).failures == []
    assert query(enough, "SELECT count(*) FROM evidence") == [(6000,)]
