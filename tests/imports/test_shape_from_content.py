"""The shape of a file is decided from its content; one that is wrong as a whole is one failure."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import threading
from pathlib import Path

import pytest
from backports import zstd

from cavra_pipeline.evidence.importer import import_evidence
from tests.cli.command import command
from tests.imports.sources import bring, bring_what_can_be, json_lines, sqlite_store
from tests.support import DAY, NOW, Record, delivery, drop, home_with, query, raw, take_in, text

pytestmark = pytest.mark.slow

FILES = Path(__file__).parent / "files"
BOM = b"\xef\xbb\xbf"
RECORDS = [delivery(session_id=f"s-{n}") for n in range(3)]
A, B, C = (raw(one) for one in RECORDS)
LINES = text(RECORDS)
KEPT = ["s-0", "s-1", "s-2"]


def store(*records: Record, indent: int | None = None) -> bytes:
    return json.dumps({"items": records}, indent=indent).encode()


STORE, ONE, QUOTE = store(*RECORDS), store(RECORDS[0]), b'"'


def skippable(content: bytes = b"abcd", magic: int = 0x184D2A50) -> bytes:
    return struct.pack("<II", magic, len(content)) + content


def written(tmp_path: Path, content: bytes, name: str = "e.bin") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "kept", "quarantined", "note"),
    [
        ("first-line-torn.jsonl", ["s2", "s3"], 1, None),
        ("two-stores.json", ["s1", "s2"], 0, None),
        ("utf16le.jsonl", ["s0", "s1", "s2"], 0, None),
        ("bom-in-the-middle.jsonl", ["s0", "s1"], 0, None),
        ("nul-head.jsonl", ["s0", "s1"], 0, "512 NUL bytes were left out"),
        ("skippable-frame-first.jsonl.zst", ["s0"], 0, None),
    ],
)
def test_what_people_have_is_read(
    name: str, kept: list[str], quarantined: int, note: str | None, tmp_path: Path
) -> None:
    home = home_with(tmp_path)

    result = bring(home, FILES / name)

    assert result.notes == ([f"{FILES / name}: {note}"] if note else [])
    assert result.quarantined_count == quarantined
    take_in(home)
    assert [one for (one,) in query(home, "SELECT session_id FROM evidence ORDER BY 1")] == kept


@pytest.mark.parametrize(
    ("name", "what"),
    [("pretty-record.json", "a JSON record over several lines"), ("array-one-line.jsonl", "a JSON array")],
)
def test_the_command_fails_once_for_a_file_that_is_wrong_and_imports_the_others(
    name: str, what: str, tmp_path: Path
) -> None:
    home = home_with(tmp_path)
    good = json_lines(tmp_path / "good.jsonl", RECORDS)

    done = command(home.home, "import", "--json", str(FILES / name), str(good))

    document = done.document
    assert done.code == 1
    (failure,) = document["failures"]
    assert failure.startswith(f"{FILES / name}: it is {what}, neither JSON lines nor a CAVRA store. ")
    assert (document["received_count"], document["imported_count"], document["quarantined_count"]) == (3, 3, 0)


#: What is read: content, and how many lines of it are quarantined.
READ: dict[str, tuple[bytes, int]] = {
    "CRLF": (LINES.replace(b"\n", b"\r\n"), 0),
    "CR only": (LINES.replace(b"\n", b"\r"), 0),
    "last line without an end": (LINES.rstrip(), 0),
    "blank lines first": (b"\n \r\n" + LINES, 0),
    "last line torn": (LINES + A[:-30], 1),
    "first line is the end of a record": (b'"slack"]}\n' + LINES, 1),
    "first line is the end of a list": (b'["slack"]}\n' + LINES, 1),
    "first line is a list": (b'["slack"]\n' + LINES, 1),
    "first line torn after a colon": (b'{"evidence":\n' + LINES, 1),
    "first line torn in a string, with items later": (b'{"a": "torn\n' + LINES + b'{"items_": 1}\n', 2),
    "first line torn behind items": (b'{"created_at": "x", "items": [1], "pl\n' + LINES, 1),
    "first line is no JSON": (b"# exported\n" + LINES, 1),
    "two records on the first line": (A + B + b"\n" + LINES, 1),
    "first line is not UTF-8": (b'{"a": "\xff"}\n' + LINES, 1),
    "BOM first": (BOM + LINES, 0),
    "BOM twice": (BOM + BOM + LINES, 0),
    "BOM at a join without a line end": (A + BOM + B + b"\n" + C, 0),
    "BOM at the end": (LINES + BOM, 0),
    "NUL bytes first": (b"\0" * 5000 + LINES, 0),
    "NUL bytes past the head": (b"\0" * 3_000_000 + LINES, 0),
    "NUL bytes between lines": (A + b"\n" + b"\0" * 700 + B + b"\n" + C, 0),
    "NUL bytes before a line end": (A + b"\0\0\n" + B + b"\n" + C, 0),
    "NUL bytes instead of a line end": (A + b"\0" + B + b"\0\0" + C, 0),
    "NUL bytes in a torn line": (A + b"\n" + B[:40] + b"\0" * 99 + B + b"\n" + C, 1),
    "NUL bytes last": (LINES + b"\0" * 512, 0),
    "NUL bytes and BOM": (b"\0\0\0" + BOM + LINES, 0),
    "UTF-16LE": (LINES.decode().encode("utf-16-le"), 0),
    "UTF-16BE": (LINES.decode().encode("utf-16-be"), 0),
    "UTF-16 with BOM and CRLF": (LINES.replace(b"\n", b"\r\n").decode().encode("utf-16"), 0),
    "UTF-16BE with BOM": (b"\xfe\xff" + LINES.decode().encode("utf-16-be"), 0),
    "UTF-16 with CR only": (LINES.replace(b"\n", b"\r").decode().encode("utf-16"), 0),
    "UTF-16 joined": ("\ufeff".join(["", *LINES.decode().splitlines(keepends=True)]).encode("utf-16-le"), 0),
    "UTF-16 cut in a character": ((LINES + A[:-30]).decode().encode("utf-16-le")[:-1], 1),
    "store": (store(*RECORDS), 0),
    "store over several lines": (store(*RECORDS, indent=2), 0),
    "store, a record a line": (b'{"items": [\n' + b",\n".join([A, B, C]) + b"\n]}\n", 0),
    "store of one record, on a line": (b'{"items": [\n' + A + b"\n]}" + store(*RECORDS[1:]), 0),
    "store with other members": (b'{"total": 3, "items": [' + A + b"," + B + b"," + C + b'], "next": null}', 0),
    "stores joined": (store(RECORDS[0]) + store(*RECORDS[1:], indent=1), 0),
    "stores joined with BOM and NUL": (BOM + store(RECORDS[0]) + b"\n\0\0" + BOM + store(*RECORDS[1:]), 0),
    "store in UTF-16": (store(*RECORDS, indent=2).decode().encode("utf-16"), 0),
    "gzip members": (b"".join(gzip.compress(line) for line in LINES.splitlines(keepends=True)), 0),
    "gzip padded": (gzip.compress(LINES) + b"\0" * 512, 0),
    "zstd frames": (b"".join(zstd.compress(line) for line in LINES.splitlines(keepends=True)), 0),
    "skippable frames": (
        skippable() + zstd.compress(A + b"\n") + skippable(b"", 0x184D2A5F) + zstd.compress(B + b"\n" + C)
        + skippable(), 0,
    ),
    "gzip and zstd": (gzip.compress(A + b"\n") + zstd.compress(B + b"\n" + C), 0),
    "UTF-16 in gzip": (gzip.compress(LINES.decode().encode("utf-16")), 0),
    "store in zstd behind a skippable frame": (skippable() + zstd.compress(store(*RECORDS)), 0),
}  # fmt: skip


@pytest.mark.parametrize(("content", "quarantined"), READ.values(), ids=READ)
def test_it_is_read(content: bytes, quarantined: int, tmp_path: Path) -> None:
    home = home_with(tmp_path)

    result = bring(home, written(tmp_path, content))

    assert (result.imported_count, result.quarantined_count) == (3, quarantined)
    take_in(home)
    assert [one for (one,) in query(home, "SELECT session_id FROM evidence ORDER BY 1")] == KEPT


@pytest.mark.parametrize("count", [1, 2])
def test_records_that_all_lack_an_id_are_quarantined_one_by_one(count: int, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    nameless = [{key: value for key, value in record.items() if key != "session_id"} for record in RECORDS[:count]]

    result = bring(home, written(tmp_path, text(nameless)))

    assert (result.imported_count, result.quarantined_count) == (0, count)
    take_in(home)
    assert query(home, "SELECT line_number, reason, field FROM quarantine ORDER BY 1") == [
        (n + 1, "missing_field", "session_id") for n in range(count)
    ]
    assert query(home, "SELECT count(*) FROM evidence") == [(0,)]


#: What is refused: content, and what the message says.
REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty"),
    "NUL bytes only": (b"\0" * 4096, "there is nothing in it but 4096 NUL bytes"),
    "UTF-32": (LINES.decode().encode("utf-32"), "its text is UTF-32, not UTF-8"),
    "UTF-32BE without BOM": (LINES.decode().encode("utf-32-be"), "its text is UTF-32, not UTF-8"),
    "UTF-7": (b"+/v8-" + LINES, "its text is UTF-7"),
    "UTF-16 appended": (LINES + LINES.decode().encode("utf-16-le"), f"UTF-16 text begins at byte {len(LINES)} "),
    "UTF-8 appended to UTF-16": (
        LINES.decode().encode("utf-16-le") + LINES, f"UTF-8 text begins at byte {2 * len(LINES)} ",
    ),
    "array": (b"[" + A + b",\n" + B + b"]", "a JSON array"),
    "array, a record a line": (b"[\n" + b",\n".join([A, B, C]) + b"\n]\n", "a JSON array"),
    "array cut short": (b"[\n" + b",\n".join([A, B, C]), "a JSON array"),
    "arrays, one a line": (b'["a", 1]\n["b", 2]\n', "a JSON array"),
    "record over several lines": (json.dumps(RECORDS[0], indent=1).encode(), "a JSON record over several lines"),
    "record over several lines, cut short": (
        json.dumps(RECORDS[0], indent=1).encode()[:-40], "a JSON record over several lines",
    ),
    "records over several lines": (
        b"\n".join(json.dumps(one, indent=1).encode() for one in RECORDS), "a JSON record over several lines",
    ),
    "records over several lines in UTF-16": (
        json.dumps(RECORDS[0], indent=1).encode("utf-16"), "a JSON record over several lines",
    ),
    "object over several lines": (b'{\n "records": [\n' + A + b"\n]}", "a JSON object over several lines"),
    "records on one line": (A + B + C, "several JSON values on one line"),
    "commas between lines": (A + b",\n" + B + b",\n", "a list of records with commas between them"),
    "JSON text sequence": (b"\x1e" + A + b"\n\x1e" + B + b"\n", "a JSON text sequence (RFC 7464)"),
    "other JSON lines": (b'{"level": "info"}\n{"level": "warn"}\n', "JSON in which no line has a session_id"),
    "one torn record": (A[:-30], "JSON that is damaged or cut short"),
    "CSV": (b"session_id,created_at\ns-1,2026-01-01\n", "neither JSON lines, nor"),
    "ZIP": (b"PK\x03\x04" + b"x" * 99, "a ZIP archive"),
    "bzip2": (b"BZh91AY" + b"x" * 99, "a bzip2 file"),
    "xz": (b"\xfd7zXZ\x00" + b"x" * 99, "an xz file"),
    "tar in gzip": (gzip.compress(b"e.jsonl".ljust(257, b"\0") + b"ustar\x0000"), "a tar archive"),
    "gzip twice": (gzip.compress(gzip.compress(LINES)), "gzip data inside compressed data"),
    "gzip, then text": (
        gzip.compress(LINES) + A, f"the compressed data ends at byte {len(gzip.compress(LINES))} and something else",
    ),
    "zstd, then text": (zstd.compress(LINES) + A, f"the compressed data ends at byte {len(zstd.compress(LINES))} and"),
    "skippable frame cut short": (zstd.compress(LINES) + skippable()[:-2], "damaged or cut short"),
    "zstd with a dictionary": (
        b"\x28\xb5\x2f\xfd\x21\x07\x00\x01\x00\x00",
        "zstd dictionary",
    ),
    "store cut short": (STORE[:-9], f"the JSON store is damaged or cut short (byte {STORE[:-9].rindex(QUOTE)})"),
    "store cut in the second": (store(RECORDS[0]) + b"\n" + store(RECORDS[1])[:-9], "damaged or cut short (byte "),
    "store, then lines": (ONE + b"\n" + B, f"no store follows the JSON store (byte {len(ONE) + 1})"),
    "store, then an array": (ONE + b"[1]", f"something else follows the JSON store (byte {len(ONE)})"),
    "store with items twice": (b'{"items": [], "items": []}', "the JSON store is damaged or cut short (byte 14)"),
    "lines, then a store": (LINES + store(RECORDS[0]), "a JSON store stands among the JSON lines (line 4)"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "says"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_once_with_its_name_and_a_remedy(content: bytes, says: str, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    path = written(tmp_path, content)

    result = bring_what_can_be(home, path, json_lines(tmp_path / "other.jsonl", [delivery(session_id="other")]))

    (failure,) = result.failures
    assert says in failure.what
    assert failure.where == str(path)
    assert len(failure.remedy) > 10
    assert (result.received_count, result.imported_count, result.quarantined_count) == (1, 1, 0)
    assert len(list(home.landing.glob("*/*.jsonl"))) == 1


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_named_pipe_is_read_once_and_whole(suffix: str, tmp_path: Path) -> None:
    home, pipe = home_with(tmp_path), tmp_path / "pipe"
    os.mkfifo(pipe)
    content = {"": LINES, ".gz": gzip.compress(LINES), ".zst": zstd.compress(LINES)}[suffix]

    def write() -> None:
        with pipe.open("wb", buffering=0) as file:
            for byte in content:
                file.write(bytes([byte]))

    writer = threading.Thread(target=write)
    writer.start()
    result = bring(home, pipe)
    writer.join()

    assert (result.imported_count, result.quarantined_count) == (3, 0)


def test_a_sqlite_store_through_a_pipe_is_read(tmp_path: Path) -> None:
    home, pipe = home_with(tmp_path), tmp_path / "pipe"
    os.mkfifo(pipe)
    content = sqlite_store(tmp_path / "e.db", RECORDS).read_bytes()
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    result = bring(home, pipe)
    writer.join()

    assert result.imported_count == 3


def test_nul_bytes_around_stores_are_reported(tmp_path: Path) -> None:
    path = written(tmp_path, b"\0" * 1500 + ONE + b"\0\0" + store(RECORDS[1]))

    result = bring(home_with(tmp_path), path)

    assert (result.imported_count, result.notes) == (2, [f"{path}: 1,502 NUL bytes were left out"])


def test_standard_input_that_is_wrong_is_one_failure(tmp_path: Path) -> None:
    result = import_evidence(home_with(tmp_path), [("standard input", io.BytesIO(b"[1, 2]"))], now=NOW)

    assert [failure.where for failure in result.failures] == ["standard input"]
    assert result.received_count == 0


LANDING = {
    "landing.jsonl.zst": skippable() + zstd.compress(LINES),
    "marks.jsonl": A + b"\n" + BOM + B + b"\n" + C,
    "nul.jsonl": b"\0" * 512 + LINES,
    "wide.jsonl": LINES.decode().encode("utf-16"),
    "members.jsonl.gz": gzip.compress(A + b"\n") + gzip.compress(B + b"\n" + C),
}


@pytest.mark.parametrize("name", LANDING)
def test_the_landing_zone_is_read_by_the_same_rules(name: str, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    drop(home, LANDING[name], name=name)

    result = take_in(home)

    assert (result.failures, result.received_count, result.quarantined_count) == ([], 3, 0)
    assert result.notes == ([f"{DAY}/nul.jsonl: 512 NUL bytes were left out"] if name == "nul.jsonl" else [])
    assert [one for (one,) in query(home, "SELECT session_id FROM evidence ORDER BY 1")] == KEPT


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (LINES.decode().encode("utf-32"), "its text is UTF-32"),
        (b"SQLite format 3\0" + b"\0" * 99, "it is an SQLite database"),
        (b"PK\x03\x04" + b"x" * 99, "it is a ZIP archive"),
        (gzip.compress(LINES) + A, "something else follows"),
    ],
)
def test_a_landing_file_that_is_no_text_is_one_failure(content: bytes, says: str, tmp_path: Path) -> None:
    home = home_with(tmp_path, {f"{DAY}/good.jsonl": RECORDS})
    drop(home, content, name="bad.jsonl")

    result = take_in(home)

    (failure,) = result.failures
    assert says in str(failure)
    assert (result.received_count, result.quarantined_count) == (3, 0)


@pytest.mark.slow
def test_a_zstd_window_of_two_gibibytes_is_read(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    options = {
        zstd.CompressionParameter.window_log: 31, zstd.CompressionParameter.enable_long_distance_matching: 1,
    }  # fmt: skip
    filler = raw(delivery(session_id="long", note="n" * 1_000_000)) + b"\n"
    compressor = zstd.ZstdCompressor(options=options)  # type: ignore[arg-type]
    content = b"".join([
        *(compressor.compress(filler) for _ in range(150)), compressor.compress(LINES), compressor.flush(),
    ])  # fmt: skip

    result = bring(home, written(tmp_path, content))

    assert result.imported_count == 153
