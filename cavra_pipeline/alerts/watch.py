"""What a sensor calls in one go: take in what it found, plan the notices, deliver those that are due, ping."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from cavra_pipeline.alerts.signals import Signal
from cavra_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass did.

    Attributes:
        opened_count: Alerts that began.
        resolved_count: Alerts that ended.
        firing_count: Alerts of any kind that are open now, acknowledged or not.
        sent_count: Notices that a connector took.
        unsent_count: Notices that were tried and will be tried again.
        due_at: When the next pass has something to do even if nothing changes: a reminder, a window or silence that
            ends, a retry. None if nothing is waiting.
        ping: What became of the dead man's ping: ``sent``, ``off``, or why it failed.
    """

    opened_count: int
    resolved_count: int
    firing_count: int
    sent_count: int
    unsent_count: int
    due_at: datetime | None
    ping: str


def watch_pass(
    settings: Settings,
    kinds: Collection[str],
    signals: Iterable[Signal],
    *,
    clock: Callable[[], datetime],
    is_heartbeat: bool = False,
) -> Pass:
    """Takes in one look of a sensor and does everything that follows from it.

    Args:
        settings: The home.
        kinds: The kinds that were fully evaluated: an open alert of these that has no signal is over.
        signals: Everything of those kinds that is wrong now.
        clock: Tells the time.
        is_heartbeat: Whether this pass shows that the watching as a whole works; only then the dead man is pinged.

    Raises:
        TransientError: The warehouse stayed busy. Nothing of this look was taken in, or what was is safe: call again.
        PipelineError: The connectors file has faults. The look was taken in; notices wait for it.
        ValueError: A signal is of another kind than ``kinds``.
    """
    raise NotImplementedError
