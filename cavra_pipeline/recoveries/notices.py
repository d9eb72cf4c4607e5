"""Notifications of a recovery: the escalation plans that name it, where they arrived, and who acknowledged one."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cavra_pipeline.lanes import CLEARING_STATES, LANES
from cavra_pipeline.recoveries.history import PACKAGE, Recovery
from cavra_pipeline.warehouse import Session

_LANE = LANES["recovery_escalation"]


@dataclass(slots=True)
class Notices:
    """Escalation plans by the recovery they name, and what came of each plan by connector."""

    plans: defaultdict[tuple[str, str], list[tuple[datetime, str]]] = field(default_factory=lambda: defaultdict(list))
    deliveries: defaultdict[str, list[tuple[datetime, str]]] = field(default_factory=lambda: defaultdict(list))
    answers: defaultdict[str, defaultdict[str, list[tuple[datetime, str, str | None]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def of(self, recovery: Recovery, at: datetime) -> dict[str, Any]:
        """Returns what an instant sees of a recovery.

        Returns:
            ``escalated_in`` (plan ids in order), ``notified_through`` (connectors that took one of these plans),
            ``acknowledged`` (whether the newest acknowledgement of one of these plans lets work go ahead), ``owner``
            (who signed its newest closure, else the first acknowledgement of those; null if neither is there).
        """
        named = [plan for when, plan in self.plans.get((recovery.playbook_id, recovery.provider), ()) if when <= at]
        notified = {name for plan in named for when, name in self.deliveries.get(plan, ()) if when <= at}
        clearing = [answer for plan in named for answer in self._clearing(plan, at)]
        newest = recovery.newest_closure(at)
        # Whoever answers another connector later, for the plan's other recoveries, does not take this one over.
        answered_by = min(clearing, key=lambda answer: answer[0])[1] if clearing else None
        return {
            "escalated_in": named,
            "notified_through": sorted(notified),
            "acknowledged": bool(clearing),
            "owner": (newest and newest.signer) or answered_by,
        }

    def _clearing(self, plan: str, at: datetime) -> Iterator[tuple[datetime, str | None]]:
        """Yields when and by whom a plan was acknowledged, where a connector's newest answer lets work go ahead."""
        for said in self.answers.get(plan, {}).values():
            place = bisect_right(said, at, key=lambda answer: answer[0])
            if place and said[place - 1][1] in CLEARING_STATES:
                when, _, signer = said[place - 1]
                yield when, signer


def notices(session: Session, until: datetime) -> Notices:
    """Reads who was notified of which recovery up to an instant, UTC without a zone."""
    result = Notices()
    parameters: dict[str, object] = {"until": until}
    for row in session.stream(PACKAGE, "escalations", parameters):
        result.plans[row["playbook_id"], row["provider"]].append((row["escalated_at"], row["plan_id"]))
    for row in session.stream(PACKAGE, "notifications", {**parameters, "lane": _LANE.name}):
        result.deliveries[row["plan_id"]].append((row["delivered_at"], row["provider"]))
    for row in session.stream(PACKAGE, "answers", {**parameters, "lane": _LANE.name}):
        result.answers[row["plan_id"]][row["provider"]].append(
            (row["created_at"], row["acknowledgement_state"], row["signer"])
        )
    return result
