"""One configured way out, ready for use.

What belongs here: the checked form of a connector, as every other module of this package sees it.
What does not: reading or checking the file it came from (config).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cavra_pipeline.connectors.secret import Secret


@dataclass(frozen=True, slots=True)
class Connector:
    """A checked connector; its address is a secret, since for Slack and Teams it is the credential."""

    provider: str
    url: Secret
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, Secret] = field(default_factory=dict)
    signing_secrets: tuple[Secret, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
