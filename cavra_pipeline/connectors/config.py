"""The connector file: read once, checked whole, every fault named.

What belongs here: CAVRA's YAML form to checked connectors, and the words that tell an operator what to mend.
What does not: what a provider is (providers) and what is sent to it (requests).

No message of this module holds a value of the file or of the environment: a value in the wrong place may be
a secret. It names the file, the key, the rule and the remedy.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx
import yaml

from cavra_pipeline.connectors.connector import Connector
from cavra_pipeline.connectors.providers import PROVIDERS, Provider, normalised
from cavra_pipeline.connectors.secret import Secret
from cavra_pipeline.connectors.signing import is_signing_secret
from cavra_pipeline.errors import PipelineError

MAX_SECRET_FILE_BYTES = 16 * 1024
MAX_CONFIG_FILE_BYTES = 256 * 1024

_KEYS = (
    "enabled",
    "url",
    "url_env",
    "url_file",
    "method",
    "headers",
    "username",
    "token_env",
    "token_file",
    "authorization_env",
    "authorization_file",
    "authorization_scheme",
    "api_key_env",
    "api_key_file",
    "api_key_header",
)
_SIGNING_KEYS = ("signing_secrets_env", "signing_secrets_file")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,31}")
_USERNAME = re.compile(r"[\x21-\x39\x3b-\x7e]{1,200}")  # no colon: it ends the name in Basic credentials
# a key that may be shown: no digits, so that a pasted token never is
_SHOWABLE_KEY = re.compile(r"[A-Za-z][A-Za-z_-]{0,39}")

_SECRET_HEADER = re.compile(r"auth|token|secret|key|passw|cookie|credential|signature|session", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"^(bearer|basic|splunk|digest|apikey|token)\s|whsec_|xox[a-z]-|gh[a-z]_|eyJ[A-Za-z0-9_-]{8}|AKIA|sk_|[?&]sig=",
    re.IGNORECASE,
)
_RESERVED_HEADERS = {
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    "x-ms-client-request-id",
    "x-splunk-request-channel",
}
# hosts whose address is the whole credential
_CREDENTIAL_HOST = re.compile(
    r"(^|\.)(hooks\.slack\.com|webhook\.office\.com|outlook\.office\.com|logic\.azure\.com|powerplatform\.com"
    r"|discord\.com|discordapp\.com)$"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to mend: which key, which rule it breaks, and what to do."""

    key: str
    rule: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.key}: {self.rule}; {self.remedy}"


class ConnectorConfigError(PipelineError):
    """The connector file cannot be used: all of its faults, none of its values."""

    def __init__(self, file: Path, faults: tuple[Fault, ...]) -> None:
        """Name the file and everything to mend in it."""
        self.file = file
        self.faults = faults
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__(
            "\n".join(
                [
                    f"{count} in the connector file",
                    *(f"  {fault}" for fault in faults),
                    "None is used",
                ]
            ),
            where=str(file),
            remedy="Mend them all and start again; docs/connectors.md has the keys of each provider.",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.file, self.faults)


def load_connectors(path: Path, environ: Mapping[str, str]) -> Mapping[str, Connector]:
    """Return the enabled connectors by provider, in the order of the file.

    A connector with `enabled: false` is checked in form, but its secrets are not looked for.

    Raises:
        ConnectorConfigError: with every fault of the file.
    """
    faults: list[Fault] = []
    entries = dict(_entries(_document(path, faults), faults))
    connectors = {}
    for provider, settings in entries.items():
        reader = _Reader(path, environ, provider, settings, faults)
        connector = reader.connector()
        if connector is not None:
            connectors[provider] = connector
    if faults:
        raise ConnectorConfigError(path, tuple(faults))
    return connectors


class _DuplicateKeyError(Exception):
    """A mapping of the file has the same key twice."""


