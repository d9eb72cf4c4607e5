"""A home's own instance keeps when the daemon before the present one gave its last sign of life."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from cavra_pipeline.daemon import daemon_before_until
from cavra_pipeline.resources import dagster_instance
from tests.dagster_tests.runs import new_home

AT = datetime(2026, 6, 25, 12, 0, tzinfo=UTC)


def beat(instance: dg.DagsterInstance, minutes: int, daemon: str, kind: str = "SENSOR") -> None:
    instance.add_daemon_heartbeat(DaemonHeartbeat((AT + timedelta(minutes=minutes)).timestamp(), kind, daemon, []))


def test_the_last_beat_of_the_daemon_before_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = new_home(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home))
    with dagster_instance(settings) as first:
        beat(first, 0, "one")
        beat(first, 1, "one")
        assert daemon_before_until(first) is None
    with dagster_instance(settings) as second:
        beat(second, 9, "two", kind="SCHEDULER")
        assert daemon_before_until(second) is None
        beat(second, 9, "two")
        beat(second, 10, "two")

        assert daemon_before_until(second) == AT + timedelta(minutes=1)
