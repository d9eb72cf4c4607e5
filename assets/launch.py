"""Run configuration that is checked when a run is launched: a bad value is refused there, not by its first step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
from dagster._config import PostProcessingError

from cavra_pipeline.errors import UsageError


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
            raise PostProcessingError(str(error)) from None
        return values

    shape = dg.Shape(model.to_fields_dict(), description=f"{(model.__doc__ or '').strip()} Of {of}.")  # type: ignore[no-untyped-call]
    # Dagster's own hook for values that a type alone can't refuse; it runs where the run's plan is made, at launch.
    shape.post_process = post_process  # type: ignore[method-assign]
    return dg.Field(shape, is_required=False)


def values_of(context: dg.AssetExecutionContext) -> dict[str, Any]:
    """Returns the values that the run's configuration gives to the asset."""
    given: Mapping[str, Any] = context.op_execution_context.op_config or {}
    return {name: value for name, value in given.items() if value is not None}
