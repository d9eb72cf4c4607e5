"""Addresses of lakes: what is understood, what is refused, and that nothing of a password shows."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from cavra_pipeline.bucket_access import bucket_access
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.settings import load_settings
from cavra_pipeline.warehouse.connection import FileWarehouse
from cavra_pipeline.warehouse.lake_address import lake_at
from cavra_pipeline.warehouse.lake_engine import bucket_options
from cavra_pipeline.warehouse.opening import open_warehouse
from tests.cli.command import command
from tests.support import home_with

PASSWORD = "p-4ss-w0rd"
SERVER = {"host": "db.example", "port": "5433", "dbname": "cavra", "user": "cavra", "password": PASSWORD}
URL = f"ducklake:postgres://cavra:{PASSWORD}@db.example:5433/cavra"


@pytest.mark.parametrize(
    "address",
    [
        URL,
        URL.replace("postgres:", "postgresql:"),
        URL.replace("postgres:", "postgres:postgresql:"),
        "ducklake:postgres:" + " ".join(f"{name}={value}" for name, value in SERVER.items()),
    ],
)
def test_a_server_is_understood_in_each_form_and_shown_without_user_and_password(address: str) -> None:
    lake = lake_at(address, "/data")

    assert dict(lake.server) == SERVER
    assert lake.where == "ducklake:postgres:db.example/cavra"
    assert PASSWORD not in repr(lake)


def test_a_socket_and_further_parameters_stand_behind_the_question_mark() -> None:
    lake = lake_at("ducklake:postgres://cavra@/cavra?host=/run/pg&sslmode=require", "/data")

    assert dict(lake.server) == {"dbname": "cavra", "user": "cavra", "host": "/run/pg", "sslmode": "require"}


def test_a_catalog_may_be_an_sqlite_file() -> None:
    lake = lake_at("ducklake:sqlite:/srv/c a.sqlite", "/data")

    assert (lake.sqlite, lake.server) == ("/srv/c a.sqlite", ())


@pytest.mark.parametrize(
    ("address", "what"),
    [
        (f"ducklake:postgres://cavra:{PASSWORD}@db.example", "names no database"),
        (f"ducklake:postgres://cavra:{PASSWORD}@db.example:port/cavra", "can't be understood"),
        (f"ducklake:postgres:host=db.example password='{PASSWORD}' dbname=cavra", "NAME=VALUE"),
        (f"ducklake:postgres:{PASSWORD}", "NAME=VALUE"),
        (f"ducklake:postgres://db.example/cavra?sslpassword={PASSWORD}", "DuckDB would show"),
    ],
)
def test_an_address_that_is_not_whole_is_refused_without_being_shown(address: str, what: str) -> None:
    with pytest.raises(UsageError, match=what) as raised:
        lake_at(address, "/data")

    assert raised.value.where == "CAVRA_WAREHOUSE_URL"
    assert PASSWORD not in str(raised.value)


def test_a_bucket_is_opened_by_the_variables_of_s3_and_a_server_of_ones_own_by_paths() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "it's", "AWS_DEFAULT_REGION": "eu-1", "AWS_REGION": ""}

    assert bucket_options(bucket_access(keys)) == {"KEY_ID": "'k'", "SECRET": "'it''s'", "REGION": "'eu-1'"}
    named = {"AWS_ENDPOINT_URL": "http://store:9000", "AWS_ENDPOINT_URL_S3": "https://s3.store"}
    own = bucket_options(bucket_access(named))
    assert own == {"ENDPOINT": "'s3.store'", "USE_SSL": "true", "URL_STYLE": "'path'"}
    assert bucket_options(bucket_access({"AWS_ENDPOINT_URL": "http://store:9000"}))["USE_SSL"] == "false"


@pytest.mark.parametrize("endpoint", ["store:9000", "ftp://store", "https://", f"https://cavra:{PASSWORD}@store"])
def test_the_address_of_a_bucket_that_is_none_is_refused_without_being_shown(endpoint: str) -> None:
    with pytest.raises(UsageError) as raised:
        bucket_access({"AWS_ENDPOINT_URL": endpoint})

    assert "AWS_ENDPOINT_URL" in str(raised.value.where)
    assert PASSWORD not in str(raised.value)


def test_a_lake_needs_a_folder_for_its_data() -> None:
    with pytest.raises(UsageError) as raised:
        lake_at(URL, None)

    assert raised.value.where == "CAVRA_DATA_URL"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CAVRA_WAREHOUSE_URL", f"postgres://cavra:{PASSWORD}@db.example/cavra"),
        ("CAVRA_WAREHOUSE_URL", f"ducklake:mysql://cavra:{PASSWORD}@db.example/cavra"),
        ("CAVRA_DATA_URL", f"s3:/{PASSWORD}/data"),
        ("CAVRA_DATA_URL", f"{PASSWORD}/data"),
    ],
)
def test_the_settings_refuse_what_is_no_lake_and_name_the_variable(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        load_settings({"CAVRA_HOME": str(tmp_path), name: value})

    assert raised.value.where == name
    assert PASSWORD not in str(raised.value)


def test_a_home_without_an_address_has_its_file(tmp_path: Path) -> None:
    home = home_with(tmp_path)

    assert open_warehouse(home) == FileWarehouse(home.warehouse, 30.0, 2)


def test_another_home_than_that_of_the_host_is_not_on_its_lake(tmp_path: Path) -> None:
    settings = load_settings({"CAVRA_HOME": str(tmp_path), "CAVRA_WAREHOUSE_URL": URL, "CAVRA_DATA_URL": "/data"})

    assert isinstance(open_warehouse(settings.of_home(tmp_path / "other")), FileWarehouse)
    assert not isinstance(open_warehouse(settings), FileWarehouse)
    assert PASSWORD not in repr(settings)


def test_hosts_on_a_lake_make_no_pseudonym_key_of_their_own(tmp_path: Path) -> None:
    home = home_with(tmp_path, is_new=True)
    environ = {"CAVRA_WAREHOUSE_URL": "ducklake:sqlite:/nowhere/c.sqlite", "CAVRA_DATA_URL": "/nowhere"}

    said = command(home.home, "ingest", environ=environ)

    assert said.code == UsageError.exit_code
    assert "CAVRA_PSEUDONYM_KEY_FILE" in said.err
    assert not home.pseudonym_key.exists()


@pytest.mark.skipif(
    importlib.util.find_spec("duckdb_extension_ducklake") is not None, reason="the packages of a lake are installed"
)
def test_without_the_packages_a_lake_is_refused_with_the_name_of_the_extra(tmp_path: Path) -> None:
    home = home_with(tmp_path).but(warehouse_address="ducklake:sqlite:/nowhere/c.sqlite", data_address="/nowhere")

    with pytest.raises(PipelineError) as raised, open_warehouse(home).reading():
        pass

    assert "duckdb-extension-sqlite-scanner is not installed" in raised.value.what
    assert "cavra-pipeline[scale]" in raised.value.remedy
