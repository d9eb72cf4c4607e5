"""What the health report of a lane is based on (contract section 7), for many instants at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from cavra_pipeline.documents import count_seen, instant, shifted, spread
from cavra_pipeline.lanes import CLEARING_STATES, Gate, Lane
from cavra_pipeline.reports.approvals import approvals
from cavra_pipeline.reports.cadence import MISSED_AFTER
from cavra_pipeline.reports.executions import by_reason, unresolved_executions
from cavra_pipeline.reports.outstanding import AlertKinds, outstanding_counts
from cavra_pipeline.reports.plan import decided_retries
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"


def facts_of(
    session: Session, lane: Lane, instants: Sequence[datetime], *, interval_minutes: int, window_hours: int
) -> list[dict[str, Any]]:
    """Reads what a health report says of each instant.

    Args:
        session: An open warehouse.
        lane: The retry ladder.
        instants: One of the lane's ``stretches``.
        interval_minutes: The worker's cadence.
        window_hours: How far back the counts in the window reach.

    Returns:
        For each instant its counts, the newest worker run and retry plan, gaps and outages.
    """
    window = timedelta(hours=window_hours)
    about: dict[str, object] = {"lane": lane.name, "instants": instants}
    starts = [shifted(at, -window) for at in instants]
    windowed: dict[str, object] = {**about, "window_starts": starts}

    records = session.rows(_PACKAGE, "lane_records", windowed)
    since = {name: records[0][name] for name in ("runs_since", "plans_since")}
    with (
        session.kept(_PACKAGE, "watched_in_reach", windowed),
        session.kept(_PACKAGE, "runs_and_plans", {**about, **since}),
    ):
        newest: list[dict[str, Any]] = session.rows(_PACKAGE, "newest_records", {"instants": instants})
        counts: list[dict[str, Any]] = session.rows(_PACKAGE, "windowed_counts", windowed)
        outages = _outages(session, windowed, newest, interval_minutes)
        failing, gaps = _failing(session, lane, instants)
        unresolved = unresolved_executions(session, lane, instants, watched="watched_in_reach")
    lists: dict[str, Sequence[Any]] = {
        "unresolved_delivery_count": failing,
        "unresolved_executions": list(map(by_reason, unresolved)),
        **gaps,
        "outstanding_alert_acknowledgement_count": outstanding_counts(session, AlertKinds.of(lane), instants),
        "skipped_reasons": _skipped_reasons(session, windowed, [row["skipped_execution_count"] for row in counts]),
        "outages": outages,
    }
    return [
        {
            **records[n],
            **newest[n],
            **counts[n],
            **{name: of_instant[n] for name, of_instant in lists.items()},
        }
        for n in range(len(instants))
    ]


def _outages(
    session: Session,
    windowed: Mapping[str, Any],
    newest: Sequence[Mapping[str, Any]],
    interval_minutes: int,
) -> list[list[dict[str, object]]]:
    """Those that ended in the window of each instant, and then the one that has not ended, if any."""
    interval = timedelta(minutes=interval_minutes)
    instants: Sequence[datetime] = windowed["instants"]
    parameters = {
        "instants": instants,
        "window_starts": windowed["window_starts"],
        "interval_minutes": interval_minutes,
    }
    ended = spread(
        session.rows(_PACKAGE, "outages", parameters),
        len(instants),
        lambda row: _outage(row["run_at"], row["next_run_at"], row["next_run_at"] - row["run_at"], interval),
    )
    return [
        [*ended[n], *_open_outage(at, newest[n]["latest_worker_run_at"], interval)] for n, at in enumerate(instants)
    ]


def _outage(run_at: datetime, ended_at: datetime | None, missed: timedelta, interval: timedelta) -> dict[str, object]:
    return {
        "started_at": instant(run_at + interval),
        "ended_at": instant(ended_at),
        "missed_runs": missed // interval - 1,
    }


def _open_outage(at: datetime, latest: datetime | None, interval: timedelta) -> list[dict[str, object]]:
    """The outage that has not ended: none, or one; a lane whose worker never ran has one without a start."""
    if latest is None:
        return [{"started_at": None, "ended_at": None, "missed_runs": 1}]
    return [_outage(latest, None, at - latest, interval)] if at - latest > MISSED_AFTER * interval else []


def _failing(
    session: Session, lane: Lane, instants: Sequence[datetime]
) -> tuple[list[int], dict[str, list[list[dict[str, object]]]]]:
    """Returns how many pairs are failing at each instant, and which of them wait for a person."""
    none: list[list[dict[str, object]]] = [[] for _ in instants]
    if lane.gate is Gate.APPROVAL:
        # Of each failing pair there is one decision.
        decided = decided_retries(session, lane, retry_policy(lane), instants)
        gaps = _approval_gaps(session, lane, instants, decided)
        return count_seen(decided, len(instants)), {"acknowledgement_gaps": none, "approval_gaps": gaps}
    about: dict[str, object] = {"lane": lane.name, "instants": instants, "clearing": CLEARING_STATES}
    rows: list[dict[str, Any]] = session.rows(_PACKAGE, "unresolved_deliveries", about)
    needs_acknowledgement = lane.gate is Gate.ACKNOWLEDGEMENT
    unanswered = [row for row in rows if needs_acknowledgement and not row["is_acknowledged"]]
    gaps = spread(unanswered, len(instants), lambda row: _gap(row, lane))
    return count_seen(rows, len(instants)), {"acknowledgement_gaps": gaps, "approval_gaps": none}


def _gap(row: Mapping[str, Any], lane: Lane) -> dict[str, object]:
    return {
        lane.subject_field: row["subject"],
        "provider": row["provider"],
        "since": instant(row["failing_since"]),
        "acknowledgement_state": row["acknowledgement_state"] or None,
    }


def _approval_gaps(
    session: Session, lane: Lane, instants: Sequence[datetime], decided: Sequence[Mapping[str, Any]]
) -> list[list[dict[str, object]]]:
    """At each instant the pairs to retry by the lane's own policy that have no approval (contract section 7)."""
    gaps: list[list[dict[str, object]]] = [[] for _ in instants]
    retried = [row for row in decided if row["action"] == "retry"]
    pair_approvals = approvals(session, lane, instants, (row["subject"] for row in retried))
    for row in retried:
        for n in range(row["first_seen"] - 1, row["last_seen"]):
            state, is_approved = pair_approvals.at((row["subject"], row["provider"]), instants[n])
            if not is_approved:
                beside = {lane.decision_field: row[lane.decision_field]} if lane.decision_field else {}
                gaps[n].append(
                    {
                        lane.subject_field: row["subject"],
                        **beside,
                        "provider": row["provider"],
                        "since": instant(row["failing_since"]),
                        "approval_state": state or None,
                    }
                )
    return gaps


def _skipped_reasons(session: Session, windowed: dict[str, object], counts: Sequence[int]) -> list[dict[str, int]]:
    """In the window of each instant how many executions were skipped, by reason; ``counts``: how many in all."""
    reasons: list[dict[str, int]] = [{} for _ in counts]
    if not any(counts):
        return reasons
    rows: list[dict[str, Any]] = session.rows(_PACKAGE, "skipped_reasons", windowed)
    for row in rows:
        reasons[row["number"] - 1][row["reason"]] = row["skipped_count"]
    return reasons
