"""The sensors for workers that are down, stale retry plans and overdue acknowledgements.

They read what the health assets showed last, never the warehouse, and reckon on from there to now.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cavra_pipeline.alerts.kinds import WORKER_DOWN
from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.jobs import asset_key
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.reports.cadence import MISSED_AFTER
from cavra_pipeline.sensors.alerting import SensorTick, TickResult, in_words, observing_sensor
from cavra_pipeline.sensors.shown import newest_shown

_Judge = Callable[[Lane, Mapping[str, Any], datetime], list[Signal]]
_STALE_PLAN: Final = "stale_retry_plan"
_PLAN_AGE: Final = "latest_retry_plan_age_minutes"


@observing_sensor(
    every=lambda settings: settings.report_watch_seconds,
    description="Alerts when a lane's worker has missed its runs, or its newest retry plan is older than allowed.",
)
def stale_retry_plan_sensor(tick: SensorTick) -> TickResult:
    """Observes workers that have missed their runs, and retry plans that are older than their lane allows."""

    def judge(lane: Lane, shown: Mapping[str, Any], now: datetime) -> list[Signal]:
        signals = []
        allowed_minutes = MISSED_AFTER * lane.expected_interval_minutes
        down_since = _too_old_since(shown, "latest_worker_age_minutes", allowed_minutes, now)
        if down_since:
            signals.append(
                Signal(WORKER_DOWN, lane.name, "critical", down_since, None, evidence=_evidence(lane, shown))
            )
        stale_since = _too_old_since(shown, _PLAN_AGE, lane.stale_metadata_minutes, now)
        if stale_since:
            # A worker that is down makes no plan: that alert explains this one.
            cause = WORKER_DOWN if down_since else "no_plan" if shown[_PLAN_AGE] is None else "old_plan"
            signals.append(
                Signal(_STALE_PLAN, lane.name, "warning", stale_since, cause, evidence=_evidence(lane, shown))
            )
        return signals

    kinds, quiet = (WORKER_DOWN, _STALE_PLAN), "No worker has missed its runs, and no newest retry plan is stale."
    return _of_lanes(tick, kinds, judge, quiet=quiet)


@observing_sensor(
    every=lambda settings: settings.report_watch_seconds,
    description="Alerts when failing deliveries have waited for an acknowledgement for longer than the limit.",
)
def acknowledgement_gap_sensor(tick: SensorTick) -> TickResult:
    """Observes failing deliveries that have waited too long for an acknowledgement."""
    limit = timedelta(minutes=tick.settings.acknowledgement_limit_minutes)

    def overdue(lane: Lane, shown: Mapping[str, Any], now: datetime) -> list[Signal]:
        text, count = shown.get("oldest_acknowledgement_gap_at"), shown.get("acknowledgement_pending_count")
        if not isinstance(text, str) or not isinstance(count, int) or count < 1:
            return []
        since = datetime.fromisoformat(text).astimezone(UTC)
        if now - since <= limit:
            return []
        return [Signal("acknowledgement_gap", lane.name, "warning", since, None, count, _evidence(lane, shown))]

    return _of_lanes(tick, ("acknowledgement_gap",), overdue, quiet="No acknowledgement is overdue.")


def _too_old_since(shown: Mapping[str, Any], age_field: str, allowed_minutes: int, now: datetime) -> datetime | None:
    """Returns since when the newest is older than allowed, by its age at the report; None if it is not."""
    if age_field not in shown:
        return None  # a report of a release that did not show it
    as_of, age = datetime.fromisoformat(str(shown["as_of"])).astimezone(UTC), shown[age_field]
    if age is None:
        return as_of
    since = as_of + timedelta(minutes=allowed_minutes - int(age))
    return since if now > since else None


def _evidence(lane: Lane, shown: Mapping[str, Any]) -> dict[str, str | int]:
    return {"lane": lane.name, "report_id": str(shown["report_id"])}


def _of_lanes(tick: SensorTick, kinds: tuple[str, ...], judge: _Judge, *, quiet: str) -> TickResult:
    """Judges each lane by the newest health report of it."""
    signals: list[Signal] = []
    seen = 0
    for lane in LANES.values():
        shown = newest_shown(tick.instance, asset_key(tick.settings, f"{lane.name}_retry_health"), tick.now)
        # A lane without any evidence is not used: nothing in it can be stale.
        if shown is None or not shown.get("evidence_record_count"):
            continue
        seen += 1
        signals += judge(lane, shown, tick.now)
    reason = in_words(signals) or (quiet if seen else "No lane with evidence has a health report yet.")
    return TickResult(Observation(kinds, signals), reason)
