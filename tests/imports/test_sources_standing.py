"""How the sources stand, as one document and over HTTP: rows, lag, silence, and what can't be read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from cavra_pipeline.sources import PullState, Source, Sources, pull, read_sources
from cavra_pipeline.sources.standing import sources_document
from tests.api.server import NoDagster, served
from tests.imports.sources import json_lines
from tests.support import NOW, at, delivery, home_with

HOUR = timedelta(hours=1)
FILE = Source("file", "file", 60, 24)


def stands(pulls: PullState | None = None, source: Source = FILE) -> dict[str, Any]:
    known = {source.name: pulls} if pulls else {}
    document = sources_document(Sources(Path("s"), {source.name: source}), known, NOW)
    (row,) = document["sources"]
    return {**row, "level": document["alert_level"]}


@pytest.mark.parametrize("extra", [timedelta(0), timedelta(microseconds=1)])
def test_a_source_is_silent_only_past_its_limit(extra: timedelta) -> None:
    row = stands(PullState(NOW, NOW, NOW - 24 * HOUR - extra, NOW - 30 * HOUR))

    expected = ("silent", "no_new_record", "warning") if extra else ("arriving", None, "healthy")
    assert (row["state"], row["cause"], row["level"]) == expected
    assert (row["lag_minutes"], row["pull_age_minutes"], row["silent_after_minutes"]) == (1800, 0, 1440)
    assert row["since"] == ((NOW - 24 * HOUR - extra).isoformat() if extra else None)


def test_a_source_that_was_never_pulled_is_shown_as_that() -> None:
    row = stands()

    assert (row["state"], row["cause"], row["level"]) == ("never_pulled", None, "healthy")
    assert (row["pulled_at"], row["lag_minutes"], row["new_record_count"]) == (None, None, None)


def test_a_pull_that_failed_says_why_and_keeps_what_the_one_before_brought() -> None:
    before = PullState(NOW - HOUR, NOW - HOUR, NOW - HOUR, NOW - HOUR, new_count=2, known_count=3, quarantined_count=1)
    row = stands(replace(before, failed_at=NOW, failure="it is locked"))

    assert (row["state"], row["cause"], row["failure"], row["level"]) == (
        "unreadable", "not_read", "it is locked", "critical",
    )  # fmt: skip
    assert [row[f"{name}_record_count"] for name in ("new", "known", "quarantined")] == [2, 3, 1]


def test_a_home_without_sources_is_no_all_clear() -> None:
    document = sources_document(Sources(), {}, NOW)

    assert (document["alert_level"], document["source_count"], document["sources"]) == ("unknown", 0, [])


def test_http_shows_rows_and_faults_and_no_place_of_a_source(tmp_path: Path) -> None:
    json_lines(tmp_path / "secret-place.jsonl", [delivery(at(1), session_id="a"), delivery(at(2), session_id="b")])
    entries = {
        "exports": {"type": "file", "path": "secret-place.jsonl", "every_minutes": 5},
        "cavra": {"type": "api", "url": "https://cavra.example", "every_minutes": 5},
        "wrong": {"type": "fax", "every_minutes": 5},
    }
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"sources": entries}, sort_keys=False))
    home = home_with(tmp_path, sources_file=tmp_path / "sources.yaml")
    pull(home, read_sources(home.sources_file).named("exports"), {}, clock=lambda: NOW)
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        answer = client.get("/api/v1/sources")

    found = answer.raise_for_status().json()
    rows = {row["source"]: row for row in found["sources"]}
    assert [row["state"] for row in rows.values()] == ["arriving", "never_pulled", "unreadable"]
    assert (rows["exports"]["new_record_count"], rows["exports"]["newest_record_at"]) == (2, at(1).isoformat())
    assert [fault["where"] for fault in rows["wrong"]["faults"]] == ["sources.wrong.type", "sources.wrong.path"]
    assert (found["unreadable_count"], found["silent_count"], found["alert_level"]) == (1, 0, "critical")
    assert "secret-place" not in answer.text
    assert "cavra.example" not in answer.text
