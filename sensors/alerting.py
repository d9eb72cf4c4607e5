"""Passes a sensor's observations to the life cycle of alerts, and opens no database while nothing changed."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from cavra_pipeline.alerts import deadman
from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.alerts.watch import watch_pass
from cavra_pipeline.errors import TransientError
from cavra_pipeline.escaping import visible
from cavra_pipeline.evidence.pseudonym_key import open_home
from cavra_pipeline.sensors.instance import instance_of
from cavra_pipeline.sensors.location import Location, location_of
from cavra_pipeline.settings import Settings

#: A tick waits no longer than this for a busy database; the next one tries again.
PATIENCE_SECONDS: Final = 5.0
#: After so long an observation is processed again though nothing changed: the state database may be another one since,
#: that of a new home or a backup, and does not know what the cursor says it was told.
LONGEST_SILENCE: Final = timedelta(hours=1)

Clock = Callable[[], datetime]


def now_utc() -> datetime:
    """Reads the clock."""
    return datetime.now(UTC)


def patient(settings: Settings) -> Settings:
    """Returns the settings of a sensor: it does not wait long for a busy database."""
    return open_home(settings.but(busy_wait_seconds=min(settings.busy_wait_seconds, PATIENCE_SECONDS)))


@dataclass(frozen=True, slots=True)
class LastObservation:
    """The last observation that the alert engine processed.

    Attributes:
        fingerprint: Digest of the observation; empty before the first.
        due_at: When it is called again even if nothing changes; None before the first.
    """

    fingerprint: str = ""
    due_at: datetime | None = None

    def document(self) -> list[str | None]:
        """Returns it for a cursor."""
        return [self.fingerprint, self.due_at.isoformat() if self.due_at else None]

    @classmethod
    def of(cls, document: Sequence[str | None] | None) -> "LastObservation":
        """Reads it from a cursor."""
        mark, due_at = document or ("", None)
        return cls(mark or "", datetime.fromisoformat(due_at) if due_at else None)


def process(settings: Settings, last: LastObservation, observation: Observation, clock: Clock) -> LastObservation:
    """Processes an observation by the life cycle of alerts, if it differs from the last or something is due.

    Args:
        settings: The home.
        last: The last observation that it processed.
        observation: What is wrong now.
        clock: Returns the current time.

    Raises:
        TransientError: A database stayed busy; call again with the same.
    """
    mark, now = observation.fingerprint, clock()
    if last.fingerprint == mark and last.due_at is not None and now < last.due_at:
        if observation.is_heartbeat:
            end = deadman.FAIL if observation.is_failing else deadman.SUCCESS
            deadman.ping(settings.deadman_url, end, settings.ca_file)
        return last
    latest = now + LONGEST_SILENCE
    return LastObservation(mark, min(watch_pass(settings, observation, clock=clock) or latest, latest))


def in_words(signals: Sequence[Signal]) -> str:
    """Names what is wrong, for the UI."""
    return "; ".join(
        f"{signal.kind} {signal.subject}"
        + (f" ({signal.count}, {signal.cause})" if signal.cause else f" ({signal.count})")
        for signal in signals[:10]
    )


@dataclass(frozen=True, slots=True)
class SensorTick:
    """One evaluation of a sensor: its Dagster context, the home's settings, the cursor as an object, and now."""

    context: dg.SensorEvaluationContext
    settings: Settings
    cursor: Mapping[str, Any]
    now: datetime

    @property
    def instance(self) -> dg.DagsterInstance:
        """Dagster's instance."""
        return instance_of(self.context)

    @property
    def place(self) -> Location:
        """The code location that the sensor is evaluated for."""
        return location_of(self.context, self.settings)


@dataclass(frozen=True, slots=True)
class TickResult:
    """Result of an evaluation.

    Attributes:
        observation: What is wrong now; None: nothing could be observed, and no alert changes.
        reason: What the tick says if it asks for no run.
        cursor: What to remember beside the observation. While the state database is busy none is processed, and the
            next tick repeats it.
        run_requests: The runs that the tick asks for.
        asset_events: Results of checks that the tick reports.
    """

    observation: Observation | None
    reason: str
    cursor: Mapping[str, Any] = field(default_factory=dict)
    run_requests: Sequence[dg.RunRequest] = ()
    asset_events: Sequence[dg.AssetCheckEvaluation] = ()


def observing_sensor(
    *, every: Callable[[Settings], int], description: str
) -> Callable[[Callable[[SensorTick], TickResult]], Callable[..., dg.SensorDefinition]]:
    """Makes a function that observes at a tick into the builder of its sensor, which is on and bears its name.

    The builder takes the settings, and ``clock``, which is another one in tests.

    Args:
        every: Returns the least seconds between ticks.
        description: What the sensor does, for the UI.
    """

    def builder(observe: Callable[[SensorTick], TickResult]) -> Callable[..., dg.SensorDefinition]:
        def build(settings: Settings, clock: Clock = now_utc) -> dg.SensorDefinition:
            @dg.sensor(
                name=observe.__name__,
                minimum_interval_seconds=every(settings),
                default_status=dg.DefaultSensorStatus.RUNNING,
                description=description,
            )
            def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
                previous_cursor = json.loads(context.cursor) if context.cursor else {}
                return sensor_result(
                    settings, previous_cursor, observe(SensorTick(context, settings, previous_cursor, clock())), clock
                )

            return sensor

        return build

    return builder


def sensor_result(
    settings: Settings, previous_cursor: Mapping[str, Any], result: TickResult, clock: Clock
) -> dg.SensorResult:
    """Passes the observation to the alert engine; returns the tick's result for Dagster.

    Args:
        settings: The home.
        previous_cursor: The cursor before, as an object.
        result: Result of the evaluation.
        clock: Returns the current time.
    """
    last, reason = LastObservation.of(previous_cursor.get("told")), result.reason
    if result.observation is not None:
        try:
            last = process(patient(settings), last, result.observation, clock)
        except TransientError as busy:
            reason = f"{reason} It is handed on at the next tick: {busy.what}."
    return dg.SensorResult(
        skip_reason=None if result.run_requests else visible(reason),
        run_requests=result.run_requests,
        cursor=json.dumps({**result.cursor, "told": last.document()}, separators=(",", ":")),
        asset_events=result.asset_events,
    )
