"""Homes whose warehouse is a lake, and what tests of them run in processes of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import date
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any
from unittest import mock

import sqlalchemy as sa

from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import schema
from cavra_pipeline.warehouse.session import Session
from tests.support import NOW, PSEUDONYMS, home_with

MakeHome = Callable[..., Settings]


def lake_url(address: sa.URL) -> str:
    """The lake in the same database as the state."""
    return "ducklake:" + address.set(drivername="postgres").render_as_string(hide_password=False)


def on_lake(folder: Path, address: sa.URL, lines_by_day: Mapping[str, Any] | None = None, **settings: Any) -> Settings:
    """A home with landing files, none ingested, on the lake of a folder and an address."""
    key = folder / "shared.key"
    if not key.exists():
        key.touch(0o600)
        key.write_bytes(PSEUDONYMS.key)
    data = folder / "data"
    data.mkdir(exist_ok=True)
    given = {
        "state_address": address.render_as_string(hide_password=False),
        "warehouse_address": lake_url(address),
        "data_address": str(data),
        "pseudonym_key_file": key,
        **settings,
    }
    return home_with(folder / "lake", lines_by_day, is_new=True, **given)


def environ_of(home: Settings) -> dict[str, str]:
    """The variables by which a command finds the home's lake and state; none for a home with a file."""
    if home.warehouse_address is None:
        return {}
    return {
        "CAVRA_STATE_URL": home.state_url,
        "CAVRA_WAREHOUSE_URL": home.warehouse_address,
        "CAVRA_DATA_URL": home.data_address or "",
        "CAVRA_PSEUDONYM_KEY_FILE": str(home.pseudonym_key),
    }


def ingest_days(home: Settings, days: list[date]) -> None:
    """Ingests days one after the other, each in a commit of its own."""
    for day in days:
        assert ingest(home, now=NOW, days=[day]).failures == []


def ingest_and_tell(home: Settings, committing: Event) -> None:
    """Ingests what is new, and tells as soon as its commit begins."""
    count = schema.count_commit

    def tell(session: Session) -> None:
        committing.set()
        count(session)

    with mock.patch.object(schema, "count_commit", tell):
        ingest(home, now=NOW)
    time.sleep(60)
