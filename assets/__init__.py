"""Dagster assets and asset checks: thin shells over ``cavra_pipeline``. No rule of the contract lives here."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from cavra_pipeline.assets.evidence import build_evidence_assets
from cavra_pipeline.assets.executive import build_executive_asset
from cavra_pipeline.assets.reports import build_report_assets
from cavra_pipeline.assets.slots import build_slot_checks
from cavra_pipeline.assets.sources import build_source_assets
from cavra_pipeline.assets.workers import build_worker_assets
from cavra_pipeline.sources import Sources


def build_assets(
    partitions: dg.PartitionsDefinition[str], sources: Sources
) -> Sequence[dg.AssetsDefinition | dg.AssetSpec]:
    """Returns every asset of the code location."""
    return [
        *build_source_assets(sources),
        *build_evidence_assets(partitions, list(sources.by_name)),
        *build_report_assets(partitions),
        *build_worker_assets(),
        build_executive_asset(partitions),
    ]


__all__ = ["build_assets", "build_slot_checks"]
