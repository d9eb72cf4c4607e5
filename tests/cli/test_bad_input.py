"""Bad input: a message that says what, where and what to do, the right exit code, no traceback, nothing harmed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.settings import Settings
from tests.cli.command import command, process
from tests.evidence.secrets_made_up import canary
from tests.imports.sources import json_lines, landed, sqlite_store
from tests.support import delivery, home_with, tables, take_in

LANE = ["--lane", "recovery_escalation"]
PLAN, HEALTH = ["retry-plan", *LANE], ["retry-health", *LANE]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with a record in it, which nothing here may change."""
    made = home_with(tmp_path_factory.mktemp("bad"), [delivery(session_id="before", failed=["slack"])])
    take_in(made)
    return made


def refused(said_code: int, expected: int, err: str, *parts: str) -> None:
    assert said_code == expected, err
    assert "Traceback" not in err
    for part in parts:
        assert part in err, err


#: What is asked, and what the message must name: the field and what is accepted.
WRONG: dict[str, tuple[list[str], list[str]]] = {
    "unknown lane": (
        ["retry-plan", "--lane", "express"], ["there is no such lane", "recovery_escalation, executive_report"],
    ),
    "proof of nothing": (["prove"], ["--report is missing", "--report plan", "--subject gordackexecsched-"]),
    "proof of no lane": (["prove", "--report", "plan"], ["--lane is missing", "One of recovery_escalation"]),
    "proof of the executive report of a lane": (["prove", *LANE, "--report", "executive"], ["--lane: an executive"]),
    "verification of nothing": (["verify"], ["BUNDLE is missing", "verify plan.zip", "verify --home"]),
    "verification of two things": (["verify", "--home", "--key", __file__], ["--home: the home is verified by"]),
    "acknowledgement of nothing": (["ack"], ["--subject, --provider and --by are missing", "Add --provider NAME: "]),
    "silence without an end": (["alerts", "silence", "--by", "a", "--comment", "c"], ["--for is missing", "or 2d."]),
    "silence with two ends": (
        ["alerts", "silence", "--by", "a", "--comment", "c", "--for", "4h", "--until", "9998-01-01"],
        ["--until: a silence has one end"],
    ),
    "no lane": (["worker"], ["cavra-pipeline worker", "--lane is missing", "One of recovery_escalation"]),
    "attempts of none": ([*PLAN, "--max-retry-attempts", "0"], ["--max-retry-attempts", "from 1 to 100"]),
    "too many attempts": ([*PLAN, "--max-retry-attempts", "101"], ["--max-retry-attempts", "from 1 to 100"]),
    "half an attempt": ([*PLAN, "--max-retry-attempts", "1.5"], ["--max-retry-attempts", "1.5"]),
    "delay under 0": ([*PLAN, "--retry-delay-minutes", "-1"], ["--retry-delay-minutes", "0 to 525600"]),
    "delay over a year": ([*PLAN, "--retry-delay-minutes", "525600.5"], ["--retry-delay-minutes", "0 to 525600"]),
    "delay of no number": ([*PLAN, "--retry-delay-minutes", "soon"], ["'soon' is not a number"]),
    "multiplier under 1": ([*PLAN, "--backoff-multiplier", "0.99"], ["--backoff-multiplier", "from 1 to 100"]),
    "multiplier over 100": ([*PLAN, "--backoff-multiplier", "100.1"], ["--backoff-multiplier", "from 1 to 100"]),
    "multiplier without end": ([*PLAN, "--backoff-multiplier", "inf"], ["--backoff-multiplier", "finite"]),
    "multiplier of no number": ([*PLAN, "--backoff-multiplier", "nan"], ["--backoff-multiplier", "finite"]),
    "longest delay of none": ([*PLAN, "--max-retry-delay-minutes", "0"], ["--max-retry-delay-minutes", "1 to 525600"]),
    "longest delay past a year": (
        [*PLAN, "--max-retry-delay-minutes", "525601"], ["--max-retry-delay-minutes", "1 to 525600"],
    ),
    "status 99": ([*PLAN, "--non-retryable-status-code", "99"], ["--non-retryable-status-code", "100 to 599"]),
    "status 600": ([*PLAN, "--non-retryable-status-code", "600"], ["--non-retryable-status-code", "100 to 599"]),
    "unknown field": ([*PLAN, "--retry-harder"], ["No such option", "--retry-harder"]),
    "interval of none": ([*HEALTH, "--expected-interval-minutes", "0"], ["--expected-interval-minutes", "1 to 525600"]),
    "interval past a year": (
        [*HEALTH, "--expected-interval-minutes", "525601"], ["--expected-interval-minutes", "1 to 525600"],
    ),
    "stale after none": ([*HEALTH, "--stale-metadata-minutes", "0"], ["--stale-metadata-minutes", "1 to 525600"]),
    "stale after a year": (
        [*HEALTH, "--stale-metadata-minutes", "525601"], ["--stale-metadata-minutes", "1 to 525600"],
    ),
    "window of none": ([*HEALTH, "--window-hours", "0"], ["--window-hours", "from 1 to"]),
    "unknown level": ([*HEALTH, "--fail-on", "healthy"], ["--fail-on", "'warning', 'critical'"]),
    "e-mail as label": ([*PLAN, "--generated-by", "a@example.org"], ["--generated-by"]),
    "label too long": ([*HEALTH, "--generated-by", "x" * 129], ["--generated-by"]),
    "as-of of tomorrow": ([*HEALTH, "--as-of", "tomorrow"], ["--as-of", "2026-06-25T15:07:25Z"]),
    "as-of of a day to come": ([*PLAN, "--as-of", "9998-01-01"], ["9998-01-01", "still to come"]),
    "as-of of no day": ([*PLAN, "--as-of", "2026-02-30"], ["--as-of", "2026-06-25T15:07:25Z"]),
    "empty as-of": ([*PLAN, "--as-of", ""], ["--as-of", "'' is not a valid time", "2026-06-25T15:07:25Z"]),
    "age of nothing": ([*PLAN, "--as-of", "0d"], ["--as-of", "2026-06-25T15:07:25Z"]),
    "misspelt lane": (["retry-plan", "--lane", "executive-report"], ["Did you mean executive_report?"]),
    "misspelt choice": (["prove", *LANE, "--report", "helth"], ["Did you mean health?"]),
    "misspelt kind of alert": (["alerts", "history", "--kind", "mised_run"], ["--kind", "Did you mean missed_run?"]),
    "as-of of month 13": (["dashboard", "--as-of", "2026-13-25T00:00:00Z"], ["--as-of", "2026-06-25T15:07:25Z"]),
    "as-of past the end of time": (["dashboard", "--as-of", "9999-12-31T23:59:59-12:00"], ["--as-of"]),
    "range from no instant": (["scheduled-runs", "--from", "soon"], ["--from", "2026-06-25T15:07:25Z"]),
    "day that is none": (["ingest", "--from", "2026-02-30"], ["2026-02-30", "YYYY-MM-DD"]),
    "empty day": (["ingest", "--from", ""], ["--from: '' is not a valid day", "YYYY-MM-DD"]),
    "empty beginning": (["export", "--since", ""], ["--since: '' is not a valid time", "2026-06-25T15:07:25Z"]),
    "day of another shape": (["ingest", "--to", "25.06.2026"], ["25.06.2026", "YYYY-MM-DD"]),
    "from after to": (["ingest", "--from", "2026-06-26", "--to", "2026-06-25"], ["after --to 2026-06-25"]),
    "backfill from after to": (["backfill", "--from", "2026-06-26", "--to", "2026-06-25"], ["is after --to"]),
    "backfill without a beginning": (["backfill", "--to", "2026-06-26"], ["--from is missing", "Add --from DAY"]),
    "table without a beginning": (["table", "drops", "d.csv", "--to", "2026-06-26"], ["--from: a range begins"]),
    "refresh of days to come": (["refresh", "--to", "9998-01-01"], ["--to: 9998-01-01 is still to come"]),
    "backfill of days to come": (
        ["backfill", "--from", "2026-06-25", "--to", "9998-01-01"], ["--to: 9998-01-01 is still to come"],
    ),
    "import of nothing": (["import"], ["PATH is missing", "import evidence.db", "import --sources"]),
    "unknown command": (["retry-wealth"], ["No such command 'retry-wealth'", "Did you mean retry-health?"]),
    "stories without a demo": (["demo", "--stories"], ["holds no recorded month", "Run cavra-pipeline demo"]),
    "port of none": (["dev", "--port", "0"], ["--port", "1<=x<=65535"]),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "named"), WRONG.values(), ids=WRONG)
