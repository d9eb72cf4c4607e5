"""The failed-run sensor: a cursor over Dagster's own events of our failed runs, counted by job and error.

Bounded work a tick, ten thousand events at most; what is left waits in its order. A job's alert is over when a run of
it succeeds. The check ``partitions_are_made`` is red until each partition whose newest run failed is made.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import dagster as dg

from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.failed_partitions import PARTITIONS_CHECK, evaluation_of, failed_partitions
from cavra_pipeline.jobs import asset_key
from cavra_pipeline.reports.store import DASHBOARD
from cavra_pipeline.sensors import dagster_records as records
from cavra_pipeline.sensors.alerting import Clock, in_words, now_utc, told_result
from cavra_pipeline.sensors.instance import instance_of
from cavra_pipeline.sensors.location import location_of
from cavra_pipeline.settings import Settings

KINDS: Final = ("failed_run",)
MOST_EVENTS: Final = 10_000


def build_failed_run_sensor(settings: Settings, clock: Clock = now_utc) -> dg.SensorDefinition:
    """Returns the sensor; its cursor is the last event it has looked at, and each failing job with its causes."""

    @dg.sensor(
        name="failed_run_sensor",
        minimum_interval_seconds=settings.slow_watch_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Alerts when a run failed, with how many and why, until a run of the job succeeds.",
    )
    def failed_run_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        known = json.loads(context.cursor) if context.cursor else {}
        failing: dict[str, dict[str, Any]] = known.get("failing", {})
        place = location_of(context, settings)
        after, seen = known.get("after"), list[records.FailedRun]()
        is_first = after is None
        if after is None:
            # What failed before anybody watched is history, not news.
            after = records.newest_failure(instance_of(context))
        else:
            seen = records.failed_runs(instance_of(context), place, after, MOST_EVENTS)
        found = [one for one in seen if one.is_ours]
        for one in found:
            job = failing.setdefault(one.job, {"since": one.at.isoformat(), "causes": {}})
            job["causes"][one.cause] = job["causes"].get(one.cause, 0) + 1
            job.update(last_at=one.at.isoformat(), run_id=one.run_id)
        after = seen[-1].storage_id if seen else after
        is_behind = len(seen) == MOST_EVENTS
        for name in [] if is_behind else sorted(failing):
            if records.has_succeeded_since(
                instance_of(context), place, name, datetime.fromisoformat(failing[name]["last_at"])
            ):
                del failing[name]
        signals = _signals(failing)
        counted = f"{len(found)} runs failed since the last tick" if found else "No run failed since the last tick"
        more = "; there are more" if is_behind else ""
        reason = f"{counted}{more}. {in_words(signals)}".strip()
        partitions, evaluations = _check_partitions(
            context, settings, None if is_first else known.get("partitions"), is_new=bool(found)
        )
        return told_result(
            settings,
            known,
            Observation(KINDS, signals),
            clock,
            reason=reason,
            cursor={"after": after, "failing": failing, "partitions": partitions},
            asset_events=evaluations,
        )

    return failed_run_sensor


def _signals(failing: Mapping[str, Mapping[str, Any]]) -> list[Signal]:
    """One for each job that fails and each of its causes."""
    return [
        Signal(
            "failed_run",
            name,
            "critical",
            datetime.fromisoformat(job["since"]),
            cause,
            count,
            {"newest_run_id": job["run_id"]},
        )
        for name, job in sorted(failing.items())
        for cause, count in sorted(job["causes"].items())
    ]


def _check_partitions(
    context: dg.SensorEvaluationContext, settings: Settings, known: str | None, *, is_new: bool
) -> tuple[str, list[dg.AssetCheckEvaluation]]:
    """Returns a digest of the failed partitions, empty if there is none, and the check's result where it differs.

    They are read at the first tick (None is known), where a run has failed, and then until every partition is made.
    """
    if known == "" and not is_new:
        return "", []
    failed = failed_partitions(instance_of(context), records.repository_of(context).asset_graph.assets_defs)
    named = json.dumps({key.to_string(): days for key, days in failed.items()})
    digest = hashlib.sha256(named.encode()).hexdigest()[:16] if failed else ""
    asset = asset_key(settings, DASHBOARD)
    result = dg.AssetCheckEvaluation(asset_key=asset, check_name=PARTITIONS_CHECK, **evaluation_of(failed))
    return digest, [result] if digest != known else []
