"""A notification, before it is worded for a provider.

What belongs here: the one message type that every connector can carry, and its rules.
What does not: a provider's format (requests), or why the message is sent (the caller's domain).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, get_args

from cavra_pipeline.escaping import visible, visible_lines

Severity = Literal["info", "warning", "critical"]
FactValue = str | int | None

MAX_FACTS = 40

# No full stop: Standard Webhooks signs "id.timestamp.body". 100 is the shortest field that takes the id
# (ServiceNow correlation_id, Datadog aggregation_key).
_IDEMPOTENCY_ID = re.compile(r"[A-Za-z0-9_:-]{1,100}")
_EVENT_TYPE = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")


@dataclass(frozen=True, slots=True)
class Notification:
    """One message for people or their tools; the same `idempotency_id` on every attempt to deliver it."""

    idempotency_id: str
    event_type: str
    title: str
    summary: str
    severity: Severity
    subject: str
    occurred_at: datetime
    facts: Mapping[str, FactValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Escape what steers or can't be seen, then refuse what some provider could not carry, by the field's name."""
        for name in ("title", "subject"):
            object.__setattr__(self, name, visible(getattr(self, name)))
        object.__setattr__(self, "summary", visible_lines(self.summary))
        facts = {
            visible(name): visible(value) if isinstance(value, str) else value for name, value in self.facts.items()
        }
        object.__setattr__(self, "facts", facts)
        if not _IDEMPOTENCY_ID.fullmatch(self.idempotency_id):
            raise ValueError("idempotency_id: use 1 to 100 of A-Z a-z 0-9 _ : - (no full stop)")
        if not _EVENT_TYPE.fullmatch(self.event_type) or len(self.event_type) > 100:
            raise ValueError("event_type: use words of A-Z a-z 0-9 _ joined by full stops, at most 100 characters")
        if not self.title.strip():
            raise ValueError("title: give a text that is not empty")
        if not self.subject.strip():
            raise ValueError("subject: give the id of what the message is about")
        if self.severity not in get_args(Severity):
            raise ValueError(f"severity: use one of {', '.join(get_args(Severity))}")
        if self.occurred_at.utcoffset() != timedelta(0):
            raise ValueError("occurred_at: give an aware datetime in UTC")
        if len(self.facts) > MAX_FACTS:
            raise ValueError(f"facts: give at most {MAX_FACTS}")
