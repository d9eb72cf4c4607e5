"""The late-evidence sensor: reports that an ingest left outdated are made again, and no others.

The ingest itself finds out which (metadata ``outdated_days``), so the warehouse stays closed here.
"""

from datetime import date
from typing import Final

import dagster as dg

from cavra_pipeline.jobs import INGEST_GROUP, workers
from sensors.requests import ranges, request_for, resolve

_EVIDENCE: Final = dg.AssetKey("evidence")
_GROUP: Final = dg.AssetSelection.groups(INGEST_GROUP)
_SELECTION: Final = _GROUP.downstream() - _GROUP - workers()


def build_late_evidence_sensor(partitions: dg.DailyPartitionsDefinition) -> dg.SensorDefinition:
    """Returns the sensor; its cursor is the storage id of the last ingest it has looked at."""

    @dg.sensor(
        name="late_evidence_sensor",
        target=_SELECTION,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Refreshes the reports of days that late evidence has touched.",
    )
    def late_evidence_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        seen = int(context.cursor or 0)
        records = context.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=_EVIDENCE, after_storage_id=seen), limit=1000, ascending=True
        ).records
        if not records:
            return dg.SkipReason("No ingest since the last look.")
        cursor = str(records[-1].storage_id)
        days = {day for record in records for day in _outdated_days(record)}
        wanted = [day for day in days if partitions.has_partition_key(day.isoformat())]
        if not wanted:
            return dg.SensorResult(
                skip_reason="The latest ingest left no report of another day outdated.", cursor=cursor
            )
        return dg.SensorResult(
            run_requests=[
                request_for(run, selection=resolve(context, _SELECTION), content=cursor) for run in ranges(wanted)
            ],
            cursor=cursor,
        )

    return late_evidence_sensor


def _outdated_days(record: dg.EventLogRecord) -> list[date]:
    made = record.asset_materialization
    found = made.metadata.get("outdated_days") if made else None
    listed = found.value if isinstance(found, dg.JsonMetadataValue) else []
    return [date.fromisoformat(day) for day in listed if isinstance(day, str)] if isinstance(listed, list) else []
