"""The verification of a home as an asset: what differs, by place, and the check that says so (docs/proof.md)."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

from cavra_pipeline.assets.links import console
from cavra_pipeline.assets.metadata import table
from cavra_pipeline.assets.registry import owners_of, transient_retried
from cavra_pipeline.assets.slots import DAILY
from cavra_pipeline.assets.tables import ROW_COUNT, document_table
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.executive.words import count
from cavra_pipeline.jobs import HISTORY_GROUP, VERIFIED_HISTORY, WHY, asset_key
from cavra_pipeline.resources import Home
from cavra_pipeline.settings import Settings
from cavra_pipeline.verify.differences import Verified
from cavra_pipeline.verify.home import verify_home
from cavra_pipeline.verify.prove_pair import store_maps

CHECK: Final = "history_is_intact"
#: Column, type, what it holds; a row for each place with differences.
_COLUMNS: Final = (
    ("part", "VARCHAR", "Part of the home: landing file, warehouse, segment, commit log, pruning or saved report"),
    ("lane", "VARCHAR", "Lane, or empty"),
    ("day", "VARCHAR", "UTC day of the records, of the report or of the landing file, or empty"),
    ("difference_count", "BIGINT", "Differences there"),
)
#: What the check shows of the newest verification.
_COUNTS: Final = ("difference_count", "landing_file_count", "lanes", "days", "drop_days")
#: Places that are shown; the check counts all.
_MOST_SHOWN: Final = 100


def build_history_asset(settings: Settings) -> dg.AssetsDefinition:
    """Returns the asset that verifies the home; the code location shows its spec, so its own job alone runs it."""
    key = asset_key(settings, VERIFIED_HISTORY)

    @dg.asset(
        key=key,
        group_name=HISTORY_GROUP,
        description="What of landing zone, warehouse, commit log and saved reports is not what it was made from.",
        owners=owners_of(settings, HISTORY_GROUP),
        kinds={"duckdb", "python"},
        metadata={**document_table(VERIFIED_HISTORY, _COLUMNS), **console(settings, "history")},
        freshness_policy=DAILY,
    )
    def verified_history_asset(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:  # type: ignore[type-arg]  # read at run time
        with transient_retried():
            verified = verify_home(home.settings, now=datetime.now(UTC))
        context.log.info(
            "%d landing files and %d records verified: %d differences",
            verified.landing_file_count,
            verified.record_count,
            len(verified.differences),
        )
        if verified.entry_count and not verified.differences:
            try:
                store_maps(home.settings)
            except PipelineError as error:
                # They save the next light proof its time; the verification counts without them.
                context.log.warning("the maps of the lanes could not be stored: %s. %s", error.what, error.remedy)
        return dg.MaterializeResult(metadata=_metadata(verified))

    return verified_history_asset


def build_history_check(settings: Settings) -> dg.AssetChecksDefinition:
    """Returns the check on the newest verification, apart from the asset: the code location shows its spec alone."""
    key = asset_key(settings, VERIFIED_HISTORY)

    @dg.asset_check(asset=key, name=CHECK, description="Passes when verify --home found that nothing differs.")
    def history_check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        newest = context.instance.fetch_materializations(key, limit=1).records
        shown = newest[0].asset_materialization if newest else None
        counts = {name: shown.metadata[name].value for name in _COUNTS} if shown else {}
        number = counts.get(_COUNTS[0])
        why = (
            "The home was never verified: run the job verify_history."
            if number is None
            else f"{count(int(number), 'difference')}; cavra-pipeline verify --home names each."
            if number
            else "Nothing differs."
        )
        return dg.AssetCheckResult(
            passed=number == 0,
            severity=dg.AssetCheckSeverity.ERROR if shown else dg.AssetCheckSeverity.WARN,
            metadata={WHY: why, **counts},
        )

    return history_check


def _counts(verified: Verified) -> dict[str, Any]:
    """Counts of what differs, and the lanes and days that it concerns; never what a record says."""
    differing = verified.differences
    files = {(difference.drop_day, difference.file_name) for difference in differing if difference.file_name}
    lanes, days = ({getattr(difference, name) for difference in differing} - {""} for name in ("lane", "day"))
    return {
        "difference_count": len(differing),
        "landing_file_count": len(files),
        "lanes": ", ".join(sorted(lanes)) or "none",
        "days": ", ".join(sorted(days)[:_MOST_SHOWN]) or "none",
        "drop_days": ", ".join(sorted({day for day, _ in files})[:_MOST_SHOWN]) or "none",
    }


def _metadata(verified: Verified) -> dict[str, Any]:
    places = Counter(
        (str(difference.part), difference.lane, difference.day or difference.drop_day)
        for difference in verified.differences
    )
    rows = [[*place, number] for place, number in sorted(places.items())][:_MOST_SHOWN]
    return {
        ROW_COUNT: len(places),
        **_counts(verified),
        "verified_record_count": verified.record_count,
        "verified_landing_file_count": verified.landing_file_count,
        "verified_segment_count": verified.segment_count,
        "log_entry_count": verified.entry_count,
        "verified_report_count": verified.report_count,
        "time_stamp_count": verified.time_stamp_count,
        "differences": table([name for name, *_ in _COLUMNS], rows, "Nothing differs."),
    }
