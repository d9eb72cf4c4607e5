"""Sends by CAVRA's names: deliveries, executions and worker runs, each with its own evidence record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.api.search import find_record
from cavra_pipeline.documents import PRODUCT, instant, naive_utc
from cavra_pipeline.lanes import CavraPaths, Lane
from cavra_pipeline.retry.first_delivery import recorded_delivery
from cavra_pipeline.sending.engine import NO_CONNECTOR
from cavra_pipeline.warehouse import Session

_SCHEMA: Final = "cavra.connector.delivery.v1"
#: CAVRA's codes for what was not sent.
_DRY, _UNCONFIGURED = "dry_run", "connector_config_not_configured"
_SUMMARY: Final = (
    "retryable_count", "waiting_retry_count", "suppressed_retry_count", "selected_retry_count",
    "acknowledgement_pending_count",
)  # fmt: skip
_PLANNED: Final = ("retry_plan_id", "alert_level", "decision_count", "retryable_count", "max_retry_deliveries")


def delivery_of(session: Session, lane: Lane, sent: Mapping[str, Any], *, at: datetime) -> dict[str, Any]:
    """Returns how a first delivery went: ``delivery``, ``metadata``, ``success`` and ``event_id``.

    Args:
        session: An open warehouse, read after the delivery.
        lane: Its lane.
        sent: What ``first_delivery`` yielded.
        at: When this is said.
    """
    event_id = str(sent[lane.subject_field])
    # A dry run has providers and no outcomes; a message that was sent before under another id keeps that one.
    rows = [_attempt(session, lane, outcome) for outcome in sent["outcomes"]] or [
        {"provider": provider, "success": False, "reason": _DRY, "session_id": None} for provider in sent["providers"]
    ]
    is_sent = all(row["success"] for row in rows)
    named = next((row["session_id"] for row in rows if row["session_id"]), None)
    delivery = {
        "schema_version": _SCHEMA,
        "product": PRODUCT,
        "event_id": event_id,
        "event_type": f"cavra.{lane.name}",
        "session_id": named,
        "generated_at": sent["delivered_at"] or instant(at),
        "dry_run": sent["dry_run"],
        "success": is_sent,
        "deliveries": rows,
    }
    return {
        "delivery": delivery if rows else None,
        "metadata": find_record(session, named) if named else None,
        "success": is_sent,
        "event_id": event_id,
    }


def _attempt(session: Session, lane: Lane, outcome: Mapping[str, Any]) -> dict[str, Any]:
    record = recorded_delivery(session, lane, str(outcome["subject"]), str(outcome["provider"]))
    return {**outcome, "session_id": record["session_id"] if record else None}


def worker_answer(
    session: Session, lane: Lane, paths: CavraPaths, run: Mapping[str, Any], *, at: datetime
) -> dict[str, Any]:
    """Returns a worker run by CAVRA's names; ``retry_results`` has an entry for each retry that it selected.

    Args:
        session: An open warehouse, read after the run.
        lane: Its lane.
        paths: What CAVRA calls what the lane sends.
        run: What ``run_worker`` returned.
        at: When this is said.
    """
    executions = dict(enumerate(run["executions"]))
    results = [
        _result(session, lane, paths, decision, executions.get(number), at=at)
        for number, decision in enumerate(run["selected_retries"])
    ]
    metadata = find_record(session, f"worker-run-{run['run_id']}")
    shown = {
        **run,
        "generated_at": run["as_of"],
        "retry_plan": {name: run[name] for name in _PLANNED},
        "summary": {"retry_plan_count": 1, **{name: run[name] for name in _SUMMARY}},
    }
    return {
        "run": shown,
        "metadata": metadata,
        "retry_metadata": find_record(session, run["retry_plan_id"]),
        "retry_results": results,
    }


def _result(
    session: Session,
    lane: Lane,
    paths: CavraPaths,
    decision: Mapping[str, Any],
    execution: Mapping[str, Any] | None,
    *,
    at: datetime,
) -> dict[str, Any]:
    """One retry: what was decided, what it sends again, and what became of it."""
    subject = str(decision[lane.subject_field])
    parameters: dict[str, object] = {
        "record_type": paths.sent_as, "lane": lane.name, "subject": subject, "as_of": naive_utc(at),
    }  # fmt: skip
    sent_records = session.rows("cavra_pipeline.retry", "newest_of_subject", parameters, subject=lane.subject_field)
    result: dict[str, Any] = {
        "decision": dict(decision),
        paths.sent: find_record(session, str(sent_records[0]["session_id"])) if sent_records else None,
        "delivery": None,
        "delivery_metadata": None,
        "execution_record": None,
        "execution_metadata": None,
        "skipped": _DRY,
    }
    if execution is None:
        return result
    delivered = find_record(session, f"delivery-{execution['execution_id']}")
    recorded = find_record(session, f"execution-{execution['execution_id']}")
    skipped = _UNCONFIGURED if execution["reason"] == NO_CONNECTOR else ""
    return {
        **result,
        "delivery": delivered
        and {
            "schema_version": _SCHEMA,
            "product": PRODUCT,
            "event_id": subject,
            "event_type": delivered["event_type"],
            "session_id": delivered["session_id"],
            "generated_at": delivered["created_at"],
            "success": delivered["delivery_success"],
            "deliveries": delivered["delivery"]["deliveries"],
        },
        "delivery_metadata": delivered,
        "execution_record": recorded and _execution(recorded, execution, delivered, skipped),
        "execution_metadata": recorded,
        "skipped": skipped,
    }


def _execution(
    recorded: Mapping[str, Any], execution: Mapping[str, Any], delivered: Mapping[str, Any] | None, skipped: str
) -> dict[str, Any]:
    """The execution by the names of CAVRA's own payload."""
    envelope = ("session_id", "created_at", "metadata_kind", "signer", "schema_version")
    return {
        **{name: value for name, value in recorded.items() if name not in envelope},
        "executed_at": recorded["created_at"],
        "executed_by": recorded.get("signer", ""),
        "grade": execution["grade"],
        "status_code": execution["status_code"],
        "delivery_metadata_id": delivered["session_id"] if delivered else "",
        "skipped": skipped,
    }
