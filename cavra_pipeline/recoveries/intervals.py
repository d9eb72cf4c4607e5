"""Recoveries as the evidence tells them: when each was open, and how it stands at each provider.

What belongs here: the definition of an open recovery. What does not: what to do about it (escalation) and words.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.documents import naive_utc
from cavra_pipeline.errors import UsageError
from cavra_pipeline.lanes import CLOSING_STATES, LANES
from cavra_pipeline.warehouse import Rows, Session

_PACKAGE: Final = "cavra_pipeline.recoveries"
#: The lane whose subjects are recoveries.
RECOVERIES: Final = LANES["recovery_escalation"]
#: How plans that this pipeline makes are called. They sum recoveries up and are none themselves.
OWN_PLAN_PREFIX: Final = "pipeline-escalation-plan"
_OWN_PLAN: Final = OWN_PLAN_PREFIX + "-[0-9a-f]{24}"


@dataclass(frozen=True, slots=True)
class Interval:
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


def recovery_spells(session: Session, *, as_of: datetime) -> list[Interval]:
    """Returns every spell of every recovery up to an instant, sorted by opening, then subject."""
    asked: dict[str, object] = {
        "lane": RECOVERIES.name,
        "as_of": naive_utc(as_of),
        "closing": CLOSING_STATES,
        "own_plan": _OWN_PLAN,
    }
    return [_spell(**row) for row in session.rows(_PACKAGE, "recovery_spells", asked)]


def spells_until(spells: Sequence[Interval], at: datetime) -> list[Interval]:
    """Returns the spells as they stood at an instant, from those up to a later one: what comes after changes none."""
    known = spells[: bisect_right(spells, at, key=lambda spell: spell.opened_at)]
    return [
        replace(spell, closed_at=None) if spell.closed_at is not None and spell.closed_at > at else spell
        for spell in known
    ]


@dataclass(slots=True)
class OpenRecoveries:
    """The recoveries that are open at an instant.

    Attributes:
        spells: Their spells, the oldest first.
        plans: What the newest plan of each says, by subject.
        routes: How each stands at each of its providers, by subject, sorted by provider.
    """

    spells: list[Interval]
    plans: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    routes: defaultdict[str, list[Mapping[str, Any]]] = field(default_factory=lambda: defaultdict(list))


def open_recoveries(session: Session, spells: Mapping[datetime, Sequence[Interval]]) -> dict[datetime, OpenRecoveries]:
    """Returns the recoveries that are open at each instant.

    Args:
        session: An open warehouse.
        spells: Every spell up to each instant, by the instant in UTC without a zone.
    """
    moments = sorted(spells)
    found = [OpenRecoveries([spell for spell in spells[at] if spell.closed_at is None]) for at in moments]
    given = [
        (number, at, spell.subject)
        for number, (at, one) in enumerate(zip(moments, found, strict=True), start=1)
        for spell in one.spells
    ]
    if given:
        asked: dict[str, object] = {"lane": RECOVERIES.name, "closing": CLOSING_STATES, "instants": moments}
        opened = Rows({"number": "BIGINT", "as_of": "TIMESTAMP", "subject": "VARCHAR"}, given)
        with session.given(open_recoveries=opened):
            for row in session.rows(_PACKAGE, "recovery_plans"):
                found[int(str(row.pop("number"))) - 1].plans[str(row["subject"])] = row
            for row in session.rows(_PACKAGE, "recovery_routes", asked):
                found[int(str(row.pop("number"))) - 1].routes[str(row["subject"])].append(row)
    return dict(zip(moments, found, strict=True))


def _spell(subject: Any, opened_at: Any, closed_at: Any, spell_number: Any) -> Interval:
    return Interval(subject, opened_at, closed_at, spell_number)
