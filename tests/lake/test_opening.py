"""A lake as its users meet it: doctor, frames, the API, an SQLite catalog, and passwords that never show."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from cavra_pipeline import frames
from cavra_pipeline.errors import PipelineError, TransientError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.settings import Settings
from tests.api.server import NoDagster, served
from tests.cli.command import command
from tests.lake.homes import MakeHome, environ_of, lake_url, on_lake
from tests.support import AS_OF, DAY, PSEUDONYMS, Record, ask_plan, at, delivery, home_with, query, tables, take_in

PASSWORD = "p-4ss-w0rd"


def failures() -> list[Record]:
    return [delivery(at(90), failed=["slack"], subject="plan-1"), delivery(at(30), subject="plan-2")]


def with_password(home: Settings) -> Settings:
    """The same lake by an address with a password, which this server does not ask for."""
    address = sa.make_url(home.state_url).set(password=PASSWORD)
    return home.but(warehouse_address=lake_url(address), state_address=address.render_as_string(hide_password=False))


def test_doctor_says_what_and_where_the_lake_is(lake_home: MakeHome) -> None:
    home = with_password(lake_home({DAY: failures()}))
    take_in(home)

    said = command(home.home, "doctor", "--json", environ=environ_of(home))

    checks = {one["part"]: one for one in said.document["checks"]}
    assert checks["warehouse"]["state"] == checks["state database"]["state"] == "ok"
    assert checks["warehouse"]["found"] == f"2 records in the lake {warehouse_of(home).where}"
    assert PASSWORD not in said.out + said.err


def test_doctor_names_a_lake_that_is_not_there_and_makes_none(lake_home: MakeHome) -> None:
    home = with_password(lake_home({DAY: failures()}))

    said = command(home.home, "doctor", "--json", environ=environ_of(home))

    (check,) = (one for one in said.document["checks"] if one["part"] == "warehouse")
    assert (check["state"], check["remedy"]) == ("wrong", "Run: cavra-pipeline ingest")
    assert not warehouse_of(home).exists()
    assert PASSWORD not in said.out + said.err


def test_a_server_that_is_away_or_refuses_is_named_without_its_password(lake_home: MakeHome) -> None:
    home = lake_home()
    address = sa.make_url(home.state_url).set(password=PASSWORD)
    nowhere = address.update_query_dict({"host": "/nowhere"})
    other = address.set(database="no_such_database")

    for at_, error, words in ((nowhere, TransientError, "can't be reached"), (other, PipelineError, "refuses")):
        with pytest.raises(error, match=words) as raised:
            query(home.but(warehouse_address=lake_url(at_)), "FROM identity")
        assert PASSWORD not in str(raised.value)
        assert raised.value.__cause__ is None


def test_no_query_sees_the_password_of_the_catalog(lake_home: MakeHome) -> None:
    home = with_password(lake_home({DAY: failures()}))
    take_in(home)

    for table in ("duckdb_databases()", "duckdb_secrets()", "duckdb_settings()"):
        found = query(home, f"SELECT * FROM {table}")
        assert found
        assert PASSWORD not in str(found)


def test_a_frame_of_a_lake_is_that_of_the_file(
    tmp_path: Path, lake_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, lake = home_with(tmp_path / "file", {DAY: failures()}), lake_home({DAY: failures()})
    take_in(file)
    take_in(lake)
    asked = "SELECT subject, provider, is_failed FROM delivery_outcomes"
    of_file = [frames.frame(what, home=file.home, as_of=at(60)) for what in (asked, "deliveries")]
    for name, value in {**environ_of(lake), "CAVRA_HOME": str(lake.home)}.items():
        monkeypatch.setenv(name, value)

    of_lake = [frames.frame(what, as_of=at(60)) for what in (asked, "deliveries")]

    for one, other in zip(of_file, of_lake, strict=True):
        assert len(one) == 1
        assert one.drop(columns="session_id", errors="ignore").equals(other.drop(columns="session_id", errors="ignore"))


def test_the_api_answers_from_the_newest_snapshot(lake_home: MakeHome) -> None:
    home = lake_home({DAY: failures()[:1]})
    take_in(home)
    path = "/api/v1/lanes/recovery_escalation/plan"
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        before = client.get(path, params={"as_of": AS_OF.isoformat()}).json()["plan"]
        expected = ask_plan(home)
        take_in(on_lake(home.home.parent.parent, sa.make_url(home.state_url), {"2026-06-24": failures()[1:]}))
        after = client.get(path, params={"as_of": at(-1).isoformat()})

    assert before["retry_plan_id"] == expected["retry_plan_id"]
    assert after.json()["plan"]["retry_plan_id"] == ask_plan(home, as_of=at(-1))["retry_plan_id"]
    assert after.headers["Cavra-Evidence-Is-Behind"] == "false"


def test_a_lake_may_have_its_catalog_in_an_sqlite_file(tmp_path: Path) -> None:
    key = tmp_path / "shared.key"
    key.touch(0o600)
    key.write_bytes(PSEUDONYMS.key)
    file = home_with(tmp_path / "file", {DAY: failures()})
    lake = home_with(
        tmp_path / "lake",
        {DAY: file.landing.joinpath(DAY, "evidence.jsonl").read_bytes().splitlines()},
        is_new=True,
        warehouse_address=f"ducklake:sqlite:{tmp_path / 'catalog.sqlite'}",
        data_address=str(tmp_path / "data"),
        pseudonym_key_file=key,
    )
    assert not warehouse_of(lake).exists()

    take_in(file)
    take_in(lake)

    assert tables(lake) == tables(file)
