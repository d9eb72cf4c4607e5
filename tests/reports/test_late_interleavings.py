"""Random interleavings of late files, ways to ingest them, failures and restarts: in the end no saved report is stale.

`CAVRA_TEST_INTERLEAVINGS=200` walks through 200 of them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.reports.store import (
    CLOSURE,
    RETRY_HEALTH,
    RETRY_PLAN,
    days_between,
    days_to_remake,
    save_reports,
)
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import State, state_of
from tests.cli.command import command
from tests.dagster_tests.runs import EVIDENCE, run
from tests.support import Record, acknowledgement, delivery, drop, execution, home_with, saved, take_in, worker_run

INTERLEAVINGS = int(os.environ.get("CAVRA_TEST_INTERLEAVINGS", "3"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + 60 * INTERLEAVINGS)]

LANE = "recovery_escalation"
DAYS = days_between(date(2026, 6, 20), date(2026, 6, 22))
NOW = datetime(2026, 6, 25, 8, tzinfo=UTC)
#: What arrives late: made of an instant and a number that tells records apart.
KINDS: dict[str, Callable[[datetime, int], Record]] = {
    "failure": lambda at, n: delivery(at, subject=f"s{n % 3}", failed=["slack"], session_id=f"failure {n}"),
    "success": lambda at, n: delivery(at, subject=f"s{n % 3}", session_id=f"success {n}"),
    "execution": lambda at, n: execution(at, subject=f"s{n % 3}", status="failed", session_id=f"execution {n}"),
    "acknowledgement": lambda at, n: acknowledgement(at, subject=f"s{n % 3}", session_id=f"acknowledgement {n}"),
    "worker run": lambda at, n: worker_run(at, session_id=f"run {n}"),
}
ANY_DAY = st.sampled_from(DAYS)


class Killed(BaseException):
    """The process ends here."""


def by_function(home: Settings) -> None:
    take_in(home, NOW)


def by_command(home: Settings) -> None:
    assert command(home.home, "ingest").code == 0


def by_worker(home: Settings) -> None:
    assert command(home.home, "worker", "--lane", LANE).code == 0


def by_dagster(home: Settings) -> None:
    assert run(home, DAYS, assets=EVIDENCE).success


WAYS = {"function": by_function, "command": by_command, "worker": by_worker, "Dagster": by_dagster}


def save(home: Settings, days: list[date]) -> None:
    """Makes and saves one report of each kind of reading: of a lane's pairs, of its window, of all lanes."""
    for report, lane in ((RETRY_PLAN, LANE), (RETRY_HEALTH, LANE), (CLOSURE, None)):
        list(save_reports(warehouse_of(home), state_of(home), report, lane, days, now=NOW))


def refresh(home: Settings) -> None:
    """Does what the runs do that the sensor asks for."""
    save(home, list(days_to_remake(state_of(home))))


def documents(home: Settings) -> dict[tuple[str, str | None, date], dict[str, Any]]:
    """Every saved document of the days of these tests, but for the count of what came after its instant.

    That count outdates no report: it is of the time at which the report was made.
    """
    found = {key: json.loads(row["document"]) for key, row in saved(home).items() if key[2] in DAYS}
    return {key: {name: one[name] for name in one if name != "future_record_count"} for key, one in found.items()}


def fresh(home: Settings, folder: Path) -> dict[tuple[str, str | None, date], dict[str, Any]]:
    """What a new home saves that finds all landing files at once."""
    other = home_with(folder)
    shutil.copytree(home.landing, other.landing, dirs_exist_ok=True)
    take_in(other, NOW)
    save(other, DAYS)
    return documents(other)


@contextmanager
def refused(home: Settings, day: date) -> Iterator[None]:
    """Has the state database refuse the reports of a day."""
    with state_of(home).writing() as c:
        for act in ("INSERT", "UPDATE"):
            c.execute(sa.text(f"CREATE TRIGGER refused_{act} BEFORE {act} ON saved_reports WHEN "
                              f"NEW.report_day = '{day}' BEGIN SELECT RAISE(ABORT, 'refused'); END"))  # fmt: skip
    yield
    with state_of(home).writing() as c:
        for act in ("INSERT", "UPDATE"):
            c.execute(sa.text(f"DROP TRIGGER refused_{act}"))


