"""Pages of other origins: those that the host names may call the API, all others get nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cavra_pipeline.errors import UsageError
from cavra_pipeline.settings import load_settings
from tests.api.server import CAVRA, NoDagster, Served, served, token_file
from tests.support import delivery, ingested

pytestmark = pytest.mark.slow

OURS, OTHER = "https://console.example", "https://console.example.net"
PLAN = f"{CAVRA}/recovery-escalations/retry-plan"
PATHS = ["/api/v1/lanes", f"{CAVRA}/recovery-escalations/retry-health", "/evidence"]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[Served, str]]:
    path, tokens = token_file(tmp_path, console="read plan")
    home = ingested(tmp_path, [delivery(failed=["slack"])], api_tokens_file=path, api_origins=(OURS,))
    with served(home, dagster=NoDagster()) as one:
        yield one, tokens["console"]


def asked_beforehand(one: Served, path: str, origin: str, method: str = "POST") -> dict[str, str]:
    """What a browser is answered before it sends; the status is beside the headers."""
    sent = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    with one.client() as client:
        answer = client.options(path, headers=sent)
    return {**answer.headers, "status": str(answer.status_code)}


@pytest.mark.parametrize("path", [*PATHS, PLAN])
def test_a_browser_learns_beforehand_what_a_page_may_send(service: tuple[Served, str], path: str) -> None:
    answer = asked_beforehand(service[0], path, OURS)

    assert (answer["status"], answer["access-control-allow-origin"], answer["vary"]) == ("204", OURS, "Origin")
    assert answer["access-control-allow-methods"] == "GET, POST"
    assert answer["access-control-allow-headers"] == "Authorization, Content-Type"
    assert "access-control-allow-credentials" not in answer


@pytest.mark.parametrize("path", PATHS)
def test_a_page_of_an_origin_that_is_named_gets_answers_and_errors(service: tuple[Served, str], path: str) -> None:
    one, token = service
    headers = {"Origin": OURS, "Sec-Fetch-Site": "cross-site"}
    with one.client(token) as client:
        answer = client.get(path, headers=headers)
    with one.client() as client:
        nobody = client.get(path, headers=headers)

    assert (answer.status_code, nobody.status_code) == (200, 401)
    for each in (answer, nobody):
        assert each.headers["access-control-allow-origin"] == OURS
        assert each.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in each.headers


def test_a_page_of_an_origin_that_is_named_may_post(service: tuple[Served, str]) -> None:
    one, token = service
    with one.client(token) as client:
        answer = client.post(PLAN, json={}, headers={"Origin": OURS, "Sec-Fetch-Site": "cross-site"})

    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, OURS)


@pytest.mark.parametrize(
    "origin",
    [
        OTHER, "http://console.example", f"{OURS}:8443", f"{OURS}.evil.example", "null", "*", f"{OURS}/",
        "https://CONSOLE.example", f"{OURS}, {OURS}",
    ],
)  # fmt: skip
def test_any_other_origin_gets_nothing(service: tuple[Served, str], origin: str) -> None:
    one, token = service
    beforehand = asked_beforehand(one, PLAN, origin)
    with one.client(token) as client:
        answers = [client.get(path, headers={"Origin": origin}) for path in PATHS]
        answers.append(client.post(PLAN, json={}, headers={"Origin": origin}))
        kept = one.service.keeper.kept_count

    assert beforehand["status"] == "403"
    assert {answer.status_code for answer in answers} == {403}
    assert kept == 0
    for headers in (beforehand, *(dict(answer.headers) for answer in answers)):
        assert not [name for name in headers if name.startswith("access-control")]
        assert headers["vary"] == "Origin"


def test_an_origin_that_is_sent_twice_gets_nothing(service: tuple[Served, str]) -> None:
    one, token = service
    with one.client(token) as client:
        answer = client.get(PATHS[0], headers=[("Origin", OURS), ("Origin", OURS)])

    assert answer.status_code == 403


def test_the_console_is_for_its_own_origin_also_where_others_may_ask(service: tuple[Served, str]) -> None:
    with service[0].client() as client:
        page = client.get("/", headers={"Origin": OURS, "Sec-Fetch-Site": "cross-site"})

    assert page.status_code == 403
    assert "access-control-allow-origin" not in page.headers


def test_without_the_setting_no_origin_but_its_own_is_let_in(tmp_path: Path) -> None:
    with served(ingested(tmp_path, [delivery()]), dagster=NoDagster()) as one, one.client() as client:
        beforehand = asked_beforehand(one, PLAN, OURS)
        plain = client.get(PATHS[0])
        own = client.get(PATHS[0], headers={"Origin": one.url, "Sec-Fetch-Site": "same-origin"})

    assert beforehand["status"] == "403"
    assert (plain.status_code, own.status_code) == (200, 200)
    for headers in (beforehand, dict(plain.headers), dict(own.headers)):
        assert not [name for name in headers if name.startswith("access-control")]


def test_a_browser_that_asks_beforehand_too_often_has_to_wait(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery()], api_origins=(OURS,))
    with served(home, dagster=NoDagster(), requests_per_second=0.1) as one:
        statuses = {asked_beforehand(one, PLAN, OURS)["status"] for _ in range(3)}
    with served(home, dagster=NoDagster(), requests_per_second=100) as one:
        often = {asked_beforehand(one, PLAN, OURS)["status"] for _ in range(3)}

    assert "429" in statuses
    assert often == {"204"}


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("https://console.example", ("https://console.example",)),
        (" https://Console.Example:443 , http://127.0.0.1:5173,", ("https://console.example", "http://127.0.0.1:5173")),
        ("http://console.example:80,http://console.example", ("http://console.example",)),
        ("http://[::1]:8080", ("http://[::1]:8080",)),
        ("https://console.example:80", ("https://console.example:80",)),
        ("", ()),
    ],
)
def test_origins_are_read_as_browsers_write_them(text: str, origins: tuple[str, ...]) -> None:
    assert load_settings({"CAVRA_API_ORIGINS": text}).api_origins == origins


@pytest.mark.parametrize(
    "text",
    [
        "*", "https://*.example", "null", "console.example", "https://console.example/", "https://console.example/x",
        "https://user@console.example", "ftp://console.example", "https://console.example:99999", "https://",
        "https://a.example https://b.example", "https://a.example,*",
    ],
)  # fmt: skip
def test_what_is_no_origin_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(UsageError, match=r"^CAVRA_API_ORIGINS: .*no origin") as raised:
        load_settings({"CAVRA_API_ORIGINS": text})

    assert "https://console.example or" in raised.value.remedy
