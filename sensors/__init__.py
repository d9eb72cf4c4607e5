"""Dagster sensors: they decide that something is to be done; wording and rules live in ``cavra_pipeline``."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from sensors.drops import build_drop_sensor
from sensors.late_evidence import build_late_evidence_sensor


def build_sensors(partitions: dg.DailyPartitionsDefinition) -> Sequence[dg.SensorDefinition]:
    """Returns every sensor of the code location."""
    return [build_drop_sensor(partitions), build_late_evidence_sensor(partitions)]


__all__ = ["build_sensors"]
