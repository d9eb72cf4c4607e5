"""`scheduled-runs`: a picture, a table, one document; and the counts beside the outages of a health report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cavra_pipeline.cli import cli
from cavra_pipeline.desired_state import SCHEDULE_NAMES
from cavra_pipeline.errors import UsageError
from cavra_pipeline.settings import DEFAULT_TOLERANCE, Settings
from cavra_pipeline.slots import ledger
from cavra_pipeline.slots.picture import MARKS, legend, picture
from cavra_pipeline.slots.verdicts import Cause, Configuration, Slot, Verdict, VerdictKind
from cavra_pipeline.slots.watcher import Judged
from cavra_pipeline.state import state_of
from tests.support import home_with

AT = datetime(2026, 6, 25, 23, 0, tzinfo=UTC)
GAP = timedelta(minutes=30)
FROM = datetime(2026, 6, 1, tzinfo=UTC)
SCHEDULE = "recovery_retry_worker"
DOWN = Verdict(VerdictKind.MISSED, Cause.DAEMON_DOWN)


def keep(settings: Settings, verdicts: Sequence[Verdict], *, now: datetime = AT) -> None:
    """Judges one slot after another, from AT on."""
    with state_of(settings).writing() as c:
        ledger.keep_configuration(c, Configuration(SCHEDULE, FROM, "*/30 * * * *", "UTC", True, DEFAULT_TOLERANCE))
        slots = [Slot(SCHEDULE, AT + n * GAP, AT + (n - 1) * GAP, AT + (n + 1) * GAP) for n in range(len(verdicts))]
        judged = [Judged(slot, verdict, FROM) for slot, verdict in zip(slots, verdicts, strict=True)]
        ledger.keep_verdicts(c, judged, now=now)


def slots(settings: Settings) -> list[dict[str, Any]]:
    with state_of(settings).reading() as c:
        return ledger.slots_between(c, after=FROM, until=AT + 9 * GAP)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_address: str | None) -> Settings:
    settings = home_with(tmp_path, state_address=state_address)
    if state_address:
        monkeypatch.setenv("CAVRA_STATE_URL", state_address)
    monkeypatch.setenv("CAVRA_HOME", str(settings.home))
    monkeypatch.setenv("COLUMNS", "120")
    return settings


def answer(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_picture_has_a_line_a_day_and_a_capital_for_each_cause(home: Settings) -> None:
    keep(home, [Verdict(VerdictKind.ON_TIME, None, AT), DOWN, Verdict(VerdictKind.LATE, None, AT + 3 * GAP)])

    said = answer("scheduled-runs", "--from", "2026-06-25", "--to", "2026-06-26T12:00:00Z")

    assert "2026-06-25  .D\n" in said
    assert "2026-06-26  l\n" in said
    assert ". on time, l late, D daemon down" in said
    assert "*/30 * * * * UTC" in said
    assert "recovery_escalation, recovery_health_alert" in said
    assert "Recorded since 2026-06-25 23:00 UTC; nothing is known of scheduled runs before." in said
    assert "Recorded since" not in answer("scheduled-runs", "--from", "2026-06-25T23:00:00Z", "--to", "2026-06-26")


def test_one_run_alone_has_no_picture_but_its_row(home: Settings) -> None:
    keep(home, [DOWN])
    said = answer("scheduled-runs", "--from", "2026-06-25", "--to", "2026-06-26T12:00:00Z")

    assert "2026-06-25  D" not in said
    assert "D daemon down" not in said
    assert "recovery_retry_worker  missed   daemon down     1" in said
    keep(home, [DOWN, DOWN])
    assert "2026-06-25  DD\n" in answer("scheduled-runs", "--from", "2026-06-25", "--to", "2026-06-26T12:00:00Z")


def test_the_document_counts_every_slot_once_and_keeps_the_configuration_of_then(home: Settings) -> None:
    keep(home, [Verdict(VerdictKind.ON_TIME, None, AT, "run-1"), DOWN])

    document = json.loads(answer("scheduled-runs", "--json", "--from", "2026-06-25", "--to", "2026-06-27"))

    assert document["slot_count"] == sum(document["counts"].values()) == 2
    assert document["counts"]["missed"] == 1
    assert document["recorded_since"] == "2026-06-25T23:00:00+00:00"
    first = document["slots"][0]
    assert (first["expected_at"], first["run_id"], first["cron"]) == (
        "2026-06-25T23:00:00+00:00",
        "run-1",
        "*/30 * * * *",
    )
    assert (first["grace_minutes"], first["grace_percent"], first["early_percent"]) == (5.0, 20.0, 10.0)


def test_the_range_holds_both_its_ends(home: Settings) -> None:
    keep(home, [DOWN, DOWN, DOWN])
    asked = ["scheduled-runs", "--json", "--from", (AT + GAP).isoformat(), "--to", (AT + GAP).isoformat()]

    assert [one["expected_at"] for one in json.loads(answer(*asked))["slots"]] == [(AT + GAP).isoformat()]
    day = json.loads(answer("scheduled-runs", "--json", "--from", "2026-06-26", "--to", "2026-06-26"))
    assert [one["expected_at"] for one in day["slots"]] == [(AT + 2 * GAP).isoformat()]


def test_a_slot_judged_again_is_the_same_slot_and_is_revised_only_by_a_gain(home: Settings) -> None:
    keep(home, [DOWN])
    keep(home, [Verdict(VerdictKind.MISSED, Cause.WAREHOUSE_BUSY)], now=AT + GAP)
    (slot,) = slots(home)
    assert (slot["verdict"], slot["cause"], slot["revised_at"]) == ("missed", "daemon_down", None)

    keep(home, [Verdict(VerdictKind.ON_TIME, None, AT)], now=AT + 2 * GAP)

    (slot,) = slots(home)
    assert (slot["verdict"], slot["cause"], slot["done_at"]) == ("late", None, AT)
    assert (slot["revised_at"], slot["judged_at"]) == (AT + 2 * GAP, AT)


def test_an_empty_ledger_says_who_writes_it_and_wrong_ranges_are_refused(home: Settings) -> None:
    said = answer("scheduled-runs")
    assert "Dagster's daemon records them" in said
    assert "next: cavra-pipeline dev" in said
    assert "Next scheduled runs, once Dagster's daemon runs" in said
    assert [row["schedule"] for row in json.loads(answer("scheduled-runs", "--json"))["schedules"]] == [*SCHEDULE_NAMES]
    (only,) = json.loads(answer("scheduled-runs", "--json", "--schedule", "daily_close"))["schedules"]
    assert (only["schedule"], only["cron"]) == ("daily_close", "15 0 * * *")
    for wrong in (["--schedule", "x"], ["--from", "2026-06-02", "--to", "2026-06-01"]):
        done = CliRunner().invoke(cli, ["scheduled-runs", *wrong])
        assert isinstance(done.exception, UsageError)


def test_the_health_table_shows_slots_beside_outages_and_the_document_does_not_change(home: Settings) -> None:
    asked = ["retry-health", "--lane", "recovery_escalation", "--as-of", (AT + GAP).isoformat()]
    before = json.loads(answer(*asked, "--json"))
    keep(home, [DOWN, DOWN])
    after = json.loads(answer(*asked, "--json"))

    assert {**before, "generated_at": ""} == {**after, "generated_at": ""}
    assert "missed: daemon down" in answer(*asked)
    assert "daemon_down" not in answer("retry-health", "--lane", "executive_report", "--as-of", (AT + GAP).isoformat())


def test_every_verdict_and_cause_has_a_mark_of_its_own() -> None:
    assert set(MARKS) == {kind for kind in VerdictKind if kind is not VerdictKind.MISSED} | set(Cause)
    assert len(set(MARKS.values())) == len(MARKS)
    assert picture([]) == []
    assert legend([]) == ""
