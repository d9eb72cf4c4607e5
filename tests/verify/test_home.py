"""Verification of a home: an intact one, the silent changes, and random changes of all that it reads, each named."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa
from backports import zstd

from cavra_pipeline.documents import canonical_bytes, identify
from cavra_pipeline.evidence.keeper import HomeKeeper, warehouse_of
from cavra_pipeline.evidence.leftovers import locked
from cavra_pipeline.reports.store import CLOSURE, RECOVERIES, RETRY_HEALTH, RETRY_PLAN, save_reports
from cavra_pipeline.retention.prune import prune
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.verify.differences import Difference, Part
from cavra_pipeline.verify.home import verify_home
from tests.cli.command import command
from tests.support import (
    NOW,
    Record,
    acknowledgement,
    at,
    delivery,
    drop,
    execution,
    home_with,
    plan,
    record,
    take_in,
    worker_run,
)
from tests.worker.support import Crash

OLD = at(60 * 24 * 60)
REPORTS = ((RETRY_PLAN, "recovery_escalation"), (RETRY_HEALTH, "executive_report"), (RECOVERIES, None), (CLOSURE, None))
#: More for a long run: CAVRA_TEST_EXAMPLES=100 pytest tests/verify/test_home.py
EXAMPLES = int(os.environ.get("CAVRA_TEST_EXAMPLES", "4"))


pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def evidence() -> dict[str, list[Record | str]]:
    """Two months with a pruned day, failures and their answers, rejected lines and a superseded version."""
    failed = [delivery(at(2000 + n), subject=f"p-{n}", failed=["slack"], session_id=f"d-{n}") for n in range(4)]
    return {
        OLD.date().isoformat(): [delivery(OLD), delivery(OLD, subject="open", failed=["jira"], session_id="open")],
        "2026-06-24": [
            *failed,
            acknowledgement(at(1900), subject="p-1"),
            execution(at(1890), subject="p-2"),
            "{no json",
        ],
        "2026-06-25": [
            {**failed[0], "attempt_count": 3},
            worker_run(at(30), session_id="w-1"),
            plan(at(31), session_id="rp-1"),
            record("x-unknown", at(20), decision_count=2),
            delivery(at(10), lane="executive_report", subject="run-1", failed=["teams"], note="AKIAIOSFODNN7EXAMPLE"),
        ],
    }


def made(folder: Path) -> Settings:
    home = home_with(folder, evidence())
    take_in(home)
    prune(warehouse_of(home), state_of(home), OLD.date() + timedelta(days=1), now=NOW)
    for report, lane in REPORTS:
        list(save_reports(warehouse_of(home), state_of(home), report, lane, [date(2026, 6, 25)], now=NOW))
    return home


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home that no test changes."""
    return made(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def home(pristine: Settings, tmp_path: Path) -> Settings:
    """A copy of it."""
    copy = tmp_path / "home"
    os.system(f"cp -a {pristine.home} {copy}")  # noqa: S605 -- with the times of its files
    return pristine.model_copy(update={"home": copy})


def differences(home: Settings) -> list[Difference]:
    return verify_home(home, now=NOW).differences


def change_warehouse(home: Settings, sql: str) -> None:
    """Changes the file as another program would, which counts no commit."""
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute(sql)


def change_state(home: Settings, sql: str, **values: Any) -> None:
    with state_of(home).writing() as connection:
        assert connection.execute(sa.text(sql), values).rowcount


def rewrite_in_place(path: Path, old: bytes, new: bytes) -> None:
    """Rewrites a file with the same size and times."""
    stat, content = path.stat(), path.read_bytes()
    assert old in content
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_home_that_nobody_changed_is_intact(pristine: Settings) -> None:
    before = {path: path.stat().st_mtime_ns for path in pristine.home.rglob("*.jsonl")}
    found = verify_home(pristine, now=NOW)

    assert found.differences == []
    assert found.is_intact
    assert (found.landing_file_count, found.entry_count, found.report_count) == (3, 2, found.remade_report_count)
    assert found.report_count == len(REPORTS)
    assert found.segment_count == 5
    assert {path: path.stat().st_mtime_ns for path in pristine.home.rglob("*.jsonl")} == before
    assert [path.name for path in pristine.home.iterdir() if path.name.startswith(".verify")] == []


def test_the_folder_of_a_killed_verification_is_removed_by_the_next_one(home: Settings) -> None:
    killed, running = home.home / ".verify-killed", home.home / ".verify-running"
    for folder in (killed, running):
        folder.mkdir()
        (folder / "derived.duckdb").touch()
    with locked(running):
        assert differences(home) == []

    assert not killed.exists()
    assert running.exists()


# --- The silent changes -----------------------------------------------------------------------------------------------


def test_a_landing_file_rewritten_with_the_same_size_and_time_is_named(home: Settings) -> None:
    rewrite_in_place(home.landing / "2026-06-24" / "evidence.jsonl", b'"p-3"', b'"p-9"')
    assert take_in(home).drops == [], "no ingest sees it"

    found = differences(home)

    assert ("2026-06-24", "evidence.jsonl") in {(one.drop_day, one.file_name) for one in found}
    assert {one.part for one in found} >= {Part.LANDING_FILE, Part.WAREHOUSE, Part.SEGMENT}
    assert {(one.lane, one.day) for one in found if one.part is Part.SEGMENT} == {("recovery_escalation", "2026-06-24")}


def test_acknowledgements_deleted_from_the_warehouse_are_named(home: Settings) -> None:
    change_warehouse(home, "DELETE FROM evidence_records WHERE record_type = 'acknowledgement'")

    (found,) = differences(home)

    assert (found.part, found.table, found.lane, found.day) == (
        Part.WAREHOUSE, "evidence_records", "recovery_escalation", "2026-06-24",
    )  # fmt: skip
    assert found.what == "0 rows are not what the landing zone says, 1 rows are missing"


def edited(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "alert_level": "healthy" if document["alert_level"] == "critical" else "critical"}


@pytest.mark.parametrize("has_new_id", [False, True])
def test_an_edited_level_of_a_saved_report_is_named(home: Settings, has_new_id: bool) -> None:
    where = "report = 'retry_plan' AND lane = 'recovery_escalation' AND report_day = '2026-06-25'"
    with state_of(home).reading() as connection:
        packed, name = connection.execute(sa.text(f"SELECT document, report_id FROM saved_reports WHERE {where}")).one()
    document = edited(json.loads(zstd.decompress(packed)))
    if has_new_id:
        # No id covers the incidents that decisions name.
        decisions = [
            {name: one[name] for name in one if name != "provider_incident_id"} for one in document["retry_decisions"]
        ]
        content = {**document, "retry_plan_id": "", "retry_decisions": decisions}
        document["retry_plan_id"] = identify("retry-plan-recovery_escalation", content)
    change_state(
        home,
        f"UPDATE saved_reports SET document = :document, alert_level = :level, report_id = :name WHERE {where}",
        document=zstd.compress(canonical_bytes(document)),
        level=document["alert_level"],
        name=document["retry_plan_id"],
    )

    (found,) = differences(home)

    assert (found.part, found.report, found.lane, found.day) == (
        Part.SAVED_REPORT, "retry_plan", "recovery_escalation", "2026-06-25",
    )  # fmt: skip
    assert found.what == (
        "its evidence makes another report" if has_new_id else "the document is not the one that its id was made from"
    )
    assert (found.report_id == name) is not has_new_id


# --- Random changes ---------------------------------------------------------------------------------------------------

_WAREHOUSE = ("evidence_records", "watched_records", "lane_days", "quarantine", "finding_rows", "drops", "pruned_drops",
              "prunings", "pruned_lanes", "pruned_providers")  # fmt: skip
_UNCHECKED = {"fingerprint", "ingested_at", "commit_number"}
_STATE = ("segments", "log_entries", "ingested_files", "prunings", "pruned_drops", "saved_reports")
#: When a file was read or a report made decides nothing, nor does what came after its instant; when evidence changed
#: last decides when a report is made again.
_BESIDE = {"ingested_at", "change_number", "closed_spell_count", "pruned_at", "generated_at", "future_record_count"}


def changes_of_the_warehouse(chosen: random.Random) -> Iterator[tuple[str, Callable[[Settings], None]]]:
    for table in _WAREHOUSE:
        row = f"rowid = (SELECT rowid FROM {table} ORDER BY hash(rowid + {chosen.randrange(9)}) LIMIT 1)"
        yield f"delete {table}", lambda home, t=table, r=row: change_warehouse(home, f"DELETE FROM {t} WHERE {r}")  # type: ignore[misc]
        again = f"INSERT INTO {table} SELECT * FROM {table} WHERE {row}"
        yield f"add {table}", lambda home, sql=again: change_warehouse(home, sql)  # type: ignore[misc]
        yield f"edit {table}", lambda home, t=table, r=row: edit_a_column(home, t, r, chosen)  # type: ignore[misc]


def edit_a_column(home: Settings, table: str, row: str, chosen: random.Random) -> None:
    with duckdb.connect(str(home.warehouse)) as connection:
        types = connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? AND database_name <> 'temp'",
            [table],
        ).fetchall()
        new = {"VARCHAR": "'edited'", "BIGINT": "77", "DATE": "DATE '2020-02-02'", "BOOLEAN": "NOT {}",
               "TIMESTAMP": "TIMESTAMP '2026-06-24 01:02:03'"}  # fmt: skip
        name, type_ = chosen.choice([one for one in types if one[1] in new and one[0] not in _UNCHECKED])
        value = new[type_].format(name) if type_ != "BOOLEAN" else f"NOT coalesce({name}, false)"
        connection.execute(f"UPDATE {table} SET {name} = {value} WHERE {row}")


