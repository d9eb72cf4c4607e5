"""Cadences that never come are refused where the schedules load; every other one loads."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cavra_pipeline.definitions import build_defs
from cavra_pipeline.errors import UsageError
from cavra_pipeline.schedules import build_schedules, next_ticks
from cavra_pipeline.settings import load_settings

VARIABLE = "CAVRA_CRON_MORNING_REPORT"


@pytest.mark.parametrize(
    "cron",
    ["0 0 31 2 *", "0 0 30,31 2 *", "0 0 30,31 feb *", "5 4 31 4,6,Sep,11 *", "0 0 31 2 1",
     "0 25 * * *", "often"],
)  # fmt: skip
def test_a_cadence_that_never_comes_is_refused_with_its_variable(cron: str) -> None:
    with pytest.raises(UsageError, match=rf"^{VARIABLE}: it is no cron expression, or one that never comes"):
        build_schedules([], load_settings({VARIABLE: cron}))


@pytest.mark.parametrize(
    "cron", ["0 0 29 2 *", "0 0 31 2,3 *", "0 0 30,29 2 *", "0 0 1-31/30 2 *", "0 0 L 2 *", "0 0 */31 2 *", "@daily",
             "0 0 31 * *", "*/30 * * * *"]
)  # fmt: skip
def test_a_cadence_that_comes_is_taken_and_its_schedule_loads(cron: str, tmp_path: Path) -> None:
    settings = load_settings({VARIABLE: cron}).but(home=tmp_path)

    schedule = build_defs(settings).get_repository_def().get_schedule_def("morning_report")
    assert schedule.cron_schedule == cron


def test_the_next_tick_is_after_now_and_follows_the_cadence_of_the_host() -> None:
    settings = load_settings({VARIABLE: "0 7 * * *", "CAVRA_CRON_DAILY_CLOSE": "0 0 31 2 *"})
    due = {
        now: {row["schedule"]: row["next_due_at"] for row in next_ticks(settings, now=now)}
        for now in (datetime(2026, 6, 25, 6, 59, 59, 999999, tzinfo=UTC), datetime(2026, 6, 25, 7, tzinfo=UTC))
    }

    before, at = due.values()
    assert before["morning_report"] == before["executive_delivery_retry"] == "2026-06-25T07:00:00+00:00"
    assert at["morning_report"] == "2026-06-26T07:00:00+00:00"
    assert at["recovery_retry_worker"] == "2026-06-25T07:30:00+00:00"
    assert before["daily_close"] is at["daily_close"] is None
    rows = next_ticks(settings, now=datetime(2026, 6, 25, tzinfo=UTC))
    every = {row["schedule"]: row["due_every_minutes"] for row in rows}
    assert (every["morning_report"], every["recovery_retry_worker"], every["daily_close"]) == (1440, 30, None)
