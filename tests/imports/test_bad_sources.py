"""Sources that can't be read: said with place and remedy, the others imported, the landing zone as it was."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.importer import import_evidence
from cavra_pipeline.evidence.landing import strays
from tests.evidence.secrets_made_up import canary
from tests.imports.sources import bring, bring_what_can_be, json_lines, json_store, landed, sqlite_store
from tests.support import NOW, PSEUDONYMS, delivery, home_with, query, record, take_in

GOOD = [delivery(session_id=f"s-{n}") for n in range(50)]


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def cut_gzip(path: Path) -> Path:
    return written(path, json_lines(path, GOOD).read_bytes()[:-20])


def cut_zstd(path: Path) -> Path:
    return written(path, json_lines(path, GOOD).read_bytes()[:-20])


def cut_store(path: Path) -> Path:
    return written(path, json_store(path, GOOD).read_bytes()[:-400])


def cut_sqlite(path: Path) -> Path:
    wide = [delivery(session_id=f"s-{n}", note="n" * 2000) for n in range(50)]
    return written(path, sqlite_store(path, wide).read_bytes()[:40_000])


def compressed_cut_sqlite(path: Path) -> Path:
    return written(path, gzip.compress(cut_sqlite(path.with_name("whole.db")).read_bytes()))


#: What it is, how to make it, its name, what the message must say.
BAD: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "missing file": (Path.exists, "e.jsonl", "can't be read (No such file or directory)"),
    "empty file": (lambda path: path.touch(), "e.jsonl", "the file is empty"),
    "blank lines only": (lambda path: written(path, b"\n \n\n"), "e.jsonl", "there is no record in it"),
    "truncated gzip": (cut_gzip, "e.jsonl.gz", "damaged or cut short"),
    "truncated zstd": (cut_zstd, "e.jsonl.zst", "damaged or cut short"),
    "gzip in name only": (lambda path: written(path, b"\x1f\x8bnonsense"), "e.jsonl.gz", "damaged or cut short"),
    "JSON store cut short": (cut_store, "e.json", "the JSON store is damaged or cut short"),
    "JSON store with a byte that is no UTF-8 between its items": (
        lambda path: written(path, b'{"items": [\xff]}'), "e.json", "damaged or cut short (byte 11)",
    ),
    "JSON store of another make": (
        lambda path: written(path, b'{"items":\n{"a": 1}}'), "e.json", "the JSON store is damaged or cut short",
    ),
    "JSON store nested past any depth": (
        lambda path: written(path, b'{"items": [' + b"[" * 200_000), "e.json", "damaged or cut short",
    ),
    "SQLite cut short": (cut_sqlite, "e.db", "the SQLite store can't be read (SQLITE_CORRUPT"),
    "compressed SQLite cut short": (compressed_cut_sqlite, "e.db.gz", "the SQLite store can't be read (SQLITE_CORRUPT"),
    "SQLite without the table": (
        lambda path: sqlite_store(path, [], table="CREATE TABLE other (payload TEXT)"),
        "e.db", "no table evidence_metadata",
    ),
    "SQLite without the payload": (
        lambda path: sqlite_store(path, [], table="CREATE TABLE evidence_metadata (session_id TEXT)"),
        "e.db", "columns session_id and payload",
    ),
    "SQLite in name only": (lambda path: written(path, b"SQLite format 3\x00" + b"x" * 4000), "e.db", "SQLITE_NOTADB"),
    "not a store": (lambda path: written(path, b"%PDF-1.7 something else"), "e.db", "neither JSON lines"),
    "a list, not a store": (lambda path: written(path, b"[1, 2]"), "e.json", "neither JSON lines"),
    "a folder without evidence": (lambda path: path.mkdir(), "folder", "the folder holds no evidence file"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "name", "says"), BAD.values(), ids=BAD)
def test_a_source_that_can_not_be_read_is_named_with_a_remedy_and_the_others_are_imported(
    make: Callable[[Path], object], name: str, says: str, tmp_path: Path
) -> None:
    home = home_with(tmp_path)
    make(tmp_path / name)
    other = json_lines(tmp_path / "other.jsonl", [delivery(session_id="other")])

    result = bring_what_can_be(home, tmp_path / name, other)

    (failure,) = result.failures
    assert says in str(failure)
    assert str(failure).startswith(f"{tmp_path / name}: ")
    assert len(failure.remedy) > 10
    assert (result.received_count, result.imported_count, len(result.written)) == (1, 1, 1)
    assert len(list(home.landing.glob("*/*.jsonl"))) == 1
    take_in(home)
    assert query(home, "SELECT session_id FROM evidence") == [("other",)]


def test_an_empty_sqlite_store_is_a_store_without_records_and_no_failure(tmp_path: Path) -> None:
    home = home_with(tmp_path)

    result = bring_what_can_be(home, sqlite_store(tmp_path / "e.db", []), json_store(tmp_path / "e.json", []))

    assert (result.failures, result.received_count, landed(home)) == ([], 0, {})


def test_nothing_on_standard_input_is_said(tmp_path: Path) -> None:
    home = home_with(tmp_path)

    result = import_evidence(home, [("standard input", io.BytesIO(b""))], now=NOW)

    assert str(result.failures[0]) == "standard input: the file is empty. Check the export that made it"


@pytest.mark.parametrize("write", [sqlite_store, json_store])
def test_bad_records_in_a_store_are_quarantined_one_by_one(write: Callable[..., Path], tmp_path: Path) -> None:
    home = home_with(tmp_path)
    lone = record("x-kind", session_id="lone \ud800 surrogate")
    suffix = {sqlite_store: "db", json_store: "json"}[write]

    result = bring_what_can_be(home, write(tmp_path / f"e.{suffix}", [GOOD[0], lone, "text", GOOD[1]]))

    assert (result.failures, result.imported_count, result.quarantined_count) == ([], 2, 2)
    take_in(home)
    assert {row[0] for row in query(home, "SELECT reason FROM quarantine")} <= {
        "invalid_utf8", "not_an_object", "not_json",
    }  # fmt: skip
    assert query(home, "SELECT count(*) FROM quarantine") == [(2,)]
    assert query(home, "SELECT session_id FROM evidence ORDER BY 1") == [("s-0",), ("s-1",)]


def test_a_payload_that_is_null_or_no_text_is_quarantined(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    path = sqlite_store(tmp_path / "e.db", [GOOD[0]])
    sqlite_store(tmp_path / "other.db", [b"\xff\xfe", b"\x00"])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO evidence_metadata (session_id, payload) VALUES ('null', NULL), ('number', 7)")
        connection.commit()

    result = bring_what_can_be(home, path, tmp_path / "other.db")

    assert (result.failures, result.imported_count, result.quarantined_count) == ([], 1, 4)
    assert take_in(home).failures == []
    assert query(home, "SELECT count(*) FROM quarantine") == [(4,)]


@pytest.mark.parametrize("name", [os.fsdecode(b"a\xff.jsonl"), "a\nb.jsonl", canary("github token") + ".jsonl"])
@pytest.mark.slow
def test_a_source_whose_name_is_not_public_safe_is_called_by_a_digest(name: str, tmp_path: Path) -> None:
    home = home_with(tmp_path)

    result = bring_what_can_be(home, json_lines(tmp_path / name, [GOOD[0], "no json"]))

    assert (result.failures, result.imported_count, result.quarantined_count) == ([], 1, 1)
    assert take_in(home).failures == []
    ((source_file,),) = query(home, "SELECT source_file FROM quarantine")
    assert source_file.startswith("source-")
    assert len(source_file) == 23


def test_a_drop_whose_name_is_no_text_is_a_stray_and_does_not_stop_the_others(tmp_path: Path) -> None:
    home = home_with(tmp_path, {"2026-06-25/good.jsonl": [GOOD[0]]})
    json_lines(home.landing / "2026-06-25" / os.fsdecode(b"a\xff.jsonl"), [GOOD[1]])

    result = take_in(home)

    assert [drop.file_name for drop in result.drops] == ["good.jsonl"]
    assert strays(home.landing, PSEUDONYMS) == ["2026-06-25/a\\udcff.jsonl"]


def test_a_landing_zone_that_can_not_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    (home.landing / "2026-06-25").write_text("a file where the day's folder belongs")

    with pytest.raises(PipelineError, match="the landing zone can't be written") as raised:
        bring_what_can_be(home, json_lines(tmp_path / "e.jsonl", GOOD))

    assert raised.value.where == str(home.landing)
    assert [path.name for path in home.landing.iterdir()] == ["2026-06-25"]


def test_an_item_of_a_json_store_that_is_no_utf8_is_quarantined_and_the_others_are_kept(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    items = [json.dumps(delivery(session_id=name)).encode() for name in ("a", "PLACE", "b")]
    items[1] = items[1].replace(b"PLACE", b"\xff")
    result = bring(home, written(tmp_path / "e.json", b'{"items": [' + b", ".join(items) + b"]}"))
    take_in(home)

    assert (result.imported_count, result.quarantined_count) == (2, 1)
    assert query(home, "SELECT line_number, reason, sha256 FROM quarantine") == [
        (2, "invalid_utf8", hashlib.sha256(items[1]).hexdigest())
    ]
    assert query(home, "SELECT session_id FROM evidence ORDER BY 1") == [("a",), ("b",)]
