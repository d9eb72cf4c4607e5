"""The dead man's ping: an address outside is called while the watching works, so that silence is noticed there.

Compatible with the pings of healthchecks: the address itself for success, ``/start`` and ``/fail`` after its path.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx

from cavra_pipeline.connectors.deliver import silent_transport
from cavra_pipeline.connectors.requests import USER_AGENT
from cavra_pipeline.connectors.secret import Secret

TIMEOUT_SECONDS: Final = 5.0


class Signal(StrEnum):
    """What a ping says."""

    START = "/start"
    SUCCESS = ""
    FAIL = "/fail"


def ping(url: Secret | None, signal: Signal) -> str:
    """Calls the address. Never raises for what the network or the other side does, and shows nothing of the address.

    Args:
        url: The address; None if there is none.
        signal: What to say.

    Returns:
        ``off`` without an address, ``sent``, or why it was not taken: ``http_503``, ``no_answer``.
    """
    if url is None:
        return "off"
    parts = urlsplit(url.reveal())
    target = urlunsplit(parts._replace(path=parts.path.rstrip("/") + signal.value))
    with silent_transport():
        try:
            with (
                httpx.Client(trust_env=False, timeout=TIMEOUT_SECONDS) as client,
                # The answer's body is not read: it says nothing that is needed, and may be endless.
                client.stream("POST", target, headers={"User-Agent": USER_AGENT}) as response,
            ):
                return "sent" if response.is_success else f"http_{response.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            return "no_answer"
