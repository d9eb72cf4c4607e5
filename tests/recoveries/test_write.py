"""Opening and closing recoveries by hand: what is written, what is refused, and that a repeat changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.boundary.kinds import DELIVERY_KIND
from cavra_pipeline.errors import UsageError, checked
from cavra_pipeline.evidence.emitted import CLOCK_SLACK
from cavra_pipeline.lanes import FAILURE_SOURCES
from cavra_pipeline.recoveries.write import PlaybookParameters, build_playbook, close_recovery
from cavra_pipeline.settings import Settings
from tests.cli.command import command
from tests.recoveries.stores import ask_recoveries, closure, playbook
from tests.support import AS_OF, MICROSECOND, Record, at, delivery, home_with, query, record

pytestmark = pytest.mark.slow

AUDIT = "acknowledgement_audit"


def failed(minutes: float, provider: str, *, subject: str, success: bool = False) -> Record:
    return delivery(
        at(minutes), lane=AUDIT, subject=subject, providers=[provider], failed=[] if success else [provider]
    )  # fmt: skip


def alert(minutes: float, *failing: str, health_id: str = "health-1") -> Record:
    return record(
        DELIVERY_KIND,
        at(minutes),
        connector_delivery_source=FAILURE_SOURCES[1],
        delivery_success=not failing,
        providers=list(failing) or ["teams"],
        failed_providers=list(failing),
        health_id=health_id,
    )


def _build(home: Settings, **parameters: Any) -> dict[str, Any] | None:
    return build_playbook(home, checked(PlaybookParameters, parameters), by="on-call", now=AS_OF)


def _entries(written: dict[str, Any] | None) -> dict[str, int]:
    assert written is not None
    nested = written["connector_recovery_playbook"]["provider_playbooks"]
    return {one["provider"]: one["failure_count"] for one in nested}


def test_a_playbook_counts_failures_of_both_sources_that_nothing_has_reached(tmp_path: Path) -> None:
    home = home_with(tmp_path, [
        failed(90, "slack", subject="a"), failed(80, "slack", subject="b"),
        failed(90, "teams", subject="a"), alert(70, "teams"),
        failed(90, "jira", subject="a"),
        # Settled since: these do not count, nor does a failure of another source.
        failed(90, "splunk", subject="a"), failed(80, "splunk", subject="b"),
        failed(70, "splunk", subject="a", success=True), failed(60, "splunk", subject="b", success=True),
        delivery(at(90), failed=["webhook"]), delivery(at(80), subject="other", failed=["webhook"]),
    ])  # fmt: skip
    written = _build(home)

    assert _entries(written) == {"slack": 2, "teams": 2}
    assert written is not None
    counts = ("provider_count", "failure_count", "decision_count", "blocked_count", "approval_required_count")
    assert [written[name] for name in counts] == [2, 4, 2, 4, 2]
    report = ask_recoveries(home)
    assert [(row["provider"], row["category"], row["slo_status"]) for row in report["recoveries"]] == [
        ("slack", "chatops", "open"),
        ("teams", "chatops", "open"),
    ]
    assert query(home, "SELECT count(*) FROM quarantine") == query(home, "SELECT count(*) FROM findings") == [(0,)]


def test_an_alert_that_arrived_later_counts_no_more(tmp_path: Path) -> None:
    alerts = [alert(90, "teams"), alert(80, "teams", health_id="health-2")]
    assert _entries(_build(home_with(tmp_path / "open", alerts))) == {"teams": 2}
    assert _build(home_with(tmp_path / "arrived", [*alerts, alert(70)])) is None


def test_a_connector_with_an_open_recovery_gets_no_second_one(tmp_path: Path) -> None:
    failures = [failed(90, "slack", subject="a"), failed(80, "slack", subject="b")]
    is_open = home_with(tmp_path / "open", [*failures, playbook(at(100), "slack")])
    assert _build(is_open) is None
    assert query(is_open, "SELECT count(*) FROM recoveries") == [(1,)]

    closed = home_with(tmp_path / "closed", [*failures, playbook(at(100), "slack"), closure(at(95))])
    assert _entries(_build(closed)) == {"slack": 2}
    # What was built is open: the same command given again writes nothing.
    assert _build(closed) is None
    assert query(closed, "SELECT count(*) FROM recoveries") == [(2,)]


@pytest.mark.parametrize(("minutes", "is_counted"), [(1440, True), (1440 + 1 / 60, False)])
def test_a_playbook_looks_back_24_hours_by_default(tmp_path: Path, minutes: float, is_counted: bool) -> None:
    home = home_with(tmp_path, [failed(minutes, "slack", subject="a"), failed(10, "slack", subject="b")])
    assert (_build(home) is not None) == is_counted


def test_how_many_failures_call_for_a_recovery_is_given(tmp_path: Path) -> None:
    home = home_with(tmp_path, [failed(90, "slack", subject="a")])
    assert _build(home) is None
    assert _entries(_build(home, min_failure_count=1)) == {"slack": 1}
    with pytest.raises(UsageError, match="min_failure_count"):
        checked(PlaybookParameters, {"min_failure_count": 0})


def _close(home: Settings, state: str = "resolved", **more: Any) -> dict[str, Any] | None:
    given = {"playbook_id": "playbook-1", "provider": " Slack", "by": "on-call", "now": AS_OF, **more}
    return close_recovery(home, state=state, **given)


@pytest.mark.parametrize(("state", "blocked"), [("resolved", 0), ("mitigated", 0), ("deferred", 1), ("reopened", 1)])
def test_a_closure_is_evidence_with_cavras_counts(tmp_path: Path, state: str, blocked: int) -> None:
    home = home_with(tmp_path, [playbook(at(60), "slack")])
    written = _close(home, state, external_ref="OPS-123")

    assert written is not None
    assert (written["blocked_count"], written["external_ref"], written["provider"]) == (blocked, "OPS-123", "slack")
    (row,) = ask_recoveries(home)["recoveries"]
    assert (row["closure_state"], row["slo_status"]) == (state, "open" if blocked else "closed")
    assert query(home, "SELECT signer, external_ref FROM recovery_closures") == [("on-call", "OPS-123")]
    assert query(home, "SELECT count(*) FROM quarantine") == query(home, "SELECT count(*) FROM findings") == [(0,)]


def test_the_same_closure_again_writes_nothing_and_another_is_the_newest(tmp_path: Path) -> None:
    home = home_with(tmp_path, [playbook(at(60), "slack")])
    assert _close(home) is not None
    assert _close(home, now=AS_OF + timedelta(minutes=5)) is None
    assert query(home, "SELECT count(*) FROM recovery_closures") == [(1,)]

    # Dated after the one before, also where the clock went back.
    again = _close(home, "reopened", now=AS_OF - timedelta(minutes=5))
    assert again is not None
    (row,) = ask_recoveries(home, AS_OF + timedelta(minutes=1))["recoveries"]
    assert row["closure_state"] == "reopened"


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        (AS_OF, AS_OF + MICROSECOND),
        (AS_OF + CLOCK_SLACK, AS_OF + CLOCK_SLACK + MICROSECOND),
        (AS_OF + CLOCK_SLACK + MICROSECOND, AS_OF),
        (datetime.max.replace(tzinfo=UTC), AS_OF),
    ],
)
def test_a_closure_counts_after_one_of_a_day_ahead_and_now_if_that_is_further(
    tmp_path: Path, newest: datetime, expected: datetime
) -> None:
    home = home_with(tmp_path, [playbook(at(60), "slack"), closure(newest, "deferred")])

    written = _close(home)

    assert written is not None
    assert written["created_at"] == expected.isoformat()
    (row,) = ask_recoveries(home, expected)["recoveries"]
    assert (row["closure_state"], row["slo_status"]) == ("resolved", "closed")


@pytest.mark.parametrize(("hours", "is_later"), [(2, True), (-2, False), (48, False)])
def test_the_command_says_from_when_a_closure_counts_that_is_dated_later(
    tmp_path: Path, hours: int, is_later: bool
) -> None:
    newest = datetime.now(UTC) + timedelta(hours=hours)
    home = home_with(tmp_path, [playbook(at(60), "slack"), closure(newest, "deferred")]).home
    said = command(
        home,
        "recovery",
        "close",
        "--playbook",
        "playbook-1",
        "--provider",
        "slack",
        "--state",
        "resolved",
        "--by",
        "me",
    )

    assert (said.code, said.err) == (0, "")
    assert (f"Counts from {newest:%Y-%m-%d %H:%M} UTC" in said.out) == ("Counts from" in said.out) == is_later


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"playbook_id": "playbook-2"}, "playbook"),
        ({"provider": "teams"}, "provider"),
        ({"state": "done"}, "state"),
        ({"by": "a@example.org"}, "by"),
        ({"external_ref": "see https://example.org/?token=1"}, "ref"),
        ({"external_ref": "ghp_" + "0123456789abcdefghij0123456789abcdef"}, "ref"),
    ],
)
def test_what_is_not_accepted_is_named_and_nothing_is_written(
    tmp_path: Path, given: dict[str, Any], where: str
) -> None:
    home = home_with(tmp_path, [playbook(at(60), "slack")])
    with pytest.raises(UsageError) as raised:
        _close(home, **given)
    assert where in raised.value.where
    assert "example.org" not in str(raised.value)
    assert query(home, "SELECT count(*) FROM recovery_closures") == [(0,)]


def test_the_commands_write_and_say_what_they_wrote(tmp_path: Path) -> None:
    home = home_with(tmp_path, [playbook(at(60), "slack")])
    arguments = ("recovery", "close", "--playbook", "playbook-1", "--provider", "slack", "--by", "on-call")
    written = command(home.home, *arguments, "--state", "mitigated", "--ref", "OPS-1", "--json").document
    assert written["closure"]["closure_state"] == "mitigated"
    assert "says the same" in command(home.home, *arguments, "--state", "mitigated", "--ref", "OPS-1").out
    refused = command(home.home, *arguments, "--state", "done")
    assert (refused.code, "resolved, mitigated" in refused.err) == (2, True)
    other = command(home.home, *[word.replace("slack", "teams") for word in arguments], "--state", "resolved")
    assert other.err.startswith("error: --provider: this playbook has no recovery of this provider: 'teams'")
    assert "It is for slack." in other.err
    assert query(home, "SELECT count(*) FROM recovery_closures") == [(1,)]
    assert command(home.home, "playbook", "--json").document == {"playbook": None}
