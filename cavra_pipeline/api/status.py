"""Endpoints about the service itself."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

from fastapi import Depends
from fastapi.routing import APIRouter
from starlette.responses import Response

from cavra_pipeline.api import examples, models
from cavra_pipeline.api.access import SCOPES, Caller
from cavra_pipeline.api.common import Served, allowed, endpoint
from cavra_pipeline.api.service import json_answer
from cavra_pipeline.documents import instant

OPEN_NOTICE = (
    "The service is open: whoever can reach this machine's loopback may ask and acknowledge. "
    "Set CAVRA_API_TOKENS to a token file to close it."
)
TOKENS_NOTICE = "Every request needs a token with the scope of its endpoint."

router = APIRouter(tags=["service"])


@endpoint(
    router, "GET", "/api/v1/status", scope="read", answer=models.Status,
    summary="What this service is, who you are to it, and how it does.", example=examples.STATUS,
)  # fmt: skip
def status(service: Served, caller: Annotated[Caller, Depends(allowed("read"))]) -> Response:
    """Says how the service is reached, how fresh its copy is, and what was kept and told to Dagster."""
    copy = service.copy.state()
    failure = service.copy.failure
    document = {
        "service": "cavra-pipeline",
        "version": version("cavra-pipeline"),
        "now": instant(service.clock()),
        "access": "tokens" if service.tokens else "open",
        "notice": TOKENS_NOTICE if service.tokens else OPEN_NOTICE,
        "actor": caller.name,
        "scopes": [scope for scope in SCOPES if scope in caller.scopes],
        "reading": {
            "copied_at": instant(copy.copied_at),
            "is_behind": copy.is_behind,
            "failure": failure.what if failure else None,
        },
        "evidence": {"kept_count": service.keeper.kept_count, "failed_count": service.keeper.failed_count},
        "dagster": {"url": service.settings.dagster_url, **service.dagster.state()},
        "live_lanes": sorted(service.settings.live_lanes),
    }
    return json_answer(document).response()


@endpoint(router, "GET", "/healthz", scope="none", answer=models.Alive, summary="Does the process answer?",
          example={"status": "ok"})  # fmt: skip
def alive() -> Response:
    """Answers without looking at anything."""
    return json_answer({"status": "ok"}).response()
