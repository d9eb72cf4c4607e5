"""The state database: its tables on both databases, transactions that are alone, and what can't be opened."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier, Event, Thread

import dagster as dg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cavra_pipeline.errors import PipelineError, TransientError
from cavra_pipeline.state import State, StateBusy, database_now
from cavra_pipeline.state import tables as t
from cavra_pipeline.state.database import VERSION_TABLE

AT = datetime(2026, 6, 25, 12, 0, 0, 5, UTC)
SILENCE = {"silence_id": "s", "author": "a", "ends_at": AT, "comment": "c", "created_at": AT}


@pytest.fixture
def state(tmp_path: Path, state_address: str | None) -> State:
    return State(state_address or f"sqlite:///{tmp_path / 'state.db'}", busy_wait_seconds=0.5)


def test_the_revisions_make_the_declared_tables(state: State) -> None:
    with state.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, t.METADATA) == []
        assert connection.scalar(sa.text(f"SELECT count(*) FROM {VERSION_TABLE}")) == 1


def test_threads_make_databases_at_once_as_dagster_makes_its_own(tmp_path: Path) -> None:
    ready = Barrier(4)

    def make(number: int) -> int:
        ready.wait()
        with State(f"sqlite:///{tmp_path / f'{number}.db'}").reading() as connection:
            return int(connection.scalar(sa.text(f"SELECT count(*) FROM {VERSION_TABLE}")) or 0)

    def make_dagster() -> int:
        ready.wait()
        with dg.instance_for_test() as instance:
            return instance.get_runs_count()

    with ThreadPoolExecutor(4) as threads:
        asked = [*(threads.submit(make, number) for number in range(3)), threads.submit(make_dagster)]
        assert [one.result() for one in asked] == [1, 1, 1, 0]


def test_an_instant_comes_back_in_utc_to_the_microsecond_and_in_order(state: State) -> None:
    instants = [datetime.min.replace(tzinfo=UTC), AT - timedelta(microseconds=1), AT, AT.astimezone(timezone.max)]
    with state.writing() as connection:
        for number, at in enumerate(instants):
            connection.execute(
                sa.insert(t.alert_silences).values({**SILENCE, "silence_id": str(number), "starts_at": at})
            )
    c = t.alert_silences.c
    with state.reading() as connection:
        found = connection.scalars(sa.select(c.starts_at).order_by(c.silence_id)).all()
        before = connection.scalars(sa.select(c.silence_id).where(c.starts_at < AT).order_by(c.silence_id)).all()

    assert found == [at.astimezone(UTC) for at in instants]
    assert {at.tzinfo for at in found} == {UTC}
    assert before == ["0", "1"]


def test_an_instant_without_a_zone_is_a_defect(state: State) -> None:
    naive = sa.insert(t.alert_silences).values({**SILENCE, "starts_at": AT.replace(tzinfo=None)})
    with pytest.raises(sa.exc.StatementError, match="aware instant"), state.writing() as connection:
        connection.execute(naive)


def test_a_transaction_that_fails_leaves_nothing(state: State) -> None:
    def insert_twice() -> None:
        with state.writing() as connection:
            for _ in range(2):
                connection.execute(sa.insert(t.leases).values(run_id="one", expires_ms=1))

    with pytest.raises(sa.exc.IntegrityError):
        insert_twice()

    with state.reading() as connection:
        assert connection.execute(sa.select(t.leases)).all() == []


def test_two_writers_go_one_after_the_other_and_one_waits_no_longer_than_it_was_told(state: State) -> None:
    other = State(state.url.render_as_string(hide_password=False), busy_wait_seconds=0.1)
    with state.writing() as connection:
        connection.execute(sa.insert(t.leases).values(run_id="one", expires_ms=1))
        with pytest.raises(StateBusy, match=r"busy for 0\.1 s") as raised, other.writing():
            pass
        with other.reading() as reader:
            assert reader.execute(sa.select(t.leases)).all() == [], (
                "a reader sees what is committed, and waits for nobody"
            )

    assert "CAVRA_BUSY_WAIT_SECONDS" in raised.value.remedy
    with other.writing() as connection:
        assert connection.scalars(sa.select(t.leases.c.run_id)).all() == ["one"]


def test_of_many_who_read_and_then_write_none_is_lost(state: State) -> None:
    patient = State(state.url.render_as_string(hide_password=False), busy_wait_seconds=60)
    with patient.writing() as connection:
        connection.execute(sa.insert(t.leases).values(run_id="count", expires_ms=0))
    start = Event()

    def count() -> None:
        start.wait()
        for _ in range(5):
            with patient.writing() as connection:
                found = connection.scalars(sa.select(t.leases.c.expires_ms)).one()
                connection.execute(sa.update(t.leases).values(expires_ms=found + 1))

    threads = [Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    start.set()
    for thread in threads:
        thread.join(120)
    with patient.reading() as connection:
        assert connection.scalars(sa.select(t.leases.c.expires_ms)).one() == 20


def test_the_database_has_a_clock_of_its_own(state: State) -> None:
    with state.reading() as connection:
        assert abs(database_now(connection) - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("revision", ["0003", "9999"])
def test_a_database_of_another_release_is_refused_and_left_alone(state: State, revision: str) -> None:
    with state.writing() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'"))
    again = State(state.url.render_as_string(hide_password=False))

    with pytest.raises(PipelineError, match=f"revision {revision}, this release reads 0004") as raised, again.reading():
        pass
    assert "Use the release of cavra-pipeline that made it" in raised.value.remedy
    with sa.create_engine(again.url).connect() as connection:
        assert connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")) == revision


def test_a_file_of_the_state_that_has_gone_is_made_anew_in_a_living_process(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    state = State(f"sqlite:///{path}")
    with state.writing() as connection:
        connection.execute(sa.insert(t.leases).values(run_id="one", expires_ms=1))
    assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()

    with state.reading() as connection:
        assert connection.execute(sa.select(t.leases)).all() == []


def test_a_file_that_is_no_database_is_named_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"no database at all, but long enough to be read " * 100)
    before = path.read_bytes()

    with pytest.raises(PipelineError, match="refused a statement") as raised, State(f"sqlite:///{path}").reading():
        pass
    assert str(path) in raised.value.where
    assert path.read_bytes() == before


def test_a_server_that_is_not_there_is_transient_and_its_password_is_not_shown() -> None:
    state = State("postgresql+psycopg2://cavra:hunter2-canary@127.0.0.1:9/none")

    with pytest.raises(TransientError, match="can't be reached") as raised, state.reading():
        pass
    assert "hunter2" not in str(raised.value)
    assert "CAVRA_STATE_URL" in raised.value.remedy
