"""How alerts are told: the numbers of the life cycle. Each default and its source are in docs/alerts.md."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """How alerts are told.

    Attributes:
        connectors: Providers that notices go through, in this order; none are sent if it is empty.
        group_wait_seconds: How long the first notice of a group waits for more of the group.
        window_minutes: Suppression window: after a notice was taken, more of the same group is held back for so long.
        repeat_minutes: After how long a notice is repeated while nothing changes and nobody acknowledges.
        flap_changes: Beginnings and ends of one alert, within ``flap_window_minutes``, from which it is flapping.
        flap_window_minutes: How far back changes count; also how long it must be stable to be stable again.
    """

    connectors: tuple[str, ...] = ()
    group_wait_seconds: float = 0.0
    window_minutes: float = 60.0
    repeat_minutes: float = 240.0
    flap_changes: int = 5
    flap_window_minutes: float = 60.0

    @property
    def group_wait(self) -> timedelta:
        """How long the first notice of a group waits."""
        return timedelta(seconds=self.group_wait_seconds)

    @property
    def repeat(self) -> timedelta:
        """The repeat interval."""
        return timedelta(minutes=self.repeat_minutes)

    @property
    def flap_window(self) -> timedelta:
        """How far back changes count."""
        return timedelta(minutes=self.flap_window_minutes)


DEFAULT_POLICY: Final = AlertPolicy()
