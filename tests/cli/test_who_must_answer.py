"""What nobody has answered, and what a person put off: `status`, plans, forecasts and health name them apart."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from pathlib import Path

import pytest

from cavra_pipeline.executive.wrong import put_off, undecided
from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import Settings
from tests.cli.command import command
from tests.support import AS_OF, acknowledgement, at, delivery, execution, home_with, record, take_in, worker_run

AT = ["--as-of", AS_OF.isoformat()]
LANE = ["--lane", "recovery_escalation"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two due retries, of which a person has deferred one, one that waits, and a failed retry."""
    lines = [
        worker_run(at(5)),
        delivery(at(300), subject="gordack-one", failed=["slack"]),
        delivery(at(200), subject="gordack-two", failed=["slack"]),
        delivery(at(1), subject="gordack-three", failed=["slack"]),
        execution(at(40), subject="gordack-four", provider="jira"),
        acknowledgement(at(30), subject="gordack-one", provider="slack", state="deferred"),
    ]
    made = home_with(tmp_path_factory.mktemp("home"), lines)
    take_in(made)
    return made


def alerts_home(tmp_path: Path, *states: str | None) -> Settings:
    """Health alerts of one report to a provider each, with what a person has said of them."""
    providers = ["jira", "slack", "teams"][: len(states)]
    lane = "recovery_health_alert"
    stem = LANES[lane].kind_stem
    lines = [
        worker_run(at(5), lane=lane),
        record(f"{stem}-plan", at(50), health_id="health-1", acknowledgement_required_providers=providers),
        *(
            acknowledgement(at(20), lane=lane, subject="health-1", provider=provider, state=state)
            for provider, state in zip(providers, states, strict=True)
            if state
        ),
    ]
    made = home_with(tmp_path, lines)
    take_in(made)
    return made


def test_the_next_command_is_about_a_health_alert_that_nobody_has_answered(tmp_path: Path) -> None:
    made = alerts_home(tmp_path, "escalated", None, "dismissed")
    said = command(made.home, "retry-health", "--lane", "recovery_health_alert", *AT).out
    next_step = said.partition("next: ")[2]

    assert "--provider slack" in " ".join(next_step.replace("\\", " ").split())
    assert "jira" not in next_step
    assert "health alerts  1 to acknowledge, 1 escalated and 1 dismissed" in said
    assert "3 health alerts need an acknowledgement (1 of them escalated and 1 dismissed)." in " ".join(said.split())
    assert "Open health alerts\n" in said
    assert "Health alerts to acknowledge" not in said
    status = command(made.home, "status", *AT).out
    assert "3 health alerts are open, 1 to acknowledge, 1 escalated and 1 dismissed" in " ".join(status.split())


def test_nothing_is_suggested_where_every_health_alert_has_an_answer(tmp_path: Path) -> None:
    made = alerts_home(tmp_path, "escalated", "escalated")
    said = command(made.home, "retry-health", "--lane", "recovery_health_alert", *AT).out

    assert "health alerts  2 escalated" in said
    assert "cavra-pipeline ack" not in said


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ([], ""),
        ([None, "acknowledged"], ""),
        (["deferred"], " (deferred)"),
        ([None, "deferred", "escalated", "deferred"], " (2 of them deferred and 1 escalated)"),
    ],
)
def test_beside_a_count_stands_how_many_a_person_put_off(states: list[str | None], words: str) -> None:
    assert put_off(states) == words


def test_status_counts_what_is_deferred_apart_from_what_is_missing(home: Settings) -> None:
    said = command(home.home, "status", *AT).out

    assert "2 of 2 due retries are held: 1 to acknowledge and 1 deferred; 1 more will be held once due" in said
    assert "2 to acknowledge" not in said


def test_health_counts_what_is_deferred_apart_from_what_is_missing(home: Settings) -> None:
    said = command(home.home, "retry-health", *LANE, *AT).out

    assert "acknowledgements  2 missing and 1 deferred" in said
    assert "need an acknowledgement before they can be retried (1 of them deferred)." in " ".join(said.split())
    assert "Acknowledge each one" in said


