"""The connector file: what it may say, and that every fault is named without showing a value."""

from __future__ import annotations

import pickle
import traceback
from pathlib import Path
from typing import Any

import pytest
import yaml

from cavra_pipeline.connectors import ConnectorConfigError, read_connectors
from cavra_pipeline.connectors.faults import FILE_UNUSABLE, MISCONFIGURED, SECRET_UNUSABLE, WHOLE_FILE
from cavra_pipeline.errors import Fault
from tests.connectors.examples import ALL_PROVIDERS, CANARIES, ENTRIES, document_for, environment_for

URL = "https://example.org/CANARYpath"
ENTRA: dict[str, Any] = {
    "token_env": None,
    "tenant_id": "contoso.onmicrosoft.com",
    "client_id": "00000000-0000-0000-0000-000000000001",
    "client_secret_env": "CANARY_TOKEN",
}


def write(tmp_path: Path, document: Any) -> Path:
    path = tmp_path / "connectors.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document), encoding="utf-8")
    return path


def faults_of(path: Path, environ: dict[str, str] | None = None) -> tuple[Fault, ...]:
    """Everything that is wrong with a file; no value of it may be in what is said."""
    problems = read_connectors(path, environment_for(URL) if environ is None else environ).problems()
    faults = tuple(fault for problem in problems for fault in problem.faults)
    assert faults
    assert "CANARY" not in f"{problems} {[problem.document() for problem in problems]}".replace(str(path), "")
    assert all(fault.what and fault.remedy for fault in faults)
    return faults


def keys_of(tmp_path: Path, provider: str, environ: dict[str, str] | None = None, **changes: Any) -> list[str]:
    path = write(tmp_path, document_for(provider, changes))
    return [fault.where.removeprefix(f"connectors.{provider}.") for fault in faults_of(path, environ)]


def test_all_eight_providers_load_from_one_file_in_its_order(tmp_path: Path) -> None:
    document = {"connectors": {provider: dict(entry) for provider, entry in ENTRIES.items()}}
    path = tmp_path / "connectors.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    assert tuple(read_connectors(path, environment_for(URL)).providers) == ALL_PROVIDERS


def test_a_provider_name_is_trimmed_lowered_and_joined_by_underscores(tmp_path: Path) -> None:
    path = write(tmp_path, {"connectors": {" SLACK ": dict(ENTRIES["slack"])}})
    assert list(read_connectors(path, environment_for(URL)).providers) == ["slack"]


@pytest.mark.parametrize("provider", ALL_PROVIDERS)
def test_a_disabled_connector_is_left_out_and_its_secrets_are_not_looked_for(provider: str, tmp_path: Path) -> None:
    path = write(tmp_path, document_for(provider, {"enabled": False}))
    connectors = read_connectors(path, {})
    assert (connectors.problems(), connectors.has(provider), list(connectors.providers)) == ([], False, [])


@pytest.mark.parametrize("provider", ALL_PROVIDERS)
def test_a_disabled_connector_is_no_problem_whatever_its_form(provider: str, tmp_path: Path) -> None:
    path = write(tmp_path, document_for(provider, {"enabled": False, "urll": "x"}))
    assert read_connectors(path, {}).problems() == []


@pytest.mark.parametrize("provider", ALL_PROVIDERS)
def test_without_its_environment_every_missing_variable_is_named_by_its_key(provider: str, tmp_path: Path) -> None:
    wanted = {key for key in ENTRIES[provider] if key.endswith("_env")}
    for environ in ({}, dict.fromkeys([*CANARIES, "CANARY_URL"], "  ")):
        assert set(keys_of(tmp_path, provider, environ)) == wanted


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    document = {
        "connectors": {
            "slack": {"url": "https://hooks.slack.com/services/CANARY", "colour": 1},
            "jira": {"url_env": "NOT_SET", "project_key": "ops", "method": "GET"},
            "pager": {},
            "teams": "CANARY",
        },
        "extra": 1,
    }
    faults = faults_of(write(tmp_path, document))
    assert sorted(fault.where for fault in faults) == [
        "connectors.jira.method",
        "connectors.jira.project_key",
        "connectors.jira.token_env",
        "connectors.jira.url_env",
        "connectors.pager",
        "connectors.slack.colour",
        "connectors.slack.url",
        "connectors.teams",
        "extra",
    ]


