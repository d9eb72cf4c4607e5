"""Configuration of a run, checked at launch and not by its first step, and its days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

import dagster as dg

from cavra_pipeline.errors import UsageError
from cavra_pipeline.jobs import PARTITION_TAG, RANGE_START_TAG

_Refused: type[Exception] | None
try:
    # What Dagster's own types raise for a value; it names the place in the configuration.
    from dagster._config import PostProcessingError as _Refused
except ImportError:
    _Refused = None


def checked_config(model: type[dg.Config], check: Callable[[Mapping[str, Any]], object], *, of: str) -> dg.Field:
    """Returns the configuration of an asset, with the fields of a model.

    Args:
        model: Declares the fields, each optional.
        check: Raises UsageError for values that are not accepted; it gets those that are given.
        of: What is configured; two of one name share their check.
    """

    def post_process(values: dict[str, Any]) -> dict[str, Any]:
        try:
            check({name: value for name, value in values.items() if value is not None})
        except UsageError as error:
            if _Refused is None:
                raise
            raise _Refused(str(error)) from None
        return values

    shape = dg.Shape(model.to_fields_dict(), description=f"{(model.__doc__ or '').strip()} Of {of}.")  # type: ignore[no-untyped-call]
    # Dagster's own hook for values that a type alone can't refuse; it runs where the run's plan is made, at launch. A
    # Dagster without it leaves them to the first step, which refuses them too.
    shape.post_process = post_process  # type: ignore[method-assign]
    return dg.Field(shape, is_required=False)


def values_of(context: dg.AssetExecutionContext) -> dict[str, Any]:
    """Returns the values that the run's configuration gives to the asset."""
    values: Mapping[str, Any] = context.op_execution_context.op_config or {}
    return {name: value for name, value in values.items() if value is not None}


def days_of(context: dg.AssetExecutionContext) -> list[date]:
    """Returns the days of the run, in order."""
    return [date.fromisoformat(key) for key in context.partition_keys]


class _Today(dg.Executor):
    """Sets the partition of a run of a partitioned job before the first step: Dagster reads it ahead of our code."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:
        run, today = plan_context.dagster_run, {PARTITION_TAG: datetime.now(UTC).date().isoformat()}
        is_partitioned = plan_context.job.get_definition().partitions_def is not None
        if is_partitioned and not run.tags.keys() & {PARTITION_TAG, RANGE_START_TAG}:
            plan_context.instance.add_run_tags(run.run_id, today)
            # What this process holds of the run is read by each step.
            run.tags.update(today)
        yield from self._inner.execute(plan_context, execution_plan)


def _today(context: dg.InitExecutorContext) -> dg.Executor:
    inner = dg.in_process_executor.executor_creation_fn
    if inner is None:
        raise dg.DagsterInvariantViolationError("Dagster's in-process executor can't be made")
    return _Today(inner(context))


_CONFIG: Any = dg.in_process_executor.config_schema
#: Executes the steps in the process of the run, as a start of one takes longer than most steps do; a run of a
#: partitioned job that was launched without a partition takes today.
in_process_today: Final = dg.ExecutorDefinition("in_process", config_schema=_CONFIG, executor_creation_fn=_today)
