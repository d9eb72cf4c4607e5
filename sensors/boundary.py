"""The boundary sensor: quarantined records and secret findings, from what the ingest showed of each day.

Bounded work a tick: a thousand ingests of a day at most, by a cursor over Dagster's own records.
"""

import json
from datetime import datetime, timedelta
from typing import Any, Final

import dagster as dg

from cavra_pipeline.alerts.signals import Severity, Signal
from cavra_pipeline.settings import Settings
from sensors import dagster_records as records
from sensors.alerting import Clock, in_words, now_utc, told_result

KINDS: Final = ("quarantine", "secret_finding")
MOST_RECORDS: Final = 1000
#: A day's findings are told for so long after their drop day; then its alert ends.
_DAYS: Final = 7
#: Metadata of the evidence asset, the alert it makes, how bad it is.
_COUNTS: Final[tuple[tuple[str, str, Severity], ...]] = (
    ("quarantine", "quarantine", "critical"),
    ("findings", "secret_finding", "warning"),
)


def build_boundary_sensor(settings: Settings, clock: Clock = now_utc) -> dg.SensorDefinition:
    """Returns the sensor; its cursor is the last ingest it has looked at and the days with something held back."""

    @dg.sensor(
        name="boundary_sensor",
        minimum_interval_seconds=settings.watch_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells when records were quarantined or a source carries secrets.",
    )
    def boundary_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        known, now = json.loads(context.cursor) if context.cursor else {}, clock()
        found = context.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey("evidence"), after_storage_id=known.get("after", 0)),
            limit=MOST_RECORDS,
            ascending=True,
        ).records
        oldest = (now.date() - timedelta(days=_DAYS)).isoformat()
        days: dict[str, dict[str, Any]] = {day: kept for day, kept in known.get("days", {}).items() if day >= oldest}
        for record in found:
            day, shown = record.partition_key, records.shown(record)
            if day is None or day < oldest:
                continue
            held = {kind: int(shown.get(name) or 0) for name, kind, _ in _COUNTS}
            since = days.get(day, {}).get("since") or now.isoformat()
            days.pop(day, None)
            if any(held.values()):
                days[day] = {**held, "since": since}
        signals = [
            Signal(kind, day, severity, datetime.fromisoformat(held["since"]), None, held[kind], {"drop_day": day})
            for day, held in sorted(days.items())
            for _, kind, severity in _COUNTS
            if held[kind]
        ]
        after = found[-1].storage_id if found else known.get("after", 0)
        reason = in_words(signals) or f"Nothing is held back; {len(found)} new ingests of a day."
        return told_result(settings, known, KINDS, signals, clock, reason=reason, cursor={"after": after, "days": days})

    return boundary_sensor
