"""Expected slots are Dagster's own: from wherever one starts, and on both nights on which clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cavra_pipeline.sensors.dagster_records import instants_around

NIGHTS = {
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "Australia/Lord_Howe": ("2026-10-04", "2026-04-05"),
    "Asia/Kolkata": ("2026-03-29", "2026-10-25"),
}
CRONS = ("*/30 * * * *", "0 * * * *", "30 2 * * *", "15 0 * * *", "*/20 1-3 * * *", "0 6 * * 1")
PLACES = [(zone, datetime.fromisoformat(night)) for zone, nights in NIGHTS.items() for night in nights]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PLACES), st.sampled_from(CRONS), st.integers(-40 * 3600, 40 * 3600))
def test_the_slots_of_a_range_do_not_depend_on_where_one_starts_to_count(
    place: tuple[str, datetime], cron: str, seconds: int
) -> None:
    zone, night = place
    start, end = night.replace(tzinfo=UTC) - timedelta(days=9), night.replace(tzinfo=UTC) + timedelta(days=9)
    cut = night.replace(tzinfo=UTC) + timedelta(seconds=seconds)
    whole = instants_around(cron, zone, after=start, until=end)[1:-1]

    before = instants_around(cron, zone, after=start, until=cut)
    after = instants_around(cron, zone, after=cut, until=end)

    assert before[1:-1] + after[1:-1] == whole
    assert after[0] == ([start_ for start_ in before if start_ <= cut] or [after[0]])[-1]
    assert all(one < other for one, other in pairwise(whole))


@pytest.mark.parametrize(("zone", "nights"), NIGHTS.items())
def test_every_half_hour_of_the_nights_on_which_clocks_change_has_its_slot_and_none_twice(
    zone: str, nights: tuple[str, str]
) -> None:
    for night in nights:
        noon = datetime.fromisoformat(night).replace(hour=12, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        slots = instants_around("*/30 * * * *", zone, after=noon - timedelta(days=1), until=noon)[1:-1]
        assert len(slots) == 48
        assert {other - one for one, other in pairwise(slots)} == {timedelta(minutes=30)}


@pytest.mark.parametrize(("zone", "nights"), NIGHTS.items())
def test_a_nightly_slot_in_the_hour_that_is_left_out_or_comes_twice_is_one_slot(
    zone: str, nights: tuple[str, str]
) -> None:
    for night in nights:
        noon = datetime.fromisoformat(night).replace(hour=12, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        assert len(instants_around("30 2 * * *", zone, after=noon - timedelta(hours=20), until=noon)[1:-1]) == 1


def test_the_earliest_instants_of_a_long_range_come_first_and_no_more_than_asked() -> None:
    after = datetime(2026, 1, 1, tzinfo=UTC)

    few = instants_around("0 * * * *", "UTC", after=after, until=after + timedelta(days=300), most=5)

    assert few == [after + timedelta(hours=n) for n in range(7)]
