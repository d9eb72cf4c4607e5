"""`Retry-After` to an instant: every form, both sides of each boundary, and any nonsense."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavra_pipeline.connectors.retry_after import retry_floor
from tests.connectors.examples import NOW

HOUR = 3600
NOW_EPOCH = int(NOW.timestamp())


def floor_of(*values: str) -> datetime | None:
    """The floor of one header, or of several, up to an hour."""
    return retry_floor(values, NOW, HOUR)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("1", 1),
        (" 120 ", 120),
        ("0007", 7),
        ("3599", 3599),
        ("3600", 3600),
        ("3601", 3600),
        ("9" * 5000, 3600),
    ],
)
def test_seconds_count_from_the_answer_up_to_the_cap(value: str, seconds: int) -> None:
    assert floor_of(value) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    ["Mon, 23 Nov 2026 06:10:00 GMT", "Monday, 23-Nov-26 06:10:00 GMT", "Mon Nov 23 06:10:00 2026"],
    ids=["IMF-fixdate", "RFC 850", "asctime"],
)
def test_all_three_forms_of_an_http_date_are_read_as_utc(value: str) -> None:
    assert floor_of(value) == NOW + timedelta(minutes=10)


def test_a_date_that_is_past_means_now_and_a_date_after_the_cap_means_the_cap() -> None:
    for seconds, floor in [(-86400, 0), (-1, 0), (0, 0), (1, 1), (3599, 3599), (3600, 3600), (3601, 3600)]:
        value = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
        assert floor_of(value) == NOW + timedelta(seconds=floor), seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "-1",
        "+1",
        ".5",
        "1e3",
        "0x10",
        "٣",
        "soon",
        "120s",
        "2026-11-23",
        "2026-11-23T06:10:00",
        "2026-13-23T06:10:00Z",
        ",",
        "Mon, 99 Nov 2026 06:10:00 GMT",
    ],
)
def test_a_value_outside_the_grammar_says_nothing(value: str) -> None:
    assert floor_of(value) is None


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        (["1.5"], 2),
        (["0.1"], 1),
        (["60, 120"], 120),
        (["120,60"], 120),
        (["60", "120"], 120),
        (["soon, 60"], 60),
        (["Mon, 23 Nov 2026 06:10:00 GMT, 120"], 600),
        (["120, Monday, 23-Nov-26 06:10:00 GMT"], 600),
        (["Mon, 23 Nov 2026 06:10:00 GMT", "900"], 900),
        (["2026-11-23T06:10Z"], 600),
        (["2026-11-23T07:10:00.5+01:00"], 600.5),
        ([str(NOW_EPOCH)], 0),
        ([str(NOW_EPOCH - 1)], 0),
        ([str(NOW_EPOCH + 600)], 600),
        ([f"{NOW_EPOCH + 600}.0"], 600),
        ([str((NOW_EPOCH + 600) * 1000)], 600),
        ([str(NOW_EPOCH + 3601)], 3600),
        (["999999999"], 3600),
        (["1000000000"], 0),
        (["999999999999"], 3600),
        (["1000000000000"], 0),
    ],
)
def test_lists_repeats_and_instants_in_other_forms_are_read(values: list[str], seconds: float) -> None:
    assert retry_floor(values, NOW, HOUR) == NOW + timedelta(seconds=seconds)


@given(st.integers(0, 10**9 - 1), st.integers(0, 10**6))
def test_any_number_of_seconds_gives_the_smaller_of_it_and_the_cap(seconds: int, cap: int) -> None:
    assert retry_floor([str(seconds)], NOW, cap) == NOW + timedelta(seconds=min(seconds, cap))


@given(st.datetimes(datetime(1971, 1, 1), datetime(9998, 1, 1)), st.integers(0, 10**6))  # noqa: DTZ001
def test_any_date_lands_between_now_and_the_cap(date: datetime, cap: int) -> None:
    date = date.replace(microsecond=0, tzinfo=UTC)
    floor = retry_floor([format_datetime(date, usegmt=True)], NOW, cap)
    assert floor == min(max(date, NOW), NOW + timedelta(seconds=cap))


@given(st.text() | st.text(alphabet="0123456789 :,-+GMTMonJanFeb", max_size=40))
def test_no_text_raises_or_leaves_the_bounds(value: str) -> None:
    floor = floor_of(value)
    assert floor is None or NOW <= floor <= NOW + timedelta(seconds=HOUR)
