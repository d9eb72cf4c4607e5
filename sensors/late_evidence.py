"""The late-evidence sensor: reports that late evidence has changed are made again, and no others.

Which days those are stands in the state database, whoever ingested the evidence; the warehouse is not opened.
"""

import json
from datetime import date
from typing import Final

import dagster as dg

from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.jobs import INGEST_GROUP
from cavra_pipeline.reports.store import days_to_remake
from cavra_pipeline.sensors.alerting import TickResult, now_utc, sensor_result
from cavra_pipeline.sensors.location import location_of
from cavra_pipeline.sensors.requests import AskedDay, ask, resolve, slow_in_words
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of

_GROUP = dg.AssetSelection.groups(INGEST_GROUP)
_KIND = "late_evidence"
#: Its name.
NAME: Final = "late_evidence_sensor"
_SELECTION = (_GROUP.downstream() - _GROUP).materializable()


def build_late_evidence_sensor(settings: Settings, partitions: dg.DailyPartitionsDefinition) -> dg.SensorDefinition:
    """Returns the sensor; its cursor is the days it has requested, and the last processed observation."""

    @dg.sensor(
        name=NAME,
        target=_SELECTION,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Refreshes the reports of days that late evidence has touched.",
    )
    def late_evidence_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        known, now = json.loads(context.cursor) if context.cursor else {}, now_utc()
        outdated = days_to_remake(state_of(settings))
        before = {date.fromisoformat(day): AskedDay.of(found) for day, found in known.get("asked", {}).items()}
        asked = {day: one for day, one in before.items() if day in outdated}
        requests = []
        if outdated:
            requests = ask(
                context,
                {day: str(number) for day, number in outdated.items() if partitions.has_partition_key(day.isoformat())},
                asked,
                sensor=NAME,
                selection=resolve(context, _SELECTION),
                place=location_of(context, settings),
                now=now,
            )
        # Requested days that are still outdated.
        signals = [
            Signal(_KIND, day.isoformat(), "warning", one.since, evidence={"report_day": day.isoformat()})
            for day, one in sorted(asked.items())
        ]
        waiting = f"{len(asked)} days were asked for and are not made yet.{slow_in_words(asked)}" if asked else ""
        cursor = {"asked": {day.isoformat(): one.document() for day, one in sorted(asked.items())}}
        reason = waiting or "No report needs to be made again."
        result = TickResult(Observation((_KIND,), signals), reason, cursor, requests)
        return sensor_result(settings, known, result, now_utc)

    return late_evidence_sensor
