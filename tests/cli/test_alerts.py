"""`cavra-pipeline alerts`: what a person sees, what a program reads, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cavra_pipeline.alerts.kinds import KINDS
from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.alerts.watch import watch_pass
from cavra_pipeline.cli import cli
from cavra_pipeline.cli.alert_words import evaluation_words, muted_counts, muted_words
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.leaks import note_leaks
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from tests.support import empty_warehouse


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CAVRA_HOME", str(tmp_path / "home"))
    settings = Settings(home=tmp_path / "home").prepare()
    settings.warehouse.write_bytes(empty_warehouse())
    now = datetime.now(UTC)
    since = now - timedelta(hours=3)
    wrong = [
        Signal("missed_run", "recovery_retry_worker", "critical", since, "failed_before_work", 5),
        Signal("failed_run", "daily_close", "critical", since),
    ]
    watch_pass(settings, Observation(["missed_run", "failed_run"], wrong), clock=lambda: now)
    return settings


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["alerts", *words], catch_exceptions=True)


def answer(*words: str) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.output)


def test_open_alerts_are_listed_and_fit_a_terminal(home: Settings) -> None:
    for words in ([], ["list"]):
        result = run(*words)
        assert result.exit_code == 0
        assert "Open alerts: 2" in result.output
        assert "CAVRA_ALERT_CONNECTORS is empty" in result.output
        assert max(map(len, result.output.splitlines())) <= 80
        assert "UTC; up to 5 missed runs" in " ".join(result.output.split())
        assert "failed runs" not in result.output, "one is not counted"

    status = " ".join(CliRunner().invoke(cli, ["status"]).output.split())
    assert "2 open, 2 critical, 0 muted; not evaluated now: Dagster's daemon is not running" in status
    listed = answer("list")
    found = {(one["kind"], one["occurrence_count"], one["state"]) for one in listed["alerts"]}
    assert found == {("missed_run", 5, "firing"), ("failed_run", 1, "firing")}
    assert (listed["alert_count"], listed["connectors"], listed["unsent_notices"]) == (2, [], [])


def test_an_alert_is_acknowledged_by_the_beginning_of_its_id(home: Settings) -> None:
    whole = answer("list")["alerts"][0]["alert_id"]

    assert answer("ack", whole[:14], "--by", "on-call")["state"] == "acknowledged"
    assert "none until it resolves" in run("ack", whole, "--by", "on-call").output
    events = answer("history", whole)["events"]
    assert [(one["event"], one["actor"]) for one in events] == [("acknowledged", "on-call"), ("opened", None)]
    assert "acknowledged" in run("history").output
    assert answer("history", "--kind", "daemon_down") == {"count": 0, "events": []}
    assert "History: none" in run("history", "--kind", "daemon_down").output


def test_several_alerts_are_acknowledged_at_once(home: Settings) -> None:
    ids = [one["alert_id"] for one in answer("list")["alerts"]]

    done = answer("ack", ids[0], ids[1], ids[0], "--by", "on-call")["alerts"]

    assert [(one["alert_id"], one["state"]) for one in done] == [(one, "acknowledged") for one in ids]
    partly = run("ack", ids[0], "alert-ffffffff", "--by", "on-call")
    assert partly.exit_code == 1
    assert "there is no such alert" in partly.output
    assert partly.output.count("Acknowledged") == 1


def test_muted_alerts_are_counted_by_what_mutes_them() -> None:
    by = ["provider_incident", "worker_down", "silence-1", None]

    assert muted_counts([{"muted_by": one} for one in by]) == (2, 1)
    assert muted_words(2, 1) == "2 muted by their cause, 1 silenced"
    assert [muted_words(1, 0), muted_words(0, 3), muted_words(0, 0)] == [
        "1 muted by its cause",
        "3 silenced",
        "0 muted",
    ]


def test_alerts_are_not_said_to_be_none_before_the_first_evaluation() -> None:
    started = {"state": "alive", "are_alerts_evaluated": False}

    assert evaluation_words(started, 0) == "not evaluated yet: Dagster's sensors are still to tick"
    assert evaluation_words(started, 8) == "not all evaluated yet: Dagster's sensors are still to tick"
    assert evaluation_words({**started, "are_alerts_evaluated": True}, 0) == ""
    assert evaluation_words({"state": "unknown", "are_alerts_evaluated": None}, 0) == ""
    assert "not running" in evaluation_words({"state": "silent", "are_alerts_evaluated": False}, 0)


def test_open_alerts_say_when_they_were_evaluated_once_all_were(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = {"state": "alive", "are_alerts_evaluated": True, "alerts_evaluated_at": "2026-06-25T11:58:07+00:00"}
    monkeypatch.setattr("cavra_pipeline.cli.alerts.daemon_of", lambda _settings, _now: daemon)
    assert "Open alerts: 2, evaluated at 11:58:07 UTC" in run("list").output

    daemon["are_alerts_evaluated"] = False
    assert "evaluated at" not in run("list").output
    daemon.update(state="unknown", are_alerts_evaluated=None, alerts_evaluated_at=None)
    assert "Open alerts: 2\n" in run("list").output


@pytest.mark.parametrize(
    ("kinds", "first", "act"),
    [
        (("worker_down", "provider_incident"), "provider_incident", "ack"),
        (("worker_down", "provider_incident", "secret_finding"), "secret_finding", "resolve"),
        (("worker_down", "stale_retry_plan"), "worker_down", "ack"),
    ],
)
def test_the_next_command_is_about_the_alert_that_matters_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, ...], first: str, act: str
) -> None:
    monkeypatch.setenv("CAVRA_HOME", str(tmp_path / "home"))
    settings = Settings(home=tmp_path / "home").prepare()
    settings.warehouse.write_bytes(empty_warehouse())
    now = datetime.now(UTC)
    wrong = [Signal(kind, f"subject-{kind}", KINDS[kind].severity, now - timedelta(hours=3)) for kind in kinds]
    watch_pass(settings, Observation(kinds, wrong), clock=lambda: now)
    ids = {one["kind"]: one["alert_id"][: len("alert-") + 8] for one in answer("list")["alerts"]}

    _, _, suggested = run("list").output.partition("next: ")
    assert f"cavra-pipeline alerts {act} {ids[first]} --by LABEL" in suggested
    assert ("cavra-pipeline findings" in suggested) is (act == "resolve")
    assert not [kind for kind in kinds if kind != first and ids[kind] in suggested]


def test_leaked_secrets_are_named_before_their_alert_is_raised(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = {"state": "alive", "are_alerts_evaluated": False, "alerts_evaluated_at": None}
    monkeypatch.setattr("cavra_pipeline.cli.alerts.daemon_of", lambda _settings, _now: daemon)
    assert "leaked secret" not in run("list").output
    now = datetime.now(UTC)
    leak = {"leak_id": "leak-1", "drop_day": now.date(), "rule": "github-token", "found_at": now}
    with state_of(home).writing() as c:
        note_leaks(c, [leak])

    said = " ".join(run("list").output.split())
    assert f"1 leaked secret to rotate, in evidence from {now.date()}; the alert follows." in said
    assert said.endswith("next: cavra-pipeline findings")
    found = Signal("secret_finding", now.date().isoformat(), "critical", now)
    watch_pass(home, Observation(["secret_finding"], [found]), clock=lambda: now)
    assert "the alert follows" not in run("list").output


def test_every_kind_has_a_noun_for_one_and_for_several() -> None:
    nouns = [noun for kind in KINDS.values() for noun in kind.noun]

    assert len(set(nouns)) == 2 * len(KINDS)
    assert not [noun for noun in nouns if "_" in noun or noun != noun.strip(" .")]


def test_a_silence_is_made_listed_and_ended(home: Settings) -> None:
    made = answer(
        "silence", "--kind", "failed_run", "--for", "4h", "--by", "on-call", "--comment", "planned work of daily_close"
    )
    start, end = (datetime.fromisoformat(made[name]) for name in ("starts_at", "ends_at"))

    assert end - start == timedelta(hours=4)
    assert [one["silence_id"] for one in answer("list")["silences"]] == [made["silence_id"]]
    assert made["silence_id"] in run("list").output
    head, _, listed = run("list").output.partition("Silences")[0].partition("\n")
    assert head == "Open alerts: 2 (1 silenced)"
    missed_run, failed_run = listed.split("failed run: ")
    assert f"silenced until {end:%m-%d %H:%M} UTC by on-call" in " ".join(failed_run.split())
    assert "missed run: " in missed_run
    assert "silenced" not in missed_run, "and it comes first"
    told = " ".join(run("history").output.split())
    assert "failed run: daily_close by on-call, " in told
    assert "UTC: planned work of daily_close" in told, "a person's own words stay"
    assert answer("unsilence", made["silence_id"])["silence_id"] == made["silence_id"]
    assert answer("list")["silences"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ack", "alert-nothere", "--by", "on-call"], "there is no such alert"),
        (["history", "alert-nothere"], "there is no such alert"),
        (["history", "--kind", "no_such"], "there is no such kind"),
        (["unsilence", "silence-x"], "there is no such silence"),
        (["silence", "--kind", "failed_run", "--for", "4x", "--by", "a", "--comment", "c"], "not a span of time"),
        (["silence", "--kind", "failed_run", "--for", "0h", "--by", "a", "--comment", "c"], "not a span of time"),
        (["silence", "--for", "4h", "--by", "a", "--comment", "c"], "match every alert"),
        (["silence", "--kind", "failed_run", "--for", "4h", "--by", "a@b", "--comment", "c"], "not public-safe"),
    ],
)
def test_what_is_not_accepted_is_said_with_a_remedy(home: Settings, words: list[str], message: str) -> None:
    result = run(*words)
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)


def test_a_leaked_secret_is_resolved_and_an_alert_that_ends_by_itself_is_not(home: Settings) -> None:
    now = datetime.now(UTC)
    leak = Signal("secret_finding", "2026-06-25", "critical", now, evidence={"newest_leak": 1})
    watch_pass(home, Observation(["secret_finding"], [leak]), clock=lambda: now)
    ids = {one["kind"]: one["alert_id"] for one in answer("list")["alerts"]}

    # A later tick that finds nothing does not end it.
    watch_pass(home, Observation(["secret_finding"], []), clock=lambda: now)
    assert "secret_finding" in {one["kind"] for one in answer("list")["alerts"]}
    refused = run("ack", ids["secret_finding"], "--by", "on-call")
    assert "ends only when a person resolves it" in str(refused.exception)
    assert {one["state"] for one in answer("list")["alerts"]} == {"firing"}
    assert answer("resolve", ids["secret_finding"], "--by", "on-call")["state"] == "resolved"
    assert "secret_finding" not in {one["kind"] for one in answer("list")["alerts"]}
    both = run("resolve", ids["failed_run"], ids["missed_run"], "--by", "on-call")
    assert both.exit_code == 1
    assert both.output.count("resolves by itself once its cause is gone") == 2
    assert {one["kind"] for one in answer("list")["alerts"]} == {"failed_run", "missed_run"}
    refused = run("resolve", ids["failed_run"], "--by", "on-call")
    assert "resolves by itself once its cause is gone" in str(refused.exception)


def test_the_next_step_is_the_first_alert_that_nothing_explains_and_resolves_a_leak(home: Settings) -> None:
    now = datetime.now(UTC)
    ids = {alert["kind"]: alert["alert_id"][:14] for alert in answer("list")["alerts"]}
    first = next(alert for alert in answer("list")["alerts"] if alert["severity"] == "critical")
    assert f"alerts ack {first['alert_id'][:14]} --by LABEL" in run("list").output

    for kind, step in (("missed_run", "Fix its cause, then run"), ("failed_run", "Open the failed run")):
        assert step in run("ack", ids[kind], "--by", "on-call").output
    leak = Signal("secret_finding", "2026-06-25", "critical", now, evidence={"newest_leak": 1})
    watch_pass(home, Observation(["secret_finding"], [leak]), clock=lambda: now)
    (leaked,) = (alert["alert_id"] for alert in answer("list")["alerts"] if alert["kind"] == "secret_finding")
    assert f"alerts resolve {leaked[:14]} --by LABEL" in run("list").output
    assert "Rotate" not in run("resolve", leaked, "--by", "on-call").output
    assert "alerts ack" not in run("list").output
