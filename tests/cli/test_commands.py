"""The commands: help a person can use, one JSON document, exit codes, tables that fit, no progress bar in a pipe."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cavra_pipeline.cli import cli
from tests.cli.command import command, process
from tests.imports.sources import json_lines, sqlite_store
from tests.support import (
    REPORTS_A_DAY,
    acknowledgement,
    at,
    delivery,
    home_with,
    plan,
    query,
    saved,
    take_in,
    text,
    worker_run,
)

AS_OF = "2026-06-25T12:00:00Z"
ASKED = ["--lane", "recovery_escalation", "--as-of", AS_OF]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with something in every list; it is only read."""
    made = home_with(
        tmp_path_factory.mktemp("cli"),
        [
            *[worker_run(at(n * 30), session_id=f"w-{n}") for n in range(3)],
            plan(at(5), session_id="p-1"),
            delivery(at(40), session_id="d-1", failed=["slack"], status_codes=[503]),
            delivery(at(50), session_id="d-2", subject="other", failed=["teams"]),
            acknowledgement(at(10), provider="slack"),
            delivery(at(1), session_id="d-3", note="https://ops:hunter2hunter2@collector.example/x"),
            "no json",
        ],
    )
    take_in(made)
    return made.home


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which nothing is wrong in one lane, only a warning in another, and the worker never ran in a third."""
    made = home_with(
        tmp_path_factory.mktemp("quiet"),
        [
            *[worker_run(at(n * 30)) for n in range(3)],
            plan(at(5)),
            *[worker_run(at(n * 60), lane="executive_report") for n in range(3)],
            plan(at(181), lane="executive_report"),
            plan(at(5), lane="executive_health_alert"),
        ],
    )
    take_in(made)
    return made.home


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_each_command_explains_itself_and_its_options(name: str, tmp_path: Path) -> None:
    said = command(tmp_path, name, "--help")

    assert said.code == 0
    assert f"Usage: cavra-pipeline {name}" in said.out or f" {name} " in said.out.splitlines()[0]
    assert all(
        option.help for option in cli.commands[name].params if option.param_type_name == "option" and option.name
    )
    assert len(cli.commands[name].get_short_help_str(200)) > 20
    assert max(map(len, said.out.splitlines())) <= 110
    assert list(tmp_path.iterdir()) == []


def test_the_help_names_every_command_of_the_contract() -> None:
    said = command(Path("unused"), "--help")

    assert said.code == 0
    for name in ("import", "ingest", "retry-health", "retry-plan", "quarantine", "findings", "demo", "dev"):
        assert f"\n  {name} " in said.out
    assert not Path("unused").exists()


@pytest.mark.parametrize(
    "asked",
    [
        ["retry-health", *ASKED],
        ["retry-plan", *ASKED],
        ["quarantine"],
        ["findings"],
        ["dashboard", "--as-of", AS_OF],
        ["ingest", "--from", "2026-06-01", "--to", "2026-06-02"],
        pytest.param(["backfill", "--from", "2026-06-01", "--to", "2026-06-02"], marks=pytest.mark.slow),
    ],
    ids=lambda asked: asked[0],
)
def test_json_is_exactly_one_document_on_standard_output_and_tables_are_for_a_person(
    asked: list[str], tmp_path: Path, home: Path
) -> None:
    where = home if asked[0] not in ("ingest", "backfill") else tmp_path / "home"
    said, shown = command(where, *asked, "--json"), command(where, *asked)

    assert (said.code, shown.code) == (0, 0), said.err + shown.err
    assert isinstance(said.document, dict)
    assert "\x1b" not in said.out + shown.out + shown.err
    with pytest.raises(json.JSONDecodeError):
        json.loads(shown.out)
    assert max(map(len, shown.out.splitlines())) <= 100


@pytest.mark.slow
def test_a_process_of_its_own_prints_the_same_with_no_progress_bar_when_it_is_piped(tmp_path: Path) -> None:
    source = sqlite_store(tmp_path / "e.db", [delivery(session_id=f"s-{n}") for n in range(2000)])

    imported = process(tmp_path / "home", "import", str(source), "--json")
    piped = process(tmp_path / "home", "import", "-", stdin=text([delivery(session_id="piped")]))
    ingested = process(tmp_path / "home", "ingest")

    assert (imported.code, imported.document["imported_count"]) == (0, 2000)
    assert imported.err == f"note: made a new home: {tmp_path / 'home'} (CAVRA_HOME says where it is)\n"
    assert (piped.code, piped.err) == (0, "")
    assert (ingested.code, ingested.err) == (0, "")
    assert "2,001 received, 0 quarantined" in ingested.out
    assert "\x1b" not in piped.out + ingested.out
    assert "\r" not in piped.out + ingested.out


def test_an_answer_says_what_it_rests_on(home: Path) -> None:
    health = command(home, "retry-health", *ASKED, "--window-hours", "24", "--json").document
    planned = command(home, "retry-plan", *ASKED, "--max-retry-attempts", "1", "--json").document

    assert (health["as_of"], health["window_hours"], health["expected_interval_minutes"]) == (
        "2026-06-25T12:00:00+00:00", 24, 30,
    )  # fmt: skip
    assert health["evidence_record_count"] == 8
    assert (planned["max_retry_attempts"], planned["suppressed_count"], planned["evidence_record_count"]) == (1, 1, 3)


def test_the_same_question_has_the_same_id_however_its_numbers_are_written(home: Path) -> None:
    def asked(*options: str) -> str:
        return str(command(home, "retry-plan", *ASKED, "--json", *options).document["retry_plan_id"])

    assert asked() == asked("--retry-delay-minutes", "15.0", "--backoff-multiplier", "2", "--generated-by", "somebody")
    assert asked() != asked("--retry-delay-minutes", "15.5")


@pytest.mark.parametrize("codes", [["404", "410"], ["404", "--non-retryable-status-code", "410"]])
def test_a_list_of_codes_follows_its_option_once_or_is_given_one_by_one(codes: list[str], home: Path) -> None:
    words = ["--non-retryable-status-code", *codes, "--max-retry-attempts", "4"]
    asked = command(home, "retry-plan", *ASKED, *words, "--json")
    lost = command(home, "retry-plan", *ASKED, "--max-retry-attempts", "4", "410")

    assert asked.document["non_retryable_status_codes"] == [404, 410]
    assert asked.document["max_retry_attempts"] == 4
    assert (lost.code, "unexpected extra argument" in lost.err) == (2, True)


def test_the_boundary_s_lists_show_places_and_never_values(home: Path) -> None:
    held, found = command(home, "quarantine", "--json").document, command(home, "findings", "--json").document

    assert [(row["line_number"], row["reason"]) for row in held["quarantine"]] == [(9, "not_json")]
    assert [(row["line_number"], row["rule"], row["action"], row["is_secret"]) for row in found["findings"]] == [
        (8, "url-password", "dropped", True)
    ]
    for asked in (["quarantine"], ["findings"], ["findings", "--json"]):
        said = command(home, *asked)
        assert "hunter2" not in said.out + said.err
        assert "no json" not in said.out


@pytest.mark.parametrize(
    ("lane", "level", "fail_on", "code"),
    [
        ("recovery_escalation", "healthy", None, 0),
        ("recovery_escalation", "healthy", "warning", 0),
        ("executive_report", "warning", None, 0),
        ("executive_report", "warning", "warning", 3),
        ("executive_report", "warning", "critical", 0),
        ("executive_health_alert", "critical", None, 0),
        ("executive_health_alert", "critical", "warning", 3),
        ("executive_health_alert", "critical", "critical", 3),
        ("auditor_export", "unknown", "warning", 0),
    ],
)
def test_fail_on_ends_with_3_at_or_above_the_level_and_still_answers(
    lane: str, level: str, fail_on: str | None, code: int, quiet: Path
) -> None:
    asked = ["retry-health", "--lane", lane, "--as-of", AS_OF, "--json", *(["--fail-on", fail_on] if fail_on else [])]

    said = command(quiet, *asked)

    assert (said.document["alert_level"], said.code) == (level, code)


def test_the_same_import_and_ingest_twice_say_that_nothing_is_new(tmp_path: Path) -> None:
    home, source = tmp_path / "home", json_lines(tmp_path / "e.jsonl", [delivery(), "no json"])
    first = [command(home, "import", str(source), "--json"), command(home, "ingest", "--json")]
    again = [command(home, "import", str(source), "--json"), command(home, "ingest", "--json")]

    assert [said.code for said in first + again] == [0, 0, 0, 0]
    assert len(first[0].document["drops_written"]) == first[1].document["drop_count"] == 2
    assert (again[0].document["drops_written"], again[0].document["known_count"]) == ([], 2)
    assert (again[1].document["drop_count"], again[1].document["unchanged_drop_count"]) == (0, 2)


def test_import_leads_to_the_quarantine_and_notes_a_record_dated_later_than_now(tmp_path: Path) -> None:
    now = delivery(datetime.now(UTC) - timedelta(minutes=5), session_id="now")
    later = delivery(datetime.now(UTC) + timedelta(days=400), session_id="later")
    plain = command(tmp_path / "one", "import", str(json_lines(tmp_path / "plain.jsonl", [now])))
    said = command(tmp_path / "two", "import", str(json_lines(tmp_path / "later.jsonl", [now, later, "no json"])))

    assert "the newest record is dated" not in plain.err
    assert f"the newest record is dated {later['created_at'][:10]} " in said.err
    for line, answer in (("ingest", said), ("status", command(tmp_path / "two", "ingest"))):
        assert answer.out.endswith(f"next: cavra-pipeline {line}\n      cavra-pipeline quarantine\n")
    assert plain.out.endswith("next: cavra-pipeline ingest\n")
    for home, is_warned in (("one", False), ("two", True)):
        assert ("warning  landing zone" in command(tmp_path / home, "doctor").out) is is_warned


@pytest.mark.slow
def test_a_range_is_read_again_from_its_first_to_its_last_day_and_no_further(tmp_path: Path) -> None:
    settings = home_with(tmp_path, {f"2026-06-{day}": [delivery(session_id=day)] for day in ("23", "24", "25", "26")})
    command(settings.home, "ingest")

    for chosen, days in (
        (["--from", "2026-06-24", "--to", "2026-06-25"], 2),
        (["--from", "2026-06-24"], 3),
        (["--to", "2026-06-23"], 1),
        (["--from", "2026-06-26", "--to", "2026-06-26"], 1),
        ([], 0),
    ):
        assert command(settings.home, "ingest", *chosen, "--json").document["drop_count"] == days, chosen


def test_a_file_that_is_no_drop_is_named_and_left_alone(tmp_path: Path) -> None:
    settings = home_with(tmp_path, [delivery()])
    (settings.landing / "2026-06-25" / "notes.txt").write_text("canary")
    (settings.landing / "stray.jsonl").write_text("canary")

    said = command(settings.home, "ingest", "--json")

    assert (said.code, said.document["ignored_files"]) == (0, ["2026-06-25/notes.txt", "stray.jsonl"])
    assert "ignored stray.jsonl: a landing file is landing/YYYY-MM-DD/NAME.jsonl" in said.err
    assert "canary" not in said.out + said.err


def test_an_empty_landing_zone_is_no_failure_and_says_how_to_fill_it(tmp_path: Path) -> None:
    said = command(tmp_path / "home", "ingest")

    assert said.code == 0
    assert "cavra-pipeline import PATH fills it" in said.err


@pytest.mark.slow
def test_a_backfill_over_days_without_drops_makes_every_report_of_every_day_and_is_a_success(tmp_path: Path) -> None:
    settings = home_with(tmp_path, {"2026-06-25": [delivery(failed=["slack"])]})

    said = command(settings.home, "backfill", "--from", "2026-06-24", "--to", "2026-06-26", "--json")

    assert (said.code, said.err) == (0, "")
    assert (said.document["day_count"], said.document["drop_count"], said.document["received_count"]) == (3, 1, 1)
    assert said.document["report_count"] == 3 * REPORTS_A_DAY
    assert said.document["reports_by_alert_level"].keys() == {"critical", "healthy", "unknown", "warning"}
    before = saved(settings)
    assert len(before) == said.document["report_count"]
    command(settings.home, "backfill", "--from", "2026-06-24", "--to", "2026-06-26")
    assert saved(settings) == before
    refreshed = process(settings.home, "refresh", "--from", "2026-06-25", "--to", "2026-06-26", "--json")
    assert json.loads(refreshed.out).items() >= {"day_count": 2, "report_count": 2 * REPORTS_A_DAY}.items()


@pytest.mark.slow
def test_an_unreadable_drop_is_a_failure_that_does_not_stop_the_others(tmp_path: Path) -> None:
    settings = home_with(tmp_path, {"2026-06-25": [delivery(session_id="good")]})
    (settings.landing / "2026-06-25" / "cut.jsonl.gz").write_bytes(b"\x1f\x8b\x08")

    for asked in (
        ["ingest", "--json"],
        ["ingest", "--json"],
        ["backfill", "--from", "2026-06-25", "--to", "2026-06-25", "--json"],
    ):
        said = command(settings.home, *asked)
        assert said.code == 1
        assert "2026-06-25/cut.jsonl.gz: the compressed file is damaged or cut short\n  Copy or export it" in said.err
        assert len(said.document["failures"]) == 1
    assert query(settings, "SELECT session_id FROM evidence") == [("good",)]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_demo_takes_the_real_path_and_says_what_is_wrong_and_where_to_look(tmp_path: Path) -> None:
    home = tmp_path / "home"
    said = process(home, "demo", seconds=300)

    assert said.code == 0, said.err
    assert "Traceback" not in said.err
    now, earlier, pages = said.out.split("\n\n")
    heading = now.splitlines()[0]
    items = [" ".join(one.split()) for part in (now, earlier) for one in part.split("\n-  ")[1:]]
    assert (len(items), heading[:16], heading[-29:]) == (10, "What is wrong as", "and the command that shows it")
    assert re.findall(r"http://\S+", pages) == [
        "http://127.0.0.1:8765", "http://127.0.0.1:8765/#/executive", "http://127.0.0.1:3000",
    ]  # fmt: skip
    assert all(" cavra-pipeline " in one for one in items)
    as_of = heading.removeprefix("What is wrong as of ").split(" UTC")[0].replace(" ", "T") + "Z"
    assert any(re.match(r"\d+ records? quarantined, \d+ findings? since ", one) for one in items)
    wide = command(home, "status", "--as-of", as_of, environ={"COLUMNS": "300"}).out
    status = " ".join(wide.split()).replace(f" --as-of {as_of}", "")
    assert all(one in status for one in items[:-2])

    for one in items:
        for words in one.split(" cavra-pipeline ")[1:]:
            assert command(home, *words.split()).code == 0
    stories = command(home, "demo", "--stories").out
    assert len(re.findall(r"(?m)^ ?\d{4}-\d\d-\d\d \d\d:\d\d  ", stories)) == 27
    assert command(home, "demo", "--stories").out == stories
    assert len(command(home, "demo", "--stories", "--json").document["stories"]) == 27
