"""Cadences that never come are refused where the settings are read; every other one loads."""

from __future__ import annotations

from calendar import monthrange
from pathlib import Path

import pytest

from cavra_pipeline.cadence import never_comes
from cavra_pipeline.definitions import build_defs
from cavra_pipeline.errors import UsageError
from cavra_pipeline.schedules import SCHEDULES
from cavra_pipeline.settings import Settings, load_settings

VARIABLE = "CAVRA_CRON_MORNING_REPORT"


@pytest.mark.parametrize("month", range(1, 13))
def test_a_day_comes_if_its_month_has_it_in_a_leap_year(month: int) -> None:
    last = monthrange(2028, month)[1]

    assert not never_comes(f"0 0 {last} {month} *")
    assert never_comes(f"0 0 {last + 1} {month} *") == (last < 31)


@pytest.mark.parametrize(
    "cron", ["0 0 31 2 *", "0 0 30 2 *", "0 0 30,31 feb *", "0 0 30-31 2-2 ?", "5 4 31 4,6,Sep,11 *", "0 0 31 2-12/9 *",
             "0 0 30/1 2 *"]
)  # fmt: skip
def test_a_cadence_that_never_comes_is_refused_with_its_variable(cron: str) -> None:
    with pytest.raises(UsageError, match=rf"^{VARIABLE}: the cron expression never comes"):
        load_settings({VARIABLE: cron})


@pytest.mark.parametrize(
    "cron", ["0 0 29 2 *", "0 0 31 2,3 *", "0 0 30,29 2 *", "0 0 1-31/30 2 *", "0 0 L 2 *", "0 0 */31 2 *", "@daily",
             "0 0 31 * *", "*/30 * * * *"]
)  # fmt: skip
def test_a_cadence_that_comes_is_taken_and_its_schedule_loads(cron: str, tmp_path: Path) -> None:
    settings = load_settings({VARIABLE: cron}).but(home=tmp_path)

    schedule = build_defs(settings).get_repository_def().get_schedule_def("morning_report")
    assert schedule.cron_schedule == cron


def test_what_only_dagster_can_tell_is_refused_when_the_schedules_load(tmp_path: Path) -> None:
    for cron, why in (("0 0 31 2 1", "it is no cron expression"), ("0 0 30,31 2 *", "no instant at which")):
        with pytest.raises(UsageError, match=f"{VARIABLE}: .*{why}"):
            build_defs(Settings(home=tmp_path).but(crons={"morning_report": cron}))


def test_the_declared_cadences_come() -> None:
    assert [cron for _, cron, *_ in SCHEDULES if never_comes(cron)] == []
