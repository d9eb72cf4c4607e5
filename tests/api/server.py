"""The service as it runs: uvicorn on a free loopback port, in a thread of the test, over a real home and instance."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx

from cavra_pipeline.api.access import TokenFile, new_token
from cavra_pipeline.api.app import create_app
from cavra_pipeline.api.guard import BODY_SECONDS
from cavra_pipeline.api.server import hosts_of, server_of
from cavra_pipeline.api.service import Service
from cavra_pipeline.console import console_router
from cavra_pipeline.definitions import open_dagster
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


@contextmanager
def served(
    settings: Settings,
    *,
    clock: Callable[[], datetime] = lambda: NOW,
    requests_per_second: float = 100_000,
    body_seconds: float = BODY_SECONDS,
) -> Iterator[Served]:
    """Serves a home until the block ends."""
    made: list[Service] = []

    def open_service() -> Service:
        tokens = TokenFile(settings.api_tokens_file) if settings.api_tokens_file else None
        made.append(Service(settings, clock=clock, dagster=open_dagster(settings, clock), tokens=tokens))
        return made[0]

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
        app = create_app(
            open_service,
            hosts=hosts_of("127.0.0.1", ()),
            requests_per_second=requests_per_second,
            body_seconds=body_seconds,
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
