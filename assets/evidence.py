"""The evidence assets: one ingest fills every evidence table, so one step materialises them all.

Of a run that selects some, only those are shown.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import dagster as dg

from cavra_pipeline.assets.launch import days_of
from cavra_pipeline.assets.links import console
from cavra_pipeline.assets.metadata import show_days, table
from cavra_pipeline.assets.registry import KINDS, WAREHOUSE_POOL, owners_of, transient_retried
from cavra_pipeline.assets.tables import ROW_COUNT, code_of, column_lineage, warehouse_table
from cavra_pipeline.escaping import visible
from cavra_pipeline.evidence.emitted import day_marks
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.landing_zone import landing_files
from cavra_pipeline.evidence.load import IngestResult
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.evidence.queries import day_counts, schema_differences
from cavra_pipeline.executive.words import are, count
from cavra_pipeline.jobs import EVIDENCE, INGEST_GROUP, LANDING_MARK, WHY, asset_key, source_key
from cavra_pipeline.reports.store import days_to_remake
from cavra_pipeline.resources import Home
from cavra_pipeline.settings import Settings

_LOGGED_BYTES: Final = 100_000_000

LANDING_ZONE: Final = "landing_zone"

#: Asset (and table) name, what it holds. All but ``evidence`` itself derive from it.
_TABLES: Final = {
    "evidence": "Current version of every evidence record of the day's landing files, allowlisted fields only.",
    "deliveries": "Deliveries through connectors, with the outcome for each provider.",
    "acknowledgements": "What operators acknowledged, by subject and provider.",
    "retry_plans": "Retry plans that CAVRA recorded.",
    "worker_runs": "Runs of the recovery retry worker, dry and live.",
    "executions": "Live retries and how they ended.",
    "quarantine": "Rejected lines: place, SHA-256 and reason.",
    "findings": "What was not public-safe: place, rule and dotted path, never the value.",
}

#: Tables of what was held back from the evidence.
_HELD_BACK: Final = ("quarantine", "findings")


class IngestConfig(dg.Config):
    """How to ingest.

    Attributes:
        read_again: Read every landing file of the days again, also those that have not changed.
    """

    read_again: bool = False


def _landing_zone(partitions: dg.PartitionsDefinition[str], sources: Sequence[str], host: Settings) -> dg.AssetSpec:
    return dg.AssetSpec(
        asset_key(host, LANDING_ZONE),
        description="Landing files as a deployment or `cavra-pipeline import` lays them down, one folder a UTC day.",
        group_name=INGEST_GROUP,
        owners=owners_of(host, INGEST_GROUP),
        kinds={"json"},
        partitions_def=partitions,
        deps=[source_key(host, name) for name in sources],
        metadata={**warehouse_table(host, "drops"), **console(host, "sources"), **code_of(landing_files)},
    )


def _table_specs(partitions: dg.PartitionsDefinition[str], host: Settings) -> list[dg.AssetSpec]:
    return [
        dg.AssetSpec(
            asset_key(host, name),
            description=description,
            group_name=INGEST_GROUP,
            owners=owners_of(host, INGEST_GROUP),
            kinds=KINDS,
            partitions_def=partitions,
            deps=[asset_key(host, LANDING_ZONE if name in (EVIDENCE, *_HELD_BACK) else EVIDENCE)],
            metadata={
                **warehouse_table(host, name),
                **console(host, "intake" if name in _HELD_BACK else "evidence"),
            },
        )
        for name, description in _TABLES.items()
    ]


def build_evidence_assets(
    partitions: dg.PartitionsDefinition[str], sources: Sequence[str], host: Settings
) -> Sequence[dg.AssetsDefinition | dg.AssetSpec]:
    """Returns the landing zone as an external asset and the ingest that fills every evidence table.

    Args:
        partitions: The landing days.
        sources: Names of the sources that the landing zone is filled from.
        host: The settings that keys and owners come from.
    """

    @dg.multi_asset(
        name="ingest",
        specs=_table_specs(partitions, host),
        check_specs=[
            dg.AssetCheckSpec(name, asset=asset_key(host, asset), description=description, blocking=name in _BLOCKING)
            for name, asset, description in _CHECKS
        ],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=WAREHOUSE_POOL,
    )
    def ingest_assets(
        context: dg.AssetExecutionContext, config: IngestConfig, home: Home
    ) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]  # read at run time
        days = days_of(context)
        settings, now = home.settings, datetime.now(UTC)
        tick = _logged(context)
        with transient_retried():
            # Before the ingest: a file that lands meanwhile may not be in it.
            marks = day_marks(landing_files(settings, pseudonyms_of(settings), min(days), max(days)))
            if config.read_again:
                result = ingest(settings, now=now, first=min(days), last=max(days), tick=tick)
            else:
                result = ingest(settings, now=now, days=days, tick=tick)
        with transient_retried(), home.warehouse.reading() as session:
            counts = day_counts(session, days)
            differences = schema_differences(session)
        # The reports of the run's own days are made by the run.
        outdated = [day for day in days_to_remake(home.state) if day not in days]
        context.log.info("ingested %d landing files, %d records", len(result.drops), result.received_count)
        _observe_landing(context, host, counts)
        checks = _check_results(result, counts, differences)
        for name in (asset for asset in _TABLES if asset_key(host, asset) in context.selected_asset_keys):
            # Before the result: what is added after it is not in the event any more.
            key = asset_key(host, name)
            shown = {day: day_metadata(name, counts[day]) for day in days}
            if name == EVIDENCE:
                shown = {day: {**metadata, LANDING_MARK: marks.get(day, "")} for day, metadata in shown.items()}
            shown[days[-1]] |= column_lineage(host, name)
            show_days(context, key, shown)
            yield dg.MaterializeResult(
                asset_key=key,
                metadata=_run_metadata(name, result, outdated),
                check_results=[
                    check._replace(asset_key=key) for check in checks if _CHECKED.get(str(check.check_name)) == name
                ],
            )

    return [_landing_zone(partitions, sources, host), ingest_assets]


def _observe_landing(
    context: dg.AssetExecutionContext, host: Settings, counts: Mapping[date, Mapping[str, Any]]
) -> None:
    """Records what lies in the landing zone on each day of the run that has a file."""
    for day, counted in counts.items():
        if counted["drop_count"]:
            context.log_event(
                dg.AssetObservation(
                    asset_key(host, LANDING_ZONE), partition=day.isoformat(), metadata=_landing_metadata(counted)
                )
            )


def _landing_metadata(count: Mapping[str, Any]) -> dict[str, Any]:
    return {
        ROW_COUNT: int(count["drop_count"]),
        "file_count": int(count["drop_count"]),
        "landing_bytes": int(count["landing_bytes"]),
        "unreadable_file_count": int(count["unreadable_drop_count"]),
        "drop_digest": str(count["drop_digest"]),
    }


def _logged(context: dg.AssetExecutionContext) -> Callable[[int], None]:
    """A log line for every hundred megabytes read, so that a long ingest can be followed."""
    read = 0

    def tick(size: int) -> None:
        nonlocal read
        before, read = read, read + size
        if before // _LOGGED_BYTES != read // _LOGGED_BYTES:
            context.log.info("%d MB of landing files read", read // 1_000_000)

    return tick


#: Check name, the asset it stands on, what it says.
_CHECKS: Final = (
    (
        "totals_add_up",
        "evidence",
        "Passes when received = accepted + superseded + quarantined + pruned on each day of the run.",
    ),
    ("schema_is_declared", "evidence", "Passes when the warehouse has exactly the declared columns."),
    ("drops_are_readable", "evidence", "Passes when every landing file of the run could be read to its end."),
    ("nothing_quarantined", "quarantine", "Passes when no record of the run's days is quarantined."),
    ("nothing_found", "findings", "Passes when everything found in the run's days is public-safe."),
)

#: Where one of these fails, what follows would be worthless: the run makes no report.
_BLOCKING: Final = ("totals_add_up", "schema_is_declared")

_CHECKED: Final = {check: asset for check, asset, _ in _CHECKS}


def _check_results(
    result: IngestResult, counts: dict[date, dict[str, Any]], differences: list[str]
) -> list[dg.AssetCheckResult]:
    def total(name: str) -> int:
        return sum(int(count[name]) for count in counts.values())

    received, accepted, superseded = total("received_count"), total("accepted_count"), total("superseded_count")
    quarantined, finding_count, pruned = total("quarantine"), total("findings"), total("pruned_count")
    accounted = accepted + superseded + quarantined + pruned
    return [
        _check("totals_add_up", received == accounted, {
            WHY: f"{received:,} records were received, and {accounted:,} are accounted for.",
            "received": received, "accepted": accepted, "superseded": superseded, "quarantined": quarantined,
            "pruned": pruned,
        }),
        _check("schema_is_declared", not differences, {WHY: visible(", ".join(differences) or "none")}),
        _check("drops_are_readable", not result.failures, {
            WHY: f"{count(len(result.failures), 'landing file')} could not be read to the end.",
            "unreadable": len(result.failures),
            "remedy": table(("place", "what is wrong", "what to do"), [
                (failure.where, failure.what, failure.remedy) for failure in result.failures
            ], "none"),
        }),
        _check("nothing_quarantined", quarantined == 0, {
            WHY: f"{are(quarantined, 'line')} quarantined.", "quarantined": quarantined,
            "remedy": "cavra-pipeline quarantine lists where they stood and why",
        }),
        _check("nothing_found", finding_count == 0, {
            WHY: f"{count(finding_count, 'value')} {'was' if finding_count == 1 else 'were'} not public-safe.",
            "findings": finding_count,
            "remedy": "cavra-pipeline findings lists the places and rules",
        }, dg.AssetCheckSeverity.WARN),
    ]  # fmt: skip


def _check(
    name: str,
    passed: bool,
    metadata: dict[str, Any],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(check_name=name, passed=passed, severity=severity, metadata=metadata)


def _run_metadata(name: str, result: IngestResult, outdated: list[date]) -> dict[str, Any]:
    """Returns counts of the whole run, and the days whose reports late evidence may have changed."""
    if name != "evidence":
        return {}
    return {
        "drops_read": len(result.drops),
        "drops_unchanged": result.unchanged_count,
        "drops_past_retention": len(result.closed_drops),
        "outdated_days": dg.MetadataValue.json([day.isoformat() for day in outdated]),
    }


_DAY_NUMBERS: Final = (
    "drop_count", "received_count", "accepted_count", "superseded_count", "quarantine", "findings",
    "unknown_kind_count", "dropped_field_count", "other_word_count",
)  # fmt: skip


def day_metadata(name: str, count: dict[str, Any]) -> dict[str, Any]:
    """Returns what a materialisation of an evidence table says of its day: numbers that plot over partitions.

    Args:
        name: The table.
        count: The day's counts, as ``day_counts`` has them.
    """
    if name == "evidence":
        numbers = {key: int(count[key]) for key in _DAY_NUMBERS}
        return {**numbers, ROW_COUNT: int(count["accepted_count"]), "drop_digest": str(count["drop_digest"])}
    return {ROW_COUNT: int(count[name])}
