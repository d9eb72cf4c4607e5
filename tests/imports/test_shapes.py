"""Import: the shapes a deployment holds its records in all become the same drops."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cavra_pipeline.evidence.importer import import_evidence
from cavra_pipeline.evidence.stores import read_source
from cavra_pipeline.settings import Settings
from tests.imports.sources import TABLE, bring, compressed, json_lines, json_store, landed, one_file_each, sqlite_store
from tests.support import NOW, Record, acknowledgement, at, delivery, home_with, query, raw, take_in, worker_run

pytestmark = pytest.mark.slow

DAY = "2026-06-25"


def history() -> list[Record]:
    return [
        delivery(at(10), session_id="d-1", failed=["slack"], delivery={"deliveries": [{"provider": "slack"}]}),
        worker_run(at(20), session_id="w-1"),
        acknowledgement(at(30), session_id="a-1"),
        delivery(at(60 * 24), session_id="d-0", note="left out"),
    ]


def kept(settings: Settings) -> list[tuple[object, ...]]:
    return query(settings, "SELECT session_id, created_at, record_type, lane, subject FROM evidence ORDER BY ALL")


SHAPES: dict[str, Callable[[Path], Path]] = {
    "SQLite store": lambda folder: sqlite_store(folder / "evidence.db", history()),
    "SQLite store with a write-ahead log": lambda folder: sqlite_store(
        folder / "evidence.sqlite3", history(), journal="wal"
    ),
    "SQLite store without rowids": lambda folder: sqlite_store(
        folder / "e.db",
        history(),
        table=f"{TABLE} WITHOUT ROWID",
    ),
    "JSON store": lambda folder: json_store(folder / "evidence.json", history()),
    "JSON store on one line": lambda folder: json_store(folder / "evidence.json", history(), indent=None),
    "JSON lines": lambda folder: json_lines(folder / "evidence.jsonl", history()),
    "ndjson": lambda folder: json_lines(folder / "evidence.ndjson", history()),
    "one record a file": lambda folder: one_file_each(folder, history()),
}


@pytest.fixture
def expected(tmp_path: Path) -> list[tuple[object, ...]]:
    home = home_with(tmp_path / "expected", history())
    take_in(home)
    return kept(home)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_shape_becomes_a_drop_for_each_utc_day_and_the_same_records(
    shape: Callable[[Path], Path], tmp_path: Path, expected: list[tuple[object, ...]]
) -> None:
    home = home_with(tmp_path)
    (tmp_path / "source").mkdir()

    result = bring(home, shape(tmp_path / "source"))

    assert (result.received_count, result.imported_count, result.quarantined_count) == (4, 4, 0)
    assert {name.split("/")[0] for name in result.written} == {DAY, "2026-06-24"}
    assert take_in(home).failures == []
    assert kept(home) == expected
    assert query(home, "SELECT count(*) FROM quarantine") == [(0,)]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_compressed_source_is_the_same_source(
    shape: Callable[[Path], Path], suffix: str, tmp_path: Path, expected: list[tuple[object, ...]]
) -> None:
    home, folder = home_with(tmp_path), tmp_path / "source"
    folder.mkdir()
    made = shape(folder)
    for file in [made] if made.is_file() else sorted(made.iterdir()):
        file.with_name(file.name + suffix).write_bytes(compressed(suffix, file.read_bytes()))
        file.unlink()

    bring(home, made if made.is_dir() else made.with_name(made.name + suffix))

    take_in(home)
    assert kept(home) == expected


@pytest.mark.parametrize("kind", [{}, {"metadata_kind": "agent-session"}], ids=["none", "unknown"])
def test_a_record_without_a_known_kind_is_imported_with_its_envelope(kind: Record, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    session = {"session_id": "agent-1", "created_at": f"{DAY}T10:00:00Z", **kind, "bundle_dir": "evidence/agent-1"}

    result = bring(home, json_lines(tmp_path / "evidence.jsonl", [session, history()[0]]))

    assert (result.imported_count, result.quarantined_count, result.failures) == (2, 0, [])
    assert take_in(home).unknown_kind_count == 1
    stored = query(home, "SELECT metadata_kind, record_type FROM evidence WHERE session_id = 'agent-1'")
    assert stored == [(kind.get("metadata_kind"), None)]
    assert not any(b"bundle_dir" in path.read_bytes() for path in home.landing.rglob("*.jsonl"))


def test_a_compressed_store_leaves_no_copy_of_itself_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    home = home_with(tmp_path)
    plain = sqlite_store(tmp_path / "e.db", history())
    packed = tmp_path / "packed.db.gz"
    packed.write_bytes(compressed(".gz", plain.read_bytes()))

    bring(home, packed)

    assert list(scratch.rglob("*")) == []
    assert [name for name in landed(home) if not name.startswith("2026-06-2")] == []


@pytest.mark.parametrize("shape", ["lines", "lines in gzip", "JSON store", "JSON store in zstd", "SQLite store"])
def test_standard_input_may_hold_any_shape(shape: str, tmp_path: Path, expected: list[tuple[object, ...]]) -> None:
    home = home_with(tmp_path)
    suffix = {"gzip": ".gz", "zstd": ".zst"}.get(shape.split()[-1], "")
    if shape.startswith("lines"):
        content = json_lines(tmp_path / "a.jsonl", history()).read_bytes()
    elif shape.startswith("JSON"):
        content = json_store(tmp_path / "a.json", history()).read_bytes()
    else:
        content = sqlite_store(tmp_path / "a.db", history()).read_bytes()

    result = import_evidence(home, [("standard input", io.BytesIO(compressed(suffix, content)))], now=NOW)

    assert (result.imported_count, result.failures) == (4, [])
    take_in(home)
    assert kept(home) == expected


def test_a_long_stream_is_taken_to_its_end_line_by_line(tmp_path: Path) -> None:
    home = home_with(tmp_path, batch_megabytes=1)
    lines = [delivery(at(n / 100), session_id=f"s-{n}", note="n" * 500) for n in range(6000)]
    content = b"".join(raw(line) + b"\n" for line in lines)
    assert len(content) > 3 * 1024 * 1024

    result = import_evidence(home, [("standard input", io.BytesIO(content))], now=NOW)

    assert (result.received_count, result.imported_count, result.dropped_field_count) == (6000, 6000, 6000)
    take_in(home)
    assert query(home, "SELECT count(*), count(DISTINCT session_id) FROM evidence") == [(6000, 6000)]


def test_a_folder_stands_for_the_evidence_files_in_it_and_several_paths_for_all_of_them(tmp_path: Path) -> None:
    home, folder = home_with(tmp_path), tmp_path / "source"
    (folder / "deep" / "er").mkdir(parents=True)
    json_lines(folder / "a.jsonl.gz", [delivery(session_id="in-gzip")])
    json_store(folder / "deep" / "b.json", [delivery(session_id="in-store")])
    sqlite_store(folder / "deep" / "er" / "c.db", [delivery(session_id="in-sqlite")])
    json_lines(folder / "notes.txt", [delivery(session_id="in-notes")])
    other = json_lines(tmp_path / "d.jsonl", [delivery(session_id="beside", note=1)])

    bring(home, folder, other)

    take_in(home)
    assert query(home, "SELECT session_id FROM evidence ORDER BY 1") == [
        ("beside",), ("in-gzip",), ("in-sqlite",), ("in-store",),
    ]  # fmt: skip


def test_a_pretty_printed_payload_is_one_record(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    payload = json.dumps(delivery(session_id="pretty", plan_id="two-words"), indent=4).replace("\n", "\r\n")

    result = bring(home, sqlite_store(tmp_path / "e.db", [payload.encode().decode()]))

    assert result.imported_count == 1
    take_in(home)
    assert query(home, "SELECT session_id, plan_id FROM evidence") == [("pretty", "two-words")]


def test_what_the_allowlist_leaves_out_is_counted_once_and_written_nowhere(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    records = [delivery(session_id="a", one="canary-1", two={"deep": "canary-2"}), delivery(session_id="b")]

    result = bring(home, json_store(tmp_path / "e.json", records))
    read = take_in(home)

    assert (result.dropped_field_count, read.dropped_field_count) == (2, 2)
    assert query(home, "SELECT sum(dropped_field_count) FROM drops") == [(2,)]
    assert not any(b"canary" in content for content in landed(home).values())


@pytest.mark.parametrize(
    ("created_at", "day"),
    [
        ("2026-06-25T23:59:59.999999Z", "2026-06-25"),
        ("2026-06-26T00:00:00Z", "2026-06-26"),
        ("2026-06-26T00:30:00+01:00", "2026-06-25"),
        ("2026-06-25T23:30:00-01:00", "2026-06-26"),
        ("2026-06-25T23:30:00", "2026-06-25"),
    ],
)
def test_a_record_lands_under_the_utc_day_it_was_created_on(created_at: str, day: str, tmp_path: Path) -> None:
    home = home_with(tmp_path)

    result = bring(home, json_lines(tmp_path / "e.jsonl", [{**delivery(), "created_at": created_at}]))

    assert [name.split("/")[0] for name in result.written] == [day]


def test_what_can_not_be_dated_lands_under_today_and_is_quarantined_on_ingest(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    today = datetime(2026, 7, 3, 23, 59, tzinfo=UTC)

    result = bring(home, json_lines(tmp_path / "e.jsonl", ["no json", {"session_id": "x"}, delivery()]), now=today)

    assert sorted(name.split("/")[0] for name in result.written) == [DAY, "2026-07-03"]
    assert (result.received_count, result.imported_count, result.quarantined_count) == (3, 1, 2)
    take_in(home, now=today + timedelta(minutes=2))
    assert query(home, "SELECT drop_day::VARCHAR, source_file, line_number, reason FROM quarantine ORDER BY 3") == [
        ("2026-07-03", "e.jsonl", 1, "not_json"),
        ("2026-07-03", "e.jsonl", 2, "missing_field"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_a_store_is_read_to_its_end_wherever_its_bytes_are_cut(encoding: str) -> None:
    """Windows of 4 MiB end inside of texts, numbers, escapes and a record that is longer than a window."""
    texts = [
        f'{{"session_id": "s-{n}", "note": "{"u00e9" * (n % 9)}\u00e9", "x": [1.5e3, -{n}, true, null]}}'
        for n in range(70_000)
    ]
    texts[35_000] = f'{{"session_id": "long", "note": "{"u00fc" * 900_000}"}}'
    texts = [text.replace("u00", "\\u00") for text in texts]
    content = f'{{"a": {{"items": [7]}}, "items": [{" , ".join(texts)}], "b": 12345}} \n'.encode(encoding)

    batches = list(read_source(io.BytesIO(content), name="store", batch_bytes=2**20))

    read = {number: line for batch in batches for number, line in zip(*batch.lines.to_pydict().values(), strict=True)}
    assert read == {n: text for n, text in enumerate(texts, start=1) if n != 35_001}
    assert [(one.line_number, one.reason) for batch in batches for one in batch.quarantined] == [
        (35_001, "line_too_long")
    ]
