"""The way to a receiver: own authorities, proxies, and which of them a setting or the environment chooses."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cavra_pipeline.connectors import Secret, read_connectors
from cavra_pipeline.connectors.route import environment_proxy, is_proxy_url
from tests.connectors.certificates import LOCAL, Authority
from tests.connectors.conftest import Configured, Deliver
from tests.connectors.examples import document_for, environment_for
from tests.connectors.proxy import Proxy
from tests.connectors.receiver import Receiver, answer


@pytest.fixture(scope="module")
def safe(authority: Authority) -> Iterator[Receiver]:
    """A receiver over TLS that knows two names: this machine's, and one that only a proxy can find."""
    with Receiver(tls=authority.certificate(f"{LOCAL},DNS:receiver.invalid")) as running:
        yield running


def test_a_receiver_of_an_own_authority_is_reached_with_its_ca_file(
    safe: Receiver, authority: Authority, configured: Configured, attempt: Deliver
) -> None:
    url = safe.script("/own", answer(200, "ok"))
    assert attempt(configured("slack", url)).reason == "tls_unknown_authority"
    assert attempt(configured("slack", url, {"ca_file": str(authority.own.pem)})).success
    assert len(safe.requests("/own")) == 1


def test_a_ca_file_is_seen_from_the_folder_of_the_connector_file(
    safe: Receiver, authority: Authority, configured: Configured, attempt: Deliver, tmp_path: Path
) -> None:
    (tmp_path / "own.pem").write_bytes(authority.own.pem.read_bytes())
    url = safe.script("/beside", answer(200, "ok"))
    assert attempt(configured("slack", url, {"ca_file": "own.pem"})).success


def test_the_ca_file_of_the_host_counts_for_every_connector(
    safe: Receiver, authority: Authority, attempt: Deliver, tmp_path: Path
) -> None:
    path = tmp_path / "connectors.yaml"
    path.write_text(yaml.safe_dump(document_for("slack")), encoding="utf-8")
    url = safe.script("/host", answer(200, "ok"))
    assert attempt(read_connectors(path, environment_for(url), authority.own.pem).open("slack")).success


def test_certificates_that_others_may_change_are_not_trusted(authority: Authority, tmp_path: Path) -> None:
    path = tmp_path / "connectors.yaml"
    path.write_text(yaml.safe_dump(document_for("slack", {"ca_file": "own.pem"})), encoding="utf-8")
    (tmp_path / "own.pem").write_bytes(authority.own.pem.read_bytes())
    for mode, keys in ((0o644, []), (0o664, ["connectors.slack.ca_file"])):
        (tmp_path / "own.pem").chmod(mode)
        problems = read_connectors(path, environment_for("https://a.example/x")).problems()
        assert [fault.where for problem in problems for fault in problem.faults] == keys


@pytest.mark.parametrize("is_safe_proxy", [False, True])
def test_a_proxy_of_the_setting_leads_to_a_name_that_only_it_knows(
    is_safe_proxy: bool, safe: Receiver, authority: Authority, configured: Configured, attempt: Deliver
) -> None:
    path = f"/tunnel/{is_safe_proxy}"
    safe.script(path, answer(200, "ok"))
    with Proxy(to=safe.port, tls=authority.certificate(LOCAL) if is_safe_proxy else None) as proxy:
        changes = {"proxy": proxy.url, "ca_file": str(authority.own.pem)}
        assert attempt(configured("slack", f"https://receiver.invalid{path}", changes)).success
    assert [asked.split("\r\n")[0] for asked in proxy.asked] == ["CONNECT receiver.invalid:443 HTTP/1.1"]
    assert len(safe.requests(path)) == 1


def test_the_receivers_certificate_is_checked_behind_a_proxy_too(
    safe: Receiver, authority: Authority, configured: Configured, attempt: Deliver
) -> None:
    safe.script("/other", answer(200, "ok"))
    with Proxy(to=safe.port) as proxy:
        changes = {"proxy": proxy.url, "ca_file": str(authority.own.pem)}
        outcome = attempt(configured("slack", "https://other.invalid/other", changes))
        assert attempt(configured("slack", "https://other.invalid/other", {"proxy": proxy.url})).reason == (
            "tls_unknown_authority"
        )
    assert outcome.reason == "tls_hostname_mismatch"
    assert safe.requests("/other") == []


