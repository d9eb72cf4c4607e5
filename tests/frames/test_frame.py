"""DataFrames of a home: which rows, of which types, in which order, and for how long the warehouse is open."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from cavra_pipeline import frames
from cavra_pipeline.errors import PipelineError, TransientError, UsageError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.store import save_every_report
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.state.database import VERSION_TABLE
from cavra_pipeline.warehouse import FileWarehouse, WarehouseBusy
from tests.support import (
    AS_OF,
    MICROSECOND,
    NOW,
    acknowledgement,
    ask_health,
    ask_plan,
    at,
    delivery,
    execution,
    ingested,
    query,
    record,
)  # fmt: skip
from tests.warehouse.test_processes import another_process
from tests.warehouse.workers import hold_for_reading_without_the_gate

pytestmark = pytest.mark.slow

PLAYBOOK = "connector-recovery-playbook"
ENTRY = {"provider": "slack", "category": "chatops", "failure_count": 3, "latest_failure_at": at(5).isoformat()}


def playbook(when: datetime, session_id: str) -> dict[str, Any]:
    return record(PLAYBOOK, when, session_id, playbook_id=session_id,
                  connector_recovery_playbook={"provider_playbooks": [ENTRY]})  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Records on both sides of an instant, and of a day; a line that is no record."""
    lines: Mapping[str, Any] = {
        "2026-06-24": [delivery(at(1440), session_id="old", subject="before"), "no record"],
        "2026-06-25": [
            delivery(at(), session_id="at", failed=["slack"], providers=["slack", "jira"], status_codes=[None, 200],
                     attempt_count=2),
            delivery(at() + MICROSECOND, session_id="after", success=None, delivery_success=None, signer=None),
            execution(at(), session_id="retry", status="failed"),
            acknowledgement(at() + MICROSECOND, session_id="late-word"),
            playbook(at(), "opened"),
            playbook(at() + MICROSECOND, "opened-later"),
        ],
        "2026-06-27": [delivery(at(-2880), session_id="newest"), "no record either"],
    }  # fmt: skip
    return ingested(tmp_path_factory.mktemp("frames"), lines)


def ids(home: Settings, table: str, **narrowing: Any) -> list[str]:
    return list(frames.frame(table, home=home.home, **narrowing)["session_id"])


# Types


def test_columns_have_types_that_hold_what_may_be_missing(home: Settings) -> None:
    made = frames.frame("deliveries", home=home.home)
    types = {name: str(dtype) for name, dtype in made.dtypes.items()}

    assert types["session_id"] == types["lane"] == types["signer"] == "str"
    assert types["created_at"] == "datetime64[us, UTC]"
    assert types["delivery_success"] == "boolean"
    assert types["attempt_count"] == "Int64"
    assert types["drop_day"] == "datetime64[ms]"
    after, failed = (made.set_index("session_id").loc[name] for name in ("after", "at"))
    assert all(pd.isna(after[name]) for name in ("delivery_success", "attempt_count", "signer"))
    assert failed["attempt_count"] == 2
    assert failed["created_at"] == pd.Timestamp(AS_OF)
    assert (failed["providers"], failed["status_codes"]) == (["slack", "jira"], [None, 200])
    assert {"provider": "slack", "is_failed": True, "status_code": None} in failed["outcomes"]
    assert after["provider_deliveries"] is None


def test_an_empty_frame_has_the_same_types(home: Settings) -> None:
    whole, empty = frames.frame("evidence", home=home.home), frames.frame("evidence", home=home.home, days=())

    assert len(empty) == 0
    assert list(empty.dtypes) == list(whole.dtypes)


def test_instants_inside_lists_have_their_zone_and_sums_are_whole_numbers(home: Settings) -> None:
    made = frames.frame(
        "SELECT provider_playbooks, (SELECT sum(attempt_count) FROM deliveries) AS attempts, "
        "0.5::DECIMAL(3, 1) AS half FROM evidence WHERE session_id = 'opened'",
        home=home.home,
    )
    (row,) = made.to_dict("records")
    assert row["provider_playbooks"][0]["latest_failure_at"] == at(5)
    assert (row["attempts"], float(row["half"])) == (2, 0.5)
    assert str(made["attempts"].dtype) == "Int64"


# As of


@pytest.mark.parametrize("as_of", [
    "2026-06-25T12:00:00Z", "2026-06-25T12:00:00", "2026-06-25T14:00:00+02:00", AS_OF, AS_OF.replace(tzinfo=None),
    AS_OF.astimezone(timezone(timedelta(hours=-7))), pd.Timestamp(AS_OF),
], ids=str)  # fmt: skip
def test_as_of_takes_records_up_to_its_microsecond(home: Settings, as_of: datetime | str) -> None:
    assert ids(home, "deliveries", as_of=as_of) == ["old", "at"]
    assert ids(home, "recoveries", as_of=as_of) == ["opened"]
    assert ids(home, "acknowledgements", as_of=as_of) == []


