"""Every row of the response table, over a real socket, and the table in the docs against the table here."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from cavra_pipeline.connectors import PROVIDERS, Grade, grade, read_connectors
from tests.connectors.certificates import LOCAL, Authority, self_signed
from tests.connectors.conftest import Configured, Deliver
from tests.connectors.examples import ALL_PROVIDERS, NOW, SIGNING_SECRETS
from tests.connectors.proxy import Proxy
from tests.connectors.receiver import Answer, Behaviour, Receiver
from tests.connectors.responses import RESPONSES, Row, as_markdown

DOCS = Path(__file__).parents[2] / "docs"
Ways = Mapping[str, tuple[str, dict[str, str]]]
#: A row of all providers is tried with each in turn; with the others it is left to `make testall`.
CASES = [
    pytest.param(
        provider,
        row,
        f"/row/{number}/{provider}",
        id=f"{provider}: {row.name}",
        marks=[] if row.provider != "all" or place == number % len(ALL_PROVIDERS) else pytest.mark.slow,
    )
    for number, row in enumerate(RESPONSES)
    for place, provider in enumerate(ALL_PROVIDERS if row.provider == "all" else (row.provider,))
]
# short where the answer is known not to come, long where a busy machine must not look like a silent one
IMPATIENT = {
    "hang": {"read_timeout_seconds": 0.1},
    "slow_head": {"read_timeout_seconds": 0.2},
    "slow_body": {"read_timeout_seconds": 1.0},
    "full_port": {"connect_timeout_seconds": 0.3},
    "proxy_silent": {"connect_timeout_seconds": 1.0},
}
CERTIFICATES: dict[str, dict[str, str]] = {
    "expired": {"names": LOCAL, "end": "20210101000000Z"},
    "not_yet_valid": {"names": LOCAL, "start": "20980101000000Z"},
    "wrong_host": {"names": "DNS:elsewhere.example"},
    "unknown_authority": {"names": LOCAL},
}
UNUSED = "https://receiver.invalid"


@pytest.fixture(scope="module")
def in_the_way(authority: Authority, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    """For each wire on which nothing arrives: the address to call, and the settings of the connector."""
    ca_file = {"ca_file": str(authority.own.pem)}
    with ExitStack() as stack:
        made = {
            wire: stack.enter_context(Receiver(tls=authority.certificate(**asked)))
            for wire, asked in CERTIFICATES.items()
        }
        made["self_signed"] = stack.enter_context(Receiver(tls=self_signed(tmp_path_factory.mktemp("self"))))
        expired = authority.certificate(**CERTIFICATES["expired"])
        proxies = {
            "proxy_407": Proxy(to=receiver.port, refuses_with="407 Proxy Authentication Required"),
            "proxy_403": Proxy(to=receiver.port, refuses_with="403 Forbidden"),
            "proxy_silent": Proxy(to=receiver.port, is_silent=True),
            "proxy_expired": Proxy(to=receiver.port, tls=expired),
        }
        closed = closed_port()
        yield {
            **{wire: (f"https://localhost:{one.port}", ca_file) for wire, one in made.items()},
            **{wire: (UNUSED, ca_file | {"proxy": stack.enter_context(one).url}) for wire, one in proxies.items()},
            "unknown_authority": (f"https://localhost:{made['unknown_authority'].port}", {}),
            "self_signed": (f"https://localhost:{made['self_signed'].port}", {}),
            "no_tls": (f"https://localhost:{receiver.port}", {}),
            "no_name": (UNUSED, {}),
            "refused": (f"http://127.0.0.1:{closed}", {}),
            "full_port": (f"http://127.0.0.1:{full_port(stack)}", {}),
            "proxy_refused": (UNUSED, {"proxy": f"http://127.0.0.1:{closed}"}),
            "proxy_no_name": ("https://example.org", {"proxy": "http://proxy.invalid:3128"}),
        }
        assert [one.requests() for one in made.values()] == [[]] * len(made)


@pytest.mark.parametrize(("provider", "row", "path"), CASES)
def test_an_answer_is_graded_as_the_table_says(
    provider: str,
    row: Row,
    path: str,
    receiver: Receiver,
    in_the_way: Ways,
    configured: Configured,
    attempt: Deliver,
) -> None:
    arrives = row.wire not in in_the_way
    if arrives:
        body = row.body or (b"." * 10_000 if row.wire in ("slow_body", "reset_in_body") else b"")
        base, changes = receiver.base_url, dict[str, str]()
        receiver.script(path, Answer(row.status or 200, body, row.headers, cast("Behaviour", row.wire)))
    else:
        base, changes = in_the_way[row.wire]

    outcome = attempt(configured(provider, base + path, changes), **IMPATIENT.get(row.wire, {}))

    assert (outcome.grade, outcome.reason) == (row.grade, row.reason)
    assert outcome.status_code == row.status
    assert outcome.success is (row.grade in (Grade.DELIVERED, Grade.ACCEPTED))
    assert outcome.transient is (row.grade in (Grade.THROTTLED, Grade.FAILED, Grade.AMBIGUOUS))
    assert outcome.retry_not_before == (None if row.floor is None else NOW + timedelta(seconds=row.floor))
    assert outcome.attempt_count == 1
    assert len(receiver.wait_for(path, int(arrives))) == int(arrives)


def test_the_docs_show_exactly_the_rows_that_are_tested() -> None:
    shown = re.search(
        r"<!-- responses -->\n(.*?)<!-- /responses -->",
        (DOCS / "connectors-answers-table.md").read_text(encoding="utf-8"),
        re.S,
    )
    assert shown is not None
    assert shown[1].strip().splitlines()[2:] == [as_markdown(row) for row in RESPONSES]


def test_the_connector_file_of_the_docs_loads_with_all_eight_providers(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", (DOCS / "connectors.md").read_text(encoding="utf-8"), re.S)
    assert example is not None
    path = tmp_path / "connectors.yaml"
    path.write_text(example[1].replace("enabled: false", "enabled: true"), encoding="utf-8")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "teams-url").write_text("https://example.org/teams", encoding="utf-8")
    (tmp_path / "secrets" / "teams-url").chmod(0o600)
    names = re.findall(r"_env: (\w+)", example[1])
    environ = dict.fromkeys(names, "a-token") | {name: "https://example.org/x" for name in names if "URL" in name}
    connectors = read_connectors(path, environ | {"CAVRA_WEBHOOK_SECRETS": " ".join(SIGNING_SECRETS)})
    assert connectors.problems() == []
    assert sorted(connectors.providers) == sorted(PROVIDERS)


def test_the_docs_name_every_key_that_a_provider_takes() -> None:
    text = (DOCS / "connectors.md").read_text(encoding="utf-8")
    for name, provider in PROVIDERS.items():
        for option in provider.options:
            assert f"`{option}`" in text, (name, option)


def test_every_provider_has_a_row_of_its_own_for_success_and_for_refusal() -> None:
    for provider in ALL_PROVIDERS:
        own = [row.grade for row in RESPONSES if row.provider == provider]
        assert any(one.success for one in own), provider
        assert provider == "webhook" or Grade.REJECTED in own, provider


@pytest.mark.parametrize("provider", ALL_PROVIDERS)
def test_no_status_outside_2xx_is_ever_success(provider: str) -> None:
    for status in (*range(100, 200), *range(300, 600)):
        for body in (b"", b"ok", b"1", b'{"code":0,"ok":true,"result":{"a":1},"status":"ok"}', None):
            assert not grade(provider, status, body).grade.success


@pytest.mark.parametrize("provider", ALL_PROVIDERS)
def test_transient_is_408_425_429_and_5xx_and_nothing_beside_them(provider: str) -> None:
    transient = {status for status in range(300, 600) if grade(provider, status, b"").grade.transient}
    assert transient == {408, 425, 429, *range(500, 600)}


@pytest.mark.parametrize("provider", ALL_PROVIDERS)
@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"[" * 100_000, b"null", b"[]", b'"ok"', b"1e999", b'{"code":true}'])
def test_a_strange_body_never_raises_and_never_shows_in_the_reason(provider: str, body: bytes) -> None:
    for status in (200, 201, 202, 400, 503):
        assert re.fullmatch(r"[a-z0-9_]{1,40}", grade(provider, status, body).reason)


def test_the_reason_holds_nothing_of_the_body() -> None:
    assert grade("splunk", 200, b'{"code": 123456789}').reason == "splunk_code_unknown"
    assert grade("slack", 200, b'{"ok":false,"error":"xoxb-CANARY"}').reason == "slack_ok_false"


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def full_port(stack: ExitStack) -> int:
    """A port whose queue of connections is full: another one is neither taken nor refused."""
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for _ in range(4):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return int(listener.getsockname()[1])
