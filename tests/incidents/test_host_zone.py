"""The zone of the host decides nothing: every report is what it is on a host in UTC."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.causes.explain import explain
from cavra_pipeline.causes.forecast import ForecastParameters, forecast
from cavra_pipeline.documents import naive_utc
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.settings import Settings
from tests.incidents.histories import ask_incidents, sent
from tests.support import AS_OF, NOW, ask_health, ask_plan, at, ingested, worker_run

LANE = LANES["recovery_escalation"]


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def answers(home: Settings) -> list[dict[str, Any]]:
    with warehouse_of(home).reading() as session:
        asked: dict[str, Any] = {"as_of": AS_OF, "now": NOW}
        causes = [
            explain(session, subject="s-0", provider="slack", **asked),
            forecast(session, LANE, retry_policy(LANE), ForecastParameters(), **asked),
        ]
    return [*causes, *ask_incidents(home, [AS_OF]), ask_plan(home), ask_health(home)]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/St_Johns"])
def test_reports_are_the_same_on_a_host_in_another_zone(zone: str, in_zone: pytest.MonkeyPatch, tmp_path: Path) -> None:
    in_zone.setenv("TZ", "UTC")
    time.tzset()
    home = ingested(
        tmp_path, [worker_run(at(40)), *[sent("slack", at(30 - n), LANE.name, f"s-{n}", 401) for n in range(3)]]
    )
    in_utc = answers(home)
    assert in_utc[2]["open_incident_count"] == in_utc[0]["explanations"][0]["retry_count"] == 1

    in_zone.setenv("TZ", zone)
    time.tzset()

    assert datetime(2026, 6, 25).astimezone().utcoffset()
    assert answers(home) == in_utc


def test_an_instant_without_a_zone_stays_as_it_is(in_zone: pytest.MonkeyPatch) -> None:
    in_zone.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    bare = AS_OF.replace(tzinfo=None)

    assert naive_utc(AS_OF) == naive_utc(naive_utc(AS_OF)) == bare
