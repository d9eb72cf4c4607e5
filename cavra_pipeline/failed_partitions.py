"""Which partitions of our assets were not made by their last run, for the check and for the sensor that report it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import dagster as dg

from cavra_pipeline.jobs import WHY

#: The check on the dashboard; the sensor of failed runs reports on it too, without a run.
PARTITIONS_CHECK: Final = "partitions_are_made"
_MOST_NAMED: Final = 20
#: The status by which Dagster's pages show a partition as failed.
_FAILED: Final = "FAILED"


def failed_partitions(
    instance: dg.DagsterInstance, assets: Iterable[dg.AssetsDefinition | dg.AssetSpec]
) -> dict[dg.AssetKey, Sequence[str]]:
    """Returns the partitions of each asset whose newest run failed without making them, in order.

    Args:
        instance: Dagster's instance.
        assets: The assets; those that have no partitions, or that nothing here materialises, are passed over.
    """
    failed_days: dict[dg.AssetKey, Sequence[str]] = {}
    materializable = [asset for asset in assets if isinstance(asset, dg.AssetsDefinition) and asset.is_materializable]
    for key, partitions in sorted(
        (key, asset.partitions_def) for asset in materializable for key in asset.keys if asset.partitions_def
    ):
        days = partitions.get_partition_keys(dynamic_partitions_store=instance)
        statuses = instance.get_status_by_partition(key, days, partitions) or {}
        failed = [day for day in days if (status := statuses.get(day)) and status.value == _FAILED]
        if failed:
            failed_days[key] = failed
    return failed_days


def evaluation_of(failed_days: Mapping[dg.AssetKey, Sequence[str]]) -> dict[str, Any]:
    """Returns whether the check passes, with its severity and what it shows of the failed partitions."""
    named = "; ".join(f"{key.path[-1]} {_named(days)}" for key, days in failed_days.items())
    return {
        "passed": not failed_days,
        "severity": dg.AssetCheckSeverity.ERROR,
        "metadata": {
            WHY: f"Not made by their newest run: {named}"
            if failed_days
            else "The newest run of each partition made it.",
            "failed_partition_count": sum(map(len, failed_days.values())),
            "remedy": "open the asset, Materialize, and choose the failed partitions"
            if failed_days
            else "none is needed",
            **{key.to_user_string(): _named(days) for key, days in failed_days.items()},
        },
    }


def _named(days: Sequence[str]) -> str:
    more = f" and {len(days) - _MOST_NAMED} more" if len(days) > _MOST_NAMED else ""
    return f"{', '.join(days[:_MOST_NAMED])}{more}"
