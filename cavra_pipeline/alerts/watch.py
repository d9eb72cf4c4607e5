"""What a sensor calls in one go: take in what it found, plan the notices, deliver those that are due, ping."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from cavra_pipeline.alerts import deadman
from cavra_pipeline.alerts.lifecycle import observe
from cavra_pipeline.alerts.outbox import Delivered, deliver_due, next_attempt_at
from cavra_pipeline.alerts.records import record_plans
from cavra_pipeline.alerts.signals import Signal
from cavra_pipeline.connectors import DeliverySettings
from cavra_pipeline.errors import TransientError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.retry.sender import open_sender
from cavra_pipeline.settings import Settings

#: One try with short waits: the outbox is what repeats, and a sensor has a minute.
_ONE_TRY: Final = DeliverySettings(
    connect_timeout_seconds=5, write_timeout_seconds=5, read_timeout_seconds=10, immediate_tries=1
)


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
    is_failing: bool = False,
) -> Pass:
    """Takes in one look of a sensor and does everything that follows from it.

    Args:
        settings: The home, on this host (``Settings.on_this_host``): others name no connector, so nothing is sent.
        kinds: The kinds that were fully evaluated: an open alert of these that has no signal is over.
        signals: Everything of those kinds that is wrong now.
        clock: Tells the time.
        is_heartbeat: Whether this pass shows that the watching as a whole works; only then the dead man is pinged.
        is_failing: Whether notices may not reach people, so that the ping has to say so.

    Raises:
        TransientError: The warehouse stayed busy. Nothing of this look was taken in, or what was is safe: call again.
        PipelineError: A connector of ours is defective.
        ValueError: A signal is of another kind than ``kinds``.
    """
    url = settings.deadman_url if is_heartbeat else None
    deadman.ping(url, deadman.Signal.START, settings.ca_file)
    try:
        done = _pass(settings, kinds, signals, clock)
    except TransientError:
        # Neither success nor failure: outside, it shows as a start that nothing follows.
        raise
    except BaseException:
        deadman.ping(url, deadman.Signal.FAIL, settings.ca_file)
        raise
    return replace(done, ping=deadman.ping(url, deadman.result(is_failing=is_failing), settings.ca_file))


def _pass(settings: Settings, kinds: Collection[str], signals: Iterable[Signal], clock: Callable[[], datetime]) -> Pass:
    now = clock()
    with warehouse_of(settings).writing("take in what a sensor found") as session:
        seen = observe(session, kinds, signals, now=now, policy=settings.alerts)
        retry_at = next_attempt_at(session, settings)
    delivered = Delivered()
    if retry_at is not None and retry_at <= now:
        record_plans(settings, now=now)
        with open_sender(settings, clock=clock) as sender:
            delivered = deliver_due(settings, replace(sender, settings=_ONE_TRY), clock=clock)
    was_busy = bool(seen.notices or delivered.sent_count or delivered.unsent_count)
    waits = [now] if was_busy else [at for at in (seen.due_at, retry_at) if at]
    return Pass(
        opened_count=len(seen.opened),
        resolved_count=len(seen.resolved),
        firing_count=len(seen.standing),
        sent_count=delivered.sent_count,
        unsent_count=delivered.unsent_count,
        due_at=min(waits, default=None),
        ping="off",
    )
