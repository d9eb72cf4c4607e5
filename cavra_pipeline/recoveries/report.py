"""The recovery report (contract section 11): which recoveries are open, past their limit, or closed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cavra_pipeline.boundary.fields import CLOSURE_STATES
from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.documents import (
    DEFAULT_GENERATED_BY,
    PRODUCT,
    identify,
    instant,
    naive_utc,
    whole_minutes,
)
from cavra_pipeline.recoveries.history import (
    OPEN,
    Closure,
    Recovery,
    RecoveryHistory,
    RecoveryParameters,
    recovery_history,
)
from cavra_pipeline.recoveries.notices import Notices, notices
from cavra_pipeline.retention.horizon import require_answerable
from cavra_pipeline.warehouse import Session

#: What a report says where CAVRA has written no playbook: no recovery is known, and that is no all-clear.
NO_PLAYBOOK: Final = "no_playbook"
_LEVELS: Final = {"breached": "critical", "open": "warning"}


def recovery_reports(
    session: Session,
    parameters: RecoveryParameters,
    *,
    instants: Sequence[datetime],
    now: datetime,
    generated_by: str = DEFAULT_GENERATED_BY,
) -> list[dict[str, Any]]:
    """Makes the recovery report as of each instant, in one pass over the evidence.

    Args:
        session: An open warehouse.
        parameters: How long a recovery may be open.
        instants: Records created after one do not exist for its report, but as ``future_record_count``.
        now: When the reports are made; only ``generated_at`` shows it.
        generated_by: Actor label of who asked.

    Returns:
        A report for each instant, in the order of the instants.

    Raises:
        UsageError: The label is not public-safe, or evidence of an instant has been pruned.
    """
    generated_by = actor_label(generated_by, where="generated_by")
    if not instants:
        return []
    require_answerable(session, instants)
    until = naive_utc(max(instants))
    history, notified = recovery_history(session, until), notices(session, until)
    made_by = {"generated_at": instant(now), "generated_by": generated_by}
    return [_report(history, notified, naive_utc(at), parameters.slo_minutes, made_by) for at in instants]


def _report(
    history: RecoveryHistory, notified: Notices, at: datetime, slo_minutes: int, made_by: Mapping[str, object]
) -> dict[str, Any]:
    slo = timedelta(minutes=slo_minutes)
    opened, said = history.opened(at), history.said(at)
    rows = recovery_rows(opened, at, slo)
    statuses = Counter(row["slo_status"] for row in rows)
    playbooks = history.playbook_count(at)
    worst = next((status for status in _LEVELS if statuses[status]), None)
    report: dict[str, Any] = {
        "schema_version": "cavra-pipeline.recoveries.v1",
        "product": PRODUCT,
        "recovery_report_id": "",
        "as_of": instant(at),
        **made_by,
        "alert_level": _LEVELS.get(str(worst), "healthy" if playbooks else "unknown"),
        "state": (OPEN if worst else "none_open") if playbooks else NO_PLAYBOOK,
        "recovery_slo_minutes": slo_minutes,
        "playbook_count": playbooks,
        "recovery_count": len(rows),
        "recovery_open_count": len(rows) - statuses["closed"],
        "recovery_closed_count": statuses["closed"],
        "recovery_slo_breached_count": statuses["breached"],
        "closure_state_counts": dict(sorted(Counter(closure.state for closure in said).items())),
        "provider_summary": _by_provider(rows, said),
        "closure_trends": _by_day(said),
        "recovery_groups": recovery_groups(opened, at),
        "recoveries": [
            {**{name: value for name, value in row.items() if name != "recovery"}, **notified.of(row["recovery"], at)}
            for row in rows
        ],
        "evidence_record_count": playbooks + len(said),
        "future_record_count": len(history.playbooks) - playbooks + len(history.closures) - len(said),
    }
    report["recovery_report_id"] = identify("recovery-report", report)
    return report


def recovery_rows(opened: Iterable[Recovery], at: datetime, slo: timedelta) -> list[dict[str, Any]]:
    """Returns a row for each recovery as an instant sees it, those past their limit first, then the newest.

    Args:
        opened: The recoveries that had opened by then.
        at: The instant, UTC without a zone.
        slo: How long a recovery may be open.

    Returns:
        Rows of contract section 11, instants as text; ``recovery`` is the recovery itself.
    """
    return most_urgent_first(_row(recovery, at, slo) for recovery in opened)


def most_urgent_first(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns rows of recoveries in the order of every list of them: past their limit first, then the newest."""
    ordered = sorted(rows, key=lambda row: (row["playbook_id"], row["provider"]))
    ordered.sort(key=lambda row: datetime.fromisoformat(row["opened_at"]), reverse=True)
    ordered.sort(key=lambda row: row["slo_status"] != "breached")
    return ordered


