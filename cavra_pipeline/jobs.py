"""Jobs: which assets a schedule or a person materialises together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import dagster as dg

INGEST_GROUP: Final = "evidence"
DASHBOARD_GROUP: Final = "dashboard"

#: Job name, the groups it materialises, what it is for.
_JOBS: Final = (
    (
        "recovery_retry_worker",
        (INGEST_GROUP, "recovery_escalation", "recovery_health_alert"),
        "Ingest new evidence, then plan and judge recovery escalations and their health alerts.",
    ),
    (
        "executive_delivery_retry",
        (INGEST_GROUP, "executive_report", "executive_health_alert"),
        "Ingest new evidence, then plan and judge executive report deliveries and their health alerts.",
    ),
    (
        "daily_close",
        (
            INGEST_GROUP,
            "recovery_escalation",
            "recovery_health_alert",
            "executive_report",
            "executive_health_alert",
            DASHBOARD_GROUP,
        ),
        "Everything for one day, judged at its end.",
    ),
)


def range_tags(days: Sequence[date]) -> dict[str, str]:
    """Returns the tags by which one run takes an unbroken range of days as its partitions."""
    return {
        "dagster/asset_partition_range_start": days[0].isoformat(),
        "dagster/asset_partition_range_end": days[-1].isoformat(),
    }


def build_jobs(executor: dg.ExecutorDefinition) -> Sequence[dg.UnresolvedAssetJobDefinition]:
    """Returns the jobs of the code location."""
    return [
        dg.define_asset_job(
            name,
            selection=dg.AssetSelection.groups(*groups),
            description=description,
            executor_def=executor,
        )
        for name, groups, description in _JOBS
    ]
