"""The settings of the environment: what is accepted, what is refused, and what a message never shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from cavra_pipeline.errors import UsageError
from cavra_pipeline.settings import Settings, load_settings


def test_the_state_database_is_a_file_of_the_home_by_default(tmp_path: Path) -> None:
    assert load_settings({"CAVRA_HOME": str(tmp_path)}).state_url == f"sqlite:///{tmp_path.resolve()}/state.db"
    assert Settings(home=tmp_path).state_url == f"sqlite:///{tmp_path}/state.db"


@pytest.mark.parametrize(
    "address",
    ["sqlite:////var/lib/state.db", "postgresql://u:p@db.example/cavra", "postgresql+psycopg2://u:p@db.example/cavra"],
)
def test_the_state_database_may_be_sqlite_or_postgresql(address: str) -> None:
    assert load_settings({"CAVRA_STATE_URL": f" {address} "}).state_url == address


@pytest.mark.parametrize(
    "address",
    ["state.db", "sqlite:///", "sqlite://", "mysql://u:hidden@db.example/x", "postgres://u:hidden@h/x"],
)
def test_another_state_database_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(UsageError, match=r"CAVRA_STATE_URL: .*postgresql://") as refused:
        load_settings({"CAVRA_STATE_URL": address})
    assert "hidden" not in str(refused.value)


def test_the_password_of_the_state_database_is_not_in_the_repr() -> None:
    assert "hidden" not in repr(load_settings({"CAVRA_STATE_URL": "postgresql://user:hidden@db.example/cavra"}))


def test_another_home_than_the_hosts_keeps_its_own_state_database(tmp_path: Path) -> None:
    environ = {"CAVRA_HOME": str(tmp_path / "ours"), "CAVRA_STATE_URL": "postgresql://user@db.example/cavra"}
    ours, other = (load_settings(environ).of_home(tmp_path.resolve() / name) for name in ("ours", "other"))

    assert ours.state_url == environ["CAVRA_STATE_URL"]
    assert other.state_url == f"sqlite:///{other.home}/state.db"
