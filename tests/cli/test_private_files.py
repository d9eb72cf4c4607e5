"""The home is for its owner alone: what the product makes, and what an earlier release or another tool left open."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse.read_copy import ReadCopy
from tests.support import NOW, at, delivery, drop, file_of, text


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """The most permissive umask at the start of a test; as it was at its end."""
    before = os.umask(0)
    yield
    os.umask(before)


def run(home: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "cavra_pipeline.cli", *words],
        env={**os.environ, "CAVRA_HOME": str(home)}, capture_output=True, umask=0, check=False,
    )  # fmt: skip


def open_to_others(home: Path) -> list[str]:
    return [
        f"{path.relative_to(home.parent)} {stat.S_IMODE(path.lstat().st_mode):o}"
        for path in (home, *home.rglob("*"))
        if not path.is_symlink() and path.lstat().st_mode & 0o077
    ]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.slow
def test_what_the_commands_make_is_private_under_an_open_umask(tmp_path: Path) -> None:
    home, source = tmp_path / "home", tmp_path / "source.jsonl"
    source.write_bytes(text([delivery(at(60), failed=["slack"]), "not a record"]))
    acknowledged = ("ack", "--plan", "subject-1", "--provider", "slack", "--state", "accepted", "--by", "on-call")
    for words in (
        ("import", str(source)), ("ingest",), ("retry-plan", "--lane", "recovery_escalation", "--save"), acknowledged,
        ("worker", "--lane", "recovery_escalation"), ("compact",), ("alerts",),
    ):  # fmt: skip
        done = run(home, *words)
        assert done.returncode == 0, done.stderr.decode()

    assert open_to_others(home) == []
    names = {path.name for path in home.rglob("*")}
    assert {"warehouse.duckdb", "landing", "dagster", "dagster.yaml"} <= names
    assert any(name.endswith(".boundary.json") for name in names)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_a_dagster_run_and_a_written_report_make_is_private(tmp_path: Path) -> None:
    home, out = tmp_path / "home", tmp_path / "out"
    assert run(home, "refresh").returncode == 0
    assert run(home, "executive-report", "--output-dir", str(out)).returncode == 0

    assert open_to_others(home) == open_to_others(out) == []
    assert (home / "dagster" / "history").is_dir()
    assert list(out.iterdir())


def test_a_copy_that_is_read_is_private(tmp_path: Path) -> None:
    from cavra_pipeline.evidence.keeper import warehouse_of

    settings = Settings(home=tmp_path / "home").prepare()
    copy = ReadCopy(file_of(settings), lambda: NOW)
    try:
        with warehouse_of(settings).writing("test"):
            assert open_to_others(settings.home) == []
    finally:
        copy.close()
    assert open_to_others(settings.home) == []


def test_what_was_left_open_is_closed_at_the_next_start(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home").prepare()
    os.umask(0)
    path = drop(settings, [delivery()])
    for name in ("warehouse.duckdb", "warehouse.duckdb.wal", "dagster/runs.db", "state.db", "reports/r.html"):
        (settings.home / name).parent.mkdir(exist_ok=True)
        (settings.home / name).touch()
    for folder in (settings.home, settings.landing, settings.dagster_home):
        folder.chmod(0o755)
    written_by_people = settings.home / "connectors.yaml"
    written_by_people.touch()
    before = path.stat().st_mtime_ns

    settings.prepare()

    assert open_to_others(settings.home) == ["home/connectors.yaml 666"]
    assert (mode(path), path.stat().st_mtime_ns) == (0o600, before)


def test_a_file_that_is_open_in_a_private_home_is_closed_too(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home").prepare()
    settings.warehouse.touch()
    settings.warehouse.chmod(0o644)

    assert mode(settings.prepare().warehouse) == 0o600


def test_a_shared_folder_and_what_a_link_names_are_left_alone_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    home.chmod(0o1777)
    (home / "landing").symlink_to(elsewhere)

    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            Settings(home=home).prepare()

    assert (mode(home), mode(elsewhere)) == (0o1777, 0o777)
    assert [one.getMessage() for one in caplog.records if "is open to others" in one.getMessage()] == [
        f"{home} is open to others and can't be closed. Give it to this user, mode 700 or 600"
    ]
