"""Instants and days as people write them: ISO-8601, a day, an age such as 2d, today or yesterday."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from cavra_pipeline.cli.quoting import value_text
from cavra_pipeline.documents import parse_as_of
from cavra_pipeline.errors import UsageError
from cavra_pipeline.reports.store import evaluated_at

_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})\s*([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
_DAYS: Final = {"today": 0, "yesterday": 1}
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")


def read_span(text: str, where: str) -> timedelta:
    """Reads a span of time such as 30m, 4h or 2d.

    Raises:
        UsageError: It is none.
    """
    span = _span(text)
    if span is None:
        raise UsageError(f"{value_text(text)} is not a span of time", where=where, remedy="Write it as 30m, 4h or 2d")
    return span


def read_instant(text: str, now: datetime) -> datetime:
    """Reads an instant. Of a day it is the one at which the day is judged: its last microsecond, or now if it is today.

    Raises:
        UsageError: It is no instant, or a day still to come.
    """
    day = _named_day(text, now)
    if day:
        return evaluated_at(day, now)
    return _before(text, now) or _parsed(text)


def read_start(text: str, now: datetime) -> datetime:
    """Reads an instant that a range begins at; of a day it is the first.

    Raises:
        UsageError: It is no instant.
    """
    day = _named_day(text, now)
    return datetime.combine(day, time.min, UTC) if day else _before(text, now) or _parsed(text)


def read_end(text: str, now: datetime) -> datetime:
    """Reads an instant that a range ends at, which may be to come; of a day it is the last.

    Raises:
        UsageError: It is no instant.
    """
    day = _named_day(text, now)
    return datetime.combine(day, time.max, UTC) if day else _before(text, now) or _parsed(text)


def read_day(text: str, now: datetime) -> date:
    """Reads a UTC day: YYYY-MM-DD, today, yesterday, or an age such as 2d.

    Raises:
        UsageError: It is none.
    """
    before = _before(text, now)
    day = _named_day(text, now) or (before.date() if before else None)
    if day is None:
        remedy = "Write it as YYYY-MM-DD, such as 2026-06-25; as today or yesterday; or as an age such as 2d"
        raise UsageError(f"{value_text(text)} is not a valid day", where="day", remedy=remedy)
    return day


def _parsed(text: str) -> datetime:
    try:
        return parse_as_of(text)
    except UsageError as error:
        remedy = (
            f"{error.remedy}. Or a day such as 2026-06-25; now, today or yesterday; or an age such as 45m, 3h or 2d"
        )
        raise UsageError(f"{value_text(text)} is not a valid time", where=error.where, remedy=remedy) from None


def _named_day(text: str, now: datetime) -> date | None:
    word = text.strip().lower()
    if word in _DAYS:
        return now.astimezone(UTC).date() - timedelta(days=_DAYS[word])
    try:
        return date.fromisoformat(word) if _DAY.fullmatch(word) else None
    except ValueError:
        return None


def _before(text: str, now: datetime) -> datetime | None:
    if text.strip().lower() == "now":
        return now
    span = _span(text)
    return now - span if span else None


def _span(text: str) -> timedelta | None:
    match = _SPAN.fullmatch(text.strip().lower())
    return timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
