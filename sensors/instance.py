"""Dagster's instance as the sensors use it: opened once in a process, where Dagster opens it again for each tick."""

from __future__ import annotations

import dagster as dg
from dagster._core.instance.ref import InstanceRef

#: The instance that this process has open, and what it was opened by; another one takes its place.
_open: list[tuple[InstanceRef, dg.DagsterInstance]] = []


def instance_of(context: dg.SensorEvaluationContext) -> dg.DagsterInstance:
    """Returns the instance of a tick; a code server opens it for the first one and keeps it, as the daemon does.

    Opening it takes longer than a quiet tick does: each time Dagster reads the migrations of three databases.
    """
    ref = context.instance_ref
    if ref is None:
        return context.instance
    for open_ref, instance in _open:
        if open_ref == ref:
            return instance
    opened = dg.DagsterInstance.from_ref(ref)
    _open[:] = [(ref, opened)]
    return opened
