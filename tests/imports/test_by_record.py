"""Import by record: what came before in the same version is not written again, whatever else the store holds now."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.boundary import scanner
from cavra_pipeline.evidence import receipts
from cavra_pipeline.evidence.drafts import Drafts
from cavra_pipeline.evidence.imported import contents_in
from cavra_pipeline.evidence.landing import sidecar_of
from cavra_pipeline.evidence.lines import LineBatch
from cavra_pipeline.evidence.receipts import Stamp, content_digest
from cavra_pipeline.evidence.stores import read_source
from cavra_pipeline.settings import Settings
from tests.evidence.secrets_made_up import canary
from tests.imports.sources import bring, json_lines, json_store, landed, sqlite_store
from tests.support import DAY, NOW, REPOSITORY, Line, Record, at, delivery, drop, home_with, query, take_in

pytestmark = pytest.mark.slow

IMPORTS = int(os.environ.get("CAVRA_GROWING_IMPORTS", "10"))
TEAMS: Any = {"delivery": {"deliveries": [{"provider": "teams", "request": {"url": canary("teams webhook")}}]}}
BAD = {"session_id": "bad", "created_at": "never", "metadata_kind": "x"}


def growing(count: int) -> list[Record]:
    """Records over three days, each with a secret that is dropped; a new one stands in front of those before it."""
    return [delivery(at(n * 400), session_id=f"s-{999 - n:03d}", **TEAMS) for n in range(count)]


def session_ids(settings: Settings) -> list[str]:
    """The session ids of every line in the landing zone."""
    lines = [line for path in settings.landing.glob("*/*.jsonl") for line in path.read_text().splitlines()]
    return sorted(json.loads(line)["session_id"] for line in lines)


@pytest.mark.timeout(180 + 20 * IMPORTS)
@pytest.mark.parametrize("made", [sqlite_store, json_store, json_lines], ids=["sqlite", "json", "lines"])
def test_after_many_imports_of_a_growing_store_each_record_stands_once(made: object, tmp_path: Path) -> None:
    home, store = home_with(tmp_path), tmp_path / "store"
    sizes, written = [], []
    for count in range(1, IMPORTS + 1):
        store.unlink(missing_ok=True)
        lines: list[Line] = [*growing(count)[::-1], BAD]
        result = bring(home, made(store, lines))  # type: ignore[operator]
        take_in(home)
        written.append(len(result.written))
        sizes.append(sum(map(len, landed(home).values())))
        assert (result.received_count, result.known_count) == (count + 1, count if count > 1 else 0)

    assert session_ids(home) == sorted(record["session_id"] for record in growing(IMPORTS))
    assert query(home, "SELECT count(*), count(DISTINCT session_id) FROM evidence_records") == [(IMPORTS, IMPORTS)]
    assert query(home, "SELECT count(*) FROM findings") == [(IMPORTS,)]
    assert query(home, "SELECT count(*) FROM finding_rows") == [(IMPORTS,)]
    assert query(home, "SELECT count(*) FROM quarantine") == [(1,)]
    assert query(home, "SELECT sum(received_count), sum(superseded_count) FROM drop_totals") == [(IMPORTS + 1, 0)]
    assert written[1:] == [1] * (IMPORTS - 1)
    grown = [after - before for before, after in itertools.pairwise(sizes)]
    assert max(grown) < 1.2 * min(grown)


def test_a_newer_version_of_a_record_is_written_and_the_others_are_not(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    records = growing(5)
    bring(home, json_store(tmp_path / "e.json", records))

    result = bring(
        home, json_store(tmp_path / "e.json", [*records[:2], {**records[2], "plan_id": "new"}, *records[3:]])
    )

    assert (result.imported_count, result.known_count, len(result.written)) == (1, 4, 1)
    take_in(home)
    assert query(home, "SELECT count(*) FROM evidence WHERE plan_id = 'new'") == [(1,)]
    assert query(home, "SELECT count(*) FROM evidence") == [(5,)]


def test_a_landing_file_is_named_by_what_it_holds_and_not_by_lines_of_its_source(tmp_path: Path) -> None:
    names = []
    for folder, lines in (
        ("a", [delivery(session_id="a", **TEAMS), BAD]),
        ("b", [BAD, delivery(session_id="a", **TEAMS)]),
    ):
        (tmp_path / folder).mkdir()
        home = home_with(tmp_path / folder)
        names.append(bring(home, json_lines(tmp_path / folder / f"{folder}.jsonl", lines)).written)

    assert names[0] == names[1]


def test_a_landing_file_that_is_gone_is_written_again(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    source = json_lines(tmp_path / "e.jsonl", growing(10))
    first = bring(home, source)
    before = landed(home)
    lost = home.landing / first.written[0]
    lost.unlink()

    again = bring(home, source)

    assert len(again.written) == 1
    assert {name.rsplit("-", 1)[1] for name in landed(home)} == {name.rsplit("-", 1)[1] for name in before}
    assert session_ids(home) == sorted(record["session_id"] for record in growing(10))


@pytest.mark.parametrize("content", [None, "", "{}", '{"record_digests": "AAAA"}', '{"record_digests": 7}'])
def test_a_sidecar_without_its_digests_is_written_again_beside_the_same_file(
    content: str | None, tmp_path: Path
) -> None:
    home = home_with(tmp_path)
    source = old(json_lines(tmp_path / "e.jsonl", [delivery(session_id="a", **TEAMS)]))
    (written,) = bring(home, source).written
    before, kept = landed(home), list((home.home / "receipts").iterdir())
    assert len(kept) == 1
    sidecar = sidecar_of(home.landing / written)
    if content is None:
        sidecar.unlink()
    else:
        # The receipt of an unchanged file does not look into sidecars.
        sidecar.write_text(content)
        kept[0].unlink()

    assert bring(home, source).written == [written]

    assert landed(home) == before
    take_in(home)
    assert query(home, "SELECT count(*) FROM findings") == [(1,)]


def test_a_home_without_its_state_database_imports_nothing_twice(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    source = json_lines(tmp_path / "e.jsonl", growing(4))
    bring(home, source)
    take_in(home)
    before = landed(home)
    for path in (home.home / "state.db", *(home.home / "receipts").glob("*")):
        path.unlink(missing_ok=True)

    assert bring(home, source).known_count == 4
    assert landed(home) == before


def test_a_finding_in_two_drops_counts_once_and_stays_when_the_first_drop_goes(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    record, other = delivery(session_id="a", **TEAMS), delivery(session_id="b", **TEAMS)
    drop(home, [record], name="first.jsonl")
    drop(home, [record, other], name="second.jsonl", day="2026-06-26")
    take_in(home)

    assert query(home, "SELECT file_name, line_number FROM findings ORDER BY ALL") == [
        ("first.jsonl", 1), ("second.jsonl", 2)
    ]  # fmt: skip
    drop(home, [delivery(session_id="c")], name="first.jsonl")
    take_in(home)
    assert query(home, "SELECT file_name, line_number FROM findings ORDER BY ALL") == [
        ("second.jsonl", 1), ("second.jsonl", 2)
    ]  # fmt: skip


def test_a_line_that_the_failing_scanner_held_back_is_judged_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_with(tmp_path)
    source = json_lines(tmp_path / "e.jsonl", [delivery(session_id="a")])

    def fails() -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(scanner, "_scanner", fails)
        first = bring(home, source)
        repeated = bring(home, source)
    again = bring(home, source)

    assert (first.quarantined_count, repeated.quarantined_count) == (1, 1)
    assert first.written == repeated.written
    assert (again.known_count, again.imported_count) == (0, 1)


def test_two_imports_at_once_write_each_record_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_with(tmp_path)
    records = growing(10)
    sources = [
        json_lines(tmp_path / "a.jsonl", [*records[:7], BAD]),
        json_lines(tmp_path / "b.jsonl", [*records[3:], BAD]),
    ]
    take = Drafts.take

    def slow(drafts: Drafts, batch: LineBatch) -> int:
        taken = take(drafts, batch)
        time.sleep(0.5)
        return taken

    monkeypatch.setattr(Drafts, "take", slow)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda source: bring(home, source), sources))

    assert session_ids(home) == sorted(record["session_id"] for record in records)
    assert sum(result.imported_count for result in results) == 10
    assert sum(result.quarantined_count for result in results) == 1
    assert sum(result.known_count for result in results) == 5
    take_in(home)
    assert query(home, "SELECT count(*) FROM evidence_records") == [(10,)]
    assert query(home, "SELECT sum(dropped_field_count) FROM drops") == [(10,)]
    assert query(home, "SELECT (SELECT count(*) FROM finding_rows), (SELECT count(*) FROM quarantine)") == [(10, 1)]


KILLED = """
import os, signal, sys
from pathlib import Path
from cavra_pipeline.evidence import importer
from tests.imports.sources import bring
from tests.support import home_with
moves, put = iter(range(99)), importer.put_file
def stopping(settings, made, target):
    if next(moves) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    put(settings, made, target)
