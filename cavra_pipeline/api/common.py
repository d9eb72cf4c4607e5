"""Dependencies of every router: the service, the caller, and an endpoint's declaration with its scope and answer."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from functools import cache, wraps
from importlib.resources import files
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.routing import APIRouter
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from cavra_pipeline.api.access import Caller
from cavra_pipeline.api.problems import HttpProblem
from cavra_pipeline.api.service import Answer, Service

#: Extension of an operation in OpenAPI that names the scope it asks for.
SCOPE_KEY = "x-scope"


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


Served = Annotated[Service, Depends(_service)]
#: Whoever asks; the endpoint has checked their scope.
Asker = Annotated[Caller, Depends(_caller)]


def _require(scope: str) -> Callable[[Request], None]:
    def check(request: Request) -> None:
        if scope not in request.state.caller.scopes:
            raise HttpProblem(403, f"This asks for the scope {scope}, which the token does not have.")

    return check


@cache
def examples() -> dict[str, Any]:
    """Returns one recorded answer of each endpoint, by its operation; tests/api/test_examples.py records them."""
    recorded: dict[str, Any] = json.loads(files(__package__).joinpath("examples.json").read_text(encoding="utf-8"))
    return recorded


def endpoint(
    router: APIRouter,
    method: str,
    path: str,
    *,
    scope: str,
    answer: type[BaseModel] | None,
    summary: str = "",
    status: int = 200,
    name: str | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares an endpoint. Its answer is checked against its model when it is made, and sent as it is.

    Args:
        router: Where it belongs.
        method: HTTP method.
        path: Its address.
        scope: What the caller must have; ``none`` for everybody.
        answer: Model of its answer; None where it is no JSON.
        summary: What it answers, in one sentence; the first line of the function's docstring if it is empty.
        status: HTTP status of its answer.
        name: Its operation, where one function serves many.
    """

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        operation = name or function.__name__
        first, _, more = (inspect.getdoc(function) or "").partition("\n")
        shown: dict[str, Any] = {"description": summary or first}
        if example := examples().get(operation):
            shown["content"] = {"application/json": {"example": example}}

        @wraps(function)
        def answered(*args: Any, **kwargs: Any) -> Response:
            result = function(*args, **kwargs)
            return result.checked(answer).response(status) if isinstance(result, Answer) and answer else result

        router.add_api_route(
            path,
            answered,
            methods=[method],
            status_code=status,
            summary=summary or first,
            description=more.strip(),
            response_class=Response if answer is None else JSONResponse,
            response_model=answer,
            responses={status: shown},
            operation_id=operation,
            openapi_extra={SCOPE_KEY: scope},
            dependencies=[] if scope == "none" else [Depends(_require(scope))],
        )
        return function

    return declare
