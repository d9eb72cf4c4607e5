"""Run requests for sets of days: one for each unbroken range, keyed by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Final

import dagster as dg

from cavra_pipeline.jobs import range_tags
from cavra_pipeline.sensors.location import Location

MOST_ATTEMPTS: Final = 3
_ATTEMPT: Final = "cavra/attempt"
_FAILED: Final = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_LOOK_BACK: Final = 20


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


def asked_again(
    context: dg.SensorEvaluationContext, sensor_name: str, *, place: Location, selection: Sequence[dg.AssetKey]
) -> list[dg.RunRequest]:
    """Asks once more for each of the sensor's own runs that failed, up to three attempts in all.

    A failed run burns its run key, so the key of the next attempt follows from the run that failed.
    """
    sensor = {**place.tags, "dagster/sensor_name": sensor_name}
    runs = context.instance.get_runs(dg.RunsFilter(tags=sensor, statuses=_FAILED), limit=_LOOK_BACK)
    requests: list[dg.RunRequest] = []
    for run in runs:
        attempt = int(run.tags.get(_ATTEMPT, "1")) + 1
        key = hashlib.sha256(f"after {run.run_id}".encode()).hexdigest()[:24]
        is_asked = context.instance.get_runs_count(dg.RunsFilter(tags={**sensor, "dagster/run_key": key}))
        if attempt > MOST_ATTEMPTS or is_asked:
            continue
        kept = {name: value for name, value in run.tags.items() if name.startswith("dagster/asset_partition_range_")}
        requests.append(
            dg.RunRequest(run_key=key, asset_selection=list(selection), tags={**kept, _ATTEMPT: str(attempt)})
        )
    return requests
