"""The late-evidence sensor: reports that an ingest left outdated are made again, and no others.

The ingest itself finds out which (metadata ``outdated_days``); the warehouse is opened only to tell of it.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import dagster as dg

from cavra_pipeline.alerts.signals import Signal
from cavra_pipeline.errors import TransientError
from cavra_pipeline.jobs import INGEST_GROUP, workers
from cavra_pipeline.settings import Settings
from sensors.alerting import Clock, Told, now_utc, patient, tell
from sensors.requests import ranges, request_for, resolve

_EVIDENCE: Final = dg.AssetKey("evidence")
_GROUP: Final = dg.AssetSelection.groups(INGEST_GROUP)
#: A tick reads so many ingests and asks for so many runs; the next one goes on.
MOST_RECORDS: Final = 1000
MOST_RANGES: Final = 5
_KIND: Final = "late_evidence"
_NOTHING_NEW: Final = "No ingest since the last look."
_SELECTION: Final = _GROUP.downstream() - _GROUP - workers()


def build_late_evidence_sensor(
    settings: Settings, partitions: dg.DailyPartitionsDefinition, clock: Clock = now_utc
) -> dg.SensorDefinition:
    """Returns the sensor; its cursor is the last ingest it has looked at, the days still to do and what it told."""

    @dg.sensor(
        name="late_evidence_sensor",
        target=_SELECTION,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Refreshes the reports of days that late evidence has touched.",
    )
    def late_evidence_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        known = _read(context.cursor)
        records = context.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=_EVIDENCE, after_storage_id=known.seen), limit=MOST_RECORDS, ascending=True
        ).records
        # A day that a later ingest touched again has changed again, so the newest ingest is its content.
        touched = {day: record.storage_id for record in records for day in _outdated_days(record)}
        wanted = known.left | {day: at for day, at in touched.items() if partitions.has_partition_key(day.isoformat())}
        taken = list(ranges(sorted(wanted)))[:MOST_RANGES]
        done = {day for days in taken for day in days}
        told, untold = _tell(settings, known, wanted, clock)
        left = {day: at for day, at in wanted.items() if day not in done}
        cursor = _Cursor(records[-1].storage_id if records else known.seen, left, untold, told).dump()
        if not taken:
            reason = "The latest ingest left no report of another day outdated." if records else _NOTHING_NEW
            return dg.SensorResult(skip_reason=reason, cursor=cursor)
        return dg.SensorResult(
            run_requests=[
                request_for(
                    days,
                    selection=resolve(context, _SELECTION),
                    content=" ".join(str(wanted[day]) for day in days),
                )
                for days in taken
            ],
            cursor=cursor,
        )

    return late_evidence_sensor


def _tell(settings: Settings, known: "_Cursor", wanted: Collection[date], clock: Clock) -> tuple[Told, list[date]]:
    """Tells which days' reports are outdated; a day that could not be told waits for the next tick."""
    days = sorted({*wanted, *known.untold})
    if not days and not known.told.fingerprint:
        return known.told, []
    now = clock()
    signals = [Signal(_KIND, day.isoformat(), "warning", now, evidence={"report_day": day.isoformat()}) for day in days]
    try:
        return tell(patient(settings), known.told, (_KIND,), signals, clock), []
    except TransientError:
        return known.told, days


@dataclass(frozen=True)
class _Cursor:
    """What the sensor remembers: the last ingest seen, days still to do and days not yet told, what it told last."""

    seen: int = 0
    left: dict[date, int] = field(default_factory=dict)
    untold: list[date] = field(default_factory=list)
    told: Told = field(default_factory=Told)

    def dump(self) -> str:
        document = {
            "seen": self.seen,
            "left": {day.isoformat(): at for day, at in sorted(self.left.items())},
            "untold": [day.isoformat() for day in self.untold],
            "told": self.told.document(),
        }
        return json.dumps(document, separators=(",", ":"))


def _read(cursor: str | None) -> _Cursor:
    document = json.loads(cursor) if cursor else 0
    if isinstance(document, int):
        # As releases before this one wrote it.
        return _Cursor(document)
    return _Cursor(
        document["seen"],
        {date.fromisoformat(day): at for day, at in document["left"].items()},
        [date.fromisoformat(day) for day in document.get("untold", [])],
        Told.of(document.get("told")),
    )


def _outdated_days(record: dg.EventLogRecord) -> list[date]:
    made = record.asset_materialization
    found = made.metadata.get("outdated_days") if made else None
    listed = found.value if isinstance(found, dg.JsonMetadataValue) else []
    return [date.fromisoformat(day) for day in listed if isinstance(day, str)] if isinstance(listed, list) else []
