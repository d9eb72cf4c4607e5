"""Planted secrets: after an ingest no byte of one stands anywhere in the home, the drops aside, nor in any output."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path

import pytest

from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.errors import UsageError
from cavra_pipeline.lanes import LANES, lane_named
from tests.evidence.secrets_made_up import SECRETS
from tests.support import (
    Record,
    ask_health,
    ask_plan,
    delivery,
    drop,
    files_holding,
    home_with,
    ingested,
    query,
    raw,
    record,
    tables,
    take_in,
    worker_run,
)

VALUES = {name: value for name, (_, value) in SECRETS.items()}


def places(value: str, name: str) -> list[bytes]:
    """One line for every place of a record in which a value can stand."""
    one = {"provider": "teams", "request": {"url": value, "headers": {"Authorization": value}}}
    records: list[Record] = [
        delivery(session_id=f"{name} a", plan_id=value),
        delivery(session_id=f"{name} b", providers=["slack", value], failed=["slack"]),
        delivery(session_id=f"{name} c", delivery={"deliveries": [{"provider": value}]}),
        delivery(session_id=f"{name} d", delivery={"deliveries": [one]}),
        delivery(session_id=f"{name} e", extra=[[{"a": value}], value]),
        {**delivery(session_id=f"{name} f"), value: "as a key"},
        {**delivery(session_id=f"{name} g"), "signer": value},
        {**delivery(session_id=f"{name} h"), "created_at": value},
        {**delivery(session_id=f"{name} i"), "metadata_kind": value},
        {**delivery(session_id=f"{name} j"), "attempt_count": value},
        delivery(session_id=value),
        worker_run(session_id=f"{name} k", recovery_note={value: {value: value}}),
        record("x-unheard-of", session_id=f"{name} l", anything=value),
    ]
    lines = [raw(one) for one in records]
    escaped = json.dumps(value)[1:-1].encode()
    return [*lines, b'{"broken": "' + escaped, b'["' + escaped + b'"]', raw(delivery(note=value)) + b"\xff"]


def planted(tmp_path: Path) -> tuple[list[bytes], dict[str, list[bytes]]]:
    lines = [line for name, value in VALUES.items() for line in places(value, name)]
    return lines, {"2026-06-25/a.jsonl": lines}


def test_no_byte_of_a_planted_secret_leaves_the_landing_zone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    lines, by_day = planted(tmp_path)
    home = home_with(tmp_path, by_day)
    drop(home, gzip.compress(b"\n".join(lines)), day="2026-06-26", name="b.jsonl.gz")
    drop(home, gzip.compress(b"\n".join(lines))[:-500], day="2026-06-26", name="cut.jsonl.gz")

    result = take_in(home)
    answers = [ask(home, lane) for lane in LANES for ask in (ask_plan, ask_health)]

    said = capfd.readouterr()
    spoken = "".join([said.out, said.err, caplog.text, repr(result), repr(answers), repr(tables(home))])
    for name, value in VALUES.items():
        distinct = value.splitlines()[-1]
        assert distinct not in spoken, name
        assert files_holding(home.home, distinct.encode(), but=[home.landing]) == [], name


def test_every_planted_secret_is_found_and_every_record_that_would_keep_it_is_quarantined(tmp_path: Path) -> None:
    home = home_with(tmp_path, {f"2026-06-25/{n:02}.jsonl": places(v, "x") for n, v in enumerate(VALUES.values())})

    take_in(home)

    found = dict(
        query(home, "SELECT file_name, list(DISTINCT line_number ORDER BY line_number) FROM findings GROUP BY 1")
    )
    held = dict(query(home, "SELECT file_name, list(line_number ORDER BY line_number) FROM quarantine GROUP BY 1"))
    assert len(found) == len(held) == len(VALUES)
    for number, name in enumerate(VALUES):
        assert found[f"{number:02}.jsonl"] == list(range(1, 14)), name
        assert held[f"{number:02}.jsonl"] == [1, 2, 3, 7, 8, 9, 10, 11, 14, 15, 16], name


def test_a_secret_in_any_declared_text_of_any_kind_never_reaches_the_warehouse(tmp_path: Path) -> None:
    value = VALUES["npm token"]
    lines = {f"2026-06-25/{kind}.jsonl": _with_a_secret_in_each_field(kind, value) for kind in KINDS}
    home = home_with(tmp_path, lines)

    take_in(home)

    expected = {Path(name).name: len(records) for name, records in lines.items()}
    for held in ("quarantine", "finding_rows"):
        assert dict(query(home, f"SELECT file_name, count(DISTINCT line_number) FROM {held} GROUP BY 1")) == expected
    assert query(home, "SELECT DISTINCT action FROM finding_rows") == [("quarantined",)]
    assert query(home, "SELECT count(*) FROM evidence") == [(0,)]
    assert files_holding(home.home, value.encode(), but=[home.landing]) == []


def _with_a_secret_in_each_field(kind: str, value: str) -> list[Record]:
    lines: list[Record] = []
    for field in KINDS[kind].fields:
        made: Record = {"session_id": field.path, "created_at": "2026-06-25T10:00:00Z", "metadata_kind": kind}
        *parents, last = field.path.split(".")
        node = made
        for parent in parents:
            child: Record = {}
            node[parent.removesuffix("[]")] = [child] if parent.endswith("[]") else child
            node = child
        node[last] = [value] if field.type.name in ("STRINGS", "INTEGERS") else value
        lines.append(made)
    return lines


@pytest.mark.parametrize("name", list(VALUES)[::6])
def test_an_error_about_a_label_or_a_lane_does_not_repeat_the_value(name: str, tmp_path: Path) -> None:
    home, value = ingested(tmp_path, [delivery()]), VALUES[name]

    for ask in (
        lambda: ask_plan(home, generated_by=value),
        lambda: ask_health(home, generated_by=value),
        lambda: lane_named(value),
    ):
        with pytest.raises(UsageError) as raised:
            ask()
        assert value not in str(raised.value)
