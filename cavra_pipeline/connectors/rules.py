"""Rules for headers and addresses of a connector: which may stand in the file, and which are secrets or not safe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import SplitResult

from cavra_pipeline.addresses import is_loopback

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
#: Headers that the pipeline sets itself.
RESERVED_HEADERS = frozenset({
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
})  # fmt: skip

_SECRET_HEADER = re.compile(r"auth|token|secret|key|passw|cookie|credential|signature|session", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"^(bearer|basic|splunk|digest|apikey|token)\s|whsec_|xox[a-z]-|gh[a-z]_|eyJ[A-Za-z0-9_-]{8}|AKIA|sk_|[?&]sig=",
    re.IGNORECASE,
)
# hosts whose address is the whole credential
_CREDENTIAL_HOST = re.compile(
    r"(^|\.)(hooks\.slack\.com|webhook\.office\.com|outlook\.office\.com|logic\.azure\.com|powerplatform\.com"
    r"|discord\.com|discordapp\.com)$"
)
_USE_A_KEY = "use token_env, authorization_env, or api_key_env with api_key_header"


def header_fault(name: object, value: object) -> tuple[str, str] | None:
    """Returns the rule that a header of the file breaks and the remedy, or None."""
    if not isinstance(name, str) or not HEADER_NAME.fullmatch(name):
        return "it is not a header name", "use letters, digits and hyphens"
    if name.lower() in RESERVED_HEADERS:
        return "the pipeline sets this header itself", "remove it"
    if _SECRET_HEADER.search(name):
        return "a header of this name carries a secret, and a secret may not stand in this file", _USE_A_KEY
    if not isinstance(value, str) or not HEADER_VALUE.fullmatch(value):
        return "its value is not a line of printable ASCII", "quote it, and leave out line ends"
    if _SECRET_VALUE.search(value):
        return "its value has the form of a secret, and a secret may not stand in this file", _USE_A_KEY
    return None


def address_faults(parts: SplitResult, *, is_literal: bool) -> Iterator[tuple[str, str]]:
    """Yields each rule that an address breaks and the remedy.

    Args:
        parts: The address.
        is_literal: Whether it stands in the file itself, where nothing secret may stand.
    """
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        yield "it is not https", "use https; http is for loopback hosts only"
    if "@" in parts.netloc:
        yield "it holds a user name or password", "remove it and use token_env with username"
    if parts.fragment:
        yield "it has a fragment", "remove the part from # on"
    if is_literal and parts.query:
        yield "a query can carry a secret", "use url_env or url_file"
    if is_literal and _CREDENTIAL_HOST.search(parts.hostname or ""):
        yield "an address of this host is itself a secret", "use url_env or url_file"
