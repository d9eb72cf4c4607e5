"""The boundary sensor: quarantined records, by what the ingest showed of each day, and leaked secrets.

Bounded work a tick: a thousand ingests of a day at most, by a cursor over Dagster's own records. Leaks are read from
the warehouse, which every ingest notes them in, whoever runs it; it is opened only after its file has changed.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from cavra_pipeline.alerts.kinds import SECRET_FINDING
from cavra_pipeline.alerts.signals import Signal
from cavra_pipeline.errors import TransientError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.leaks import open_leaks
from cavra_pipeline.settings import Settings
from sensors import dagster_records as records
from sensors.alerting import Clock, in_words, now_utc, patient, told_result

QUARANTINE: Final = "quarantine"
KINDS: Final = (QUARANTINE, SECRET_FINDING)
MOST_RECORDS: Final = 1000
#: The quarantined records of a day raise an alert for so many days after it; then its alert ends.
_DAYS: Final = 7


def build_boundary_sensor(settings: Settings, clock: Clock = now_utc) -> dg.SensorDefinition:
    """Returns the sensor; its cursor is the last ingest it has seen, the days with quarantine, and the open leaks."""

    @dg.sensor(
        name="boundary_sensor",
        minimum_interval_seconds=settings.watch_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Raises alerts when records were quarantined or a source carries secrets.",
    )
    def boundary_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        known, now = json.loads(context.cursor) if context.cursor else {}, clock()
        found = context.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey("evidence"), after_storage_id=known.get("after", 0)),
            limit=MOST_RECORDS,
            ascending=True,
        ).records
        days = _quarantined_days(known.get("days", {}), found, now)
        leaks = _leaks(settings, known.get("leaks", {}))
        signals = [
            Signal(QUARANTINE, day, "critical", _instant(held["since"]), None, held[QUARANTINE], {"drop_day": day})
            for day, held in sorted(days.items())
        ]
        signals += [_leak_signal(*row) for row in leaks.get("open", [])]
        after = found[-1].storage_id if found else known.get("after", 0)
        reason = in_words(signals) or f"Nothing is held back; {len(found)} new ingests of a day."
        cursor = {"after": after, "days": days, "leaks": leaks}
        return told_result(settings, known, KINDS, signals, clock, reason=reason, cursor=cursor)

    return boundary_sensor


def _quarantined_days(
    known: Mapping[str, Mapping[str, Any]], found: Sequence[dg.EventLogRecord], now: datetime
) -> dict[str, dict[str, Any]]:
    """Returns the days of the last week that hold quarantined records: how many, and since when that is known."""
    oldest = (now.date() - timedelta(days=_DAYS)).isoformat()
    days = {day: dict(held) for day, held in known.items() if day >= oldest and held.get(QUARANTINE)}
    for record in found:
        day = record.partition_key
        if day is None or day < oldest:
            continue
        count = int(records.shown(record).get(QUARANTINE) or 0)
        since = days.get(day, {}).get("since") or now.isoformat()
        days.pop(day, None)
        if count:
            days[day] = {QUARANTINE: count, "since": since}
    return days


def _leaks(settings: Settings, known: dict[str, Any]) -> dict[str, Any]:
    """Returns the open leaks by drop day; what the last tick knew while the file is unchanged, or busy."""
    warehouse = warehouse_of(patient(settings))
    stamp = [list(mark) for mark in warehouse.stamp()]
    if not stamp or stamp == known.get("stamp"):
        return known
    try:
        with warehouse.reading() as session:
            rows = open_leaks(session)
    except TransientError:
        return known
    return {
        "stamp": stamp,
        "open": [[one.drop_day.isoformat(), one.count, one.found_at.isoformat(), one.newest] for one in rows],
    }


def _leak_signal(day: str, count: int, found_at: str, newest: int) -> Signal:
    evidence: dict[str, str | int] = {"drop_day": day, "newest_leak": newest}
    return Signal(SECRET_FINDING, day, "warning", _instant(found_at), None, count, evidence)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
