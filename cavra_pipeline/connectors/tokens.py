"""Access tokens for APIs that want one: asked for with client credentials, held until shortly before they expire.

Source: RFC 6749 sections 4.4 and 5.1; Microsoft's page on the client credentials flow is in `docs/connectors-apis.md`.

What belongs here: one token request, its answer, and how long a token is used.
What does not: what the token is for (deliver).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from cavra_pipeline.connectors.connector import ClientCredentials
from cavra_pipeline.connectors.grading import Grade, GradedResponse, grade_by_status
from cavra_pipeline.connectors.requests import USER_AGENT
from cavra_pipeline.connectors.secret import Secret
from cavra_pipeline.connectors.transport import Limits, ProviderResponse, Unanswered, exchange

#: A token is renewed so long before it expires, or at half its life if that is shorter.
RENEWAL_SECONDS: Final = 300.0
_LIFE_SECONDS: Final = 3600.0  # where an answer does not say (RFC 6749 section 5.1 only recommends it)
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,16384}")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class NoToken:
    """Reason why there is no token; nothing was sent to the API itself.

    Attributes:
        verdict: Whether asking again later makes sense, and why there is none.
        answer: The token service's answer, if it gave one; it may ask for a wait.
    """

    verdict: GradedResponse
    answer: ProviderResponse | None = None


@dataclass(slots=True)
class Tokens:
    """Access tokens in memory, by the credentials they were asked for with. They are written nowhere."""

    _tokens: dict[tuple[str, str, str], tuple[Secret, float]] = field(default_factory=dict)

    def token(
        self, credentials: ClientCredentials, *, limits: Limits, monotonic: Callable[[], float]
    ) -> tuple[Secret, bool] | NoToken:
        """Returns a token and whether it was cached, or why there is none."""
        key = _key(credentials)
        cached_token = self._tokens.get(key)
        if cached_token and monotonic() < cached_token[1]:
            return cached_token[0], True
        requested_at = monotonic()
        token_result = _request(credentials, limits, monotonic)
        if isinstance(token_result, NoToken):
            return token_result
        token, seconds = token_result
        self._tokens[key] = (token, requested_at + seconds - min(RENEWAL_SECONDS, seconds / 2))
        return token, False

    def forget(self, credentials: ClientCredentials) -> None:
        """Forgets a token that the API rejected."""
        self._tokens.pop(_key(credentials), None)


def _key(credentials: ClientCredentials) -> tuple[str, str, str]:
    return credentials.token_url.reveal(), credentials.client_id, credentials.scope


def _request(
    credentials: ClientCredentials, limits: Limits, monotonic: Callable[[], float]
) -> tuple[Secret, float] | NoToken:
    form = {
        "grant_type": "client_credentials",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret.reveal(),
        "scope": credentials.scope,
    }
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": USER_AGENT,
    }
    try:
        answer = exchange(
            credentials.route, "POST", credentials.token_url, headers, urlencode(form).encode(),
            limits=limits, monotonic=monotonic,
        )  # fmt: skip
    except Unanswered as error:
        return NoToken(GradedResponse(Grade.FAILED, f"token_{error.reason}"))
    if not 200 <= answer.status <= 299:
        grade = grade_by_status(answer.status).grade
        # whatever became of the token request, the message itself was not sent
        grade = Grade.FAILED if grade is Grade.AMBIGUOUS else grade
        return NoToken(GradedResponse(grade, f"token_http_{answer.status}"), answer)
    return _token(answer.body) or NoToken(GradedResponse(Grade.FAILED, "token_answer_unusable"))


def _token(body: bytes | None) -> tuple[Secret, float] | None:
    try:
        answer: Any = json.loads(body or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict) or str(answer.get("token_type", "")).lower() != "bearer":
        return None
    token, life = answer.get("access_token"), str(answer.get("expires_in", ""))
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        return None
    return Secret(token), float(life) if _NUMBER.fullmatch(life) else _LIFE_SECONDS
