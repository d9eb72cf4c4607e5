"""One configured way out, ready for use.

What belongs here: the checked form of a connector, as every other module of this package sees it.
What does not: reading or checking the file it came from (config).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cavra_pipeline.connectors.secret import Secret
from cavra_pipeline.connectors.transport import Route


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Credentials for an access token (OAuth 2.0 client credentials grant, RFC 6749 section 4.4)."""

    token_url: Secret
    client_id: str
    client_secret: Secret
    scope: str
    # another host than the connector's, so perhaps another proxy
    route: Route = field(repr=False)


@dataclass(frozen=True, slots=True)
class Connector:
    """A checked connector; its address is a secret, since for Slack and Teams it is the credential."""

    provider: str
    url: Secret
    route: Route = field(repr=False)
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, Secret] = field(default_factory=dict)
    signing_secrets: tuple[Secret, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    client_credentials: ClientCredentials | None = None
