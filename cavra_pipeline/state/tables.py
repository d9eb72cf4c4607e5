"""Declares the tables of the state database. Each change needs a revision in ``migrations/versions``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from cavra_pipeline.documents import canonical_json


class Instant(sa.TypeDecorator[datetime]):
    """Stores an aware instant; SQLite stores text of fixed width in UTC, so that text order is time order."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Returns the column type of the database."""
        column_type = sa.String(27) if dialect.name == "sqlite" else sa.DateTime(timezone=True)
        return dialect.type_descriptor(column_type)

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        """Returns the value to store; an instant without a zone is a defect of the caller."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError("an aware instant was expected")
        in_utc = value.astimezone(UTC)
        if dialect.name != "sqlite":
            return in_utc
        return f"{in_utc.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 -- the base's name
        """Returns the instant in UTC."""
        if value is None:
            return None
        return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


class Json(sa.TypeDecorator[Any]):
    """Stores a JSON value as canonical text; null is SQL's null."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 -- the base's name
        """Returns the text to store."""
        return None if value is None else canonical_json(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:  # noqa: ARG002 -- the base's name
        """Returns the value."""
        return None if value is None else json.loads(value)


class now_ms(sa.sql.functions.FunctionElement[int]):  # noqa: N801 -- a function of SQL
    """Returns the database's own clock in milliseconds since 1970; leases use no other."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(now_ms, "sqlite")
def _now_on_sqlite(element: now_ms, compiler: SQLCompiler, **_: Any) -> str:  # noqa: ARG001 -- given by SQLAlchemy
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(now_ms, "postgresql")
def _now_on_postgresql(element: now_ms, compiler: SQLCompiler, **_: Any) -> str:  # noqa: ARG001 -- given by SQLAlchemy
    return "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"


METADATA: Final = sa.MetaData()
_ID: Final = sa.Text
_COUNT: Final = sa.BigInteger
#: Increments by itself; SQLite does so for this type only.
_NUMBER: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _column(name: str, type_: Any, *, null: bool = False, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=null, **options)


#: Messages and their outcome: stored before the send, settled after it.
send_intents: Final = sa.Table(
    "send_intents",
    METADATA,
    _column("intent_id", _ID, primary_key=True),
    _column("purpose", sa.Text),
    _column("lane", sa.Text),
    _column("subject", sa.Text),
    _column("provider", sa.Text),
    _column("answers", sa.Text, null=True),
    _column("idempotency_id", sa.Text),
    _column("message", Json),
    _column("context", Json),
    _column("state", sa.Text),
    _column("run_id", sa.Text, null=True),
    _column("claim_count", _COUNT),
    _column("created_at", Instant),
    _column("claimed_at", Instant, null=True),
    _column("due_at", Instant, null=True),
    _column("completed_at", Instant, null=True),
    _column("reason", sa.Text, null=True),
    _column("status_code", _COUNT, null=True),
    _column("outcome", Json, null=True),
    sa.Index("send_intents_by_state", "purpose", "state"),
    sa.Index("send_intents_by_subject", "lane", "subject"),
)

#: Runs that may send, and who commits to a lake, each until ``expires_ms`` of the database's clock; those that ended
#: have no row.
leases: Final = sa.Table(
    "leases",
    METADATA,
    _column("run_id", _ID, primary_key=True),
    _column("expires_ms", sa.BigInteger),
)

#: One row for each episode of an alert: the same problem again is a new episode.
alerts: Final = sa.Table(
    "alerts",
    METADATA,
    _column("alert_id", _ID, primary_key=True),
    _column("kind", sa.Text),
    _column("subject", sa.Text),
    _column("episode", _COUNT),
    _column("severity", sa.Text),
    _column("state", sa.Text),
    _column("since", Instant),
    _column("opened_at", Instant),
    _column("acknowledged_at", Instant, null=True),
    _column("acknowledged_by", sa.Text, null=True),
    _column("resolved_at", Instant, null=True),
    _column("cause", sa.Text, null=True),
    _column("causes", Json),
    _column("occurrence_count", _COUNT),
    _column("swallowed_count", _COUNT),
    _column("evidence", Json),
    _column("last_notified_at", Instant, null=True),
    _column("muted_by", sa.Text, null=True),
    sa.UniqueConstraint("kind", "subject", "episode", name="alerts_by_episode"),
    sa.Index("alerts_by_state", "state"),
)

#: What happened to each episode: opened, cause, severity, acknowledged, resolved, notified.
alert_events: Final = sa.Table(
    "alert_events",
    METADATA,
    _column("event_number", _NUMBER, primary_key=True, autoincrement=True),
    _column("alert_id", sa.Text),
    _column("event", sa.Text),
    _column("happened_at", Instant),
    _column("detail", sa.Text, null=True),
    _column("actor", sa.Text, null=True),
    sa.Index("alert_events_by_alert", "alert_id"),
    sa.Index("alert_events_by_time", "happened_at"),
)

#: Who mutes which alerts, from when until when, and why. A null matches anything.
alert_silences: Final = sa.Table(
    "alert_silences",
    METADATA,
    _column("silence_id", _ID, primary_key=True),
    _column("kind", sa.Text, null=True),
    _column("subject", sa.Text, null=True),
    _column("author", sa.Text),
    _column("starts_at", Instant),
    _column("ends_at", Instant),
    _column("comment", sa.Text),
    _column("created_at", Instant),
)

#: Notifications, one row for each connector: stored with the change they report, sent afterwards (``send_intents``).
alert_outbox: Final = sa.Table(
    "alert_outbox",
    METADATA,
    _column("notice_id", _ID, primary_key=True),
    _column("plan_id", sa.Text),
    _column("provider", sa.Text),
    _column("group_name", sa.Text),
    _column("notice_number", _COUNT),
    _column("notice", sa.Text),
    _column("alert_level", sa.Text),
    _column("lane", sa.Text),
    _column("suppressed_providers", Json),
    _column("told", Json),
    _column("alert_ids", Json),
    _column("health_id", sa.Text, null=True),
    _column("is_recorded", sa.Boolean),
    _column("created_at", Instant),
    sa.Index("alert_outbox_by_group", "group_name", "provider", "notice_number"),
    sa.Index("alert_outbox_by_record", "is_recorded"),
)

#: Each secret that was found, once. The alert of it is open until a person handles it.
leaks: Final = sa.Table(
    "leaks",
    METADATA,
    _column("leak_number", _NUMBER, primary_key=True, autoincrement=True),
    _column("leak_id", sa.Text, unique=True),
    _column("drop_day", sa.Date),
    _column("rule", sa.Text),
    _column("found_at", Instant),
    _column("handled_at", Instant, null=True),
)

#: How each schedule was configured, and since when.
schedule_configurations: Final = sa.Table(
    "schedule_configurations",
    METADATA,
    _column("schedule", sa.Text, primary_key=True),
    _column("valid_from", Instant, primary_key=True),
    _column("cron", sa.Text),
    _column("time_zone", sa.Text),
    _column("is_declared_on", sa.Boolean),
    _column("grace_minutes", sa.Double),
    _column("grace_percent", sa.Double),
    _column("early_percent", sa.Double),
)

#: The ledger of scheduled runs: one verdict for each instant at which a schedule should run.
schedule_slots: Final = sa.Table(
    "schedule_slots",
    METADATA,
    _column("schedule", sa.Text, primary_key=True),
    _column("expected_at", Instant, primary_key=True),
    _column("verdict", sa.Text),
    _column("cause", sa.Text, null=True),
    _column("done_at", Instant, null=True),
    _column("run_id", sa.Text, null=True),
    _column("closes_at", Instant),
    _column("configuration_from", Instant),
    _column("judged_at", Instant),
    _column("revised_at", Instant, null=True),
    sa.Index("schedule_slots_by_time", "expected_at"),
)

#: Text that is compared and ordered by code point on both databases.
_KEY: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

#: Saved reports: the newest for each report, lane and day, and plans that somebody asked for by their id. The document
#: is canonical JSON, compressed with zstd. ``change_number``: the newest row of ``evidence_changes`` that it includes.
saved_reports: Final = sa.Table(
    "saved_reports",
    METADATA,
    _column("report", _KEY, primary_key=True, doc="Which report"),
    _column("lane", _KEY, primary_key=True, doc="Lane; empty for a report over all lanes"),
    _column("report_day", sa.Date, primary_key=True, doc="UTC day that it reports on"),
    _column("report_id", _KEY, primary_key=True, doc="Identity of the report, from its content"),
    _column("as_of", Instant, doc="Instant that it is judged at, UTC"),
    _column("alert_level", sa.Text, null=True, doc="healthy, warning, critical, or null"),
    _column("evidence_record_count", _COUNT, doc="Records that it is based on"),
    _column("future_record_count", _COUNT, null=True, doc="Records after as_of; null if not counted"),
    _column("generated_at", Instant, doc="Instant that it was made at, UTC"),
    _column("change_number", _COUNT, doc="Newest change of the evidence that it includes"),
    _column("document", sa.LargeBinary, doc="The report: canonical JSON, compressed with zstd"),
    sa.Index("saved_reports_by_day", "report_day"),
    sa.Index("saved_reports_by_id", "report_id"),
)

#: Commits of evidence, in the order in which they became known: what was created from ``earliest`` on has changed.
evidence_changes: Final = sa.Table(
    "evidence_changes",
    METADATA,
    _column("change_number", sa.BigInteger, primary_key=True, autoincrement=False),
    _column("earliest", Instant),
)

#: Prunings in order: up to when, what each removed, and the rows of the tables that count it.
prunings: Final = sa.Table(
    "prunings",
    METADATA,
    _column("pruning_number", sa.BigInteger, primary_key=True, autoincrement=False),
    _column("horizon", Instant),
    _column("pruned_at", Instant),
    _column("record_count", _COUNT),
    _column("quarantined_count", _COUNT),
    _column("finding_count", _COUNT),
    _column("closed_drop_count", _COUNT),
    _column("closed_spell_count", _COUNT),
    _column("counts", Json),
)

#: What each pruning removed of each landing file, and the lines from before its horizon that stay.
pruned_drops: Final = sa.Table(
    "pruned_drops",
    METADATA,
    _column("pruning_number", sa.BigInteger, primary_key=True, autoincrement=False),
    _column("drop_day", sa.Date, primary_key=True),
    _column("file_name", sa.Text, primary_key=True),
    _column("record_count", _COUNT),
    _column("quarantined_count", _COUNT),
    _column("finding_count", _COUNT),
    _column("remaining_lines", Json),
)

#: Current records of each lane (empty for none) and UTC day: how many, and the root of their tree (docs/proof.md).
segments: Final = sa.Table(
    "segments",
    METADATA,
    _column("lane", _KEY, primary_key=True),
    _column("segment_day", sa.Date, primary_key=True),
    _column("record_count", _COUNT),
    _column("root", sa.Text),
)

#: The commit log: each entry in canonical JSON, what the next root is made from, and the newest pruning it includes.
log_entries: Final = sa.Table(
    "log_entries",
    METADATA,
    _column("entry_number", sa.BigInteger, primary_key=True, autoincrement=False),
    _column("entry", sa.Text),
    _column("peaks", Json),
    _column("pruning_number", _COUNT),
)

#: Landing files whose content was ingested: what a rebuilt warehouse must be made from.
ingested_files: Final = sa.Table(
    "ingested_files",
    METADATA,
    _column("drop_day", sa.Date, primary_key=True),
    _column("file_name", sa.Text, primary_key=True),
    _column("sha256", sa.Text),
    _column("ingested_at", Instant),
)

#: Warehouses that were written by commands with this state, and the last commit that the state knows of.
warehouses: Final = sa.Table(
    "warehouses",
    METADATA,
    _column("warehouse_id", _ID, primary_key=True),
    _column("commit_number", _COUNT),
    _column("made_at", Instant),
    _column("made_because", sa.Text),
    _column("set_aside_as", sa.Text, null=True),
)

#: Pulls of each source of evidence: the newest, the newest that succeeded, what it brought, since when pulls fail.
source_pulls: Final = sa.Table(
    "source_pulls",
    METADATA,
    _column("source", _ID, primary_key=True),
    _column("started_at", Instant),
    _column("pulled_at", Instant, null=True),
    _column("arrived_at", Instant, null=True),
    _column("newest_record_at", Instant, null=True),
    _column("full_walk_at", Instant, null=True),
    _column("failed_at", Instant, null=True),
    _column("failure", sa.Text, null=True),
    _column("new_count", _COUNT, null=True),
    _column("known_count", _COUNT, null=True),
    _column("quarantined_count", _COUNT, null=True),
)

#: The value of the lane column for reports that are of no lane.
EVERY_LANE: Final = ""
