"""A caller's own word in an error of the command line."""

from __future__ import annotations

from cavra_pipeline.boundary.secrets import secrets_in
from cavra_pipeline.escaping import quoted


def safe_quote(word: str) -> str:
    """Returns a word in quotes; empty where it may be a secret, since an error ends in logs."""
    return "" if secrets_in(word) else quoted(word)


def value_text(word: str) -> str:
    """Returns a word in quotes, or ``the value`` where it may be a secret."""
    return safe_quote(word) or "the value"
