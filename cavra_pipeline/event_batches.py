"""Dagster's own SQLite storage, with the events of one batch in one transaction (docs/decisions/0018-event-log.md).

A run over a range of days leaves two events for each asset and day. Dagster hands them over in batches where it is told
to; its SQLite event log then stores them one by one, each with engines, transactions and statements of its own.
`event_log.py` imports this module only where Dagster's internals are those that `REPLACED` and `SOURCE_DIGEST` name.
"""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import os
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import dagster as dg
import sqlalchemy
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log import SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

#: A batch keeps other writers of the index out for less than a second.
_BATCH_SIZE: Final = 2000
_BATCH_SIZE_VARIABLE: Final = "DAGSTER_EVENT_BATCH_SIZE"

#: What Dagster's storage keeps in the index as well as in the run's file.
_INDEXED: Final = ASSET_EVENTS | ASSET_CHECK_EVENTS | EVENT_TYPE_TO_PIPELINE_RUN_STATUS.keys()

#: Methods of Dagster's storage that the batches replace, call or repeat, and the digest of their source.
REPLACED: Final = (
    *("__init__", "store_event", "store_event_batch", "_connect", "index_connection", "conn_string_for_shard"),
    *("_store_asset_event", "_store_asset_event_tags", "store_asset_check_event", "_event_insert_timestamp"),
    *("_store_asset_check_evaluation_planned", "_has_asset_key_index_cols_on_connection", "_event_to_row"),
    *("has_table", "dispose"),
)
SOURCE_DIGEST: Final = "6f9feddc58743672985261e3af74f73f94c49509a4cacfd5356437aa8df89027"


def source_digest() -> str:
    """Returns the SHA-256 of the source of what is replaced in the Dagster that is installed.

    Raises:
        AttributeError: A method is gone.
        OSError: A method has no source.
    """
    methods = [*(getattr(SqliteEventLogStorage, name) for name in REPLACED), DagsterSqliteStorage.__init__]
    return hashlib.sha256("".join(map(inspect.getsource, methods)).encode()).hexdigest()


