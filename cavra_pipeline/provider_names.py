"""The names of the providers, and how a name is compared (contract section 2).

``macro_provider_name.sql`` says the same to DuckDB. What a provider takes and answers is in connectors.
"""

from __future__ import annotations

from typing import Final

PROVIDER_NAMES: Final = ("webhook", "slack", "teams", "jira", "servicenow", "splunk", "sentinel", "datadog")
BLANKS: Final = " \t\r\n"


def provider_name(text: str) -> str:
    """Returns a provider's name as names are compared: trimmed, in lower case letter by letter, with _ for -."""
    text = text.strip(BLANKS)
    lower = text.lower() if text.isascii() else "".join(letter.lower()[0] for letter in text)
    return lower.replace("-", "_")
