"""The OpenAPI document: FastAPI's document of the endpoints, and the errors of each."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from cavra_pipeline.api.answers import ProblemDocument
from cavra_pipeline.api.common import SCOPE_KEY
from cavra_pipeline.api.problems import MEDIA_TYPE, TITLES

_ALWAYS: Final = (400, 403, 413, 421, 429, 500, 503)
_WITH_BODY: Final = (408, 415)


def openapi_of(app: FastAPI) -> bytes:
    """Returns the document as JSON."""
    document = get_openapi(
        title="cavra-pipeline",
        version=version("cavra-pipeline"),
        summary="Which failed rollback-drill notifications are not retried as they should be, and why?",
        description="Health reports and retry plans over redacted CAVRA evidence. Instants are ISO-8601, UTC.",
        routes=app.routes,
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused_schema in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused_schema, None)
    schemas["Problem"] = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schemas["Problem"].pop("$defs"))
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "Not needed where the service is open."}
    }
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _complete(path, method, operation)
    return (json.dumps(document, indent=1) + "\n").encode()


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    scope = operation[SCOPE_KEY]
    if operation.get("description") == operation["summary"]:  # FastAPI gives the docstring where there is no more of it
        del operation["description"]
    statuses = [*_ALWAYS, 422]
    if scope != "none":
        operation["security"] = [{"token": []}]
        operation["description"] = f"{operation.get('description', '')}\n\nScope: `{scope}`.".strip()
        statuses.append(401)
    if method == "post":
        statuses += _WITH_BODY
    if (
        path.endswith(("}", "/explain", "/bundle"))
        or path.startswith(("/api/v1/history/", "/api/v1/checkpoints/"))
        or "{alert_id}" in path
        or "{silence_id}" in path
        or any(parameter["name"] == "cursor" for parameter in operation.get("parameters", ()))
    ):
        statuses.append(404)
    if path in ("/api/v1/refresh", "/api/v1/history/{report_id}/bundle") or path.endswith("/resolve"):
        statuses.append(409)
    for suffix in ("csv", "html"):
        if path.endswith(f".{suffix}"):
            operation["responses"]["200"]["content"] = {f"text/{suffix}": {"schema": {"type": "string"}}}
    if path.endswith("/bundle"):
        archive = {"type": "string", "format": "binary"}
        operation["responses"]["200"]["content"] = {"application/zip": {"schema": archive}}
    operation["responses"].pop("422", None)
    for status in sorted(statuses):
        name, title = TITLES[status]
        example = {"type": f"urn:cavra-pipeline:problem:{name}", "title": title, "status": status, "detail": "..."}
        operation["responses"][str(status)] = {
            "description": title,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
        }
