"""Endpoints about the service itself."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

from fastapi import Query
from fastapi.routing import APIRouter

from cavra_pipeline.api import answers, models
from cavra_pipeline.api.access import SCOPES
from cavra_pipeline.api.common import Asker, Served, endpoint
from cavra_pipeline.api.service import Answer, json_answer
from cavra_pipeline.documents import instant
from cavra_pipeline.evidence.leaks import open_leak_days

OPEN_NOTICE = (
    "The service is open: whoever can reach this machine's loopback may ask and acknowledge. "
    "Set CAVRA_API_TOKENS to a token file to close it."
)
TOKENS_NOTICE = "Every request needs a token with the scope of its endpoint."

router = APIRouter(tags=["service"])


@endpoint(router, "GET", "/api/v1/status", scope="read", answer=answers.Status)
def status(service: Served, caller: Asker, query: Annotated[models.MomentQuery, Query()]) -> Answer:
    """Returns the service's addresses, the age of its copy, and counts of saved and reported records.

    The leaked secrets are those that were open at `as_of`; everything else is of now.
    """
    copy = service.copy.state()
    failure = service.copy.failure
    now, at = service.instants(query.as_of)
    leaks = open_leak_days(service.settings, at)
    document = {
        "service": "cavra-pipeline",
        "version": version("cavra-pipeline"),
        "now": instant(now),
        "access": "tokens" if service.tokens else "open",
        "notice": TOKENS_NOTICE if service.tokens else OPEN_NOTICE,
        "actor": caller.name,
        "scopes": [scope for scope in SCOPES if scope in caller.scopes],
        "reading": {
            "copied_at": instant(copy.copied_at),
            "is_behind": copy.is_behind,
            "failure": failure.what if failure else None,
        },
        "evidence": {
            "kept_count": service.keeper.kept_count,
            "failed_count": service.keeper.failed_count,
            "open_leak_count": sum(leaks.values()),
            "open_leak_days": [day.isoformat() for day in leaks],
        },
        "dagster": {
            "url": service.settings.dagster_url,
            "assets_url": "/".join([service.settings.dagster_url, "assets", *service.settings.asset_prefix]),
            **service.dagster.state(),
        },
        "live_lanes": sorted(service.settings.live_lanes),
    }
    return json_answer(document)


@endpoint(router, "GET", "/healthz", scope="none", answer=answers.Alive,)  # fmt: skip
def alive() -> Answer:
    """Answers as long as the process runs; reads no database."""
    return json_answer({"status": "ok"})
