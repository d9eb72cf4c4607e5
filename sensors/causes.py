"""The sensors for provider incidents and for deliveries that will be exhausted within the hour.

They read what assets showed last, never the warehouse, and reckon on from there to now.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import dagster as dg

from cavra_pipeline.alerts.signals import Observation
from cavra_pipeline.causes.problems import EXHAUSTION_AHEAD, INCIDENT_KINDS, exhaustion_signal, incident_signals
from cavra_pipeline.jobs import PROVIDER_INCIDENTS, asset_key
from cavra_pipeline.lanes import LANES
from cavra_pipeline.sensors.alerting import Clock, in_words, now_utc, told_result
from cavra_pipeline.sensors.instance import instance_of
from cavra_pipeline.sensors.shown import newest_shown
from cavra_pipeline.settings import Settings

#: What is shown of the newest day of a run alone, which a sensor decides by.
_INCIDENTS: Final = "open_incidents"
_EXHAUSTION: Final = "exhaustion"


def build_provider_incident_sensor(settings: Settings, clock: Clock = now_utc) -> dg.SensorDefinition:
    """Returns the sensor for open incidents and for failed executions, which an incident of their pairs explains."""

    @dg.sensor(
        name="provider_incident_sensor",
        minimum_interval_seconds=settings.report_watch_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Notifies once of each provider incident, in place of the failed executions that it explains.",
    )
    def provider_incident_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        known = json.loads(context.cursor) if context.cursor else {}
        shown = newest_shown(instance_of(context), asset_key(settings, PROVIDER_INCIDENTS), clock(), having=_INCIDENTS)
        if shown is None:
            return dg.SensorResult(skip_reason="There is no report of provider incidents yet.", cursor=context.cursor)
        signals = incident_signals(shown[_INCIDENTS], shown["failed_executions"])
        reason = in_words(signals) or "No provider incident is open, and no execution is unresolved."
        return told_result(settings, known, Observation(INCIDENT_KINDS, signals), clock, reason=reason, cursor={})

    return provider_incident_sensor


def build_exhaustion_sensor(settings: Settings, clock: Clock = now_utc) -> dg.SensorDefinition:
    """Returns the sensor for deliveries that will be exhausted within the hour.

    Its cursor has each lane's newest forecast: reports of a lane's health by the API hold none.
    """

    @dg.sensor(
        name="exhaustion_sensor",
        minimum_interval_seconds=settings.report_watch_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Notifies before the last retry of a delivery is made, by the newest forecast of each lane.",
    )
    def exhaustion_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        known, now = json.loads(context.cursor) if context.cursor else {}, clock()
        forecasts: dict[str, Any] = {}
        for lane in LANES:
            shown = _newest(instance_of(context), settings, lane, known.get("forecasts", {}).get(lane), now)
            forecasts |= {lane: shown} if shown else {}
        found = [exhaustion_signal(lane, shown, now) for lane, shown in forecasts.items()]
        signals = [one for one in found if one]
        quiet = "Nothing will be exhausted within the hour." if forecasts else "There is no forecast yet."
        reason = in_words(signals) or quiet
        return told_result(
            settings,
            known,
            Observation((EXHAUSTION_AHEAD,), signals),
            clock,
            reason=reason,
            cursor={"forecasts": forecasts},
        )

    return exhaustion_sensor


def _newest(
    instance: dg.DagsterInstance, settings: Settings, lane: str, known: Mapping[str, Any] | None, now: datetime
) -> Mapping[str, Any] | None:
    """The lane's newest forecast that an asset has shown, or that the sensor remembers."""
    shown = newest_shown(instance, asset_key(settings, f"{lane}_retry_health"), now, having=_EXHAUSTION)
    found = [one for one in (known, shown[_EXHAUSTION] if shown else None) if one]
    return max(found, key=lambda one: str(one["as_of"]), default=None)
