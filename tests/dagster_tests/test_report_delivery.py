"""The scheduled executive report goes once to each connector that the host names, whoever starts the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cavra_pipeline.assets.executive import build_executive_asset
from cavra_pipeline.evidence.changes import newest_change
from cavra_pipeline.resources import RESOURCE_KEY, Home
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from tests.connectors.receiver import Receiver, answer
from tests.dagster_tests.runs import op
from tests.support import home_with, query, take_in
from tests.worker.support import SIGNING, connectors_file

pytestmark = pytest.mark.slow

NAME = "executive_recovery_report"
#: Due since midnight UTC, and not before the last minute of the day.
DUE, NOT_YET = "0 0 * * *", "59 23 * * *"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Settings:
    made = home_with(tmp_path, threads=1)
    take_in(made, now=datetime.now(UTC))
    url = receiver.script("/hook", answer(200))
    connectors_file(tmp_path / "connectors.yaml", webhook={"url": url, "signing_secrets_env": "SIGNING"})
    host = {
        "CAVRA_HOME": str(made.home),
        "CAVRA_CONNECTORS": str(tmp_path / "connectors.yaml"),
        "CAVRA_LIVE_LANES": "executive_report",
        "CAVRA_REPORT_CONNECTORS": "webhook",
        "CAVRA_CRON_MORNING_REPORT": DUE,
        "CAVRA_IMMEDIATE_TRIES": "1",
        "SIGNING": SIGNING,
    }
    for name, value in host.items():
        monkeypatch.setenv(name, value)
    return made


def materialize(home: Settings, day: str | None = None, **config: Any) -> None:
    """One run of the report's asset, for today if no day is given."""
    partitions = dg.DailyPartitionsDefinition(start_date="2026-01-01", end_offset=1)
    assert dg.materialize(
        [build_executive_asset(partitions, home)],
        partition_key=day or datetime.now(UTC).date().isoformat(),
        resources={RESOURCE_KEY: Home.of(home)},
        run_config={"ops": {op(NAME): {"config": config}}} if config else None,
    ).success


def subjects(receiver: Receiver) -> list[str]:
    return [json.loads(one.body)["data"]["subject"] for one in receiver.requests("/hook")]


def test_however_many_runs_are_started_the_days_report_is_sent_once(home: Settings, receiver: Receiver) -> None:
    for _ in range(3):
        materialize(home)

    assert subjects(receiver) == [f"scheduled-report-{datetime.now(UTC):%Y%m%d}T0000Z"]
    assert query(home, "SELECT count(*), bool_and(delivery_success) FROM deliveries") == [(1, True)]


@pytest.mark.parametrize("is_live", [True, False])
def test_a_report_made_again_adds_no_evidence_and_outdates_no_other(
    is_live: bool, home: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAVRA_LIVE_LANES", "executive_report" if is_live else "")
    kinds = "SELECT count(*) FROM evidence_records WHERE metadata_kind LIKE '%executive-report%'"
    materialize(home)
    made, noted = query(home, kinds), newest_change(state_of(home))
    assert made == [(2,)]

    for _ in range(2):
        materialize(home)

    assert (query(home, kinds), newest_change(state_of(home))) == (made, noted)
    assert len(subjects(receiver)) == is_live


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CAVRA_LIVE_LANES", "recovery_escalation"),
        ("CAVRA_REPORT_CONNECTORS", ""),
        ("CAVRA_CRON_MORNING_REPORT", NOT_YET),
    ],
)
def test_what_the_host_does_not_say_or_not_yet_is_not_sent(
    home: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    materialize(home)

    assert receiver.requests() == []
    assert query(home, "SELECT count(*) FROM deliveries") == [(0,)]


def test_a_preview_another_day_and_another_home_are_not_sent(
    home: Settings, receiver: Receiver, tmp_path: Path
) -> None:
    materialize(home, slo_minutes=1)
    materialize(home, window_days=1)
    materialize(home, "2026-06-25")
    elsewhere = home_with(tmp_path / "other", threads=1)
    take_in(elsewhere, now=datetime.now(UTC))
    materialize(elsewhere)

    assert receiver.requests() == []
    assert query(home, "SELECT count(*) FROM executive_reports") == [(0,)]
