"""Which pairs the gate of a lane lets go, and which due retries it holds for a person (contract section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.lanes import CLEARING_STATES, DECLINING_STATES, Gate, Lane
from cavra_pipeline.reports.approvals import approvals
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"
_Pair = tuple[str, str]


def cleared_pairs(
    session: Session, lane: Lane, decisions: Sequence[Mapping[str, Any]], moments: tuple[datetime, datetime]
) -> frozenset[_Pair]:
    """Returns the pairs that the lane's gate lets go at both instants, where the lane has a gate.

    A wrong clock may have dated the last word later, so a send asks about two.

    Args:
        session: An open warehouse.
        lane: The retry ladder.
        decisions: Those of a plan.
        moments: Two instants in order, UTC without a zone.
    """
    if lane.gate is Gate.APPROVAL:
        pairs = [_pair(lane, decision) for decision in decisions]
        pair_approvals = approvals(session, lane, moments, (subject for subject, _ in pairs))
        return frozenset(pair for pair in pairs if all(pair_approvals.at(pair, moment)[1] for moment in moments))
    parameters = {"lane": lane.name, "as_of": moments[0], "until": moments[1], "clearing": CLEARING_STATES}
    rows = session.rows(_PACKAGE, "cleared_pairs", parameters)
    return frozenset((str(row["subject"]), str(row["provider"])) for row in rows)


def held_pairs(session: Session, lane: Lane, plan: Mapping[str, Any], at: datetime) -> dict[str, list[_Pair]]:
    """Returns the pairs of a plan that the lane's gate holds for a person, by action: now, or once they are due.

    Args:
        session: An open warehouse.
        lane: The retry ladder.
        plan: A retry plan of the lane.
        at: Its instant, in UTC without a zone.
    """
    decisions = [decision for decision in plan["retry_decisions"] if decision["action"] != "suppress"]
    uncleared = frozenset(uncleared_pairs(session, lane, decisions, at))
    pairs: dict[str, list[_Pair]] = {"retry": [], "wait": []}
    for decision in decisions:
        if (pair := _pair(lane, decision)) in uncleared:
            pairs[decision["action"]].append(pair)
    return pairs


def uncleared_pairs(session: Session, lane: Lane, decisions: Sequence[Mapping[str, Any]], at: datetime) -> list[_Pair]:
    """Returns the pairs of some decisions that the lane's gate does not let go at an instant, in UTC without a zone."""
    if lane.gate is Gate.REQUEST or not decisions:
        return []
    cleared = cleared_pairs(session, lane, decisions, (at, at))
    return [pair for pair in (_pair(lane, decision) for decision in decisions) if pair not in cleared]


def declined_states(session: Session, lane: Lane, pairs: Sequence[_Pair], at: datetime) -> dict[_Pair, str]:
    """Returns the pairs that a person has decided against at an instant, in UTC without a zone, each with the state.

    Args:
        session: An open warehouse.
        lane: The retry ladder.
        pairs: Pairs that the lane's gate does not let go.
        at: The instant.
    """
    if lane.gate is Gate.REQUEST or not pairs:
        return {}
    if lane.gate is Gate.APPROVAL:
        decided = approvals(session, lane, [at], (subject for subject, _ in pairs))
        states = {pair: decided.at(pair, at)[0] for pair in pairs}
    else:
        rows = session.rows(_PACKAGE, "newest_states", {"lane": lane.name, "as_of": at})
        states = {(str(row["subject"]), str(row["provider"])): str(row["acknowledgement_state"]) for row in rows}
    return {pair: state for pair in pairs if (state := states.get(pair)) in DECLINING_STATES}


def _pair(lane: Lane, decision: Mapping[str, Any]) -> _Pair:
    return str(decision[lane.subject_field]), str(decision["provider"])
