"""`Retry-After` to an instant: both forms, both sides of each boundary, and any nonsense."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavra_pipeline.connectors.retry_after import retry_floor
from tests.connectors.examples import NOW

HOUR = 3600


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
    assert retry_floor(value, NOW, HOUR) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    ["Mon, 23 Nov 2026 06:10:00 GMT", "Monday, 23-Nov-26 06:10:00 GMT", "Mon Nov 23 06:10:00 2026"],
    ids=["IMF-fixdate", "RFC 850", "asctime"],
)
def test_all_three_forms_of_an_http_date_are_read_as_utc(value: str) -> None:
    assert retry_floor(value, NOW, HOUR) == NOW + timedelta(minutes=10)


def test_a_date_that_is_past_means_now_and_a_date_after_the_cap_means_the_cap() -> None:
    for seconds, floor in [(-86400, 0), (-1, 0), (0, 0), (1, 1), (3599, 3599), (3600, 3600), (3601, 3600)]:
        value = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
        assert retry_floor(value, NOW, HOUR) == NOW + timedelta(seconds=floor), seconds


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        "-1",
        "+1",
        "1.5",
        "1e3",
        "0x10",
        "٣",
        "soon",
        "120s",
        "1, 2",
        "Mon, 99 Nov 2026 06:10:00 GMT",
    ],
)
def test_a_value_outside_the_grammar_says_nothing(value: str | None) -> None:
    assert retry_floor(value, NOW, HOUR) is None


@given(st.integers(0, 10**30), st.integers(0, 10**6))
def test_any_number_of_seconds_gives_the_smaller_of_it_and_the_cap(seconds: int, cap: int) -> None:
    assert retry_floor(str(seconds), NOW, cap) == NOW + timedelta(seconds=min(seconds, cap))


@given(st.datetimes(datetime(1971, 1, 1), datetime(9998, 1, 1)), st.integers(0, 10**6))  # noqa: DTZ001
def test_any_date_lands_between_now_and_the_cap(date: datetime, cap: int) -> None:
    date = date.replace(microsecond=0, tzinfo=UTC)
    floor = retry_floor(format_datetime(date, usegmt=True), NOW, cap)
    assert floor == min(max(date, NOW), NOW + timedelta(seconds=cap))


@given(st.text() | st.text(alphabet="0123456789 :,-+GMTMonJanFeb", max_size=40))
def test_no_text_raises_or_leaves_the_bounds(value: str) -> None:
    floor = retry_floor(value, NOW, HOUR)
    assert floor is None or NOW <= floor <= NOW + timedelta(seconds=HOUR)
