"""The commit log: a chained entry for each commit, with segments before and after; crashes, late evidence, prunings."""

from __future__ import annotations

import json
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cavra_pipeline.errors import OutOfMemory, PipelineError, TransientError
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import HomeKeeper, rebuild, warehouse_of
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.proof.log import checkpoint_of, entries_of, stored_segments
from cavra_pipeline.proof.merkle import EMPTY_ROOT, Peaks, leaf_hash, root_of
from cavra_pipeline.proof.segments import changed_after, hash_segments, segments_root
from cavra_pipeline.retention.prune import prune
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse import WarehouseBusy
from tests.support import NOW, acknowledgement, at, delivery, drop, home_with, ingested, query, query_state, take_in
from tests.worker.support import Crash

OLD = at(60 * 24 * 60)


def entries(home: Settings) -> list[dict[str, Any]]:
    with state_of(home).reading() as connection:
        return [json.loads(entry) for entry in entries_of(connection)]


def segments(home: Settings) -> dict[tuple[str, str], dict[str, Any]]:
    """Segments as the state stores them."""
    with state_of(home).reading() as connection:
        stored = stored_segments(connection)
    return {(lane, str(day)): one.document() for (lane, day), one in stored.items()}


def replayed(home: Settings) -> dict[tuple[str, str], dict[str, Any]]:
    """Segments as the entries of the log say, each checked against what it says was there before."""
    now: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in entries(home):
        for one in entry["segments"]:
            key = one["lane"], one["day"]
            assert now.pop(key, None) == one["before"]
            if one["after"]:
                now[key] = one["after"]
    return now


def hashed(home: Settings) -> dict[tuple[str, str], dict[str, Any]]:
    """Segments of the records that are in the warehouse."""
    with warehouse_of(home).reading() as session:
        days = session.tuples("SELECT DISTINCT coalesce(lane, ''), created_at::DATE FROM evidence")
        made = hash_segments(session, days, pseudonyms_of(home))  # type: ignore[arg-type]
        assert {one.key for one in made} <= changed_after(session, 0).keys()
    return {(one.lane, str(one.day)): one.document() for one in made}


def assert_whole(home: Settings) -> None:
    """The log is chained, and log, segments and evidence say the same."""
    with state_of(home).reading() as connection:
        texts = list(entries_of(connection))
        head, stored = checkpoint_of(connection), stored_segments(connection)
    peaks = Peaks()
    for number, text in enumerate(texts, 1):
        entry = json.loads(text)
        assert (entry["number"], entry["previous"]) == (number, peaks.root.hex())
        peaks.append(leaf_hash(text))
    assert head is not None
    assert (head.size, head.root) == (len(texts), root_of([leaf_hash(text) for text in texts]))
    assert head.origin == f"cavra-pipeline/{leaf_hash(texts[0]).hex()[:16]}"
    assert json.loads(texts[-1])["segments_root"] == segments_root(stored.values())
    assert replayed(home) == segments(home) == hashed(home)


def test_an_ingest_appends_an_entry_with_its_files_and_segments(tmp_path: Path) -> None:
    home = home_with(tmp_path, {"2026-06-25": [delivery(at(5), session_id="d"), "{no json"]})
    take_in(home)

    (entry,) = entries(home)
    (file,) = entry["files"]
    raw = (home.landing / "2026-06-25" / "evidence.jsonl").read_bytes()
    assert (entry["act"], entry["number"], entry["previous"]) == ("ingest", 1, EMPTY_ROOT.hex())
    assert (entry["version"], entry["prunings"]) == (1, [])
    assert file["sha256"] == sha256(raw).hexdigest()
    assert (file["drop_day"], file["file_name"]) == ("2026-06-25", "evidence.jsonl")
    assert (file["received_count"], file["quarantined_count"]) == (2, 1)
    line = sha256(b"{no json").hexdigest()
    rejected = {"source_file": "evidence.jsonl", "line_number": 2, "sha256": line, "reason": "not_json", "field": None}
    written = json.dumps(rejected, sort_keys=True, separators=(",", ":")).encode()
    assert file["quarantine_root"] == leaf_hash(written).hex()
    (change,) = entry["segments"]
    assert (change["lane"], change["day"], change["before"]) == ("recovery_escalation", "2026-06-25", None)
    assert change["after"]["size"] == 1
    assert_whole(home)


def test_an_ingest_that_finds_nothing_new_appends_nothing(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(at(5))])
    take_in(home)

    assert len(entries(home)) == 1


def test_files_that_are_read_again_are_logged_and_change_no_segment(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(at(5))])
    before = segments(home)
    take_in(home, first=date(2026, 6, 1))

    again = entries(home)[1]
    assert (len(again["files"]), again["segments"]) == (1, [])
    assert again["segments_root"] == entries(home)[0]["segments_root"]
    assert segments(home) == before
    assert_whole(home)


