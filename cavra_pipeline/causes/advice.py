"""What a person does before a delivery that waits is released: the fix of its cause, and whom to ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cavra_pipeline.executive.words import fix_unless_done, fix_words
from cavra_pipeline.lanes import DECLINING_STATES
from cavra_pipeline.recoveries.causes import cause_of


def advice(explanation: Mapping[str, Any]) -> dict[str, Any]:
    """Returns why a delivery fails, what has to be fixed first, and who has decided that there is no retry now.

    Args:
        explanation: One of an explained delivery, of one lane.

    Returns:
        ``cause``, by the open incident or the newest failure; ``first_step``, a sentence, None for a cause that passes
        by itself; ``declined``, the ``state`` that a person gave and ``by`` whom. Each None for what is not failing.
    """
    if not explanation["released_by"]:
        return {"cause": None, "first_step": None, "declined": None}
    cause, fix = _fix(explanation)
    first_step = f"{fix}; until then retries fail." if fix else None
    return {"cause": cause, "first_step": first_step, "declined": _declined(explanation)}


def _fix(explanation: Mapping[str, Any]) -> tuple[str, str]:
    """Why the provider fails and the fix, by the open incident or by the newest failure; empty where none is needed."""
    incident, story, provider = explanation["provider_incident_id"], explanation["lines"], explanation["provider"]
    if incident:
        cause = next(line["reason"] for line in story if line["incident_id"] == incident)
        return cause, fix_words(cause, provider)
    newest = [line for line in story if line["what"] == "delivery" and line["outcome"] == "failed"][-1]
    cause = cause_of([newest["status_code"]])
    return cause, fix_unless_done(cause, provider)


def _declined(explanation: Mapping[str, Any]) -> dict[str, str | None] | None:
    for need in ("acknowledgement", "approval"):
        state = explanation[f"{need}_state"]
        if state in DECLINING_STATES and any(other["needs"] == need for other in explanation["released_by"]):
            newest = [line for line in explanation["lines"] if line["what"] == need][-1]
            return {"state": state, "by": newest["by"]}
    return None
