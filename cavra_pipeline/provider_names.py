"""The names of the providers, and how a name is compared. What a provider takes and answers is in connectors."""

from __future__ import annotations

from typing import Final

PROVIDER_NAMES: Final = ("webhook", "slack", "teams", "jira", "servicenow", "splunk", "sentinel", "datadog")


def normalised(provider: str) -> str:
    """Returns the provider's name as it is compared: trimmed, lower case, `-` as `_`."""
    return provider.strip().lower().replace("-", "_")
