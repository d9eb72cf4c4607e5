"""Schedules: when each job runs and for which UTC day. What a job does is not decided here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Final

import dagster as dg

#: Schedule (and job) name, cron in UTC, days back from the tick, what it is for.
SCHEDULES: Final = (
    ("recovery_retry_worker", "*/30 * * * *", 0, "Every 30 minutes: the recovery retry ladder, today."),
    ("executive_delivery_retry", "0 * * * *", 0, "Every hour: the executive delivery ladder, today."),
    ("daily_close", "15 0 * * *", 1, "Shortly after midnight UTC: everything for the day that ended."),
)


def build_schedules(jobs: Sequence[dg.UnresolvedAssetJobDefinition]) -> list[dg.ScheduleDefinition]:
    """Returns the schedules, each for the job of its name; all are on by default."""
    by_name = {job.name: job for job in jobs}
    return [_schedule(by_name[name], cron, days_back, text) for name, cron, days_back, text in SCHEDULES]


def _schedule(
    job: dg.UnresolvedAssetJobDefinition, cron: str, days_back: int, description: str
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=job.name,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        day = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=days_back)
        return dg.RunRequest(partition_key=day.isoformat())

    return tick
