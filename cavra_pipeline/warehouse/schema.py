"""The warehouse's schema and its migrations. Tables are made from the declared fields; views are ``.sql`` files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import duckdb

from cavra_pipeline.boundary.kinds import COLUMNS, DELIVERIES_COLUMN, DELIVERY_MEMBERS
from cavra_pipeline.boundary.verdict import NOT_SECRETS
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.sql import literal

if TYPE_CHECKING:
    from cavra_pipeline.warehouse.connection import Session

_PACKAGE: Final = "cavra_pipeline.warehouse"

#: Derived columns of the evidence table, beside those that hold declared fields: name, type, meaning.
DERIVED: Final = (
    ("record_type", "VARCHAR", "Table the record belongs to; null for an unknown kind"),
    ("lane", "VARCHAR", "Retry ladder it belongs to"),
    ("subject", "VARCHAR", "What is delivered, executed or acknowledged: the lane's subject"),
    (
        "outcomes",
        "STRUCT(provider VARCHAR, is_failed BOOLEAN, status_code BIGINT)[]",
        "Delivery outcome by provider",
    ),
    ("dropped_field_count", "BIGINT", "Fields outside the allowlist that were left out"),
    ("drop_day", "DATE", "UTC day of the drop it came in; the Dagster partition"),
    ("file_name", "VARCHAR", "Drop file it came in"),
    ("line_number", "BIGINT", "Line in the drop"),
    ("is_current", "BOOLEAN", "Whether this is the newest version of its session_id"),
)

_DELIVERIES = (
    DELIVERIES_COLUMN,
    "STRUCT(" + ", ".join(f"{name} {member.type.sql}" for name, member in DELIVERY_MEMBERS.items()) + ")[]",
    "One entry for each connector of a delivery",
)

#: Every column of ``evidence_records`` in order: name, DuckDB type, comment.
EVIDENCE_COLUMNS: Final = (
    *((field.column, field.type.sql, field.comment) for field in COLUMNS.values()),
    _DELIVERIES,
    *DERIVED,
)

#: Columns of which hardly two values are the same, and the one that counts up.
_UNIQUE: Final = frozenset({"session_id", "event_id", "execution_hash"})
_RISING: Final = "line_number"

_VIEWS: Final = {
    "evidence": "Current version of every record",
    "deliveries": "Deliveries through connectors",
    "delivery_outcomes": "One row for each delivery and provider: did it fail?",
    "acknowledgements": "What operators acknowledged, by subject and provider",
    "retry_plans": "Retry plans that CAVRA recorded",
    "worker_runs": "Runs of the recovery retry worker, dry and live",
    "executions": "Live retries and how they ended",
    "health_reports": "Health reports that CAVRA recorded",
    "executive_reports": "Executive recovery reports",
    "escalation_plans": "Recovery escalation plans",
    "watchable_records": "Current deliveries, executions and acknowledgements: what watched_records is made from",
    "reports": "Kept reports, each with its document",
    "drop_totals": "Received = accepted + superseded + quarantined + pruned, for each drop",
    "open_alerts": "Alerts that are not over: firing or acknowledged",
    "alert_history": "What happened to each alert: opened, acknowledged, notified, resolved",
    "alert_notices": "Notices for each connector, and what became of them",
}


def _compression(name: str, type_: str) -> str:
    """How a column is stored, so that DuckDB need not try every way on each (docs/decisions/0005-ingest-speed.md)."""
    if type_ == "VARCHAR":
        return " USING COMPRESSION zstd" if name in _UNIQUE else " USING COMPRESSION dict_fsst"
    return " USING COMPRESSION rle" if type_ == "BIGINT" and name != _RISING else ""


def _create(session: Session) -> None:
    for name in ("drops", "quarantine", "findings", "reports", "retry_intents"):
        session.run(_PACKAGE, f"create_{name}")
    columns = ", ".join(f"{name} {type_}{_compression(name, type_)}" for name, type_, _ in EVIDENCE_COLUMNS)
    session.execute(f"CREATE TABLE evidence_records ({columns})")
    session.execute("COMMENT ON TABLE evidence_records IS 'Every version of every record, allowlisted fields only'")
    for name, _, comment in EVIDENCE_COLUMNS:
        session.execute(f"COMMENT ON COLUMN evidence_records.{name} IS {literal(comment)}")


#: The sequence comes before the table that numbers its rows by it.
_ALERTS: Final = ("alerts", "alert_event_numbers", "alert_events", "alert_silences", "alert_outbox")


def _watch(session: Session) -> None:
    """The slot ledger and the life cycle of alerts."""
    for name in ("schedule_configurations", "schedule_slots", *_ALERTS):
        session.run(_PACKAGE, f"create_{name}")


_MACROS: Final = (
    "macro_place_id",
    "macro_asked",
    "macro_failing_states",
    "macro_failing_pairs",
    "macro_newest_acknowledgements",
)


def _watch_records(session: Session) -> None:
    # The derived table is filled by this release's own view: it must be what this release's ingest would have kept.
    session.run(_PACKAGE, "create_watched_records")
    session.execute(
        "COMMENT ON TABLE watched_records IS "
        "'Current records of every subject that ever had a failed delivery or execution, made from evidence_records'"
    )
    session.run(_PACKAGE, "view_watchable_records")
    session.run(_PACKAGE, "fill_watched_records")


def _keep_entries_once(session: Session) -> None:
    for name in ("create_kept_reports", "create_report_entries", "move_reports", "drop_reports"):
        session.run(_PACKAGE, name)
    session.execute("COMMENT ON TABLE kept_reports IS 'Kept reports: what is around the entries of each document'")
    session.execute("COMMENT ON TABLE report_entries IS 'Entries of kept reports: each text once'")


def _retain(session: Session) -> None:
    """What pruning leaves in place of the evidence it removes."""
    for name in ("prunings", "pruned_drops", "pruned_lanes", "pruned_providers"):
        session.run(_PACKAGE, f"create_{name}")


def _remember_leaks(session: Session) -> None:
    session.run(_PACKAGE, "create_leaks")
    session.run(_PACKAGE, "macro_place_id")
    session.run(_PACKAGE, "fill_leaks", {"not_secrets": sorted(NOT_SECRETS)})
    session.run(_PACKAGE, "resolve_acknowledged_leaks")


#: What the outbox of alerts knew of its sending, until send_intents knew it for everything that is sent.
_MOVED: Final = ("state", "attempt_count", "next_attempt_at", "settled_at", "status_code", "reason")


def _send_by_one_engine(session: Session) -> None:
    for name in ("create_send_intents", "move_retry_intents", "move_notices", "drop_retry_intents"):
        session.run(_PACKAGE, name)
    for name in _MOVED:
        session.execute(f"ALTER TABLE alert_outbox DROP COLUMN {name}")
    session.execute("COMMENT ON TABLE send_intents IS 'What is to be sent, and what became of it'")


#: Migration N brings a warehouse from version N - 1 to N. Never edit one that has shipped; append. Views and macros are
#: made anew by each: a release that changes the text of one appends a migration too, an empty one if need be.
MIGRATIONS: Final[tuple[Callable[[Session], None], ...]] = (
    _create,
    _watch,
    _watch_records,
    _keep_entries_once,
    _retain,
    _remember_leaks,
    _send_by_one_engine,
)
VERSION: Final = len(MIGRATIONS)


def version(session: Session) -> int:
    """Returns the schema version of the open warehouse; 0 if it has none yet."""
    # Asking the catalogue first takes longer than most questions; the failure would abort an open transaction.
    try:
        return int(str(session.tuples("SELECT max(version) FROM schema_version")[0][0]))
    except duckdb.CatalogException:
        return 0


def migrate(session: Session, found: int, *, where: str) -> None:
    """Brings the open warehouse from the version found to this version's schema; does nothing if it is there.

    Raises:
        PipelineError: The warehouse was written by a newer version of the pipeline.
    """
    if found == VERSION:
        return
    if found > VERSION:
        raise PipelineError(
            f"the warehouse has schema version {found}, this release reads up to {VERSION}",
            where=where,
            remedy="Upgrade cavra-pipeline, or use another CAVRA_HOME",
        )
    if found == 0:
        session.run(_PACKAGE, "create_schema_version")
    for number in range(found + 1, VERSION + 1):
        MIGRATIONS[number - 1](session)
        session.run(_PACKAGE, "record_schema_version", {"version": number})
    # A view is written with this macro; the other macros are written with views.
    session.run(_PACKAGE, "macro_document_of")
    for name, comment in _VIEWS.items():
        session.run(_PACKAGE, f"view_{name}")
        session.execute(f"COMMENT ON VIEW {name} IS {literal(comment)}")
    for name in _MACROS:
        session.run(_PACKAGE, name)
