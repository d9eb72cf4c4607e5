"""Schedules: when each job runs and for which UTC day. What a job does is not decided here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any, Final

import dagster as dg
from dagster._utils.schedules import is_valid_cron_schedule, schedule_execution_time_iterator

from cavra_pipeline.desired_state import must_be_on
from cavra_pipeline.documents import instant, whole_minutes
from cavra_pipeline.errors import UsageError
from cavra_pipeline.jobs import (
    COMPACT_LAKE,
    IMPORT_SOURCES,
    IN_PROGRESS,
    PARTITION_TAG,
    PRUNE_RUNS,
    SCHEDULE_TAG,
    VERIFY_HISTORY,
    home_tag,
    source_key,
)
from cavra_pipeline.settings import Settings
from cavra_pipeline.sources import Sources, due_sources, pull_states
from cavra_pipeline.state import state_of

#: Tag of a run that pulls a source: its name.
SOURCE_NAME_TAG: Final = "cavra/source"
_HOUR: Final = 60
#: What a tick says that asks for no run as the one before has not begun; the ledger of scheduled runs knows it by this.
STILL_WAITS: Final = "still waits for its turn"
_WAITING: Final = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]

#: 1 January 2026, from which an expression is tried; what comes at all comes within eight years of it.
_SOME_TIME: Final = 1767225600.0
#: So many coming runs say how often a schedule is due: more than a day of half-hours.
_TICKS_COMPARED: Final = 50
#: Schedule (and job) name, cron in UTC, days back from the tick, what it is for.
SCHEDULES: Final = (
    (
        "recovery_retry_worker",
        "*/30 * * * *",
        0,
        "Plans today's recovery retries and runs their workers, every 30 minutes.",
    ),
    (
        "executive_delivery_retry",
        "0 * * * *",
        0,
        "Plans today's executive report retries and runs their workers, every hour.",
    ),
    (
        "audit_delivery_retry",
        "45 * * * *",
        0,
        "Plans today's audit, export and closeout retries and runs their workers, every hour.",
    ),
    ("morning_report", "0 6 * * *", 0, "Makes the executive recovery report, every morning at 06:00 UTC."),
    ("daily_close", "15 0 * * *", 1, "Makes every report of the day that ended, shortly after midnight UTC."),
)
#: Schedule (and job) name, cron in UTC, what it is for; their work is of no day.
_NIGHTLY: Final = (
    (COMPACT_LAKE, "20 2 * * *", "Merges the small files of the lake and removes what no one reads, every night."),
    (PRUNE_RUNS, "40 1 * * *", "Prunes Dagster's finished runs that are past retention, every night."),
    (VERIFY_HISTORY, "20 3 * * *", "Verifies what the home holds against what it was made from, every night."),
)


def build_source_schedule(sources: Sources, settings: Settings) -> dg.ScheduleDefinition:
    """Returns the schedule that pulls the sources that are due; a source whose pull still runs is left out.

    Args:
        sources: The sources; their cadences decide how often it looks.
        settings: The environment.
    """
    step = sources.step_minutes
    is_on = must_be_on(IMPORT_SOURCES, settings.environment)
    # Another code location of the instance may have a job of this name.
    ours = home_tag(settings)

    @dg.schedule(
        name=IMPORT_SOURCES,
        job_name=IMPORT_SOURCES,
        cron_schedule="0 * * * *" if step == _HOUR else f"*/{step} * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED,
        description="Imports what is new in each source of evidence that is due.",
    )
    def pull_due(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        at = context.scheduled_execution_time.astimezone(UTC)
        due = due_sources(sources, pull_states(state_of(settings)), at)
        unfinished = dg.RunsFilter(job_name=IMPORT_SOURCES, tags=ours, statuses=IN_PROGRESS)
        busy = {run.tags.get(SOURCE_NAME_TAG) for run in context.instance.get_runs(unfinished)}
        source_names = [source.name for source in due if source.name not in busy]
        if not source_names:
            return dg.SkipReason(f"None of {len(sources.usable)} sources is due; {len(due)} due ones still run.")
        # Dagster compares the keys of one tick only, so a source that failed is asked for again when it is due.
        return [
            dg.RunRequest(
                run_key=name, asset_selection=[source_key(settings, name)], tags={SOURCE_NAME_TAG: name, **ours}
            )
            for name in source_names
        ]

    return pull_due


def build_nightly_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Returns the schedules that look after the home, every night."""
    return [
        dg.ScheduleDefinition(
            name=name,
            job_name=name,
            tags=home_tag(settings),
            cron_schedule=cron,
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.RUNNING
            if must_be_on(name, settings.environment)
            else dg.DefaultScheduleStatus.STOPPED,
            description=description,
        )
        for name, cron, description in _NIGHTLY
        if name != COMPACT_LAKE or settings.warehouse_address
    ]


