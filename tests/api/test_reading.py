"""Reading goes on while something writes: the copy, how old it may be, and what it costs."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cavra_pipeline.api.problems import not_now
from cavra_pipeline.errors import TransientError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.warehouse.read_copy import ReadCopy
from tests.api.server import NoDagster, served
from tests.support import NOW, delivery, drop, file_of, ingested, query, take_in

pytestmark = pytest.mark.slow

HEALTH = "/api/v1/lanes/recovery_escalation/health"


def test_answers_come_while_the_warehouse_is_being_written_and_say_so(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    with (
        served(home, dagster=NoDagster()) as one,
        one.client() as client,
        warehouse_of(home).writing("a long run") as session,
    ):
        session.execute("CREATE TABLE unfinished AS SELECT 1 AS one")
        during = [client.get(HEALTH, params={"window_hours": n}) for n in range(1, 6)]

    assert {answer.status_code for answer in during} == {200}
    assert {answer.json()["health"]["evidence_record_count"] for answer in during} == {1}


def test_a_refusal_says_whether_the_warehouse_is_held_or_a_question_took_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cavra_pipeline.api.service._WRITE_SECONDS", 0.1)
    monkeypatch.setattr("cavra_pipeline.api.service._QUESTION_SECONDS", 0.1)
    home = ingested(tmp_path, [delivery(failed=["slack"])])
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        with warehouse_of(home).writing("a long run"):
            held = client.post("/api/v1/playbook", json={"by": "ops"})
        with pytest.raises(TransientError) as slow, one.service.reading() as (session, _):
            session.execute("SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b WHERE a.range > b.range")

    assert (held.status_code, held.headers["retry-after"]) == (503, "5")
    said = held.json()["detail"]
    assert said.startswith("A run or another program holds the warehouse. Repeat in a moment.")
    assert "may be saved already" in said
    assert not_now(slow.value).detail == "The question took too long. Ask for less, or repeat it later."


def test_what_another_process_wrote_is_seen_once_it_is_copied(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        counts = []
        for n in range(3):
            drop(home, [delivery(session_id=f"later-{n}")], name=f"later-{n}.jsonl")
            take_in(home)
            answer = client.get("/api/v1/evidence")
            while answer.headers["cavra-evidence-is-behind"] == "true":  # a busy machine copies for over half a second
                time.sleep(0.1)
                answer = client.get("/api/v1/evidence")
            counts.append(len(answer.json()["records"]))

    assert counts == [2, 3, 4]


def test_a_copy_leaves_no_file_behind_and_holds_no_lock(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    copy = ReadCopy(file_of(home), lambda: NOW)
    try:
        assert list(home.home.glob(".read-copy-*")) == []
        with copy.reading() as (session, _):
            code = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('CREATE TABLE other AS SELECT 1')"
            subprocess.run([sys.executable, "-c", code, str(home.warehouse)], check=True)
            assert session.tuples("SELECT count(*) FROM evidence") == [(1,)]
        assert copy.catch_up(10)
        with copy.reading() as (session, state):
            assert session.tuples("SELECT count(*) FROM other") == [(1,)]
            assert not state.is_behind
    finally:
        copy.close()


def test_many_threads_read_while_one_writes_again_and_again(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    copy = ReadCopy(file_of(home), lambda: NOW)
    failed: list[BaseException] = []
    seen: list[int] = []
    is_over = threading.Event()

    def read() -> None:
        try:
            while not is_over.is_set():
                with copy.reading() as (session, _):
                    seen.append(int(str(session.tuples("SELECT count(*) FROM evidence")[0][0])))
        except BaseException as error:  # noqa: BLE001 -- shown by the assertion
            failed.append(error)

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for n in range(5):
        drop(home, [delivery(session_id=f"more-{n}")], name=f"more-{n}.jsonl")
        take_in(home)
    is_over.set()
    for reader in readers:
        reader.join(30)
    copy.close()

    assert failed == []
    assert set(seen) <= set(range(1, 7))
    assert query(home, "SELECT count(*) FROM evidence") == [(6,)]
