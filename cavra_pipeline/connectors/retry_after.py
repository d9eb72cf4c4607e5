"""`Retry-After` and its like: when the other side wants to be asked again.

Source: RFC 9110 section 10.2.3 (the field) and 5.6.7 (the three forms of an HTTP date); what APIs send besides is
in `docs/connectors-answers.md`.

What belongs here: header values to one instant.
What does not: whether there will be another attempt at all (deliver, and the retry policy above it).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_NUMBER = re.compile(r"([0-9]+)(\.[0-9]*)?")
# a comma that separates values; the one after the name of a day belongs to a date
_SEPARATOR = re.compile(r"(?<!mon|tue|wed|thu|fri|sat|sun|day),", re.IGNORECASE)
_ISO_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9]{2}:?[0-9]{2})")
# A wait of 31 years is none: from here on a number is the time itself, in seconds or milliseconds since 1970.
_FIRST_EPOCH_SECONDS = 10**9
_FIRST_EPOCH_MILLISECONDS = 10**12
_MAX_DIGITS = 15  # more is neither: the cap decides


def retry_floor(values: Iterable[str], received_at: datetime, max_wait_seconds: int) -> datetime | None:
    """Return the instant before which no attempt may be made, or None if the values say nothing usable.

    Each value is a wait in seconds, an HTTP date, an ISO 8601 instant, a Unix time, or a list of these; the latest
    counts. The answer lies between `received_at` and `received_at` plus `max_wait_seconds`: a wrong clock or a
    hostile receiver must not park a delivery for years.
    """
    parts = (part.strip() for value in values for part in _SEPARATOR.split(value))
    latest = received_at + timedelta(seconds=max_wait_seconds)
    instants = [instant for part in parts if (instant := _instant(part, received_at, latest))]
    return min(max(*instants, received_at), latest) if instants else None


def _instant(text: str, received_at: datetime, latest: datetime) -> datetime | None:
    number = _NUMBER.fullmatch(text) if text.isascii() else None
    if number is None:
        return _iso_instant(text) or _http_date(text)
    if len(number[1].lstrip("0")) > _MAX_DIGITS:
        return latest
    # a fraction of a second is waited for as a whole one
    seconds = math.ceil(float(text))
    if seconds >= _FIRST_EPOCH_MILLISECONDS:
        seconds //= 1000
    if seconds < _FIRST_EPOCH_SECONDS:
        return min(received_at + timedelta(seconds=seconds), latest)
    return latest if seconds >= latest.timestamp() else datetime.fromtimestamp(seconds, UTC)


def _iso_instant(text: str) -> datetime | None:
    if not _ISO_INSTANT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _http_date(text: str) -> datetime | None:
    # "-5" and "1.5" are read as dates by the lenient parser: a date names its month
    if not re.search(r"[A-Za-z]{3}", text):
        return None
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
