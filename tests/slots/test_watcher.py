"""What the watcher makes of two observations in a row, and how one schedule's trouble leaves the others alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from cavra_pipeline.sensors.dagster_records import instants_around
from cavra_pipeline.settings import DEFAULT_TOLERANCE
from cavra_pipeline.slots.observations import (
    MOST_INTERVALS,
    WatcherObservation,
    intervals_between,
    remembered,
    usual_pause,
)
from cavra_pipeline.slots.verdicts import Cause, Configuration, Interval, VerdictKind
from cavra_pipeline.slots.watcher import Records, WatcherState, watch
from tests.support import MICROSECOND

AT = datetime(2026, 6, 25, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
USUAL = usual_pause(30)


def causes(before: WatcherObservation, after: WatcherObservation) -> list[Cause]:
    return [interval.cause for interval in intervals_between(before, after)]


def test_a_load_error_names_the_cause_of_a_gap_longer_than_usual() -> None:
    def after(gap: timedelta) -> WatcherObservation:
        return WatcherObservation(AT + gap, "one", has_load_error=True)

    assert USUAL == 75 * SECOND
    assert causes(WatcherObservation(AT, "one"), after(USUAL)) == []
    assert causes(WatcherObservation(AT, "one"), after(USUAL + MICROSECOND)) == [Cause.CODE_LOCATION_NOT_LOADABLE]
    assert causes(WatcherObservation(AT, "one"), WatcherObservation(AT + 5 * MINUTE, "one")) == []
    assert causes(WatcherObservation(AT, "one"), WatcherObservation(AT + 5 * MINUTE + MICROSECOND, "one")) == [
        Cause.CODE_LOCATION_NOT_LOADABLE
    ]


def test_another_daemon_says_that_the_one_before_was_down_however_short() -> None:
    assert causes(WatcherObservation(AT, "one"), WatcherObservation(AT + SECOND, "two")) == [Cause.DAEMON_DOWN]
    assert causes(WatcherObservation(AT, None), WatcherObservation(AT + SECOND, "two")) == [], (
        "nobody knows which daemon there was"
    )


@pytest.mark.parametrize("minutes", [3, 300])
def test_a_daemon_that_went_on_after_the_last_look_could_not_load_the_code(minutes: int) -> None:
    until, now = AT + minutes * MINUTE, AT + (minutes + 1) * MINUTE

    found = intervals_between(WatcherObservation(AT, "one"), WatcherObservation(now, "two", daemon_before_until=until))

    assert found == [Interval(Cause.CODE_LOCATION_NOT_LOADABLE, AT, until), Interval(Cause.DAEMON_DOWN, until, now)]
    assert intervals_between(
        WatcherObservation(AT, "one"), WatcherObservation(now, "two", daemon_before_until=AT + SECOND)
    ) == [Interval(Cause.DAEMON_DOWN, AT, now)]


def test_what_goes_on_is_not_forgotten_for_what_has_ended() -> None:
    off = Interval(Cause.SCHEDULE_STOPPED, AT, None, "worker")
    short = [Interval(Cause.DAEMON_DOWN, AT + n * MINUTE, AT + (n + 1) * MINUTE) for n in range(MOST_INTERVALS + 10)]

    assert remembered([off], short) == [off, *short[10:]]


# --- A whole observation -------------------------------------------------------------------------------------------


def calendar(one: Configuration, after: datetime, until: datetime, most: int | None) -> Sequence[datetime]:
    return instants_around(one.cron, one.time_zone, after=after, until=until, most=most)


def observations(
    crons: dict[str, str], *seen: WatcherObservation
) -> tuple[WatcherState, dict[tuple[str, datetime], tuple[str, str]]]:
    memory = WatcherState()
    verdicts: dict[tuple[str, datetime], tuple[str, str]] = {}
    for observation in seen:
        configurations = [Configuration(name, AT, cron, "UTC", True, DEFAULT_TOLERANCE) for name, cron in crons.items()]
        found = watch(memory, observation, configurations, calendar=calendar, records=lambda *_: Records(), usual=USUAL)
        verdicts |= {
            (one.slot.schedule, one.slot.expected_at): (str(one.verdict.kind), str(one.verdict.cause))
            for one in found.judged
        }
        memory = found.memory
    return memory, verdicts


def test_a_slot_in_a_short_absence_has_its_cause_and_nobody_is_alarmed() -> None:
    around = [WatcherObservation(AT + n * 30 * SECOND, "one") for n in range(10)]
    back = [WatcherObservation(AT + 8 * MINUTE + n * 30 * SECOND, "two") for n in range(30)]

    memory, verdicts = observations({"often": "7,22 * * * *"}, *around, *back)

    assert verdicts["often", AT + 7 * MINUTE] == ("missed", "daemon_down")
    assert memory.gaps == [], "an absence of less than five minutes is no alert"


def test_a_cadence_that_never_comes_leaves_the_judging_of_others_alone() -> None:
    seen = [WatcherObservation(AT + n * MINUTE, "one") for n in range(20)]

    memory, verdicts = observations({"never": "0 0 31 4 *", "often": "5 * * * *"}, *seen)

    assert verdicts == {("often", AT + 5 * MINUTE): (str(VerdictKind.MISSED), str(Cause.UNKNOWN_CAUSE))}
    assert memory.open.keys() == {"never", "often"}
    assert memory.open["never"] == {}
