"""The boundary sensor: quarantined records, by what the ingest showed of each day, leaked secrets, a lost warehouse.

It also raises the alert on a home whose newest verification found differences.

Bounded work a tick: a thousand ingests of a day at most, by a cursor over Dagster's own records. Leaks and losses are
read from the state database, whoever ingested.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from cavra_pipeline.alerts.kinds import HISTORY_CHANGED, REBUILT, SECRET_FINDING
from cavra_pipeline.alerts.leaks import OpenLeaks, open_leaks
from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.documents import parse_as_of
from cavra_pipeline.evidence.keeper import losses_since
from cavra_pipeline.jobs import VERIFIED_HISTORY, asset_key
from cavra_pipeline.sensors.alerting import SensorTick, TickResult, in_words, observing_sensor, patient
from cavra_pipeline.sensors.shown import shown
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of

QUARANTINE: Final = "quarantine"
KINDS: Final = (QUARANTINE, SECRET_FINDING, REBUILT, HISTORY_CHANGED)
MOST_RECORDS: Final = 1000
#: The quarantined records of a day raise an alert for so many days after it; then its alert ends.
_DAYS: Final = 7
#: The loss of the warehouse raises an alert for so long after it was rebuilt.
_LOSS_SHOWN: Final = timedelta(days=1)


@observing_sensor(
    every=lambda settings: settings.slow_watch_seconds,
    description="Raises alerts when records were quarantined, a source carries secrets, or what the home holds was "
    "lost or changed.",
)
def boundary_sensor(tick: SensorTick) -> TickResult:
    """Observes; its cursor is the last ingest it has seen, and the days with quarantine."""
    previous_cursor, now = tick.cursor, tick.now
    records = tick.instance.fetch_materializations(
        dg.AssetRecordsFilter(
            asset_key=asset_key(tick.settings, "evidence"), after_storage_id=previous_cursor.get("after", 0)
        ),
        limit=MOST_RECORDS,
        ascending=True,
    ).records
    days = _quarantined_days(previous_cursor.get("days", {}), records, now)
    signals = [
        Signal(
            QUARANTINE,
            day,
            "critical",
            parse_as_of(quarantined["since"]),
            None,
            quarantined[QUARANTINE],
            {"drop_day": day},
        )
        for day, quarantined in sorted(days.items())
    ]
    with state_of(patient(tick.settings)).reading() as c:
        signals += map(_leak_signal, open_leaks(c))
        losses = losses_since(c, now - _LOSS_SHOWN)
    signals += [Signal(REBUILT, "warehouse", "warning", at, because) for at, because in losses]
    changed = _changed_history(tick.instance, tick.settings, previous_cursor.get("changed"))
    if changed:
        since, count = parse_as_of(changed["since"]), changed["count"]
        signals.append(Signal(HISTORY_CHANGED, "home", "critical", since, None, count))
    after = records[-1].storage_id if records else previous_cursor.get("after", 0)
    reason = in_words(signals) or f"Nothing is held back; {len(records)} new ingests of a day."
    cursor = {"after": after, "days": days, "changed": changed}
    return TickResult(Observation(KINDS, signals), reason, cursor)


def _quarantined_days(
    known_days: Mapping[str, Mapping[str, Any]], records: Sequence[dg.EventLogRecord], now: datetime
) -> dict[str, dict[str, Any]]:
    """Returns the days of the last week that hold quarantined records: how many, and since when that is known."""
    oldest = (now.date() - timedelta(days=_DAYS)).isoformat()
    days = {
        day: dict(quarantined)
        for day, quarantined in known_days.items()
        if day >= oldest and quarantined.get(QUARANTINE)
    }
    for record in records:
        day = record.partition_key
        if day is None or day < oldest:
            continue
        count = int(shown(record).get(QUARANTINE) or 0)
        since = days.get(day, {}).get("since") or now.isoformat()
        days.pop(day, None)
        if count:
            days[day] = {QUARANTINE: count, "since": since}
    return days


def _changed_history(
    instance: dg.DagsterInstance, settings: Settings, previous: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Returns how many differences the newest verification found, and since when there are any; None without."""
    newest = instance.fetch_materializations(asset_key(settings, VERIFIED_HISTORY), limit=1).records
    count = int(shown(newest[0]).get("difference_count") or 0) if newest else 0
    if not count:
        return None
    since = previous["since"] if previous else datetime.fromtimestamp(newest[0].timestamp, UTC).isoformat()
    return {"count": count, "since": since}


def _leak_signal(leaks: OpenLeaks) -> Signal:
    day = leaks.drop_day.isoformat()
    evidence: dict[str, str | int] = {"drop_day": day, "newest_leak": leaks.newest}
    return Signal(SECRET_FINDING, day, "critical", leaks.found_at, None, leaks.count, evidence)
