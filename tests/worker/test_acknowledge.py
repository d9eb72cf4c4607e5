"""Acknowledgements: states, labels, lanes, and that the last word counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.emitted import CLOCK_SLACK
from cavra_pipeline.lanes import ACKNOWLEDGEMENT_STATES, ALERT_STATES, CLEARING_STATES, LANES
from cavra_pipeline.retry.acknowledge import acknowledge, withdraw
from cavra_pipeline.settings import Settings
from tests.cli.command import command
from tests.support import AS_OF, MICROSECOND, acknowledgement, ask_health, at, delivery, drop, home_with, query
from tests.worker.support import Clock, Provider, armed_home, worker

pytestmark = pytest.mark.slow


def say(
    home: Settings,
    state: str = "accepted",
    *,
    lane: str = "recovery_escalation",
    subject: str = "subject-1",
    provider: str = "slack",
    by: str = "on-call",
    now: datetime = AS_OF,
    is_forced: bool = False,
    external_ref: str | None = None,
) -> dict[str, Any]:
    said = {"subject": subject, "provider": provider, "state": state, "by": by}
    return acknowledge(home, LANES[lane], **said, now=now, is_forced=is_forced, external_ref=external_ref)


@pytest.mark.parametrize("state", ACKNOWLEDGEMENT_STATES)
def test_each_state_closes_the_gap_and_clears_the_live_retry_as_the_contract_says(tmp_path: Path, state: str) -> None:
    home = armed_home(tmp_path, [delivery(at(60), failed=["slack"])])

    written = say(home, state)

    assert query(home, "SELECT acknowledgement_state, subject, provider, signer FROM acknowledgements") == [
        (state, "subject-1", "slack", "on-call")
    ]
    clears = state in CLEARING_STATES
    assert ask_health(home)["acknowledgement_pending_count"] == (0 if clears else 1)
    assert worker(home, Provider(Clock()), live=False)["selected_retry_count"] == (1 if clears else 0)
    assert written["acknowledgement_id"]


@pytest.mark.parametrize("lane", ["recovery_health_alert", "executive_health_alert"])
def test_a_health_alert_takes_its_own_states_and_no_others(tmp_path: Path, lane: str) -> None:
    home = home_with(tmp_path, [delivery(at(60), lane=lane, failed=["slack"])])

    for minutes, state in enumerate(ALERT_STATES):
        say(home, state, lane=lane, now=at(-minutes))
    for state in sorted(set(ACKNOWLEDGEMENT_STATES) - set(ALERT_STATES)):
        with pytest.raises(UsageError, match="state") as raised:
            say(home, state, lane=lane)
        assert "acknowledged, dismissed, escalated, resolved" in raised.value.remedy
    assert query(home, "SELECT DISTINCT lane, subject FROM acknowledgements") == [(lane, "subject-1")]
    assert query(home, "SELECT count(*) FROM acknowledgements") == [(len(ALERT_STATES),)]


def test_the_executive_lane_takes_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing is acknowledged in this lane"):
        say(home_with(tmp_path), lane="executive_report")


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"by": "someone@example.org"}, "by"),
        ({"by": ""}, "by"),
        ({"by": "x" * 129}, "by"),
        ({"by": "ghp_" + "a" * 36}, "by"),
        ({"state": "yes"}, "state"),
        ({"subject": " "}, "plan_id"),
        ({"subject": "x" * 513}, "plan_id"),
        ({"subject": "a\x00b"}, "plan_id"),
        ({"subject": "a\udc80b"}, "plan_id"),
        ({"provider": ""}, "provider"),
        ({"external_ref": "see the ticket of Monday"}, "external_ref"),
        ({"external_ref": "ghp_" + "a" * 36}, "external_ref"),
        ({"external_ref": "x" * 257}, "external_ref"),
        ({"provider": "xoxb-0123456789-abcdef"}, "provider"),
    ],
)
def test_a_value_that_is_not_accepted_is_named_and_not_repeated(
    tmp_path: Path, wrong: dict[str, Any], names: str
) -> None:
    home = home_with(tmp_path)

    with pytest.raises(UsageError, match=rf"^{names}\b") as raised:
        say(home, **wrong)

    (value,) = wrong.values()
    assert not value.strip() or value not in str(raised.value)
    assert not list(home.landing.rglob("*.jsonl"))


def test_the_ticket_of_an_acknowledgement_is_kept_and_passes_the_boundary(tmp_path: Path) -> None:
    home = armed_home(tmp_path, [delivery(at(60), failed=["slack"])])

    with_ticket = say(home, external_ref="INC-1042")
    without = say(home, now=at(-1))

    assert (with_ticket["external_ref"], "external_ref" in without) == ("INC-1042", False)
    kept = query(home, "SELECT external_ref FROM evidence WHERE acknowledgement_id <> '' ORDER BY created_at")
    assert kept == [("INC-1042",), (None,)]
    assert query(home, "SELECT count(*) FROM findings") == [(0,)]


def test_a_provider_is_known_by_any_spelling(tmp_path: Path) -> None:
    home = armed_home(tmp_path, [delivery(at(60), failed=["service_now"])])
    say(home, provider=" Service-Now")

    assert worker(home, Provider(Clock()), live=False)["selected_retry_count"] == 1


def test_the_last_word_counts_also_when_the_clock_has_gone_back(tmp_path: Path) -> None:
    home = armed_home(tmp_path, [delivery(at(600), failed=["slack"])])
    say(home, "accepted", now=at(300))
    say(home, "accepted", now=AS_OF)
    say(home, "deferred", now=at(120))

    for moment in (at(200), at(120), AS_OF, AS_OF + timedelta(hours=1)):
        assert worker(home, Provider(Clock(moment)), live=False)["acknowledgement_pending_count"] == 1
    assert ask_health(home, as_of=at(-1))["acknowledgement_gaps"][0]["acknowledgement_state"] == "deferred"


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        (AS_OF + CLOCK_SLACK, AS_OF + CLOCK_SLACK + MICROSECOND),
        (AS_OF + CLOCK_SLACK + MICROSECOND, AS_OF),
        (datetime.max.replace(tzinfo=UTC), AS_OF),
    ],
)
def test_a_word_counts_after_one_of_a_day_ahead_and_now_if_that_is_further(
    tmp_path: Path, newest: datetime, expected: datetime
) -> None:
    home = home_with(tmp_path, [delivery(at(60), failed=["slack"]), acknowledgement(newest, state="deferred")])

    assert say(home)["created_at"] == expected.isoformat()
    assert ask_health(home, as_of=expected)["acknowledgement_gaps"] == []


def test_the_command_says_from_when_a_word_counts_that_is_dated_later(tmp_path: Path) -> None:
    newest = datetime.now(UTC) + timedelta(hours=2)
    records = [delivery(at(60), failed=["slack"]), acknowledgement(newest, state="deferred")]
    home = home_with(tmp_path, records).home
    said = command(home, "ack", "--plan", "subject-1", "--provider", "slack", "--state", "accepted", "--by", "me")

    assert (said.code, said.err) == (0, "")
    assert f"Counts from {newest:%Y-%m-%d %H:%M} UTC" in said.out


def test_the_same_word_twice_is_two_records(tmp_path: Path) -> None:
    home = home_with(tmp_path, [delivery(at(60), failed=["slack"])])

    assert say(home)["session_id"] != say(home)["session_id"]
    assert query(home, "SELECT count(*) FROM acknowledgements") == [(2,)]


@pytest.mark.parametrize(
    ("asked", "names", "suggests"),
    [
        ({"subject": "subject-2"}, "plan_id", "Did you mean subject-1? "),
        ({"subject": "subject-74d8f7b2"}, "plan_id", None),
        ({"subject": "no such name"}, "plan_id", None),
        ({"provider": "slak"}, "provider", "Did you mean slack? Use one of slack, teams. "),
        ({"provider": "jira"}, "provider", "Use one of slack, teams. "),
        ({"lane": "recovery_health_alert", "state": "resolved"}, "health_id", None),
    ],
)
def test_what_no_delivery_names_is_refused_with_near_names_and_can_be_forced(
    tmp_path: Path, asked: dict[str, Any], names: str, suggests: str | None
) -> None:
    home = home_with(tmp_path, [delivery(at(60), failed=["slack", "teams"]), delivery(subject="<img src=x>")])

    with pytest.raises(UsageError, match=rf"^{names}: no delivery of it") as raised:
        say(home, **asked)

    assert raised.value.remedy.startswith(suggests or "Copy subject, provider and lane")
    assert "<" not in str(raised.value)
    assert "--force" in raised.value.remedy
    assert query(home, "SELECT count(*) FROM acknowledgements") == [(0,)]

    assert say(home, **asked, is_forced=True)["acknowledgement_state"] == asked.get("state", "accepted")
    assert query(home, "SELECT count(*) FROM acknowledgements") == [(1,)]


def test_a_delivery_that_has_only_just_landed_exists(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    drop(home, [delivery(at(60), failed=["slack"])])

    assert say(home)["provider"] == "slack"


def test_a_withdrawn_acknowledgement_clears_nothing_until_there_is_another(tmp_path: Path) -> None:
    home = armed_home(tmp_path, [delivery(at(60), failed=["slack"])])
    for clears in (False, True):
        with pytest.raises(UsageError, match="there is no acknowledgement of it to withdraw"):
            take_back(home)
        say(home, "accepted")
        assert worker(home, Provider(Clock(at(-1))), live=False)["selected_retry_count"] == 1

        written = take_back(home)

        assert written["acknowledgement_id"].startswith("withdrawal-")
        assert ask_health(home, as_of=at(-1))["acknowledgement_pending_count"] == 1, clears
        assert worker(home, Provider(Clock(at(-1))), live=True)["selected_retry_count"] == 0
    assert ask_health(home, as_of=at(-1))["acknowledgement_gaps"][0]["acknowledgement_state"] == "deferred"


@pytest.mark.parametrize(
    ("lane", "state"), [("recovery_escalation", "deferred"), ("recovery_health_alert", "escalated")]
)
def test_a_withdrawal_has_a_state_that_cavra_knows_and_that_clears_nothing(
    tmp_path: Path, lane: str, state: str
) -> None:
    home = home_with(tmp_path, [delivery(at(60), lane=lane, failed=["slack"])])
    say(home, "acknowledged", lane=lane)

    assert take_back(home, lane=lane)["acknowledgement_state"] == state
    assert state not in CLEARING_STATES


def take_back(home: Settings, *, lane: str = "recovery_escalation") -> dict[str, Any]:
    return withdraw(home, LANES[lane], subject="subject-1", provider=" Slack", by="on-call", now=AS_OF)
