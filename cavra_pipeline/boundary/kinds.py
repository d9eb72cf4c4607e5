"""The declared table of record kinds, fields and types (contract section 2).

The boundary's allowlist, the warehouse's columns and ``docs/evidence.md`` are all made from this table;
a field that is not here is stored nowhere. No parsing happens here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from cavra_pipeline.lanes import ACKNOWLEDGEMENT_STATES, LANES

KIND_PREFIX: Final = "go-backend-rollback-drill-acknowledgement-audit-delivery-"
DELIVERY_KIND: Final = "release-connector-delivery"


class Type(Enum):
    """A field's type, by the name the docs use."""

    STRING = "text"
    ACTOR = "actor label"
    INTEGER = "whole number"
    BOOLEAN = "true or false"
    TIMESTAMP = "timestamp"
    STRINGS = "list of text"
    INTEGERS = "list of whole numbers or null"

    @property
    def sql(self) -> str:
        """The DuckDB type of the column; a timestamp is kept in UTC, without a zone."""
        return _SQL_TYPES[self]


class Format(Enum):
    """What a text must look like to be stored as it is (contract section 3, formats)."""

    IDENTIFIER = "identifier"
    PROVIDER = "provider"
    WORD = "declared word"


#: Declared words; another word is stored as ``OTHER_WORD``.
OTHER_WORD: Final = "other"
LEVELS: Final = ("critical", "warning", "healthy", "unknown")
EXECUTION_STATUSES: Final = ("delivered", "failed", "skipped")