def test_health_asks_nothing_about_gaps_that_were_all_put_off(tmp_path: Path) -> None:
    lines = [
        delivery(at(300), subject="gordack-one", failed=["slack"]),
        acknowledgement(at(30), subject="gordack-one", provider="slack", state="deferred"),
    ]
    made = home_with(tmp_path, {"2026-06-25": lines})
    take_in(made)
    said = command(made.home, "retry-health", *LANE, *AT).out

    assert "Nothing until a person decides otherwise" in said
    assert "Acknowledge each one" not in said


def test_a_forecast_names_what_a_person_deferred_and_nothing_else(home: Settings) -> None:
    said = command(home.home, "forecast", *LANE, *AT).out
    cells = {line.split()[0]: line.split()[2:] for line in said.splitlines() if line.startswith("gordack-")}

    assert cells["gordack-one"] == ["held:", "deferred", "-"]
    assert cells["gordack-two"] == ["no", "acknowledgement", "-"]
    document = command(home.home, "forecast", *LANE, *AT, "--json").document
    assert {pair["never_tried"] for pair in document["pairs"]} == {"acknowledgement"}


def test_every_command_says_alike_that_a_delivery_is_held_and_deferred(home: Settings) -> None:
    said = {
        name: command(home.home, *words, *at).out
        for name, words, at in (
            ("plan", ("retry-plan", *LANE), AT),
            ("explain", ("explain", "gordack-one", "slack"), AT),
            ("worker", ("worker", *LANE), ()),
        )
    }

    assert {name: "held: deferred" in words for name, words in said.items()} == dict.fromkeys(said, True)
    assert "it needs an acknowledgement" not in said["explain"]
    assert "held: needs an acknowledgement" not in said["explain"]
    # Of the other one nobody has said anything.
    assert said["plan"].count("held: needs an acknowledgement") == 1
    assert " for an acknowledgement, 1 deferred\n" in said["worker"]


def test_a_plan_has_room_for_when_a_delivery_is_due_at_80_columns(home: Settings) -> None:
    long = command(home.home, "retry-plan", *LANE, *AT, environ={"COLUMNS": "80"}).out
    heading = next(line for line in long.splitlines() if line.startswith("subject"))
    waiting = next(line.split() for line in long.splitlines() if line.startswith("gordack-three"))
    due = (at(1) + timedelta(minutes=15)).strftime("%H:%M")

    assert heading.split() == ["subject", "provider", "state", "due", "failures", "HTTP"]
    assert waiting[2:4] == ["waiting", due]
    narrow = command(home.home, "retry-plan", *LANE, *AT, environ={"COLUMNS": "50"}).out
    assert "not shown at this width: failures, HTTP" in narrow
    assert due in narrow


def test_csv_of_a_lanes_health_is_in_the_order_of_the_table(home: Settings) -> None:
    rows = list(csv.DictReader(io.StringIO(command(home.home, "retry-health", *LANE, *AT, "--output", "csv").out)))
    report = command(home.home, "retry-health", *LANE, *AT, "--json").document

    severities = [row["severity"] for row in rows]
    assert severities == sorted(severities)
    assert [alert["severity"] for alert in report["alerts"]] != severities, "the report has the contract's order"
    actions = dict(zip((alert["message"] for alert in report["alerts"]), report["recommended_actions"], strict=True))
    assert {row["message"]: row["recommended_action"] for row in rows} == actions


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ([None, None], ["2 missing"]),
        ([None, "deferred", "escalated", "deferred"], ["1 missing", "2 deferred", "1 escalated"]),
        (["denied"], ["1 denied"]),
        (["expired"], ["1 missing"]),
        ([], []),
    ],
)
def test_a_state_counts_as_put_off_only_where_a_person_decided(states: list[str | None], words: list[str]) -> None:
    assert undecided(states, "missing") == words