class BatchedEventLog(SqliteEventLogStorage):
    """Stores a batch in one transaction of the run's file and one of the index: all of it, or nothing."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Opens the log; tells Dagster in this process and its children to hand over batches, unless it was told."""
        # Before the rest: a new folder is written to while it is opened.
        self._batch = threading.local()
        self._tables: set[str] = set()
        self._has_columns = False
        self._open_index: sqlalchemy.Engine | None = None
        super().__init__(base_dir, inst_data)
        os.environ.setdefault(_BATCH_SIZE_VARIABLE, str(_BATCH_SIZE))

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Stores events as ``store_event`` does, with the same rows; if one can't be stored, none is."""
        shards = dict.fromkeys([*(event.run_id for event in events), INDEX_SHARD_NAME])
        for shard in shards:
            if shard not in self._initialized_dbs:
                with super()._connect(shard):
                    pass  # makes the file where it is not there yet
        # Written as JSON before the files are locked: it takes as long as all that is done there.
        rows = [(event, self._event_to_row(event)) for event in events]
        with self._db_lock, ExitStack() as stack:
            self._batch.connections = {shard: stack.enter_context(self._begun(shard)) for shard in shards}
            try:
                self._store(rows)
            finally:
                del self._batch.connections

    def _store(self, events: Sequence[tuple[dg.EventLogEntry, dict[str, Any]]]) -> None:
        """Writes each event's row into both files, a statement for each file."""
        by_run: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for event, row in events:
            by_run[event.run_id].append(row)
        for run_id, some in by_run.items():
            with self._connect(run_id) as connection:
                connection.execute(SqlEventLogStorageTable.insert(), some)
        indexed = [(e, row) for e, row in events if e.is_dagster_event and e.dagster_event_type in _INDEXED]
        if indexed:
            with self._connect(INDEX_SHARD_NAME) as connection:
                connection.execute(SqlEventLogStorageTable.insert(), [row for _, row in indexed])
                # No one else writes until this transaction ends, so the new ids are the last ones, in order.
                newest = sqlalchemy.func.max(SqlEventLogStorageTable.c.id)
                last = connection.execute(sqlalchemy.select(newest)).scalar_one()
                first = last - len(indexed) + 1
                self._index(connection, [(event, id_) for id_, (event, _) in enumerate(indexed, first)])

    def _index(self, connection: sqlalchemy.Connection, events: Sequence[tuple[dg.EventLogEntry, int]]) -> None:
        """Notes what the index tells of assets and checks beside the events."""
        assets = [(event, id_) for event, id_ in events if event.dagster_event_type in ASSET_EVENTS]
        if assets:
            self._store_asset_event_tags(connection, *zip(*assets, strict=True))
        for event, id_ in _last_of_each(assets):
            self._store_asset_event(connection, event, id_)
        for event, id_ in events:
            if event.dagster_event_type in ASSET_CHECK_EVENTS:
                self.store_asset_check_event(event, id_)

    def _store_asset_check_evaluation_planned(self, event: dg.EventLogEntry, event_id: int | None) -> None:
        """Notes that a check is to come, for each day of the run, with the event written once."""
        planned: Any = event.dagster_event.event_specific_data if event.dagster_event else None
        subset = planned.partitions_subset
        row = {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "run_id": event.run_id,
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            "evaluation_event": dg.serialize_value(event),
            "evaluation_event_timestamp": self._event_insert_timestamp(event),  # type: ignore[no-untyped-call]
            "evaluation_event_storage_id": event_id,
        }
        days = subset.get_partition_keys() if subset else [None]
        with self.index_connection() as connection:
            connection.execute(AssetCheckExecutionsTable.insert(), [{**row, "partition": day} for day in days])

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table; asked for each event, so one that was found is not looked for again."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _has_asset_key_index_cols_on_connection(self, conn: sqlalchemy.Connection) -> bool:
        """Whether the table of assets has its newer columns; asked for each event too."""
        self._has_columns = self._has_columns or super()._has_asset_key_index_cols_on_connection(conn)
        return self._has_columns

    @contextmanager
    def _begun(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        if shard == INDEX_SHARD_NAME:
            with self._index_engine().begin() as connection:
                yield connection
            return
        engine = self._engine(shard, poolclass=sqlalchemy.NullPool)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    def _engine(self, shard: str, **options: Any) -> sqlalchemy.Engine:
        timeout = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
        return sqlalchemy.create_engine(self.conn_string_for_shard(shard), connect_args=timeout, **options)

    def _index_engine(self) -> sqlalchemy.Engine:
        """The index stays open. A run's file does not: the web server sees by its last closing that it has grown."""
        if self._open_index is None:
            self._open_index = self._engine(INDEX_SHARD_NAME)
        return self._open_index

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        connections: Mapping[str, sqlalchemy.Connection] = getattr(self._batch, "connections", {})
        if shard in connections:
            yield connections[shard]
        elif shard == INDEX_SHARD_NAME and shard in self._initialized_dbs:
            with self._db_lock, self._index_engine().begin() as connection:
                yield connection
        else:
            with super()._connect(shard) as connection:
                yield connection

    def dispose(self) -> None:
        """Closes the index, and what Dagster's own storage has open."""
        super().dispose()
        if self._open_index is not None:
            self._open_index.dispose()


def _last_of_each(events: Iterable[tuple[dg.EventLogEntry, int]]) -> list[tuple[dg.EventLogEntry, int]]:
    """Returns the last event of each asset and type, in their order; it overwrites what those before it say."""
    last: dict[tuple[dg.AssetKey | None, object], tuple[dg.EventLogEntry, int]] = {}
    for event, id_ in events:
        asset = event.dagster_event.asset_key if event.dagster_event else None
        last.pop((asset, event.dagster_event_type), None)
        last[asset, event.dagster_event_type] = event, id_
    return list(last.values())


class BatchedStorage(DagsterSqliteStorage):
    """Dagster's default storage with that event log."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Opens the storage in a folder, laid out as Dagster does.

        One process at a time does: two that make Dagster's databases at once collide, and may leave one unreadable.
        """
        with (Path(base_dir) / "opening.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            super().__init__(base_dir, inst_data)
            log = self._event_log_storage
            self._event_log_storage = BatchedEventLog(log._base_dir)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> BatchedStorage:
        """Opens it as Dagster asks for; its own method would make its own class."""
        return cls.from_local(inst_data=inst_data, **config_value)
