"""A saved plan made again from the evidence of now, so that a worker run can execute what somebody has looked at."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.documents import parse_as_of
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.lanes import Lane
from cavra_pipeline.reports.policy import policy_values
from cavra_pipeline.reports.store import REQUESTED_PLAN, RETRY_PLAN, document_of, make_reports
from cavra_pipeline.state import State
from cavra_pipeline.state.tables import saved_reports
from cavra_pipeline.warehouse import Session

_saved: Final = saved_reports.c


def replan(session: Session, state: State, lane: Lane, retry_plan_id: str, *, now: datetime) -> dict[str, Any]:
    """Makes a saved plan again from the evidence of now, as of the plan's own instant.

    Raises:
        PipelineError: No plan of that id is saved for the lane, or its evidence has changed since.
    """
    is_it = (
        _saved.report.in_([RETRY_PLAN, REQUESTED_PLAN])
        & (_saved.report_id == retry_plan_id)
        & (_saved.lane == lane.name)
    )
    with state.reading() as c:
        newest = sa.select(saved_reports).where(is_it).order_by(_saved.generated_at.desc()).limit(1)
        row = c.execute(newest).mappings().one_or_none()
    if row is None:
        raise PipelineError(
            "no plan of that id is saved for this lane",
            where=f"plan {retry_plan_id[:80]}",
            remedy=f"Make and save one: cavra-pipeline retry-plan --lane {lane.name} --save",
        )
    document = document_of(dict(row))
    moment = parse_as_of(document["as_of"])
    (again,) = make_reports(session, RETRY_PLAN, lane, instants=[moment], now=now, parameters=policy_values(document))
    if again["retry_plan_id"] != retry_plan_id:
        raise PipelineError(
            "the evidence the plan is based on has changed since it was made",
            where=f"plan {retry_plan_id}",
            remedy="Make a new plan, check it, and execute that one",
        )
    return again
