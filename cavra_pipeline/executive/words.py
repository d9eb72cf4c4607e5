"""Plain words for executives: durations, moments, names, counts. No judgement and no markup."""

from __future__ import annotations

from datetime import datetime
from typing import Final

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PROVIDERS: Final = {
    "datadog": "Datadog",
    "jira": "Jira",
    "sentinel": "Sentinel",
    "servicenow": "ServiceNow",
    "slack": "Slack",
    "splunk": "Splunk",
    "teams": "Teams",
    "webhook": "Webhook",
}


def provider_name(provider: str) -> str:
    """Returns how a provider writes its own name, or the name as given."""
    return _PROVIDERS.get(provider, provider)


def lane_title(name: str) -> str:
    """Returns a lane's name as words."""
    return name.replace("_", " ").capitalize()


def count(number: int, one: str, many: str | None = None) -> str:
    """Returns the number with its noun: ``1 recovery``, ``2 recoveries``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def are(number: int, one: str, many: str | None = None) -> str:
    """Returns the number, its noun and ``is`` or ``are``."""
    return f"{count(number, one, many)} {'is' if number == 1 else 'are'}"


def listed(names: list[str]) -> str:
    """Joins names as a sentence does: ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def duration(minutes: int) -> str:
    """Says a duration in its two largest units, rounded down."""
    parts = [
        count(number, unit)
        for number, unit in ((minutes // 1440, "day"), (minutes // 60 % 24, "hour"), (minutes % 60, "minute"))
    ]
    if minutes >= 1440:
        kept = parts[:2] if minutes // 60 % 24 else parts[:1]
    elif minutes >= 60:
        kept = parts[1:] if minutes % 60 else parts[1:2]
    else:
        kept = parts[2:]
    return " ".join(kept)


def short_duration(minutes: int) -> str:
    """Says a duration for a picture: ``13 h 24 min``."""
    words = (("days", "d"), ("day", "d"), ("hours", "h"), ("hour", "h"), ("minutes", "min"), ("minute", "min"))
    return " ".join(dict(words).get(word, word) for word in duration(minutes).split())


def limit_words(minutes: int) -> str:
    """Says a limit in one unit where it fits one: ``4-hour``, ``90-minute``."""
    for size, unit in ((1440, "day"), (60, "hour")):
        if minutes >= size and minutes % size == 0:
            return f"{minutes // size}-{unit}"
    return f"{minutes}-minute"


def day_text(moment: datetime) -> str:
    """Says a day: ``23 Nov``."""
    return f"{moment.day} {_MONTHS[moment.month - 1]}"


def moment_text(moment: datetime) -> str:
    """Says a UTC moment to the minute: ``23 Nov 2026, 07:29 UTC``."""
    return f"{day_text(moment)} {moment.year}, {moment:%H:%M} UTC"


def read(instant: str) -> datetime:
    """Reads an instant of a report."""
    return datetime.fromisoformat(instant)
