"""A home moves to other databases whole, or stays where it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from cavra_pipeline import moving
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.moving import move, settings_at
from cavra_pipeline.reports.store import RETRY_HEALTH, save_reports
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import State, state_of
from cavra_pipeline.state import tables as t
from cavra_pipeline.verify.home import verify_home
from tests.cli.command import command, process
from tests.support import AS_OF, NOW, Line, acknowledgement, ask_health, at, delivery, ingested, plan, worker_run

LINES: list[Line] = [
    delivery(at(90), failed=["slack"]),
    acknowledgement(at(70)),
    plan(at(50)),
    worker_run(at(45)),
    "no json",
]
LANE = "recovery_escalation"


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """A home with evidence, a saved report, and rows of which the database counts the numbers."""
    made = ingested(tmp_path, LINES)
    list(save_reports(warehouse_of(made), state_of(made), RETRY_HEALTH, LANE, [AS_OF.date()], now=NOW))
    raise_event(made, 3)
    return made


def raise_event(home: Settings, count: int = 1) -> int:
    """Stores events of an alert; returns the number of the last."""
    with state_of(home).writing() as connection:
        for _ in range(count):
            connection.execute(sa.insert(t.alert_events).values(alert_id="alert", event="opened", happened_at=NOW))
        return int(connection.scalar(sa.select(sa.func.max(t.alert_events.c.event_number))) or 0)


def rows_of(home: Settings) -> dict[str, list[str]]:
    with state_of(home).reading() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(sa.select(table)))) for table in t.METADATA.sorted_tables
        }


@pytest.mark.slow
def test_a_home_moves_to_postgresql_and_back_with_every_row(home: Settings, new_postgresql: Callable[[], str]) -> None:
    before, answer = rows_of(home), ask_health(home)
    shared = home.but(state_address=new_postgresql())

    there = move(home, shared, now=NOW)

    assert (there.record_count, there.report_count) == (4, 14)
    assert there.row_count == sum(map(len, before.values())) > 3
    assert rows_of(shared) == before
    assert ask_health(shared) == answer
    assert raise_event(shared) == 4
    with pytest.raises(PipelineError, match="moved to another database"), State(home.state_url).reading():
        pass

    after = rows_of(shared)
    with pytest.raises(PipelineError, match="moved to another database"):
        move(shared, home, now=NOW)
    (home.home / "state.db").rename(home.home / "state.db.before")
    move(shared, home, now=NOW)

    assert rows_of(home) == after
    assert (raise_event(home), verify_home(home, now=NOW).differences) == (5, [])
    with pytest.raises(PipelineError, match="moved to another database"), State(shared.state_url).writing():
        pass


def other(home: Settings) -> Settings:
    return home.but(state_address=f"sqlite:///{home.home / 'other.db'}")


def test_the_addresses_that_it_has_already_are_refused(home: Settings) -> None:
    with pytest.raises(UsageError, match="there already"):
        move(home, home.but(state_address=home.state_url), now=NOW)


def test_a_database_that_holds_something_is_left_as_it_is_and_so_is_the_home(home: Settings) -> None:
    with state_of(other(home)).writing() as connection:
        connection.execute(sa.insert(t.leases).values(run_id="of another home", expires_ms=0))
    before = rows_of(home), rows_of(other(home))

    with pytest.raises(PipelineError, match="is not empty"):
        move(home, other(home), now=NOW)

    assert (rows_of(home), rows_of(other(home))) == before


@pytest.mark.parametrize(("expires_at", "is_refused"), [(datetime(2200, 1, 1, tzinfo=UTC), True), (NOW, False)])
def test_a_home_does_not_move_while_a_run_is_active(home: Settings, expires_at: datetime, is_refused: bool) -> None:
    with state_of(home).writing() as connection:
        expires_ms = int(expires_at.timestamp() * 1000)
        connection.execute(sa.insert(t.leases).values(run_id="run", expires_ms=expires_ms))
    before = rows_of(home)

    if is_refused:
        with pytest.raises(PipelineError, match="a run is active"):
            move(home, other(home), now=NOW)
        assert rows_of(home) == before
    else:
        move(home, other(home), now=NOW)
        assert rows_of(other(home)) == before


def test_what_is_written_meanwhile_keeps_the_home_where_it_is(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    compare = moving._reports

    def write_and_compare(settings: Settings, now: datetime) -> dict[str, str]:
        if settings == home:
            raise_event(home)
        return compare(settings, now)

    monkeypatch.setattr(moving, "_reports", write_and_compare)
    with pytest.raises(PipelineError, match="written to meanwhile"):
        move(home, other(home), now=NOW)

    assert raise_event(home) == 5


def test_a_warehouse_that_differs_keeps_the_home_where_it_is(home: Settings) -> None:
    with warehouse_of(home).writing("spoil it") as session:
        session.execute("DELETE FROM evidence_records WHERE record_type = 'acknowledgement'")

    with pytest.raises(PipelineError, match="not the same"):
        move(home, other(home), now=NOW)

    assert raise_event(home) == 4


def test_the_command_takes_the_three_addresses_of_a_file_and_shows_no_password(home: Settings) -> None:
    file = home.home / "shared.env"
    file.write_text(
        f"CAVRA_HOME=/elsewhere\nCAVRA_STATE_URL='sqlite:///{home.home / 'other.db'}'\n# CAVRA_DATA_URL=x\n"
    )

    said = command(home.home, "move", "--to", str(file), "--json")

    assert said.code == 0
    assert said.document["state"] == f"sqlite:///{home.home / 'other.db'}"
    assert json.loads(said.out)["record_count"] == 4
    with pytest.raises(PipelineError, match="moved to another database"):
        raise_event(home)
    again = process(home.home, "status")
    assert (again.code, "moved to another database" in again.err) == (1, True)


def test_a_file_that_is_none_and_an_address_that_is_none_are_named(tmp_path: Path) -> None:
    file = tmp_path / "shared.env"
    for content in (None, b"\xff\xfe"):
        if content:
            file.write_bytes(content)
        with pytest.raises(UsageError, match="can't be read"):
            settings_at(file)
    file.write_text("CAVRA_STATE_URL=mysql://user:hidden@host/x\n")
    with pytest.raises(UsageError, match="CAVRA_STATE_URL") as raised:
        settings_at(file)
    assert "hidden" not in str(raised.value)
