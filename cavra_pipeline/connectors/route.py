"""Which authorities vouch for an address, and which proxy leads to it.

What belongs here: certificate files, ``HTTPS_PROXY`` and ``NO_PROXY``, the forms of a proxy's address.
What does not: the connection itself (transport), and the keys of the connector file (entry).
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpcore

from cavra_pipeline.addresses import is_loopback
from cavra_pipeline.connectors.secret import Secret
from cavra_pipeline.connectors.sources import read_file
from cavra_pipeline.connectors.transport import Route

CA_FILE_RULE: Final = "it cannot be read, may be changed by others, or holds no certificate"
_CA_FILE_BYTES: Final = 16 * 1024 * 1024


def tls_context(ca_files: Iterable[Path] = ()) -> ssl.SSLContext:
    """Returns a context that trusts the authorities of the machine, the well-known ones and those of the files.

    Raises:
        OSError: A file cannot be read, may be changed by others than its owner, or holds no certificate.
    """
    stamps = []
    for path in ca_files:
        read_file(path, _CA_FILE_BYTES, is_secret=False)
        status = path.stat()
        stamps.append((path, status.st_ino, status.st_size, status.st_mtime_ns))
    return _context(tuple(stamps))


@lru_cache(maxsize=32)
def _context(stamps: tuple[tuple[Path, int, int, int], ...]) -> ssl.SSLContext:
    """The context of files as they are: reading hundreds of authorities takes a fraction of a second each time."""
    context = httpcore.default_ssl_context()
    for path, *_ in stamps:
        context.load_verify_locations(cafile=path)
    return context


def host_route(url: Secret, environ: Mapping[str, str], ca_file: Path | None) -> Route:
    """Returns the route that the host's settings alone give; what they hold wrong is left out of it.

    Args:
        url: The address.
        environ: May name a proxy.
        ca_file: Certificates besides the well-known ones.
    """
    try:
        tls = tls_context([ca_file] if ca_file else [])
    except OSError:
        tls = tls_context()
    proxy = environment_proxy(environ, url)
    return Route(tls, proxy if proxy and is_proxy_url(proxy) else None)


def environment_proxy(environ: Mapping[str, str], url: Secret) -> Secret | None:
    """Returns the proxy that the environment names for an address, or None.

    Only ``https`` addresses have one, and never one on this machine; the names in lower case come first.
    """
    parts = split(url)
    if parts is None or parts.scheme != "https" or is_loopback(parts.hostname):
        return None
    text = _variable(environ, "https_proxy")
    excluded = _variable(environ, "no_proxy")
    if not text or _is_excluded(parts.hostname or "", parts.port or 443, excluded):
        return None
    return Secret(text if "://" in text else f"http://{text}")


def _variable(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def _is_excluded(host: str, port: int, text: str) -> bool:
    """Returns whether a host is in a NO_PROXY list: names with what is below them, addresses, networks, ports, `*`."""
    for raw in re.split(r"[\s,]+", text.lower()):
        exclusion = raw
        if exclusion == "*":
            return True
        if network_holds(exclusion, host):
            return True
        name, _, after = exclusion.rpartition(":")
        if after.isdecimal() and name and "]" not in after:
            if int(after) != port:
                continue
            exclusion = name
        exclusion = exclusion.strip("[]").removeprefix("*").lstrip(".")
        if exclusion and (host == exclusion or host.endswith(f".{exclusion}")):
            return True
    return False


def network_holds(network: str, host: str) -> bool:
    """Returns whether `network` is an address or a network that `host`, an address, lies in."""
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def is_proxy_url(proxy: Secret) -> bool:
    """Returns whether it is ``http(s)://[user:password@]host[:port]`` and nothing more."""
    parts = split(proxy)
    return (
        parts is not None
        and parts.scheme in ("http", "https")
        and parts.path in ("", "/")
        and not parts.query
        and not parts.fragment
    )


def split(url: Secret) -> SplitResult | None:
    """Returns the parts of an absolute URL in printable ASCII with a host and a port that is one; else None."""
    text = url.reveal()
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises if it is not a port
    except ValueError:
        return None
    return parts if parts.hostname and re.fullmatch(r"[A-Za-z0-9._:%-]+", parts.hostname) else None
