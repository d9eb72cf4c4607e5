"""Forms of answers and errors, and instants as people write them."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from cavra_pipeline.alerts.lifecycle import observe
from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.cli.when import read_day, read_end, read_instant, read_start
from cavra_pipeline.errors import UsageError
from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import DEFAULT_TOLERANCE, AlertPolicy
from cavra_pipeline.slots.ledger import keep_configuration, keep_verdicts
from cavra_pipeline.slots.verdicts import Configuration, Slot, Verdict, VerdictKind
from cavra_pipeline.slots.watcher import Judged
from cavra_pipeline.state import state_of
from tests.cli.command import command
from tests.recoveries.stores import playbook
from tests.support import at, delivery, home_with, plan, take_in, worker_run

AS_OF = ["--as-of", "2026-06-25T12:00:00Z"]
NOW = datetime(2026, 6, 25, 12, 30, tzinfo=UTC)
#: When a list was asked for.
AS_OF_MEMBER = r'"as_of": "[^"]+"'
END_OF = timedelta(days=1) - timedelta(microseconds=1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with failures in one lane, an idle second one, and one record in a third."""
    made = home_with(
        tmp_path_factory.mktemp("forms"),
        [
            worker_run(at(30)),
            plan(at(5)),
            delivery(at(40), session_id="d-1", failed=["slack", "teams"], status_codes=[503]),
            plan(at(5), lane="executive_health_alert"),
        ],
    )
    take_in(made)
    return made.home


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_without_a_lane_every_lane_in_use_is_answered_and_no_other(home: Path) -> None:
    in_use = ["recovery_escalation", "executive_report", "executive_health_alert"]

    for name in ("retry-health", "retry-plan", "forecast"):
        document = command(home, name, *AS_OF, "--json").document
        assert list(document["lanes"]) == in_use
        for lane in in_use:
            alone = command(home, name, "--lane", lane, *AS_OF, "--json").document
            assert {**document["lanes"][lane], "generated_at": ""} == {**alone, "generated_at": ""}
        table = command(home, name, *AS_OF).out
        assert all(lane in table for lane in in_use)
        assert not any(lane in table for lane in LANES.keys() - {*in_use})


def test_fail_on_without_a_lane_ends_with_3_if_one_lane_is_at_the_level(home: Path) -> None:
    assert command(home, "retry-health", *AS_OF).code == 0
    assert command(home, "retry-health", *AS_OF, "--fail-on", "critical").code == 3


def test_csv_has_a_row_for_each_thing_and_the_same_values_as_the_document(home: Path) -> None:
    decisions = command(home, "retry-plan", *AS_OF, "--json").document["lanes"]["recovery_escalation"]
    said = command(home, "retry-plan", *AS_OF, "--output", "csv")

    assert [(row["lane"], row["provider"], row["next_retry_at"]) for row in rows(said.out)] == [
        ("recovery_escalation", one["provider"], one["next_retry_at"]) for one in decisions["retry_decisions"]
    ]
    assert len(rows(said.out)) == 2
    assert {row["state"] for row in rows(said.out)} <= {"ready", "held", "waiting", "exhausted"}
    assert all(row["subject"] == row["plan_id"] for row in rows(said.out))
    assert {(row["state"], row["needs"]) for row in rows(said.out)} == {("held", "acknowledgement")}
    lanes = rows(command(home, "dashboard", *AS_OF, "--output", "csv").out)
    assert [row["lane"] for row in lanes] == list(LANES)


@pytest.mark.slow
def test_json_is_short_for_output_json_and_the_last_of_both_counts(home: Path) -> None:
    asked = ["dashboard", *AS_OF]
    said = [command(home, *asked, *form) for form in (["--json"], ["--output", "json"], ["--output=csv", "--json"])]

    assert {json.dumps({**one.document, "generated_at": ""}) for one in said} == {
        json.dumps({**said[0].document, "generated_at": ""})
    }
    assert command(home, *asked, "--json", "--output", "table").out.startswith("Lanes as of")


