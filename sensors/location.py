"""Which runs, schedules and sensors of a Dagster instance are those of this code location: an instance has more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import dagster as dg

from cavra_pipeline.jobs import LOCATION_TAG, home_tag
from cavra_pipeline.settings import Settings

_MOST_IDS: Final = 500


@dataclass(frozen=True, slots=True)
class Location:
    """The code location of a sensor.

    Attributes:
        name: What the workspace calls it; None where a sensor is evaluated outside of one, which has no neighbours.
        repository: Name of its repository.
        home: The tag of runs that commands execute for its home.
    """

    name: str | None
    repository: str
    home: Mapping[str, str]

    @property
    def tags(self) -> dict[str, str]:
        """The tag that a filter of runs asks for; empty where every run is ours."""
        return {LOCATION_TAG: self.name} if self.name else {}

    def owns(self, tags: Mapping[str, str]) -> bool:
        """Returns whether a run with these tags is ours."""
        return self.name is None or tags.get(LOCATION_TAG) == self.name or self.home.items() <= tags.items()


def location_of(context: dg.SensorEvaluationContext, settings: Settings) -> Location:
    """Returns the code location that a sensor is evaluated for."""
    origin = context.code_location_origin
    repository = context.repository_def.name if context.repository_def else "__repository__"
    return Location(origin.location_name if origin else None, repository, home_tag(settings))


def runs_of(instance: dg.DagsterInstance, place: Location, filters: dg.RunsFilter) -> list[dg.DagsterRun]:
    """Returns the runs of the location that a filter lets through, also those that commands executed."""
    return [run for run in instance.get_runs(filters) if place.owns(run.tags)]


def owned(instance: dg.DagsterInstance, place: Location, run_ids: Iterable[str]) -> set[str]:
    """Returns those of some run ids that are runs of the location."""
    ids = list(dict.fromkeys(run_ids))
    if place.name is None:
        return set(ids)
    parts = (ids[start : start + _MOST_IDS] for start in range(0, len(ids), _MOST_IDS))
    return {run.run_id for part in parts for run in runs_of(instance, place, dg.RunsFilter(run_ids=part))}