def changes_of_the_state(chosen: random.Random) -> Iterator[tuple[str, Callable[[Settings], None]]]:
    for table in _STATE:
        row = f"rowid = (SELECT rowid FROM {table} ORDER BY (rowid * 7919 + {chosen.randrange(99)}) % 31 LIMIT 1)"
        if table != "saved_reports":
            # A saved report that is gone is made again, and one day fewer was never asked for.
            yield f"delete {table}", lambda home, t=table, r=row: change_state(home, f"DELETE FROM {t} WHERE {r}")  # type: ignore[misc]
        yield f"edit {table}", lambda home, t=table, r=row: edit_a_cell(home, t, r, chosen)  # type: ignore[misc]


def edit_a_cell(home: Settings, table: str, row: str, chosen: random.Random) -> None:
    with state_of(home).reading() as connection:
        columns = connection.execute(sa.text(f"SELECT name, type FROM pragma_table_info('{table}')")).all()
        name, type_ = chosen.choice([one for one in columns if one[0] not in _BESIDE])
        value = connection.scalar(sa.text(f"SELECT {name} FROM {table} WHERE {row}"))
    change_state(home, f"UPDATE {table} SET {name} = :value WHERE {row}", value=another(value, type_, chosen))


def another(value: Any, type_: str, chosen: random.Random) -> Any:
    """A value of the same shape that is not the same."""
    if isinstance(value, bytes):
        place = chosen.randrange(len(value))
        return value[:place] + bytes([value[place] ^ (1 << chosen.randrange(8))]) + value[place + 1 :]
    if isinstance(value, int) or type_ == "BIGINT":
        # Far enough not to be the key of another row.
        return (value or 0) + 1000
    if type_ == "DATE":
        return "2026-06-23"
    if type_ == "VARCHAR(27)":
        return "2026-06-23T01:02:03.000000Z"
    digits = [place for place, one in enumerate(value) if one.isdigit()]
    if not digits:
        return f"{value}x"
    place = chosen.choice(digits)
    return f"{value[:place]}{(int(value[place]) + 1) % 10}{value[place + 1 :]}"


