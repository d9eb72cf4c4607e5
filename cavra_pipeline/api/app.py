"""Puts the application together: endpoints, errors as problems, the guard, OpenAPI, and the console if it is given."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from cavra_pipeline.api import (
    actions,
    causes,
    cavra,
    cavra_acknowledgements,
    cavra_dashboards,
    cavra_executive,
    cavra_lists,
    cavra_recoveries,
    cavra_sending,
    executive,
    lists,
    proofs,
    reports,
    status,
    watching,
)
from cavra_pipeline.api.guard import BODY_SECONDS, Guard
from cavra_pipeline.api.openapi import openapi_of
from cavra_pipeline.api.problems import TITLES, HttpProblem, not_now
from cavra_pipeline.api.service import Service
from cavra_pipeline.errors import Fault, PipelineError, TransientError, UsageError, faults_of

_THREADS = 64
#: Modules that each have a router: our own endpoints first, then those at CAVRA's paths.
_ENDPOINTS = (
    reports, executive, causes, lists, proofs, actions, watching, status,
    cavra, cavra_acknowledgements, cavra_dashboards, cavra_executive, cavra_lists, cavra_recoveries, cavra_sending,
)  # fmt: skip
_log = logging.getLogger("cavra_pipeline.api")


def create_app(
    make_service: Callable[[], Service],
    *,
    hosts: Sequence[str] | None,
    requests_per_second: float,
    body_seconds: float = BODY_SECONDS,
    origins: Sequence[str] = (),
    pages: Sequence[APIRouter] = (),
) -> Guard:
    """Returns the whole application.

    Args:
        make_service: Opens the home; called when the server starts, closed when it stops.
        hosts: Names by which it may be asked for; None for any.
        requests_per_second: From one token, or one address where there is none.
        body_seconds: How long a body may take to arrive.
        origins: Origins of pages that may call the API, beside its own.
        pages: Routers of pages, such as the console's; they are not part of OpenAPI.
    """

    @asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
        app.state.service = await run_in_threadpool(make_service)
        yield
        await run_in_threadpool(app.state.service.close)

    app = FastAPI(lifespan=alive, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.service = None
    routers = (*(module.router for module in _ENDPOINTS), *pages)
    for router in routers:
        app.include_router(router)
    app.state.endpoints = [route for router in routers for route in router.routes]
    # Made when it is first asked for: that takes longer than all the rest of a start.
    document = cache(partial(openapi_of, app))

    @app.get("/openapi.json", include_in_schema=False)
    def openapi() -> Response:
        return Response(document(), media_type="application/json")

    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    guard = Guard(
        app,
        tokens=lambda: app.state.service.tokens,
        hosts=hosts,
        requests_per_second=requests_per_second,
        body_seconds=body_seconds,
        origins=origins,
    )
    guard.openapi = document
    return guard


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HttpProblem)  # noqa: S101 -- registered for it alone
    return error.response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for it alone
    http_status = error.status_code if error.status_code in TITLES else 500
    details = {
        400: "The body is not JSON.",
        404: "There is nothing at this address; /openapi.json lists what there is.",
        405: "Use one of the methods in Allow.",
    }
    headers = dict(error.headers or {})
    if http_status == 405:
        headers["Allow"] = ", ".join(_methods_at(request))
    return HttpProblem(http_status, details.get(http_status, "The request failed."), headers=headers).response()


def _methods_at(request: Request) -> list[str]:
    """The methods of every endpoint at an address; Starlette would name those of the first alone."""
    methods: set[str] = set()
    for route in request.app.state.endpoints:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return sorted(methods)


async def _invalid(request: Request, error: Exception) -> Response:
    """Returns a problem that names each rejected value and what is accepted; never what was sent."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- registered for it alone
    errors = error.errors()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_absent = any(fault["type"] == "missing" and fault["loc"] == ("body",) for fault in errors)
    if request.method == "POST" and kind != "application/json" and not is_absent:
        return HttpProblem(415, "Send the body as application/json.").response()
    if any(fault["type"] == "json_invalid" for fault in errors):
        return HttpProblem(400, "The body is not JSON.").response()
    return HttpProblem(422, "See errors: each names a value and what is accepted.", faults_of(errors[:50])).response()


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, PipelineError)  # noqa: S101 -- registered for it alone
    if isinstance(error, UsageError):
        fault = Fault(error.where, error.what, error.remedy)
        return HttpProblem(422, "See errors: each names a value and what is accepted.", [fault]).response()
    if isinstance(error, TransientError):
        is_question = request.method in ("GET", "HEAD")
        return not_now(
            error, "" if is_question else "The record may be saved already: check before you repeat the request."
        ).response()
    _log.error("%s", error)
    return HttpProblem(500, "The pipeline refused; whoever runs the service finds why in its log.").response()


async def _failed(_request: Request, error: Exception) -> Response:
    _log.error("an endpoint failed: %s", type(error).__name__)
    return HttpProblem(500, "Something failed on our side; the log has this X-Request-Id.").response()


_HANDLERS: dict[Any, Any] = {
    HttpProblem: _problem,
    HTTPException: _http,
    RequestValidationError: _invalid,
    PipelineError: _refused,
    Exception: _failed,
}
