"""What every router uses: the service, the caller with the scope an endpoint asks for, answers made elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.routing import APIRouter
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from cavra_pipeline.api.access import Caller
from cavra_pipeline.api.problems import Problem
from cavra_pipeline.api.service import Service

#: Extension of an operation in OpenAPI that names the scope it asks for.
SCOPE_KEY = "x-scope"


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(_service)]


def allowed(scope: str) -> Callable[[Request], Caller]:
    """Returns a dependency that gives the caller, who must have this scope."""

    def caller_of(request: Request) -> Caller:
        caller: Caller = request.state.caller
        if scope not in caller.scopes:
            raise Problem(403, f"This asks for the scope {scope}, which the token does not have.")
        return caller

    return caller_of


def endpoint(
    router: APIRouter,
    method: str,
    path: str,
    *,
    scope: str,
    answer: type[BaseModel] | None,
    summary: str,
    status: int = 200,
    example: Any = None,
    name: str | None = None,
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Declares an endpoint. What it returns is sent as it is. ``name`` is its own where one function serves many."""

    def declare(function: Callable[..., Response]) -> Callable[..., Response]:
        shown: dict[str, Any] = {"description": summary}
        if example is not None:
            shown["content"] = {"application/json": {"example": example}}
        if answer is not None:
            shown["model"] = answer
        router.add_api_route(
            path,
            function,
            methods=[method],
            status_code=status,
            summary=summary,
            response_class=Response if answer is None else JSONResponse,
            response_model=None,
            responses={status: shown},
            operation_id=name or function.__name__,
            openapi_extra={SCOPE_KEY: scope},
        )
        return function

    return declare
