"""Dagster sensors: they decide that something is to be done; wording and rules live in ``cavra_pipeline``."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from cavra_pipeline.sensors.boundary import build_boundary_sensor
from cavra_pipeline.sensors.causes import build_exhaustion_sensor, build_provider_incident_sensor
from cavra_pipeline.sensors.drops import build_drop_sensor
from cavra_pipeline.sensors.failed_runs import build_failed_run_sensor
from cavra_pipeline.sensors.instigators import build_disabled_schedule_sensor
from cavra_pipeline.sensors.late_evidence import build_late_evidence_sensor
from cavra_pipeline.sensors.recoveries import build_recovery_limit_sensor
from cavra_pipeline.sensors.reports import build_acknowledgement_gap_sensor, build_stale_retry_plan_sensor
from cavra_pipeline.sensors.slots import build_missed_worker_run_sensor
from cavra_pipeline.sensors.sources import build_source_sensor
from cavra_pipeline.sensors.watchers import build_watcher_sensor
from cavra_pipeline.settings import Settings


def build_sensors(partitions: dg.DailyPartitionsDefinition, settings: Settings) -> Sequence[dg.SensorDefinition]:
    """Returns every sensor of the code location."""
    return [
        build_source_sensor(settings),
        build_drop_sensor(partitions, settings),
        build_late_evidence_sensor(settings, partitions),
        build_missed_worker_run_sensor(settings),
        build_disabled_schedule_sensor(settings),
        build_failed_run_sensor(settings),
        build_stale_retry_plan_sensor(settings),
        build_acknowledgement_gap_sensor(settings),
        build_recovery_limit_sensor(settings),
        build_provider_incident_sensor(settings),
        build_exhaustion_sensor(settings),
        build_boundary_sensor(settings),
        build_watcher_sensor(settings),
    ]


__all__ = ["build_sensors"]
