"""What a record means: its lane, its subject and an outcome for each provider, as one statement says of whole lines."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cavra_pipeline.boundary.kinds import DELIVERY_KIND, KINDS
from cavra_pipeline.evidence.rows import UNKNOWN_KIND, Lines, RecordTables
from cavra_pipeline.lanes import LANES
from cavra_pipeline.provider_names import provider_name
from cavra_pipeline.sql import statement

BASE = {"session_id": "s-1", "created_at": "2026-06-25T10:00:00Z"}
LANE = LANES["executive_report"]


@pytest.fixture(scope="module")
def tables() -> RecordTables:
    return RecordTables()


def row_of(tables: RecordTables, kind: str, **fields: Any) -> dict[str, Any]:
    line = json.dumps({**BASE, "metadata_kind": kind or "x-else", **fields}, ensure_ascii=False).encode() + b"\n"
    rows, _ = tables.of_kind(kind, Lines([7], [], [line]))
    return dict(rows.to_pylist()[0])


def outcomes_of(tables: RecordTables, **fields: Any) -> list[dict[str, Any]]:
    return list(row_of(tables, DELIVERY_KIND, **fields)["outcomes"])


def deliveries(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"deliveries": list(entries)}


def test_a_status_is_that_of_the_last_entry_else_that_at_its_place(tables: RecordTables) -> None:
    entries = deliveries({"provider": "slack", "status_code": 429}, {"provider": "SLACK", "status_code": None})
    assert outcomes_of(
        tables, providers=["slack", "Service-Now"], status_codes=[200, 503], delivery=entries, delivery_success=False
    ) == [
        {"provider": "slack", "is_failed": True, "status_code": 200},
        {"provider": "service_now", "is_failed": True, "status_code": 503},
    ]


def test_status_codes_of_another_number_than_the_providers_tell_nothing(tables: RecordTables) -> None:
    fields = {"providers": ["slack"], "failed_providers": ["teams"], "status_codes": [200, 503]}
    assert outcomes_of(tables, **fields, delivery_success=True) == [
        {"provider": "slack", "is_failed": False, "status_code": None},
        {"provider": "teams", "is_failed": True, "status_code": None},
    ]


def test_a_delivery_that_names_no_provider_has_no_outcome(tables: RecordTables) -> None:
    assert outcomes_of(tables) == []
    assert outcomes_of(tables, providers=[" ", ""], failed_providers=[""]) == []


@pytest.mark.parametrize(("success", "is_failed"), [(True, False), (False, True), (None, True)])
def test_without_failed_providers_the_delivery_says_whether_it_failed(
    tables: RecordTables, success: bool | None, is_failed: bool
) -> None:
    outcomes = outcomes_of(tables, providers=["slack"], failed_providers=[" "], delivery_success=success)
    assert outcomes == [{"provider": "slack", "is_failed": is_failed, "status_code": None}]


def test_a_delivery_has_the_lane_of_its_source_and_the_first_subject_that_is_not_empty(tables: RecordTables) -> None:
    source = {"connector_delivery_source": LANE.delivery_source}
    for fields, subject in (
        ({"run_id": "r", "event_id": "e"}, "r"),
        ({"run_id": "", "event_id": "e"}, "e"),
        ({}, "s-1"),
    ):
        row = row_of(tables, DELIVERY_KIND, **source, **fields)
        assert (row["record_type"], row["lane"], row["subject"]) == ("delivery", LANE.name, subject)
    row = row_of(tables, DELIVERY_KIND, connector_delivery_source="another", plan_id="p")
    assert (row["lane"], row["subject"]) == (None, None)


def test_every_other_kind_has_its_own_lane_and_a_subject_if_it_is_about_one(tables: RecordTables) -> None:
    for name, kind in KINDS.items():
        if name == DELIVERY_KIND or kind.lane is None:
            continue
        field = LANES[kind.lane].subject_field
        row = row_of(tables, name, **{field: "the-subject"})
        has_subject = kind.record_type in ("execution", "acknowledgement", "approval")
        assert (row["record_type"], row["lane"], row["outcomes"]) == (kind.record_type, kind.lane, None), name
        assert row["subject"] == ("the-subject" if has_subject else None), name
        assert row_of(tables, name, **{field: ""})["subject"] is None, name


def test_a_kind_that_is_not_declared_means_nothing(tables: RecordTables) -> None:
    row = row_of(tables, UNKNOWN_KIND, plan_id="p", provider="slack")
    assert {row[name] for name in ("record_type", "lane", "subject", "outcomes", "plan_id", "provider")} == {None}
    assert row["metadata_kind"] == "x-else"


@given(text=st.text("aZ-_ \t\r\n\u0130\u017f\u03a3\u00e9", max_size=8))
@settings(max_examples=30, deadline=None)
def test_sql_and_python_compare_provider_names_alike(text: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(statement("cavra_pipeline.warehouse", "macro_provider_name"))
        assert connection.execute("SELECT provider_name($text)", {"text": text}).fetchone() == (provider_name(text),)


@pytest.mark.parametrize(
    ("text", "name"), [(" Service-NOW\t", "service_now"), ("\u0130x", "ix"), ("\u03a3", "\u03c3"), ("  ", "")]
)
def test_provider_names_are_compared_without_blanks_case_and_dashes(text: str, name: str) -> None:
    assert provider_name(text) == name


def test_lines_that_can_not_be_read_are_an_error_that_quotes_nothing(tables: RecordTables) -> None:
    with pytest.raises(ValueError, match="can't be read") as raised:
        tables.of_kind(DELIVERY_KIND, Lines([1], [], [b'{"session_id": "hidden", "attempt_count": "many"}\n']))
    assert "hidden" not in str(raised.value)
    assert raised.value.__suppress_context__