def test_an_unknown_key_comes_with_the_list_of_those_that_are_known(tmp_path: Path) -> None:
    (fault,) = faults_of(write(tmp_path, document_for("splunk", {"indexx": "a"})))
    assert fault.where == "connectors.splunk.indexx"
    for key in ("url_env", "token_env", "index", "sourcetype"):
        assert key in fault.remedy
    assert "project_key" not in fault.remedy


@pytest.mark.parametrize("key", ["token", "authorization", "api_key"])
def test_a_secret_written_into_the_file_is_refused_and_not_shown(key: str, tmp_path: Path) -> None:
    (fault,) = faults_of(write(tmp_path, document_for("splunk", {key: "CANARYliteral"})))
    assert fault.where == f"connectors.splunk.{key}"
    assert f"{key}_env" in fault.remedy


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", "CANARY"),
        ("proxy-authorization", "CANARY"),
        ("X-Api-Key", "CANARY"),
        ("X-Auth-Token", "CANARY"),
        ("Cookie", "CANARY"),
        ("Ocp-Apim-Subscription-Key", "CANARY"),
        ("X-Team", "Bearer CANARY"),
        ("X-Team", "whsec_CANARY"),
        ("X-Team", "a\nCANARY: b"),
        ("X-Team", " CANARY"),
        ("X-Team", 7),
        ("Content-Type", "text/plain"),
        ("webhook-id", "CANARY"),
        ("Host", "CANARY"),
        ("bad name", "CANARY"),
    ],
)
def test_a_header_that_is_a_secret_or_not_the_operators_to_set_is_refused(
    name: str, value: Any, tmp_path: Path
) -> None:
    (key,) = keys_of(tmp_path, "webhook", headers={name: value})
    assert key.startswith("headers.")


def test_an_ordinary_header_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path, document_for("webhook", {"headers": {"X-Team": "ops", "X-Site": "a b"}}))
    assert read_connectors(path, environment_for(URL)).open("webhook").headers == {
        "X-Team": "ops",
        "X-Site": "a b",
    }


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("https://example.org/x", True),
        ("https://example.org:8443/x?a=b", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://127.9.9.9/x", True),
        ("http://[::1]:8080/x", True),
        ("http://localhost/x", True),
        ("http://example.org/x", False),
        ("http://128.0.0.1/x", False),
        ("http://localhost.example.org/x", False),
        ("http://127.0.0.1.example.org/x", False),
        ("ftp://example.org/x", False),
        ("https:///x", False),
        ("https://user:CANARY@example.org/x", False),
        ("https://example.org/x#CANARY", False),
        ("https://example.org:port/x", False),
        ("https://example.org:99999/x", False),
        ("https://exa mple.org/CANARY", False),
        ("https://bücher.example/CANARY", False),
        ("CANARY", False),
    ],
)
def test_an_address_is_https_or_loopback_and_carries_no_credential(url: str, accepted: bool, tmp_path: Path) -> None:
    if accepted:
        path = write(tmp_path, document_for("webhook"))
        assert read_connectors(path, environment_for(url)).open("webhook").url.reveal() == url
    else:
        assert keys_of(tmp_path, "webhook", environment_for(url)) == ["url_env"]


@pytest.mark.parametrize("provider", ["slack", "teams"])
def test_an_address_that_is_the_credential_may_not_stand_in_the_file(provider: str, tmp_path: Path) -> None:
    assert keys_of(tmp_path, provider, url="https://example.org/CANARY", url_env=None) == ["url"]


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.slack.com/services/CANARY",
        "https://prod-1.westeurope.logic.azure.com/workflows/CANARY",
        "https://contoso.webhook.office.com/CANARY",
        "https://example.org/x?sig=CANARY",
        "https://user:CANARY@example.org/",
        7,
    ],
)
def test_a_literal_address_that_may_be_a_secret_is_refused_for_any_provider(url: Any, tmp_path: Path) -> None:
    assert keys_of(tmp_path, "webhook", url=url, url_env=None) == ["url"]


