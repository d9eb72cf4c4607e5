"""One provider's entry of the connector file, checked; its secrets are read only when it is opened.

What belongs here: the keys of an entry, their rules, and the connector that comes of them.
What does not: the file (config), what a provider is (providers), where a secret comes from (sources).

No fault holds a value of the file or of the environment: a value in the wrong place may be a secret.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cavra_pipeline.connectors.connector import ClientCredentials, Connector
from cavra_pipeline.connectors.providers import PROVIDERS, Provider
from cavra_pipeline.connectors.route import CA_FILE_RULE, environment_proxy, is_proxy_url, split, tls_context
from cavra_pipeline.connectors.rules import (
    HEADER_NAME,
    HEADER_VALUE,
    RESERVED_HEADERS,
    address_faults,
    header_fault,
)
from cavra_pipeline.connectors.secret import Secret
from cavra_pipeline.connectors.signing import is_signing_secret
from cavra_pipeline.connectors.sources import SecretSource
from cavra_pipeline.connectors.transport import Route
from cavra_pipeline.errors import Fault

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
    "ca_file",
    "proxy",
    "proxy_env",
    "proxy_file",
)
_SIGNING_KEYS = ("signing_secrets_env", "signing_secrets_file")
_TOKEN_KEYS = ("tenant_id", "client_id", "client_secret_env", "client_secret_file", "authority", "scope")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,31}")
_USERNAME = re.compile(r"[\x21-\x39\x3b-\x7e]{1,200}")  # no colon: it ends the name in Basic credentials
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}")
_SCOPE = re.compile(r"https://[A-Za-z0-9./_-]{1,200}/\.default")
# a key that may be shown: no digits, so that a pasted token never is
_SHOWABLE_KEY = re.compile(r"[A-Za-z][A-Za-z_-]{0,39}")
_NO_PROXY = "none"


def shown_key(key: object) -> str:
    """Returns a key of the file as a message may show it: what may be a pasted secret is not shown."""
    return key if isinstance(key, str) and _SHOWABLE_KEY.fullmatch(key) else "(a key that is not shown)"


def read_entry(
    folder: Path,
    provider: str,
    settings: Mapping[Any, Any],
    environ: Mapping[str, str] | None,
    ca_files: tuple[Path, ...] = (),
) -> Connector | tuple[Fault, ...] | None:
    """Returns the connector of an entry, or what is wrong with it.

    Args:
        folder: Folder of the connector file.
        provider: Whose entry it is.
        settings: The entry.
        environ: Where secrets are; None checks the form alone and reads none, nor any other file.
        ca_files: Certificates that the host trusts besides.

    Returns:
        The connector; the faults; or None if the form is right and nothing more was asked.
    """
    reader = _Reader(folder, provider, settings, environ, ca_files)
    connector = reader.connector()
    return tuple(reader.faults) if reader.faults else connector


@dataclass(slots=True)
class _Reader:
    """One provider's mapping to a connector; faults are collected, not raised."""

    folder: Path
    provider: str
    settings: Mapping[Any, Any]
    environ: Mapping[str, str] | None
    ca_files: tuple[Path, ...]
    faults: list[Fault] = field(default_factory=list)
    spec: Provider = field(init=False)

    def __post_init__(self) -> None:
        self.spec = PROVIDERS[self.provider]

    def connector(self) -> Connector | None:
        """The connector; None if its secrets are not to be read, or there is a fault."""
        self._check_keys()
        if not isinstance(self.settings.get("enabled", True), bool):
            self._fault("enabled", "it is not a boolean", "write true or false")
        options = self._options()
        method = self._method()
        headers = self._headers()
        secret_headers = self._secret_headers()
        signing_secrets = self._signing_secrets()
        url = self._url(options)
        route = self._route(url)
        credentials = self._client_credentials()
        if self.faults or self.environ is None or url is None or route is None:
            return None
        return Connector(
            self.provider, url, route, method, headers, secret_headers, signing_secrets, options, credentials
        )

    def _check_keys(self) -> None:
        accepted = (*_KEYS, *self.spec.options)
        accepted += _SIGNING_KEYS if self.spec.credential == "signature" else ()
        accepted += _TOKEN_KEYS if self.spec.token_service else ()
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
            wrong = header_fault(name, value)
            if wrong:
                self._fault(f"headers.{shown_key(name)}", *wrong)
            else:
                accepted[name] = value
        return accepted

    def _secret_headers(self) -> dict[str, Secret]:
        headers = {}
        authorization = self._authorization()
        if authorization is not None:
            headers["Authorization"] = authorization
        name = self.settings.get("api_key_header", self.spec.api_key_header)
        if not isinstance(name, str) or not HEADER_NAME.fullmatch(name) or name.lower() in RESERVED_HEADERS:
            self._fault("api_key_header", "it is not a header name of your own", "give a name such as X-API-Key")
        elif self._has_source("api_key"):
            api_key = self._header_secret("api_key")
            if api_key is not None:
                headers[name] = api_key
        elif self.spec.credential == "api_key":
            self._fault("api_key_env", "this API needs an API key", "set api_key_env or api_key_file")
        return headers

    def _authorization(self) -> Secret | None:
        """The whole Authorization value: scheme and token, name and token, or as it was given."""
        scheme = self._text("authorization_scheme", _SCHEME, "it is not a scheme", "give one word such as Bearer")
        username = self._text(
            "username", _USERNAME, "it is not a user name for Basic", "use printable ASCII without spaces or a colon"
        )
        has_token, has_authorization = self._has_source("token"), self._has_source("authorization")
        if has_token and has_authorization:
            self._fault("token_env", "it contradicts authorization_env", "keep one of the two")
            return None
        if username is not None and not has_token:
            self._fault("username", "it needs a token to go with it", "set token_env or token_file")
        if username is not None and scheme is not None and scheme.lower() != "basic":
            self._fault("authorization_scheme", "a username goes with Basic only", "remove one of the two")
        if has_token:
            token = self._header_secret("token")
            if token is None:
                return None
            if username is not None:
                pair = base64.b64encode(f"{username}:{token.reveal()}".encode()).decode()
                return Secret(f"Basic {pair}")
            return Secret(f"{scheme or self.spec.scheme} {token.reveal()}")
        if has_authorization:
            value = self._header_secret("authorization")
            return value if value is None or scheme is None else Secret(f"{scheme} {value.reveal()}")
        if self.spec.credential == "authorization" and not self._wants_tokens():
            alternative = "tenant_id, client_id and client_secret_env" if self.spec.token_service else "token_env"
            self._fault("token_env", "this API needs a credential", f"set {alternative}, or authorization_env")
        return None

    def _wants_tokens(self) -> bool:
        return self.spec.token_service is not None and any(key in self.settings for key in _TOKEN_KEYS)

    def _client_credentials(self) -> ClientCredentials | None:
        service = self.spec.token_service
        if service is None or not self._wants_tokens():
            return None
        if self._has_source("token") or self._has_source("authorization"):
            self._fault("client_id", "it contradicts token_env and authorization_env", "keep one of them")
        tenant_id = self._text("tenant_id", _TENANT, "it is no tenant", "give the tenant's id or domain", required=True)
        client_id = self._text("client_id", _CLIENT, "it is no client id", "give the application's id", required=True)
        scope = self._text("scope", _SCOPE, "it is no scope", "give https://.../.default, or leave it out")
        authority = self.settings.get("authority", service.authority)
        parts = split(Secret(authority)) if isinstance(authority, str) else None
        if parts is None or parts.path.strip("/") or any(address_faults(parts, is_literal=True)):
            self._fault("authority", "it is not an https address without a path", "give one, or leave it out")
            return None
        if not self._has_source("client_secret"):
            self._fault("client_secret_env", "it is required", "set client_secret_env or client_secret_file")
            return None
        secret = self._secret("client_secret")
        if secret is None or tenant_id is None or client_id is None:
            return None
        url = Secret(f"{parts.scheme}://{parts.netloc}{service.path.format(tenant_id=tenant_id)}")
        route = self._route(url)
        return ClientCredentials(url, client_id, secret, scope or service.scope, route) if route else None

    def _signing_secrets(self) -> tuple[Secret, ...]:
        if self.spec.credential != "signature":
            return ()
        if not self._has_source("signing_secrets"):
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
                is_of_secret=True,
            )
        return secrets

    def _url(self, options: Mapping[str, str]) -> Secret | None:
        url_keys = [key for key in ("url", "url_env", "url_file") if key in self.settings]
        if len(url_keys) != 1:
            remedy = "set url_env or url_file" if self.spec.credential == "address" else "set url, url_env or url_file"
            rule = "there is no address" if not url_keys else "there is more than one address"
            self._fault("url", rule, remedy if not url_keys else "keep one of url, url_env and url_file")
            return None
        key = url_keys[0]
        url = self._literal_url() if key == "url" else self._secret("url")
        if url is None:
            return None
        parts = split(url)
        if parts is None:
            remedy = "give https://host/path in ASCII, without spaces"
            self._fault(key, "it is not a URL", remedy, is_of_secret=key != "url")
            return None
        faults = list(address_faults(parts, is_literal=key == "url"))
        for rule, remedy in faults:
            self._fault(key, rule, remedy, is_of_secret=key != "url")
        if faults:
            return None
        path = self.spec.path
        if parts.path in ("", "/") and path and options.keys() >= set(re.findall(r"{(\w+)}", path)):
            return Secret(f"{parts.scheme}://{parts.netloc}{path.format_map(options)}")
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

    def _route(self, url: Secret | None) -> Route | None:
        """Returns the route to the address, once certificates and proxies may be read."""
        ca_file = self.settings.get("ca_file")
        if ca_file is not None and (not isinstance(ca_file, str) or not ca_file.strip()):
            self._fault("ca_file", "it is not text", "give the path of a file of certificates (PEM)")
            return None
        proxy = self._proxy(url)
        if self.environ is None or url is None:
            return None
        entry_ca_files = (self.folder / ca_file,) if ca_file else ()
        try:
            return Route(tls_context((*self.ca_files, *entry_ca_files)), proxy)
        except OSError:
            self._fault("ca_file", CA_FILE_RULE, "give a file of certificates (PEM)")
            return None

    def _proxy(self, url: Secret | None) -> Secret | None:
        proxy_keys = [key for key in ("proxy", "proxy_env", "proxy_file") if key in self.settings]
        if len(proxy_keys) > 1:
            self._fault("proxy", "it is given more than once", "keep one of proxy, proxy_env and proxy_file")
            return None
        key, proxy = (proxy_keys or ["HTTPS_PROXY"])[0], None
        if key == "proxy":
            value = self.settings["proxy"]
            if value == _NO_PROXY:
                return None
            proxy = Secret(value) if isinstance(value, str) else Secret("")
            if "@" in proxy.reveal():
                self._fault("proxy", "it holds a user name or password", "use proxy_env or proxy_file")
                return None
        elif key != "HTTPS_PROXY":
            proxy = self._secret("proxy")
        elif self.environ is not None and url is not None:
            proxy = environment_proxy(self.environ, url)
        if proxy is not None and not is_proxy_url(proxy):
            remedy = f"give http://host:port, or set proxy: {_NO_PROXY}"
            self._fault(key, "it is not the address of an http or https proxy", remedy, is_of_secret=key != "proxy")
            return None
        return proxy

    def _text(
        self, name: str, pattern: re.Pattern[str], rule: str, remedy: str, *, required: bool = False
    ) -> str | None:
        value = self.settings.get(name)
        if value is None and required:
            self._fault(name, "it is required", remedy)
        if value is None or (isinstance(value, str) and pattern.fullmatch(value)):
            return value
        self._fault(name, rule, remedy)
        return None

    def _has_source(self, name: str) -> bool:
        return f"{name}_env" in self.settings or f"{name}_file" in self.settings

    def _source(self, name: str) -> str:
        return f"{name}_env" if f"{name}_env" in self.settings else f"{name}_file"

    def _header_secret(self, name: str) -> Secret | None:
        secret = self._secret(name)
        if secret is not None and not HEADER_VALUE.fullmatch(secret.reveal()):
            rule, remedy = "its value cannot go into a header", "use printable ASCII on one line"
            self._fault(self._source(name), rule, remedy, is_of_secret=True)
            return None
        return secret

    def _secret(self, name: str) -> Secret | None:
        """The secret that `<name>_env` or `<name>_file` points to; None with a fault, or if none is to be read."""
        if f"{name}_env" in self.settings and f"{name}_file" in self.settings:
            self._fault(f"{name}_env", f"it contradicts {name}_file", "keep one of the two")
            return None
        key = self._source(name)
        pointer = self.settings[key]
        source = SecretSource(key, pointer if isinstance(pointer, str) else "", self.folder)
        secret_or_fault = source.form_fault() or (source.read(self.environ) if self.environ is not None else None)
        if isinstance(secret_or_fault, Fault):
            self._fault(
                secret_or_fault.where,
                secret_or_fault.what,
                secret_or_fault.remedy,
                is_of_secret=secret_or_fault.is_of_secret,
            )
            return None
        return secret_or_fault

    def _fault(self, key: object, rule: str, remedy: str, *, is_of_secret: bool = False) -> None:
        shown = key if isinstance(key, str) and key.startswith("headers.") else shown_key(key)
        fault = Fault(f"connectors.{self.provider}.{shown}", rule, remedy, is_of_secret)
        if fault not in self.faults:  # two addresses of one entry share what is said of the way to them
            self.faults.append(fault)
