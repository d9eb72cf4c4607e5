"""One alert through its life: told once, repeated, acknowledged, over; what came in between is counted, not told."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.alerts.operators import acknowledge_alert, alert_history, end_silence, silence_alerts
from cavra_pipeline.alerts.outbox import deliver_due
from cavra_pipeline.alerts.store import alerts
from cavra_pipeline.connectors import Grade
from cavra_pipeline.errors import UsageError
from cavra_pipeline.state import state_of
from tests.alerts import support
from tests.alerts.support import Desk, instant_at, minutes, signal
from tests.support import AS_OF, query_state

WORKER = "missed_run recovery_retry_worker"


@pytest.fixture
def desk(state_address: str | None) -> Callable[..., Desk]:
    """Makes desks whose alerts are in SQLite, and once more in PostgreSQL."""
    return partial(support.desk, state_address=state_address)


def test_an_alert_is_told_once_and_again_when_it_is_over_with_how_long_and_how_many(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk(tmp_path)

    assert one.tick(signal(cause="failed_before_work", count=1)) == [f"firing {WORKER}"]
    assert one.tick(signal(cause="failed_before_work", count=2), minutes=30) == []
    assert one.tick(signal(cause="failed_before_work", count=3), minutes=30) == []
    assert one.tick(minutes=5) == [f"resolved {WORKER}"]
    assert one.tick(minutes=600) == []

    assert one.last.severity == "info"
    assert one.last.facts["duration_minutes"] == 65
    assert one.last.facts["missed_run_count"] == 3
    assert one.last.facts["causes"] == "failed_before_work 3"
    with state_of(one.settings).reading() as c:
        (alert,) = alerts(c)
    assert (alert.state, alert.episode, alert.occurrence_count, alert.resolved_at) == ("resolved", 1, 3, instant_at(65))
    assert query_state(one.settings, "SELECT event, detail FROM alert_events ORDER BY event_number") == [
        ("opened", "failed_before_work"),
        ("notified", "firing by webhook"),
        ("resolved", None),
        ("notified", "resolved by webhook"),
    ]


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0.9, "under a minute"), (1, "1 min"), (1439, "23 h 59 min"), (1440, "1 d"), (1563, "1 d 2 h")],
)
def test_a_notice_says_how_long_it_was_in_two_units_at_most(
    desk: Callable[..., Desk], tmp_path: Path, minutes: float, words: str
) -> None:
    one = desk(tmp_path)
    one.tick(signal())
    one.tick(minutes=minutes)

    assert one.last.summary.startswith(f"Resolved after {words}.")


def test_what_is_wrong_again_after_it_was_told_to_be_over_is_a_new_episode_and_told_at_once(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk(tmp_path)
    one.tick(signal())
    one.tick(minutes=1)

    assert one.tick(signal(since=instant_at(2)), minutes=1) == [f"firing {WORKER}"]
    assert query_state(one.settings, "SELECT episode, state FROM alerts ORDER BY episode") == [
        (1, "resolved"),
        (2, "firing"),
    ]
    assert len(set(one.provider.ids)) == 3


@pytest.mark.parametrize(("after", "told"), [(239.9, []), (240, [f"reminder {WORKER}"])])
def test_it_is_repeated_at_the_repeat_interval_and_not_before(
    desk: Callable[..., Desk], tmp_path: Path, after: float, told: list[str]
) -> None:
    one = desk(tmp_path)
    one.tick(signal())

    assert one.tick(signal(), minutes=after) == told


def test_an_acknowledged_alert_is_not_repeated_and_its_end_is_told(desk: Callable[..., Desk], tmp_path: Path) -> None:
    one = desk(tmp_path)
    one.tick(signal())
    alert = one.alert_id
    acknowledge_alert(one.settings, alert, by="on-call", now=one.clock())

    assert one.tick(signal(), minutes=300) == []
    assert one.tick(minutes=1) == [f"resolved {WORKER}"]
    assert one.tick(signal(), minutes=1) == [f"firing {WORKER}"], "an acknowledgement ends with its episode"
    assert one.tick(signal(), minutes=240) == [f"reminder {WORKER}"]


def test_acknowledging_is_refused_where_there_is_nothing_to_acknowledge(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk(tmp_path)
    one.tick(signal())
    alert = one.alert_id
    one.tick(minutes=1)

    with pytest.raises(UsageError, match="the alert is over"):
        acknowledge_alert(one.settings, alert, by="on-call", now=one.clock())
    for strange in ("alert-0000", "al", ""):
        with pytest.raises(UsageError, match="there is no such alert"):
            acknowledge_alert(one.settings, strange, by="on-call", now=one.clock())


def test_five_hundred_failures_of_one_outage_are_one_notice_and_no_cause_is_lost(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk(tmp_path)
    failures = [signal("failed_run", f"run-{n}", cause=f"cause_{n % 40}") for n in range(500)]

    assert one.tick(*failures) == ["firing failed_run"]
    for _ in range(3):
        assert one.tick(*failures, minutes=15) == []

    assert one.last.facts["count"] == 500
    assert one.last.facts["cause_count"] == 40
    causes = dict(part.rsplit(" ", 1) for part in str(one.last.facts["causes"]).split(", "))
    assert sum(map(int, causes.values())) == 500
    assert one.tick(kinds=["failed_run"], minutes=1) == ["resolved failed_run"]
    assert one.last.facts["over_alert_count"] == 500


def test_failures_that_trickle_in_are_counted_in_the_window_and_told_after_it(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk(tmp_path)
    failures = [signal("failed_run", f"run-{n}", cause="warehouse_busy") for n in range(120)]
    one.tick(failures[0])

    for n in range(1, 6):
        assert one.tick(*failures[: 20 * n], minutes=10) == []
    assert one.tick(*failures, minutes=10) == ["more failed_run"], "the window ends at 60 minutes and not before"

    assert one.last.facts["swallowed_count"] == 99, "twenty more came in the look that told"
    assert one.last.facts["count"] == 120
    assert query_state(one.settings, "SELECT sum(swallowed_count) FROM alerts") == [(99,)]


def test_an_alert_that_came_and_went_in_the_window_is_told_with_the_end_of_its_group(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk(tmp_path)
    first, second = signal("failed_run", "a", cause="first"), signal("failed_run", "b", cause="second")
    one.tick(first)

    assert one.tick(first, second, minutes=1) == []
    assert one.tick(first, minutes=1) == []
    assert one.tick(kinds=["failed_run"], minutes=1) == ["resolved failed_run"]
    assert one.last.facts["causes"] == "first 1, second 1"


def test_the_window_opens_only_when_a_connector_has_taken_the_notice(desk: Callable[..., Desk], tmp_path: Path) -> None:
    one = desk(tmp_path)
    one.provider.answers = [Grade.FAILED, Grade.FAILED, Grade.DELIVERED]
    one.tick(signal("failed_run", "a"))
    one.tick(signal("failed_run", "a"), signal("failed_run", "b"), minutes=1)
    assert query_state(one.settings, "SELECT sum(swallowed_count) FROM alerts") == [(0,)]

    one.tick(signal("failed_run", "a"), signal("failed_run", "b"), minutes=5)
    assert one.tick(signal("failed_run", "a"), signal("failed_run", "b"), minutes=59.9) == []
    assert one.tick(signal("failed_run", "a"), signal("failed_run", "b"), minutes=0.1) == ["more failed_run"]

    assert len(set(one.provider.ids)) == 2, "every attempt at the first notice has the same id"
    assert one.provider.ids[0] == one.provider.ids[1] == one.provider.ids[2]


def test_a_refused_notice_is_written_anew_after_the_window_and_the_connector_is_an_alert_itself(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk(tmp_path)
    one.provider.answers = [Grade.REJECTED, Grade.DELIVERED]
    one.tick(signal())

    assert one.tick(signal(), minutes=1) == ["firing undelivered_notice webhook"]
    assert one.tick(signal(), minutes=58) == []
    assert one.tick(signal(), minutes=1) == [f"firing {WORKER}"]
    assert len(set(one.provider.ids)) == 3


def test_each_connector_is_told_by_itself(desk: Callable[..., Desk], tmp_path: Path) -> None:
    one = desk(tmp_path, connectors=("webhook", "slack"))
    one.provider.missing = {"slack"}
    assert one.tick(signal()) == [f"firing {WORKER}"]
    assert one.tick(minutes=10) == [f"resolved {WORKER}"]
    one.provider.missing = set()

    told = one.tick(minutes=20)
    assert [provider for provider, _ in one.provider.sent] == ["webhook", "webhook", "slack"]
    assert told == [f"firing {WORKER}"]
    assert one.tick(minutes=1) == [f"resolved {WORKER}"], "whoever is told late still hears the end"


def test_without_a_connector_alerts_live_and_whoever_is_added_later_hears_of_open_ones(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk(tmp_path, connectors=())
    assert one.tick(signal(), signal("failed_run", "a")) == []
    assert one.tick(signal(), kinds=["failed_run"], minutes=1) == []

    later = desk(tmp_path)
    assert later.tick(signal(), minutes=2) == [f"firing {WORKER}"]


def test_the_group_wait_gathers_the_first_notice(desk: Callable[..., Desk], tmp_path: Path) -> None:
    one = desk(tmp_path, group_wait_seconds=30)
    assert one.tick(signal("failed_run", "a")) == []
    assert one.due_at == AS_OF + minutes(0.5)
    assert one.tick(signal("failed_run", "a"), signal("failed_run", "b"), minutes=0.4) == []
    assert one.tick(signal("failed_run", "a"), signal("failed_run", "b"), minutes=0.1) == ["firing failed_run"]
    assert one.last.facts["open_alert_count"] == 2


def test_a_severity_that_rises_is_news(desk: Callable[..., Desk], tmp_path: Path) -> None:
    one = desk(tmp_path)
    one.tick(signal(severity="warning"))

    assert one.tick(signal(), minutes=59) == []
    assert one.tick(signal(), minutes=1) == [f"more {WORKER}"]
    assert one.last.severity == "critical"


def test_a_silence_mutes_the_notices_and_nothing_else_until_its_end(desk: Callable[..., Desk], tmp_path: Path) -> None:
    one = desk(tmp_path)
    silence_alerts(
        one.settings,
        kind="missed_run",
        subject=None,
        by="on-call",
        comment="planned",
        starts_at=one.clock(),
        ends_at=instant_at(60),
        now=one.clock(),
    )
    assert one.tick(signal()) == []
    assert one.due_at == instant_at(60)
    assert one.tick(signal("failed_run", "a")) == ["firing failed_run"], "another kind is told"
    assert one.tick(signal(), minutes=59.9) == []
    assert one.tick(signal(), minutes=0.1) == [f"firing {WORKER}"]


def test_a_silence_that_is_ended_mutes_no_longer_and_an_end_in_it_is_told_after_it(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk(tmp_path)
    one.tick(signal())
    silence = silence_alerts(
        one.settings,
        kind=None,
        subject="recovery_retry_worker",
        by="on-call",
        comment="planned",
        starts_at=one.clock(),
        ends_at=instant_at(60),
        now=one.clock(),
    )
    assert one.tick(minutes=10) == []
    end_silence(one.settings, str(silence["silence_id"]), now=one.clock())
    assert one.tick(minutes=1) == [f"resolved {WORKER}"]
    with pytest.raises(UsageError, match="there is no such silence"):
        end_silence(one.settings, str(silence["silence_id"]), now=one.clock())


def test_a_silence_stays_in_the_history_of_the_alerts_that_it_covered(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk(tmp_path)
    one.tick(signal(), signal("failed_run", "a"))
    silence: dict[str, Any] = {"kind": "missed_run", "subject": None, "by": "on-call", "comment": "planned"}
    ended = silence_alerts(one.settings, **silence, starts_at=AS_OF, ends_at=instant_at(60), now=AS_OF)
    one.tick(signal(), signal("failed_run", "a"), minutes=10)
    end_silence(one.settings, str(ended["silence_id"]), now=one.clock())
    one.tick(minutes=1)
    silence_alerts(one.settings, **silence, starts_at=one.clock(), ends_at=instant_at(60), now=one.clock())

    with state_of(one.settings).reading() as c:
        silenced = [event for event in alert_history(c) if event["event"] == "silenced"]

    assert [(event["kind"], event["actor"], event["detail"]) for event in silenced] == [
        ("missed_run", "on-call", f"{AS_OF:%Y-%m-%d %H:%M} to {instant_at(10):%Y-%m-%d %H:%M} UTC: planned")
    ], "neither another kind nor a silence after its end"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": None}, "it would match every alert"),
        ({"kind": "no_such_kind"}, "there is no such kind of alert"),
        ({"ends_at": AS_OF}, "it ends too early or lasts too long"),
        ({"ends_at": instant_at(367 * 1440)}, "it ends too early or lasts too long"),
        ({"by": "me@example.org"}, "the label is not public-safe"),
        ({"comment": "token=ghp_" + "a" * 36}, "the label is not public-safe"),
        ({"subject": "Bearer abcdefgh12345678"}, "the value is not accepted"),
    ],
)
def test_a_silence_with_a_value_that_is_not_accepted_is_refused(
    desk: Callable[..., Desk], tmp_path: Path, wrong: dict[str, object], message: str
) -> None:
    one = desk(tmp_path)
    asked: dict[str, object] = {
        "kind": "missed_run",
        "subject": None,
        "by": "on-call",
        "comment": "planned",
        "starts_at": AS_OF,
        "ends_at": instant_at(60),
        "now": AS_OF,
        **wrong,
    }
    with pytest.raises(UsageError, match=message):
        silence_alerts(one.settings, **asked)  # type: ignore[arg-type]


def test_a_daemon_that_is_down_mutes_the_slots_it_explains_also_after_it_is_back(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk(tmp_path)
    missed = [signal(subject=f"schedule-{n}", cause="daemon_down") for n in range(6)]
    down = signal("daemon_down", "daemon")

    assert one.tick(*missed, kinds=["missed_run"]) == [], "the explanation is waited for"
    assert one.tick(down, minutes=0.5) == ["firing daemon_down daemon"]
    assert one.tick(*missed, minutes=30) == []
    assert one.tick(kinds=["daemon_down"], minutes=1) == ["resolved daemon_down daemon"]
    assert one.tick(*missed, minutes=30) == []
    assert one.tick(minutes=1) == []
    assert {row[0] for row in query_state(one.settings, "SELECT muted_by FROM alerts WHERE kind = 'missed_run'")} <= {
        "daemon_down",
        None,
    }


def test_a_worker_that_is_down_mutes_the_stale_plan_of_its_own_lane_alone(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk(tmp_path)
    down = signal("worker_down", "auditor_export")
    plans = [signal("stale_retry_plan", lane, cause="worker_down") for lane in ("auditor_export", "release_closeout")]

    assert one.tick(down, minutes=0.5) == ["firing worker_down auditor_export"]
    assert one.tick(down, *plans, minutes=30) == [], "an explanation is waited for"
    assert one.tick(down, *plans, minutes=3) == ["firing stale_retry_plan release_closeout"]


def test_a_slot_that_the_daemon_does_not_explain_is_told_although_it_is_down(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk(tmp_path)
    told = one.tick(signal("daemon_down", "daemon"), signal(cause="failed_before_work"))

    assert sorted(told) == ["firing daemon_down daemon", f"firing {WORKER}"]


def test_a_cause_that_names_an_alert_which_never_comes_is_told_after_two_minutes(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk(tmp_path)
    assert one.tick(signal(cause="daemon_down")) == []
    assert one.tick(signal(cause="daemon_down"), minutes=1.9) == []
    assert one.tick(signal(cause="daemon_down"), minutes=0.1) == [f"firing {WORKER}"]


def test_a_second_cause_ends_the_muting(desk: Callable[..., Desk], tmp_path: Path) -> None:
    one = desk(tmp_path)
    one.tick(signal("daemon_down", "daemon"), signal(cause="daemon_down", count=10))
    both = [signal(cause="daemon_down", count=10), signal(cause="failed_before_work", count=1)]

    assert one.tick(*both, minutes=30) == [f"firing {WORKER}"]
    assert one.last.facts["causes"] == "daemon_down 10, failed_before_work 1"


def test_an_alert_that_comes_and_goes_is_told_to_be_flapping_once_and_is_quiet_until_it_is_stable(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk(tmp_path)
    told = []
    for n in range(10):
        told += one.tick(*([signal()] if n % 2 == 0 else []), minutes=1)

    assert told == [f"firing {WORKER}", f"resolved {WORKER}"] * 2 + [f"firing flapping {WORKER}"]
    assert one.tick(minutes=59) == []
    assert one.tick(minutes=1) == [f"resolved flapping {WORKER}"]
    assert one.tick(signal(), minutes=60) == [f"firing {WORKER}"]


def test_no_notice_goes_twice_to_a_provider_that_took_it(desk: Callable[..., Desk], tmp_path: Path) -> None:
    one = desk(tmp_path)
    one.tick(signal())
    for _ in range(5):
        one.deliver()
    assert len(one.provider.sent) == 1


def test_a_connector_that_raises_is_named_and_the_others_go_on(desk: Callable[..., Desk], tmp_path: Path) -> None:
    one = desk(tmp_path, connectors=("webhook", "slack"))
    one.provider.answers = [RuntimeError("secret in here"), Grade.DELIVERED]
    one.look(signal())

    with pytest.raises(Exception, match=r"a connector failed in a way it should not \(RuntimeError\)") as caught:
        one.deliver()
    assert "secret" not in str(caught.value)
    assert query_state(one.settings, "SELECT state, reason FROM send_intents ORDER BY state DESC") == [
        ("pending", "connector_defect"),
        ("done", "delivered"),
    ]


def test_a_pass_ends_when_its_time_is_over_and_the_next_goes_on(desk: Callable[..., Desk], tmp_path: Path) -> None:
    one = desk(tmp_path)
    one.look(*(signal(subject=f"schedule-{n}") for n in range(4)))
    times = iter([0.0, 0.0, 10.0, 21.0])
    provider = one.provider

    deliver_due(one.settings, provider, clock=one.clock, monotonic=lambda: next(times))
    assert len(provider.sent) == 2
    one.deliver()
    assert len(set(provider.ids)) == len(provider.ids) == 4