@pytest.mark.parametrize(
    ("asked", "what", "where"),
    [
        (["retry-plan", "--lane", "x", "--json"], "there is no such lane", "--lane"),
        (["retry-plan", "--output", "json", "--no-such"], "No such option", "cavra-pipeline retry-plan"),
        (["no-such", "--output=json"], "No such command", "cavra-pipeline"),
        (["backfill", "--json"], "--from is missing", "cavra-pipeline backfill"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_is_one_json_document_on_standard_error(asked: list[str], what: str, where: str, home: Path) -> None:
    said = command(home, *asked)
    (error,) = json.loads(said.err).values()

    assert (said.out, said.code, error["exit_code"], error["where"]) == ("", 2, 2, where)
    assert what in error["what"]
    assert error["remedy"]


@pytest.mark.parametrize("asked", [["--json"], ["--", "--json"], ["x", "--output", "csv"]], ids=" ".join)
def test_an_error_is_text_unless_json_was_asked_for(asked: list[str], home: Path) -> None:
    said = command(home, "explain", "s", *asked)

    assert said.code == 2
    assert said.err.startswith("{") is (asked == ["--json"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-24T01:02:03Z", datetime(2026, 6, 24, 1, 2, 3, tzinfo=UTC)),
        ("2026-06-24", datetime(2026, 6, 24, tzinfo=UTC) + END_OF),
        ("yesterday", datetime(2026, 6, 24, tzinfo=UTC) + END_OF),
        ("2026-06-25", NOW),
        ("today", NOW),
        ("now", NOW),
        ("2d", NOW - timedelta(days=2)),
        ("3H", NOW - timedelta(hours=3)),
        ("45m", NOW - timedelta(minutes=45)),
    ],
)
def test_an_instant_may_be_a_day_or_an_age(text: str, expected: datetime) -> None:
    assert read_instant(text, NOW) == expected


def test_a_range_holds_the_whole_of_the_days_that_it_names() -> None:
    midnight = datetime(2026, 6, 24, tzinfo=UTC)

    assert (read_start("yesterday", NOW), read_end("yesterday", NOW)) == (midnight, midnight + END_OF)
    assert read_end("2026-06-26", NOW) == midnight + timedelta(days=2) + END_OF
    assert (read_day("2d", NOW), read_day("yesterday", NOW)) == (date(2026, 6, 23), date(2026, 6, 24))
    with pytest.raises(UsageError, match="'soon' is not a valid day"):
        read_day("soon", NOW)


@pytest.mark.parametrize("text", ["tomorrow", "2026-06-26", "2026-02-30", "0d", "-1d", "1w", "2", ""])
def test_what_is_no_instant_up_to_now_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_instant(text, NOW)


def test_csv_writes_values_that_json_has_no_form_for(home: Path, tmp_path: Path) -> None:
    values = {
        "{'a': 1.5::DECIMAL(4,2), 'b': '01:02:03'::TIME}": '{"a":"1.50","b":"01:02:03"}',
        "[1.5::DECIMAL(4,2)]": "1.50",
        "[TIMESTAMP '2026-06-25 12:00:00', NULL]": "2026-06-25T12:00:00+00:00 None",
        "[[DATE '2026-06-25']]": '[["2026-06-25"]]',
    }
    for value, cell in values.items():
        said = command(home, "sql", f"SELECT {value} AS s", "--output", "csv")
        assert (said.code, rows(said.out)) == (0, [{"s": cell}]), value
        file = tmp_path / "s.csv"
        assert command(home, "table", f"SELECT {value} AS s", str(file)).code == 0
        assert rows(file.read_text()) == [{"s": cell}], value
    nested = command(home, "sql", "SELECT [TIMESTAMP '2026-06-25 12:00:00'] AS s", "--json").document["rows"]
    assert nested == [{"s": ["2026-06-25T12:00:00+00:00"]}]


def test_csv_is_the_same_on_standard_output_and_in_a_file_with_every_text_quoted(home: Path, tmp_path: Path) -> None:
    query = """SELECT 'a;=1+1' AS s, '=1' AS "=f", 7 AS n, true AS b, NULL AS nothing, ['x', 'y'] AS list"""
    said = command(home, "sql", query, "--output", "csv")
    assert command(home, "table", query, str(tmp_path / "s.csv")).code == 0

    assert said.out == """"s","'=f","n","b","nothing","list"\n"a;=1+1","'=1",7,"true","","x y"\n"""
    assert (tmp_path / "s.csv").read_bytes().decode() == said.out


def test_csv_of_an_empty_answer_is_its_header_alone(home: Path, tmp_path: Path) -> None:
    empty = command(home, "sql", "SELECT 1 AS one, 'x' AS two WHERE false", "--output", "csv")
    assert (empty.code, empty.out) == (0, '"one","two"\n')

    full = home_with(tmp_path, ['{"no": "record"}', delivery(evidence_token="ghp_" + "a1B2" * 9)])
    take_in(full)
    for name in ("quarantine", "findings"):
        header, *found = command(full.home, name, "--output", "csv").out.splitlines()
        assert found
        assert command(home, name, "--output", "csv").out == f"{header}\n"


LISTS = (
    ["retry-plan"], ["retry-plan", "--lane", "acknowledgement_audit"], ["retry-health"], ["recoveries"], ["closure"],
    ["retry-health", "--lane", "executive_report"], ["incidents"], ["forecast"],
    ["forecast", "--lane", "recovery_escalation"],
    ["forecast", "--lane", "acknowledgement_audit"], ["escalate"], ["alerts", "list"], ["alerts", "history"],
    ["worker", "--lane", "executive_report"], ["scheduled-runs", "--from", "2026-06-25"], ["connectors", "list"],
    ["connectors", "test"], ["playbook", "--min-failure-count", "1"],
)  # fmt: skip


@pytest.mark.slow
def test_csv_of_an_empty_list_has_the_header_of_a_full_one(tmp_path: Path) -> None:
    lines = [
        *(delivery(at(40 + n), subject=f"p-{n}", failed=["jira"], status_codes=[401]) for n in range(4)),
        delivery(at(40), lane="executive_report", failed=["slack"]),
        delivery(at(40), lane="acknowledgement_audit", failed=["slack"]),
        playbook(at(500), "jira"),
        delivery(datetime.now(UTC), lane="acknowledgement_audit", subject="now", failed=["teams"]),
    ]
    full, empty = home_with(tmp_path / "full", lines), home_with(tmp_path / "empty", [])
    for one in (full, empty):
        take_in(one)
    with state_of(full).writing() as connection:
        observe(connection, Observation({"missed_run"}, [Signal("missed_run", "a", severity="critical", since=at())]),
                now=at(), policy=AlertPolicy())  # fmt: skip
        slot = Slot("recovery_retry_worker", at(), at(30), at())
        keep_configuration(
            connection, Configuration(slot.schedule, at(60), "*/30 * * * *", "UTC", True, DEFAULT_TOLERANCE)
        )
        keep_verdicts(connection, [Judged(slot, Verdict(VerdictKind.ON_TIME), at(60))], now=at())
    (full.home / "connectors.yaml").write_text("connectors: {webhook: {url_env: CAVRA_TEST_HOOK}}")
    for asked in LISTS:
        header, *found = command(full.home, *asked, "--output", "csv").out.splitlines()
        without = command(empty.home, *asked, "--output", "csv").out.splitlines()
        assert found, asked
        if asked in (["retry-plan"], ["forecast"]):
            # Of lanes that are in use: the empty home has fewer.
            assert {*without[0].split(",")} < {*header.split(",")}
        elif asked[0] == "retry-health":
            assert without[0] == header, asked
        else:
            assert without == [header], asked


def test_alerts_answers_in_every_form_that_its_list_has(home: Path) -> None:
    for form in (["--json"], ["--output", "csv"], []):
        said, listed = (command(home, *words, *form) for words in (["alerts"], ["alerts", "list"]))
        assert (said.code, said.err) == (0, "")
        assert re.sub(AS_OF_MEMBER, "", said.out) == re.sub(AS_OF_MEMBER, "", listed.out), form


@pytest.mark.slow
def test_the_executive_report_is_one_json_document_with_json(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    said, long = (command(home, "executive-report", *AS_OF, *form) for form in (["--json"], ["--output", "json"]))
    assert {**said.document, "generated_at": ""} == {**long.document, "generated_at": ""}

    refused = command(home, "executive-report", *AS_OF, "--output", "folder")
    assert (refused.code, refused.out) == (2, "")
    assert not (home / "folder").exists()
    assert command(home, "executive-report", *AS_OF, "--output-dir", "folder").code == 0
    assert len([*(home / "folder").iterdir()]) == 3
