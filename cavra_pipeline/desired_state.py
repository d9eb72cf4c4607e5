"""Which schedules and sensors must be on, in which environment. One row each; one that has no row does not load."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.lanes import LANES, lanes_of
from cavra_pipeline.settings import ENVIRONMENTS

_DEPLOYED: Final = ("production", "staging")

SCHEDULE: Final = "schedule"
SENSOR: Final = "sensor"


@dataclass(frozen=True, slots=True)
class Declared:
    """The desired state of one schedule or sensor.

    Attributes:
        name: Its name.
        kind: ``schedule`` or ``sensor``.
        on_in: Environments in which it must be on; elsewhere it may be, and is off to begin with.
        work: A schedule's work is done when this asset is materialised.
        lanes: Lanes whose worker it runs; the first one's worker-run evidence is evidence of its scheduled runs.
        is_optional: Whether it is there only in some homes: those that name sources of evidence, or are on a lake.
    """

    name: str
    kind: str
    on_in: tuple[str, ...]
    work: str = ""
    lanes: tuple[str, ...] = ()
    is_optional: bool = False


DESIRED_STATE: Final = (
    *(
        Declared(name, SCHEDULE, _DEPLOYED, f"{lanes_of(name)[0]}_retry_worker", lanes_of(name))
        for name in dict.fromkeys(lane.schedule for lane in LANES.values())
    ),
    Declared("morning_report", SCHEDULE, _DEPLOYED, "executive_recovery_report"),
    Declared("daily_close", SCHEDULE, _DEPLOYED, "dashboard"),
    Declared("drop_sensor", SENSOR, ENVIRONMENTS),
    Declared("late_evidence_sensor", SENSOR, ENVIRONMENTS),
    Declared("missed_worker_run_sensor", SENSOR, ENVIRONMENTS),
    Declared("disabled_schedule_sensor", SENSOR, ENVIRONMENTS),
    Declared("failed_run_sensor", SENSOR, ENVIRONMENTS),
    Declared("stale_retry_plan_sensor", SENSOR, ENVIRONMENTS),
    Declared("acknowledgement_gap_sensor", SENSOR, ENVIRONMENTS),
    Declared("recovery_limit_sensor", SENSOR, ENVIRONMENTS),
    Declared("provider_incident_sensor", SENSOR, ENVIRONMENTS),
    Declared("exhaustion_sensor", SENSOR, ENVIRONMENTS),
    Declared("boundary_sensor", SENSOR, ENVIRONMENTS),
    Declared("watcher_sensor", SENSOR, ENVIRONMENTS),
    Declared("compact_lake", SCHEDULE, _DEPLOYED, is_optional=True),
    Declared("prune_runs", SCHEDULE, _DEPLOYED),
    Declared("verify_history", SCHEDULE, _DEPLOYED),
    Declared("import_sources", SCHEDULE, _DEPLOYED, is_optional=True),
    Declared("source_sensor", SENSOR, ENVIRONMENTS),
)

#: Schedules whose every instant has work to do, so that one without it was missed; the ledger is about these.
SCHEDULE_NAMES: Final = tuple(
    instigator.name for instigator in DESIRED_STATE if instigator.kind == SCHEDULE and instigator.work
)
_BY_NAME: Final = {instigator.name: instigator for instigator in DESIRED_STATE}


def declared(name: str) -> Declared:
    """Returns the desired state of a schedule or sensor."""
    return _BY_NAME[name]


def must_be_on(name: str, environment: str) -> bool:
    """Returns whether a schedule or sensor must be on in an environment."""
    return environment in _BY_NAME[name].on_in


def require_declared(schedules: Iterable[str], sensors: Iterable[str]) -> None:
    """Refuses a code location whose schedules and sensors are not exactly those declared here.

    Raises:
        PipelineError: One is not declared, or one that is declared is not there.
    """
    present = {(name, SCHEDULE) for name in schedules} | {(name, SENSOR) for name in sensors}
    optional = {(instigator.name, instigator.kind) for instigator in DESIRED_STATE if instigator.is_optional} - present
    wanted = {(instigator.name, instigator.kind) for instigator in DESIRED_STATE} - optional
    for name, kind in sorted(present ^ wanted):
        raise PipelineError(
            "its desired state is not declared" if (name, kind) in present else "it is declared and not there",
            where=f"{kind} {name}",
            remedy="Keep cavra_pipeline/desired_state.py and the code location in step",
        )
