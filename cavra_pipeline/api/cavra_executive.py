"""Endpoints at CAVRA's own paths about the escalation plan and the executive report (contract section 13).

They send nothing; what is stored here can be delivered by its id.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from fastapi.routing import APIRouter

from cavra_pipeline.api import cavra_answers, cavra_models
from cavra_pipeline.api.cavra import DELIVERIES, actor_of, label_of
from cavra_pipeline.api.common import Asker, Served, endpoint
from cavra_pipeline.api.service import Answer, json_answer
from cavra_pipeline.errors import checked
from cavra_pipeline.executive.stored import (
    RunSchedule,
    make_executive_report,
    store_escalation_plan,
    store_schedule_run,
)
from cavra_pipeline.recoveries.history import RecoveryParameters

router = APIRouter(tags=["cavra"])


@endpoint(
    router, "POST", f"{DELIVERIES}/recovery-escalation-plan", scope="plan",
    answer=cavra_answers.CavraEscalationPlanAnswer, summary="CAVRA's own path for a new escalation plan.",
)  # fmt: skip
def cavra_escalation_plan(service: Served, caller: Asker, body: cavra_models.CavraEscalationPlanBody) -> Answer:
    """Saves the plan as evidence. A route names the broken provider; the host's settings name the channels."""
    parameters = checked(RecoveryParameters, {"slo_minutes": body.recovery_slo_minutes})
    label = label_of(caller, body.generated_by)
    plan, record = store_escalation_plan(service.writing_settings, parameters, generated_by=label, now=service.clock())
    service.written()
    return json_answer({"plan": plan, "metadata": record, "actor": actor_of(caller)})


@endpoint(
    router, "GET", f"{DELIVERIES}/recovery-executive-report", scope="read",
    answer=cavra_answers.CavraExecutiveReportAnswer, summary="CAVRA's own path for the executive report.",
)  # fmt: skip
def cavra_executive_report(
    service: Served, caller: Asker, query: Annotated[cavra_models.CavraRecoveryQuery, Query()]
) -> Answer:
    """With the scope `plan` it is saved as evidence too."""
    parameters = checked(RecoveryParameters, {"slo_minutes": query.recovery_slo_minutes})
    label = label_of(caller, query.generated_by)

    def make() -> tuple[Any, Any]:
        with service.reading() as (session, state):
            report, record = make_executive_report(
                session, service.settings, parameters, generated_by=label, now=service.clock()
            )
        if caller.may_save:
            service.keeper.keep(record)
        return {"report": report, "metadata": record if caller.may_save else None}, state

    return service.once(("cavra_executive_report", caller.may_save, parameters.model_dump(), label), make)


@endpoint(
    router, "POST", f"{DELIVERIES}/recovery-executive-report/schedule-run", scope="plan",
    answer=cavra_answers.CavraScheduleRunAnswer,
    summary="CAVRA's own path for a scheduled run of the executive report.",
)  # fmt: skip
def cavra_schedule_run(service: Served, caller: Asker, body: cavra_models.CavraScheduleRunBody) -> Answer:
    """Saves the run and its report as evidence."""
    parameters = checked(RecoveryParameters, {"slo_minutes": body.recovery_slo_minutes})
    label = label_of(caller, body.generated_by)
    schedule_run = store_schedule_run(
        service.writing_settings,
        body.schedule or RunSchedule.model_validate({}),
        parameters,
        generated_by=label,
        now=service.clock(),
    )
    service.written()
    return json_answer(
        {
            "run": schedule_run.run,
            "metadata": schedule_run.record,
            "report_metadata": schedule_run.report_record,
            "actor": actor_of(caller),
        }
    )
