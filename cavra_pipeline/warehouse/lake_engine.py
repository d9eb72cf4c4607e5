"""Opens DuckDB with a lake attached, once a process: extensions from installed packages, and never from the network.

Loading and attaching take seconds, because DuckDB checks the signatures of the extensions; a cursor takes nothing.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import threading
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import duckdb

from cavra_pipeline.bucket_access import BucketAccess, bucket_access
from cavra_pipeline.errors import UsageError
from cavra_pipeline.sql import literal
from cavra_pipeline.warehouse.lake_address import IN_SECRET, Lake

#: The lake's name inside DuckDB: that of the tables in the file of a home, too.
NAME: Final = "warehouse"
#: The schema of PostgreSQL that holds the catalog, so that the state database may be the same database.
_CATALOG_SCHEMA: Final = "cavra_lake"
_SECRET: Final = "cavra_catalog"  # noqa: S105 -- its name
_BUCKET_SECRET: Final = "cavra_bucket"  # noqa: S105 -- its name
#: A connection serves more than one request, and a footer is read once: data files never change.
_BUCKET_SETTINGS: Final = ("httpfs_connection_caching", "parquet_metadata_cache")
_engines: Final[dict[tuple[int, Lake], duckdb.DuckDBPyConnection]] = {}
_lock: Final = threading.Lock()


def cursor(lake: Lake, *, makes: bool) -> duckdb.DuckDBPyConnection:
    """Returns a new connection to the lake; the caller closes it.

    Args:
        lake: The lake.
        makes: Whether to make a lake that is not there.

    Raises:
        UsageError: The packages that it needs are not installed, or the bucket's address can't be understood.
        duckdb.Error: The lake can't be opened, or is not there.
    """
    with _lock:
        # A process that was forked makes its own; the other's must not even be closed.
        key = os.getpid(), lake
        if key not in _engines:
            _engines[key] = _open(lake, makes=makes)
        connection = _engines[key].cursor()
    connection.execute(f"USE {NAME}")
    return connection


def close(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    """Closes a connection, and rolls back what it has not committed.

    Where the catalog's server went away, DuckDB may give up the whole engine (duckdb-postgres issue 577). Then the next
    connection gets a new one, and nothing of the old one is closed, which would end the process.
    """
    try:
        # Closing would roll back too, and where the catalog is gone, end the whole process.
        connection.execute("ROLLBACK")
    except (duckdb.FatalException, duckdb.InternalException):
        _leave_open(connection)
        _replace_if_given_up(lake)
        return
    except duckdb.Error:
        pass
    connection.close()


def _replace_if_given_up(lake: Lake) -> None:
    """Forgets the engine of a lake unless it works: another thread may have opened a new one."""
    key = os.getpid(), lake
    with _lock:
        if (engine := _engines.get(key)) is None:
            return
        try:
            engine.execute("SELECT 1")
        except duckdb.Error:
            _leave_open(_engines.pop(key))


def _leave_open(connection: duckdb.DuckDBPyConnection) -> None:
    """Keeps Python from ever freeing a connection, also at the process's end: freeing it closes it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def extension(name: str) -> Path:
    """Returns the file of an extension that is installed as a package, for this version of DuckDB.

    Raises:
        UsageError: It is not installed.
    """
    package = f"duckdb_extension_{name}"
    spec = importlib.util.find_spec(package)
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        if path.is_file():
            return path
    raise UsageError(
        f"the package {package.replace('_', '-')} is not installed for DuckDB {duckdb.__version__}",
        where="CAVRA_WAREHOUSE_URL",
        remedy="Install the extra: cavra-pipeline[scale]; it brings the version of DuckDB that a lake needs",
    )


def _open(lake: Lake, *, makes: bool) -> duckdb.DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    if lake.threads:
        config["threads"] = lake.threads
    if lake.memory_limit:
        config["memory_limit"] = lake.memory_limit
    paths = [extension("sqlite_scanner" if lake.sqlite else "postgres_scanner"), extension("ducklake")]
    if lake.is_in_bucket:
        paths.append(extension("httpfs"))
    connection = duckdb.connect(config=config)
    try:
        for path in paths:
            connection.execute(f"LOAD {literal(str(path))}")
        if lake.is_in_bucket:
            connection.execute(f"CREATE SECRET {_BUCKET_SECRET} (TYPE s3, {_listed(bucket_options(bucket_access()))})")
            for setting in _BUCKET_SETTINGS:
                connection.execute(f"SET GLOBAL {setting} = true")
        connection.execute(_attach(lake, connection, makes=makes))
        # What a query of a user could change.
        connection.execute("SET python_enable_replacements = false")
    except BaseException:
        connection.close()
        raise
    return connection


def _attach(lake: Lake, connection: duckdb.DuckDBPyConnection, *, makes: bool) -> str:
    options = {"DATA_PATH": literal(lake.data), "CREATE_IF_NOT_EXISTS": str(makes).lower()}
    if lake.sqlite:
        return f"ATTACH {literal(f'ducklake:sqlite:{lake.sqlite}')} AS {NAME} ({_listed(options)})"
    # libpq waits without end for a server that is cut off, unless the address says how long.
    server = {"connect_timeout": "10", **dict(lake.server)}
    credentials = {IN_SECRET[name]: literal(value) for name, value in server.items() if name in IN_SECRET}
    # An address shows in duckdb_databases() and in messages; a secret does not.
    connection.execute(f"CREATE OR REPLACE SECRET {_SECRET} (TYPE postgres, {_listed(credentials)})")
    options |= {"META_SECRET": literal(_SECRET), "METADATA_SCHEMA": literal(_CATALOG_SCHEMA)}
    others = " ".join(f"{name}={value}" for name, value in server.items() if name not in IN_SECRET)
    return f"ATTACH {literal(f'ducklake:postgres:{others}')} AS {NAME} ({_listed(options)})"


def bucket_options(access: BucketAccess) -> dict[str, str]:
    """What opens the bucket, as DuckDB's secret holds it."""
    values = {
        "KEY_ID": access.key_id,
        "SECRET": access.secret,
        "SESSION_TOKEN": access.session_token,
        "REGION": access.region,
    }
    options = {name: literal(value) for name, value in values.items() if value}
    if access.endpoint:
        address = urlsplit(access.endpoint)
        options["ENDPOINT"] = literal(address.netloc)
        options["USE_SSL"] = str(address.scheme != "http").lower()
        options["URL_STYLE"] = literal("path")
    return options


def _listed(options: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())
