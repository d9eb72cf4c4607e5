"""`prove` on homes with a commit log of their own: proven after late evidence, a rebuild and a pruning."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from cavra_pipeline.cli import cli
from cavra_pipeline.durations import short_duration
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.evidence.keeper import rebuild, warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.proof.keys import new_key
from cavra_pipeline.proof.publish import publish
from cavra_pipeline.reports.store import save_reports
from cavra_pipeline.retention.prune import prune
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.verify.bundle import attested
from cavra_pipeline.verify.check import judged
from cavra_pipeline.verify.container import unpack
from cavra_pipeline.verify.prove import prove_report, prove_saved_report
from tests.support import AS_OF, NOW, Record, ask_plan, at, delivery, drop, home_with, ingested, record, take_in
from tests.verify.bundles import RULES, fault_of

LANE = LANES["recovery_escalation"]
DAYS = 24 * 60


def evidence() -> list[Record]:
    """Deliveries and worker runs of three days; the oldest of each are of no use to later answers."""
    return [
        delivery(at(2 * DAYS + 10), session_id="d-0", subject="subject-0"),
        record(LANE.kinds.worker_run, at(2 * DAYS + 10), "w-0", run_id="run-0"),
        delivery(at(2 * DAYS, microseconds=250_000), failed=["slack", "teams"], session_id="d-1",
                 status_codes=[500, None]),
        delivery(at(DAYS), failed=["slack"], session_id="d-2", subject="subject-2"),
        delivery(at(60), failed=["slack"], session_id="d-3", subject="subject-2"),
        record(LANE.kinds.worker_run, at(90), "w-1", run_id="run-1", selected_retry_count=1),
        record(LANE.kinds.retry_plan, at(3 * DAYS), "p-1", retry_plan_id="plan-1", retryable_count=2),
        record("recovery-escalation-ack", at(30), "a-1", plan_id="subject-1", provider="Slack",
               acknowledgement_state="acknowledged", signer="an on-call team"),
    ]  # fmt: skip


def proved(home: Settings, report: str = "retry_plan", as_of: datetime = AS_OF, **parameters: object) -> bytes:
    return prove_report(home, report, LANE, as_of=as_of, now=NOW, parameters=parameters)


def log_of(bundle: bytes) -> list[Mapping[str, object]]:
    return [json.loads(line) for line in unpack(bundle)["log.jsonl"].splitlines()]


@pytest.mark.slow
def test_report_and_verifier_say_an_age_the_same_on_both_sides_of_a_unit(tmp_path: Path) -> None:
    ran_at = at(3 * DAYS)
    home = ingested(tmp_path, [record(LANE.kinds.worker_run, ran_at, "w-0", run_id="run-0")])
    ages = {
        61: "1 h 1 min", 120: "2 h", 1439: "23 h 59 min", 1440: "1 d", 1499: "1 d", 1500: "1 d 1 h", 2879: "1 d 23 h",
    }  # fmt: skip
    for minutes, words in ages.items():
        bundle = proved(home, "retry_health", ran_at + timedelta(minutes=minutes), expected_interval_minutes=15)
        assert fault_of(bundle) == ""
        missed = json.loads(unpack(bundle)["report.json"])["alerts"][0]["message"]
        assert missed == f"The last retry worker run: {words} ago; one is due every 15 min."


@pytest.mark.parametrize(("minutes", "words"), [(0, "0 min"), (1, "1 min"), (59, "59 min"), (60, "1 h")])
def test_a_short_age_is_said_in_minutes_up_to_an_hour(minutes: int, words: str) -> None:
    assert short_duration(minutes) == words


@pytest.mark.parametrize("report", ["retry_plan", "retry_health"])
def test_a_report_of_a_home_is_proven_by_its_own_log(tmp_path: Path, report: str) -> None:
    home = ingested(tmp_path, evidence())

    assert fault_of(proved(home, report)) == ""
    assert fault_of(proved(home, report, at(DAYS))) == ""


def test_a_bundle_holds_no_day_after_the_report_and_nothing_of_another_lane(tmp_path: Path) -> None:
    other = delivery(at(60), lane="executive_report", failed=["jira"], session_id="other")
    home = ingested(tmp_path, [*evidence(), other])
    files = unpack(proved(home, as_of=at(DAYS)))

    assert [name for name in files if name.startswith("evidence/")] == [
        "evidence/2026-06-22.jsonl", "evidence/2026-06-23.jsonl", "evidence/2026-06-24.jsonl",
    ]  # fmt: skip
    assert b"d-2" in files["evidence/2026-06-24.jsonl"]
    assert b"other" not in b"".join(files[name] for name in files if name.startswith("evidence/"))


def test_the_same_home_proves_the_same_report_by_the_same_bytes(tmp_path: Path) -> None:
    home = ingested(tmp_path, evidence())

    assert proved(home) == prove_report(home, "retry_plan", LANE, as_of=AS_OF, now=NOW + timedelta(days=1))


@pytest.mark.slow
def test_an_older_bundle_stays_proven_after_late_evidence_a_rebuild_and_a_pruning(tmp_path: Path) -> None:
    home = ingested(tmp_path, evidence())
    old = proved(home)
    kept = unpack(old)["checkpoint.txt"].decode()
    drop(home, [delivery(at(DAYS + 5), failed=["jira"], session_id="late")], name="late.jsonl")
    take_in(home)
    rebuild(home, without_missing=False)
    new = proved(home)
    held, fault = judged(new, RULES, against=kept)

    assert fault == fault_of(old) == ""
    assert "2026-06-24 by entry 2 (ingest 2026-06-25/late.jsonl)" in dict(held)["history"]
    assert len(log_of(new)) == 2, "a rebuild from the same files is no entry"

    prune(warehouse_of(home), state_of(home), date(2026, 6, 24), now=NOW)
    pruned = proved(home)
    assert fault_of(pruned, against=kept) == fault_of(old) == ""
    assert [entry["act"] for entry in log_of(pruned)][-1] == "prune"
    assert "retention" in dict(judged(pruned, RULES)[0])


def test_the_report_is_that_of_the_engine_from_the_lines_alone(tmp_path: Path) -> None:
    home = ingested(tmp_path / "one", evidence())
    files = unpack(proved(home, max_retry_attempts=7))
    lines = [line for name in files if name.startswith("evidence/") for line in files[name].splitlines()]
    again = ask_plan(ingested(tmp_path / "other", lines), max_retry_attempts=7)

    assert attested(again) == json.loads(files["report.json"])


def test_a_saved_report_is_proven_until_late_evidence_makes_another(tmp_path: Path) -> None:
    home = ingested(tmp_path, evidence())
    day = AS_OF.date()
    list(save_reports(warehouse_of(home), state_of(home), "retry_plan", LANE.name, [day], now=NOW))
    assert fault_of(prove_saved_report(home, "retry_plan", LANE, day)) == ""

    drop(home, [delivery(at(5), failed=["jira"], session_id="late")], name="late.jsonl")
    take_in(home)
    with pytest.raises(PipelineError, match="another report: decision_count differs"):
        prove_saved_report(home, "retry_plan", LANE, day)
    with pytest.raises(UsageError, match="no such report is saved"):
        prove_saved_report(home, "retry_plan", LANE, date(2026, 6, 1))


def test_a_row_that_was_changed_in_the_warehouse_is_not_proven(tmp_path: Path) -> None:
    home = ingested(tmp_path, evidence())
    with warehouse_of(home).writing("tamper") as session:
        session.execute("DELETE FROM evidence_records WHERE session_id = 'a-1'")

    with pytest.raises(PipelineError, match="the records of 2026-06-25 are not those of the log"):
        proved(home, "retry_health")


def test_a_home_without_evidence_has_nothing_to_prove(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no commit log"):
        proved(home_with(tmp_path))


def test_prove_writes_a_bundle_that_verify_accepts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = ingested(tmp_path, evidence())
    monkeypatch.setenv("CAVRA_HOME", str(home.home))
    path = tmp_path / "proof.zip"
    command = [
        "prove",
        "--lane",
        LANE.name,
        "--report",
        "plan",
        "--as-of",
        AS_OF.isoformat(),
        "-o",
        str(path),
        "--json",
    ]
    done = CliRunner().invoke(cli, command)

    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert said["report_id"] == ask_plan(home)["retry_plan_id"]
    assert CliRunner().invoke(cli, ["verify", str(path)]).exit_code == 0
    health = ["prove", "--lane", LANE.name, "--report", "health", "--window-hours", "24", "-o", str(path)]
    done = CliRunner().invoke(cli, health)
    assert done.exit_code == 0, done.output
    assert "retry-health-recovery_escalation-" in done.output
    refused = CliRunner().invoke(cli, [*command[:5], "--saved", "2026-06-25", "--max-retry-attempts", "3"])
    assert isinstance(refused.exception, UsageError)


def test_a_home_with_a_key_signs_its_bundles(tmp_path: Path) -> None:
    public = new_key(tmp_path / "signing.pem").hex()
    other = new_key(tmp_path / "other.pem").hex()
    home = ingested(tmp_path, evidence(), signing_key_file=tmp_path / "signing.pem")
    bundle = proved(home)
    kept = publish(home)[0].text

    assert fault_of(bundle, key=public + "\n", against=kept) == ""
    assert fault_of(bundle, key=unpack(bundle)["key.txt"].decode()) == ""
    assert fault_of(bundle, key=other) == "signature: the attestation is not signed by the key"
    assert fault_of(bundle, key=public.upper()) != ""


@pytest.mark.slow
def test_verify_takes_a_bundle_or_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = ingested(tmp_path, evidence())
    monkeypatch.setenv("CAVRA_HOME", str(home.home))

    assert isinstance(CliRunner().invoke(cli, ["verify"]).exception, UsageError)
    assert isinstance(CliRunner().invoke(cli, ["verify", str(home.warehouse), "--home"]).exception, UsageError)
    done = CliRunner().invoke(cli, ["verify", "--home"])
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "intact"), done.output
