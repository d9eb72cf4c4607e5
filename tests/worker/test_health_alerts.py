"""Through which connectors a health alert goes: the suppression window, walked on both sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.health import health_parameters
from cavra_pipeline.retry.health_alerts import AlertRequest, HealthAlert, health_alert
from cavra_pipeline.settings import Settings
from tests.support import AS_OF, Record, at, delivery, ingested, record

LANE = LANES["recovery_health_alert"]
#: What each connector was told, and when: minutes before now, microseconds later, the level, whether it arrived.
TOLD = {
    "webhook": (60, 0, "critical", True),
    "slack": (60, 1, "critical", True),
    "teams": (1, 0, "warning", True),
    "jira": (1, 0, "critical", False),
    "splunk": (90, 0, "critical", True),
    "sentinel": (-1, 0, "critical", True),
}


def told(provider: str, minutes: float, microseconds: int, level: str, arrived: bool) -> list[Record]:
    when, health = at(minutes, microseconds=microseconds), f"health-{provider}"
    failed = [] if arrived else [provider]
    return [
        record(f"{LANE.kind_stem}-plan", when, f"plan-{provider}", health_id=health, alert_level=level),
        delivery(when, lane=LANE.name, subject=health, providers=[provider], failed=failed),
    ]


def ask(home: Settings, **asked: Any) -> HealthAlert:
    parameters = health_parameters(LANES[str(LANE.alerts_of)])
    request = AlertRequest(
        lane=LANE,
        parameters=parameters,
        requested="all",
        connectors=[*TOLD, "datadog"],
        generated_by="on-call",
        **asked,
    )
    with warehouse_of(home).reading() as session:
        return health_alert(session, request, now=AS_OF)


def test_a_connector_is_left_alone_within_the_window_after_an_alert_as_severe_arrived(tmp_path: Path) -> None:
    home = ingested(tmp_path, [one for name, said in TOLD.items() for one in told(name, *said)])
    asked: dict[str, dict[str, Any]] = {
        "default": {},
        "90": {"window_minutes": 90},
        "91": {"window_minutes": 91},
        "0": {"window_minutes": 0},
        "force": {"is_forced": True},
    }
    suppressed = {name: ask(home, **one).plan["suppressed_providers"] for name, one in asked.items()}
    made = ask(home)

    assert made.health["alert_level"] == "critical"
    assert suppressed == {
        "default": ["slack"], "90": ["webhook", "slack"], "91": ["webhook", "slack", "splunk"], "0": [], "force": [],
    }  # fmt: skip
    assert made.plan["selected_providers"] == [name for name in (*TOLD, "datadog") if name != "slack"]
    assert made.announcement.records[0]["suppressed_provider_count"] == 1


@pytest.mark.parametrize("minutes", [-1, 10_081])
def test_a_window_outside_its_bounds_is_refused(tmp_path: Path, minutes: int) -> None:
    with pytest.raises(UsageError, match="suppression_window_minutes"):
        ask(ingested(tmp_path, []), window_minutes=minutes)
