"""Recoveries as the evidence tells them: when each was open, and how it stands at each provider.

What belongs here: the definition of an open recovery. What does not: what to do about it (escalation) and words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.documents import naive_utc
from cavra_pipeline.errors import UsageError
from cavra_pipeline.lanes import LANES
from cavra_pipeline.warehouse import Session

PACKAGE: Final = "cavra_pipeline.executive"
#: The lane whose subjects are recoveries.
RECOVERIES: Final = LANES["recovery_escalation"]
#: Newest acknowledgements that close a route, unless its delivery is failing.
CLOSING: Final = ("dismissed", "resolved")
#: How plans that this pipeline makes are called. They sum recoveries up and are none themselves.
OWN_PLAN_PREFIX: Final = "pipeline-escalation-plan"
_OWN_PLAN: Final = OWN_PLAN_PREFIX + "-[0-9a-f]{24}"


@dataclass(frozen=True, slots=True)
class Spell:
    """A time for which a recovery was open; UTC without a zone, as the warehouse keeps it.

    Attributes:
        subject: The recovery: its ``plan_id``.
        opened_at: When it was opened, or opened again.
        closed_at: When its last open route was closed; None while it is open.
        number: 1 for the first spell; higher if it was opened again.
    """

    subject: str
    opened_at: datetime
    closed_at: datetime | None
    number: int


def bounded(name: str, value: object, high: int) -> int:
    """Returns the value if it is an integer from 1 to ``high``.

    Raises:
        UsageError: It is not; the message names it.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= high:
        raise UsageError("the value is not accepted", where=name, remedy=f"Give an integer from 1 to {high}")
    return value


def asked(as_of: datetime) -> dict[str, object]:
    """Returns the parameters that every statement about recoveries takes."""
    return {"lane": RECOVERIES.name, "as_of": naive_utc(as_of)}


def recovery_spells(session: Session, *, as_of: datetime) -> list[Spell]:
    """Returns every spell of every recovery up to an instant, sorted by opening, then subject."""
    rows = session.rows(PACKAGE, "recovery_spells", {**asked(as_of), "closing": list(CLOSING), "own_plan": _OWN_PLAN})
    return [_spell(**row) for row in rows]


def plans_of(session: Session, subjects: Sequence[str], *, as_of: datetime) -> dict[str, dict[str, Any]]:
    """Returns what the newest plan of each of these recoveries says, by subject."""
    parameters: dict[str, object] = {"as_of": naive_utc(as_of), "subjects": list(subjects)}
    return {str(row["subject"]): row for row in session.rows(PACKAGE, "recovery_plans", parameters)}


def routes_of(session: Session, subjects: Sequence[str], *, as_of: datetime) -> dict[str, list[dict[str, Any]]]:
    """Returns how each of these recoveries stands at each of its providers, by subject, sorted by provider."""
    routes: dict[str, list[dict[str, Any]]] = {subject: [] for subject in subjects}
    parameters = {**asked(as_of), "subjects": list(subjects), "closing": list(CLOSING)}
    for row in session.rows(PACKAGE, "recovery_routes", parameters):
        routes[str(row["subject"])].append(row)
    return routes


def _spell(subject: Any, opened_at: Any, closed_at: Any, spell_number: Any) -> Spell:
    return Spell(subject, opened_at, closed_at, spell_number)
