"""The service as it runs: uvicorn on a free loopback port, in a thread of the test, over a real home and instance."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import httpx

from cavra_pipeline.api.access import TokenFile, new_token
from cavra_pipeline.api.app import create_app
from cavra_pipeline.api.guard import BODY_SECONDS
from cavra_pipeline.api.server import hosts_of, server_of
from cavra_pipeline.api.service import Dagster, Service
from cavra_pipeline.console import console_router
from cavra_pipeline.definitions import open_dagster
from cavra_pipeline.reports.store import Report
from cavra_pipeline.settings import Settings
from tests.support import NOW

CAVRA = "/runtime/go-pilot/rollback-drill-notifications/acknowledgements/audit-delivery"


@dataclass
class Served:
    """A service that runs."""

    service: Service
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)


class NoDagster:
    """For tests of something else: an instance takes seconds to make, and a refresh starts a process."""

    def report(self, report: Report) -> None:
        pass

    def launch_refresh(self, days: Sequence[date]) -> str:
        return str(uuid.uuid4())

    def run_status(self, run_id: str) -> dict[str, Any] | None:
        return None

    def state(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


@contextmanager
def served(
    settings: Settings,
    *,
    clock: Callable[[], datetime] = lambda: NOW,
    requests_per_second: float = 100_000,
    body_seconds: float = BODY_SECONDS,
    dagster: Dagster | None = None,
) -> Iterator[Served]:
    """Serves a home until the block ends."""
    made: list[Service] = []

    def open_service() -> Service:
        tokens = TokenFile(settings.api_tokens_file) if settings.api_tokens_file else None
        made.append(Service(settings, clock=clock, dagster=dagster or open_dagster(settings, clock), tokens=tokens))
        return made[0]

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
        app = create_app(
            open_service,
            hosts=hosts_of("127.0.0.1", ()),
            requests_per_second=requests_per_second,
            body_seconds=body_seconds,
            origins=settings.api_origins,
            pages=[console_router()],
        )
        server = server_of(app, host="127.0.0.1", port=port)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            thread.join(0.01)
        try:
            yield Served(made[0], port)
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


def token_file(folder: Path, **scopes: str) -> tuple[Path, dict[str, str]]:
    """Writes a token file; each keyword is a token's name and its scopes."""
    made = {name: new_token(name, given.split()) for name, given in scopes.items()}
    path = folder / "tokens"
    path.write_text("# who may ask\n" + "".join(f"{line}\n" for _, line in made.values()))
    path.chmod(0o600)
    return path, {name: token for name, (token, _) in made.items()}