importer.put_file = stopping
bring(home_with(Path(sys.argv[1])), Path(sys.argv[1]) / "e.jsonl")
"""


@pytest.mark.parametrize("moves", range(6))
def test_an_import_killed_at_any_move_loses_and_doubles_nothing(moves: int, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    source = json_lines(tmp_path / "e.jsonl", growing(10))

    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(moves)], cwd=REPOSITORY, check=False)

    assert killed.returncode == -signal.SIGKILL
    result = bring(home, source)
    assert result.known_count + result.imported_count == 10
    assert session_ids(home) == sorted(record["session_id"] for record in growing(10))
    take_in(home)
    assert query(home, "SELECT (SELECT count(*) FROM evidence_records), (SELECT count(*) FROM finding_rows)") == [
        (10, 10)
    ]


def old(path: Path) -> Path:
    """Gives a file times from before, as most sources have; its change time can't be set and is waited for."""
    os.utime(path, (1, 1))
    time.sleep(0.05)
    return path


def test_an_unchanged_file_is_not_read_again_and_a_changed_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_with(tmp_path)
    source = old(json_lines(tmp_path / "e.jsonl", growing(3)))
    bring(home, source)
    read: list[object] = []

    def counting(*given: Any, **how: Any) -> Iterator[LineBatch]:
        read.append(given)
        return read_source(*given, **how)

    monkeypatch.setattr("cavra_pipeline.evidence.importer.read_source", counting)

    assert (bring(home, source).known_count, read) == (3, [])
    os.utime(source)
    assert (bring(home, source).known_count, read) == (3, [])
    copy = tmp_path / "copy"
    copy.write_bytes(source.read_bytes())
    copy.replace(source)
    assert (bring(home, source).known_count, read) == (3, [])
    content = source.read_bytes()
    source.write_bytes(content.replace(b"subject-1", b"subject-2", 1))
    assert (bring(home, source).imported_count, len(read), len(source.read_bytes())) == (1, 1, len(content))

    json_lines(source, growing(4))
    assert (bring(home, source).imported_count, len(read)) == (1, 2)


