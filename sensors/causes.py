"""The sensors for provider incidents and for deliveries that will be exhausted within the hour.

They read what assets showed last, never the warehouse, and reckon on from there to now.
"""

from collections.abc import Mapping
from typing import Any, Final

from cavra_pipeline.alerts.signals import Observation
from cavra_pipeline.causes.problems import EXHAUSTION_AHEAD, INCIDENT_KINDS, exhaustion_signals, incident_signals
from cavra_pipeline.jobs import PROVIDER_INCIDENTS, asset_key
from cavra_pipeline.lanes import LANES
from cavra_pipeline.sensors.alerting import SensorTick, TickResult, in_words, observing_sensor
from cavra_pipeline.sensors.shown import newest_shown

#: What is shown of the newest day of a run alone, which a sensor decides by.
_INCIDENTS: Final = "open_incidents"
_EXHAUSTION: Final = "exhaustion"


@observing_sensor(
    every=lambda settings: settings.report_watch_seconds,
    description="Notifies once of each provider incident, in place of the failed executions that it explains.",
)
def provider_incident_sensor(tick: SensorTick) -> TickResult:
    """Observes open incidents and failed executions, which an incident of their pairs explains."""
    asset = asset_key(tick.settings, PROVIDER_INCIDENTS)
    shown = newest_shown(tick.instance, asset, tick.now, having=_INCIDENTS)
    if shown is None:
        return TickResult(None, "There is no report of provider incidents yet.", tick.cursor)
    signals = incident_signals(shown[_INCIDENTS], shown["failed_executions"])
    reason = in_words(signals) or "No provider incident is open, and no execution is unresolved."
    return TickResult(Observation(INCIDENT_KINDS, signals), reason)


@observing_sensor(
    every=lambda settings: settings.report_watch_seconds,
    description="Notifies before the last retry of a delivery is made, by the newest forecast of each lane.",
)
def exhaustion_sensor(tick: SensorTick) -> TickResult:
    """Observes deliveries that will be exhausted within the hour.

    Its cursor has each lane's newest forecast: reports of a lane's health by the API hold none.
    """
    forecasts: dict[str, Any] = {}
    for lane in LANES:
        shown = _newest(tick, lane)
        forecasts |= {lane: shown} if shown else {}
    signals = [signal for lane, shown in forecasts.items() for signal in exhaustion_signals(lane, shown, tick.now)]
    quiet = "Nothing will be exhausted within the hour." if forecasts else "There is no forecast yet."
    reason = in_words(signals) or quiet
    return TickResult(Observation((EXHAUSTION_AHEAD,), signals), reason, {"forecasts": forecasts})


def _newest(tick: SensorTick, lane: str) -> Mapping[str, Any] | None:
    """Returns the lane's newest forecast that an asset has shown, or that the sensor remembers."""
    remembered = tick.cursor.get("forecasts", {}).get(lane)
    shown = newest_shown(tick.instance, asset_key(tick.settings, f"{lane}_retry_health"), tick.now, having=_EXHAUSTION)
    forecasts = [forecast for forecast in (remembered, shown[_EXHAUSTION] if shown else None) if forecast]
    return max(forecasts, key=lambda forecast: str(forecast["as_of"]), default=None)
