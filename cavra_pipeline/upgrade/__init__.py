"""Moves a home of the release before the state database: its warehouse held state beside the evidence.

State is copied first, in one transaction, then the warehouse is rebuilt from the landing zone and put in the place of
the old file, which stays beside it. Until then every other command says what to run; run again, this one goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import sqlalchemy as sa
from backports import zstd

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.keeper import REQUESTED, HomeKeeper
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.retry.records import retry_notification
from cavra_pipeline.sending.intents import CLAIMED, DONE, PENDING, REFUSED, SKIPPED, message_document
from cavra_pipeline.settings import Settings
from cavra_pipeline.sql import statement
from cavra_pipeline.state import database_now, state_of
from cavra_pipeline.state import tables as t
from cavra_pipeline.warehouse.base import Openable
from cavra_pipeline.warehouse.opening import scratch_warehouse

_PACKAGE: Final = "cavra_pipeline.upgrade"
_VERSION: Final = 5
#: Marks in ``warehouses`` that the state of the old file is there.
_MARK: Final = "before-upgrade"
_Row = dict[str, Any]
#: Tables whose rows are the same there and here; names of columns that are gone.
_SAME: Final[Mapping[str, tuple[str, ...]]] = {
    "alerts": ("group_name",),
    # Numbered again in their order: PostgreSQL counts on from what it has numbered itself.
    "alert_events": ("event_number",),
    "alert_silences": (),
    "schedule_configurations": (),
    "schedule_slots": (),
}
_JSON: Final = ("causes", "evidence", "told")
_STATES: Final = {"sent": DONE, "failed": REFUSED, "pending": PENDING, "claimed": CLAIMED, "skipped": SKIPPED}


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did; nothing where the home is of this release.

    Attributes:
        counts: Rows of state that were moved, by table; empty if that had happened.
        landing_file_count: Landing files that the warehouse was rebuilt from.
        old_file: Name of the old warehouse beside the new one; empty if there was nothing to do.
    """

    counts: dict[str, int] = field(default_factory=dict)
    landing_file_count: int = 0
    old_file: str = ""


def upgrade(settings: Settings, *, without_missing: bool = False) -> Upgraded:
    """Moves the home; safe to repeat.

    Args:
        settings: The home.
        without_missing: Whether to go on where landing files that were ingested are gone.

    Raises:
        PipelineError: The home is of another release, a command of the old release did not end well, or landing files
            that were ingested are gone; the old warehouse is as it was.
    """
    path = settings.warehouse
    # The key is made now: while the warehouse is made, no one could ask it for pseudonyms.
    pseudonyms_of(settings)
    with _old_warehouse(path) as old:
        if old is None:
            return Upgraded()
        rows = _state_rows(old)
        handled_days = tuple(_rows(old, statement(_PACKAGE, "old_handled_days")))
    with state_of(settings).writing() as connection:
        query = sa.select(t.warehouses.c.warehouse_id).where(t.warehouses.c.warehouse_id == _MARK)
        is_new = connection.scalar(query) is None
        if is_new:
            for name, some in rows.items():
                if some:
                    connection.execute(sa.insert(t.METADATA.tables[name]), some)
            mark = {"warehouse_id": _MARK, "commit_number": 0, "made_because": REQUESTED}
            connection.execute(sa.insert(t.warehouses).values(**mark, made_at=database_now(connection)))
    old_file = f"{path.name}.{_MARK}"
    keeper = _UpgradeKeeper(settings, without_missing=without_missing, handled_days=handled_days)
    replace(scratch_warehouse(settings, path), keeper=keeper).remake(REQUESTED, keep_as=old_file)
    counts = {name: len(some) for name, some in rows.items()} if is_new else {}
    return Upgraded(counts, len(rows["ingested_files"]), old_file)


@dataclass(frozen=True, slots=True)
class _UpgradeKeeper(HomeKeeper):
    """Handles, before the new file stands, the leaks whose alert a person had acknowledged."""

    handled_days: tuple[_Row, ...] = ()

    def fill(self, fresh: Openable, *, because: str, set_aside_as: str | None) -> None:
        """Fills the warehouse as ever, then handles leaks."""
        HomeKeeper.fill(self, fresh, because=because, set_aside_as=set_aside_as)
        with state_of(self.settings).writing() as connection:
            for row in self.handled_days:
                of_day = t.leaks.c.drop_day == row["drop_day"], t.leaks.c.handled_at.is_(None)
                connection.execute(sa.update(t.leaks).where(*of_day).values(handled_at=_aware(row["handled_at"])))


@contextmanager
def _old_warehouse(path: Path) -> Iterator[duckdb.DuckDBPyConnection | None]:
    """Opens the old file, after DuckDB has written its log into it; None if there is nothing to upgrade."""
    if not path.exists():
        yield None
        return
    if path.with_name(path.name + ".undo").exists():
        raise PipelineError(
            "a command of the old release was killed while it wrote",
            where=str(path),
            remedy="Run any command of the old release once (cavra-pipeline dashboard); then upgrade",
        )
    try:
        duckdb.connect(str(path)).close()
        connection = duckdb.connect(str(path), read_only=True)
    except duckdb.Error as error:
        raise PipelineError(
            f"DuckDB can't open the file ({type(error).__name__})",
            where=str(path),
            remedy="Close the programs that hold it, then repeat",
        ) from None
    try:
        try:
            (version,) = connection.execute("SELECT max(version) FROM schema_version").fetchone() or (None,)
        except duckdb.CatalogException:
            version = None
        if version not in (None, _VERSION):
            raise PipelineError(
                f"the warehouse has schema version {version}, and only version {_VERSION} was ever released",
                where=str(path),
                remedy="Move it away and run: cavra-pipeline ingest",
            )
        yield connection if version else None
    finally:
        connection.close()


