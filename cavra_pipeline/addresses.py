"""Addresses and origins that a setting may name. A value that is not accepted raises ValueError, without the value."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

_ORIGIN: Final = r"https?://(?:[a-z0-9](?:[a-z0-9.-]{0,253}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def matching(pattern: str, text: str) -> str:
    """Returns the text if all of it matches."""
    if not re.fullmatch(pattern, text):
        raise ValueError
    return text


def is_loopback(host: str | None) -> bool:
    """Returns whether a host is this machine by its name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def callable_address(text: SecretStr) -> SecretStr:
    """Returns an address that may be called: https, or http of this machine, without a user name."""
    url = urlsplit(text.get_secret_value())
    host, _ = url.hostname, url.port
    is_safe = url.scheme == "https" or (url.scheme == "http" and is_loopback(host))
    if not host or not is_safe or url.username is not None or url.fragment:
        raise ValueError
    return SecretStr(matching(r"[\x20-\x7e]+", text.get_secret_value()))


def origins(value: Any) -> Any:
    """Splits origins at commas and writes each as a browser does: lower case, without the port of its scheme."""
    if not isinstance(value, str):
        return value
    texts = (matching(_ORIGIN, text.strip().lower()) for text in value.split(",") if text.strip())
    return tuple(dict.fromkeys(_origin(text) for text in texts))


def _origin(text: str) -> str:
    url = urlsplit(text)
    return text.rpartition(":")[0] if url.port == _DEFAULT_PORTS[url.scheme] else text
