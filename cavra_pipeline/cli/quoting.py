"""A caller's own word in an error of the command line."""

from __future__ import annotations

from cavra_pipeline.boundary.secrets import secrets_in
from cavra_pipeline.escaping import quoted


def value_text(word: str) -> str:
    """Returns a word in quotes, or ``the value`` where it may be a secret: an error ends in logs."""
    return "the value" if secrets_in(word) else quoted(word)
