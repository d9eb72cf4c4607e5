"""Endpoints at CAVRA's own paths about recoveries: their report, a new playbook, a closure (contract section 13)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query
from fastapi.routing import APIRouter

from cavra_pipeline.api import cavra_answers, cavra_models
from cavra_pipeline.api.cavra import DELIVERIES, actor_of, label_of, speaker
from cavra_pipeline.api.cavra_acknowledgements import refused, required
from cavra_pipeline.api.common import Asker, Served, endpoint
from cavra_pipeline.api.service import Answer, json_answer
from cavra_pipeline.boundary.kinds import payload_key
from cavra_pipeline.errors import UsageError, checked
from cavra_pipeline.executive.cavra_names import cavra_recovery_report
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.recoveries.write import PLAYBOOK, PlaybookParameters, build_playbook, close_recovery
from cavra_pipeline.reports.records import recovery_record
from cavra_pipeline.reports.store import RECOVERIES, is_what_if

#: What CAVRA calls the values that the domain names otherwise.
_NAMES = {
    "by": "closed_by",
    "signer": "closed_by",
    "state": "closure_state",
    "ref": "external_ref",
    "playbook": "playbook_id",
}

router = APIRouter(tags=["cavra"])


@endpoint(
    router, "GET", f"{DELIVERIES}/retry-recovery-report", scope="read", answer=cavra_answers.CavraRecoveryAnswer,
    summary="CAVRA's own path for the recovery report.",
)  # fmt: skip
def cavra_recoveries(
    service: Served, caller: Asker, query: Annotated[cavra_models.CavraRecoveryQuery, Query()]
) -> Answer:
    """With the scope `plan` the report is saved as evidence and shows in Dagster too.

    Rows have CAVRA's names too. Executions are counted over the whole history, as in CAVRA; level and state are ours.
    """
    parameters = checked(RecoveryParameters, {"slo_minutes": query.recovery_slo_minutes})
    label = label_of(caller, query.generated_by)

    def make() -> tuple[Any, Any]:
        with service.reading() as (session, state):
            now, _ = service.instants(None)
            report = cavra_recovery_report(session, parameters, as_of=now, now=now, generated_by=label)
        record = recovery_record(report, now=now) if caller.may_save else None
        if record:
            other = is_what_if(RECOVERIES, None, parameters.model_dump(), as_of=now, end=now)
            service.save_report(RECOVERIES, None, report, record, is_what_if=other)
        return {"report": report, "metadata": record}, state

    return service.once(("cavra_recoveries", caller.may_save, parameters.model_dump(), label), make)


@endpoint(
    router, "POST", f"{DELIVERIES}/connector-recovery-playbook", scope="acknowledge",
    answer=cavra_answers.CavraPlaybookAnswer, summary="CAVRA's own path for a new recovery playbook.",
)  # fmt: skip
def cavra_playbook(service: Served, caller: Asker, body: cavra_models.CavraPlaybookBody) -> Answer:
    """Opens a recovery for each connector that fails often and has none open."""
    parameters = checked(PlaybookParameters, {name: getattr(body, name) for name in PlaybookParameters.model_fields})
    by = label_of(caller, body.generated_by)
    record = build_playbook(service.writing_settings, parameters, by=by, now=service.clock())
    service.written()
    playbook = record and {
        **{name: record[name] for name in ("playbook_id", "alert_level", "provider_count", "failure_count")},
        **record[payload_key(PLAYBOOK)],
    }
    return json_answer({"playbook": playbook, "metadata": record, "actor": actor_of(caller)})


@endpoint(
    router, "POST", f"{DELIVERIES}/connector-recovery-playbooks/{{playbook_id}}/closures", scope="acknowledge",
    answer=cavra_answers.CavraClosureAnswer, summary="CAVRA's own path for the closure of a recovery.",
)  # fmt: skip
def cavra_closure(
    service: Served,
    caller: Asker,
    playbook_id: Annotated[str, Path(min_length=1, max_length=512)],
    body: cavra_models.CavraClosureBody,
) -> Answer:
    """The recovery need not exist. Notes and references to checks are not stored."""
    provider, by = required("provider", body.provider), required("closed_by", speaker(caller, body.closed_by))
    now: datetime = service.clock()
    try:
        record = close_recovery(
            service.writing_settings, playbook_id=playbook_id, provider=provider, by=by, now=now,
            state=body.closure_state or "resolved", external_ref=body.external_ref or None, is_forced=True,
        )  # fmt: skip
    except UsageError as error:
        raise refused(_NAMES.get(error.where, error.where), error.what, error.remedy) from None
    service.written()
    names = ("closure_id", "closure_hash", "playbook_id", "provider", "closure_state")
    closure = record and {
        **{name: record[name] for name in names},
        "closed_by": record["signer"],
        "closed_at": record["created_at"],
        "external_ref": record.get("external_ref", ""),
    }
    return json_answer({"closure": closure, "metadata": record, "actor": actor_of(caller)})