@pytest.mark.parametrize("made", [sqlite_store, json_lines], ids=["sqlite", "lines"])
def test_the_bytes_of_a_file_that_was_touched_are_read_once(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_with(tmp_path)
    source = old(made(tmp_path / "e", growing(3)))
    bring(home, source)
    read: list[Path] = []

    def counting(path: Path) -> str:
        read.append(path)
        return content_digest(path)

    monkeypatch.setattr(receipts, "content_digest", counting)
    bring(home, source)
    assert read == []

    old(source)
    assert [bring(home, source).known_count for _ in range(3)] == [3, 3, 3]
    assert len(read) == 1
    # What was touched a moment ago may change once more within the same step of the clock.
    source.touch()
    assert bring(home, source).known_count == 3
    time.sleep(0.05)
    assert [bring(home, source).known_count for _ in range(3)] == [3, 3, 3]
    assert 2 <= len(read) <= 3


def test_a_file_that_was_touched_is_not_read_where_its_receipt_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_with(tmp_path)
    source = old(json_lines(tmp_path / "e.jsonl", growing(3)))
    bring(home, source)
    old(source)
    for name in ("TemporaryFile", "NamedTemporaryFile"):
        monkeypatch.setattr(tempfile, name, lambda *_, **__: (_ for _ in ()).throw(OSError))

    assert receipts.read_receipt(home.home, source, "", stamp_of(source), contents_in(home.landing)) == 3


def stamp_of(path: Path) -> Stamp:
    stamp = Stamp.of(path)
    assert stamp
    return stamp


def test_a_file_that_changes_while_it_is_read_has_no_receipt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_with(tmp_path)
    source = old(json_lines(tmp_path / "e.jsonl", growing(3)))
    take = Drafts.take

    def changing(drafts: Drafts, batch: LineBatch) -> int:
        json_lines(source, growing(4))
        return take(drafts, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Drafts, "take", changing)
        bring(home, source)

    assert bring(home, source).imported_count == 1


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_a_store_counts_as_changed_when_the_file_beside_it_changes(suffix: str, tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "e.db", growing(1))
    stamp = Stamp.of(store)

    (tmp_path / f"e.db{suffix}").write_bytes(b"1")

    assert stamp is not None
    assert Stamp.of(store) != stamp


@pytest.mark.parametrize(("age_ns", "fraction", "is_older"), [
    (receipts._STEP, 7, False), (receipts._STEP + 1, 7, True),
    (receipts._STEP + 1, 0, False), (receipts._COARSE_STEP, 0, False), (receipts._COARSE_STEP + 1, 0, True),
])  # fmt: skip
def test_a_stamp_is_trusted_only_past_a_step_of_the_clock(age_ns: int, fraction: int, is_older: bool) -> None:
    changed = 1_700_000_000 * 1_000_000_000 + fraction

    assert Stamp(((1, 1, 1, changed, changed), (), ())).is_older_than(changed + age_ns) is is_older


def test_a_pipe_has_no_stamp(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert Stamp.of(tmp_path / "pipe") is None
    assert Stamp.of(tmp_path / "none") is None


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_stores_and_versions_gives_each_version_once(seed: int, tmp_path: Path) -> None:
    home, chance = home_with(tmp_path), random.Random(seed)
    versions = [delivery(at(n), session_id=f"s-{n % 7}", plan_id=f"p-{n}") for n in range(30)]
    seen: set[str] = set()
    for number in range(8):
        part = chance.sample(versions, 12)
        result = bring(home, json_lines(tmp_path / "e.jsonl", part), now=NOW + timedelta(hours=number))
        fresh = {record["plan_id"] for record in part} - seen
        assert result.imported_count == len(fresh)
        seen |= fresh

    take_in(home)
    assert query(home, "SELECT count(*), count(DISTINCT plan_id) FROM evidence_records") == [(len(seen), len(seen))]
    assert query(home, f"SELECT count(DISTINCT drop_day) FROM evidence_records WHERE drop_day = '{DAY}'") == [(1,)]
