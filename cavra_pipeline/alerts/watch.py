"""What a sensor calls in one go: process what it found, plan the notifications, send those that are due, ping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from cavra_pipeline.alerts import deadman
from cavra_pipeline.alerts.lifecycle import observe
from cavra_pipeline.alerts.outbox import deliver_due, next_attempt_at
from cavra_pipeline.alerts.records import record_plans
from cavra_pipeline.alerts.signals import Observation
from cavra_pipeline.connectors import DeliverySettings
from cavra_pipeline.errors import TransientError
from cavra_pipeline.retry.sender import open_sender
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of

#: One try with short waits: the outbox is what repeats, and a sensor has a minute.
_ONE_TRY: Final = DeliverySettings(
    connect_timeout_seconds=5, write_timeout_seconds=5, read_timeout_seconds=10, immediate_tries=1
)


def watch_pass(settings: Settings, observation: Observation, *, clock: Callable[[], datetime]) -> datetime | None:
    """Processes one sensor observation: updates alerts, plans and sends notifications, pings.

    Args:
        settings: The home; of another home than the host's they name no connector, so nothing is sent.
        observation: What is wrong now.
        clock: Returns the current time.

    Returns:
        When the next pass has something to do even if nothing changes: a reminder, a window or silence that ends, a
        retry. None if nothing is waiting.

    Raises:
        TransientError: The state database stayed busy. Nothing of this observation was stored, or what was is safe:
            call again.
        PipelineError: A connector of ours is defective.
        ValueError: A signal is of a kind that was not evaluated.
    """
    url = settings.deadman_url if observation.is_heartbeat else None
    deadman.ping(url, deadman.START, settings.ca_file)
    try:
        due_at = _pass(settings, observation, clock)
    except TransientError:
        # Send no ping: the monitor times out on the open /start.
        raise
    except BaseException:
        deadman.ping(url, deadman.FAIL, settings.ca_file)
        raise
    deadman.ping(url, deadman.FAIL if observation.is_failing else deadman.SUCCESS, settings.ca_file)
    return due_at


def _pass(settings: Settings, observation: Observation, clock: Callable[[], datetime]) -> datetime | None:
    now = clock()
    with state_of(settings).writing() as c:
        due_at = observe(c, observation, now=now, policy=settings.alerts)
        retry_at = next_attempt_at(c, settings)
    attempts = 0
    if retry_at is not None and retry_at <= now:
        sender = open_sender(settings, clock=clock)
        attempts = deliver_due(settings, replace(sender, settings=_ONE_TRY), clock=clock)
    try:
        record_plans(settings)
    except TransientError:
        # A busy warehouse holds up no notification; the next pass records the plans.
        return now
    return now if attempts else min((at for at in (due_at, retry_at) if at), default=None)
