"""Dagster's instance of a home: batches of events where Dagster's storage is the one they were written for.

On any other Dagster it steps aside with one warning and the home has Dagster's own storage: the same rows, written one
by one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import dagster as dg
import yaml

from cavra_pipeline.private import keep_private

_BATCHES: Final = "cavra_pipeline.event_batches"
_log = logging.getLogger(__name__)


@cache
def takes_batches() -> bool:
    """Tells whether Dagster's storage is the one the batches were written for; if not, warns once in this process."""
    try:
        from cavra_pipeline.event_batches import SOURCE_DIGEST, source_digest

        differs = "" if source_digest() == SOURCE_DIGEST else "its code differs"
    except (ImportError, AttributeError, TypeError, OSError) as error:
        differs = type(error).__name__
    if differs:
        _log.warning(
            "The event log of Dagster %s is not the one that batches of events were written for (%s): "
            "events are stored by Dagster itself, one by one. Everything works; backfills of many days take longer.",
            dg.__version__,
            differs,
        )
    return not differs


class BatchedInstance(dg.DagsterInstance):
    """Dagster's instance with batches of events where ``dagster.yaml`` names no storage; for its ``instance_class``."""

    @staticmethod
    def config_schema() -> Mapping[str, Any]:
        """Returns no settings of its own."""
        return {}

    @staticmethod
    def config_defaults(base_dir: str) -> Mapping[str, Any]:
        """Returns Dagster's defaults but for the storage; from here on the process makes private files."""
        # Dagster's own web server and daemon open the home here first; what they start inherits it.
        keep_private()
        from dagster._core.instance.ref import InstanceRef

        defaults = InstanceRef.config_defaults(base_dir)
        if not takes_batches():
            return defaults
        from dagster._serdes import ConfigurableClassData

        storage = ConfigurableClassData(_BATCHES, "BatchedStorage", yaml.dump({"base_dir": base_dir}))
        return {**defaults, "storage": storage}
