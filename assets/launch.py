"""Run configuration that is checked when a run is launched: a bad value is refused there, not by its first step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from cavra_pipeline.errors import UsageError

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
    given: Mapping[str, Any] = context.op_execution_context.op_config or {}
    return {name: value for name, value in given.items() if value is not None}
