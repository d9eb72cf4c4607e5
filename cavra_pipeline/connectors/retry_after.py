"""`Retry-After`: when the other side wants to be asked again.

Source: RFC 9110 section 10.2.3 (the field) and 5.6.7 (the three forms of an HTTP date).

What belongs here: one header value to one instant.
What does not: whether there will be another attempt at all (deliver, and the retry policy above it).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_DELAY_SECONDS = re.compile(r"[0-9]+")
_MAX_DIGITS = 12  # more is a delay of over 30,000 years: the cap decides


def retry_floor(value: str | None, received_at: datetime, max_wait_seconds: int) -> datetime | None:
    """Return the instant before which no attempt may be made, or None if the value says nothing usable.

    The answer lies between `received_at` (a date in the past, or 0 seconds) and `received_at` plus
    `max_wait_seconds`: a wrong clock or a hostile receiver must not park a delivery for years.
    """
    text = (value or "").strip()
    latest = received_at + timedelta(seconds=max_wait_seconds)
    if _DELAY_SECONDS.fullmatch(text):
        if len(text.lstrip("0")) > _MAX_DIGITS:
            return latest
        return received_at + timedelta(seconds=min(int(text), max_wait_seconds))
    date = _http_date(text)
    if date is None:
        return None
    return min(max(date, received_at), latest)


def _http_date(text: str) -> datetime | None:
    # "-5" and "1.5" are read as dates by the lenient parser: a date names its month
    if not re.search(r"[A-Za-z]{3}", text):
        return None
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