def _row(recovery: Recovery, at: datetime, slo: timedelta) -> dict[str, Any]:
    newest, closed_at = recovery.newest_closure(at), recovery.closed_at(at)
    status = "closed" if closed_at else "breached" if recovery.is_past_limit(at, slo) else "open"
    return {
        "playbook_id": recovery.playbook_id,
        "provider": recovery.provider,
        "category": recovery.category,
        "failure_count": recovery.failure_count,
        "opened_at": instant(recovery.opened_at),
        "age_minutes": whole_minutes(at - recovery.opened_at),
        "closure_state": newest.state if newest else OPEN,
        "slo_status": status,
        "closed_at": instant(closed_at),
        "closure_minutes": whole_minutes(closed_at - recovery.opened_at) if closed_at else None,
        "external_ref": recovery.ticket(at),
        "recovery": recovery,
    }


def recovery_groups(opened: Iterable[Recovery], at: datetime) -> list[dict[str, Any]]:
    """Returns recoveries that share a provider and overlap as one group each: one outage may open several.

    Returns:
        Groups, the newest first: ``provider``, ``opened_at``, ``closed_at`` (null while one of them is open),
        ``recovery_count``, ``open_count`` and ``playbook_ids`` in order of opening.
    """
    groups: list[list[Recovery]] = []
    newest_of: dict[str, list[Recovery]] = {}
    ends: dict[str, datetime] = {}
    for recovery in opened:
        # Closed before it was opened, it was open for no time.
        end = max(recovery.closed_at(at) or datetime.max, recovery.opened_at)  # noqa: DTZ901 -- UTC without a zone
        if recovery.provider in ends and recovery.opened_at < ends[recovery.provider]:
            newest_of[recovery.provider].append(recovery)
            ends[recovery.provider] = max(ends[recovery.provider], end)
        else:
            newest_of[recovery.provider], ends[recovery.provider] = [recovery], end
            groups.append(newest_of[recovery.provider])
    groups.sort(key=lambda group: group[0].provider)
    groups.sort(key=lambda group: group[0].opened_at, reverse=True)
    return [_group(group, at) for group in groups]


def _group(group: Sequence[Recovery], at: datetime) -> dict[str, Any]:
    closed = [moment for recovery in group if (moment := recovery.closed_at(at))]
    is_open = len(closed) < len(group)
    return {
        "provider": group[0].provider,
        "opened_at": instant(group[0].opened_at),
        "closed_at": None if is_open else instant(max(closed)),
        "recovery_count": len(group),
        "open_count": len(group) - len(closed),
        "playbook_ids": [recovery.playbook_id for recovery in group],
    }


def _by_provider(rows: Iterable[Mapping[str, Any]], said: Iterable[Closure]) -> list[dict[str, Any]]:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counted = counts[row["provider"]]
        counted["recovery_playbook_count"] += 1
        counted["open_recovery_count"] += row["slo_status"] != "closed"
        counted["slo_breached_count"] += row["slo_status"] == "breached"
    for closure in said:
        counts[closure.provider]["recovery_closure_count"] += 1
    names = ("recovery_playbook_count", "recovery_closure_count", "open_recovery_count", "slo_breached_count")
    return [
        {"provider": provider, **{name: counted[name] for name in names}}
        for provider, counted in sorted(counts.items())
    ]


def _by_day(said: Iterable[Closure]) -> list[dict[str, Any]]:
    """Closures by UTC day, the newest first, as CAVRA counts them."""
    days: defaultdict[str, list[Closure]] = defaultdict(list)
    for closure in said:
        days[closure.at.replace(tzinfo=UTC).date().isoformat()].append(closure)
    return [
        {
            "date": day,
            "closure_count": len(closures),
            **{f"{state}_count": sum(closure.state == state for closure in closures) for state in CLOSURE_STATES},
            "provider_counts": dict(sorted(Counter(closure.provider for closure in closures).items())),
        }
        for day, closures in sorted(days.items(), reverse=True)
    ]
