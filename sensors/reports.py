"""The sensors for workers that are down, stale retry plans and overdue acknowledgements and approvals.

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
#: Kinds of alerts about gaps, each with the metadata that counts them.
_GAPS: Final = {"acknowledgement_gap": "acknowledgement_pending_count", "approval_gap": "approval_pending_count"}
_WORKER_AGE: Final = "latest_worker_age_minutes"
_PLAN_AGE: Final = "latest_retry_plan_age_minutes"


@observing_sensor(
    every=lambda settings: settings.report_watch_seconds,
    description="Alerts when a lane's worker has missed its runs, or its newest retry plan is older than allowed.",
)
def stale_retry_plan_sensor(tick: SensorTick) -> TickResult:
    """Observes workers that have missed their runs, and retry plans that are older than their lane allows."""

    def judge(lane: Lane, shown: Mapping[str, Any], now: datetime) -> list[Signal]:
        as_of, signals = datetime.fromisoformat(str(shown["as_of"])).astimezone(UTC), []
        interval = timedelta(minutes=lane.expected_interval_minutes)
        allowed = timedelta(minutes=lane.stale_metadata_minutes)
        run_at, plan_at = (_newest_at(as_of, shown.get(name)) for name in (_WORKER_AGE, _PLAN_AGE))
        # A report of an earlier release does not show how old the worker's last run is.
        is_down = _WORKER_AGE in shown and (run_at is None or now > run_at + MISSED_AFTER * interval)
        if is_down:
            # A worker is down from its first missed run on.
            since = as_of if run_at is None else run_at + interval
            signals.append(Signal(WORKER_DOWN, lane.name, "critical", since, None, evidence=_evidence(lane, shown)))
        if plan_at is None or now > plan_at + allowed:
            # A worker that is down makes no plan: that alert explains this one.
            cause = WORKER_DOWN if is_down else "no_plan" if plan_at is None else "old_plan"
            since = as_of if plan_at is None else plan_at + allowed
            signals.append(Signal(_STALE_PLAN, lane.name, "warning", since, cause, evidence=_evidence(lane, shown)))
        return signals

    kinds, quiet = (WORKER_DOWN, _STALE_PLAN), "No worker has missed its runs, and no newest retry plan is stale."
    return _of_lanes(tick, kinds, judge, quiet=quiet)


@observing_sensor(
    every=lambda settings: settings.report_watch_seconds,
    description="Alerts when failing deliveries have waited too long for an acknowledgement or an approval.",
)
def acknowledgement_gap_sensor(tick: SensorTick) -> TickResult:
    """Observes failing deliveries that have waited too long for an acknowledgement or an approval."""
    limit = timedelta(minutes=tick.settings.acknowledgement_limit_minutes)

    def overdue(lane: Lane, shown: Mapping[str, Any], now: datetime) -> list[Signal]:
        signals = []
        for kind, pending in _GAPS.items():
            text, count = shown.get(f"oldest_{kind}_at"), shown.get(pending)
            if not isinstance(text, str) or not isinstance(count, int) or count < 1:
                continue
            since = datetime.fromisoformat(text).astimezone(UTC)
            if now - since > limit:
                signals.append(Signal(kind, lane.name, "warning", since, None, count, _evidence(lane, shown)))
        return signals

    return _of_lanes(tick, tuple(_GAPS), overdue, quiet="No acknowledgement or approval is overdue.")


def _newest_at(as_of: datetime, age_minutes: Any) -> datetime | None:
    """Returns when the newest of a report was made, by its age in whole minutes; None if there is none."""
    return None if age_minutes is None else as_of - timedelta(minutes=int(age_minutes))


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