@contextmanager
def killed_at(write: int) -> Iterator[None]:
    """Ends what runs at its nth write to the state database, before or after the write."""
    count, writing = 0, State.writing

    @contextmanager
    def counted(state: State) -> Iterator[Any]:
        nonlocal count
        count += 1
        if count == write:
            raise Killed
        with writing(state) as connection:
            yield connection
        if count == -write:
            raise Killed

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(State, "writing", counted)
        yield


class Late(RuleBasedStateMachine):
    """A home whose reports were all saved once; what arrives later is made of ``KINDS``."""

    def __init__(self) -> None:
        super().__init__()
        self.folder, self.number = TemporaryDirectory(), 0

    @initialize()
    def begin(self) -> None:
        noon = datetime.combine(DAYS[0], time(12), UTC)
        first = [make(noon, number) for number, make in enumerate(KINDS.values())]
        self.home = home_with(Path(self.folder.name), {DAYS[0].isoformat(): first}, start_date=DAYS[0])
        take_in(self.home, NOW)
        save(self.home, DAYS)

    def teardown(self) -> None:
        """Whatever happened: what is ingested and refreshed until nothing is left to do is what a new home saves."""
        if hasattr(self, "home"):
            take_in(self.home, NOW)
            refresh(self.home)
            assert days_to_remake(state_of(self.home)) == {}
            assert documents(self.home) == fresh(self.home, Path(self.folder.name) / "other")
        self.folder.cleanup()

    @rule(landed=ANY_DAY, of=ANY_DAY, kind=st.sampled_from(sorted(KINDS)), minute=st.integers(0, 1439))
    def a_file_lands(self, landed: date, of: date, kind: str, minute: int) -> None:
        self.number += 1
        at = datetime.combine(of, time(), UTC) + timedelta(minutes=minute)
        line = KINDS[kind](at, 10 + self.number)
        drop(self.home, [line], day=landed.isoformat(), name=f"late-{self.number}.jsonl")

    @rule(way=st.sampled_from(sorted(WAYS)))
    def files_are_ingested(self, way: str) -> None:
        WAYS[way](self.home)

    @rule(write=st.sampled_from([-2, -1, 1, 2, 3]))
    def the_ingest_is_killed(self, write: int) -> None:
        with killed_at(write), suppress(Killed):
            take_in(self.home, NOW)

    @rule()
    def reports_are_refreshed(self) -> None:
        refresh(self.home)

    @rule(day=ANY_DAY)
    def a_refresh_fails(self, day: date) -> None:
        with refused(self.home, day), suppress(PipelineError):
            refresh(self.home)

    @rule(write=st.sampled_from([-2, -1, 1, 2, 3]))
    def a_refresh_is_killed(self, write: int) -> None:
        with killed_at(write), suppress(Killed):
            refresh(self.home)

    @rule()
    def the_warehouse_is_lost(self) -> None:
        self.home.warehouse.unlink(missing_ok=True)


Late.TestCase.settings = hypothesis_settings(
    max_examples=INTERLEAVINGS,
    stateful_step_count=8,
    deadline=None,
    derandomize="CAVRA_TEST_INTERLEAVINGS" not in os.environ,
)
TestLateInterleavings = Late.TestCase


def test_every_way_to_ingest_leads_to_the_same_saved_reports(tmp_path: Path) -> None:
    found = {}
    for way, ingest in WAYS.items():
        home = home_with(tmp_path / way, {DAYS[0].isoformat(): [KINDS["failure"](NOW - timedelta(days=4), 1)]},
                         start_date=DAYS[0])  # fmt: skip
        take_in(home, NOW)
        save(home, DAYS)
        for number, make in enumerate(KINDS.values()):
            at = datetime.combine(DAYS[1], time(number), UTC)
            drop(home, [make(at, 10 + number)], day=DAYS[2].isoformat(), name=f"late-{number}.jsonl")
        ingest(home)
        assert list(days_to_remake(state_of(home)))[: len(DAYS)] == DAYS[1:], way
        refresh(home)
        found[way] = documents(home)
        assert found[way] == fresh(home, tmp_path / f"{way} fresh"), way

    assert all(one == found["function"] for one in found.values())
