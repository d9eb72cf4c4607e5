"""A schedule's configuration and its history: each slot is judged by what was in force when it was due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cavra_pipeline.settings import Tolerance
from cavra_pipeline.slots.verdicts import Slot


@dataclass(frozen=True, slots=True)
class Configuration:
    """How a schedule was set from some instant on.

    Attributes:
        schedule: Its name.
        valid_from: Since when.
        cron: Its cron expression.
        time_zone: The zone the expression is read in.
        is_declared_on: Whether the declared desired state had it on.
        tolerance: Grace and early tolerance.
    """

    schedule: str
    valid_from: datetime
    cron: str
    time_zone: str
    is_declared_on: bool
    tolerance: Tolerance

    def differs_from(self, other: Configuration) -> bool:
        """Says whether anything but the instant is different."""
        return replace(self, valid_from=other.valid_from) != other


def in_force(history: Sequence[Configuration], at: datetime) -> Configuration | None:
    """Returns the configuration in force at an instant, or None before the first."""
    found = [one for one in history if one.valid_from <= at]
    return max(found, key=lambda one: one.valid_from) if found else None


def slots_of(configuration: Configuration, instants: Sequence[datetime]) -> list[Slot]:
    """Makes slots of a schedule's instants in order; the first and last only say how wide the gaps beside them are."""
    return [
        Slot(configuration.schedule, at, before, after, configuration.is_declared_on, configuration.tolerance)
        for before, at, after in zip(instants, instants[1:], instants[2:], strict=False)
    ]
