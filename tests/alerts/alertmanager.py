"""A model of how Alertmanager tells of one group, written from its documentation, as an oracle for ours.

Sources, in our words (prometheus.io, "Alerting overview" and "Alertmanager configuration", section route):

- group_wait: how long the first notification of a group waits, so that more alerts of it can join;
- group_interval: how long it waits, after a notification, before it tells of alerts that joined the group since;
- repeat_interval: how long it waits, after a successful notification, before it sends it again;
- send_resolved: resolved alerts are told too, once.

Two choices of ours, in place of what the documentation leaves open: the group interval counts from the last
notification, and a group with nothing left is told to be over at once instead of after the group interval.
A resolved alert that was never told is not told, and with nothing left the group is gone: what follows is a new group.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass
class Group:
    """One group at one receiver that takes everything."""

    group_wait: timedelta
    group_interval: timedelta
    repeat_interval: timedelta
    active_since: dict[str, datetime] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    told_at: datetime | None = None

    def tick(self, active: set[str], now: datetime) -> tuple[str, frozenset[str]] | None:
        """The alerts that are active at this instant; what is sent: the notice and the alerts it names as active."""
        self.active_since = {name: self.active_since.get(name, now) for name in active}
        if self.told_at is None:
            if not active or now < min(self.active_since.values()) + self.group_wait:
                return None
            return self._send("firing", active, now)
        if not active:
            self._send("resolved", active, now)
            self.told_at = None
            return "resolved", frozenset()
        joined, left = active - self.told, self.told - active
        if joined or left:
            return self._send("more", active, now) if now >= self.told_at + self.group_interval else None
        if now >= self.told_at + self.repeat_interval:
            return self._send("reminder", active, now)
        return None

    def _send(self, notice: str, active: set[str], now: datetime) -> tuple[str, frozenset[str]]:
        self.told, self.told_at = set(active), now
        return notice, frozenset(active)