def test_late_evidence_changes_its_segment_only_and_the_log_names_its_file(tmp_path: Path) -> None:
    home = ingested(tmp_path, {"2026-06-23": [delivery(at(2880))], "2026-06-25": [delivery(at(5))]})
    drop(home, [delivery(at(2870)), acknowledgement(at(2869), lane="recovery_health_alert")], name="late.jsonl")
    take_in(home)

    entry = entries(home)[-1]
    assert [one["file_name"] for one in entry["files"]] == ["late.jsonl"]
    changes = [(one["lane"], one["day"], bool(one["before"]), one["after"]["size"]) for one in entry["segments"]]
    assert changes == [
        ("recovery_escalation", "2026-06-23", True, 2),
        ("recovery_health_alert", "2026-06-23", False, 1),
    ]
    assert_whole(home)


def test_a_newer_version_of_another_day_and_lane_changes_both_segments(tmp_path: Path) -> None:
    home = ingested(tmp_path, {"2026-06-23": [delivery(at(2880), session_id="d")]})
    newer = delivery(at(5), session_id="d", lane="executive_report")
    drop(home, [newer])
    take_in(home)

    entry = entries(home)[-1]
    changes = [(one["lane"], one["day"], one["after"]) for one in entry["segments"]]
    assert [one[:2] for one in changes] == [("executive_report", "2026-06-25"), ("recovery_escalation", "2026-06-23")]
    assert changes[1][2] is None
    assert_whole(home)


@pytest.mark.slow
def test_a_pruning_is_an_entry_that_shrinks_segments(tmp_path: Path) -> None:
    home = ingested(tmp_path, {"2026-04-26": [delivery(OLD)], "2026-06-25": [delivery(at(5))]})
    day = OLD.date() + timedelta(days=1)
    prune(warehouse_of(home), state_of(home), day, now=NOW)

    entry = entries(home)[-1]
    (pruning,) = entry["prunings"]
    assert (entry["act"], entry["files"]) == ("prune", [])
    assert (pruning["number"], pruning["record_count"], pruning["horizon"]) == (1, 1, f"{day}T00:00:00+00:00")
    assert [(one["day"], one["after"]) for one in entry["segments"]] == [(str(OLD.date()), None)]
    assert_whole(home)
    prune(warehouse_of(home), state_of(home), day, now=NOW)
    drop(home, [delivery(at(4))], name="more.jsonl")
    take_in(home)
    assert [one["act"] for one in entries(home)] == ["ingest", "prune", "ingest"]
    assert entries(home)[-1]["prunings"] == []
    assert_whole(home)


def crash(*_: object) -> None:
    raise Crash


def test_a_crash_between_the_two_commits_is_made_up_for_in_one_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = ingested(tmp_path, [delivery(at(5))])
    with monkeypatch.context() as patched:
        patched.setattr(HomeKeeper, "_remember", crash)
        for number in range(2):
            drop(home, [delivery(at(4 - number))], name=f"lost-{number}.jsonl")
            with pytest.raises(Crash):
                ingest(home, now=NOW)
    assert len(entries(home)) == 1
    assert segments(home) != hashed(home)

    ingest(home, now=NOW)

    assert [[one["file_name"] for one in entry["files"]] for entry in entries(home)] == [
        ["evidence.jsonl"],
        ["lost-0.jsonl", "lost-1.jsonl"],
    ]
    assert_whole(home)


@pytest.mark.parametrize("failure", [
    WarehouseBusy("busy", where="warehouse", remedy="Wait"), TransientError("busy", where="state", remedy="Wait"),
    OutOfMemory("the warehouse"), MemoryError(), duckdb.IOException("could not read AKIAIOSFODNN7EXAMPLE"),
], ids=lambda one: type(one).__name__)  # fmt: skip
@pytest.mark.slow
def test_a_failure_after_the_commit_is_logged_and_made_up_for_by_the_next_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    home = ingested(tmp_path, [delivery(at(5))])

    def fail(*_: object) -> None:
        raise failure

    drop(home, [delivery(at(4)), delivery(at(3))], name="late.jsonl")
    with monkeypatch.context() as patched:
        patched.setattr("cavra_pipeline.evidence.keeper.hash_segments", fail)
        result = ingest(home, now=NOW)

    assert [one.file_name for one in result.drops] == ["late.jsonl"]
    assert query(home, "SELECT count(*) FROM evidence") == [(3,)]
    assert len(entries(home)) == 1
    (warning,) = [one for one in caplog.messages if "the commit is made" in one]
    assert type(failure).__name__ in warning
    assert "AKIA" not in caplog.text

    ingest(home, now=NOW)

    assert [one["file_name"] for one in entries(home)[1]["files"]] == ["late.jsonl"]
    assert_whole(home)


def test_a_permanent_failure_after_the_commit_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = ingested(tmp_path, [delivery(at(5))])

    def fail(*_: object) -> None:
        raise PipelineError("the log is damaged", where="entry 1", remedy="Restore it")

    drop(home, [delivery(at(4))], name="late.jsonl")
    monkeypatch.setattr("cavra_pipeline.evidence.keeper.hash_segments", fail)
    with pytest.raises(PipelineError, match="the log is damaged"):
        ingest(home, now=NOW)


