"""A server that answers ``GET /evidence`` as CAVRA does: order by store, clamps, upserts between pages."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support import Record

MOST = 500


@dataclass
class CavraApi:
    """CAVRA's store behind its API.

    Attributes:
        is_sqlite: Newest first by the text of ``created_at``, then by id; else by id.
        authorization: What the header must be; 401 without it. None lets everybody in.
        requests: Paths and queries that were asked for.
        after: Called with the number of each request that was answered: what CAVRA writes between pages.
        answer: In place of CAVRA's own answer: status, headers, body.
    """

    is_sqlite: bool = True
    authorization: str | None = None
    records: dict[str, Record] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    after: Callable[[int], None] = lambda _: None
    answer: Callable[[int], tuple[int, dict[str, str], bytes] | None] = lambda _: None
    url: str = ""

    def upsert(self, *records: Record) -> None:
        """Stores records as CAVRA does: the same id again replaces the record."""
        self.records.update({record["session_id"]: record for record in records})

    def page(self, query: dict[str, list[str]]) -> bytes:
        """What CAVRA answers; a limit over 500 is cut silently."""
        limit = min(max(int(query.get("limit", ["50"])[0]), 1), MOST)
        offset = max(int(query.get("offset", ["0"])[0]), 0)
        found = sorted(self.records.values(), key=lambda one: str(one["session_id"]))
        if self.is_sqlite:
            found.sort(key=lambda one: str(one.get("created_at")), reverse=True)
        items = found[offset : offset + limit]
        return json.dumps({"items": items, "total": len(found), "limit": limit, "offset": offset}).encode()


def _handler(api: CavraApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            number = len(api.requests)
            api.requests.append(self.path)
            api.headers.append(dict(self.headers))
            parts = urlsplit(self.path)
            status, headers, body = api.answer(number) or (200, {}, b"")
            if not body and status == 200:
                if api.authorization not in (None, self.headers.get("Authorization")):
                    status, body = 401, b'{"detail": "no"}'
                elif parts.path != "/evidence":
                    status, body = 404, b'{"detail": "Not Found"}'
                else:
                    body = api.page(parse_qs(parts.query))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            api.after(number)

        def log_message(self, *_: Any) -> None: ...

    return Handler


@contextmanager
def served(api: CavraApi) -> Iterator[CavraApi]:
    """Serves the API on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
