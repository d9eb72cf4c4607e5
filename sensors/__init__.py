"""Dagster sensors: they decide that something is to be done; wording and rules live in ``cavra_pipeline``."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from cavra_pipeline.sensors.boundary import boundary_sensor
from cavra_pipeline.sensors.causes import exhaustion_sensor, provider_incident_sensor
from cavra_pipeline.sensors.drops import build_drop_sensor
from cavra_pipeline.sensors.failed_runs import failed_run_sensor
from cavra_pipeline.sensors.instigators import disabled_schedule_sensor
from cavra_pipeline.sensors.late_evidence import build_late_evidence_sensor
from cavra_pipeline.sensors.recoveries import recovery_limit_sensor
from cavra_pipeline.sensors.reports import acknowledgement_gap_sensor, stale_retry_plan_sensor
from cavra_pipeline.sensors.slots import build_missed_worker_run_sensor
from cavra_pipeline.sensors.sources import source_sensor
from cavra_pipeline.sensors.watchers import watcher_sensor
from cavra_pipeline.settings import Settings


def build_sensors(partitions: dg.DailyPartitionsDefinition, settings: Settings) -> Sequence[dg.SensorDefinition]:
    """Returns every sensor of the code location."""
    return [
        source_sensor(settings),
        build_drop_sensor(partitions, settings),
        build_late_evidence_sensor(settings, partitions),
        build_missed_worker_run_sensor(settings),
        disabled_schedule_sensor(settings),
        failed_run_sensor(settings),
        stale_retry_plan_sensor(settings),
        acknowledgement_gap_sensor(settings),
        recovery_limit_sensor(settings),
        provider_incident_sensor(settings),
        exhaustion_sensor(settings),
        boundary_sensor(settings),
        watcher_sensor(settings),
    ]


__all__ = ["build_sensors"]