def _rows(old: duckdb.DuckDBPyConnection, sql: str) -> list[_Row]:
    result = old.execute(sql)
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, map(_aware, row), strict=True)) for row in result.fetchall()]


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def _state_rows(old: duckdb.DuckDBPyConnection) -> dict[str, list[_Row]]:
    """The rows of each table of the state."""
    rows = {name: _same(old, name, gone) for name, gone in _SAME.items()}
    for alert in rows["alerts"]:
        if alert["kind"] == "secret_finding" and alert["state"] == "acknowledged":
            alert |= {"state": "resolved", "resolved_at": alert["acknowledged_at"]}
    notices = [_with_json(row, ("told", "document")) for row in _rows(old, "FROM alert_outbox ORDER BY created_at")]
    rows["alert_outbox"] = [_notice(notice) for notice in notices]
    retries = _rows(old, statement(_PACKAGE, "old_retries"))
    rows["send_intents"] = [*map(_retry_intent, retries), *map(_notice_intent, notices)]
    rows["saved_reports"] = [_report(row) for row in _rows(old, statement(_PACKAGE, "old_reports"))]
    rows["prunings"], rows["pruned_drops"] = _pruning(old)
    rows["ingested_files"] = _rows(
        old, "SELECT drop_day, file_name, coalesce(sha256, '') AS sha256, ingested_at FROM drops WHERE error IS NULL"
    )
    return rows


def _same(old: duckdb.DuckDBPyConnection, name: str, gone: tuple[str, ...]) -> list[_Row]:
    rows = [_with_json(row, _JSON) for row in _rows(old, f"FROM {name} ORDER BY ALL")]
    return [{key: value for key, value in row.items() if key not in gone} for row in rows]


def _with_json(row: _Row, names: tuple[str, ...]) -> _Row:
    return {**row, **{name: json.loads(row[name]) for name in names if name in row}}


def _notice(row: _Row) -> _Row:
    document = row["document"]
    column_names = {column.name for column in t.alert_outbox.columns}
    of_document = {"alert_ids": document["alert_ids"], "health_id": document["facts"].get("evidence_health_id")}
    return {name: value for name, value in {**row, **of_document}.items() if name in column_names}


def _notice_intent(row: _Row) -> _Row:
    content = row["document"]
    named = ("title", "summary", "severity", "subject", "occurred_at", "facts")
    message = {name: content[name] for name in named}
    return {
        **_intent(row, row["notice_id"], row["notice_id"], "notice", row["group_name"]),
        "message": {**message, "idempotency_id": row["notice_id"], "event_type": f"cavra.alert.{row['notice']}"},
        "context": {"notice": row["notice"], "alert_ids": content["alert_ids"]},
        "claim_count": row["attempt_count"],
        "created_at": row["created_at"],
        "due_at": row["next_attempt_at"],
        "completed_at": row["settled_at"],
        "status_code": row["status_code"],
    }


def _retry_intent(row: _Row) -> _Row:
    lane = LANES[row["lane"]]
    decision = {
        lane.subject_field: row["subject"],
        "provider": row["provider"],
        "retry_count": row["retry_count"],
        "latest_delivery_at": row["latest_delivery_at"].isoformat(),
        "latest_delivery_id": row["latest_delivery_id"],
    }
    return {
        **_intent(row, row["execution_id"], row["idempotency_id"], "retry", row["subject"]),
        "answers": row["latest_delivery_id"],
        "message": message_document(retry_notification(lane, decision, row["idempotency_id"])),
        "run_id": row["worker_run_id"],
        "claim_count": row["claim_count"],
        "created_at": row["claimed_at"],
        "claimed_at": row["claimed_at"],
        "due_at": row["retry_not_before"],
        "completed_at": row["completed_at"],
    }


def _intent(row: _Row, intent_id: str, idempotency_id: str, purpose: str, subject: str) -> _Row:
    empty = dict.fromkeys(column.name for column in t.send_intents.columns)
    same = {name: row[name] for name in ("lane", "provider", "reason")}
    state = _STATES.get(row["state"], row["state"])
    names = {"intent_id": intent_id, "idempotency_id": idempotency_id, "purpose": purpose, "subject": subject}
    return {**empty, **same, **names, "state": state, "context": {}}


def _report(row: _Row) -> _Row:
    column_names = {column.name for column in t.saved_reports.columns}
    stored = {name: value for name, value in row.items() if name in column_names}
    document = zstd.compress(str(row["document"]).encode(), 1)
    return {**stored, "lane": row["lane"] or t.EVERY_LANE, "change_number": 0, "document": document}


def _pruning(old: duckdb.DuckDBPyConnection) -> tuple[list[_Row], list[_Row]]:
    """All prunings as one, up to the last horizon: what each removed of which file is not on record."""
    (summed,) = _rows(old, statement(_PACKAGE, "old_prunings"))
    if summed["horizon"] is None:
        return [], []
    counts = {
        table: [{name: _text(value) for name, value in row.items()} for row in _rows(old, f"FROM {table}")]
        for table in ("pruned_lanes", "pruned_providers")
    }
    drops = [{**row, "pruning_number": 1} for row in _rows(old, statement(_PACKAGE, "old_pruned_drops"))]
    return [{**summed, "pruning_number": 1, "counts": counts}], drops


def _text(value: Any) -> Any:
    return str(value.replace(tzinfo=None)) if isinstance(value, datetime) else value