def test_a_microsecond_before_and_after_as_of(home: Settings) -> None:
    assert ids(home, "deliveries", as_of=AS_OF - MICROSECOND) == ["old"]
    assert ids(home, "recoveries", as_of=AS_OF - MICROSECOND) == []
    assert ids(home, "deliveries", as_of=AS_OF + MICROSECOND) == ["old", "at", "after"]
    assert ids(home, "acknowledgements", as_of=AS_OF + MICROSECOND) == ["late-word"]


def test_a_query_sees_records_up_to_as_of_in_every_table_it_names(home: Settings) -> None:
    sql = (
        "WITH d AS (SELECT * FROM Deliveries), a AS (SELECT * FROM main.acknowledgements) "
        "SELECT (SELECT count(*) FROM d) AS d, (SELECT count(*) FROM a) AS a, "
        "(SELECT count(*) FROM evidence_records WHERE session_id IN (SELECT session_id FROM d)) AS r"
    )
    sql = sql.replace("main.", "")
    counts = [frames.frame(sql, home=home.home, as_of=as_of).to_dict("records")[0] for as_of in (AS_OF, NOW)]
    assert counts == [{"d": 2, "a": 0, "r": 2}, {"d": 4, "a": 1, "r": 4}]


def test_a_query_may_use_the_instant_itself(home: Settings) -> None:
    sql = "SELECT subject, retry_count FROM failing_pairs('recovery_escalation', $as_of)"

    (row,) = frames.frame(sql, home=home.home, as_of=AS_OF).to_dict("records")
    assert row == {"subject": "subject-1", "retry_count": 1}
    assert len(frames.frame(sql, home=home.home, as_of=AS_OF - MICROSECOND)) == 0


def test_what_has_no_instant_goes_by_its_day_as_in_the_dashboard(home: Settings) -> None:
    counted = [
        len(frames.frame("quarantine", home=home.home, as_of=f"2026-06-{day}T00:00:00Z")) for day in (23, 24, 26, 27)
    ]

    assert counted == [0, 1, 1, 2]


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("day", [12, 28])
def test_as_of_means_what_it_means_in_every_report(month: Settings, lane: str, day: int) -> None:
    as_of = datetime(2026, 11, day, 8, tzinfo=UTC)
    made = frames.frame("evidence", home=month.home, as_of=as_of, columns=["session_id", "lane", "record_type"])
    of_lane = made[made["lane"] == lane]
    everything = frames.frame("evidence", home=month.home)

    health, plan = ask_health(month, lane, as_of), ask_plan(month, lane, as_of)
    assert health["evidence_record_count"] == len(of_lane)
    assert health["future_record_count"] == (everything["lane"] == lane).sum() - len(of_lane)
    assert plan["evidence_record_count"] == (of_lane["record_type"] == "delivery").sum()


# Days


@pytest.mark.parametrize(("days", "found"), [
    ("2026-06-24", ["old"]), (date(2026, 6, 25), ["at", "after"]), (["2026-06-24", "2026-06-27"], ["old", "newest"]),
    (pd.date_range("2026-06-25", "2026-06-27"), ["at", "after", "newest"]), ("2026-06-26", []), ([], []),
    ({"2026-06-27", "2026-06-26", "2026-06-25", "2026-06-24"}, ["old", "at", "after", "newest"]),
], )  # fmt: skip
def test_days_choose_drop_days(home: Settings, days: Any, found: list[str]) -> None:
    assert ids(home, "deliveries", days=days) == found


def test_days_and_as_of_narrow_together(home: Settings) -> None:
    assert ids(home, "deliveries", days=["2026-06-25", "2026-06-26"], as_of=AS_OF) == ["at"]


# Order


def test_rows_are_in_one_order_whatever_order_they_came_in(tmp_path: Path) -> None:
    lines = [delivery(at(minute % 3), session_id=f"s-{minute}", failed=["slack", "jira"]) for minute in range(40)]
    one, other = (
        ingested(tmp_path / name, {"2026-06-25/b.jsonl": some, "2026-06-25/a.jsonl": rest}, threads=4)
        for name, some, rest in (("one", lines[:20], lines[20:]), ("other", lines[:9:-1], lines[9::-1]))
    )
    for question in ("deliveries", "delivery_outcomes", "SELECT subject, session_id, created_at FROM evidence"):
        pd.testing.assert_frame_equal(frames.frame(question, home=one.home), frames.frame(question, home=other.home))
    made = frames.frame("deliveries", home=one.home)
    assert list(made["session_id"]) == list(made.sort_values(["created_at", "session_id"])["session_id"])


