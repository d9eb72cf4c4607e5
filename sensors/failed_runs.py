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
from cavra_pipeline.sensors.alerting import SensorTick, TickResult, in_words, observing_sensor

KINDS: Final = ("failed_run",)
MOST_EVENTS: Final = 10_000


@observing_sensor(
    every=lambda settings: settings.slow_watch_seconds,
    description="Alerts when a run failed, with how many and why, until a run of the job succeeds.",
)
def failed_run_sensor(tick: SensorTick) -> TickResult:
    """Observes; its cursor is the last event it has looked at, and each failing job with its causes."""
    previous_cursor, place = tick.cursor, tick.place
    failing: dict[str, dict[str, Any]] = previous_cursor.get("failing", {})
    after, seen = previous_cursor.get("after"), list[records.FailedRun]()
    is_first = after is None
    if after is None:
        # What failed before anybody watched is history, not news.
        after = records.newest_failure(tick.instance)
    else:
        seen = records.failed_runs(tick.instance, place, after, MOST_EVENTS)
    own_failures = [failed_run for failed_run in seen if failed_run.is_ours]
    for failed_run in own_failures:
        job = failing.setdefault(failed_run.job, {"since": failed_run.at.isoformat(), "causes": {}})
        job["causes"][failed_run.cause] = job["causes"].get(failed_run.cause, 0) + 1
        job.update(last_at=failed_run.at.isoformat(), run_id=failed_run.run_id)
    after = seen[-1].storage_id if seen else after
    is_behind = len(seen) == MOST_EVENTS
    for name in [] if is_behind else sorted(failing):
        if records.has_succeeded_since(tick.instance, place, name, datetime.fromisoformat(failing[name]["last_at"])):
            del failing[name]
    signals = _signals(failing)
    counted = (
        f"{len(own_failures)} runs failed since the last tick" if own_failures else "No run failed since the last tick"
    )
    more = "; there are more" if is_behind else ""
    reason = f"{counted}{more}. {in_words(signals)}".strip()
    partitions, evaluations = _check_partitions(
        tick, None if is_first else previous_cursor.get("partitions"), is_new=bool(own_failures)
    )
    cursor = {"after": after, "failing": failing, "partitions": partitions}
    return TickResult(Observation(KINDS, signals), reason, cursor, asset_events=evaluations)


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
    tick: SensorTick, known_digest: str | None, *, is_new: bool
) -> tuple[str, list[dg.AssetCheckEvaluation]]:
    """Returns a digest of the failed partitions, empty if there is none, and the check's result where it differs.

    They are read at the first tick (None is known), where a run has failed, and then until every partition is made.
    """
    if known_digest == "" and not is_new:
        return "", []
    failed = failed_partitions(tick.instance, records.repository_of(tick.context).asset_graph.assets_defs)
    named = json.dumps({key.to_string(): days for key, days in failed.items()})
    digest = hashlib.sha256(named.encode()).hexdigest()[:16] if failed else ""
    asset = asset_key(tick.settings, DASHBOARD)
    result = dg.AssetCheckEvaluation(asset_key=asset, check_name=PARTITIONS_CHECK, **evaluation_of(failed))
    return digest, [result] if digest != known_digest else []
