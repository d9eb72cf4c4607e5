"""The job that prunes Dagster's records of finished runs."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from cavra_pipeline.jobs import LOCATION_TAG, PRUNE_RUNS
from cavra_pipeline.settings import Settings


def build_pruning_job(settings: Settings, executor: dg.ExecutorDefinition) -> dg.JobDefinition:
    """Returns the job that prunes the runs of the code location it is launched from."""

    @dg.op(description="Removes finished runs that are past retention.")
    def prune_finished_runs(context: dg.OpExecutionContext) -> None:
        # It leans on names that Dagster keeps to itself: where one is gone, this job fails and nothing else does.
        from cavra_pipeline.finished_runs import prune_runs

        before = datetime.now(UTC) - timedelta(days=settings.run_retention_days)
        done = prune_runs(context.instance, settings, context.run.tags.get(LOCATION_TAG), before)
        context.log.info(
            "%d runs that ended before %s were pruned; %d stay, as nothing has made their partitions since they failed",
            done.pruned_count,
            before.isoformat(timespec="seconds"),
            done.failed_count,
        )

    @dg.job(
        name=PRUNE_RUNS,
        executor_def=executor,
        description="Removes finished runs older than CAVRA_RUN_RETENTION_DAYS; what assets show last stays.",
    )
    def prune_job() -> None:
        prune_finished_runs()

    return prune_job
