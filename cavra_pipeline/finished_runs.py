"""Prunes Dagster's own records of finished runs of this code location, and leaves what the pages of assets show.

Dagster's ``delete_run`` takes the events of assets along, and with them every partition that only that run made. Here
the newest event of each asset, partition and check stays; ``event_batches.py`` writes what is removed here.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import dagster as dg
import sqlalchemy as sa
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log import SqlEventLogStorage, SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetEventTagsTable

from cavra_pipeline.jobs import LOCATION_TAG, home_tag
from cavra_pipeline.settings import Settings

_EVENTS: Final = SqlEventLogStorageTable
_CHECKS: Final = AssetCheckExecutionsTable
_FINISHED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_PLANNED: Final = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value
_MATERIALIZED: Final = dg.DagsterEventType.ASSET_MATERIALIZATION.value
#: Events that pages show; that an asset was to be made says something only while it was not.
_SHOWN: Final = sorted(event_type.value for event_type in ASSET_EVENTS if event_type.value != _PLANNED)
_PAGE: Final = 500
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PrunedRuns:
    """Result of one pruning.

    Attributes:
        pruned_count: Runs that were removed.
        failed_count: Runs past retention that stay: they failed, and nothing has made one of their partitions since.
    """

    pruned_count: int
    failed_count: int


def prune_runs(instance: dg.DagsterInstance, settings: Settings, location: str | None, before: datetime) -> PrunedRuns:
    """Removes the finished runs of a code location, or of its home, that ended before an instant.

    A run is removed from the list of runs last, so a pruning that was killed is finished by the next one.

    Args:
        instance: Dagster's instance; on one whose event log is no SQL database nothing is removed.
        settings: The home, whose commands execute runs without a code location.
        location: What the workspace calls the code location; None where there is none.
        before: Runs that ended at this instant or later stay.
    """
    log = instance.event_log_storage
    if not isinstance(log, SqlEventLogStorage):
        _log.warning("Runs are not pruned: %s is no event log that can be pruned here.", type(log).__name__)
        return PrunedRuns(0, 0)
    ended = _ended(instance, home_tag(settings), before)
    if location:
        ended |= _ended(instance, {LOCATION_TAG: location}, before)
    kept = 0
    for run_id, is_failed in ended.items():
        if is_failed and _is_last_attempt(log, run_id):
            kept += 1
        else:
            _prune(instance, log, run_id)
    return PrunedRuns(len(ended) - kept, kept)


def _ended(instance: dg.DagsterInstance, tags: dict[str, str], before: datetime) -> dict[str, bool]:
    """Returns the ids of the runs with these tags that ended before an instant, and whether each failed."""
    # A run was created before it ended.
    wanted = dg.RunsFilter(statuses=_FINISHED, tags=tags, created_before=before)
    failure_by_run: dict[str, bool] = {}
    cursor = None
    while page := instance.get_run_records(wanted, limit=_PAGE, cursor=cursor):
        runs = (record.dagster_run for record in page if _end_of(record) < before)
        failure_by_run |= {run.run_id: run.status == dg.DagsterRunStatus.FAILURE for run in runs}
        cursor = page[-1].dagster_run.run_id
    return failure_by_run


def _end_of(record: dg.RunRecord) -> datetime:
    if record.end_time is None:
        return record.update_timestamp.replace(tzinfo=UTC)
    return datetime.fromtimestamp(record.end_time, UTC)


def _prune(instance: dg.DagsterInstance, log: SqlEventLogStorage, run_id: str) -> None:
    newer = _EVENTS.alias()
    outdated = sa.or_(
        _EVENTS.c.dagster_event_type.is_(None),
        _EVENTS.c.dagster_event_type.not_in(_SHOWN),
        _exists_newer(newer, newer.c.dagster_event_type == _EVENTS.c.dagster_event_type),
    )
    gone = sa.select(_EVENTS.c.id).where(_EVENTS.c.run_id == run_id, outdated)
    # On SQLite the index stores the events of assets, and a file of its own all events of the run.
    with log.index_connection() as connection:
        connection.execute(sa.delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id.in_(gone)))
        connection.execute(sa.delete(_EVENTS).where(_EVENTS.c.run_id == run_id, outdated))
        connection.execute(sa.delete(_CHECKS).where(_CHECKS.c.run_id == run_id, _exists_newer_check()))
    if isinstance(log, SqliteEventLogStorage):
        for end in ("", "-wal", "-shm"):
            Path(f"{log.path_for_shard(run_id)}{end}").unlink(missing_ok=True)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    instance.run_storage.delete_run(run_id)


def _is_last_attempt(log: SqlEventLogStorage, run_id: str) -> bool:
    """Returns whether a failed run is the newest for a partition or a check: its page shows the failure."""
    newer = _EVENTS.alias()
    attempted = _exists_newer(newer, newer.c.dagster_event_type.in_([_PLANNED, _MATERIALIZED]))
    planned = sa.select(_EVENTS.c.id).where(
        _EVENTS.c.run_id == run_id, _EVENTS.c.dagster_event_type == _PLANNED, ~attempted
    )
    checks = sa.select(_CHECKS.c.id).where(
        _CHECKS.c.run_id == run_id, _CHECKS.c.execution_status == "PLANNED", ~_exists_newer_check()
    )
    with log.index_connection() as connection:
        return any(connection.execute(query.limit(1)).first() for query in (planned, checks))


def _exists_newer(newer: Any, is_like: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Whether the asset and partition of an event have a newer one."""
    same = (newer.c.asset_key == _EVENTS.c.asset_key, _same_partition(newer, _EVENTS), is_like)
    return sa.exists().where(*same, newer.c.id > _EVENTS.c.id).correlate(_EVENTS)


def _exists_newer_check() -> sa.ColumnElement[bool]:
    newer = _CHECKS.alias()
    same = (newer.c.asset_key == _CHECKS.c.asset_key, newer.c.check_name == _CHECKS.c.check_name)
    return sa.exists().where(*same, _same_partition(newer, _CHECKS), newer.c.id > _CHECKS.c.id).correlate(_CHECKS)


def _same_partition(newer: Any, other: Any) -> sa.ColumnElement[bool]:
    neither = sa.and_(newer.c.partition.is_(None), other.c.partition.is_(None))
    return sa.or_(newer.c.partition == other.c.partition, neither)
