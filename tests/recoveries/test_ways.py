"""The recovery report on the command line, over HTTP, in Dagster and saved is the one that the domain makes."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.reports.store import RECOVERIES, SavedReports, days_to_remake, list_reports, save_reports
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from tests.api.server import NoDagster, served
from tests.cli.command import command
from tests.dagster_tests.runs import checks, metadata_of, run
from tests.recoveries.stores import ask_recoveries, closure, playbook
from tests.support import AS_OF, NOW, at, delivery, drop, ingested, take_in

DAY = date(2026, 6, 25)


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return ingested(tmp_path, [playbook(at(300), "slack", "teams"), closure(at(200), provider="teams")])


def _same(answer: dict[str, Any], home: Settings, **more: Any) -> None:
    made = ask_recoveries(home, generated_by="cavra-pipeline", **more)
    assert {**answer, "generated_at": None} == {**made, "generated_at": None}


def test_the_command_prints_the_report_and_takes_a_limit(home: Settings) -> None:
    _same(command(home.home, "recoveries", "--as-of", AS_OF.isoformat(), "--json").document, home)
    later = command(home.home, "recoveries", "--as-of", AS_OF.isoformat(), "--slo-minutes", "301", "--json")
    _same(later.document, home, slo_minutes=301)

    shown = command(home.home, "recoveries", "--as-of", AS_OF.isoformat()).out
    assert "1 open, 1 closed" in shown
    assert "Past the limit" in shown


def test_the_command_says_where_no_playbook_is_known(tmp_path: Path) -> None:
    shown = command(ingested(tmp_path, [delivery()]).home, "recoveries", "--as-of", AS_OF.isoformat()).out
    assert "no recovery playbook has arrived" in shown
    assert "0 open" not in shown


def test_http_answers_the_report_and_refuses_a_limit_by_name(home: Settings) -> None:
    with served(home, dagster=NoDagster()) as service, service.client() as client:
        asked = {"as_of": AS_OF.isoformat()}
        _same(client.get("/api/v1/recoveries", params=asked).raise_for_status().json(), home)
        limited = client.get("/api/v1/recoveries", params={**asked, "slo_minutes": "301"}).raise_for_status().json()
        _same(limited, home, slo_minutes=301)
        refused = client.get("/api/v1/recoveries", params={**asked, "slo_minutes": "0"})
    assert (refused.status_code, "slo_minutes" in refused.text) == (422, True)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([playbook(at(300), "slack")], (False, "ERROR")),
        # Midnight, the end of the day, is 719 minutes after noon: still within the limit.
        ([playbook(at(-700), "slack")], (False, "WARN")),
        ([playbook(at(300), "slack"), closure(at(100))], (True, "WARN")),
        ([], (True, "WARN")),
    ],
)
@pytest.mark.slow
def test_the_check_is_red_past_the_limit_and_yellow_while_one_is_open(
    tmp_path: Path, records: list[dict[str, Any]], expected: tuple[bool, str]
) -> None:
    home = ingested(tmp_path, records)
    result = run(home, [DAY], assets=["recoveries"])

    assert result.success
    assert checks(result)["recoveries is_healthy"] == expected
    assert metadata_of(result, "recoveries", DAY)["recovery_count"] == len(records[:1])


def test_a_day_is_saved_and_out_of_date_once_a_closure_arrives_late(home: Settings) -> None:
    def saved() -> list[dict[str, Any]]:
        list(save_reports(warehouse_of(home), state_of(home), RECOVERIES, None, [DAY], now=NOW))
        return list_reports(state_of(home), SavedReports(report=RECOVERIES), with_documents=True)

    (one,) = saved()
    assert (one["lane"], one["alert_level"], one["document"]["recovery_open_count"]) == (None, "critical", 1)
    assert DAY not in days_to_remake(state_of(home))

    drop(home, [closure(at(100))], name="late.jsonl")
    take_in(home)
    assert DAY in days_to_remake(state_of(home))
    (one,) = saved()
    assert (one["alert_level"], one["document"]["recovery_open_count"]) == ("healthy", 0)
    assert DAY not in days_to_remake(state_of(home))
