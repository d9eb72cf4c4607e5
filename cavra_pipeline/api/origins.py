"""Pages of other origins that may call the API (CORS): what a browser asks beforehand, and what the answers say.

No one signs in by a cookie here, so credentials are never allowed: a page has to send its token itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import Scope

_METHODS: Final = "GET, POST"
_HEADERS: Final = "Authorization, Content-Type"
#: Headers of ours that a page may read.
_EXPOSED: Final = "Cavra-Evidence-Copied-At, Cavra-Evidence-Is-Behind, Retry-After, X-Request-Id"
#: A browser need not ask again for so many seconds.
_MOST_SECONDS: Final = 600


class Origins:
    """The origins that a host lets in."""

    def __init__(self, allowed: Iterable[str]) -> None:
        """Takes the origins as browsers write them."""
        self._allowed = frozenset(allowed)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._allowed)

    def admitted(self, headers: Headers) -> str | None:
        """Returns the origin of a request if it is exactly one of those that are let in."""
        origins = headers.getlist("origin")
        return origins[0] if len(origins) == 1 and origins[0] in self._allowed else None

    def mark(self, headers: MutableHeaders, admitted: str | None) -> None:
        """Adds the headers that say who may read an answer; a cache must not give it to another origin."""
        if not self:
            return
        headers.add_vary_header("Origin")
        if admitted:
            headers["Access-Control-Allow-Origin"] = admitted
            headers["Access-Control-Expose-Headers"] = _EXPOSED


def preflight() -> Response:
    """Returns the answer to a browser that asks, before the request itself, what it may send."""
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _HEADERS,
            "Access-Control-Max-Age": str(_MOST_SECONDS),
        },
    )


def is_preflight(scope: Scope) -> bool:
    """Returns whether a browser asks beforehand."""
    return scope["method"] == "OPTIONS" and "access-control-request-method" in Headers(scope=scope)
