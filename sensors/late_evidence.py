"""The late-evidence sensor: reports that late evidence has changed are made again, and no others.

Which days those are stands in the state database, whoever ingested the evidence; the warehouse is not opened.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import dagster as dg

from cavra_pipeline.alerts.signals import Signal
from cavra_pipeline.errors import TransientError
from cavra_pipeline.jobs import INGEST_GROUP, is_of_range, workers
from cavra_pipeline.reports.store import days_to_remake
from cavra_pipeline.sensors.alerting import LastObservation, now_utc, patient, tell
from cavra_pipeline.sensors.location import location_of, runs_of
from cavra_pipeline.sensors.requests import ranges, request_for, resolve
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of

_GROUP = dg.AssetSelection.groups(INGEST_GROUP)
#: A tick asks for so many runs; the next one goes on.
MOST_RANGES = 5
_KIND = "late_evidence"
_SELECTION = _GROUP.downstream() - _GROUP - workers()
_IN_PROGRESS = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def build_late_evidence_sensor(settings: Settings, partitions: dg.DailyPartitionsDefinition) -> dg.SensorDefinition:
    """Returns the sensor; its cursor is the days it has asked for, and what it told."""

    @dg.sensor(
        name="late_evidence_sensor",
        target=_SELECTION,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Refreshes the reports of days that late evidence has touched.",
    )
    def late_evidence_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        known = _read(context.cursor)
        outdated = days_to_remake(state_of(settings))
        asked = {day: request for day, request in known.asked.items() if day in outdated}
        # A run of the day may be what ingested the evidence, and makes its reports.
        running = runs_of(context.instance, location_of(context, settings), dg.RunsFilter(statuses=_IN_PROGRESS))
        wanted = [
            day
            for day, number in outdated.items()
            if (day not in asked or asked[day].change_number < number)
            and partitions.has_partition_key(day.isoformat())
            and not any(is_of_range(run.tags, day) for run in running)
        ]
        taken = list(ranges(wanted))[:MOST_RANGES]
        now = now_utc()
        for day in (day for days in taken for day in days):
            asked[day] = _Asked(outdated[day], asked[day].since if day in asked else now)
        told = _tell(settings, known.told, asked)
        cursor = _Cursor(asked, told).dump()
        if not taken:
            return dg.SensorResult(skip_reason="No report needs to be made again.", cursor=cursor)
        return dg.SensorResult(
            run_requests=[
                request_for(
                    days,
                    selection=resolve(context, _SELECTION),
                    content=" ".join(str(outdated[day]) for day in days),
                )
                for days in taken
            ],
            cursor=cursor,
        )

    return late_evidence_sensor


@dataclass(frozen=True)
class _Asked:
    """A day that was asked for: the change that the newest request follows from, and the instant of the first."""

    change_number: int
    since: datetime


def _tell(settings: Settings, told: LastObservation, asked: Mapping[date, _Asked]) -> LastObservation:
    """Tells which days were asked for and are still outdated; what can't be told now waits for the next tick."""
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
    """What the sensor remembers: the days it asked for and that are not made yet, and what it told."""

    asked: dict[date, _Asked] = field(default_factory=dict)
    told: LastObservation = field(default_factory=LastObservation)

    def dump(self) -> str:
        asked = {day.isoformat(): [one.change_number, one.since.isoformat()] for day, one in sorted(self.asked.items())}
        return json.dumps({"asked": asked, "told": self.told.document()}, separators=(",", ":"))


def _read(cursor: str | None) -> _Cursor:
    document = json.loads(cursor) if cursor else None
    if not isinstance(document, dict):
        return _Cursor()
    # A cursor of an earlier release has followed the ingests, and asked for nothing of this list.
    asked = {
        date.fromisoformat(day): _Asked(number, datetime.fromisoformat(since))
        for day, (number, since) in document.get("asked", {}).items()
    }
    return _Cursor(asked, LastObservation.of(document["told"]))
