"""The executive report's numbers, recomputed from every record of a home; and who says which number differs."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cavra_pipeline.cli import cli
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.executive.report import executive_reports
from cavra_pipeline.lanes import LANES
from cavra_pipeline.proof.checkpoint import parse_note
from cavra_pipeline.proof.publish import EmptyLog, publish
from cavra_pipeline.retention.prune import prune
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.verify.bundle import DisclosedDay, Proven, attested, make_bundle
from cavra_pipeline.verify.check import judged
from cavra_pipeline.verify.container import EVIDENCE, unpack
from cavra_pipeline.verify.executive import id_of, numbers_of, words
from cavra_pipeline.verify.prove import prove_report
from cavra_pipeline.verify.prove_executive import prove_executive_report
from tests.cli.command import command
from tests.executive.histories import ask_report, escalated
from tests.recoveries.stores import closure, playbook
from tests.support import (
    AS_OF,
    MICROSECOND,
    NOW,
    Record,
    acknowledgement,
    at,
    delivery,
    drop,
    execution,
    home_with,
    ingested,
    plan,
    record,
    take_in,
    worker_run,
)
from tests.verify.bundles import RULES, Log, fault_of
from tests.verify.test_bundles import run

pytestmark = pytest.mark.slow

DAYS = 24 * 60
AUDIT = "acknowledgement_audit"
#: What a report has that no number of a home decides differently.
GIVEN = {"as_of", "slo_minutes", "window_days"}


def evidence() -> list[Record]:
    """Some days of a home: every need of a recovery, a recovery closed late, one opened again, several causes."""
    needs = {"decide": "escalated", "resume": "deferred", "fix-again": "reopened"}
    return [
        *(playbook(at(300), "jira", playbook_id=f"p-{need}") for need in needs),
        *(closure(at(200), state, provider="jira", playbook_id=f"p-{need}") for need, state in needs.items()),
        closure(at(250), "resolved", provider="jira", playbook_id="p-fix-again"),
        playbook(at(190), "slack", "teams", playbook_id="p-open", counts={"slack": 9}),
        playbook(at(200), "webhook", playbook_id="p-told"),
        playbook(at(200), "splunk", playbook_id="p-owned"),
        playbook(at(16 * DAYS), "webhook", playbook_id="p-first"),
        playbook(at(9 * DAYS), "slack", playbook_id="p-old"),
        closure(at(9 * DAYS - 300), "mitigated", playbook_id="p-old"),
        playbook(at(2 * DAYS), "slack", playbook_id="p-late"),
        closure(at(2 * DAYS - 241), "resolved", playbook_id="p-late"),
        closure(at(5 * DAYS), "dropped by hand", playbook_id="p-unknown"),
        escalated(at(180), ("p-told", "webhook"), ("p-owned", "splunk"), subject="plan-1"),
        delivery(at(179), subject="plan-1", providers=["slack", "webhook"]),
        escalated(at(170), ("p-owned", "splunk"), subject="plan-2"),
        acknowledgement(at(160), subject="plan-2", provider="Slack"),
        delivery(at(2 * DAYS + 10), lane=AUDIT, subject="audit-1", failed=["slack"], status_codes=[401]),
        delivery(at(310), lane=AUDIT, subject="audit-2", failed=["jira", "teams"], status_codes=[500, None]),
        execution(at(100), lane=AUDIT, subject="audit-2", provider="jira", status="failed"),
        execution(at(90), lane=AUDIT, subject="audit-2", provider="teams", status="skipped"),
        record("x-agent-session", at(55), "session-of-an-agent"),
        worker_run(at(3 * DAYS)), worker_run(at(2 * DAYS), dry_run=False), worker_run(at(20)),
        worker_run(at(40), lane="executive_report", enabled=False), plan(at(5 * DAYS)),
        *(delivery(at(30 + n), lane="executive_report", subject="run-1", failed=["webhook"]) for n in range(3)),
    ]  # fmt: skip


def proved(home: Settings, as_of: datetime = AS_OF, **given: Any) -> bytes:
    return prove_executive_report(home, as_of=as_of, now=NOW, **given)


def report_of(bundle: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(unpack(bundle)["report.json"])
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return ingested(tmp_path_factory.mktemp("executive"), {"2026-06-25": evidence(), "2026-06-20": [b"not a record"]})


@pytest.fixture(scope="module")
def bundle(home: Settings) -> bytes:
    return proved(home)


def forged(bundle: bytes, change: Callable[[dict[str, Any]], object], *, with_id: bool = True) -> bytes:
    """The bundle with a changed report, made and attested as anybody can make one without a key."""
    files, report = unpack(bundle), report_of(bundle)
    change(report)
    if with_id:
        report["executive_report_id"] = id_of(report)
    return make_bundle(remade(files, report, bundle))


def remade(files: Mapping[str, bytes], report: Mapping[str, Any], bundle: bytes) -> Proven:
    """What a bundle was made of, with another report."""
    said = json.loads(base64.b64decode(json.loads(files["attestation.json"])["payload"]))["predicate"]
    days = {
        place: DisclosedDay(bytes.fromhex(salt), files[f"{EVIDENCE}{place}.jsonl"].split(b"\n")[:-1])
        for place, salt in said["salts"].items()
    }
    note = parse_note(files["checkpoint.txt"].decode(), "checkpoint")
    return Proven(report, days, files["log.jsonl"].split(b"\n")[:-1], note, said["pruned"], said["made_by"])


def test_a_bundle_brings_the_verifier_of_its_report_and_no_more(home: Settings, bundle: bytes, tmp_path: Path) -> None:
    of_plan = prove_report(home, "retry-plan", LANES[AUDIT], as_of=AS_OF, now=NOW)
    more = {name.removeprefix("verifier/") for name in unpack(bundle).keys() - unpack(of_plan).keys()}
    (tmp_path / "executive.zip").write_bytes(bundle)
    (tmp_path / "plan.zip").write_bytes(of_plan)

    assert {name for name in more if name.endswith(".py")} == {"executive.py", "providers.py", "recoveries.py"}
    assert run(tmp_path, bundle, "plan.zip").stdout.endswith("\nPROVEN\n")
    unable = run(tmp_path, of_plan, "executive.zip")
    assert (unable.returncode, unable.stderr) == (1, "")
    assert "FAIL file: only the verifier of an executive report checks one" in unable.stdout


def test_every_number_of_the_report_is_worked_out_again(home: Settings, bundle: bytes, tmp_path: Path) -> None:
    done = run(tmp_path, bundle)

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "ok   file", "ok   signature", "ok   log", "ok   evidence", "ok   report", "ok   words", "PROVEN",
    ]  # fmt: skip
    report = report_of(bundle)
    assert report["executive_report_id"] == ask_report(home)["executive_report_id"]
    assert report["open_by_need"] == {
        "acknowledge": 1, "close": 1, "decide": 1, "fix_again": 1, "notify": 3, "resume": 1, "review_retries": 2,
    }  # fmt: skip
    assert report["quarantined_record_count"] == 1
    assert report["recoveries"]["closed_late_in_window_count"] == 1
    assert report["recoveries"]["reopened_in_window_count"] == 1
    assert {one["cause"] for one in report["recoveries_by_cause"]} == {
        "credentials",
        "server_error",
        "no_answer",
        "unknown",
    }


@pytest.mark.parametrize(
    ("as_of", "given"),
    [
        # The limit of the recoveries that opened 190 minutes before, and a microsecond over it.
        (AS_OF, {"window_days": 1, "slo_minutes": 190}),
        (AS_OF + MICROSECOND, {"window_days": 1, "slo_minutes": 190}),
        (at(160) - MICROSECOND, {"window_days": 32, "slo_minutes": 525_600}),
        (at(17 * DAYS), {}),
    ],
)
def test_other_windows_limits_and_instants_are_proven_too(
    home: Settings, as_of: datetime, given: dict[str, Any]
) -> None:
    proof = proved(home, as_of, **given)
    assert fault_of(proof) == ""
    is_past = {one["playbook_id"]: one["slo_status"] == "breached" for one in report_of(proof)["open_recoveries"]}
    assert is_past.get("p-open", False) is (as_of > AS_OF)


def test_workers_that_run_too_seldom_and_providers_that_fail_now_are_proven(tmp_path: Path) -> None:
    failed = [delivery(at(500 - n), subject=f"s{n}", failed=["slack", "jira"]) for n in range(3)]
    home = ingested(
        tmp_path,
        [
            *(worker_run(at(125 * n), lane=AUDIT) for n in range(1, 13)), *failed,
            delivery(at(400), subject="s9", providers=["slack"]), execution(at(300), subject="s1", provider="jira"),
            playbook(at(600), "teams", playbook_id="short"), closure(at(590), playbook_id="short", provider="teams"),
        ],
    )  # fmt: skip
    proof = proved(home)
    assert fault_of(proof) == ""
    report = report_of(proof)
    assert {one["provider"]: one["is_failing_now"] for one in report["broken_providers"]} == {
        "jira": True,
        "slack": False,
    }
    assert {one["lane"]: one["usual_interval_minutes"] for one in report["lanes"]}[AUDIT] == 125
    assert {"worker_interval", "missed_worker"} <= {one["category"] for one in report["key_risks"]}
    assert "unresolved_failed_execution" not in {one["category"] for one in report["key_risks"]}
    assert max(one["most_open_count"] for one in report["backlog"]) == 1
    assert max(one["open_count"] for one in report["backlog"]) == 0


def leaves(value: Any, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    """The values of a document by their place; of a list the first and the last entry."""
    if isinstance(value, dict) and value:
        return {place: of for name, one in value.items() for place, of in leaves(one, (*path, name)).items()}
    if isinstance(value, list) and value:
        some = {0: value[0], len(value) - 1: value[-1]}
        return {place: of for number, one in some.items() for place, of in leaves(one, (*path, number)).items()}
    return {path: value}


def test_the_verifier_names_each_number_that_was_changed(home: Settings, bundle: bytes) -> None:
    numbers = leaves(numbers_of(report_of(bundle)))
    places = [place for place in numbers if place[0] not in {*GIVEN, "executive_report_id"}]
    assert len(places) > 200
    step = max(1, len(places) // 12)
    for place in [*places[::step], ("alert_level",), ("broken_providers", 0, "failing_notice_count")]:

        def change(report: dict[str, Any], place: tuple[Any, ...] = place) -> None:
            for name in place[:-1]:
                report = report[name]
            report[place[-1]] = 77 if numbers[place] != 77 else 78

        name = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in place).strip(".")
        assert fault_of(forged(bundle, change)).startswith(f"report: {name} says "), place


def test_words_are_in_the_id_and_named_as_not_worked_out_again(bundle: bytes) -> None:
    held, fault = judged(bundle, RULES)
    assert fault == ""
    assert dict(held)["words"].endswith(f"Not recomputed: {', '.join(words())}")
    lie = forged(bundle, lambda report: report.update(headline="All is well."), with_id=False)
    assert "executive_report_id says" in fault_of(lie)


def test_a_member_that_no_report_has_is_not_proven(bundle: bytes) -> None:
    assert "more says" in fault_of(forged(bundle, lambda report: report.update(more=1)))
    assert "lanes[0].more says" in fault_of(forged(bundle, lambda report: report["lanes"][0].update(more=1)))


def test_a_bundle_holds_all_records_of_the_home_up_to_its_day(home: Settings) -> None:
    names = [name for name in unpack(proved(home, at(2 * DAYS))) if name.startswith(EVIDENCE)]
    assert "evidence/no_lane/2026-06-23.jsonl" in names
    assert "evidence/recovery_escalation/2026-06-22.jsonl" in names
    assert max(name[-16:-6] for name in names) == "2026-06-23"
    assert b"session-of-an-agent" in unpack(proved(home))["evidence/no_lane/2026-06-25.jsonl"]


def places_of(log: Log) -> dict[str, DisclosedDay]:
    return {f"{lane or 'no_lane'}/{day}": one for (lane, day), one in log.days.items()}


def bundle_over(log: Log, report: Mapping[str, Any], days: Mapping[str, DisclosedDay] | None = None) -> bytes:
    """A bundle of an executive report over a log that a test wrote."""
    pruned: dict[str, Any] = {}
    return make_bundle(Proven(attested(report), days or places_of(log), log.entries, log.note(None), pruned))


@pytest.fixture
def small(tmp_path: Path) -> tuple[Log, dict[str, Any]]:
    lines = [playbook(at(30), "slack", session_id="p"), delivery(at(20), failed=["slack"], session_id="d")]
    with warehouse_of(ingested(tmp_path, lines)).reading() as session:
        (report,) = executive_reports(session, instants=[AS_OF], now=NOW)
    said = [{name: value for name, value in one.items() if value is not None} for one in lines]
    day = str(AS_OF.date())
    return Log({}).then({("", day): said[:1], ("recovery_escalation", day): said[1:]}), report


def test_a_left_out_day_or_record_of_any_lane_is_found_by_the_log(small: tuple[Log, dict[str, Any]]) -> None:
    log, report = small
    assert fault_of(bundle_over(log, report)) == ""
    for place in places_of(log):
        days = {name: one for name, one in places_of(log).items() if name != place}
        assert fault_of(bundle_over(log, report, days)) == (
            f"evidence: days that the log and the bundle don't both have: {place}"
        )
        emptied = {**places_of(log), place: replace(places_of(log)[place], records=[])}
        assert (
            fault_of(bundle_over(log, report, emptied)) == f"evidence: the records of {place} are not those of the log"
        )


def test_a_record_among_those_of_another_lane_or_of_none_is_found(small: tuple[Log, dict[str, Any]]) -> None:
    log, report = small
    day = str(AS_OF.date())
    (book,), (sent,) = (
        [json.loads(text) for text in log.days[lane, day].records] for lane in ("", "recovery_escalation")
    )
    for moved in (
        {("", day): [book, sent]},
        {("", day): [], ("recovery_escalation", day): [book, sent]},
        {("executive_report", day): [sent], ("", day): [book]},
    ):
        lie = Log({}).then({place: some for place, some in moved.items() if some})
        assert fault_of(bundle_over(lie, report)) == "evidence: it holds records of another lane"


def test_a_log_with_a_lane_that_the_verifier_does_not_know_is_refused(small: tuple[Log, dict[str, Any]]) -> None:
    log, report = small
    more = log.then({("a_fifth_lane", "2026-06-01"): [{"session_id": "x", "created_at": "2026-06-01T00:00:00+00:00"}]})
    assert fault_of(bundle_over(more, report)) == (
        "evidence: the log has lanes that this verifier doesn't know: a_fifth_lane"
    )


def test_a_pruned_home_is_proven_and_an_older_bundle_stays_so(tmp_path: Path) -> None:
    old_runs = [worker_run(at(20 * DAYS + n), session_id=f"w-{n}") for n in range(3)]
    home = ingested(tmp_path, [*evidence(), *old_runs])
    old = proved(home)
    kept = publish(home)[0].text
    drop(home, [delivery(at(3 * DAYS), failed=["jira"], session_id="late")], name="late.jsonl")
    take_in(home)
    prune(warehouse_of(home), state_of(home), date(2026, 6, 18), now=NOW)
    pruned = proved(home)
    held, fault = judged(pruned, RULES, against=kept)

    assert (fault, fault_of(old)) == ("", "")
    assert "2026-06-22 of recovery_escalation by entry 2 (ingest 2026-06-25/late.jsonl)" in dict(held)["history"]
    assert "older records pruned" in dict(held)["retention"]
    lanes = {one["lane"]: one for one in report_of(pruned)["lanes"]}
    before = {one["lane"]: one for one in report_of(old)["lanes"]}
    for name in ("evidence_record_count", "latest_record_at"):
        assert lanes["recovery_health_alert"][name] == before["recovery_health_alert"][name]
    counted = "evidence_record_count"
    assert lanes["recovery_escalation"][counted] == before["recovery_escalation"][counted] + 1
    assert report_of(old)["recoveries_before"] is not None
    assert report_of(pruned)["recoveries_before"] is None, "some days of the window before have been pruned"


def test_prove_writes_a_bundle_of_the_executive_report(home: Settings, tmp_path: Path) -> None:
    path = tmp_path / "executive.zip"
    asked = ["prove", "--report", "executive", "--as-of", AS_OF.isoformat(), "--slo-minutes", "90", "-o", str(path)]
    runner = CliRunner(env={"CAVRA_HOME": str(home.home)})
    done = runner.invoke(cli, [*asked, "--window-days", "3", "--json"])
    assert done.exit_code == 0, done.output
    report = report_of(path.read_bytes())
    assert (report["slo_minutes"], report["window_days"]) == (90, 3)
    assert json.loads(done.output)["report_id"] == report["executive_report_id"]
    checked = runner.invoke(cli, ["verify", str(path)])
    assert (checked.exit_code, checked.output.splitlines()[-1]) == (0, "PROVEN")


@pytest.mark.parametrize(
    ("more", "where"),
    [
        (["--report", "executive", "--lane", "executive_report"], "--lane"),
        (["--report", "plan"], "--lane"),
        (["--subject", "s", "--provider", "slack"], "--lane"),
        (["--report", "executive", "--window-hours", "4"], "--window-hours"),
        (["--report", "executive", "--saved", "2026-06-25"], "--saved"),
        (["--report", "executive", "--window-days", "367"], "--window-days"),
        (["--report", "plan", "--lane", "executive_report", "--slo-minutes", "4"], "--slo-minutes"),
    ],
)
def test_prove_refuses_what_does_not_go_together(
    home: Settings, tmp_path: Path, more: list[str], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command(home.home, "prove", *more)
    assert (done.code, done.out) == (2, "")
    assert where in done.err
    assert not list(tmp_path.iterdir())


def test_a_home_without_evidence_has_nothing_to_prove_by(tmp_path: Path) -> None:
    empty = home_with(tmp_path)
    with pytest.raises(EmptyLog, match="nothing was ever ingested"):
        proved(empty)
    assert issubclass(EmptyLog, UsageError), "the command line exits with 2"
