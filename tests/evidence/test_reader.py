"""What the compiled reader rests on."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cavra_pipeline.boundary.formats import provider_name
from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.boundary.parsing import parse_timestamp
from cavra_pipeline.evidence import reader
from cavra_pipeline.evidence.grammar import grammar, hash_of
from cavra_pipeline.evidence.meaning import meaning_of


def test_what_is_compiled_comes_from_one_file_since_its_date_is_all_that_numba_asks() -> None:
    tree = ast.parse(Path(str(reader.__file__)).read_text(encoding="utf-8"))
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert not [name for name in imported if name.startswith(("cavra_pipeline", "assets", "sensors"))]


def test_every_key_is_found_by_its_hash_and_no_other_is() -> None:
    nodes, keys, table, *_ = grammar()
    for node in range(reader.SOURCES + 1, len(nodes)):
        start, length = nodes[node, reader.KEY_START], nodes[node, reader.KEY_LENGTH]
        key = keys[start : start + length].tobytes()
        place = hash_of(int(nodes[node, reader.PARENT]), key) & (len(table) - 1)
        while table[place] != node:
            assert table[place] != reader.NONE, key
            place = (place + 1) & (len(table) - 1)
    assert len(nodes) > len(KINDS)


@pytest.mark.parametrize(
    "text",
    [
        "2026-06-25T10:00:00Z",
        "1000-01-01T00:00:00Z",
        "2999-12-31T23:59:59.999999999Z",
        "1969-12-31T23:59:59.999999Z",
        "2024-02-29T12:30:15.5+05:30",
        "2000-02-29 23:59:59-23:59",
        "1900-02-28T00:00:00",
    ],
)
def test_a_plain_timestamp_is_the_instant_that_the_reference_reads(text: str) -> None:
    assert instant_of(text) == parse_timestamp(text)


@pytest.mark.parametrize(
    "text",
    [
        "0999-12-31T23:59:59Z",
        "3000-01-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-06-31T00:00:00Z",
        "2026-06-25T24:00:00Z",
        "2026-06-25T10:60:00Z",
        "2026-06-25T10:00:60Z",
        "2026-06-25T10:00:00.Z",
        "2026-06-25T10:00:00.0123456789Z",
        "2026-06-25T10:00:00z",
        "2026-06-25T10:00:00+0530",
        "2026-06-25T10:00:00+24:00",
        "2026-06-25T10:00:00+05:60",
        "2026-06-25T10:00:00Z ",
        "2026-06-25t10:00:00Z",
        "2O26-06-25T10:00:00Z",
        "2026-06-25T10:00",
        "",
    ],
)
def test_any_other_timestamp_is_left_to_the_reference(text: str) -> None:
    assert instant_of(text) is None


def instant_of(text: str) -> datetime | None:
    block = np.frombuffer(f'{text}"\n'.encode(), np.uint8)
    micros = reader._stamp(block, 0, len(text))
    return (
        None
        if micros == reader.NULL
        else datetime.fromtimestamp(micros // 10**6, UTC).replace(microsecond=micros % 10**6)
    )


def delivery(**fields: Any) -> dict[str, Any]:
    return {"metadata_kind": "release-connector-delivery", **fields}


def test_a_status_is_that_of_the_last_entry_else_that_at_its_place() -> None:
    row = delivery(
        providers=["slack", "Service-Now"],
        status_codes=[200, 503],
        provider_deliveries=[{"provider": "slack", "status_code": 429}, {"provider": "SLACK", "status_code": None}],
        delivery_success=False,
    )
    assert meaning_of(row)["outcomes"] == [
        {"provider": "slack", "is_failed": True, "status_code": 200},
        {"provider": "service_now", "is_failed": True, "status_code": 503},
    ]


def test_status_codes_of_another_number_than_the_providers_tell_nothing() -> None:
    row = delivery(providers=["slack"], failed_providers=["teams"], status_codes=[200, 503], delivery_success=True)
    assert meaning_of(row)["outcomes"] == [
        {"provider": "slack", "is_failed": False, "status_code": None},
        {"provider": "teams", "is_failed": True, "status_code": None},
    ]


def test_a_kind_that_is_not_declared_means_nothing() -> None:
    assert set(meaning_of({"metadata_kind": "else"}).values()) == {None}


@pytest.mark.parametrize(
    ("text", "name"), [(" Service-NOW\t", "service_now"), ("\u0130x", "ix"), ("\u03a3", "\u03c3"), ("  ", "")]
)
def test_provider_names_are_compared_without_blanks_case_and_dashes(text: str, name: str) -> None:
    assert provider_name(text) == name
