"""A page of another origin in a real browser: it calls what CAVRA_API_ORIGINS allows, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.api.server import CAVRA, NoDagster, Served, served, token_file
from tests.console.browser import watched
from tests.support import delivery, home_with, ingested

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HEALTH = f"{CAVRA}/recovery-escalations/retry-health"
PLAN = f"{CAVRA}/recovery-escalations/retry-plan"
#: What a script of the page gets; a browser tells it no more of a refusal than that there was one.
CALL = """async ([url, init]) => {
    try {
        const answer = await fetch(url, init);
        const copied = answer.headers.get('Cavra-Evidence-Copied-At');
        return {status: answer.status, names: Object.keys(await answer.json()), copied: Boolean(copied)};
    } catch (error) {
        return {refused: error.name};
    }
}"""
REFUSED = {"refused": "TypeError"}


class _BlankPage(BaseHTTPRequestHandler):
    """Somebody's page, on a port of its own and so of another origin."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another console</title>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _origin() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _BlankPage) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _call(page: Page, url: str, method: str = "GET", token: str | None = None, **headers: str) -> Any:
    sent = {**headers, **({"Authorization": f"Bearer {token}"} if token else {})}
    init: dict[str, Any] = {"method": method, "headers": sent}
    if method == "POST":
        init = {**init, "headers": {**sent, "Content-Type": "application/json"}, "body": "{}"}
    return page.evaluate(CALL, [url, init])


def _asked(one: Served, page: Page, token: str) -> list[Any]:
    return [_call(page, one.url + HEALTH, token=token), _call(page, one.url + PLAN, "POST", token)]


def test_a_page_of_a_named_origin_calls_the_api_and_a_page_of_any_other_gets_nothing(
    tmp_path: Path, browser: Browser
) -> None:
    path, tokens = token_file(tmp_path, console="read plan")
    token = tokens["console"]
    with _origin() as ours, _origin() as other, watched(browser) as seen:
        home = ingested(tmp_path, [delivery(failed=["slack"])], api_tokens_file=path, api_origins=(ours,))
        with served(home, dagster=NoDagster()) as one:
            page = seen.context.new_page()
            for address in (other, ours.replace("127.0.0.1", "localhost")):
                page.goto(address)
                assert _asked(one, page, token) == [REFUSED, REFUSED]
                assert _call(page, f"{one.url}/healthz") == REFUSED
            assert one.service.keeper.kept_count == 0

            page.goto(ours)
            health, plan = _asked(one, page, token)
            assert (health["status"], health["names"], health["copied"]) == (200, ["health", "metadata"], True)
            assert (plan["status"], plan["names"]) == (200, ["plan", "metadata", "actor"])
            assert one.service.keeper.kept_count == 2
            # Errors are for the page too; what it may not send, and what is not the API's, is not.
            assert _call(page, one.url + HEALTH)["status"] == 401
            assert _call(page, one.url + HEALTH, "DELETE", token) == REFUSED
            assert _call(page, one.url + HEALTH, token=token, **{"X-Other": "1"}) == REFUSED
            assert _call(page, one.url) == REFUSED
            assert one.service.keeper.kept_count == 2


def test_without_the_setting_no_page_of_another_origin_is_answered(tmp_path: Path, browser: Browser) -> None:
    with _origin() as ours, watched(browser) as seen, served(home_with(tmp_path), dagster=NoDagster()) as one:
        page = seen.context.new_page()
        page.goto(ours)
        assert [_call(page, one.url + HEALTH), _call(page, one.url + PLAN, "POST")] == [REFUSED, REFUSED]
        assert one.service.keeper.kept_count == 0
