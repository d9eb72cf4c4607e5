"""Formats of ages and durations where room is short: in reports, tables and pictures."""

from __future__ import annotations


def short_duration(minutes: int) -> str:
    """Formats a duration in its two largest units, rounded down: ``13 h 24 min``, ``7 d 19 h``, ``7 d``.

    The verifier of a bundle has this rule again, as it stands alone: ``verify/derive.py``.
    """
    parts = ((minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min"))
    first = (minutes < 1440) + (minutes < 60)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 min"
