"""Computes recoveries from the records of a home (contract section 11) with Python 3.11 alone.

Written from the contract; unlike the engine, it counts each number at its own instant. Goes into bundles.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .derive import DAY, HOUR, MINUTE, Document, LanePairs, LaneRecord, due_at, provider_of

RETRIES = "retry-execution"
Span = tuple[datetime, datetime | None]


@dataclass
class RecordedRecovery:
    """An entry of a playbook, and the states recorded of it up to an instant, oldest first."""

    opened: datetime
    playbook_id: str
    provider: str
    entry: Document
    states: list[tuple[datetime, str]]
    closed_states: Sequence[str]

    def state(self) -> str:
        """Returns the newest state."""
        return self.states[-1][1] if self.states else "open"

    def closed(self) -> datetime | None:
        """Returns when it was closed; None while it is open."""
        return self.states[-1][0] if self.states and self.state() in self.closed_states else None

    def spans(self) -> list[Span]:
        """Returns the spans in which it was open; a closure from before its opening counts from the opening."""
        spans: list[Span] = [(self.opened, None)]
        for at, state in self.states:
            moment, is_open = max(at, self.opened), spans[-1][1] is None
            if is_open and state in self.closed_states:
                spans[-1] = spans[-1][0], moment
            elif not is_open and state not in self.closed_states:
                spans.append((moment, None))
        return spans

    def is_open_at(self, moment: datetime) -> bool:
        """Returns whether it was open at a moment up to the instant."""
        return any(start <= moment and (end is None or end > moment) for start, end in self.spans())


@dataclass
class RecoveriesAt:
    """The recoveries that had opened at an instant, from the records of no lane.

    The window begins at `start`; a recovery may be open for `slo`.
    """

    records: Sequence[LaneRecord]
    rules: Document
    start: datetime
    at: datetime
    slo: timedelta
    all: list[RecordedRecovery] = field(default_factory=list)
    playbook_count: int = 0

    def __post_init__(self) -> None:
        """Reads playbooks and closures."""
        self.records = sorted(r for r in self.records if r.at <= self.at and r.type in ("playbook", "closure"))
        states = defaultdict(list)
        for record in self.records:
            if record.type == "closure":
                key = record.raw.get("playbook_id", ""), record.provider()
                states[key].append((record.at, record.raw.get("closure_state", "other")))
        for record in self.records:
            self.playbook_count += record.type == "playbook"
            for entry in record.raw.get("connector_recovery_playbook", {}).get("provider_playbooks", ()):
                key = record.raw.get("playbook_id", ""), provider_of(entry.get("provider"))
                recovery = RecordedRecovery(record.at, *key, entry, states.get(key, []), self.rules["closed_states"])
                self.all.append(recovery)

    def counts(self, recoveries: Sequence[RecordedRecovery]) -> Document:
        """Counts those that are open or past their limit, and those that the window opened or closed."""
        spans = self.closed_spans(recoveries)
        in_time = sum(span <= self.slo for span in spans)
        return {
            "open_count": sum(recovery.closed() is None for recovery in recoveries),
            "slo_breached_count": sum(r.closed() is None and self.is_late(r, self.at) for r in recoveries),
            "opened_in_window_count": sum(recovery.opened >= self.start for recovery in recoveries),
            "closed_in_window_count": len(spans),
            "closed_within_limit_percent": in_time * 100 // len(spans) if spans else None,
        }

    def closed_spans(self, recoveries: Sequence[RecordedRecovery]) -> list[timedelta]:
        """Returns how long each one that closed in the window had been open, ascending."""
        return sorted(at - r.opened for r in recoveries if (at := r.closed()) and at >= self.start)

    def is_late(self, recovery: RecordedRecovery, moment: datetime) -> bool:
        """Returns whether a recovery is older than its limit at a moment, open or not."""
        return moment - recovery.opened > self.slo

    def totals(self) -> Document:
        """Returns the counts of all recoveries, and those that the report has for all only."""
        spans = self.closed_spans(self.all)
        reopened = sum(start >= self.start for recovery in self.all for start, _ in recovery.spans()[1:])
        return self.counts(self.all) | {
            "opened_count": len(self.all), "closed_count": sum(r.closed() is not None for r in self.all),
            "reopened_in_window_count": reopened, "closed_late_in_window_count": sum(span > self.slo for span in spans),
            "median_minutes_to_close": spans[len(spans) // 2] // MINUTE if spans else None,
        }  # fmt: skip

    def grouped(self, name: str, key: Callable[[RecordedRecovery], str]) -> list[Document]:
        """Returns the counts of each group that has any, those with most open recoveries first."""
        groups = defaultdict(list)
        for recovery in self.all:
            groups[key(recovery)].append(recovery)
        rows = [{name: group} | self.counts(groups[group]) for group in sorted(groups)]
        counted = ("open_count", "slo_breached_count", "opened_in_window_count", "closed_in_window_count")
        return sorted((row for row in rows if any(row[c] for c in counted)), key=lambda row: -row["open_count"])

    def by_day(self) -> list[Document]:
        """Counts those opened and closed on each UTC day of the window, and those open at its end."""
        spans = [span for recovery in self.all for span in recovery.spans()]
        first, last = self.start.date(), self.at.date()
        return [
            {
                "day": day.isoformat(), "opened_count": sum(start.date() == day for start, _ in spans),
                "closed_count": sum(end is not None and end.date() == day for _, end in spans),
                "open_count": sum(s.date() <= day and (end is None or end.date() > day) for s, end in spans),
            }
            for day in (first + number * DAY for number in range((last - first).days + 1))
        ]  # fmt: skip

    def backlog(self, window_days: int) -> list[Document]:
        """Counts those open and those past their limit every six hours (daily over a long window) and at the instant.

        Beside them the most of each step: a count rises only where a recovery opens or has just passed its limit.
        """
        step = (6 if window_days <= 31 else 24) * HOUR
        moments = [self.start + number * step for number in range((self.at - self.start) // step + 1)]
        starts = {start for recovery in self.all for start, _ in recovery.spans()}
        late = [recovery.opened for recovery in self.all if self.is_late(recovery, self.at)]
        rises = starts | {opened + self.slo + timedelta.resolution for opened in late}
        rows, before = list[Document](), self.start
        for moment in moments if moments[-1] == self.at else [*moments, self.at]:
            within = [self.open_and_late(rise) for rise in rises if before < rise <= moment]
            now = self.open_and_late(moment)
            most = [max(counts) for counts in zip(now, self.open_and_late(before), *within, strict=True)]
            rows.append({
                "at": moment.isoformat(), "open_count": now[0], "breached_count": now[1],
                "most_open_count": most[0], "most_breached_count": most[1],
            })  # fmt: skip
            before = moment
        return rows

    def open_and_late(self, moment: datetime) -> tuple[int, int]:
        """Counts those open at a moment, and those of them past their limit."""
        then = [recovery for recovery in self.all if recovery.is_open_at(moment)]
        return len(then), sum(self.is_late(recovery, moment) for recovery in then)

    def routes(self, notices: PlanNotices) -> Iterator[Document]:
        """Yields a route of the escalation plan for each open recovery."""
        for recovery in self.all:
            if recovery.closed() is None:
                age, late = self.at - recovery.opened, self.is_late(recovery, self.at)
                due = due_at(recovery.opened, self.slo)
                through, acknowledged = notices.of(recovery)
                yield {
                    "provider": recovery.provider, "playbook_id": recovery.playbook_id,
                    "category": recovery.entry.get("category"), "failure_count": recovery.entry.get("failure_count"),
                    "severity": "critical" if late else "warning", "slo_status": "breached" if late else "open",
                    "slo_state": "breached" if late else "at_risk" if 4 * age >= 3 * self.slo else "within",
                    "closure_state": recovery.state(), "opened_at": recovery.opened.isoformat(),
                    "slo_due_at": due and due.isoformat(), "age_minutes": age // MINUTE,
                    "notified_through": through, "acknowledged": acknowledged,
                    "need": _need(recovery.state(), through, acknowledged=acknowledged),
                }  # fmt: skip


def _need(state: str, through: Sequence[str], *, acknowledged: bool) -> str:
    need = {"escalated": "decide", "deferred": "resume", "reopened": "fix_again"}.get(state)
    return need or ("close" if acknowledged else "acknowledge" if through else "notify")


class PlanNotices:
    """Which escalation plans named a recovery, where they arrived, and how they were acknowledged."""

    def __init__(self, pairs: LanePairs, clearing: Sequence[str]) -> None:
        """Reads the lane of the escalation plans."""
        self.clearing = clearing
        self.plans: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self.arrived: defaultdict[str, set[str]] = defaultdict(set)
        self.answers: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        for plan in pairs.of("escalation_plan"):
            for route in plan.raw.get("recovery_escalation_plan", {}).get("escalation_routes", ()):
                key = route.get("playbook_id", ""), provider_of(route.get("provider"))
                self.plans[key].add(plan.raw.get("plan_id") or plan.session_id)
        for delivery in pairs.of("delivery"):
            for provider, (is_failed, _) in delivery.outcomes().items():
                if not is_failed:
                    self.arrived[pairs.subject(delivery)].add(provider)
        for acknowledgement in pairs.of("acknowledgement"):
            self.answers[pairs.subject(acknowledgement)][acknowledgement.provider()] = acknowledgement.answer()

    def of(self, recovery: RecordedRecovery) -> tuple[list[str], bool]:
        """Returns where notifications of a recovery arrived, and whether somebody has acknowledged one."""
        plans = self.plans.get((recovery.playbook_id, recovery.provider), set()) if recovery.playbook_id else set()
        through = sorted({provider for plan in plans for provider in self.arrived.get(plan, ())})
        return through, any(a in self.clearing for plan in plans for a in self.answers.get(plan, {}).values())


class OpeningCauses:
    """Why each recovery opened, by the status codes of the failures in the hours before."""

    def __init__(self, deliveries: Iterable[LaneRecord], rules: Document) -> None:
        """Reads the failures that playbooks count."""
        self.rules, self.failures = rules, defaultdict[str, list[tuple[datetime, int]]](list)
        for delivery in deliveries:
            if delivery.raw.get("connector_delivery_source") in rules["failure_sources"]:
                for provider, (is_failed, code) in delivery.outcomes().items():
                    if is_failed:
                        self.failures[provider].append((delivery.at, code or 0))

    def of(self, recovery: RecordedRecovery) -> str:
        """Returns the cause of a recovery."""
        longest, failures = self.rules["lookback_hours"] * HOUR, self.failures.get(recovery.provider, ())
        codes = {code for at, code in failures if timedelta() <= recovery.opened - at <= longest}
        causes = {next((c for c, low, high in self.rules["causes"] if low <= code <= high), "mixed") for code in codes}
        return causes.pop() if len(causes) == 1 else "mixed" if causes else "unknown"


def retry_routes(unresolved: Iterable[LaneRecord]) -> Iterator[Document]:
    """Yields a route for each provider with retries that failed or were skipped; none has an age or a limit."""
    nothing = dict.fromkeys(("closure_state", "slo_status", "slo_state", "opened_at", "slo_due_at", "age_minutes"))
    for provider, count in Counter(execution.provider() for execution in unresolved).items():
        yield {
            "provider": provider, "category": RETRIES, "severity": "critical", "playbook_id": "", **nothing,
            "failure_count": count, "notified_through": [], "acknowledged": False, "need": "review_retries",
        }  # fmt: skip


def in_order(routes: Iterable[Document]) -> list[Document]:
    """Returns routes in the order of a plan: critical ones first, then most failures, then the oldest."""

    def urgency(route: Mapping[str, Any]) -> tuple[Any, ...]:
        age = -1 if route["age_minutes"] is None else route["age_minutes"]
        failures = -(route["failure_count"] or 0)
        return route["severity"] != "critical", failures, -age, route["provider"], route["playbook_id"]

    return sorted(routes, key=urgency)


def most_urgent_first(routes: Iterable[Document]) -> list[Document]:
    """Returns open recoveries in the order of every list of them: past their limit first, then the newest."""
    by_name = sorted(routes, key=lambda route: (route["playbook_id"], route["provider"]))
    newest = sorted(by_name, key=lambda route: datetime.fromisoformat(route["opened_at"]), reverse=True)
    return sorted(newest, key=lambda route: route["slo_status"] != "breached")
