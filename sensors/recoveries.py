"""The sensor for recoveries past their limit.

It reads what the recovery asset showed last, never the warehouse, and reckons on from there to now.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.jobs import asset_key
from cavra_pipeline.reports.store import RECOVERIES
from cavra_pipeline.sensors.alerting import SensorTick, TickResult, in_words, observing_sensor
from cavra_pipeline.sensors.shown import newest_shown

_KIND: Final = "recovery_past_limit"


@observing_sensor(
    every=lambda settings: settings.report_watch_seconds,
    description="Notifies when recoveries of a connector are open past their limit.",
)
def recovery_limit_sensor(tick: SensorTick) -> TickResult:
    """Observes recoveries that are open past their limit."""
    shown = newest_shown(tick.instance, asset_key(tick.settings, RECOVERIES), tick.now)
    signals = [] if shown is None else _past_limit(shown, tick.now)
    if shown is None:
        quiet = "There is no recovery report yet."
    elif not shown["playbook_count"]:
        quiet = "No recovery playbook is known."
    else:
        quiet = "No recovery is past its limit."
    return TickResult(Observation((_KIND,), signals), in_words(signals) or quiet)


def _past_limit(shown: Mapping[str, Any], now: datetime) -> list[Signal]:
    """One signal for each connector, since the first of its recoveries went past the limit."""
    limit = timedelta(minutes=int(shown["recovery_slo_minutes"]))
    signals = []
    for provider, opened in shown["open_since"].items():
        due = sorted(datetime.fromisoformat(opened_at).astimezone(UTC) + limit for opened_at in opened)
        if late := [moment for moment in due if moment < now]:
            evidence: dict[str, str | int] = {"report_id": str(shown["report_id"])}
            signals.append(Signal(_KIND, provider or "unknown", "critical", late[0], None, len(late), evidence))
    return signals