def test_a_literal_address_that_is_no_secret_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path, document_for("datadog", {"url": "https://api.datadoghq.eu", "url_env": None}))
    connector = read_connectors(path, environment_for(URL)).open("datadog")
    assert connector.url.reveal() == "https://api.datadoghq.eu/api/v1/events"


def test_there_is_exactly_one_address(tmp_path: Path) -> None:
    assert keys_of(tmp_path, "slack", url_env=None) == ["url"]
    assert keys_of(tmp_path, "slack", url_file="a") == ["url"]


def test_a_secret_may_stand_in_a_file_beside_the_connector_file(tmp_path: Path) -> None:
    (tmp_path / "url.secret").write_text(f"{URL}\n", encoding="utf-8")
    (tmp_path / "url.secret").chmod(0o600)
    path = write(tmp_path, document_for("slack", {"url_env": None, "url_file": "url.secret"}))
    assert read_connectors(path, {}).open("slack").url.reveal() == URL


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe", b"CANARY" * 4000])
def test_a_secret_file_that_cannot_be_used_is_a_fault(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "CANARY.secret").write_bytes(content)
        (tmp_path / "CANARY.secret").chmod(0o600)
    assert keys_of(tmp_path, "slack", {}, url_env=None, url_file="CANARY.secret") == ["url_file"]


@pytest.mark.parametrize(
    ("provider", "changes", "key"),
    [
        ("slack", {"url_env": "xoxb-CANARY"}, "url_env"),
        ("slack", {"url_env": 7}, "url_env"),
        ("slack", {"enabled": "yes please"}, "enabled"),
        ("slack", {"headers": ["CANARY"]}, "headers"),
        ("slack", {"method": "PUT"}, "method"),
        ("webhook", {"method": "GET"}, "method"),
        ("webhook", {"signing_secrets_env": None}, "signing_secrets_env"),
        ("webhook", {"signing_secrets_env": "CANARY_TOKEN"}, "signing_secrets_env"),
        ("webhook", {"authorization_env": "CANARY_TOKEN", "token_env": "CANARY_TOKEN"}, "token_env"),
        ("jira", {"token_env": None, "username": None}, "token_env"),
        ("jira", {"token_file": "x"}, "token_env"),
        ("jira", {"username": "a:CANARY"}, "username"),
        ("jira", {"authorization_scheme": "Bearer"}, "authorization_scheme"),
        ("jira", {"authorization_scheme": "two words"}, "authorization_scheme"),
        ("jira", {"project_key": None}, "project_key"),
        ("jira", {"project_key": "canary-CANARY"}, "project_key"),
        ("servicenow", {"table": "sys_user"}, "table"),
        ("sentinel", {"dcr": None}, "dcr"),
        ("sentinel", {"stream": "CANARY/.."}, "stream"),
        ("splunk", {"channel": "CANARY"}, "channel"),
        ("datadog", {"api_key_env": None}, "api_key_env"),
        ("datadog", {"api_key_header": "Content-Type"}, "api_key_header"),
        ("slack", {"ca_file": 7}, "ca_file"),
        ("slack", {"ca_file": "CANARY-none.pem"}, "ca_file"),
        ("slack", {"proxy": 7}, "proxy"),
        ("slack", {"proxy": "socks5://CANARY:1080"}, "proxy"),
        ("slack", {"proxy": "http://user:CANARY@proxy:3128"}, "proxy"),
        ("slack", {"proxy": "http://proxy:3128/CANARY"}, "proxy"),
        ("slack", {"proxy": "none", "proxy_env": "CANARY_TOKEN"}, "proxy"),
        ("slack", {"proxy_env": "CANARY_TOKEN"}, "proxy_env"),
        ("slack", {"tenant_id": "contoso"}, "tenant_id"),
        ("sentinel", {"token_env": None}, "token_env"),
        ("sentinel", {"client_id": "a", "tenant_id": "b", "client_secret_env": "CANARY_TOKEN"}, "client_id"),
        ("sentinel", ENTRA | {"tenant_id": "CANARY/.."}, "tenant_id"),
        ("sentinel", ENTRA | {"tenant_id": None}, "tenant_id"),
        ("sentinel", ENTRA | {"client_id": None}, "client_id"),
        ("sentinel", ENTRA | {"client_secret_env": None}, "client_secret_env"),
        ("sentinel", ENTRA | {"client_secret": "CANARY"}, "client_secret"),
        ("sentinel", ENTRA | {"scope": "CANARY"}, "scope"),
        ("sentinel", ENTRA | {"authority": "http://login.example.org"}, "authority"),
        ("sentinel", ENTRA | {"authority": "https://login.example.org/CANARY"}, "authority"),
    ],
)
def test_each_rule_is_told_by_the_key_that_breaks_it(
    provider: str, changes: dict[str, Any], key: str, tmp_path: Path
) -> None:
    assert keys_of(tmp_path, provider, **changes) == [key]


