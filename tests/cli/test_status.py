"""`status`, `doctor`, `open` and `sql`: what they say agrees with the reports, and nothing is made or changed."""

from __future__ import annotations

import json
import shlex
import socket
import stat
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from dagster._daemon.types import DaemonHeartbeat

from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.alerts.watch import watch_pass
from cavra_pipeline.cli.common import clock
from cavra_pipeline.cli.doctor import _PARTS, _run_check
from cavra_pipeline.cli.tables import daemon_words
from cavra_pipeline.daemon import STARTS_WITHIN, daemon_state, recorded_start
from cavra_pipeline.lanes import LANES
from cavra_pipeline.resources import dagster_instance
from cavra_pipeline.settings import Settings
from tests.cli.command import command, process
from tests.executive.histories import ask_report
from tests.support import acknowledgement, at, delivery, execution, home_with, ingested, plan, take_in, worker_run

pytestmark = pytest.mark.slow

AS_OF = ["--as-of", "2026-06-25T12:00:00Z"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with a failing delivery in one lane and nothing else."""
    made = home_with(
        tmp_path_factory.mktemp("status"),
        [worker_run(at(30)), plan(at(5)), delivery(at(40), session_id="d-1", failed=["slack"], status_codes=[503])],
    )
    take_in(made)
    return made


def states(home: Path, **environ: str) -> dict[str, str]:
    said = command(home, "doctor", "--json", environ=environ)
    found = {one["part"]: one["state"] for one in said.document["checks"]}
    assert said.code == ("wrong" in found.values())
    assert said.document["wrong_count"] == [*found.values()].count("wrong")
    return found


def test_status_says_of_each_lane_what_its_reports_say(settings: Settings) -> None:
    document = command(settings.home, "status", *AS_OF, "--json").document

    assert list(document["lanes"]) == ["recovery_escalation", "executive_report"]
    for name, lane in document["lanes"].items():
        health = command(settings.home, "retry-health", "--lane", name, *AS_OF, "--json").document
        planned = command(settings.home, "retry-plan", "--lane", name, *AS_OF, "--json").document
        assert lane["alert_level"] == health["alert_level"]
        assert lane["retryable_count"] == planned["retryable_count"]
        assert lane["worst_alert"]["message"] == health["alerts"][0]["message"]
    assert (document["evidence"]["record_count"], document["evidence"]["newest_record_age_minutes"]) == (3, 5)
    assert (document["daemon"]["state"], document["connectors"]["on"]) == ("never_seen", [])
    assert document["next"] == f"cavra-pipeline retry-health --lane executive_report {' '.join(AS_OF)}"
    assert "--as-of" not in command(settings.home, "status", "--json").document["next"]


def test_a_lane_without_a_worker_run_is_not_said_to_be_down(settings: Settings) -> None:
    text = command(settings.home, "status", *AS_OF).out

    assert "no worker run has been recorded yet: executive_report" in text
    assert "down" not in text


def test_the_health_of_a_lane_names_its_incident_and_its_failed_retries(tmp_path: Path) -> None:
    failing = [delivery(at(40 + n), subject=f"s-{n}", failed=["servicenow"], status_codes=[401]) for n in range(4)]
    home = home_with(tmp_path, [worker_run(at(5)), plan(at(5)), *failing, execution(at(35), subject="s-1")])
    take_in(home)

    text = command(home.home, "retry-health", "--lane", "recovery_escalation", *AS_OF).out
    other = command(home.home, "retry-health", "--lane", "executive_report", *AS_OF).out

    assert "ServiceNow" in text.partition("Problems")[2]
    (row,) = [line.split() for line in text.partition("Failed and skipped retries")[2].splitlines() if "failed" in line]
    assert (row[0], row[1], row[-1]) == ("s-1", "slack", "failed")
    assert not any(words in other for words in ("ServiceNow", "Failed and skipped retries"))


def test_a_worker_that_runs_under_a_disabled_schedule_is_not_said_to_be_down(tmp_path: Path) -> None:
    home = home_with(
        tmp_path,
        [
            worker_run(at(5), enabled=False),
            delivery(at(40), failed=["slack"]),
            worker_run(at(600), lane="executive_report"),
        ],
    )
    take_in(home)
    said = command(home.home, "status", *AS_OF).out

    assert "1 worker is down: executive_report for 9 h" in said
    assert "recovery_escalation for" not in said


@pytest.mark.parametrize("last", [5, 130])
def test_status_and_the_executive_report_agree_on_a_worker_that_runs_too_seldom(tmp_path: Path, last: int) -> None:
    lane = "acknowledgement_audit"
    home = ingested(tmp_path, [worker_run(at(last + 125 * n), lane=lane) for n in range(12)])
    said, report = command(home.home, "status", *AS_OF).out, ask_report(home)

    words = "the retry worker runs every 2 h 5 min, expected every 1 h"
    assert f"{lane}: {words}" in " ".join(said.split())
    assert f"Acknowledgement audit: {words}." in report["what_happened"]
    assert "1 worker is down" not in said
    assert f"{lane} for" not in said


def test_status_says_first_that_no_daemon_runs_and_not_where_one_does(tmp_path: Path) -> None:
    home = home_with(tmp_path, [worker_run(at(5)), delivery(at(40), failed=["slack"])])
    take_in(home)
    sentence = "Dagster's daemon is not running: no scheduled retries, no alerts"
    assert sentence not in command(home.home, "status", *AS_OF, environ={"COLUMNS": "140"}).out
    wrong = command(home.home, "status", environ={"COLUMNS": "140"}).out.split("What is wrong\n")[1]
    assert [line.strip() for line in wrong.splitlines()[:2]] == [f"-  {sentence}", "cavra-pipeline dev"]

    with dagster_instance(home) as instance:
        for kind in ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR"):
            instance.add_daemon_heartbeat(DaemonHeartbeat(clock().timestamp(), kind, "one", []))

    assert sentence not in command(home.home, "status", environ={"COLUMNS": "140"}).out


def test_incidents_of_a_provider_that_no_delivery_names_are_refused_and_none_are_an_answer(tmp_path: Path) -> None:
    records = [delivery(at(40 + n), subject=f"s-{n}", failed=["servicenow"]) for n in range(4)]
    home = home_with(tmp_path, [*records, delivery(at(30), subject="s-9")])
    take_in(home)

    for name, number in (("servicenow", 1), ("slack", 0)):
        said = command(home.home, "incidents", "--provider", name, *AS_OF, "--json")
        assert (said.code, len(said.document["incidents"])) == (0, number)
    refused = command(home.home, "incidents", "--provider", "servicnow", *AS_OF)
    assert (refused.code, "Did you mean servicenow?" in refused.err) == (2, True)
    assert "Use one of servicenow, slack" in command(home.home, "incidents", "--provider", "nope", *AS_OF).err
    many = home_with(
        tmp_path / "many", [delivery(at(30 + n), subject=f"s-{n}", failed=[f"own-{n}"]) for n in range(12)]
    )
    take_in(many)
    refused = command(many.home, "incidents", "--provider", "nope", *AS_OF)
    assert ("cavra-pipeline dashboard lists all 12" in refused.err, "own_" in refused.err) == (True, False)


def test_status_holds_the_due_retries_that_the_worker_leaves_to_a_person(tmp_path: Path) -> None:
    lines = [
        *(delivery(at(90 + n), subject=f"s-{n}", failed=["slack"]) for n in range(3)),
        acknowledgement(at(60), subject="s-0", provider="slack", state="acknowledged"),
        acknowledgement(at(60), subject="s-1", provider="slack", state="deferred"),
    ]
    home = home_with(tmp_path, lines)
    take_in(home)
    lane = command(home.home, "status", *AS_OF, "--json").document["lanes"]["recovery_escalation"]
    table = command(home.home, "status", *AS_OF).out
    run = command(home.home, "worker", "--lane", "recovery_escalation", "--json").document

    assert (lane["retryable_count"], lane["held_count"]) == (3, 2)
    assert (run["retryable_count"], run["acknowledgement_pending_count"]) == (3, 2)
    (row,) = [line.split() for line in table.splitlines() if line.startswith("recovery_escalation ")]
    assert row[1:8] == ["critical", "no", "run", "yet", "1", "2", "0"]
    assert "2 of 3 due retries are held: 1 to acknowledge and 1 deferred" in table


def test_each_lane_that_is_not_healthy_says_why(tmp_path: Path) -> None:
    lines = [
        *(record for lane in LANES for record in (worker_run(at(5), lane=lane), plan(at(5), lane=lane))),
        *(delivery(at(40 + n), lane="executive_report", subject=f"s-{n}", failed=["teams"]) for n in range(4)),
        delivery(at(40), subject="s-9", failed=["slack"]),
        delivery(at(40), lane="executive_health_alert", subject="h-1", failed=["jira"]),
        execution(at(30), lane="executive_health_alert", subject="h-1", provider="jira", status="failed"),
    ]
    home = home_with(tmp_path, lines)
    take_in(home)
    table = command(home.home, "status", *AS_OF, environ={"COLUMNS": "140"}).out.split("Lanes in use")[1]
    rows = (line.split() for line in table.splitlines())
    why = {row[0]: " ".join(row[2:-6]) for row in rows if row[:1] and row[0] in LANES}
    assert why == {
        "recovery_escalation": "held",
        "executive_report": "Teams",
        "recovery_health_alert": "-",
        "executive_health_alert": "failed retries",
        "acknowledgement_audit": "-",
        "auditor_export": "-",
        "release_closeout": "-",
    }


@pytest.mark.parametrize("has_failed", [False, True])
def test_what_is_worse_than_a_held_retry_is_said_beside_it(tmp_path: Path, has_failed: bool) -> None:
    lines = [worker_run(at(5)), plan(at(5)), delivery(at(40), failed=["slack"])]
    home = home_with(tmp_path, [*lines, *([execution(at(35))] if has_failed else [])])
    take_in(home)
    wrong = command(home.home, "status", *AS_OF, environ={"COLUMNS": "140"}).out

    assert "1 of 1 due retry is held for an acknowledgement" in wrong
    assert ("recovery_escalation: 1 retry failed or was skipped" in wrong) == has_failed
    assert "1 failing delivery needs an acknowledgement" not in wrong


def test_a_leaked_secret_is_wrong_until_a_person_has_resolved_its_alert(tmp_path: Path) -> None:
    home = home_with(tmp_path, [delivery(evidence_token="ghp_" + "a1B2" * 9)])
    take_in(home)
    sentence = "-  1 leaked secret to rotate, in evidence from 2026-06-25"
    leak = Signal(
        "secret_finding", "2026-06-25", "critical", at(0), evidence={"drop_day": "2026-06-25", "newest_leak": 1}
    )
    watch_pass(home, Observation(["secret_finding"], [leak]), clock=lambda: at(0))

    assert sentence in command(home.home, "status", *AS_OF).out
    assert "Rotate each leaked secret" in command(home.home, "findings").out
    (alert,) = command(home.home, "alerts", "--json").document["alerts"]
    assert command(home.home, "alerts", "resolve", alert["alert_id"], "--by", "security").code == 0
    assert "leaked" not in command(home.home, "status").out
    assert sentence in command(home.home, "status", *AS_OF).out, "it was open then"
    findings = command(home.home, "findings").out
    assert ("handled" in findings, "to rotate" in findings, "next:" in findings) == (True, False, False)


@pytest.mark.parametrize("last_run", [5, 600])
def test_a_stale_plan_asks_for_nothing_beside_a_worker_that_is_down(tmp_path: Path, last_run: int) -> None:
    home = ingested(tmp_path, [worker_run(at(last_run)), plan(at(600))])
    said = command(home.home, "retry-health", "--lane", "recovery_escalation", *AS_OF).out

    assert ("The worker's next run makes a new one." in said) == (last_run == 600)
    assert ("Make a new retry plan before anything is retried." in said) == (last_run == 5)


def test_status_fits_one_screen_and_its_next_command_runs(settings: Settings) -> None:
    said = command(settings.home, "status", *AS_OF, environ={"COLUMNS": "80"})

    assert len(said.out.splitlines()) <= 40
    assert max(map(len, said.out.splitlines())) <= 80
    for name in ("status", "retry-health", "retry-plan"):
        printed = command(settings.home, name, *AS_OF, environ={"COLUMNS": "80"}).out.split("next: cavra-pipeline ")[1]
        following = command(settings.home, *printed.replace("\\\n", "").split(), "--json")
        assert (following.code, following.document["as_of"]) == (0, "2026-06-25T12:00:00+00:00"), name


def test_status_of_an_empty_home_names_import_as_the_next_command(tmp_path: Path) -> None:
    document = command(tmp_path, "status", "--json").document

    assert (document["evidence"]["record_count"], document["next"]) == (0, "cavra-pipeline import PATH")
    assert document["lanes"].keys() == {lane.name for lane in LANES.values() if lane.is_always_in_use}


def test_status_names_ingest_until_the_last_landing_file_is_ingested(tmp_path: Path) -> None:
    store = tmp_path / "evidence.jsonl"
    store.write_text(f"{json.dumps(delivery(at(40), session_id='d-1'))}\n", encoding="utf-8")
    home = tmp_path / "home"

    assert command(home, "import", str(store)).code == 0
    document = command(home, "status", *AS_OF, "--json").document
    assert (document["evidence"]["files_to_ingest_count"], document["next"]) == (1, "cavra-pipeline ingest")
    assert "; 1 file to ingest" in command(home, "status", *AS_OF).out

    assert command(home, *document["next"].split()[1:]).code == 0
    document = command(home, "status", *AS_OF, "--json").document
    assert (document["evidence"]["files_to_ingest_count"], document["evidence"]["record_count"]) == (0, 1)
    assert "ingest" not in document["next"]
    (home / "landing" / "2026-06-25" / "later.jsonl").write_text(f"{json.dumps(delivery(at(30)))}\n")
    assert command(home, "status", "--json").document["next"] == "cavra-pipeline ingest"


def test_doctor_finds_nothing_wrong_in_a_home_that_works(settings: Settings) -> None:
    found = states(settings.home)

    assert list(found) == ["settings", *_PARTS]
    assert {part for part, state in found.items() if state != "ok"} == {"dagster"}
    assert found["dagster"] == "warning"


def test_a_command_that_makes_a_home_says_so_once_and_doctor_makes_none(tmp_path: Path) -> None:
    for name in ("doctor", "sql drops"):
        said = command(tmp_path / "mistyped", *name.split())
        assert "there is no home yet" in " ".join((said.out + said.err).split())
    assert list(tmp_path.iterdir()) == []
    assert f"note: made a new home: {tmp_path}/mistyped (" in command(tmp_path / "mistyped", "status").err
    assert "made a new home" not in command(tmp_path / "mistyped", "status").err


def test_an_instant_before_the_first_record_is_no_empty_home(settings: Settings) -> None:
    for name in ("status", "retry-plan", "dashboard"):
        said = command(settings.home, name, "--as-of", "2001-01-01").out
        assert "no evidence yet: the first record is of 2026-06-25" in said
        assert not any(word in said for word in ("demo", "import PATH"))


def test_a_command_that_leads_on_repeats_the_instant_as_it_was_written(settings: Settings) -> None:
    text = command(settings.home, "status", "--as-of", "2026-06-25 12:00").out
    assert "--as-of '2026-06-25 12:00'" in text
    assert "now: none on this host" in text
    assert "now:" not in command(settings.home, "status").out


def test_doctor_makes_nothing_where_there_is_no_home(tmp_path: Path) -> None:
    assert states(tmp_path / "none") == {"settings": "ok", "home": "wrong"}
    assert list(tmp_path.iterdir()) == []


def test_doctor_names_the_one_part_that_is_wrong(tmp_path: Path) -> None:
    made = home_with(tmp_path, [delivery()])
    take_in(made)
    assert "wrong" not in states(made.home).values()
    damage = {
        "warehouse": (made.warehouse, b"no warehouse" * 1000),
        "connectors": (made.home / "connectors.yaml", b"connectors: {fax: {}}"),
        "sources": (made.home / "sources.yaml", b"sources: 1"),
    }

    damaged = []
    for part, (path, content) in damage.items():
        path.write_bytes(content)
        damaged.append(part)
        assert [one for one, state in states(made.home).items() if state == "wrong"] == damaged
    shown = command(made.home, "doctor")
    assert [line.split()[1] for line in shown.out.splitlines() if line.startswith("wrong ")] == damaged
    assert shown.code == 1


def test_doctor_names_a_broken_dagster_instance_and_status_does_without_it(tmp_path: Path) -> None:
    made = home_with(tmp_path, [delivery()])
    take_in(made)
    broken = made.home / "broken"
    broken.mkdir()
    environ = {"DAGSTER_HOME": str(broken)}
    for content in ("run_queue: {a: [", "run_queue: 7", "storage: {sqlite: {base_dir: /proc/none}}"):
        (broken / "dagster.yaml").write_text(content)

        found = states(made.home, **environ)
        assert [part for part, state in found.items() if state == "wrong"] == ["dagster"], content
        said = command(made.home, "status", environ=environ)
        assert (said.code, said.err) == (0, "")
        assert "unknown: Dagster's instance can't be opened" in said.out
        assert command(made.home, "status", "--json", environ=environ).document["daemon"]["state"] == "unknown"


def test_a_heartbeat_after_the_clock_was_read_is_not_of_a_minute_below_zero(tmp_path: Path) -> None:
    made, now = home_with(tmp_path, [delivery()]), at(0)
    with dagster_instance(made) as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(now.timestamp() + 10, "SENSOR", "one", []))

    assert daemon_state(made, now)["age_minutes"] == 0


@pytest.mark.parametrize(
    ("age", "says"),
    [
        (1, "alive, heartbeat 1 min ago"),
        (2, "last heartbeat 2 min ago, where one"),
        (4, "it may have stopped"),
        (6, "not running, last heartbeat"),
    ],
)
def test_a_daemon_whose_heartbeat_is_late_is_not_called_alive(tmp_path: Path, age: int, says: str) -> None:
    made = home_with(tmp_path, [delivery()])
    with dagster_instance(made) as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(clock().timestamp() - age * 60 - 5, "SENSOR", "one", []))

    words = daemon_words(daemon_state(made, clock()))
    assert says in words
    assert ("alive" in words) == (age == 1)


@pytest.mark.parametrize("last_beat_minutes", [None, 3, 60])
def test_a_daemon_that_was_started_a_moment_ago_is_starting(tmp_path: Path, last_beat_minutes: int | None) -> None:
    made, now = home_with(tmp_path, [delivery()]), clock()
    if last_beat_minutes:
        with dagster_instance(made) as instance:
            beat = now.timestamp() - last_beat_minutes * 60
            instance.add_daemon_heartbeat(DaemonHeartbeat(beat, "SENSOR", "one", []))
    with recorded_start(made):
        daemon = daemon_state(made, now)
        said = command(made.home, "status").out
        late = daemon_state(made, now + STARTS_WITHIN + timedelta(seconds=5))

    assert (daemon["state"], daemon["silent"]) == ("starting", [])
    assert "daemon      starting; no heartbeat yet" in said
    assert "not running" not in said
    assert late["state"] == ("silent" if last_beat_minutes else "never_seen")
    # Nothing is left that could call a daemon starting once it has ended.
    assert daemon_state(made, now)["state"] != "starting"
    assert "starting" not in command(made.home, "status").out


def test_a_daemon_that_has_given_its_first_heartbeat_is_alive_at_once(tmp_path: Path) -> None:
    made = home_with(tmp_path, [delivery()])
    with recorded_start(made), dagster_instance(made) as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(clock().timestamp(), "SENSOR", "one", []))
        words = daemon_words(daemon_state(made, clock()))

    assert words == "alive, heartbeat just now"


def test_doctor_refuses_a_landing_zone_that_is_no_folder(tmp_path: Path) -> None:
    made = home_with(tmp_path, [delivery()])
    take_in(made)
    made.landing.rename(made.home / "elsewhere")
    assert states(made.home)["landing zone"] == "ok"

    made.landing.write_text("")

    assert [part for part, state in states(made.home).items() if state == "wrong"] == ["landing zone"]
    assert "Move that file away" in command(made.home, "doctor").out


def test_doctor_names_a_state_database_that_is_none(tmp_path: Path) -> None:
    made = home_with(tmp_path, [delivery()])
    take_in(made)
    for path in made.home.glob("state.db*"):
        path.unlink()
    (made.home / "state.db").write_bytes(b"no database" * 1000)
    (made.home / "state.db").chmod(0o600)

    said = process(made.home, "doctor", "--json")

    wrong = [one for one in said.document["checks"] if one["state"] == "wrong"]
    assert (said.code, [one["part"] for one in wrong]) == (1, ["state database"])
    assert all(one["remedy"] for one in wrong)


def test_doctor_names_settings_keys_and_rights_that_are_wrong(settings: Settings, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("no key")
    key.chmod(0o600)

    assert states(settings.home, CAVRA_THREADS="many") == {"settings": "wrong"}
    assert states(settings.home, CAVRA_SIGNING_KEY_FILE=str(key))["signing key"] == "wrong"
    assert states(settings.home, CAVRA_TIMESTAMP_URL="https://tsa.example.com")["time stamps"] == "wrong"
    assert states(settings.home, CAVRA_API_TOKENS=str(tmp_path / "none"))["API tokens"] == "wrong"
    settings.home.chmod(0o755)
    assert states(settings.home)["home"] == "wrong"
    assert stat.S_IMODE(settings.home.stat().st_mode) == 0o755
    settings.home.chmod(0o700)
    assert states(settings.home)["home"] == "ok"


def test_doctor_goes_on_where_a_part_can_not_be_read_or_breaks(tmp_path: Path) -> None:
    too_long = tmp_path / ("x" * 300)
    said = command(too_long, "doctor", "--json")

    (_, wrong) = said.document["checks"]
    assert (said.code, said.err, wrong["state"]) == (1, "", "wrong")
    assert wrong["found"] == f"{too_long}: it can't be read (File name too long)"
    assert wrong["remedy"].startswith("Give this user access")

    def broken() -> str:
        raise RuntimeError("with a secret in it")

    check = _run_check("warehouse", broken)
    assert (check.state, check.message) == ("wrong", "warehouse: it can't be tried (RuntimeError)")
    assert check.remedy == "Report this as a defect"


def test_doctor_prints_a_remedy_that_runs_as_it_stands(tmp_path: Path) -> None:
    made = home_with(tmp_path / "a home", [delivery()])
    take_in(made)
    token, file = made.home / "hook.txt", made.home / "connectors.yaml"
    token.write_text("https://hooks.example.org/T1")
    token.chmod(0o644)
    file.write_text("connectors: {slack: {url_file: hook.txt}}")
    file.chmod(0o600)

    for path, mode in ((token, 0o600), (file, 0o644)):
        path.chmod(0o666)
        (wrong,) = [one for one in command(made.home, "doctor", "--json").document["checks"] if one["state"] == "wrong"]
        assert wrong["remedy"].startswith("run: chmod ")
        subprocess.run(shlex.split(wrong["remedy"].removeprefix("run: ")), check=True)
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert states(made.home)["connectors"] == "ok"


def test_open_prints_the_addresses_where_nobody_sits(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        served = command(settings.home, "open", environ={"CAVRA_CONSOLE_URL": address})
    unserved = command(settings.home, "open", environ={"CAVRA_CONSOLE_URL": address})
    assert (served.out, served.err) == (f"{address}\n", "")
    assert unserved.out == served.out
    assert "nothing answers there. Start cavra-pipeline dev, or set CAVRA_CONSOLE_URL" in " ".join(unserved.err.split())
    said = command(settings.home, "open", "dagster", "--json", environ={"CAVRA_DAGSTER_URL": "http://ui.test:3001"})
    assert said.document == {"page": "dagster", "address": "http://ui.test:3001", "is_opened": False}


def test_sql_answers_a_query_in_three_forms_and_changes_nothing(settings: Settings) -> None:
    query = "SELECT provider, count(*) AS n FROM delivery_outcomes GROUP BY 1"

    assert command(settings.home, "sql", query, "--json").document["rows"] == [{"provider": "slack", "n": 1}]
    assert command(settings.home, "sql", query, "--output", "csv").out == '"provider","n"\n"slack",1\n'
    assert "slack" in command(settings.home, "sql", query).out
    before = settings.warehouse.read_bytes()
    for wrong in ("DELETE FROM evidence_records", "SELECT 1; SELECT 2", "SELEC 1", "no_such_table"):
        said = command(settings.home, "sql", wrong, "--json")
        assert (said.code, said.out) == (2, ""), wrong
    assert settings.warehouse.read_bytes() == before
