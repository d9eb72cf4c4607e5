"""The dead man's ping: an address outside is called while the watching works, so that silence is noticed there.

Compatible with the pings of healthchecks: the address itself for success, ``/start`` and ``/fail`` after its path.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from cavra_pipeline.connectors.requests import USER_AGENT
from cavra_pipeline.connectors.route import host_route
from cavra_pipeline.connectors.secret import Secret
from cavra_pipeline.connectors.transport import Limits, Unanswered, exchange

TIMEOUT_SECONDS: Final = 5.0
#: What a ping says, as the end of its path.
START, SUCCESS, FAIL = "/start", "", "/fail"


def ping(url: SecretStr | None, end: str, ca_file: Path | None = None) -> str:
    """Calls the address. Never raises for what the network or the other side does, and shows nothing of the address.

    Args:
        url: The address; None if there is none.
        end: What to say: ``START``, ``SUCCESS`` or ``FAIL``.
        ca_file: Certificates to trust besides the well-known ones.

    Returns:
        ``off`` without an address, ``sent``, or why it was not taken: ``http_503``, or a reason of the transport such
        as ``connection_refused``.
    """
    if url is None:
        return "off"
    parts = urlsplit(url.get_secret_value())
    target = Secret(urlunsplit(parts._replace(path=parts.path.rstrip("/") + end)))
    # of the answer's body next to nothing is read: it says nothing that is needed, and may be endless
    limits = Limits(connect=TIMEOUT_SECONDS, write=TIMEOUT_SECONDS, read=TIMEOUT_SECONDS, body_bytes=0)
    try:
        answer = exchange(
            host_route(target, os.environ, ca_file), "POST", target, {"User-Agent": USER_AGENT}, b"",
            limits=limits, monotonic=time.monotonic,
        )  # fmt: skip
    except Unanswered as error:
        return error.reason
    return "sent" if 200 <= answer.status <= 299 else f"http_{answer.status}"
