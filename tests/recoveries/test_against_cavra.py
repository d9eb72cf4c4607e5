"""Recoveries over stores that CAVRA's own code made: rows, states, counts, minutes and order as CAVRA gives them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from cavra_pipeline.settings import Settings
from tests.recoveries.stores import INSTANTS, ask_recoveries, expected, home_of_store, needs_stores

pytestmark = needs_stores

_ROW: Final = (
    "playbook_id", "provider", "category", "failure_count", "age_minutes", "closure_state", "slo_status",
)  # fmt: skip
_COUNTS: Final = {
    "recovery_count": "recovery_playbook_provider_count",
    "recovery_open_count": "recovery_open_count",
    "recovery_closed_count": "recovery_closed_count",
    "recovery_slo_breached_count": "recovery_slo_breached_count",
    "closure_state_counts": "closure_state_counts",
    "closure_trends": "closure_trends",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return home_of_store(tmp_path_factory.mktemp("all-lanes"), "all-lanes.db")


def _asked(home: Settings, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    answer = expected()[number]
    return ask_recoveries(home, datetime.fromisoformat(answer["as_of"])), answer["recovery_report"]


@pytest.mark.parametrize("number", INSTANTS)
def test_rows_are_cavras_in_its_order(home: Settings, number: int) -> None:
    ours, theirs = _asked(home, number)

    assert [[row[name] for name in _ROW] for row in ours["recoveries"]] == [
        [row[name] for name in _ROW] for row in theirs["recovery_rows"]
    ]
    assert [row["opened_at"] for row in ours["recoveries"]] == [row["generated_at"] for row in theirs["recovery_rows"]]


@pytest.mark.parametrize("number", INSTANTS)
def test_closings_are_cavras_where_a_row_is_closed_and_null_where_not(home: Settings, number: int) -> None:
    ours, theirs = _asked(home, number)

    for row, given in zip(ours["recoveries"], theirs["recovery_rows"], strict=True):
        is_closed = given["slo_status"] == "closed"
        closing = (given["closed_at"], given["closure_minutes"]) if is_closed else (None, None)
        assert (row["closed_at"], row["closure_minutes"]) == closing


@pytest.mark.parametrize("number", INSTANTS)
def test_counts_and_closures_by_day_are_cavras(home: Settings, number: int) -> None:
    ours, theirs = _asked(home, number)

    assert {name: ours[name] for name in _COUNTS} == {name: theirs[given] for name, given in _COUNTS.items()}
    counted = {one["provider"]: one for one in theirs["provider_summary"]}
    for one in ours["provider_summary"]:
        assert {name: counted[one["provider"]][name] for name in one} == one


@pytest.mark.parametrize("number", INSTANTS)
def test_groups_hold_each_row_once(home: Settings, number: int) -> None:
    ours, theirs = _asked(home, number)

    named = [(one["provider"], playbook) for one in ours["recovery_groups"] for playbook in one["playbook_ids"]]
    assert sorted(named) == sorted((row["provider"], row["playbook_id"]) for row in theirs["recovery_rows"])
    assert sum(one["open_count"] for one in ours["recovery_groups"]) == theirs["recovery_open_count"]


def test_a_recovery_that_was_closed_after_twelve_hours_is_not_open(tmp_path: Path) -> None:
    report = ask_recoveries(home_of_store(tmp_path, "closed-recovery.db"), datetime.fromisoformat("2026-11-25T08:00Z"))

    counts = ("recovery_count", "recovery_open_count", "recovery_closed_count", "recovery_slo_breached_count")
    assert [report[name] for name in counts] == [1, 0, 1, 0]
    (row,) = report["recoveries"]
    assert (row["slo_status"], row["closure_minutes"]) == ("closed", 719)
    assert len(row["escalated_in"]) > 0
    assert (report["state"], report["alert_level"]) == ("none_open", "healthy")
