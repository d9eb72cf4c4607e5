"""The disabled-schedule sensor: what must be on by the declared desired state, and what worker runs say of themselves.

Dagster keeps no trace of who stopped a schedule or when, so the declaration is compared with what is.
"""

import json
from dataclasses import replace
from datetime import datetime
from typing import Final

import dagster as dg

from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.desired_state import must_be_on
from cavra_pipeline.jobs import asset_key
from cavra_pipeline.lanes import LANES
from cavra_pipeline.sensors import dagster_records as records
from cavra_pipeline.sensors.alerting import Clock, in_words, now_utc, told_result
from cavra_pipeline.sensors.instance import instance_of
from cavra_pipeline.sensors.location import location_of
from cavra_pipeline.sensors.shown import newest_shown
from cavra_pipeline.settings import Settings

NAME: Final = "disabled_schedule_sensor"
KINDS: Final = ("instigator_off", "disabled_schedule")


def build_disabled_schedule_sensor(settings: Settings, clock: Clock = now_utc) -> dg.SensorDefinition:
    """Returns the sensor; its cursor is since when each thing has been off, and what was said of it."""

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=settings.slow_watch_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Alerts when a schedule or sensor that must be on is off, or a worker run says that its own is.",
    )
    def disabled_schedule_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        known, now = json.loads(context.cursor) if context.cursor else {}, clock()
        off = {
            one.name: Signal("instigator_off", one.name, "critical", now, f"{one.kind}_stopped")
            for one in records.instigators(context, location_of(context, settings)).values()
            if not one.is_on and must_be_on(one.name, settings.environment)
        }
        for lane in LANES:
            # What the lane's newest health report says of the schedule of its newest worker run.
            shown = newest_shown(instance_of(context), asset_key(settings, f"{lane}_retry_health"), now)
            if shown and shown.get("is_schedule_disabled"):
                off[lane] = Signal("disabled_schedule", lane, "warning", now, evidence={"lane": lane})
        since = {name: known.get("since", {}).get(name, now.isoformat()) for name in off}
        signals = [replace(one, since=datetime.fromisoformat(since[name])) for name, one in sorted(off.items())]
        quiet = "Every schedule and sensor that must be on is on, and no worker says that its schedule is off."
        return told_result(
            settings,
            known,
            Observation(KINDS, signals),
            clock,
            reason=in_words(signals) or quiet,
            cursor={"since": since},
        )

    return disabled_schedule_sensor
