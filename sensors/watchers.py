"""The watcher of the watchers.

Sensors and schedules that fail, sensors that no longer look, a queue that does not move, daemons without a sign of
life, and connectors that cannot be used, through which no one would be notified of any of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from cavra_pipeline.alerts.kinds import BROKEN_CONNECTOR
from cavra_pipeline.alerts.signals import Observation, Signal, is_public_text
from cavra_pipeline.connectors import WHOLE_FILE, ConnectorProblem
from cavra_pipeline.daemon import heartbeats, silent_daemons
from cavra_pipeline.retry.sender import host_problems
from cavra_pipeline.sensors import dagster_records as records
from cavra_pipeline.sensors.alerting import SensorTick, TickResult, in_words, observing_sensor
from cavra_pipeline.sensors.location import Location
from cavra_pipeline.slots.observations import LONGEST_PAUSE, longest_pause

NAME: Final = "watcher_sensor"
KINDS: Final = ("sensor_error", "tick_age", "run_backlog", "daemon_heartbeat", BROKEN_CONNECTOR)
#: A run may wait in the queue for so long.
LONGEST_WAIT: Final = timedelta(minutes=15)


@observing_sensor(
    every=lambda settings: 2 * settings.watch_seconds,
    description="Watches the watching: failing or missing ticks, waiting runs, silent daemons, broken connectors.",
)
def watcher_sensor(tick: SensorTick) -> TickResult:
    """Observes; its cursor is its last tick, and since when connectors are broken."""
    previous_cursor, now = tick.cursor, tick.now
    looked_at = previous_cursor.get("looked_at")
    # After a pause of its own everything else is just waking up too: what is old now may be new in a minute.
    pause = longest_pause(tick.settings.watch_seconds)
    is_awake = looked_at is not None and now - datetime.fromisoformat(looked_at) <= pause
    instigators = list(records.instigators(tick.context, tick.place).values())
    signals = [*_failing(tick.instance, instigators, now), *_backlog(tick.instance, tick.place, now)]
    if is_awake:
        signals += [*_silent_sensors(instigators, now), *_silent_daemons(tick.instance, now)]
    problems = host_problems(tick.settings)
    broken_since = _broken_since(problems, previous_cursor.get("broken_since", {}), now)
    signals += [_broken(problem, broken_since[problem.subject]) for problem in problems]
    reason = in_words(signals) or "Every sensor ticks, no run waits too long, every daemon has a heartbeat."
    return TickResult(
        Observation(KINDS, signals, is_heartbeat=True, is_failing=bool(problems)),
        reason,
        {"looked_at": now.isoformat(), "broken_since": broken_since},
    )


def _failing(
    instance: dg.DagsterInstance, instigators: Sequence[records.Instigator], now: datetime
) -> Iterator[Signal]:
    """Yields a signal for each instigator whose newest tick failed, since the first of the failures in a row."""
    for instigator in instigators:
        failed = records.failures_in_a_row(instance, instigator, now - timedelta(days=2)) if instigator.is_on else []
        if failed:
            yield Signal(
                "sensor_error", instigator.name, "critical", failed[-1].at, f"{instigator.kind}_failed", len(failed),
                {"error": failed[0].error},
            )  # fmt: skip


def _silent_sensors(instigators: Sequence[records.Instigator], now: datetime) -> Iterator[Signal]:
    for instigator in instigators:
        longest = max(LONGEST_PAUSE, 10 * instigator.interval)
        if (
            instigator.is_on
            and instigator.name != NAME
            and instigator.last_tick_at
            and now - instigator.last_tick_at > longest
        ):
            yield Signal("tick_age", instigator.name, "critical", instigator.last_tick_at)


def _backlog(instance: dg.DagsterInstance, place: Location, now: datetime) -> Iterator[Signal]:
    count, oldest = records.queue(instance, place)
    if oldest and now - oldest > LONGEST_WAIT:
        yield Signal("run_backlog", "run queue", "warning", oldest, None, count)


def _silent_daemons(instance: dg.DagsterInstance, now: datetime) -> Iterator[Signal]:
    beats = heartbeats(instance)
    for kind in silent_daemons(beats, now):
        yield Signal("daemon_heartbeat", kind.lower(), "critical", beats[kind].at.astimezone(UTC))


def _broken_since(
    problems: Sequence[ConnectorProblem], known_since: Mapping[str, str], now: datetime
) -> dict[str, str]:
    """When each problem was first seen."""
    return {problem.subject: known_since.get(problem.subject, now.isoformat()) for problem in problems}


def _broken(problem: ConnectorProblem, since: str) -> Signal:
    """The alert of a problem; what a person typed in the wrong place may be a secret, and then is not repeated."""
    fault = problem.faults[0]
    # the key of a fault of the whole file is a path of this host
    shown = {"rule": fault.what} | ({} if problem.subject == WHOLE_FILE else {"key": fault.where})
    evidence: dict[str, str | int] = {name: text for name, text in shown.items() if is_public_text(text)}
    subject = problem.subject if is_public_text(problem.subject) else WHOLE_FILE
    return Signal(
        BROKEN_CONNECTOR, subject, "critical", datetime.fromisoformat(since), problem.reason,
        evidence=evidence | {"fault_count": len(problem.faults)},
    )  # fmt: skip
