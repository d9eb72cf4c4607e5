"""The Evidence Console: pages that the API's process serves beside it. They ask the API and know nothing else."""

from __future__ import annotations

from fastapi.routing import APIRouter


def console_router() -> APIRouter:
    """Returns the console's pages and files; none of them is part of OpenAPI."""
    return APIRouter(include_in_schema=False)
