"""What a person does about a worker that is down: by the daemon, by the schedules, and in the console's words."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import cavra_pipeline.console
from cavra_pipeline.cli import worker_down
from cavra_pipeline.cli.worker_down import down_step, step_while_daemon_runs

NOW = datetime(2026, 11, 30, 16, 20, tzinfo=UTC)


def due(**moments: str | None) -> list[dict[str, Any]]:
    return [{"schedule": schedule, "next_due_at": moment} for schedule, moment in moments.items()]


SCHEDULES = due(
    audit_delivery_retry="2026-11-30T16:45:00Z",
    executive_delivery_retry="2026-12-01T00:00:00Z",
    recovery_retry_worker=None,
)


def test_the_scheduled_run_that_ends_the_outage_is_named() -> None:
    one = step_while_daemon_runs(["auditor_export"], SCHEDULES, NOW)
    two = step_while_daemon_runs(["auditor_export", "release_closeout"], SCHEDULES, NOW)

    assert one.startswith("The scheduled run at 16:45 UTC ends the outage; if it does not,")
    assert two.startswith("The scheduled run at 16:45 UTC ends the outages; if it does not,")


def test_each_schedule_of_several_lanes_is_named_by_its_time() -> None:
    step = step_while_daemon_runs(["auditor_export", "executive_report"], SCHEDULES, NOW)

    assert step.startswith("The scheduled runs at 16:45 UTC and 2026-12-01 00:00 UTC end the outages;")


def test_a_schedule_that_never_comes_has_to_be_checked() -> None:
    assert step_while_daemon_runs(["recovery_escalation"], SCHEDULES, NOW) == worker_down.ON_STEP


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("silent", worker_down.OFF_STEP),
        ("never_seen", worker_down.OFF_STEP),
        ("unknown", worker_down.UNKNOWN_STEP),
    ],
)
def test_a_daemon_that_does_not_run_is_started_first(state: str, step: str) -> None:
    assert down_step(["auditor_export"], daemon={"state": state}) == step
    assert down_step(["auditor_export"], is_past=True, daemon={"state": state}) == worker_down.UNKNOWN_STEP


def test_the_console_says_the_same() -> None:
    script = (Path(cavra_pipeline.console.__file__).parent / "static" / "alerts.js").read_text()
    outages = '${lanes.length === 1 ? "outage" : "outages"}'
    steps = [
        worker_down.UNKNOWN_STEP,
        worker_down.OFF_STEP,
        worker_down.ON_STEP,
        worker_down.ONE_DUE.format(times="${times}", outages=outages),
        worker_down.SEVERAL_DUE.format(times="${times}"),
    ]

    assert [step for step in steps if step not in script] == []
    assert "ends the outage once" not in script
