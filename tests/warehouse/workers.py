"""What tests run in processes of their own. Each function is importable by name and takes plain values."""

from __future__ import annotations

import time
from datetime import date
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import duckdb

from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.retention.prune import prune
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse import Session
from tests.support import NOW, file_of


def hold_for_writing(path: Path, held: Event, seconds: float) -> None:
    """Holds the warehouse in a transaction that has already changed something."""
    with warehouse_of(Settings(home=path)).writing("a long test") as session:
        session.execute("DELETE FROM evidence_records")
        session.execute("DELETE FROM drops")
        held.set()
        time.sleep(seconds)


def hold_without_the_gate(path: Path, held: Event, seconds: float) -> None:
    """Holds the file as the DuckDB command line would."""
    connection = duckdb.connect(str(path))
    held.set()
    time.sleep(seconds)
    connection.close()


def hold_in_the_middle_of_a_replacement(home: Path, held: Event) -> None:
    """Holds the warehouse when half a new file is written."""
    with file_of(Settings(home=home)).replacing("compact") as (_, fresh):
        fresh.write_bytes(b"half of a file")
        held.set()
        time.sleep(60)


def ingest_day(home: Path, day: date) -> int:
    """Ingests one day; returns how many records it received."""
    return ingest(Settings(home=home, threads=1), now=NOW, days=[day]).received_count


def read_counts(home: Path, times: int) -> list[int]:
    """Looks at the evidence again and again; every look must be at whole drops."""
    counts: list[int] = []
    for _ in range(times):
        with warehouse_of(Settings(home=home, threads=1)).reading() as session:
            (totals,) = session.tuples(
                "SELECT count(*), (SELECT coalesce(sum(received_count), 0) FROM drops) FROM evidence"
            )
        if totals[0] != totals[1]:
            raise AssertionError(f"half a commit was seen: {totals}")
        counts.append(int(str(totals[0])))
        time.sleep(0.01)
    return counts


def hold_in_the_middle_of_a_pruning(home: Path, day: date, held: Event) -> None:
    """Holds the warehouse when everything is removed and nothing is committed."""
    run = Session.run

    def slowly(session: Session, package: str, name: str, *more: Any, **parts: Any) -> None:
        run(session, package, name, *more, **parts)
        if name == "mirror_rows":
            held.set()
            time.sleep(60)

    Session.run = slowly  # type: ignore[method-assign,assignment]
    settings = Settings(home=home)
    prune(warehouse_of(settings), state_of(settings), day, now=NOW)


def hold_for_reading_without_the_gate(path: Path, held: Event, seconds: float) -> None:
    """Holds the file as a notebook does that keeps a read-only connection."""
    connection = duckdb.connect(str(path), read_only=True)
    held.set()
    time.sleep(seconds)
    connection.close()
