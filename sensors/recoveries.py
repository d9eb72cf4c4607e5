"""The sensor for recoveries past their limit.

It reads what the recovery asset showed last, never the warehouse, and reckons on from there to now.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.jobs import asset_key
from cavra_pipeline.reports.store import RECOVERIES
from cavra_pipeline.sensors.alerting import Clock, in_words, now_utc, told_result
from cavra_pipeline.sensors.instance import instance_of
from cavra_pipeline.sensors.shown import newest_shown
from cavra_pipeline.settings import Settings

_KIND: Final = "recovery_past_limit"


def build_recovery_limit_sensor(settings: Settings, clock: Clock = now_utc) -> dg.SensorDefinition:
    """Returns the sensor for recoveries that are open past their limit."""

    @dg.sensor(
        name="recovery_limit_sensor",
        minimum_interval_seconds=settings.report_watch_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Notifies when recoveries of a connector are open past their limit.",
    )
    def recovery_limit_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        known, now = json.loads(context.cursor) if context.cursor else {}, clock()
        shown = newest_shown(instance_of(context), asset_key(settings, RECOVERIES), now)
        signals = [] if shown is None else _past_limit(shown, now)
        if shown is None:
            quiet = "There is no recovery report yet."
        elif not shown["playbook_count"]:
            quiet = "No recovery playbook is known."
        else:
            quiet = "No recovery is past its limit."
        reason = in_words(signals) or quiet
        return told_result(settings, known, Observation((_KIND,), signals), clock, reason=reason, cursor={})

    return recovery_limit_sensor


def _past_limit(shown: Mapping[str, Any], now: datetime) -> list[Signal]:
    """One signal for each connector, since the first of its recoveries went past the limit."""
    limit = timedelta(minutes=int(shown["recovery_slo_minutes"]))
    signals = []
    for provider, opened in shown["open_since"].items():
        due = sorted(datetime.fromisoformat(one).astimezone(UTC) + limit for one in opened)
        if late := [moment for moment in due if moment < now]:
            evidence: dict[str, str | int] = {"report_id": str(shown["report_id"])}
            signals.append(Signal(_KIND, provider or "unknown", "critical", late[0], None, len(late), evidence))
    return signals
