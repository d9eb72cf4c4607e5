"""Run requests for sets of days: one for each unbroken range, keyed by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import dagster as dg

from cavra_pipeline.jobs import range_tags


def ranges(days: Sequence[date]) -> Iterator[list[date]]:
    """Yields the unbroken runs of days, in order."""
    run: list[date] = []
    for day in sorted(days):
        if run and day != run[-1] + timedelta(days=1):
            yield run
            run = []
        run.append(day)
    if run:
        yield run


def request_for(days: Sequence[date], *, selection: Sequence[dg.AssetKey], content: str) -> dg.RunRequest:
    """Asks for one run over an unbroken range of days.

    Args:
        days: The days, in order.
        selection: The assets to materialise.
        content: What the request follows from; the same content is never run twice.
    """
    key = hashlib.sha256(f"{days[0]} {days[-1]} {content}".encode()).hexdigest()[:24]
    return dg.RunRequest(
        run_key=key,
        asset_selection=list(selection),
        tags=range_tags(days),
    )


def resolve(context: dg.SensorEvaluationContext, selection: dg.AssetSelection) -> list[dg.AssetKey]:
    """Returns the assets that a selection stands for in the sensor's code location."""
    definitions = context.repository_def
    if definitions is None:
        raise dg.DagsterInvariantViolationError("a sensor that asks for runs needs its code location")
    return sorted(selection.resolve(definitions.asset_graph))
