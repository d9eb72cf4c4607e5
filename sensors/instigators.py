"""The disabled-schedule sensor: what must be on by the declared desired state, and what worker runs say of themselves.

Dagster keeps no trace of who stopped a schedule or when, so the declaration is compared with what is.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.desired_state import must_be_on
from cavra_pipeline.jobs import asset_key
from cavra_pipeline.lanes import LANES
from cavra_pipeline.sensors import dagster_records as records
from cavra_pipeline.sensors.alerting import SensorTick, TickResult, in_words, observing_sensor
from cavra_pipeline.sensors.shown import newest_shown

KINDS: Final = ("instigator_off", "disabled_schedule")


@observing_sensor(
    every=lambda settings: settings.slow_watch_seconds,
    description="Alerts when a schedule or sensor that must be on is off, or a worker run says that its own is.",
)
def disabled_schedule_sensor(tick: SensorTick) -> TickResult:
    """Observes; its cursor is since when each thing has been off."""
    settings, now = tick.settings, tick.now
    off = {
        instigator.name: Signal("instigator_off", instigator.name, "critical", now, f"{instigator.kind}_stopped")
        for instigator in records.instigators(tick.context, tick.place).values()
        if not instigator.is_on and must_be_on(instigator.name, settings.environment)
    }
    for lane in LANES:
        # What the lane's newest health report says of the schedule of its newest worker run.
        shown = newest_shown(tick.instance, asset_key(settings, f"{lane}_retry_health"), now)
        if shown and shown.get("is_schedule_disabled"):
            off[lane] = Signal("disabled_schedule", lane, "warning", now, evidence={"lane": lane})
    since = {name: tick.cursor.get("since", {}).get(name, now.isoformat()) for name in off}
    signals = [replace(signal, since=datetime.fromisoformat(since[name])) for name, signal in sorted(off.items())]
    quiet = "Every schedule and sensor that must be on is on, and no worker says that its schedule is off."
    return TickResult(Observation(KINDS, signals), in_words(signals) or quiet, {"since": since})