def test_wrong_usage_ends_with_2_and_says_what_is_accepted(
    asked: list[str], named: list[str], settings: Settings
) -> None:
    before = landed(settings)

    said = command(settings.home, *asked, *(["--json"] if asked[0] in ("retry-plan", "retry-health") else []))

    refused(said.code, 2, said.err, *named)
    assert said.out == ""
    assert landed(settings) == before


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("CAVRA_START_DATE", "soon", "YYYY-MM-DD"),
        ("CAVRA_BUSY_WAIT_SECONDS", "-1", "from 0 to 86400"),
        ("CAVRA_THREADS", "many", "from 0 to 1024"),
        ("CAVRA_BATCH_MEGABYTES", "0", "from 1 to 1024"),
        ("CAVRA_MEMORY_LIMIT", "banana", "500MB or 2GB"),
        ("CAVRA_HOME", "~no-such-user-anywhere/home", "path"),
    ],
)
def test_a_setting_that_is_not_accepted_is_named_with_what_is(
    name: str, value: str, accepted: str, settings: Settings
) -> None:
    said = command(settings.home, "dashboard", environ={name: value})

    refused(said.code, 2, said.err, name, accepted)


@pytest.mark.parametrize("limit", ["100MB", "1.5GB", "2 GiB", "750mb"])
def test_a_memory_limit_may_be_written_as_duckdb_takes_it(limit: str, settings: Settings) -> None:
    assert command(settings.home, "quarantine", environ={"CAVRA_MEMORY_LIMIT": limit}).code == 0


