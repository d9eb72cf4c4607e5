"""The Evidence Console: pages that the API's process serves beside it. They ask the API and know nothing else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib.resources import files
from typing import Any, Final

from fastapi.routing import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cavra_pipeline.alerts.kinds import KINDS as ALERT_KINDS
from cavra_pipeline.api.cavra import DELIVERIES
from cavra_pipeline.boundary.fields import CLOSURE_STATES
from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.boundary.verdict import NOT_SECRETS
from cavra_pipeline.connectors.providers import PROVIDERS
from cavra_pipeline.executive.words import fix_words
from cavra_pipeline.lanes import ANSWERING_STATES, CLEARING_STATES, CLOSING_STATES, LANES, Lane
from cavra_pipeline.provider_names import provider_title
from cavra_pipeline.reports.cause_words import (
    CAUSE_WORDS,
    DOWN_STEPS,
    FORECAST_NOTE,
    INTERVAL_STEP,
    INTERVAL_STEP_HERE,
    NOTHING_TO_FIX,
    PSEUDONYM_NOTE,
    PUT_OFF_STEP,
    RECOVERY_STEP,
    RELEASE_WORDS,
    STALE_PLAN_STEP,
    WHERE_APPROVED,
)
from cavra_pipeline.reports.closure import ITEM_WORDS
from cavra_pipeline.reports.incidents import PROBED_CAUSES
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.retry.worker import DEFAULT_RETRY_DELIVERIES

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def console_router() -> APIRouter:
    """Returns the console's pages and files; none of them is part of OpenAPI.

    The files are read once, so an address can only ever name one of them.
    """
    router = APIRouter(include_in_schema=False)
    pages = _files()

    @router.get("/")
    def page(request: Request) -> Response:
        return _answer(request, *pages["index.html"])

    @router.get("/docs")
    def reference() -> Response:
        return RedirectResponse("/#/api")

    @router.get("/console/{name}")
    def file(request: Request, name: str) -> Response:
        if name not in pages:
            raise HTTPException(404)
        return _answer(request, *pages[name])

    return router


def _files() -> dict[str, tuple[bytes, str]]:
    pages: dict[str, tuple[bytes, str]] = {}
    for entry in (files(__package__) / "static").iterdir():
        kind = _TYPES.get("." + entry.name.rpartition(".")[2])
        if kind and entry.is_file():
            pages[entry.name] = (entry.read_bytes(), kind)
    pages["lanes.js"] = (_lanes().encode(), _TYPES[".js"])
    return pages


def _lanes() -> str:
    """What the server declares to the pages, as a script module: lanes, states, names of providers, addresses."""
    declared = {
        "WORKERS": {
            name: f"{DELIVERIES}/{lane.cavra.base}/{lane.cavra.worker}" for name, lane in LANES.items() if lane.cavra
        },
        "PROVIDERS": {name: provider_title(name) for name in PROVIDERS},
        "CAUSES": {name: asdict(words) for name, words in CAUSE_WORDS.items()},
        "STEPS": {cause: {name: fix_words(cause, name) for name in PROVIDERS} for cause in CAUSE_WORDS},
        "FIX_FIRST": sorted(PROBED_CAUSES),
        "ITEMS": ITEM_WORDS,
        "TYPES": sorted({kind.record_type for kind in KINDS.values()}),
        "RELEASES": dict(RELEASE_WORDS),
        "UNITS": {name: kind.unit[1].capitalize() for name, kind in ALERT_KINDS.items() if kind.unit},
        "RECOVERY_STEP": RECOVERY_STEP,
        "STALE_PLAN_STEP": STALE_PLAN_STEP,
        "DOWN_STEPS": DOWN_STEPS,
        "FORECAST_NOTE": FORECAST_NOTE,
        "INTERVAL_STEP": INTERVAL_STEP,
        "INTERVAL_STEP_HERE": INTERVAL_STEP_HERE,
        "NOTHING_TO_FIX": NOTHING_TO_FIX,
        "WHERE_APPROVED": WHERE_APPROVED,
        "PSEUDONYM_NOTE": PSEUDONYM_NOTE,
        "PUT_OFF_STEP": PUT_OFF_STEP,
        "ESCALATION": f"{DELIVERIES}/recovery-escalation-plan",
        "LANES": list(LANES),
        "SCHEDULES": {name: lane.schedule for name, lane in LANES.items()},
        "GATES": {name: lane.gate.name.lower() for name, lane in LANES.items()},
        "NOT_SECRETS": sorted(NOT_SECRETS),
        "STATES": {name: list(lane.acknowledgement_states) for name, lane in LANES.items()},
        "WITHDRAWN": {name: lane.withdrawn_state for name, lane in LANES.items()},
        "CLEARING_STATES": list(CLEARING_STATES),
        "CLOSING_STATES": list(CLOSING_STATES),
        "ANSWERING_STATES": list(ANSWERING_STATES),
        "MAX_RETRIES": DEFAULT_RETRY_DELIVERIES,
        "POLICIES": {name: _own_policy(lane) for name, lane in LANES.items()},
        "SUBJECTS": {name: lane.subject_field for name, lane in LANES.items()},
        "CLOSURE_STATES": list(CLOSURE_STATES),
    }
    return "".join(f"export const {name} = {json.dumps(value)};\n" for name, value in declared.items())


def _own_policy(lane: Lane) -> dict[str, Any]:
    """The numbers of a lane's own policy, as the form of a plan names them."""
    policy = retry_policy(lane).model_dump()
    return {name: value for name, value in policy.items() if isinstance(value, int | float) and value is not False}


def _answer(request: Request, content: bytes, kind: str) -> Response:
    """The browser may keep a file, and asks each time whether it is still the one."""
    headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"', "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)
