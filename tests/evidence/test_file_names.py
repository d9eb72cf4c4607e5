"""A landing file's name passes the boundary like its content: whoever drops a file chooses it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.landing import list_drops, shown_name, sidecar_of, strays
from cavra_pipeline.evidence.leaks import found_secrets
from tests.cli.command import command
from tests.support import DAY, NOW, PSEUDONYMS, delivery, drop, files_holding, home_with, query, take_in

pytestmark = pytest.mark.slow

SECRET = "ghp_" + "C4naRy" * 6
ODD = [
    f"{SECRET}.jsonl",
    f"drop-{SECRET}.ndjson",
    "![x](http:..x).jsonl",
    "<img src=x onerror=alert(1)>.jsonl",
    "evidence \x1b[31m.jsonl",
    "evidence one.jsonl",
    "évidence.jsonl",
    "-rf.jsonl",
    "=cmd.jsonl",
]
PLAIN = ["evidence.jsonl", "part_0001-of_2.ndjson", "2026-06-25T10:00:00+02:00.jsonl", "a@b.jsonl", "7.jsonl"]


@pytest.mark.parametrize("name", PLAIN)
def test_an_identifier_is_called_by_its_name(name: str) -> None:
    assert shown_name(name, PSEUDONYMS) == name


@pytest.mark.parametrize("name", ODD)
def test_any_other_name_is_called_by_a_pseudonym_wherever_it_is_stored_or_shown(tmp_path: Path, name: str) -> None:
    home = home_with(tmp_path)
    path = drop(home, [delivery(), "not a record"], name=name)
    called = shown_name(name, PSEUDONYMS)

    assert called != name
    assert called == shown_name(name, PSEUDONYMS) == shown_name(called, PSEUDONYMS)
    take_in(home)

    assert query(home, "SELECT DISTINCT file_name FROM drops") == [(called,)]
    assert query(home, "SELECT file_name, source_file, line_number FROM quarantine") == [(called, called, 2)]
    ((rule, field, line, action),) = query(home, "SELECT rule, path, line_number, action FROM findings")
    assert (field, line) == ("file_name", 0)
    assert (rule == "github-token", action) == (SECRET in name, "dropped" if SECRET in name else "pseudonymised")
    with warehouse_of(home).reading() as session:
        assert len(found_secrets(session)) == (1 if SECRET in name else 0)
    stem = name.rpartition(".")[0]
    assert [one for one in files_holding(home.home, stem.encode()) if one != path] == []
    for words in (["quarantine"], ["findings"], ["quarantine", "--json"], ["ingest", "--from", DAY]):
        said = command(home.home, *words)
        assert (said.code, stem in said.out + said.err) == (0, False)


def test_a_file_under_a_pseudonym_is_read_once_and_again_when_it_changes(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    name = ODD[5]
    drop(home, [delivery(session_id="a")], name=name)
    take_in(home)

    assert not ingest(home, now=NOW).drops
    drop(home, [delivery(session_id="a"), delivery(session_id="b")], name=name)
    assert len(ingest(home, now=NOW).drops) == 1
    assert query(home, "SELECT count(*) FROM evidence_records") == [(2,)]


def test_what_is_no_landing_file_and_a_bad_sidecar_are_named_by_pseudonyms_too(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    path = drop(home, [delivery()], name=f"{SECRET}.jsonl")
    sidecar_of(path).write_text(json.dumps({"source_file": 1}))
    path.with_name(f"{SECRET}.txt").touch()
    (home.landing / SECRET).touch()

    (one,) = list_drops(home.landing, PSEUDONYMS)
    (failure,) = ingest(home, now=NOW).failures
    shown = [*strays(home.landing, PSEUDONYMS), str(failure), one.name]
    assert len(shown) == 4
    assert not any(SECRET in text for text in shown)


def test_an_operator_finds_the_file_by_the_digest_of_its_content(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    path = drop(home, [delivery()], name=ODD[0])
    take_in(home)

    assert query(home, "SELECT sha256 FROM drops") == [(hashlib.sha256(path.read_bytes()).hexdigest(),)]