def test_a_secret_that_cannot_go_into_a_header_is_refused(tmp_path: Path) -> None:
    for value in ("CANARY\r\nX-Evil: 1", "CANARYé"):
        assert keys_of(tmp_path, "splunk", {**environment_for(URL), "CANARY_TOKEN": value}) == ["token_env"]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("connectors: [", "not valid YAML at line"),
        ("connectors:\n  slack:\n    url_env: 'CANARY\n", "not valid YAML at line"),
        ("connectors: !!python/object/apply:os.system [CANARY]", "not valid YAML at line"),
        ("connectors:\n  slack: {url_env: A}\n  slack: {url_env: CANARY}", "the provider stands twice"),
        ("connectors:\n  slack: {url_env: A, url_env: CANARY}", "the key stands twice"),
        ("connectors:\n  slack: {url_env: CANARY_URL, headers: {a: b, a: CANARY}}", "the key stands twice"),
        ("connectors: {slack: {url_env: A}}\nconnectors: {slack: {url_env: CANARY}}", "it stands twice"),
        ("- CANARY", "not a mapping"),
        ("", "not a mapping"),
        ("connectors:", "not a mapping of providers"),
        ("connectors: {}", "not a mapping of providers"),
        ("CANARY-12: 1", "unknown key"),
    ],
)
def test_a_file_that_is_not_the_form_is_refused_without_a_quotation(content: str, rule: str, tmp_path: Path) -> None:
    assert any(rule in fault.what for fault in faults_of(write(tmp_path, content)))


def test_a_file_that_is_missing_too_large_or_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_bytes(b"# CANARY\n" * 40_000)
    (tmp_path / "latin.yaml").write_bytes(b"connectors: CANARY\xe9\n")
    rules = [faults_of(tmp_path / name)[0].what for name in ("none.yaml", "large.yaml", "latin.yaml", ".")]
    assert rules == [
        "it cannot be read",
        "it is over 262144 bytes",
        "it is not UTF-8",
        "it cannot be read",
    ]


def test_a_pasted_secret_as_a_key_is_not_shown(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"xoxb-12-CANARY": 1}
    assert keys_of(tmp_path, "slack", None, **changes) == ["(a key that is not shown)"]


def test_the_error_survives_pickling_with_its_faults(tmp_path: Path) -> None:
    with pytest.raises(ConnectorConfigError) as refusal:
        read_connectors(tmp_path / "none.yaml", {}).open("slack")
    copied = pickle.loads(pickle.dumps(refusal.value))  # noqa: S301
    assert (str(copied), copied.faults, copied.file) == (
        str(refusal.value),
        refusal.value.faults,
        refusal.value.file,
    )
    assert str(tmp_path / "none.yaml") in str(refusal.value)


BROKEN_ENTRIES: list[tuple[Any, str]] = [
    ({"url_env": "NOT_SET"}, SECRET_UNUSABLE),
    ({"url_env": "CANARY_TOKEN"}, SECRET_UNUSABLE),
    ({"url_file": "none.secret"}, SECRET_UNUSABLE),
    ({"url_env": "CANARY_URL", "colour": "CANARY"}, MISCONFIGURED),
    ({"url_env": "CANARY_URL", "enabled": "perhaps"}, MISCONFIGURED),
    ({"url_env": "CANARY_URL", "ca_file": "none.pem"}, MISCONFIGURED),
    ({}, MISCONFIGURED),
    (None, MISCONFIGURED),
    ("CANARY", MISCONFIGURED),
    (["CANARY"], MISCONFIGURED),
]


