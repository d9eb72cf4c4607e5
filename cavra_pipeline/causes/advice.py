"""What a person does before a delivery that waits is released: the fix of its cause, and whom to ask."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cavra_pipeline.boundary.pseudonyms import is_actor_pseudonym
from cavra_pipeline.documents import naive_utc
from cavra_pipeline.executive.words import fix_of_failure, fix_words
from cavra_pipeline.lanes import DECLINING_STATES
from cavra_pipeline.recoveries.causes import cause_of
from cavra_pipeline.reports.cause_words import PSEUDONYM_NOTE


def advice(explanation: Mapping[str, Any], success_at: datetime | None) -> dict[str, Any]:
    """Returns why a delivery fails, what has to be fixed first, and who has decided that there is no retry now.

    Args:
        explanation: One of an explained delivery, of one lane.
        success_at: When its provider last accepted a delivery, in UTC without a zone.

    Returns:
        ``cause``, by the open incident or the newest failure; ``is_failing_now``, False where the provider has
        accepted others since; ``first_step``, a sentence, None for a cause that passes by itself; ``declined``, the
        ``state`` that a person gave, ``by`` whom, and whether that ``is_pseudonym``. None, or False, for what is not
        failing.
    """
    if not explanation["released_by"]:
        return {"cause": None, "is_failing_now": False, "first_step": None, "declined": None}
    cause, fix, is_now = _fix(explanation, success_at)
    first_step = f"{fix}; until then retries fail." if is_now else f"{fix}."
    return {
        "cause": cause,
        "is_failing_now": is_now,
        "first_step": first_step if fix else None,
        "declined": _declined(explanation),
    }


def _fix(explanation: Mapping[str, Any], success_at: datetime | None) -> tuple[str, str, bool]:
    """The cause, the fix, and whether it fails now, by the open incident or the newest failure."""
    incident, story, provider = explanation["provider_incident_id"], explanation["lines"], explanation["provider"]
    if incident:
        cause = next(line["reason"] for line in story if line["incident_id"] == incident)
        return cause, fix_words(cause, provider), True
    newest = [line for line in story if line["what"] == "delivery" and line["outcome"] == "failed"][-1]
    code, failed_at = newest["status_code"], naive_utc(datetime.fromisoformat(newest["at"]))
    fix = fix_of_failure(provider, code, failed_at=failed_at, success_at=success_at)
    return cause_of([code]), fix, success_at is None or success_at <= failed_at


def _declined(explanation: Mapping[str, Any]) -> dict[str, Any] | None:
    for need in ("acknowledgement", "approval"):
        state = explanation[f"{need}_state"]
        if state in DECLINING_STATES and any(other["needs"] == need for other in explanation["released_by"]):
            newest = [line for line in explanation["lines"] if line["what"] == need][-1]
            by = newest["by"]
            return {"state": state, "by": by, "is_pseudonym": by is not None and is_actor_pseudonym(by)}
    return None


def whom_to_ask(declined: Mapping[str, Any]) -> str:
    """Returns whom to ask about a retry that a person has decided against, and how to read a pseudonym."""
    note = f". {PSEUDONYM_NOTE}" if declined["is_pseudonym"] else ""
    return f"ask {declined['by'] or 'the person'}, who {declined['state']} it{note}"
