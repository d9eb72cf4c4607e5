"""The sensors for stale retry plans and overdue acknowledgements.

They read what the health assets showed last, never the warehouse, and reckon on from there to now.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.jobs import asset_key
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.sensors.alerting import Clock, in_words, now_utc, told_result
from cavra_pipeline.sensors.instance import instance_of
from cavra_pipeline.sensors.shown import newest_shown
from cavra_pipeline.settings import Settings

_Judge = Callable[[Lane, Mapping[str, Any], datetime], Signal | None]


def build_stale_retry_plan_sensor(settings: Settings, clock: Clock = now_utc) -> dg.SensorDefinition:
    """Returns the sensor for retry plans that are older than their lane allows."""
    return _build(
        settings,
        clock,
        name="stale_retry_plan_sensor",
        kind="stale_retry_plan",
        description="Alerts when the newest retry plan of a lane is older than the lane allows.",
        judge=_stale_plan,
        quiet="No lane's newest retry plan is stale.",
    )


def build_acknowledgement_gap_sensor(settings: Settings, clock: Clock = now_utc) -> dg.SensorDefinition:
    """Returns the sensor for failing deliveries that have waited too long for an acknowledgement."""
    limit = timedelta(minutes=settings.acknowledgement_limit_minutes)

    def overdue(lane: Lane, shown: Mapping[str, Any], now: datetime) -> Signal | None:
        text, count = shown.get("oldest_acknowledgement_gap_at"), shown.get("acknowledgement_pending_count")
        if not isinstance(text, str) or not isinstance(count, int) or count < 1:
            return None
        since = datetime.fromisoformat(text).astimezone(UTC)
        if now - since <= limit:
            return None
        evidence: dict[str, str | int] = {"lane": lane.name, "report_id": str(shown["report_id"])}
        return Signal("acknowledgement_gap", lane.name, "warning", since, None, count, evidence)

    return _build(
        settings,
        clock,
        name="acknowledgement_gap_sensor",
        kind="acknowledgement_gap",
        description="Alerts when failing deliveries have waited for an acknowledgement for longer than the limit.",
        judge=overdue,
        quiet="No acknowledgement is overdue.",
    )


def _stale_plan(lane: Lane, shown: Mapping[str, Any], now: datetime) -> Signal | None:
    as_of = datetime.fromisoformat(str(shown["as_of"])).astimezone(UTC)
    age = shown.get("latest_retry_plan_age_minutes")
    since = as_of if age is None else as_of + timedelta(minutes=lane.stale_metadata_minutes - int(age))
    if age is not None and now <= since:
        return None
    cause = "no_plan" if age is None else "old_plan"
    evidence: dict[str, str | int] = {"lane": lane.name, "report_id": str(shown["report_id"])}
    return Signal("stale_retry_plan", lane.name, "warning", since, cause, evidence=evidence)


def _build(
    settings: Settings, clock: Clock, *, name: str, kind: str, description: str, judge: _Judge, quiet: str
) -> dg.SensorDefinition:
    @dg.sensor(
        name=name,
        minimum_interval_seconds=settings.report_watch_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )
    def report_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        known, now = json.loads(context.cursor) if context.cursor else {}, clock()
        signals: list[Signal] = []
        seen = 0
        for lane in LANES.values():
            shown = newest_shown(instance_of(context), asset_key(settings, f"{lane.name}_retry_health"), now)
            # A lane without any evidence is not used: nothing in it can be stale.
            if shown is None or not shown.get("evidence_record_count"):
                continue
            seen += 1
            signal = judge(lane, shown, now)
            signals += [signal] if signal else []
        reason = in_words(signals) or (quiet if seen else "No lane with evidence has a health report yet.")
        return told_result(settings, known, Observation((kind,), signals), clock, reason=reason, cursor={})

    return report_sensor
