"""Dagster's own SQLite storage, with the events of one batch in one transaction (docs/decisions/0018-event-log.md).

A run over a range of days leaves two events for each asset and day. Dagster hands them over in batches where it is told
to; its SQLite event log then stores them one by one, each with an engine and two transactions of its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import dagster as dg
import sqlalchemy
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

#: A batch keeps other writers of the index out for a second or so.
_BATCH_SIZE: Final = 500
_BATCH_SIZE_VARIABLE: Final = "DAGSTER_EVENT_BATCH_SIZE"


class BatchedEventLog(SqliteEventLogStorage):
    """Stores a batch in one transaction of the run's file and one of the index: all of it, or nothing."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Opens the log; tells Dagster in this process and its children to hand over batches, unless it was told."""
        # Before the rest: a new folder is written to while it is opened.
        self._batch = threading.local()
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)
        os.environ.setdefault(_BATCH_SIZE_VARIABLE, str(_BATCH_SIZE))

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Stores events as ``store_event`` does, with the same rows; if one can't be stored, none is."""
        shards = dict.fromkeys([*(event.run_id for event in events), INDEX_SHARD_NAME])
        for shard in shards:
            with super()._connect(shard):
                pass  # makes the file where it is not there yet
        with self._db_lock, ExitStack() as stack:
            self._batch.connections = {shard: stack.enter_context(self._begun(shard)) for shard in shards}
            try:
                for event in events:
                    self.store_event(event)
            finally:
                del self._batch.connections

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table; asked for each event, so one that was found is not looked for again."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    @contextmanager
    def _begun(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        engine = sqlalchemy.create_engine(
            self.conn_string_for_shard(shard),
            poolclass=sqlalchemy.NullPool,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
        )
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        connections: Mapping[str, sqlalchemy.Connection] = getattr(self._batch, "connections", {})
        if shard in connections:
            yield connections[shard]
        else:
            with super()._connect(shard) as connection:
                yield connection


class BatchedStorage(DagsterSqliteStorage):
    """Dagster's default storage with that event log."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Opens the storage in a folder, laid out as Dagster does."""
        super().__init__(base_dir, inst_data)
        log = self._event_log_storage
        self._event_log_storage = BatchedEventLog(log._base_dir)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> BatchedStorage:
        """Opens it as Dagster asks for; its own method would make its own class."""
        return cls.from_local(inst_data=inst_data, **config_value)


class BatchedInstance(dg.DagsterInstance):
    """Dagster's instance with that storage where ``dagster.yaml`` names none; for its ``instance_class``."""

    @staticmethod
    def config_schema() -> Mapping[str, Any]:
        """Returns no settings of its own."""
        return {}

    @staticmethod
    def config_defaults(base_dir: str) -> Mapping[str, ConfigurableClassData | None]:
        """Returns Dagster's defaults but for the storage."""
        storage = ConfigurableClassData(__name__, BatchedStorage.__name__, yaml.dump({"base_dir": base_dir}))
        return {**InstanceRef.config_defaults(base_dir), "storage": storage}