def build_schedules(jobs: Sequence[dg.JobDefinition], settings: Settings) -> list[dg.ScheduleDefinition]:
    """Returns the schedules, each for the job of its name; on by default is what must be on in the environment.

    Args:
        jobs: The jobs of the code location.
        settings: The environment, and cadences in place of the declared ones.

    Raises:
        UsageError: A cadence is given for a schedule there is not, is no cron expression, or never comes.
    """
    by_name, crons = {job.name: job for job in jobs}, settings.crons
    declared = [name for name, *_ in SCHEDULES]
    for name, cron in crons.items():
        if name not in declared or not _comes(cron):
            raise UsageError(
                "it is no cron expression, or one that never comes"
                if name in declared
                else "there is no such schedule",
                where=f"CAVRA_CRON_{name.upper()}",
                remedy=f"Give five cron fields, with a day that its months have, for one of {', '.join(declared)}",
            )
    return [
        _schedule(by_name[name], settings, _crons(settings)[name], days_back, description)
        for name, _, days_back, description in SCHEDULES
    ]


def _comes(cron: str) -> bool:
    """Whether Dagster's own evaluator finds an instant, as its daemon will have to: it gives up with an error."""
    if not is_valid_cron_schedule(cron):
        return False
    try:
        next(schedule_execution_time_iterator(_SOME_TIME, cron, "UTC"))
        next(schedule_execution_time_iterator(_SOME_TIME, cron, "UTC", ascending=False))
    except Exception:  # noqa: BLE001 -- the evaluator's own error class is not public
        return False
    return True


def latest_tick(name: str, settings: Settings, *, now: datetime) -> datetime:
    """Returns the latest instant, up to now, at which a schedule is due; Dagster's own evaluator decides."""
    backward = schedule_execution_time_iterator(now.timestamp(), _crons(settings)[name], "UTC", ascending=False)
    return next(tick_at for tick_at in backward if tick_at <= now).astimezone(UTC)


def next_ticks(settings: Settings, *, now: datetime) -> list[dict[str, Any]]:
    """Returns when each schedule is due next, on or not.

    Returns:
        `schedule`, `cron`, `time_zone`, `next_due_at`, and `due_every_minutes`, the longest pause between its next
        runs. The last two are null for a cadence that the host gives wrong: then the code location does not load.
    """
    return [
        {
            "schedule": name,
            "cron": cron,
            "time_zone": "UTC",
            "next_due_at": instant(_next_tick(cron, now)) if _comes(cron) else None,
            "due_every_minutes": _longest_pause_minutes(cron, now) if _comes(cron) else None,
        }
        for name, cron in _crons(settings).items()
    ]


def _longest_pause_minutes(cron: str, now: datetime) -> int:
    ticks = islice(schedule_execution_time_iterator(now.timestamp(), cron, "UTC"), _TICKS_COMPARED)
    return max(whole_minutes(after - before) for before, after in pairwise(ticks))


def _next_tick(cron: str, now: datetime) -> datetime:
    forward = schedule_execution_time_iterator(now.timestamp(), cron, "UTC")
    return next(tick_at for tick_at in forward if tick_at > now).astimezone(UTC)


def _crons(settings: Settings) -> dict[str, str]:
    """When each schedule is due: as the host says, or else as declared."""
    return {name: settings.crons.get(name, cron) for name, cron, *_ in SCHEDULES}


def _schedule(
    job: dg.JobDefinition, settings: Settings, cron: str, days_back: int, description: str
) -> dg.ScheduleDefinition:
    is_on, ours = must_be_on(job.name, settings.environment), home_tag(settings)

    @dg.schedule(
        name=job.name,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED,
        description=description,
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        day = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=days_back)
        same = {SCHEDULE_TAG: job.name, PARTITION_TAG: day.isoformat(), **ours}
        waiting = dg.RunsFilter(job_name=job.name, tags=same, statuses=_WAITING)
        if waiting_runs := context.instance.get_runs(waiting, limit=1):
            return dg.SkipReason(f"Run {waiting_runs[0].run_id} {STILL_WAITS}, and will do the same for {day}.")
        return dg.RunRequest(partition_key=day.isoformat(), tags=ours)

    return tick
