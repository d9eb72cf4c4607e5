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
from cavra_pipeline.sensors.requests import RequestedDay, ask, resolve, slow_in_words
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
        previous_cursor, now = json.loads(context.cursor) if context.cursor else {}, now_utc()
        outdated = days_to_remake(state_of(settings))
        before = {
            date.fromisoformat(day): RequestedDay.of(members)
            for day, members in previous_cursor.get("asked", {}).items()
        }
        requested_days = {day: requested_day for day, requested_day in before.items() if day in outdated}
        requests = []
        if outdated:
            requests = ask(
                context,
                {day: str(number) for day, number in outdated.items() if partitions.has_partition_key(day.isoformat())},
                requested_days,
                sensor=NAME,
                selection=resolve(context, _SELECTION),
                place=location_of(context, settings),
                now=now,
            )
        # Requested days that are still outdated.
        signals = [
            Signal(_KIND, day.isoformat(), "warning", requested_day.since, evidence={"report_day": day.isoformat()})
            for day, requested_day in sorted(requested_days.items())
        ]
        waiting = (
            f"{len(requested_days)} days were asked for and are not made yet.{slow_in_words(requested_days)}"
            if requested_days
            else ""
        )
        cursor = {
            "asked": {
                day.isoformat(): requested_day.document() for day, requested_day in sorted(requested_days.items())
            }
        }
        reason = waiting or "No report needs to be made again."
        result = TickResult(Observation((_KIND,), signals), reason, cursor, requests)
        return sensor_result(settings, previous_cursor, result, now_utc)

    return late_evidence_sensor