def test_a_proxys_credentials_come_from_a_secret_and_are_not_sent_to_the_receiver(
    safe: Receiver, authority: Authority, configured: Configured, attempt: Deliver
) -> None:
    safe.script("/credentials", answer(200, "ok"))
    with Proxy(to=safe.port) as proxy:
        connector = configured(
            "slack",
            "https://receiver.invalid/credentials",
            {"proxy_env": "CANARY_PROXY", "ca_file": str(authority.own.pem)},
            {"CANARY_PROXY": proxy.url.replace("://", "://us%40er:pass%3Aword@")},
        )
        assert attempt(connector).success
    expected = base64.b64encode(b"us@er:pass:word").decode()
    assert f"Proxy-Authorization: Basic {expected}" in proxy.asked[0]
    assert safe.requests("/credentials")[0].header("proxy-authorization") is None
    assert "us%40er" not in f"{connector!r}"


def test_the_environment_names_a_proxy_and_a_setting_or_no_proxy_declines_it(
    safe: Receiver, authority: Authority, configured: Configured, attempt: Deliver
) -> None:
    safe.script("/environment", answer(200, "ok"))
    url, own = "https://receiver.invalid/environment", {"ca_file": str(authority.own.pem)}
    with Proxy(to=safe.port) as proxy:
        environ = {"HTTPS_PROXY": proxy.url}
        assert attempt(configured("slack", url, own, environ)).success
        assert attempt(configured("slack", url, own | {"proxy": "none"}, environ)).reason == "name_not_resolved"
        declined = environ | {"NO_PROXY": "receiver.invalid"}
        assert attempt(configured("slack", url, own, declined)).reason == "name_not_resolved"
    assert len(proxy.asked) == len(safe.requests("/environment")) == 1


@pytest.mark.parametrize(
    ("url", "environ", "proxied"),
    [
        ("https://a.example", {}, False),
        ("https://a.example", {"HTTPS_PROXY": ""}, False),
        ("https://a.example", {"HTTP_PROXY": "http://p:1", "ALL_PROXY": "http://p:1"}, False),
        ("https://a.example", {"https_proxy": "http://p:1"}, True),
        ("https://a.example", {"HTTPS_PROXY": "p:1"}, True),
        ("https://127.0.0.1", {"HTTPS_PROXY": "http://p:1"}, False),
        ("https://localhost", {"HTTPS_PROXY": "http://p:1"}, False),
        ("http://127.0.0.1", {"HTTPS_PROXY": "http://p:1"}, False),
        ("https://a.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, False),
        ("https://a.example", {"HTTPS_PROXY": "http://p:1", "no_proxy": "example"}, False),
        ("https://a.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": " b.example , .example"}, False),
        ("https://a.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*.example"}, False),
        ("https://A.Example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "A.EXAMPLE"}, False),
        ("https://aa.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.example"}, True),
        ("https://a.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.example:443"}, False),
        ("https://a.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.example:444"}, True),
        ("https://a.example:444", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.example:444"}, False),
        ("https://10.1.2.3", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, False),
        ("https://11.1.2.3", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, True),
        ("https://[fd00::1]", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "fd00::/8"}, False),
        ("https://[fd00::1]", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "[fd00::1]:443"}, False),
        ("https://[fd00::1]", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "fd00::1"}, False),
        ("https://[fe00::1]", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "fd00::/8, ,"}, True),
    ],
)
def test_the_environment_is_read_as_other_programs_read_it(url: str, environ: dict[str, str], proxied: bool) -> None:
    found = environment_proxy(environ, Secret(url))
    assert (found == Secret("http://p:1")) if proxied else (found is None)


@pytest.mark.parametrize(
    ("proxy", "accepted"),
    [
        ("http://p:3128", True),
        ("http://p", True),
        ("https://u:p@p:3128/", True),
        ("http://[::1]:3128", True),
        ("socks5://p:1080", False),
        ("p:3128", False),
        ("http://", False),
        ("http://p:99999", False),
        ("http://p/path", False),
        ("http://p?query", False),
        ("http://p p", False),
        ("", False),
    ],
)
def test_a_proxy_is_an_http_address_and_nothing_more(proxy: str, accepted: bool) -> None:
    assert is_proxy_url(Secret(proxy)) is accepted


def test_a_proxy_of_the_environment_that_is_none_is_a_fault_of_those_that_would_use_it(tmp_path: Path) -> None:
    path = tmp_path / "connectors.yaml"
    path.write_text(yaml.safe_dump(document_for("slack")), encoding="utf-8")
    environ = environment_for("https://a.example/x") | {"HTTPS_PROXY": "socks5://CANARY:1"}
    (problem,) = read_connectors(path, environ).problems()
    assert [fault.where for fault in problem.faults] == ["connectors.slack.HTTPS_PROXY"]
    assert "CANARY" not in str(problem.document())
    assert read_connectors(path, environ | {"NO_PROXY": "a.example"}).problems() == []