class _Loader(yaml.SafeLoader):
    """YAML without its silent choice of the last of two equal keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        if len({str(key) for key in keys}) != len(keys):
            raise _DuplicateKeyError
        return super().construct_mapping(node, deep)


def _document(path: Path, faults: list[Fault]) -> Any:
    """The file's content, or None and a fault; a parser's message quotes the file and stays here."""
    fault = None
    try:
        raw = _read(path, MAX_CONFIG_FILE_BYTES)
        return yaml.load(raw.decode("utf-8"), _Loader)  # noqa: S506  (a SafeLoader)
    except OSError:
        fault = Fault("(file)", "it cannot be read", "check that it exists, is a file and may be read")
    except _TooLargeError:
        fault = Fault("(file)", f"it is over {MAX_CONFIG_FILE_BYTES} bytes", "give the connector file, not a data file")
    except UnicodeDecodeError:
        fault = Fault("(file)", "it is not UTF-8", "save it as UTF-8")
    except _DuplicateKeyError:
        fault = Fault("(file)", "a key stands twice in the same mapping", "keep one of the two")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        fault = Fault("(file)", f"it is not valid YAML{where}", "mend the syntax there")
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        fault = Fault("(file)", "it is not valid YAML", "mend the syntax, and use plain text only")
    faults.append(fault)
    return None


def _entries(document: Any, faults: list[Fault]) -> Iterator[tuple[str, dict[Any, Any]]]:
    """Each known provider with its mapping."""
    if faults:
        return
    if not isinstance(document, dict):
        faults.append(Fault("(file)", "it is not a mapping", "begin with `connectors:` and one key for each provider"))
        return
    unknown = [key for key in document if key != "connectors"]
    faults.extend(Fault(_shown(key), "unknown key", "use only: connectors") for key in unknown)
    connectors = document.get("connectors")
    if not isinstance(connectors, dict) or not connectors:
        faults.append(
            Fault(
                "connectors",
                "it is not a mapping of providers",
                f"add at least one of: {', '.join(PROVIDERS)}",
            )
        )
        return
    seen = set()
    for key, settings in connectors.items():
        provider = normalised(str(key))
        where = f"connectors.{_shown(key)}"
        if provider not in PROVIDERS:
            faults.append(Fault(where, "unknown provider", f"use one of: {', '.join(PROVIDERS)}"))
        elif provider in seen:
            faults.append(Fault(where, "the provider stands twice", "keep one of the two"))
        elif not isinstance(settings, dict):
            faults.append(Fault(where, "it is not a mapping", "give it keys such as url_env"))
        else:
            seen.add(provider)
            yield provider, settings


@dataclass(slots=True)
class _Reader:
    """One provider's mapping to a connector; faults are collected, not raised."""

    path: Path
    environ: Mapping[str, str]
    provider: str
    settings: Mapping[Any, Any]
    faults: list[Fault]
    spec: Provider = field(init=False)
    enabled: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        self.spec = PROVIDERS[self.provider]

    def connector(self) -> Connector | None:
        """The connector, or None if it is disabled or has a fault."""
        before = len(self.faults)
        self._check_keys()
        enabled = self.settings.get("enabled", True)
        if not isinstance(enabled, bool):
            self._fault("enabled", "it is not a boolean", "write true or false")
        self.enabled = enabled is True
        options = self._options()
        method = self._method()
        headers = self._headers()
        secret_headers = self._secret_headers()
        signing_secrets = self._signing_secrets()
        url = self._url(options)
        if len(self.faults) > before or not self.enabled or url is None:
            return None
        return Connector(self.provider, url, method, headers, secret_headers, signing_secrets, options)

    def _accepted_keys(self) -> tuple[str, ...]:
        signing = _SIGNING_KEYS if self.spec.credential == "signature" else ()
        return (*_KEYS, *signing, *self.spec.options)

    def _check_keys(self) -> None:
        accepted = self._accepted_keys()
        for key in self.settings:
            if key in accepted:
                continue
            if f"{key}_env" in accepted:
                self._fault(key, "a secret may not stand in this file", f"use {key}_env or {key}_file")
            else:
                self._fault(key, "unknown key", f"use only: {', '.join(accepted)}")

    def _options(self) -> dict[str, str]:
        options = {}
        for name, option in self.spec.options.items():
            value = self.settings.get(name, option.default)
            if value is None:
                if option.required:
                    self._fault(name, "it is required", f"give {option.form}")
            elif not isinstance(value, str) or not option.pattern.fullmatch(value):
                self._fault(name, "it has the wrong form", f"give {option.form}")
            else:
                options[name] = value
        return options

    def _method(self) -> str:
        method = self.settings.get("method", "POST")
        accepted = self.spec.methods
        if not isinstance(method, str) or method.upper() not in accepted:
            self._fault("method", "this API does not take it", f"use {' or '.join(accepted)}, or leave it out")
            return accepted[0]
        return method.upper()

    def _headers(self) -> dict[str, str]:
        headers = self.settings.get("headers") or {}
        if not isinstance(headers, dict):
            self._fault("headers", "it is not a mapping", "give header names and values")
            return {}
        accepted = {}
        for name, value in headers.items():
            key = f"headers.{_shown(name)}"
            if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
                self._fault(key, "it is not a header name", "use letters, digits and hyphens")
            elif name.lower() in _RESERVED_HEADERS:
                self._fault(key, "the pipeline sets this header itself", "remove it")
            elif _SECRET_HEADER.search(name):
                self._fault(
                    key,
                    "a header of this name carries a secret, and a secret may not stand in this file",
                    "use token_env, authorization_env, or api_key_env with api_key_header",
                )
            elif not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
                self._fault(key, "its value is not a line of printable ASCII", "quote it, and leave out line ends")
            elif _SECRET_VALUE.search(value):
                self._fault(
                    key,
                    "its value looks like a secret, and a secret may not stand in this file",
                    "use token_env, authorization_env, or api_key_env with api_key_header",
                )
            else:
                accepted[name] = value
        return accepted

    def _secret_headers(self) -> dict[str, Secret]:
        headers = {}
        authorization = self._authorization()
        if authorization is not None:
            headers["Authorization"] = authorization
        name = self.settings.get("api_key_header", self.spec.api_key_header)
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED_HEADERS:
            self._fault("api_key_header", "it is not a header name of your own", "give a name such as X-API-Key")
        elif self._given("api_key"):
            api_key = self._header_secret("api_key")
            if api_key is not None:
                headers[name] = api_key
        elif self.spec.credential == "api_key":
            self._fault("api_key_env", "this API needs an API key", "set api_key_env or api_key_file")
        return headers

    def _authorization(self) -> Secret | None:
        """The whole Authorization value: scheme and token, name and token, or as it was given."""
        scheme = self.settings.get("authorization_scheme")
        if scheme is not None and (not isinstance(scheme, str) or not _SCHEME.fullmatch(scheme)):
            self._fault("authorization_scheme", "it is not a scheme", "give one word such as Bearer")
            scheme = None
        username = self.settings.get("username")
        if username is not None and (not isinstance(username, str) or not _USERNAME.fullmatch(username)):
            self._fault("username", "it is not a user name for Basic", "use printable ASCII without spaces or a colon")
            username = None
        token_given, whole_given = self._given("token"), self._given("authorization")
        if token_given and whole_given:
            self._fault("token_env", "it contradicts authorization_env", "keep one of the two")
            return None
        if username is not None and not token_given:
            self._fault("username", "it needs a token to go with it", "set token_env or token_file")
        if username is not None and scheme is not None and scheme.lower() != "basic":
            self._fault("authorization_scheme", "a username goes with Basic only", "remove one of the two")
        if token_given:
            token = self._header_secret("token")
            if token is None:
                return None
            if username is not None:
                pair = base64.b64encode(f"{username}:{token.reveal()}".encode()).decode()
                return Secret(f"Basic {pair}")
            return Secret(f"{scheme or self.spec.scheme} {token.reveal()}")
        if whole_given:
            value = self._header_secret("authorization")
            if value is None or scheme is None:
                return value
            return Secret(f"{scheme} {value.reveal()}")
        if self.spec.credential == "authorization":
            self._fault("token_env", "this API needs a credential", "set token_env, or authorization_env")
        return None

    def _signing_secrets(self) -> tuple[Secret, ...]:
        if self.spec.credential != "signature":
            return ()
        if not self._given("signing_secrets"):
            self._fault(
                "signing_secrets_env",
                "a webhook is signed",
                "set it to a variable that holds one or more whsec_ secrets, the newest first",
            )
            return ()
        text = self._secret("signing_secrets")
        if text is None:
            return ()
        secrets = tuple(Secret(part) for part in re.split(r"[\s,]+", text.reveal()) if part)
        if not all(is_signing_secret(secret) for secret in secrets):
            self._fault(
                self._source("signing_secrets"),
                "it holds something that is not a Standard Webhooks secret",
                "give whsec_ and the base64 of 24 to 64 random bytes, several separated by spaces",
            )
        return secrets

    def _url(self, options: Mapping[str, str]) -> Secret | None:
        given = [key for key in ("url", "url_env", "url_file") if key in self.settings]
        if len(given) != 1:
            remedy = "set url_env or url_file" if self.spec.credential == "address" else "set url, url_env or url_file"
            rule = "there is no address" if not given else "there is more than one address"
            self._fault("url", rule, remedy if not given else "keep one of url, url_env and url_file")
            return None
        key = given[0]
        literal = key == "url"
        url = self._literal_url() if literal else self._secret("url")
        if url is None:
            return None
        parts = _split(url)
        if parts is None:
            self._fault(key, "it is not a URL", "give https://host/path in ASCII, without spaces")
            return None
        before = len(self.faults)
        if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
            self._fault(key, "it is not https", "use https; http is for loopback hosts only")
        if "@" in parts.netloc:
            self._fault(key, "it holds a user name or password", "remove it and use token_env with username")
        if parts.fragment:
            self._fault(key, "it has a fragment", "remove the part from # on")
        if literal and parts.query:
            self._fault(key, "a query can carry a secret", "use url_env or url_file")
        if literal and _CREDENTIAL_HOST.search(parts.hostname or ""):
            self._fault(key, "an address of this host is itself a secret", "use url_env or url_file")
        if len(self.faults) > before:
            return None
        if parts.path in ("", "/") and self.spec.path and options.keys() >= _named(self.spec.path):
            return Secret(f"{parts.scheme}://{parts.netloc}{self.spec.path.format_map(options)}")
        return url

    def _literal_url(self) -> Secret | None:
        value = self.settings["url"]
        if self.spec.credential == "address":
            self._fault("url", "the address of this API is itself a secret", "use url_env or url_file")
            return None
        if not isinstance(value, str):
            self._fault("url", "it is not text", "give https://host/path")
            return None
        return Secret(value)

    def _given(self, name: str) -> bool:
        return f"{name}_env" in self.settings or f"{name}_file" in self.settings

    def _source(self, name: str) -> str:
        return f"{name}_env" if f"{name}_env" in self.settings else f"{name}_file"

    def _header_secret(self, name: str) -> Secret | None:
        secret = self._secret(name)
        if secret is not None and not _HEADER_VALUE.fullmatch(secret.reveal()):
            self._fault(self._source(name), "its value cannot go into a header", "use printable ASCII on one line")
            return None
        return secret

    def _secret(self, name: str) -> Secret | None:
        """The secret that `<name>_env` or `<name>_file` points to; None with a fault or if disabled."""
        if f"{name}_env" in self.settings and f"{name}_file" in self.settings:
            self._fault(f"{name}_env", f"it contradicts {name}_file", "keep one of the two")
            return None
        key = self._source(name)
        pointer = self.settings[key]
        if not isinstance(pointer, str) or not pointer.strip():
            self._fault(
                key,
                "it is not text",
                "give the name of a variable" if key.endswith("_env") else "give a path",
            )
            return None
        return self._from_environment(key, pointer) if key.endswith("_env") else self._from_file(key, pointer)

    def _from_environment(self, key: str, name: str) -> Secret | None:
        if not _ENVIRONMENT_NAME.fullmatch(name):
            self._fault(key, "it is not the name of an environment variable", "give the name, not the secret")
            return None
        if not self.enabled:
            return None
        value = self.environ.get(name, "").strip()
        if not value:
            self._fault(key, "the variable that it names is not set", "set it where the pipeline runs")
            return None
        return Secret(value)

    def _from_file(self, key: str, name: str) -> Secret | None:
        if not self.enabled:
            return None
        try:
            value = _read(self.path.parent / name, MAX_SECRET_FILE_BYTES).decode("utf-8").strip()
        except (OSError, ValueError, _TooLargeError):
            value = ""
        if not value:
            self._fault(
                key,
                f"the file that it names cannot be read, is empty, or is over {MAX_SECRET_FILE_BYTES} bytes",
                "give a file that holds the secret and nothing else, its path seen from this file's folder",
            )
            return None
        return Secret(value)

    def _fault(self, key: object, rule: str, remedy: str) -> None:
        shown = key if isinstance(key, str) and key.startswith("headers.") else _shown(key)
        self.faults.append(Fault(f"connectors.{self.provider}.{shown}", rule, remedy))


class _TooLargeError(Exception):
    """A file is over its limit."""


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise _TooLargeError
    return content


def _shown(key: object) -> str:
    return key if isinstance(key, str) and _SHOWABLE_KEY.fullmatch(key) else "(a key that is not shown)"


def _split(url: Secret) -> SplitResult | None:
    text = url.reveal()
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        return None
    try:
        httpx.URL(text)
        parts = urlsplit(text)
        _ = parts.port  # raises if it is not a port
    except (ValueError, httpx.InvalidURL):
        return None
    return parts if parts.hostname else None


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _named(path: str) -> set[str]:
    return set(re.findall(r"{(\w+)}", path))
