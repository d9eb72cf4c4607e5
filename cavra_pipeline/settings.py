"""The one place that reads the environment. Values are coded and checked here, at start, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path

from cavra_pipeline.errors import UsageError

DEFAULT_START_DATE = date(2025, 1, 1)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the pipeline lives and how much of the machine it may take.

    Attributes:
        home: Absolute folder that holds the landing zone, the warehouse and Dagster's own home.
        start_date: First UTC day that is a Dagster partition.
        busy_wait_seconds: How long a caller waits for a busy warehouse before it gives up.
        threads: DuckDB worker threads, or None for one a core.
        memory_limit: DuckDB memory limit such as ``2GB``, or None for DuckDB's own default.
        batch_bytes: Raw evidence parsed at once, in bytes; memory use grows with it.
    """

    home: Path
    start_date: date = DEFAULT_START_DATE
    busy_wait_seconds: float = 120.0
    threads: int | None = None
    memory_limit: str | None = None
    batch_bytes: int = 64 * 1024 * 1024

    @property
    def landing(self) -> Path:
        """Folder of drop days (contract section 1)."""
        return self.home / "landing"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file."""
        return self.home / "warehouse.duckdb"

    @property
    def dagster_home(self) -> Path:
        """Dagster's own home: runs, schedules, event log."""
        return self.home / "dagster"

    def prepare(self) -> Settings:
        """Creates the folders of the home and returns the settings.

        Raises:
            UsageError: The home can't be created or written.
        """
        try:
            for folder in (self.home, self.landing, self.dagster_home):
                folder.mkdir(parents=True, exist_ok=True)
            instance = self.dagster_home / "dagster.yaml"
            if not instance.exists():
                instance.write_bytes(files("cavra_pipeline").joinpath("dagster.yaml").read_bytes())
            probe = self.home / f".writable-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise UsageError(
                f"the home folder can't be written ({error.strerror})",
                where=f"CAVRA_HOME={self.home}",
                remedy="Give this user write access to it, or set CAVRA_HOME to another folder",
            ) from None
        return self


def _number(environ: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise UsageError(
            "the value is not accepted",
            where=name,
            remedy=f"Set a number from {low:g} to {high:g}, or unset it",
        )
    return value


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings from the environment; every variable has a working default.

    Args:
        environ: The variables; the process environment if not given.

    Raises:
        UsageError: A variable has a value that is not accepted; the message names it.
    """
    environ = os.environ if environ is None else environ
    start = environ.get("CAVRA_START_DATE", "").strip()
    try:
        start_date = date.fromisoformat(start) if start else DEFAULT_START_DATE
    except ValueError:
        raise UsageError(
            "the value is not a day",
            where="CAVRA_START_DATE",
            remedy="Write it as YYYY-MM-DD, such as 2025-01-01",
        ) from None
    threads = int(_number(environ, "CAVRA_THREADS", 0, 0, 1024))
    return Settings(
        home=Path(environ.get("CAVRA_HOME", "").strip() or ".cavra").expanduser().resolve(),
        start_date=start_date,
        busy_wait_seconds=_number(environ, "CAVRA_BUSY_WAIT_SECONDS", 120, 0, 86400),
        threads=threads or None,
        memory_limit=environ.get("CAVRA_MEMORY_LIMIT", "").strip() or None,
        batch_bytes=int(_number(environ, "CAVRA_BATCH_MEGABYTES", 64, 1, 4096) * 1024 * 1024),
    )
