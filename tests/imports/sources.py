"""The shapes in which a CAVRA deployment holds its records, written as a test needs them."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from backports import zstd

from cavra_pipeline.evidence.importer import ImportResult, import_evidence
from cavra_pipeline.settings import Settings
from tests.support import NOW, Line, Record, raw, text

TABLE = (
    "CREATE TABLE evidence_metadata (session_id TEXT PRIMARY KEY, created_at TEXT, signer TEXT, decision_count INT, "
    "blocked_count INT, approval_required_count INT, payload TEXT)"
)


def sqlite_store(path: Path, records: Iterable[Line], *, table: str = TABLE, journal: str = "delete") -> Path:
    """A CAVRA SQLite store; a line that is no record is its payload as it stands."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute(table)
        for number, one in enumerate(records):
            known: Record = one if isinstance(one, dict) else {}
            connection.execute(
                "INSERT INTO evidence_metadata (session_id, created_at, signer, payload) VALUES (?, ?, ?, ?)",
                (
                    str(known.get("session_id") or number).encode(errors="replace").decode(),
                    known.get("created_at"),
                    known.get("signer"),
                    one if isinstance(one, bytes) else raw(one).decode(),
                ),
            )
        connection.commit()
    return path


def json_store(path: Path, records: Iterable[Line], *, indent: int | None = 2) -> Path:
    """A CAVRA JSON store."""
    path.write_text(json.dumps({"items": list(records)}, indent=indent))
    return path


def json_lines(path: Path, lines: Iterable[Line]) -> Path:
    """JSON lines, compressed as the name says."""
    content = text(lines)
    path.write_bytes(compressed(path.suffix, content))
    return path


def one_file_each(folder: Path, lines: Iterable[Line]) -> Path:
    """A folder with a file for each record."""
    for number, line in enumerate(lines):
        json_lines(folder / f"{number}.json", [line])
    return folder


def compressed(suffix: str, content: bytes) -> bytes:
    """Content as a file of that ending holds it."""
    if suffix == ".gz":
        return gzip.compress(content)
    return zstd.compress(content) if suffix == ".zst" else content


def bring(settings: Settings, *paths: Path, **how: object) -> ImportResult:
    """Imports paths, all of which must be readable."""
    result = bring_what_can_be(settings, *paths, **how)
    assert result.failures == []
    return result


def bring_what_can_be(settings: Settings, *paths: Path, **how: object) -> ImportResult:
    """Imports paths, whatever becomes of them."""
    now = how.get("now", NOW)
    return import_evidence(settings, [(str(path), path) for path in paths], now=now)  # type: ignore[arg-type]


def landed(settings: Settings) -> dict[str, bytes]:
    """Every file of the landing zone, hidden ones too, and its bytes."""
    return {
        str(path.relative_to(settings.landing)): path.read_bytes()
        for path in sorted(settings.landing.rglob("*"))
        if path.is_file()
    }
