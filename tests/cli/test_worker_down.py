"""What a person does about a worker that is down: by the daemon, by the schedules."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.cli.worker_down import down_step, forecast_note, interval_step, step_while_daemon_runs
from cavra_pipeline.reports.cause_words import DOWN_STEPS, FORECAST_NOTE, INTERVAL_STEP, INTERVAL_STEP_HERE

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
    assert step_while_daemon_runs(["recovery_escalation"], SCHEDULES, NOW) == DOWN_STEPS["never_due"]


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("silent", DOWN_STEPS["daemon_off"]),
        ("never_seen", DOWN_STEPS["daemon_off"]),
        ("unknown", DOWN_STEPS["unknown"]),
    ],
)
def test_a_daemon_that_does_not_run_is_started_first(state: str, step: str) -> None:
    assert down_step(["auditor_export"], daemon={"state": state}) == step
    assert down_step(["auditor_export"], is_past=True, daemon={"state": state}) == DOWN_STEPS["unknown"]


@pytest.mark.parametrize(
    ("cron", "expected", "state", "step"),
    [
        ("45 * * * *", 60, "alive", INTERVAL_STEP_HERE.format(every="1 h")),
        ("45 * * * *", 60, "never_seen", INTERVAL_STEP),
        ("45 * * * *", 30, "alive", INTERVAL_STEP),
        ("0 */2 * * *", 60, "alive", INTERVAL_STEP),
        # Every half-hour of the day only: the night is the longest pause.
        ("*/30 8-18 * * *", 60, "alive", INTERVAL_STEP),
    ],
)
def test_a_slow_worker_needs_a_change_only_where_the_schedule_here_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cron: str, expected: int, state: str, step: str
) -> None:
    monkeypatch.setenv("CAVRA_HOME", str(tmp_path))
    monkeypatch.setenv("CAVRA_CRON_AUDIT_DELIVERY_RETRY", cron)

    assert interval_step("acknowledgement_audit", expected, daemon={"state": state}) == step
    assert interval_step("acknowledgement_audit", expected, is_past=True, daemon={"state": state}) == INTERVAL_STEP


@pytest.mark.parametrize(
    ("state", "note"),
    [
        ("alive", FORECAST_NOTE.format(time="16:45 UTC")),
        ("starting", FORECAST_NOTE.format(time="16:45 UTC")),
        ("silent", ""),
        ("never_seen", ""),
        ("unknown", ""),
    ],
)
def test_a_forecast_names_the_schedule_here_only_while_the_daemon_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, note: str
) -> None:
    monkeypatch.setenv("CAVRA_HOME", str(tmp_path))
    monkeypatch.setattr("cavra_pipeline.cli.worker_down.clock", lambda: NOW)
    monkeypatch.setattr("cavra_pipeline.cli.worker_down.daemon_of", lambda _settings, _now: {"state": state})

    assert forecast_note("acknowledgement_audit") == note
