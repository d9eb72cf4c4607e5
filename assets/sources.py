"""The sources of evidence: one asset each, at the start of the lineage, that imports what is new in it."""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from cavra_pipeline.assets.links import console
from cavra_pipeline.assets.registry import owners_of
from cavra_pipeline.assets.tables import ROW_COUNT, warehouse_table
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.escaping import visible
from cavra_pipeline.jobs import SOURCE_GROUP, SOURCE_TAG, WHY, source_key
from cavra_pipeline.resources import Home
from cavra_pipeline.settings import Settings
from cavra_pipeline.sources import Source, SourcePull, Sources, pull, read_sources
from cavra_pipeline.sources.pulls import PULLS_MISSED, is_silent

CHECK: Final = "is_fresh"
#: What Dagster shows of each type.
_KINDS: Final = {"sqlite": "sqlite", "json": "json", "folder": "filesystem", "file": "file", "api": "http"}


def build_source_assets(sources: Sources, settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Returns an asset for each source of the file, also for one that can't be used: its run says why."""
    return [_source_asset(name, source_or_faults, settings) for name, source_or_faults in sources.by_name.items()]


def _source_asset(name: str, source_or_faults: Source | tuple[Any, ...], host: Settings) -> dg.AssetsDefinition:
    source = source_or_faults if isinstance(source_or_faults, Source) else None
    key = source_key(host, name)
    every = timedelta(minutes=source.every_minutes) if source else timedelta(days=1)
    spec = dg.AssetSpec(
        key,
        description=f"New evidence of the source {name}, imported into the landing zone.",
        group_name=SOURCE_GROUP,
        owners=owners_of(host, SOURCE_GROUP),
        kinds={_KINDS[source.type] if source else "file", "python"},
        tags=SOURCE_TAG,
        metadata={**warehouse_table(host, "evidence_records"), **console(host, "sources")},
        skippable=True,
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=max(PULLS_MISSED * every, timedelta(minutes=2))),
    )

    @dg.multi_asset(
        name=f"import_source_{name}",
        specs=[spec],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK, asset=key, description="Passes when the source could be read and new records still arrive."
            )
        ],
    )
    def import_source(
        context: dg.AssetExecutionContext, home: Home
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:  # type: ignore[type-arg]  # read at run time
        try:
            settings = home.settings
            declared = read_sources(settings.sources_file).named(name)
            done = pull(settings, declared, os.environ, clock=lambda: datetime.now(UTC))
        except PipelineError as error:
            # Nothing was imported, so nothing is materialised; the check is red and the sensor raises the alert.
            context.log.error("%s", error)
            yield _unreadable(key, error)
            return
        context.log.info("%d new records, %d known", done.result.imported_count, done.result.known_count)
        now = datetime.now(UTC)
        yield dg.MaterializeResult(asset_key=key, metadata=_metadata(done, now), check_results=[_fresh(key, done, now)])

    return import_source


def _unreadable(key: dg.AssetKey, error: PipelineError) -> dg.AssetCheckResult:
    why = f"The source can't be read: {error.what}"
    metadata = {WHY: visible(why), "place": visible(error.where), "remedy": visible(error.remedy)}
    return dg.AssetCheckResult(
        check_name=CHECK, asset_key=key, passed=False, severity=dg.AssetCheckSeverity.ERROR, metadata=metadata
    )


def _fresh(key: dg.AssetKey, done: SourcePull, now: datetime) -> dg.AssetCheckResult:
    is_quiet = is_silent(done.source, done.pulls, now)
    return dg.AssetCheckResult(
        check_name=CHECK,
        asset_key=key,
        passed=not is_quiet,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            WHY: "New records have stopped." if is_quiet else "The source could be read, and new records arrive.",
            "minutes_without_a_new_record": _minutes(now, done.pulls.arrived_at),
            "silent_after_minutes": done.source.silent_after * done.source.every_minutes,
        },
    )


def _metadata(done: SourcePull, now: datetime) -> dict[str, Any]:
    """Rows of this pull, and the lag: the age of the newest record, and when it was pulled."""
    result, pulls = done.result, done.pulls
    shown: dict[str, Any] = {
        ROW_COUNT: result.imported_count,
        "new_record_count": result.imported_count,
        "known_record_count": result.known_count,
        "quarantined_record_count": result.quarantined_count,
        "finding_count": result.finding_count,
        "landing_file_count": len(result.written),
        "request_count": done.request_count,
        "pulled_at": dg.MetadataValue.timestamp(pulls.pulled_at or now),
    }
    if pulls.newest_record_at:
        shown["newest_record_at"] = dg.MetadataValue.timestamp(pulls.newest_record_at)
        shown["lag_minutes"] = _minutes(now, pulls.newest_record_at)
    return shown


def _minutes(now: datetime, since: datetime | None) -> int:
    return int((now - since) / timedelta(minutes=1)) if since else 0
