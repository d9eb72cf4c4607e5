"""The compaction of a lake as an asset: small files merged, and what no reader needs removed (docs/scale.md)."""

from typing import Final

import dagster as dg

from cavra_pipeline.assets.registry import KINDS, owners_of, transient_retried
from cavra_pipeline.assets.slots import DAILY
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.jobs import COMPACTED_LAKE, HISTORY_GROUP, asset_key
from cavra_pipeline.resources import Home
from cavra_pipeline.settings import Settings

_SIZES: Final = ("before_bytes", "after_bytes")


def build_compaction_asset(settings: Settings) -> dg.AssetsDefinition:
    """Returns the asset that compacts the lake; its own job alone runs it, as it waits for every writer."""

    @dg.asset(
        key=asset_key(settings, COMPACTED_LAKE),
        group_name=HISTORY_GROUP,
        description="The lake with its small files merged, and without what no reader has needed for a day.",
        owners=owners_of(settings, HISTORY_GROUP),
        kinds=KINDS,
        freshness_policy=DAILY,
    )
    def compacted_lake_asset(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:  # type: ignore[type-arg]  # read at run time
        with transient_retried():
            done = warehouse_of(home.settings).compact()
        context.log.info("the lake's data files: %d bytes before, %d now", done.before_bytes, done.after_bytes)
        return dg.MaterializeResult(metadata={name: getattr(done, name) for name in _SIZES})

    return compacted_lake_asset
