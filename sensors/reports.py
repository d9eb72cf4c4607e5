"""The sensors for stale retry plans and overdue acknowledgements.

They read what the health assets showed last, never the warehouse, and reckon on from there to now.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.jobs import asset_key
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.sensors.alerting import SensorTick, TickResult, in_words, observing_sensor
from cavra_pipeline.sensors.shown import newest_shown

_Judge = Callable[[Lane, Mapping[str, Any], datetime], Signal | None]


@observing_sensor(
    every=lambda settings: settings.report_watch_seconds,
    description="Alerts when the newest retry plan of a lane is older than the lane allows.",
)
def stale_retry_plan_sensor(tick: SensorTick) -> TickResult:
    """Observes retry plans that are older than their lane allows."""
    return _of_lanes(tick, "stale_retry_plan", _stale_plan, quiet="No lane's newest retry plan is stale.")


@observing_sensor(
    every=lambda settings: settings.report_watch_seconds,
    description="Alerts when failing deliveries have waited for an acknowledgement for longer than the limit.",
)
def acknowledgement_gap_sensor(tick: SensorTick) -> TickResult:
    """Observes failing deliveries that have waited too long for an acknowledgement."""
    limit = timedelta(minutes=tick.settings.acknowledgement_limit_minutes)

    def overdue(lane: Lane, shown: Mapping[str, Any], now: datetime) -> Signal | None:
        text, count = shown.get("oldest_acknowledgement_gap_at"), shown.get("acknowledgement_pending_count")
        if not isinstance(text, str) or not isinstance(count, int) or count < 1:
            return None
        since = datetime.fromisoformat(text).astimezone(UTC)
        if now - since <= limit:
            return None
        evidence: dict[str, str | int] = {"lane": lane.name, "report_id": str(shown["report_id"])}
        return Signal("acknowledgement_gap", lane.name, "warning", since, None, count, evidence)

    return _of_lanes(tick, "acknowledgement_gap", overdue, quiet="No acknowledgement is overdue.")


def _stale_plan(lane: Lane, shown: Mapping[str, Any], now: datetime) -> Signal | None:
    as_of = datetime.fromisoformat(str(shown["as_of"])).astimezone(UTC)
    age = shown.get("latest_retry_plan_age_minutes")
    since = as_of if age is None else as_of + timedelta(minutes=lane.stale_metadata_minutes - int(age))
    if age is not None and now <= since:
        return None
    cause = "no_plan" if age is None else "old_plan"
    evidence: dict[str, str | int] = {"lane": lane.name, "report_id": str(shown["report_id"])}
    return Signal("stale_retry_plan", lane.name, "warning", since, cause, evidence=evidence)


def _of_lanes(tick: SensorTick, kind: str, judge: _Judge, *, quiet: str) -> TickResult:
    """Judges each lane by the newest health report of it."""
    signals: list[Signal] = []
    seen = 0
    for lane in LANES.values():
        shown = newest_shown(tick.instance, asset_key(tick.settings, f"{lane.name}_retry_health"), tick.now)
        # A lane without any evidence is not used: nothing in it can be stale.
        if shown is None or not shown.get("evidence_record_count"):
            continue
        seen += 1
        signal = judge(lane, shown, tick.now)
        signals += [signal] if signal else []
    reason = in_words(signals) or (quiet if seen else "No lane with evidence has a health report yet.")
    return TickResult(Observation((kind,), signals), reason)
