"""Endpoints at CAVRA's own paths that acknowledge an escalation or a health alert (contract section 13).

CAVRA does not ask whether the subject exists, so neither does this; ``actions.py`` has the endpoint that does.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Path
from fastapi.routing import APIRouter

from cavra_pipeline.api import answers, cavra_models
from cavra_pipeline.api.cavra import DELIVERIES, actor_of, speaker
from cavra_pipeline.api.common import Asker, Served, endpoint
from cavra_pipeline.api.problems import HttpProblem
from cavra_pipeline.api.service import Answer, json_answer
from cavra_pipeline.errors import Fault, UsageError
from cavra_pipeline.lanes import LANES, CavraPaths, Lane
from cavra_pipeline.provider_names import provider_name
from cavra_pipeline.retry.acknowledge import acknowledge

DEFAULT_STATE: Final = "acknowledged"
#: What CAVRA calls the values that the domain names otherwise.
_NAMES: Final = {"by": "acknowledged_by", "signer": "acknowledged_by", "state": "acknowledgement_state"}

router = APIRouter(tags=["cavra"])


def refused(where: str, what: str, remedy: str) -> HttpProblem:
    """Returns the refusal of a value with CAVRA's status."""
    return HttpProblem(400, f"{where}: {what}.", [Fault(where, what, remedy)])


def required(name: str, value: str | None) -> str:
    """Returns a value that CAVRA requires.

    Raises:
        HttpProblem: It is missing; with CAVRA's status.
    """
    if value is None or not value.strip():
        raise refused(name, "a value is missing", "Give it")
    return value


def _declare(lane: Lane, paths: CavraPaths) -> None:
    @endpoint(
        router, "POST", f"{DELIVERIES}/{paths.base}/{{subject}}/acknowledgements", scope="acknowledge",
        answer=answers.CavraAcknowledgementAnswer, name=f"cavra_acknowledge_{lane.name}",
        summary=f"CAVRA's own path for an acknowledgement in {lane.name}, by {lane.subject_field}.",
    )  # fmt: skip
    def cavra_acknowledge(
        service: Served,
        caller: Asker,
        subject: Annotated[str, Path(min_length=1, max_length=512)],
        body: cavra_models.CavraAcknowledgementBody,
    ) -> Answer:
        """The subject need not exist. Notes and reasons are not stored."""
        provider = provider_name(required("provider", body.provider))
        by = required("acknowledged_by", speaker(caller, body.acknowledged_by))
        said: dict[str, Any] = {"subject": subject, "provider": provider, "by": by}
        said["state"] = body.acknowledgement_state or DEFAULT_STATE
        try:
            record = acknowledge(
                service.writing_settings, lane, **said, now=service.clock(), is_forced=True,
                external_ref=body.external_ref or None,
            )  # fmt: skip
        except UsageError as error:
            raise refused(_NAMES.get(error.where, error.where), error.what, error.remedy) from None
        service.written()
        return json_answer({"acknowledgement": _shown(lane, record), "metadata": record, "actor": actor_of(caller)})


def _shown(lane: Lane, record: dict[str, Any]) -> dict[str, Any]:
    """An acknowledgement by the names of CAVRA's own payload."""
    return {
        "acknowledgement_id": record["acknowledgement_id"],
        lane.subject_field: record[lane.subject_field],
        "provider": record["provider"],
        "acknowledgement_state": record["acknowledgement_state"],
        "acknowledged_by": record["signer"],
        "acknowledged_at": record["created_at"],
        "external_ref": record.get("external_ref", ""),
    }


for _lane in LANES.values():
    if _lane.cavra and _lane.takes_acknowledgements:
        _declare(_lane, _lane.cavra)
