"""What the reports ask of the evidence, each in one pass for many instants: the whole of it, and a window of days."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.documents import ascending
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.clearance import declined_states, uncleared_pairs
from cavra_pipeline.reports.executions import Unresolved, unresolved_executions
from cavra_pipeline.reports.plan import decided_retries
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.reports.stretches import stretches
from cavra_pipeline.retention.horizon import require_answerable
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.executive"
#: The lane whose subjects are escalation plans, and the one whose failed retries are escalated beside recoveries.
ESCALATIONS: Final = LANES["recovery_escalation"]
AUDITS: Final = LANES["acknowledgement_audit"]
_NOTHING: Final[Mapping[str, Any]] = {
    "evidence_record_count": 0,
    "future_record_count": 0,
    "latest_record_at": None,
}


@dataclass(frozen=True, slots=True)
class EvidenceState:
    """The evidence at an instant.

    Attributes:
        lanes: By lane: ``evidence_record_count``, ``future_record_count``, ``latest_record_at``; lanes without any are
            left out.
        unplanned_failure_count: Failing notifications that belong to no escalation plan.
        unresolved_executions: Retries of audit deliveries that are unresolved.
    """

    lanes: Mapping[str, Mapping[str, Any]]
    unplanned_failure_count: int
    unresolved_executions: Unresolved

    def of(self, lane: str) -> Mapping[str, Any]:
        """Returns what there is of a lane."""
        return self.lanes.get(lane, _NOTHING)


def evidence_states(session: Session, instants: Sequence[datetime]) -> dict[datetime, EvidenceState]:
    """Returns the evidence at each instant, by the instant in UTC without a zone.

    Raises:
        UsageError: The evidence of an instant has been pruned.
    """
    require_answerable(session, instants)
    moments = ascending(instants)
    lanes: list[dict[str, Mapping[str, Any]]] = [{} for _ in moments]
    for row in session.rows(_PACKAGE, "lane_extents", {"instants": moments}):
        lanes[int(str(row.pop("number"))) - 1][str(row.pop("lane"))] = row
    unplanned = session.rows(_PACKAGE, "unplanned_failures", {"lane": ESCALATIONS.name, "instants": moments})
    executions = {
        at: unresolved
        for some in stretches(session, [AUDITS], moments)
        for at, unresolved in zip(some, unresolved_executions(session, AUDITS, some), strict=True)
    }
    return {
        at: EvidenceState(extents, int(str(row["unplanned_failure_count"])), executions[at])
        for at, extents, row in zip(moments, lanes, unplanned, strict=True)
    }


def failing_providers(session: Session, instants: Sequence[datetime]) -> dict[datetime, list[dict[str, Any]]]:
    """Returns the providers at which deliveries are failing at each instant: lane by lane, each sorted by provider.

    ``success_at`` is the newest success of the provider in any lane; ``failing_since_success_count`` counts the failing
    pairs whose newest attempt is later.
    """
    moments = ascending(instants)
    failing: dict[datetime, list[dict[str, Any]]] = {at: [] for at in moments}
    for lane in LANES.values():
        for row in session.rows(_PACKAGE, "failing_providers", {"lane": lane.name, "instants": moments}):
            failing[moments[int(str(row.pop("number"))) - 1]].append({**row, "lane": lane.name})
    return failing


def retry_counts(session: Session, instants: Sequence[datetime]) -> dict[datetime, dict[str, Counter[str]]]:
    """Returns what becomes of the failing deliveries by the lanes' retry policies, by instant and provider.

    Each is counted once: ``suppressed_count`` have no retries left, ``uncleared_count`` wait for a person's
    acknowledgement or approval, ``cleared_count`` wait for the worker to retry them; those that a person has decided
    against count under the state of the decision, such as ``deferred``. ``acknowledgement_count`` and
    ``approval_count`` say which of the two the uncleared ones need.
    """
    moments = ascending(instants)
    counts: dict[datetime, dict[str, Counter[str]]] = {at: defaultdict(Counter) for at in moments}
    for lane in LANES.values():
        for some in stretches(session, [lane], moments):
            decisions_by_instant: list[list[dict[str, Any]]] = [[] for _ in some]
            for row in decided_retries(session, lane, retry_policy(lane), some):
                for decisions in decisions_by_instant[row["first_seen"] - 1 : row["last_seen"]]:
                    decisions.append({**row, lane.subject_field: row["subject"]})
            for at, decisions in zip(some, decisions_by_instant, strict=True):
                left = [decision for decision in decisions if decision["action"] != "suppress"]
                held_pairs = uncleared_pairs(session, lane, left, at)
                declined = declined_states(session, lane, held_pairs, at)
                held_counts = Counter(provider for _, provider in held_pairs)
                uncleared = Counter(pair[1] for pair in held_pairs if pair not in declined)
                total = Counter(str(decision["provider"]) for decision in decisions)
                retried = Counter(str(decision["provider"]) for decision in left)
                for provider in total:
                    counts[at][provider].update(
                        suppressed_count=total[provider] - retried[provider],
                        uncleared_count=uncleared[provider],
                        **{f"{lane.gate.name.lower()}_count": uncleared[provider]},
                        cleared_count=retried[provider] - held_counts[provider],
                    )
                for (_, provider), state in declined.items():
                    counts[at][provider][state] += 1
    return counts


def failed_retries(session: Session, instants: Sequence[datetime]) -> dict[datetime, dict[str, Unresolved]]:
    """Returns the retries of each lane that failed or were skipped and are unresolved, by instant and lane."""
    retries: dict[datetime, dict[str, Unresolved]] = {at: {} for at in ascending(instants)}
    for lane in LANES.values():
        for some in stretches(session, [lane], list(retries)):
            for at, unresolved in zip(some, unresolved_executions(session, lane, some), strict=True):
                retries[at][lane.name] = unresolved
    return retries


@dataclass(slots=True)
class Window:
    """What happened from the start of a window to its instant.

    Attributes:
        lanes: What each lane did; lanes that did nothing are left out.
        providers: Deliveries by provider, sorted by provider.
        quarantined_record_count: Rejected lines of its landing files.
    """

    lanes: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    providers: list[Mapping[str, Any]] = field(default_factory=list)
    quarantined_record_count: int = 0


def windows(session: Session, starts: Mapping[datetime, datetime]) -> dict[datetime, Window]:
    """Counts what happened in each window, by its instant.

    Args:
        session: An open warehouse.
        starts: Each instant's start of the window, both in UTC without a zone; a later instant's is not earlier.
    """
    moments = sorted(starts)
    counted_windows = [Window() for _ in moments]
    parameters: dict[str, object] = {"instants": moments, "window_starts": [starts[at] for at in moments]}

    def rows(name: str) -> Sequence[tuple[Window, dict[str, Any]]]:
        return [
            (counted_windows[int(str(row.pop("number"))) - 1], row) for row in session.rows(_PACKAGE, name, parameters)
        ]

    for window, row in rows("lane_activity"):
        window.lanes[row["lane"]] = row
    for window, row in rows("provider_deliveries"):
        window.providers.append(row)
    for window, row in rows("quarantined"):
        window.quarantined_record_count = row["quarantined_record_count"]
    return dict(zip(moments, counted_windows, strict=True))