def test_a_home_that_can_not_be_written_is_said_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where a folder belongs")
    home = tmp_path / "file" / "home"

    for asked in (["ingest"], ["import", str(tmp_path / "file")], ["retry-plan", *LANE], ["quarantine"], ["demo"]):
        said = command(home, *asked)
        refused(
            said.code, 2, said.err, f"CAVRA_HOME={home}: the home folder can't be written", "set CAVRA_HOME to another"
        )
        assert said.out == ""


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.jsonl", None, "No such file or directory"),
        ("empty.jsonl", b"", "the file is empty"),
        (
            "no-store.db",
            b"\x7fELF" + bytes(100),
            "neither JSON lines, nor a CAVRA JSON store, nor a CAVRA SQLite store",
        ),
        ("cut.jsonl.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "damaged or cut short"),
        ("cut.json", b'{"items": [{"session_id":', "damaged or cut short"),
    ],
)
def test_a_source_that_can_not_be_read_ends_with_1_and_one_document(
    name: str, content: bytes | None, says: str, settings: Settings, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    before, rows = landed(settings), tables(settings)

    said = command(settings.home, "import", str(tmp_path / name), "--json")

    refused(said.code, 1, said.err, f"error: {tmp_path / name}: ", says)
    assert said.document["drops_written"] == []
    assert len(said.document["failures"]) == 1
    assert (landed(settings), tables(settings)) == (before, rows)


def test_a_database_without_the_table_is_no_store(settings: Settings, tmp_path: Path) -> None:
    path = sqlite_store(tmp_path / "e.db", [], table="CREATE TABLE orders (id INT)")

    said = command(settings.home, "import", str(path))

    refused(said.code, 1, said.err, str(path), "no table evidence_metadata", "Name CAVRA's own evidence store")


def test_a_folder_where_a_file_belongs_is_said(settings: Settings, tmp_path: Path) -> None:
    said = command(settings.home, "import", str(tmp_path))

    refused(said.code, 1, said.err, str(tmp_path), "the folder holds no evidence file")


def test_one_bad_source_does_not_stop_the_others(tmp_path: Path) -> None:
    good = json_lines(tmp_path / "good.jsonl", [delivery()])

    said = command(tmp_path / "home", "import", str(tmp_path / "missing.jsonl"), str(good), "--json")

    refused(said.code, 1, said.err, "missing.jsonl")
    assert (said.document["imported_count"], len(said.document["drops_written"])) == (1, 1)


@pytest.mark.slow
def test_a_warehouse_that_is_none_is_kept_aside_and_made_again(tmp_path: Path) -> None:
    settings = home_with(tmp_path, [delivery()])
    assert process(settings.home, "ingest").code == 0
    content = b"not a warehouse at all" * 1000
    settings.warehouse.write_bytes(content)

    said = process(settings.home, "dashboard", "--json")

    (aside,) = settings.home.glob("warehouse.duckdb.refused-*")
    assert (said.code, json.loads(said.out)["evidence_record_count"]) == (0, 1)
    assert aside.read_bytes() == content
    assert all(part in said.err for part in (f"was set aside as {aside.name}", "was rebuilt from 1 landing files"))


def test_a_busy_warehouse_is_said_with_who_holds_it_after_the_wait_that_was_asked_for(settings: Settings) -> None:
    with warehouse_of(settings).writing("hold it for a test"):
        said = process(settings.home, "quarantine", environ={"CAVRA_BUSY_WAIT_SECONDS": "0.2"})

    refused(said.code, 1, said.err, "stayed busy for 0.2 s", "hold it for a test", "CAVRA_BUSY_WAIT_SECONDS")


def test_a_name_that_there_is_not_is_repeated_on_one_line_and_cut(settings: Settings) -> None:
    said = command(settings.home, "retry-plan", "--lane", f"re\ncovery\x1b[31m{'x' * 60}")

    assert said.err.startswith("error: --lane: there is no such lane: 're\\ncovery\\x1b[31m")
    assert "\x1b[31m" not in said.err
    assert f"{'x' * 20}...'\n" in said.err
    assert "x" * 41 not in said.err


def test_no_message_repeats_a_secret_that_somebody_typed(settings: Settings) -> None:
    secret = canary("github token")

    for asked in (
        ["retry-plan", "--lane", secret],
        [*PLAN, "--generated-by", secret],
        [*HEALTH, "--as-of", secret],
        ["backfill", "--from", secret],
        ["alerts", "history", "--kind", secret],
    ):
        said = command(settings.home, *asked)
        refused(said.code, 2, said.err)
        assert secret not in said.out + said.err


def test_a_reader_that_stops_reading_ends_the_command_without_a_traceback(settings: Settings) -> None:
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m cavra_pipeline.cli retry-plan --lane executive_report --json | true"],
        env={**os.environ, "CAVRA_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stderr == ""
    assert json.loads(command(settings.home, "retry-plan", "--lane", "executive_report", "--json").out)
