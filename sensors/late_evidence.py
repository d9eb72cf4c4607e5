"""The late-evidence sensor: reports that an ingest left outdated are made again, and no others.

The ingest itself finds out which (metadata ``outdated_days``), so the warehouse stays closed here.
"""

from datetime import date
from typing import Final

import dagster as dg

from sensors.requests import ranges, request_for

_EVIDENCE: Final = dg.AssetKey("evidence")


def build_late_evidence_sensor(partitions: dg.DailyPartitionsDefinition) -> dg.SensorDefinition:
    """Returns the sensor; its cursor is the storage id of the last ingest it has looked at."""

    @dg.sensor(
        name="late_evidence_sensor",
        target=dg.AssetSelection.groups("evidence").downstream() - dg.AssetSelection.groups("evidence"),
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
            run_requests=[request_for(run, selection=_reports(context), content=cursor) for run in ranges(wanted)],
            cursor=cursor,
        )

    return late_evidence_sensor


def _outdated_days(record: dg.EventLogRecord) -> list[date]:
    made = record.asset_materialization
    found = made.metadata.get("outdated_days") if made else None
    listed = found.value if isinstance(found, dg.JsonMetadataValue) else []
    return [date.fromisoformat(day) for day in listed if isinstance(day, str)] if isinstance(listed, list) else []


def _reports(context: dg.SensorEvaluationContext) -> list[dg.AssetKey]:
    definitions = context.repository_def
    if definitions is None:
        raise dg.DagsterInvariantViolationError("the late-evidence sensor needs its code location")
    graph = definitions.asset_graph
    return sorted(key for key in graph.materializable_asset_keys if graph.get(key).group_name != "evidence")
