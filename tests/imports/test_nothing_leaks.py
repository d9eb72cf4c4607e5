"""Planted secrets through import, ingest, reports and Dagster: no byte of one anywhere in the home or in any output."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.evidence.importer import import_evidence
from cavra_pipeline.settings import Settings
from tests.cli.command import command
from tests.evidence.secrets_made_up import SECRETS
from tests.imports.sources import bring, json_lines, json_store, landed, sqlite_store
from tests.support import (
    NOW,
    Line,
    Record,
    delivery,
    execution,
    files_holding,
    home_with,
    query,
    raw,
    record,
    take_in,
    worker_run,
)

VALUES = {name: value for name, (_, value) in SECRETS.items()}


def in_every_place(value: str, name: str) -> list[Record]:
    """Records with the value in every place that JSON has: values, keys, lists, deep, identities."""
    return [
        delivery(session_id=f"{name} plan", plan_id=value),
        delivery(session_id=f"{name} provider", providers=["slack", value], failed=["slack"]),
        delivery(session_id=f"{name} member", delivery={"deliveries": [{"provider": value}]}),
        delivery(
            session_id=f"{name} request",
            delivery={"deliveries": [{"provider": "teams", "request": {"url": value, "headers": {"X": value}}}]},
        ),
        delivery(session_id=f"{name} beside", extra=[[{"a": value}], value]),
        {**delivery(session_id=f"{name} key"), value: "as a key"},
        {**delivery(session_id=f"{name} signer"), "signer": value},
        {**delivery(session_id=f"{name} kind"), "metadata_kind": value},
        {**delivery(session_id=f"{name} count"), "attempt_count": value},
        {**delivery(session_id=f"{name} time"), "created_at": value},
        delivery(session_id=value),
        worker_run(session_id=f"{name} run", note={value: {value: value}}),
        execution(session_id=f"{name} execution", execution_id=value),
        record("x-unheard-of", session_id=f"{name} unknown", anything=value),
    ]


def planted(settings: Settings, folder: Path) -> None:
    records = [one for name, value in VALUES.items() for one in in_every_place(value, name)]
    broken = [b'{"broken": "' + json.dumps(value)[1:-1].encode() for value in VALUES.values()]
    not_utf8 = [raw(delivery(note=value)) + b"\xff" for value in VALUES.values()]
    lines: list[Line] = [*records, *broken, *not_utf8]
    bring(
        settings,
        json_lines(folder / "e.jsonl", lines),
        json_lines(folder / "e.jsonl.zst", lines[::-1]),
        json_store(folder / "e.json", [{**one, "session_id": "json " + one["session_id"]} for one in records]),
        sqlite_store(folder / "e.db", lines),
    )
    folder.joinpath("cut.jsonl.gz").write_bytes(json_lines(folder / "whole.jsonl.gz", lines).read_bytes()[:-100])
    failed = import_evidence(settings, [("cut.jsonl.gz", folder / "cut.jsonl.gz")], now=NOW)
    assert len(failed.failures) == 1


def traces(home: Path, spoken: str) -> list[str]:
    """The secrets of which a byte sequence stands in what was said or anywhere in the home."""
    needles = {name: value.splitlines()[-1] for name, value in VALUES.items()}
    said = [name for name, needle in needles.items() if needle in spoken]
    content = b"\0".join(path.name.encode() + b"\0" + path.read_bytes() for path in home.rglob("*") if path.is_file())
    return said + [name for name, needle in needles.items() if needle.encode() in content]


def test_after_import_ingest_and_reports_no_byte_of_a_secret_is_anywhere(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    home, folder = home_with(tmp_path), tmp_path / "source"
    folder.mkdir()
    planted(home, folder)

    result = take_in(home)

    said = capfd.readouterr()
    assert traces(home.home, "".join([said.out, said.err, caplog.text, repr(result), repr(landed(home))])) == []
    assert result.failures == []
    # The compressed file holds the same lines as the first: they came before.
    assert result.quarantined_count >= 2 * 10 * len(VALUES)


def test_the_search_for_traces_would_find_one(tmp_path: Path) -> None:
    home = home_with(tmp_path, [delivery(note=value) for value in list(VALUES.values())[:1]])

    assert traces(home.home, "") == list(VALUES)[:1]
    assert traces(home.landing / "none", list(VALUES.values())[1]) == list(VALUES)[1:2]


def test_each_planted_secret_is_quarantined_or_found_at_its_line(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    name, value = next(iter(VALUES.items()))
    lines = in_every_place(value, name)

    bring(home, json_lines(tmp_path / "e.jsonl", lines))
    take_in(home)

    found = {line for (line,) in query(home, "SELECT DISTINCT line_number FROM findings")}
    held = {line for (line,) in query(home, "SELECT line_number FROM quarantine")}
    assert found == set(range(1, len(lines) + 1))
    assert held == {1, 2, 3, 7, 8, 9, 10, 11, 13}


def test_a_secret_in_any_declared_field_of_any_kind_is_never_handed_on(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    value = VALUES["npm token"]
    lines: list[Line] = []
    for kind in sorted(KINDS):
        for field in KINDS[kind].fields:
            made: Record = {"session_id": f"{kind} {field.path}", "created_at": "2026-06-25T10:00:00Z"}
            made["metadata_kind"] = kind
            *parents, last = field.path.split(".")
            node = made
            for parent in parents:
                child: Record = {}
                node[parent.removesuffix("[]")] = [child] if parent.endswith("[]") else child
                node = child
            node[last] = [value] if field.type.name in ("STRINGS", "INTEGERS") else value
            lines.append(made)

    result = bring(home, json_lines(tmp_path / "e.jsonl", lines))

    assert result.imported_count == 0
    assert result.quarantined_count == len(lines)
    assert files_holding(home.home, value.encode()) == []


@pytest.mark.slow
def test_the_whole_command_line_and_dagster_leave_no_byte_of_a_secret(tmp_path: Path) -> None:
    home, folder = home_with(tmp_path), tmp_path / "source"
    folder.mkdir()
    planted(home, folder)
    environ = {**os.environ, "CAVRA_HOME": str(home.home), "DAGSTER_HOME": str(home.dagster_home)}
    script = (
        "from datetime import date; from cavra_pipeline.definitions import materialize; "
        "from cavra_pipeline.settings import load_settings; import sys; "
        "sys.exit(not materialize(load_settings(), 'daily_close', [date(2026, 6, 25)]))"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    listed = [command(home.home, name, *how) for name in ("quarantine", "findings") for how in ([], ["--json"])]
    assert [said.code for said in listed] == [0, 0, 0, 0]
    spoken = done.stdout + done.stderr + "".join(said.out + said.err for said in listed)

    assert traces(home.home, spoken) == []
    assert list(home.dagster_home.rglob("*.db"))
