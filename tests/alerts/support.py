"""What tests of the alerts share: signals, a home that tells a scripted provider, and passes at a moved clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cavra_pipeline.alerts.lifecycle import observe
from cavra_pipeline.alerts.outbox import deliver_due, next_attempt_at
from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.connectors import Notification
from cavra_pipeline.settings import AlertPolicy, Settings
from cavra_pipeline.state import state_of
from tests.support import AS_OF, empty_warehouse, home_with, query_state
from tests.worker.support import Clock, Provider


def signal(kind: str = "missed_run", subject: str = "recovery_retry_worker", **fields: Any) -> Signal:
    """A critical signal since AS_OF."""
    return Signal(kind, subject, **{"severity": "critical", "since": AS_OF, **fields})


@dataclass
class Desk:
    """A home, its provider, and the passes over it."""

    settings: Settings
    provider: Provider
    due_at: datetime | None = None
    retry_at: datetime | None = None

    @property
    def clock(self) -> Clock:
        return self.provider.clock

    def look(self, *signals: Signal, kinds: Collection[str] = ()) -> None:
        """Takes in a look at the kinds of the signals, or at those given."""
        with state_of(self.settings).writing() as c:
            looked_at = {*kinds, *(one.kind for one in signals)} or {"missed_run"}
            self.due_at = observe(c, Observation(looked_at, signals), now=self.clock(), policy=self.settings.alerts)
            self.retry_at = next_attempt_at(c, self.settings)

    @property
    def alert_id(self) -> str:
        """The id of the first alert there was."""
        return str(query_state(self.settings, "SELECT alert_id FROM alerts ORDER BY opened_at")[0][0])

    def deliver(self) -> int:
        return deliver_due(self.settings, self.provider, clock=self.clock)

    def tick(self, *signals: Signal, minutes: float = 0, kinds: Collection[str] = ()) -> list[str]:
        """Moves the clock, looks, delivers; returns what was told by that: notice and group."""
        self.clock.move(minutes)
        known = len(self.provider.sent)
        self.look(*signals, kinds=kinds)
        if self.retry_at and self.retry_at <= self.clock():
            self.deliver()
        return [in_short(message) for _, message in self.provider.sent[known:]]

    @property
    def last(self) -> Notification:
        return self.provider.sent[-1][1]


def in_short(message: Notification) -> str:
    """The notice and its group."""
    return f"{message.event_type.removeprefix('cavra.alert.')} {message.subject}"


def desk(
    tmp_path: Path, *, connectors: Iterable[str] = ("webhook",), state_address: str | None = None, **policy: Any
) -> Desk:
    """A home whose notices go to a scripted provider."""
    alerts = AlertPolicy(connectors=tuple(connectors), **policy)
    settings = home_with(tmp_path, threads=1, alerts=alerts, state_address=state_address)
    if not settings.warehouse.exists():
        settings.warehouse.write_bytes(empty_warehouse())
    return Desk(settings, Provider(Clock()))


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def instant_at(count: float) -> datetime:
    return AS_OF + minutes(count)
