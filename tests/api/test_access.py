"""Who may ask, from where, how much and how often: each thing that is refused is tried."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from cavra_pipeline.api import server
from cavra_pipeline.api.access import TokenFile, new_token
from cavra_pipeline.api.guard import HEADERS, MAX_BODY_BYTES, is_guarded
from cavra_pipeline.api.server import check_exposure, hosts_of
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.reports.store import Report
from cavra_pipeline.settings import Settings
from tests.api.server import NoDagster, Served, served, token_file
from tests.cli.command import command, process
from tests.support import NOW, delivery, ingested

pytestmark = pytest.mark.slow

PLAN = "/api/v1/lanes/recovery_escalation/plan"
HEALTH = "/api/v1/lanes/recovery_escalation/health"
ACKNOWLEDGE = "/api/v1/lanes/recovery_escalation/acknowledgements"
SECRET = "ghp_" + "x" * 36


@pytest.fixture
def open_service(tmp_path: Path) -> Iterator[Served]:
    with served(ingested(tmp_path, [delivery(failed=["slack"])]), dagster=NoDagster(), body_seconds=0.5) as one:
        yield one


def problem(answer: object, status: int) -> dict[str, object]:
    assert getattr(answer, "status_code") == status  # noqa: B009
    assert getattr(answer, "headers")["content-type"] == "application/problem+json"  # noqa: B009
    document = dict(getattr(answer, "json")())  # noqa: B009
    assert document["status"] == status
    assert {"type", "title", "detail"} <= document.keys()
    return document


def written(home: Settings) -> dict[Path, int]:
    """Every file of a home and when it was written, its lock aside."""
    return {file: file.stat().st_mtime_ns for file in home.home.rglob("*") if file.is_file() and file.suffix != ".gate"}


class Reports(NoDagster):
    """Counts what Dagster is told."""

    count = 0

    def report(self, report: Report) -> None:
        self.count += 1


def test_a_token_that_may_read_writes_nothing_by_any_get(tmp_path: Path) -> None:
    path, tokens = token_file(tmp_path, reader="read", planner="read plan")
    home = ingested(tmp_path, [delivery(failed=["slack"])], api_tokens_file=path)
    before = written(home)
    dagster = Reports()
    with served(home, dagster=dagster) as one:
        with one.client(tokens["reader"]) as client:
            paths = [name for name, how in client.get("/openapi.json").json()["paths"].items() if "get" in how]
            filled = [name.replace("{lane}", "recovery_escalation") for name in paths]
            head = client.get("/api/v1/checkpoints/latest").json()
            needed = {
                "/explain": "?subject=subject-1&provider=slack",
                "/consistency": "?" + urlencode({name: head[name] for name in ("origin", "size", "root")}),
            }
            asked = [name + needed.get("/" + name.rpartition("/")[2], "") for name in filled]
            answers = {name: client.get(name.replace("{report_id}", "x").replace("{run_id}", "x")) for name in asked}
            assert {name for name, answer in answers.items() if answer.status_code != 200} <= {
                "/api/v1/alerts/{alert_id}", "/api/v1/history/{report_id}", "/api/v1/history/{report_id}/bundle",
                "/api/v1/refresh/{run_id}", "/evidence/{session_id}",
            }  # fmt: skip
            assert [answers[name].json()["metadata"] for name in asked if name.endswith("health")] == [None] * 3
            assert (written(home), one.service.keeper.kept_count, dagster.count) == (before, 0, 0)
        with one.client(tokens["planner"]) as client:
            # The same question: the answer that was made for somebody else is not his.
            assert client.get(HEALTH).json()["metadata"]["health_id"]
            assert client.get("/api/v1/dashboard").status_code == 200
        assert (one.service.keeper.kept_count, dagster.count) == (1, 2)


def test_a_token_allows_its_scopes_and_nothing_else(tmp_path: Path) -> None:
    path, tokens = token_file(tmp_path, reader="read", planner="read plan", operator="acknowledge")
    home = ingested(tmp_path, [delivery(failed=["slack"])], api_tokens_file=path)
    said = {"subject": "subject-1", "provider": "slack", "state": "accepted"}
    with served(home, dagster=NoDagster()) as one:
        with one.client(tokens["reader"]) as client:
            assert client.get(HEALTH).status_code == 200
            problem(client.post(PLAN, json={}), 403)
            problem(client.post(ACKNOWLEDGE, json=said), 403)
            problem(client.post("/api/v1/refresh", json={}), 403)
            status = client.get("/api/v1/status").json()
        with one.client(tokens["planner"]) as client:
            assert client.post(PLAN, json={}).json()["actor"] == "planner"
        with one.client(tokens["operator"]) as client:
            problem(client.get(HEALTH), 403)
            problem(client.post(ACKNOWLEDGE, json={**said, "by": "somebody-else"}), 403)
            written = client.post(ACKNOWLEDGE, json=said).json()
        with one.client() as client:
            assert problem(client.get(HEALTH), 401)
            assert client.get(HEALTH).headers["www-authenticate"].startswith("Bearer")
            assert client.get("/healthz").status_code == 200
            assert client.get("/openapi.json").status_code == 200

    assert (status["access"], status["actor"], status["scopes"]) == ("tokens", "reader", ["read"])
    assert written["acknowledgement"]["signer"] == "operator"


def test_every_endpoint_that_asks_for_a_scope_is_guarded_and_no_other(tmp_path: Path) -> None:
    path, _ = token_file(tmp_path, reader="read")
    with served(ingested(tmp_path, [], api_tokens_file=path), dagster=NoDagster()) as one, one.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
        scopes = {name: how["x-scope"] for name, methods in paths.items() for how in methods.values()}
        for tried in ("/evidence", "/evidence/", "/%65vidence", "/evidence/x", "//evidence", "/evidence?limit=1"):
            assert client.get(one.url + tried).status_code == 401

    assert {name: is_guarded(name) for name in scopes} == {name: scope != "none" for name, scope in scopes.items()}
    assert not is_guarded("/evidences")
    assert not is_guarded("/console/evidence")


def test_guessing_tokens_is_refused_and_then_slowed_down_while_the_right_one_still_passes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, tokens = token_file(tmp_path, reader="read")
    home = ingested(tmp_path, [delivery()], api_tokens_file=path)
    with caplog.at_level(logging.DEBUG), served(home, dagster=NoDagster()) as one:
        with one.client() as client:
            guesses: list[int] = []
            while 429 not in guesses and len(guesses) < 1000:
                guess = f"cavra_{len(guesses):043d}" if len(guesses) % 2 else f"guess-{len(guesses)}"
                answer = client.get("/api/v1/status", headers={"Authorization": f"Bearer {guess}"})
                guesses.append(answer.status_code)
        with one.client(tokens["reader"]) as client:
            right = client.get("/api/v1/status").status_code

    assert set(guesses[:100]) == {401}
    assert guesses[-1] == 429
    assert right == 200
    logged = [one.getMessage() for one in caplog.records if one.name.startswith(("cavra", "uvicorn"))]
    assert not any("guess-" in line or tokens["reader"] in line for line in logged)


def test_the_token_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path, tokens = token_file(tmp_path, reader="read")
    file = TokenFile(path)
    assert file.caller(tokens["reader"]) is not None

    _, line = new_token("another", ["plan"])
    path.write_text(line + "\n")
    assert file.caller(tokens["reader"]) is None

    path.write_text("not a line of ours\n")
    with pytest.raises(PipelineError, match="line 1 is not a token's"):
        file.caller(tokens["reader"])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_token_file_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    path, _ = token_file(tmp_path, reader="read")
    path.chmod(mode)
    with pytest.raises(PipelineError, match="mode 600"):
        TokenFile(path)


def test_the_token_goes_to_standard_error_and_only_its_hash_to_standard_output(tmp_path: Path) -> None:
    said = command(tmp_path, "api-token", "--name", "grafana", "--scope", "plan", "--scope", "read")
    name, scopes, digest = said.out.split()

    assert (said.code, name, scopes) == (0, "grafana", "read,plan")
    assert digest.startswith("sha256:")
    assert "cavra_" in said.err
    assert "cavra_" not in said.out
    assert command(tmp_path, "api-token", "--name", "x@example.org").code == 2
    assert command(tmp_path, "api-token", "--name", "x", "--scope", "everything").code == 2


def test_without_tokens_it_is_served_on_loopback_only(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        check_exposure(host, None)
    for host in ("0.0.0.0", "192.168.1.10", "::", "cavra.example"):
        with pytest.raises(UsageError, match="loopback only"):
            check_exposure(host, None)
    path, _ = token_file(tmp_path, reader="read")
    check_exposure("0.0.0.0", TokenFile(path))
    assert hosts_of("0.0.0.0", ()) is None
    refused = process(tmp_path, "api", "--host", "0.0.0.0")
    assert refused.code == 2
    assert "CAVRA_API_TOKENS" in refused.err


def test_it_says_that_it_is_open(open_service: Served) -> None:
    with open_service.client() as client:
        status = client.get("/api/v1/status").json()

    assert status["access"] == "open"
    assert "open" in status["notice"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", ""])
def test_a_name_that_is_not_ours_is_refused(open_service: Served, host: str) -> None:
    with open_service.client() as client:
        problem(client.get(HEALTH, headers={"Host": host}), 421)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_origin_gets_nothing(open_service: Served, headers: dict[str, str]) -> None:
    with open_service.client() as client:
        for answer in (
            client.get(HEALTH, headers=headers),
            client.post(PLAN, json={}, headers=headers),
            client.options(PLAN, headers={**headers, "Access-Control-Request-Method": "POST"}),
        ):
            problem(answer, 403)
            assert "access-control-allow-origin" not in answer.headers
    assert open_service.service.keeper.kept_count == 0


def test_the_form_of_another_site_writes_nothing(open_service: Served) -> None:
    form = {"subject": "subject-1", "provider": "slack", "state": "accepted"}
    with open_service.client() as client:
        problem(client.post(ACKNOWLEDGE, data=form), 415)
        problem(client.post(ACKNOWLEDGE, content=json.dumps(form), headers={"Content-Type": "text/plain"}), 415)
        assert client.get(ACKNOWLEDGE).json()["acknowledgements"] == []


def test_a_page_of_our_own_may_ask(open_service: Served) -> None:
    headers = {"Origin": open_service.url, "Sec-Fetch-Site": "same-origin"}
    with open_service.client() as client:
        assert client.post(PLAN, json={}, headers=headers).status_code == 200


def test_what_is_too_large_is_refused(open_service: Served) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 1024 + 2):
            yield b" " * 1024

    with open_service.client() as client:
        problem(
            client.post(PLAN, content=b" " * (MAX_BODY_BYTES + 1), headers={"Content-Type": "application/json"}), 413
        )
        problem(client.post(PLAN, content=chunks(), headers={"Content-Type": "application/json"}), 413)
        problem(client.get(HEALTH, params={"generated_by": "x" * 9000}), 413)
        problem(client.post(PLAN, content=b"[" * 60_000, headers={"Content-Type": "application/json"}), 400)


def test_a_body_that_does_not_come_is_not_waited_for(open_service: Served) -> None:
    head = f"POST {PLAN} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n"
    with socket.create_connection(("127.0.0.1", open_service.port), timeout=20) as connection:
        connection.sendall(head.encode() + b"{")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_a_head_that_does_not_end_is_not_waited_for(open_service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", open_service.port), timeout=20) as connection:
        started = time.monotonic()
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        assert connection.recv(4096) == b""
        assert time.monotonic() - started < 10
    with socket.create_connection(("127.0.0.1", open_service.port), timeout=20) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 40_000 + b"\r\n\r\n")
        assert connection.recv(4096).split(b" ")[1] in (b"400", b"413")  # as a whole, or as it comes


def test_who_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()])
    with served(home, dagster=NoDagster(), requests_per_second=2) as one, one.client() as client:
        answers = [client.get("/healthz") for _ in range(12)]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert int(refused[0].headers["retry-after"]) >= 1
    assert [answer.status_code for answer in answers[:4]] == [200] * 4


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/api/v1/history/..%2f..%2fetc%2fpasswd", "/api/v1/%2e%2e/%2e%2e/etc/passwd",
     "/console/../../x", "/api/v1/refresh/../../../etc", "/api/v1/history/%00"],
)  # fmt: skip
def test_no_path_leads_out(open_service: Served, path: str) -> None:
    with socket.create_connection(("127.0.0.1", open_service.port), timeout=20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer.split(b" ")[1] in (b"404", b"422")
    assert b"root:" not in answer


@pytest.mark.parametrize("text", ["' OR 1=1 --", "x'; DROP TABLE evidence_records; --", '") UNION SELECT 1', SECRET])
def test_what_is_sent_is_a_value_and_neither_run_nor_shown_nor_logged(
    open_service: Served, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), open_service.client() as client:
        answers = [
            client.get("/api/v1/evidence", params={"subject": text}),
            client.get("/api/v1/quarantine", params={"reason": text}),
            client.get(HEALTH, params={"as_of": text[:40]}),
            client.get(HEALTH, params={text: "1"}),
            client.post(PLAN, json={"retry_policy": {text: 1}}),
            client.post(PLAN, json={"generated_by": text}),
            client.post(ACKNOWLEDGE, json={"subject": SECRET, "provider": text, "state": "accepted"}),
            client.post(ACKNOWLEDGE, json={"subject": "a", "provider": "b", "state": text}),
        ]
        left = client.get("/api/v1/evidence").json()["records"]

    assert [answer.status_code for answer in answers] == [200, 200] + [422] * 6
    assert len(left) == 1
    for answer in answers:
        assert text not in answer.text
    logged = [one.getMessage() for one in caplog.records if one.name.startswith(("cavra", "uvicorn"))]
    assert logged
    assert not any(text in line or SECRET in line for line in logged)


def test_every_answer_has_the_headers_that_protect_a_browser(open_service: Served) -> None:
    with open_service.client() as client:
        answers = [client.get("/api/v1/lanes"), client.get("/nowhere"), client.get("/healthz"), client.delete(PLAN)]

    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert "server" not in answer.headers
    assert problem(answers[1], 404)
    assert problem(answers[3], 405)
    assert answers[3].headers["allow"] == "GET, POST"
    assert "unsafe-inline" not in HEADERS["Content-Security-Policy"]


def test_a_failure_of_ours_shows_nothing_of_it(open_service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError(f"a row with {SECRET}")

    monkeypatch.setattr(open_service.service, "clock", fail)
    with open_service.client() as client:
        answer = client.get("/api/v1/lanes")

    assert problem(answer, 500)
    assert SECRET not in answer.text
    assert NOW.isoformat() not in answer.text
