"""Errors as problem details (RFC 9457). No record content, no path of this machine and no value of a caller in any."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.responses import Response

from cavra_pipeline.boundary.secrets import secrets_in
from cavra_pipeline.errors import Fault, TransientError
from cavra_pipeline.warehouse.base import WarehouseBusy

MEDIA_TYPE: Final = "application/problem+json"
_TYPE: Final = "urn:cavra-pipeline:problem:"
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,96}")

#: Status, the problem's name, its title.
TITLES: Final[dict[int, tuple[str, str]]] = {
    400: ("not-json", "The request can't be read"),
    401: ("no-token", "A token is needed"),
    403: ("not-allowed", "This is not allowed"),
    404: ("not-found", "Not found"),
    405: ("method", "The method is not allowed here"),
    408: ("slow-request", "The request took too long to arrive"),
    409: ("conflict", "It can't be done now"),
    413: ("too-large", "The request is too large"),
    415: ("media-type", "The body must be JSON"),
    421: ("wrong-host", "This service does not answer for that host"),
    422: ("not-accepted", "A value is not accepted"),
    429: ("too-many-requests", "Too many requests"),
    500: ("failed", "The request failed"),
    503: ("busy", "Not now"),
}


@dataclass
class HttpProblem(Exception):
    """Ends a request with a status and an explanation.

    Attributes:
        status: HTTP status, one of ``TITLES``.
        detail: What is wrong and what to do, in our words only.
        faults: Which values are not accepted.
        headers: Further headers.
    """

    status: int
    detail: str
    faults: Sequence[Fault] = ()
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """The problem as an answer."""
        # CAVRA's paths refuse a value with 400: what is wrong is the same, and so is its name.
        name, title = TITLES[422 if self.faults else self.status]
        document: dict[str, Any] = {
            "type": _TYPE + name, "title": title, "status": self.status, "detail": self.detail,
        }  # fmt: skip
        if self.faults:
            document["errors"] = [
                {"where": safe_name(fault.where), "what": fault.what, "remedy": fault.remedy} for fault in self.faults
            ]
        return Response(json.dumps(document), self.status, headers=self.headers, media_type=MEDIA_TYPE)


def not_now(error: TransientError, and_then: str = "") -> HttpProblem:
    """Returns the answer where something can't be done just now: why, and what to do.

    Args:
        error: What stood in the way.
        and_then: What else to know before the request is repeated.
    """
    if isinstance(error, WarehouseBusy):
        # Its own words name the program that holds the file.
        detail = "A run or another program holds the warehouse. Repeat in a moment."
    else:
        detail = f"{error.what[:1].upper()}{error.what[1:]}. {error.remedy}."
    return HttpProblem(503, f"{detail} {and_then}".strip(), headers={"Retry-After": "5"})


def safe_name(name: str) -> str:
    """Returns the name of a field, or a stand-in where a caller wrote something else in its place."""
    return name if _NAME.fullmatch(name) and not secrets_in(name) else "a field of another name"