def test_evidence_is_hashed_when_others_may_use_the_warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = ingested(tmp_path, [delivery(at(5))])
    drop(home, [delivery(at(4))], name="first.jsonl")
    calls: list[object] = []

    def read_meanwhile(*given: Any) -> Any:
        calls.append(given)
        with warehouse_of(home.but(busy_wait_seconds=1)).reading() as session:
            assert session.tuples("SELECT count(*) FROM evidence") == [(2,)]
        return hash_segments(*given)

    monkeypatch.setattr("cavra_pipeline.evidence.keeper.hash_segments", read_meanwhile)
    take_in(home)

    assert len(calls) == 1
    assert len(entries(home)) == 2
    assert_whole(home)


@pytest.mark.slow
def test_a_crash_after_a_pruning_was_stored_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = ingested(tmp_path, {"2026-04-26": [delivery(OLD)], "2026-06-25": [delivery(at(5))]})
    with monkeypatch.context() as patched:
        patched.setattr(HomeKeeper, "_remember", crash)
        with pytest.raises(Crash):
            prune(warehouse_of(home), state_of(home), OLD.date() + timedelta(days=1), now=NOW)

    ingest(home, now=NOW)

    assert [entry["act"] for entry in entries(home)] == ["ingest", "prune"]
    assert_whole(home)


def test_a_writer_that_tells_the_state_late_writes_nothing_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = ingested(tmp_path, [delivery(at(5))])
    told: list[tuple[object, ...]] = []
    remember = HomeKeeper._remember
    with monkeypatch.context() as patched:
        patched.setattr(HomeKeeper, "_remember", lambda *given: told.append(given))
        drop(home, [delivery(at(4))], name="first.jsonl")
        take_in(home)
    drop(home, [delivery(at(3))], name="second.jsonl")
    take_in(home)
    remember(*told[0])  # type: ignore[arg-type]

    assert [[one["file_name"] for one in entry["files"]] for entry in entries(home)[1:]] == [
        ["first.jsonl", "second.jsonl"]
    ]
    assert_whole(home)


@pytest.mark.slow
def test_a_rebuild_from_the_same_files_changes_neither_segments_nor_the_log(tmp_path: Path) -> None:
    home = ingested(tmp_path, {"2026-04-26": [delivery(OLD)], "2026-06-25": [delivery(at(5)), "{"]})
    prune(warehouse_of(home), state_of(home), OLD.date() + timedelta(days=1), now=NOW)
    before = entries(home), segments(home)

    rebuild(home, without_missing=False)
    assert (entries(home), segments(home)) == before
    home.warehouse.unlink()
    assert query(home, "SELECT count(*) FROM evidence") == [(1,)]

    assert (entries(home), segments(home)) == before
    assert_whole(home)


@pytest.mark.slow
def test_a_rebuild_from_other_files_is_an_entry_that_names_them(tmp_path: Path) -> None:
    home = ingested(tmp_path, {"2026-06-24": [delivery(at(1445))], "2026-06-25": [delivery(at(5))]})
    drop(home, [delivery(at(5)), delivery(at(4))])
    rebuild(home, without_missing=False)
    (home.landing / "2026-06-24" / "evidence.jsonl").unlink()
    rebuild(home, without_missing=True)

    first, changed, gone = entries(home)
    assert [one["act"] for one in (first, changed, gone)] == ["ingest", "rebuild", "rebuild"]
    assert [(one["drop_day"], one["received_count"]) for one in changed["files"]] == [("2026-06-25", 2)]
    assert [(one["drop_day"], one["sha256"]) for one in gone["files"]] == [("2026-06-24", None)]
    assert [(one["day"], one["after"]) for one in gone["segments"]] == [("2026-06-24", None)]
    assert_whole(home)


def test_a_home_without_a_log_gets_one_of_all_it_holds(tmp_path: Path) -> None:
    """As one of a release that kept none."""
    home = ingested(tmp_path, {"2026-06-24": [delivery(at(1445))], "2026-06-25": [delivery(at(5))]})
    with state_of(home).writing() as connection:
        for table in ("log_entries", "segments"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    rebuild(home, without_missing=False)

    (entry,) = entries(home)
    assert [one["drop_day"] for one in entry["files"]] == ["2026-06-24", "2026-06-25"]
    assert len(entry["segments"]) == 2
    assert_whole(home)


def test_a_state_that_is_lost_learns_from_the_warehouse(tmp_path: Path) -> None:
    home = ingested(tmp_path, {"2026-04-26": [delivery(OLD)], "2026-06-25": [delivery(at(5))]})
    prune(warehouse_of(home), state_of(home), OLD.date() + timedelta(days=1), now=NOW)
    for path in home.home.glob("state.db*"):
        path.unlink()
    drop(home, [delivery(at(4))], name="more.jsonl")
    take_in(home)

    assert query_state(home, "SELECT count(*) FROM prunings") == [(1,)]
    assert len(entries(home)[0]["prunings"]) == 1
    assert_whole(home)