@pytest.mark.parametrize(("entry", "reason"), BROKEN_ENTRIES)
def test_what_is_wrong_with_one_provider_concerns_that_provider(entry: Any, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path, {"connectors": {"webhook": dict(ENTRIES["webhook"]), "slack": entry}})
    connectors = read_connectors(path, environment_for(URL))
    assert connectors.open("webhook").url.reveal() == URL
    assert [(problem.subject, problem.reason) for problem in connectors.problems()] == [("slack", reason)]
    assert (connectors.has("slack"), connectors.problem("webhook")) == (True, None)
    with pytest.raises(ConnectorConfigError) as refusal:
        connectors.open("slack")
    assert "CANARY" not in "".join(traceback.format_exception(refusal.value))


def test_an_unknown_provider_or_key_is_named_and_stops_no_other(tmp_path: Path) -> None:
    document = {"connectors": {"pager": {}, "slack": dict(ENTRIES["slack"])}, "colour": 1}
    connectors = read_connectors(write(tmp_path, document), environment_for(URL))
    assert sorted(problem.subject for problem in connectors.problems()) == ["colour", "pager"]
    assert connectors.open("slack").url.reveal() == URL


def test_a_file_that_cannot_be_read_concerns_all_and_is_named_once(tmp_path: Path) -> None:
    connectors = read_connectors(write(tmp_path, "connectors: ["), environment_for(URL))
    assert [(problem.subject, problem.reason) for problem in connectors.problems()] == [(WHOLE_FILE, FILE_UNUSABLE)]
    for provider in ALL_PROVIDERS:
        assert connectors.has(provider)  # as far as can be known
        assert connectors.problem(provider, reads_secrets=False) == connectors.problems()[0]


def test_the_form_is_checked_without_looking_for_any_secret(tmp_path: Path) -> None:
    class Unread(dict[str, str]):
        def get(self, key: str, default: Any = None) -> Any:
            raise AssertionError("a secret was looked for")

    path = write(tmp_path, {"connectors": {provider: dict(entry) for provider, entry in ENTRIES.items()}})
    connectors = read_connectors(path, Unread())
    for provider in ALL_PROVIDERS:
        assert connectors.problem(provider, reads_secrets=False) is None
    with pytest.raises(AssertionError, match="was looked for"):
        connectors.problem("slack")


@pytest.mark.parametrize(
    ("mode", "rule"),
    [(0o600, None), (0o400, None), (0o644, None), (0o620, "may change it"), (0o602, "may change it")],
)
def test_a_connector_file_that_others_may_change_is_not_used(mode: int, rule: str | None, tmp_path: Path) -> None:
    path = write(tmp_path, document_for("slack"))
    path.chmod(mode)
    problems = read_connectors(path, environment_for(URL)).problems()
    assert [rule in problem.faults[0].what for problem in problems if rule] == ([True] if rule else [])
    assert len(problems) == (1 if rule else 0)


@pytest.mark.parametrize(
    ("mode", "accepted"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False), (0o620, False)]
)
def test_a_secret_file_that_others_may_read_or_change_is_not_used(mode: int, accepted: bool, tmp_path: Path) -> None:
    (tmp_path / "url.secret").write_text(URL, encoding="utf-8")
    (tmp_path / "url.secret").chmod(mode)
    path = write(tmp_path, document_for("slack", {"url_env": None, "url_file": "url.secret"}))
    problems = read_connectors(path, {}).problems()
    assert [(one.reason, one.faults[0].remedy) for one in problems] == (
        [] if accepted else [(SECRET_UNUSABLE, f"run: chmod 600 {tmp_path / 'url.secret'}")]
    )


def test_a_ca_file_of_the_host_that_cannot_be_used_is_named_and_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, document_for("slack"))
    for content in (None, "CANARY, no certificate"):
        if content:
            (tmp_path / "ca.pem").write_text(content, encoding="utf-8")
        connectors = read_connectors(path, environment_for(URL), tmp_path / "ca.pem")
        assert [problem.subject for problem in connectors.problems()] == ["CAVRA_CA_FILE"]
        assert connectors.open("slack").url.reveal() == URL
