"""The late-evidence sensor: reports that an ingest left outdated are made again, and no others.

The ingest itself finds out which (metadata ``outdated_days``), so the warehouse stays closed here.
"""

import json
from collections.abc import Mapping
from datetime import date
from typing import Final

import dagster as dg

from cavra_pipeline.jobs import INGEST_GROUP, workers
from sensors.requests import ranges, request_for, resolve

_EVIDENCE: Final = dg.AssetKey("evidence")
_GROUP: Final = dg.AssetSelection.groups(INGEST_GROUP)
#: A tick reads so many ingests and asks for so many runs; the next one goes on.
MOST_RECORDS: Final = 1000
MOST_RANGES: Final = 5
_SELECTION: Final = _GROUP.downstream() - _GROUP - workers()


def build_late_evidence_sensor(partitions: dg.DailyPartitionsDefinition) -> dg.SensorDefinition:
    """Returns the sensor; its cursor is the last ingest it has looked at, and the days still to do."""

    @dg.sensor(
        name="late_evidence_sensor",
        target=_SELECTION,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Refreshes the reports of days that late evidence has touched.",
    )
    def late_evidence_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        seen, left = _read(context.cursor)
        records = context.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=_EVIDENCE, after_storage_id=seen), limit=MOST_RECORDS, ascending=True
        ).records
        if not records and not left:
            return dg.SkipReason("No ingest since the last look.")
        seen = records[-1].storage_id if records else seen
        # A day that a later ingest touched again has changed again, so the newest ingest is its content.
        touched = {day: record.storage_id for record in records for day in _outdated_days(record)}
        wanted = {**left, **{day: at for day, at in touched.items() if partitions.has_partition_key(day.isoformat())}}
        if not wanted:
            return dg.SensorResult(
                skip_reason="The latest ingest left no report of another day outdated.", cursor=_cursor(seen, {})
            )
        taken = list(ranges(sorted(wanted)))[:MOST_RANGES]
        done = {day for days in taken for day in days}
        return dg.SensorResult(
            run_requests=[
                request_for(
                    days,
                    selection=resolve(context, _SELECTION),
                    content=" ".join(str(wanted[day]) for day in days),
                )
                for days in taken
            ],
            cursor=_cursor(seen, {day: at for day, at in wanted.items() if day not in done}),
        )

    return late_evidence_sensor


def _cursor(seen: int, left: Mapping[date, int]) -> str:
    days = {day.isoformat(): at for day, at in sorted(left.items())}
    return json.dumps({"seen": seen, "left": days}, separators=(",", ":"))


def _read(cursor: str | None) -> tuple[int, dict[date, int]]:
    document = json.loads(cursor) if cursor else 0
    if isinstance(document, int):
        # As releases before this one wrote it.
        return document, {}
    return document["seen"], {date.fromisoformat(day): at for day, at in document["left"].items()}


def _outdated_days(record: dg.EventLogRecord) -> list[date]:
    made = record.asset_materialization
    found = made.metadata.get("outdated_days") if made else None
    listed = found.value if isinstance(found, dg.JsonMetadataValue) else []
    return [date.fromisoformat(day) for day in listed if isinstance(day, str)] if isinstance(listed, list) else []
