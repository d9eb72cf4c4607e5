"""The late-evidence sensor: reports that late evidence has changed are made again, and no others.

Which days those are stands in the state database, whoever ingested the evidence; the warehouse is not opened.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import dagster as dg

from cavra_pipeline.alerts.signals import Signal
from cavra_pipeline.errors import TransientError
from cavra_pipeline.jobs import INGEST_GROUP
from cavra_pipeline.reports.store import days_to_remake
from cavra_pipeline.sensors.alerting import LastObservation, now_utc, patient, tell
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
        known, now = _read(context.cursor), now_utc()
        outdated = days_to_remake(state_of(settings))
        asked = {day: one for day, one in known.asked.items() if day in outdated}
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
        told = _tell(settings, known.told, asked)
        cursor = _Cursor(asked, told).dump()
        if requests:
            return dg.SensorResult(run_requests=requests, cursor=cursor)
        waiting = f"{len(asked)} days were asked for and are not made yet.{slow_in_words(asked)}" if asked else ""
        return dg.SensorResult(skip_reason=waiting or "No report needs to be made again.", cursor=cursor)

    return late_evidence_sensor


def _tell(settings: Settings, told: LastObservation, asked: Mapping[date, AskedDay]) -> LastObservation:
    """Raises alerts of requested days that are still outdated; if the state database is busy, at the next tick."""
    if not asked and not told.fingerprint:
        return told
    signals = [
        Signal(_KIND, day.isoformat(), "warning", one.since, evidence={"report_day": day.isoformat()})
        for day, one in sorted(asked.items())
    ]
    try:
        return tell(patient(settings), told, (_KIND,), signals, now_utc)
    except TransientError:
        return told


@dataclass(frozen=True)
class _Cursor:
    """What the sensor remembers: the requested days that are not made yet, and the last processed observation."""

    asked: dict[date, AskedDay] = field(default_factory=dict)
    told: LastObservation = field(default_factory=LastObservation)

    def dump(self) -> str:
        asked = {day.isoformat(): one.document() for day, one in sorted(self.asked.items())}
        return json.dumps({"asked": asked, "told": self.told.document()}, separators=(",", ":"))


def _read(cursor: str | None) -> _Cursor:
    document = json.loads(cursor) if cursor else None
    if not isinstance(document, dict):
        return _Cursor()
    # A cursor of an earlier release has asked for days that may have failed since: they are asked for once more.
    asked = {
        date.fromisoformat(day): AskedDay.of(found)
        for day, found in document.get("asked", {}).items()
        if len(found) == 4
    }
    return _Cursor(asked, LastObservation.of(document["told"]))