def changes_of_files(chosen: random.Random) -> Iterator[tuple[str, Callable[[Settings], None]]]:
    def path(home: Settings) -> Path:
        return chosen.choice(sorted(one for one in home.landing.glob("2026-06-*/*.jsonl")))

    def flip(home: Settings) -> None:
        one = path(home)
        content = bytearray(one.read_bytes())
        content[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)
        one.write_bytes(content)

    def cut(home: Settings) -> None:
        one = path(home)
        one.write_bytes(b"".join(one.read_bytes().splitlines(keepends=True)[:-1]))

    def add(home: Settings) -> None:
        one = path(home)
        one.write_bytes(one.read_bytes() + json.dumps(delivery(at(3))).encode() + b"\n")

    yield "flip a bit", flip
    yield "remove a line", cut
    yield "add a line", add
    yield "remove a file", lambda home: path(home).unlink()


def changes() -> list[tuple[str, Callable[[Settings], None]]]:
    """Changes of everything, in an order that takes one of each kind before a second."""
    found = []
    for turn in range(1 + EXAMPLES // 40):
        chosen = random.Random(turn)
        every = [*changes_of_the_warehouse(chosen), *changes_of_the_state(chosen), *changes_of_files(chosen)]
        chosen.shuffle(every)
        found += [(f"{turn}-{name}", change) for name, change in every]
    return found[:EXAMPLES]


@pytest.mark.parametrize(("name", "change"), changes(), ids=[name for name, _ in changes()])
def test_a_random_change_of_a_home_is_found(name: str, change: Callable[[Settings], None], home: Settings) -> None:
    change(home)

    assert differences(home), name


# --- What is no change ------------------------------------------------------------------------------------------------


def test_late_evidence_leaves_a_home_intact(home: Settings) -> None:
    drop(home, [delivery(at(1950), subject="p-1", session_id="late")], name="late.jsonl")
    take_in(home)

    found = verify_home(home, now=NOW)

    assert found.differences == []
    assert found.remade_report_count < found.report_count, "reports that it outdated are not compared"


def test_a_crash_between_the_two_commits_is_no_difference(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise Crash

    drop(home, [delivery(at(4))], name="more.jsonl")
    with monkeypatch.context() as patched:
        patched.setattr(HomeKeeper, "_remember", crash)
        with pytest.raises(Crash):
            take_in(home)

    assert differences(home) == []


def test_a_pruning_that_only_the_warehouse_lost_is_named_and_stays_lost(home: Settings) -> None:
    change_warehouse(home, "DELETE FROM prunings")

    for _ in range(2):
        assert [(one.table, one.number) for one in differences(home)] == [("prunings", 1)]


def test_a_view_that_hides_records_is_named(home: Settings) -> None:
    change_warehouse(home, "CREATE OR REPLACE VIEW executions AS SELECT * FROM evidence WHERE false")

    assert [(one.part, one.table) for one in differences(home)] == [(Part.WAREHOUSE, "executions")]


def test_the_command_ends_with_3_if_something_differs_and_with_0_if_not(home: Settings) -> None:
    intact = command(home.home, "verify", "--home")
    change_warehouse(home, "DELETE FROM quarantine")
    changed = command(home.home, "verify", "--home", "--json")

    assert (intact.code, intact.out.splitlines()[-1]) == (0, "intact")
    assert changed.code == 3
    assert changed.document["is_intact"] is False
    (found,) = changed.document["differences"]
    assert (found["part"], found["table"], found["file_name"]) == ("warehouse", "quarantine", "evidence.jsonl")
    assert command(home.home, "verify").code == 2
