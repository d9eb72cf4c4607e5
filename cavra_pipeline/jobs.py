"""Jobs: which assets a schedule or a person materialises together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import dagster as dg

from cavra_pipeline.lanes import LANES, lanes_of
from cavra_pipeline.settings import Settings

INGEST_GROUP: Final = "evidence"
DASHBOARD_GROUP: Final = "dashboard"
SOURCE_GROUP: Final = "sources"
HISTORY_GROUP: Final = "history"
#: The asset that an ingest makes first.
EVIDENCE: Final = "evidence"
#: Metadata of a day's materialisation: a mark of its landing files, so that they are not requested again.
LANDING_MARK: Final = "landing_mark"
#: Tags by which Dagster says which partitions a run makes, and which schedule asked for it.
PARTITION_TAG: Final = "dagster/partition"
RANGE_START_TAG: Final = "dagster/asset_partition_range_start"
RANGE_END_TAG: Final = "dagster/asset_partition_range_end"
SCHEDULE_TAG: Final = "dagster/schedule_name"
#: What the job ``verify_history`` alone makes: it reads all that a home holds, so the code location shows its spec.
VERIFIED_HISTORY: Final = "verified_history"
#: What the job ``compact_lake`` alone makes, in homes whose warehouse is a lake.
COMPACTED_LAKE: Final = "compacted_lake"
PROVIDER_INCIDENTS: Final = "provider_incidents"
#: The job and the schedule that pull sources; a home without sources has neither.
IMPORT_SOURCES: Final = "import_sources"

#: The job and the schedule that prune Dagster's runs.
PRUNE_RUNS: Final = "prune_runs"

#: The job and the schedule that verify what the home holds.
VERIFY_HISTORY: Final = "verify_history"

#: The job and the schedule that compact a lake; a home with a file has neither.
COMPACT_LAKE: Final = "compact_lake"

#: The check on a schedule's work; the sensor of the ledger of scheduled runs reports on it too, without a run.
SLOTS_CHECK: Final = "slots_are_served"

#: Statuses of a run that has not ended.
IN_PROGRESS: Final = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

#: What a check shows first: Dagster sorts the metadata of checks, capitals before all else that we name.
WHY: Final = "Why"

#: Marks, in the metadata of a materialisation, a report that is not the day's own; no sensor decides by one.
WHAT_IF: Final = "what_if"

#: Marks the workers: they act on now, so nothing runs them but a job that names them.
WORKER_TAG: Final = {"cavra/role": "worker"}


#: Dagster's own tag of a run that a code location launched, and of its sensors and schedules.
LOCATION_TAG: Final = "dagster/code_location"

#: Marks the runs of a home: those that a command executes itself have no code location.
HOME_TAG: Final = "cavra/home"

#: Marks the sources: they follow their own cadence, so no other job, backfill or sensor materialises them.
SOURCE_TAG: Final = {"cavra/role": "source"}


def asset_key(settings: Settings, name: str) -> dg.AssetKey:
    """Returns the key of an asset: the prefix of the home's settings, then the name."""
    return dg.AssetKey([*settings.asset_prefix, name])


def source_key(settings: Settings, name: str) -> dg.AssetKey:
    """Returns the key of a source's asset."""
    return dg.AssetKey([*settings.asset_prefix, SOURCE_GROUP, name])


def home_tag(settings: Settings) -> dict[str, str]:
    """Returns the tag of the runs that a home's schedules and commands start, by which they differ from others."""
    return {HOME_TAG: hashlib.sha256(str(settings.home).encode()).hexdigest()[:16]}


def sources() -> dg.AssetSelection:
    """Returns the selection of every source."""
    ((key, value),) = SOURCE_TAG.items()
    return dg.AssetSelection.tag(key, value)


def workers() -> dg.AssetSelection:
    """Returns the selection of every lane's worker."""
    ((key, value),) = WORKER_TAG.items()
    return dg.AssetSelection.tag(key, value)


def _ladders(schedule: str) -> dg.AssetSelection:
    """The plan, worker and health of each lane that a schedule runs, and the evidence they are based on."""
    return dg.AssetSelection.groups(INGEST_GROUP, *lanes_of(schedule))


def _jobs(settings: Settings) -> list[tuple[str, dg.AssetSelection, str]]:
    """Job name, what it materialises, what it is for."""

    def assets(*names: str) -> dg.AssetSelection:
        return dg.AssetSelection.assets(*(asset_key(settings, name) for name in names))

    upkeep = (COMPACT_LAKE, assets(COMPACTED_LAKE), "Merge the small files of the lake and remove what no one reads.")
    return [
        (
            "recovery_retry_worker",
            _ladders("recovery_retry_worker") | assets(PROVIDER_INCIDENTS),
            "Ingest new evidence, plan, run the retry workers of recovery escalations and their alerts, judge health, "
            "look for provider incidents.",
        ),
        (
            "executive_delivery_retry",
            _ladders("executive_delivery_retry") | assets(PROVIDER_INCIDENTS),
            "Ingest new evidence, plan, run the retry workers of executive reports and their alerts, judge health, "
            "look for provider incidents.",
        ),
        (
            "audit_delivery_retry",
            _ladders("audit_delivery_retry") | assets("recoveries", "closure", PROVIDER_INCIDENTS),
            "Ingest new evidence, plan, run the retry workers of audits, auditor exports and closeouts, judge health, "
            "recoveries and closure, look for provider incidents.",
        ),
        (
            "morning_report",
            dg.AssetSelection.groups(INGEST_GROUP) | assets("executive_recovery_report"),
            "Ingest new evidence and make the executive recovery report of the day.",
        ),
        (
            "daily_close",
            dg.AssetSelection.groups(INGEST_GROUP, DASHBOARD_GROUP, *LANES) - workers(),
            "Everything for one day, judged at its end.",
        ),
        (
            VERIFY_HISTORY,
            assets(VERIFIED_HISTORY),
            "Verify landing zone, warehouse, commit log and saved reports against what they were made from.",
        ),
        *([upkeep] if settings.warehouse_address else []),
    ]


def range_tags(days: Sequence[date]) -> dict[str, str]:
    """Returns the tags by which one run takes an unbroken range of days as its partitions."""
    return {
        RANGE_START_TAG: days[0].isoformat(),
        RANGE_END_TAG: days[-1].isoformat(),
    }


def is_of_range(tags: Mapping[str, str], day: date) -> bool:
    """Returns whether a run with these tags takes the day as one of its partitions."""
    partition = tags.get(PARTITION_TAG, "")
    first, last = (tags.get(name, partition) for name in (RANGE_START_TAG, RANGE_END_TAG))
    return bool(first) and first <= day.isoformat() <= last


def build_jobs(
    settings: Settings, executor: dg.ExecutorDefinition, *, has_sources: bool = False
) -> Sequence[dg.UnresolvedAssetJobDefinition]:
    """Returns the jobs of the code location; the one that pulls sources only where there are some."""
    pulling = (IMPORT_SOURCES, sources(), "Import what is new in the sources of evidence.")
    return [
        dg.define_asset_job(
            name,
            selection=selection,
            description=description,
            executor_def=executor,
        )
        for name, selection, description in (*_jobs(settings), *([pulling] if has_sources else []))
    ]