def test_a_query_keeps_its_own_order_and_one_without_is_ordered_by_all(home: Settings) -> None:
    own = frames.frame("SELECT session_id FROM deliveries ORDER BY session_id DESC -- mine", home=home.home)
    none = frames.frame("SELECT session_id FROM deliveries; -- none", home=home.home)

    assert list(own["session_id"]) == ["old", "newest", "at", "after"]
    assert list(none["session_id"]) == ["after", "at", "newest", "old"]
    odd = frames.frame("SELECT DISTINCT 'é;--' AS text FROM deliveries ; /* ; */ -- ;", home=home.home)
    assert list(odd["text"]) == ["é;--"]


# What is refused


@pytest.mark.parametrize(("question", "narrowing", "words"), [
    ("deliverys", {}, "Did you mean deliveries"),
    ("deliveries", {"columns": ["sesion_id"]}, "Did you mean session_id"),
    ("deliveries", {"parameters": {"n": 1}}, "takes no parameters"),
    ("deliveries", {"as_of": "yesterday"}, "not an ISO-8601 timestamp"),
    ("deliveries", {"days": "25.6."}, "not a day"),
    ("deliveries", {"days": 25}, "not a day"),
    ("identity", {"as_of": AS_OF}, "no instant"),
    ("prunings", {"days": "2026-06-25"}, "no landing days"),
    ("SELECT 1; SELECT 2", {}, "not one SELECT"),
    ("DELETE FROM drops", {}, "not one SELECT"),
    ("COPY drops TO 'x.csv'", {}, "not one SELECT"),
    ("SELEC 1", {}, "syntax error"),
    ("SELECT session_ids FROM deliveries", {}, "session_ids"),
    ("SELECT session_id::INTEGER FROM deliveries", {}, "can't be converted"),
    ("SELECT $n", {}, "has no value"),
    ("SELECT [TIMESTAMP '9999-12-31 23:59:59.999999' + INTERVAL 1 MICROSECOND]", {}, "outside the years 1 to 9999"),
    ("SELECT {'day': DATE '0001-01-01' - 1}", {}, "outside the years 1 to 9999"),
    ("SELECT 1 AS x", {"parameters": {"n": 1}}, "no such parameter"),
    ("SELECT 1 AS x", {"columns": ["x"]}, "names its columns itself"),
    ("SELECT * FROM warehouse.main.deliveries", {"as_of": AS_OF}, "name alone"),
    ("FROM made", {}, "made: there is no such table"),
    ("WITH of AS (SELECT 1) FROM of JOIN deliverys ON true", {}, "Did you mean deliveries"),
])  # fmt: skip
def test_a_question_that_can_t_be_answered_says_why(home: Settings, question: str, narrowing: Any, words: str) -> None:
    made = pd.DataFrame({"a": [1]})
    with pytest.raises(UsageError) as raised:
        frames.frame(question, home=home.home, **narrowing)
    assert words in str(raised.value)
    assert "late-word" not in str(raised.value)
    assert len(made) == 1


def test_a_home_or_a_warehouse_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no home"):
        frames.frame("deliveries", home=tmp_path / "nowhere")
    with pytest.raises(PipelineError, match="no warehouse yet"):
        frames.frame("deliveries", home=tmp_path)

    assert not (tmp_path / "nowhere").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"warehouse.duckdb.gate"}


def test_a_query_whose_own_file_is_missing_never_sets_the_warehouse_aside(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    before = home.warehouse.stat()
    # The name is in what DuckDB says, as are its words for a damaged database.
    question = f"SELECT * FROM read_parquet('{tmp_path}/corrupt database file.parquet')"

    for ask in (partial(frames.frame, home=home.home), warehouse_of(home).frame):
        with pytest.raises(PipelineError, match=r"the query: DuckDB can't answer it \(IOException\)") as raised:
            ask(question)
        assert not isinstance(raised.value, TransientError)

    assert (home.warehouse.stat().st_ino, home.warehouse.stat().st_mtime) == (before.st_ino, before.st_mtime)
    assert not list(home.home.glob("*.refused-*"))


def test_a_damaged_warehouse_that_is_borrowed_is_left_where_it_is(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(at(n), session_id=f"d{n}") for n in range(200)])
    intact, raised = home.warehouse.read_bytes(), list[PipelineError]()
    # DuckDB's blocks, after three headers of 4,096 bytes.
    for start in range(3 * 4096, len(intact), 262_144):
        content = bytearray(intact)
        content[start : start + 262_144] = random.Random(1).randbytes(len(content[start : start + 262_144]))
        home.warehouse.write_bytes(content)
        try:
            frames.frame("deliveries", home=home.home)
        except PipelineError as error:
            raised.append(error)
        assert home.warehouse.read_bytes() == content

    assert any("can't answer it" in one.what for one in raised), "one of them holds what is asked for"
    assert not any(isinstance(one, TransientError) for one in raised)
    assert not list(home.home.glob("*.refused-*"))


