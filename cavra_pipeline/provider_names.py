"""The names of the providers, and how a name is compared (contract section 2).

``macro_provider_name.sql`` says the same to DuckDB. What a provider takes and answers is in connectors.
"""

from __future__ import annotations

from typing import Final

#: The providers that have a connector, by name, and how each writes its own.
PROVIDER_TITLES: Final = {
    "webhook": "Webhook", "slack": "Slack", "teams": "Teams", "jira": "Jira", "servicenow": "ServiceNow",
    "splunk": "Splunk", "sentinel": "Sentinel", "datadog": "Datadog",
}  # fmt: skip
BLANKS: Final = " \t\r\n"


def provider_name(text: str) -> str:
    """Returns a provider's name as names are compared: trimmed, in lower case letter by letter, with _ for -."""
    text = text.strip(BLANKS)
    lower = text.lower() if text.isascii() else "".join(letter.lower()[0] for letter in text)
    return lower.replace("-", "_")


def provider_title(name: str) -> str:
    """Returns how a provider writes its own name, or the name as given."""
    return PROVIDER_TITLES.get(name, name)
