"""Dagster assets and asset checks: thin shells over ``cavra_pipeline``. No rule of the contract lives here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import dagster as dg

from cavra_pipeline.assets.causes import build_incidents_asset
from cavra_pipeline.assets.compaction import build_compaction_asset
from cavra_pipeline.assets.evidence import build_evidence_assets
from cavra_pipeline.assets.executive import build_executive_asset
from cavra_pipeline.assets.history import build_history_asset, build_history_check
from cavra_pipeline.assets.registry import check_groups
from cavra_pipeline.assets.reports import build_report_assets
from cavra_pipeline.assets.slots import build_partitions_check, build_slot_checks
from cavra_pipeline.assets.sources import build_source_assets
from cavra_pipeline.assets.workers import build_worker_assets
from cavra_pipeline.jobs import HISTORY_GROUP, WORKER_TAG
from cavra_pipeline.settings import Settings
from cavra_pipeline.sources import Sources


def build_assets(
    partitions: dg.PartitionsDefinition[str], sources: Sources, settings: Settings
) -> Sequence[dg.AssetsDefinition | dg.AssetSpec]:
    """Returns every asset of the code location.

    Raises:
        UsageError: The settings name owners for a group that there is not.
    """
    check_groups(settings)
    assets: list[dg.AssetsDefinition | dg.AssetSpec] = [
        *build_source_assets(sources, settings),
        *build_evidence_assets(partitions, list(sources.by_name), settings),
        *build_report_assets(partitions, settings),
        *build_worker_assets(settings),
        build_incidents_asset(partitions, settings),
        build_executive_asset(partitions, settings),
        build_history_asset(settings),
        *([build_compaction_asset(settings)] if settings.warehouse_address else []),
    ]
    return [
        asset
        for asset in dg.with_source_code_references(assets)
        if isinstance(asset, dg.AssetsDefinition | dg.AssetSpec)
    ]


def build_checks(
    assets: Sequence[dg.AssetsDefinition | dg.AssetSpec], settings: Settings
) -> Sequence[dg.AssetChecksDefinition]:
    """Returns the checks that stand beside assets, not in them: others than their runs report on them too."""
    return [*build_slot_checks(settings), build_partitions_check(assets, settings), build_history_check(settings)]


def shown_assets(assets: Sequence[dg.AssetsDefinition | dg.AssetSpec]) -> Sequence[dg.AssetsDefinition | dg.AssetSpec]:
    """Returns the assets as the code location shows them: its spec alone of what only its own job runs.

    "Materialize all" and backfills leave out what can't be executed: workers, and what looks after the home.
    """
    return [asset.get_asset_spec() if _is_run_by_its_job_alone(asset) else asset for asset in assets]


def _is_run_by_its_job_alone(asset: dg.AssetsDefinition | dg.AssetSpec) -> TypeGuard[dg.AssetsDefinition]:
    return isinstance(asset, dg.AssetsDefinition) and any(
        WORKER_TAG.items() <= spec.tags.items() or spec.group_name == HISTORY_GROUP for spec in asset.specs
    )


__all__ = ["build_assets", "build_checks", "build_slot_checks", "shown_assets"]