def test_saved_reports_neither_make_the_state_database_nor_bring_it_up_to_date(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no state database yet"):
        frames.reports("dashboard", home=tmp_path)
    assert list(tmp_path.iterdir()) == []

    home = ingested(tmp_path, [delivery()])
    with state_of(home).writing() as c:
        c.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '0001'"))
    with pytest.raises(PipelineError, match=r"of an earlier release \(0001\).*cavra-pipeline ingest"):
        frames.reports("dashboard", home=home.home)
    with sqlite3.connect(home.home / "state.db") as c:
        assert c.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [("0001",)]


def test_nothing_is_written_through_a_borrowed_state_database(tmp_path: Path) -> None:
    lent = state_of(ingested(tmp_path, [delivery()]), is_borrowed=True)

    with pytest.raises(PipelineError), lent.writing() as c:
        c.execute(sa.text("DELETE FROM ingested_files"))
    with lent.reading() as c:
        assert c.execute(sa.text("SELECT count(*) FROM ingested_files")).scalar() == 1


# How long it is open


def test_a_writer_need_not_wait_for_a_frame_or_for_a_query_that_failed(home: Settings) -> None:
    made = frames.frame("deliveries", home=home.home)
    with pytest.raises(UsageError) as raised:
        frames.frame("SELECT nothing FROM deliveries", home=home.home)

    with FileWarehouse(home.warehouse, busy_wait_seconds=0).writing("a test") as session:
        assert session.tuples("SELECT count(*) FROM deliveries") == [(len(made),)]
    assert raised.value.__traceback__ is not None


def test_an_open_reader_keeps_a_writer_waiting_and_the_writer_names_it(home: Settings) -> None:
    with another_process(hold_for_reading_without_the_gate, home.warehouse) as process:
        assert len(frames.frame("deliveries", home=home.home)) == 4, "readers don't wait for each other"
        began = time.monotonic()
        with (
            pytest.raises(WarehouseBusy) as raised,
            FileWarehouse(home.warehouse, busy_wait_seconds=0.5).writing("a test"),
        ):
            pass
        assert time.monotonic() - began >= 0.5
        assert f"stayed busy for 0.5 s; held by process {process.pid} (python" in str(raised.value)


# Saved reports


def test_saved_reports_are_a_row_a_day_with_types(home: Settings) -> None:
    days = [date(2026, 6, 24), date(2026, 6, 25), date(2026, 6, 26)]
    assert list(save_every_report(warehouse_of(home), state_of(home), days, now=NOW))

    made = frames.reports("recovery_escalation_retry_plan", home=home.home)
    assert list(made["report_day"].dt.date) == days
    assert str(made["as_of"].dtype) == "datetime64[us, UTC]"
    assert (str(made["decision_count"].dtype), str(made["alert_level"].dtype)) == ("Int64", "str")
    assert [len(each) for each in made["retry_decisions"]] == list(made["decision_count"]) == [0, 1, 1]
    (health,) = frames.reports("recovery_escalation_retry_health", home=home.home, days="2026-06-25").to_dict("records")
    assert health["evidence_record_count"] == len(
        query(home, "FROM evidence WHERE lane = 'recovery_escalation' AND drop_day < '2026-06-27'")
    )


def test_saved_reports_are_narrowed_by_days_and_as_of(home: Settings) -> None:
    def days(**narrowing: Any) -> list[str]:
        return list(frames.reports("dashboard", home=home.home, **narrowing)["report_day"].dt.strftime("%d"))

    list(save_every_report(warehouse_of(home), state_of(home), [date(2026, 6, day) for day in (24, 25, 26)], now=NOW))
    assert days() == ["24", "25", "26"]
    assert days(days=["2026-06-24", "2026-06-26"]) == ["24", "26"]
    assert days(as_of="2026-06-25T23:59:59.999999Z") == ["24", "25"]
    assert days(as_of="2026-06-25T23:59:59.999998Z") == ["24"]
    assert days(days=[]) == []
    with pytest.raises(UsageError, match="no such saved report"):
        frames.reports("deliveries", home=home.home)
