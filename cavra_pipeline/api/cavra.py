"""Endpoints at CAVRA's own paths that make retry plans and health reports, lane by lane (contract section 13).

What CAVRA's clients send is in ``cavra_models.py``; the answers are those of ``reports.py`` under CAVRA's names.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query
from fastapi.routing import APIRouter

from cavra_pipeline.api import answers, cavra_models
from cavra_pipeline.api.access import Caller
from cavra_pipeline.api.common import Asker, Served, endpoint
from cavra_pipeline.api.reports import answer_health, answer_plan
from cavra_pipeline.api.service import Answer
from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.lanes import LANES, CavraPaths, Lane
from cavra_pipeline.reports.health import health_parameters
from cavra_pipeline.reports.policy import retry_policy

NOTIFICATIONS: Final = "/runtime/go-pilot/rollback-drill-notifications"
DELIVERIES: Final = f"{NOTIFICATIONS}/acknowledgements/audit-delivery"
#: Who vouches for an actor here; CAVRA names the issuer of its tokens.
_ISSUER: Final = "cavra-pipeline"

router = APIRouter(tags=["cavra"])


def actor_of(caller: Caller) -> dict[str, Any] | None:
    """Returns whoever showed a token in the members of CAVRA's actors; None where the service is open."""
    if not caller.has_token:
        return None
    return {"actor": caller.name, "subject": caller.name, "issuer": _ISSUER, "groups": [], "repository": None}


def speaker(caller: Caller, name: str | None) -> str | None:
    """Returns the token's name, which replaces the name that a request gives; that name where there is no token."""
    return caller.name if caller.has_token else name


def label_of(caller: Caller, name: str | None) -> str:
    """Returns who a report is made by: the token's name, else what the request says, else CAVRA's own word.

    Raises:
        UsageError: The name is no public-safe label.
    """
    return actor_label(speaker(caller, name) or cavra_models.CONSOLE, where="generated_by")


def _declare_plan(lane: Lane, paths: CavraPaths) -> None:
    @endpoint(
        router, "POST", f"{DELIVERIES}/{paths.base}/{paths.plan}", scope="plan", answer=answers.CavraPlanAnswer,
        summary=f"CAVRA's own path for the retry plan of {lane.name}.", name=f"cavra_plan_{lane.name}",
    )  # fmt: skip
    def cavra_plan(service: Served, caller: Asker, body: cavra_models.CavraPlanBody) -> Answer:
        policy = retry_policy(lane, body.retry_policy.model_dump(exclude_unset=True) if body.retry_policy else {})
        by = label_of(caller, body.generated_by)
        return answer_plan(service, actor_of(caller), lane, policy, generated_by=by)


def _declare_health(lane: Lane, paths: CavraPaths) -> None:
    @endpoint(
        router, "GET", f"{DELIVERIES}/{paths.base}/{paths.health}", scope="read", answer=answers.HealthAnswer,
        summary=f"CAVRA's own path for the health of {lane.name}.", name=f"cavra_health_{lane.name}",
    )  # fmt: skip
    def cavra_health(
        service: Served, caller: Asker, query: Annotated[cavra_models.CavraHealthQuery, Query()]
    ) -> Answer:
        """With the scope `plan` the report is saved as evidence and shows in Dagster too."""
        parameters = health_parameters(lane, **query.model_dump(exclude={"generated_by"}))
        by = label_of(caller, query.generated_by)
        return answer_health(service, caller, lane, parameters, generated_by=by, as_of=None)


for _lane in LANES.values():
    if _lane.cavra:
        _declare_plan(_lane, _lane.cavra)
    if _lane.cavra and _lane.cavra.health:
        _declare_health(_lane, _lane.cavra)