_SQL_TYPES: Final = {
    Type.STRING: "VARCHAR",
    Type.ACTOR: "VARCHAR",
    Type.INTEGER: "BIGINT",
    Type.BOOLEAN: "BOOLEAN",
    Type.TIMESTAMP: "TIMESTAMP",
    Type.STRINGS: "VARCHAR[]",
    Type.INTEGERS: "BIGINT[]",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One allowlisted field.

    Attributes:
        path: Dotted path in the record; ``[]`` marks a list of objects.
        type: What its value must be; null always counts as absent.
        column: The warehouse column it fills.
        comment: What it says, for the schema and the docs.
        required: Whether a record without it is quarantined.
        format: What its text must look like, where it is text.
        words: The words it may say, where its format is ``WORD``.
    """

    path: str
    type: Type
    column: str
    comment: str
    required: bool = False
    format: Format = Format.IDENTIFIER
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of evidence record: its full name, table, lane (None where a record names its own) and fields."""

    name: str
    record_type: str
    lane: str | None
    fields: tuple[Field, ...]


def _field(path: str, type_: Type, comment: str, column: str = "", required: bool = False) -> Field:
    return Field(path, type_, column or path.rsplit(".", 1)[-1], comment, required)


def _provider(path: str, comment: str, type_: Type = Type.STRING) -> Field:
    return replace(_field(path, type_, comment), format=Format.PROVIDER)


def _word(path: str, comment: str, words: tuple[str, ...]) -> Field:
    return replace(_field(path, Type.STRING, comment), format=Format.WORD, words=words)


ENVELOPE: Final = (
    _field("session_id", Type.STRING, "Identity of the record, 1 to 512 characters", required=True),
    _field("created_at", Type.TIMESTAMP, "When it happened, UTC", required=True),
    _field("metadata_kind", Type.STRING, "Kind of record", required=True),
    _field("signer", Type.ACTOR, "Actor label of who signed it"),
    _field("schema_version", Type.STRING, "CAVRA's schema name"),
    _field("product", Type.STRING, "Product that wrote it"),
    _field("decision_count", Type.INTEGER, "Decisions in the session"),
    _field("blocked_count", Type.INTEGER, "Blocked decisions in the session"),
    _field("approval_required_count", Type.INTEGER, "Decisions that asked for approval"),
)

DELIVERIES_PATH: Final = "delivery.deliveries[]"
DELIVERIES_COLUMN: Final = "provider_deliveries"

_S, _I, _B, _T = Type.STRING, Type.INTEGER, Type.BOOLEAN, Type.TIMESTAMP

_DELIVERY: Final = (
    _provider(f"{DELIVERIES_PATH}.provider", "Connector"),
    _field(f"{DELIVERIES_PATH}.success", _B, "Whether it took the delivery"),
    _field(f"{DELIVERIES_PATH}.status_code", _I, "HTTP status"),
    _field(f"{DELIVERIES_PATH}.attempt_count", _I, "Attempts at this connector"),
    _field(f"{DELIVERIES_PATH}.started_at", _T, "First attempt, UTC"),
    _field(f"{DELIVERIES_PATH}.completed_at", _T, "Last answer, UTC"),
)

_FIELDS: Final = {
    field.column: field
    for field in (
        _field("connector_delivery_source", _S, "Which ladder the delivery belongs to"),
        _field("event_id", _S, "Event that was delivered"),
        _field("event_type", _S, "Type of that event"),
        _field("plan_id", _S, "Escalation plan or alert plan"),
        _field("run_id", _S, "Worker run or schedule run"),
        _field("health_id", _S, "Health report"),
        _field("executive_report_id", _S, "Executive report"),
        _field("retry_plan_id", _S, "Retry plan"),
        _field("worker_run_id", _S, "Worker run that retried"),
        _field("delivery_success", _B, "Whether the delivery says it succeeded"),
        _provider("providers", "Connectors it went through", Type.STRINGS),
        _provider("failed_providers", "Connectors that failed", Type.STRINGS),
        _field("attempt_count", _I, "Attempts made"),
        _field("max_attempt_count", _I, "Attempts allowed"),
        _field("status_codes", Type.INTEGERS, "HTTP status of each connector, in the order of providers"),
        _field("recovery_report_id", _S, "Recovery report"),
        _field("escalation_plan_id", _S, "Escalation plan"),
        _word("alert_level", "Level: critical, warning or healthy", LEVELS),
        _field("escalation_count", _I, "Open escalations"),
        _field("slo_breached_count", _I, "Recoveries past their SLO"),
        _field("failed_execution_count", _I, "Failed executions"),
        _provider("selected_providers", "Connectors chosen to be told", Type.STRINGS),
        _provider("suppressed_providers", "Connectors left out", Type.STRINGS),
        _field("acknowledgement_id", _S, "Acknowledgement"),
        _provider("provider", "Connector"),
        _word("acknowledgement_state", "What the operator said", ACKNOWLEDGEMENT_STATES),
        _field("retryable_count", _I, "Deliveries to retry"),
        _field("waiting_count", _I, "Deliveries that wait"),
        _field("suppressed_count", _I, "Deliveries that are exhausted"),
        _field("dry_run", _B, "Whether the worker sent nothing"),
        _field("selected_retry_count", _I, "Retries the worker selected"),
        _field("execution_id", _S, "Live retry"),
        _field("execution_hash", _S, "Digest of the live retry"),
        _word("execution_status", "delivered, failed or skipped", EXECUTION_STATUSES),
        _field("alert_count", _I, "Alerts in the report"),
        _field("acknowledgement_pending_count", _I, "Retries that wait for an acknowledgement"),
        _field("failed_executive_report_delivery_count", _I, "Failed executive deliveries"),
    )
}


def _pick(names: str) -> tuple[Field, ...]:
    return tuple(_FIELDS[name] for name in names.split())


def _schedule(nested: str) -> tuple[Field, ...]:
    return (
        _field(f"{nested}.schedule.enabled", _B, "Whether the schedule is on", "schedule_enabled"),
        _field(
            f"{nested}.schedule.interval_minutes",
            _I,
            "Schedule interval, minutes",
            "schedule_interval_minutes",
        ),
        _field(f"{nested}.schedule.window_start", _S, "Start of the schedule's window", "schedule_window_start"),
        _field(f"{nested}.schedule.window_end", _S, "End of the schedule's window", "schedule_window_end"),
    )


def _summary(nested: str) -> tuple[Field, ...]:
    return (
        _field(f"{nested}.summary.acknowledgement_pending_count", _I, "Retries that wait for an acknowledgement"),
        _field(f"{nested}.summary.waiting_retry_count", _I, "Retries not yet due"),
        _field(f"{nested}.summary.suppressed_retry_count", _I, "Retries that are exhausted"),
    )


def _kind(stem: str, record_type: str, lane: str | None, names: str, nested: tuple[Field, ...] = ()) -> Kind:
    return Kind(KIND_PREFIX + stem, record_type, lane, ENVELOPE + _pick(names) + nested)


_PLAN = "retry_plan_id alert_level retryable_count waiting_count suppressed_count"
_WORKER = "run_id dry_run retryable_count selected_retry_count"
_EXECUTION = "execution_id execution_hash execution_status retry_plan_id provider delivery_success"
_HEALTH = "health_id alert_level alert_count failed_execution_count"
_ACKNOWLEDGEMENT = "acknowledgement_id plan_id provider acknowledgement_state"


def _worker_run(stem: str, lane: str, more: str = "") -> Kind:
    nested = stem.replace("-", "_")
    return _kind(stem, "worker_run", lane, f"{_WORKER} {more}", _schedule(nested) + _summary(nested))


def _alert_ladder(stem: str, lane: str) -> Iterator[Kind]:
    """The kinds of an alert lane; the contract shortens the last two, so each accepted spelling is a row."""
    selection = "plan_id health_id alert_level selected_providers suppressed_providers"
    execution = f"{_EXECUTION} run_id worker_run_id plan_id health_id"
    yield _kind(f"{stem}-plan", "alert_plan", lane, selection)
    yield _kind(f"{stem}-ack", "acknowledgement", lane, f"{_ACKNOWLEDGEMENT} health_id")
    yield _kind(f"{stem}-delivery-retry-plan", "retry_plan", lane, f"{_PLAN} health_id")
    yield _kind(f"{stem}-delivery-retry-health", "health_report", lane, f"{_HEALTH} acknowledgement_pending_count")
    for ladder in (f"{stem}-delivery-retry", f"{stem}-retry", stem):
        yield _worker_run(f"{ladder}-worker-run", lane, "health_id")
        yield _kind(f"{ladder}-execution-record", "execution", lane, execution)


_DELIVERED = (
    "connector_delivery_source event_id event_type plan_id run_id health_id executive_report_id retry_plan_id "
    "worker_run_id delivery_success providers failed_providers attempt_count max_attempt_count status_codes"
)
_ESCALATION = "plan_id recovery_report_id alert_level escalation_count slo_breached_count failed_execution_count"
_REPORT = "executive_report_id recovery_report_id escalation_plan_id alert_level escalation_count"


def _kinds() -> Iterator[Kind]:
    lane, stem = "recovery_escalation", "recovery-escalation"
    yield Kind(DELIVERY_KIND, "delivery", None, ENVELOPE + _pick(_DELIVERED) + _DELIVERY)
    yield _kind(f"{stem}-plan", "escalation_plan", lane, f"{_ESCALATION} selected_providers")
    yield _kind(f"{stem}-ack", "acknowledgement", lane, _ACKNOWLEDGEMENT)
    yield _kind(f"{stem}-delivery-retry-plan", "retry_plan", lane, _PLAN)
    yield _worker_run(f"{stem}-retry-worker-run", lane)
    yield _kind(f"{stem}-retry-execution-record", "execution", lane, f"{_EXECUTION} run_id plan_id")
    yield _kind(f"{stem}-retry-health", "health_report", lane, f"{_HEALTH} acknowledgement_pending_count")

    lane, stem = "executive_report", "recovery-executive-report"
    schedule = _schedule("recovery_executive_report_schedule_run")
    yield _kind(stem, "executive_report", lane, _REPORT)
    yield _kind(f"{stem}-schedule-run", "schedule_run", lane, "run_id alert_level escalation_count", schedule)
    yield _kind(f"{stem}-delivery-retry-plan", "retry_plan", lane, _PLAN)
    yield _worker_run(f"{stem}-delivery-retry-worker-run", lane)
    execution = f"{_EXECUTION} worker_run_id run_id executive_report_id"
    yield _kind(f"{stem}-delivery-retry-execution-record", "execution", lane, execution)
    health = f"{_HEALTH} failed_executive_report_delivery_count"
    yield _kind(f"{stem}-delivery-retry-health", "health_report", lane, health)

    for alert_lane in LANES.values():
        if alert_lane.alerts_of:
            yield from _alert_ladder(alert_lane.kind_stem, alert_lane.name)


KINDS: Final[dict[str, Kind]] = {kind.name: kind for kind in _kinds()}

#: Columns of the warehouse that come from fields, in order: the envelope, then each field once.
COLUMNS: Final[dict[str, Field]] = {
    field.column: field
    for kind in KINDS.values()
    for field in kind.fields
    if not field.path.startswith(DELIVERIES_PATH)
}

#: Columns that hold one of their declared words, or ``OTHER_WORD``.
WORD_COLUMNS: Final = tuple(name for name, field in COLUMNS.items() if field.format is Format.WORD)

#: The members of a delivery's ``provider_deliveries`` list, by their name in the record.
DELIVERY_MEMBERS: Final[dict[str, Field]] = {field.column: field for field in _DELIVERY}


def fields_of(kind: str) -> tuple[Field, ...]:
    """Returns the allowlist of that kind; an unknown kind has the envelope only."""
    return KINDS[kind].fields if kind in KINDS else ENVELOPE
