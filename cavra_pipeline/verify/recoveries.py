"""Works recoveries out from the records of a home (contract section 11) with Python 3.11 alone.

Written from the contract, and otherwise than the engine: each number is counted at its own instant. Goes into bundles.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .derive import MINUTE, Document, LanePairs, LaneRecord, due_at, provider_of

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RETRIES = "retry-execution"
Span = tuple[datetime, datetime | None]


@dataclass
class PlaybookEntry:
    """An entry of a playbook, and what had been said of it up to an instant, oldest first."""

    opened: datetime
    playbook_id: str
    provider: str
    entry: Document
    said: list[tuple[datetime, str]]
    closing: Sequence[str]

    def state(self) -> str:
        """What was said last."""
        return self.said[-1][1] if self.said else "open"

    def closed(self) -> datetime | None:
        """When it was closed; None while it is open."""
        return self.said[-1][0] if self.said and self.state() in self.closing else None

    def spans(self) -> list[Span]:
        """From when until when it was open; a closure from before it was opened counts from then."""
        spans: list[Span] = [(self.opened, None)]
        for at, state in self.said:
            moment, is_open = max(at, self.opened), spans[-1][1] is None
            if is_open and state in self.closing:
                spans[-1] = spans[-1][0], moment
            elif not is_open and state not in self.closing:
                spans.append((moment, None))
        return spans

    def is_open_at(self, moment: datetime) -> bool:
        """Whether it was open at a moment up to the instant."""
        return any(start <= moment and (end is None or end > moment) for start, end in self.spans())


@dataclass
class RecoveriesAt:
    """The recoveries that had opened at an instant, as records of no lane tell them.

    The window begins at `start`; a recovery may be open for `slo`.
    """

    entries: Sequence[LaneRecord]
    rules: Document
    start: datetime
    at: datetime
    slo: timedelta
    all: list[PlaybookEntry] = field(default_factory=list)
    records: list[LaneRecord] = field(default_factory=list)
    playbook_count: int = 0

    def __post_init__(self) -> None:
        """Reads playbooks and closures."""
        self.records = sorted(one for one in self.entries if one.at <= self.at and one.type in ("playbook", "closure"))
        said = defaultdict(list)
        for one in self.records:
            if one.type == "closure":
                place = one.raw.get("playbook_id", ""), provider_of(one.raw.get("provider"))
                said[place].append((one.at, one.raw.get("closure_state", "other")))
        for one in self.records:
            self.playbook_count += one.type == "playbook"
            for entry in one.raw.get("connector_recovery_playbook", {}).get("provider_playbooks", ()):
                place = one.raw.get("playbook_id", ""), provider_of(entry.get("provider"))
                self.all.append(PlaybookEntry(one.at, *place, entry, said.get(place, []), self.rules["closed_states"]))

    def counts(self, some: Sequence[PlaybookEntry]) -> Document:
        """How many of them are open or past their limit, and what the window brought."""
        lately = [at - one.opened for one in some if (at := one.closed()) and at >= self.start]
        in_time = sum(span <= self.slo for span in lately)
        return {
            "open_count": sum(one.closed() is None for one in some),
            "slo_breached_count": sum(one.closed() is None and self.is_late(one, self.at) for one in some),
            "opened_in_window_count": sum(one.opened >= self.start for one in some),
            "closed_in_window_count": len(lately),
            "closed_within_limit_percent": in_time * 100 // len(lately) if lately else None,
        }

    def is_late(self, one: PlaybookEntry, moment: datetime) -> bool:
        """Whether a recovery is older than its limit at a moment, open or not."""
        return moment - one.opened > self.slo

    def totals(self) -> Document:
        """The counts of all, and what only all together have."""
        spans = sorted(at - one.opened for one in self.all if (at := one.closed()) and at >= self.start)
        again = sum(start >= self.start for one in self.all for start, _ in one.spans()[1:])
        return self.counts(self.all) | {
            "opened_count": len(self.all), "closed_count": sum(one.closed() is not None for one in self.all),
            "reopened_in_window_count": again, "closed_late_in_window_count": sum(span > self.slo for span in spans),
            "median_minutes_to_close": spans[len(spans) // 2] // MINUTE if spans else None,
        }  # fmt: skip

    def grouped(self, name: str, key: Callable[[PlaybookEntry], str]) -> list[Document]:
        """The counts of each group that has any, those with most open recoveries first."""
        groups = defaultdict(list)
        for one in self.all:
            groups[key(one)].append(one)
        rows = [{name: group} | self.counts(groups[group]) for group in sorted(groups)]
        counted = ("open_count", "slo_breached_count", "opened_in_window_count", "closed_in_window_count")
        return sorted((row for row in rows if any(row[of] for of in counted)), key=lambda row: -row["open_count"])

    def by_day(self) -> list[Document]:
        """Opened and closed on each UTC day of the window, and open at its end."""
        spans = [span for one in self.all for span in one.spans()]
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
        """How many were open, and past their limit, every six hours (daily over a long window) and at the instant.

        Beside them the most of each step: a count rises only where a recovery opens or has just passed its limit.
        """
        step = (6 if window_days <= 31 else 24) * HOUR
        moments = [self.start + number * step for number in range((self.at - self.start) // step + 1)]
        starts = {start for one in self.all for start, _ in one.spans()}
        late = [one.opened for one in self.all if self.at - one.opened > self.slo]
        rises = starts | {opened + self.slo + timedelta.resolution for opened in late}
        rows, before = list[Document](), self.start
        for moment in moments if moments[-1] == self.at else [*moments, self.at]:
            within = [self.open_and_late(each) for each in rises if before < each <= moment]
            now = self.open_and_late(moment)
            most = [max(of) for of in zip(now, self.open_and_late(before), *within, strict=True)]
            rows.append({
                "at": moment.isoformat(), "open_count": now[0], "breached_count": now[1],
                "most_open_count": most[0], "most_breached_count": most[1],
            })  # fmt: skip
            before = moment
        return rows

    def open_and_late(self, moment: datetime) -> tuple[int, int]:
        """How many were open at a moment, and how many of them past their limit."""
        then = [one for one in self.all if one.is_open_at(moment)]
        return len(then), sum(self.is_late(one, moment) for one in then)

    def routes(self, notices: PlanNotices) -> Iterator[Document]:
        """A route of the escalation plan for each open recovery."""
        for one in self.all:
            if one.closed() is None:
                age, late = self.at - one.opened, self.is_late(one, self.at)
                due = due_at(one.opened, self.slo)
                through, acknowledged = notices.of(one)
                yield {
                    "provider": one.provider, "category": one.entry.get("category"), "playbook_id": one.playbook_id,
                    "severity": "critical" if late else "warning", "slo_status": "breached" if late else "open",
                    "slo_state": "breached" if late else "at_risk" if 4 * age >= 3 * self.slo else "within",
                    "closure_state": one.state(), "opened_at": one.opened.isoformat(), "age_minutes": age // MINUTE,
                    "slo_due_at": due and due.isoformat(), "failure_count": one.entry.get("failure_count"),
                    "notified_through": through, "acknowledged": acknowledged,
                    "need": _need(one.state(), through, acknowledged=acknowledged),
                }  # fmt: skip


def _need(state: str, through: Sequence[str], *, acknowledged: bool) -> str:
    said = {"escalated": "decide", "deferred": "resume", "reopened": "fix_again"}.get(state)
    return said or ("close" if acknowledged else "acknowledge" if through else "notify")


class PlanNotices:
    """Which escalation plans named a recovery, where they arrived, and what was said of them."""

    def __init__(self, pairs: LanePairs, clearing: Sequence[str]) -> None:
        """Reads the lane of the escalation plans."""
        self.clearing = clearing
        self.plans: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self.arrived: defaultdict[str, set[str]] = defaultdict(set)
        self.said: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        for one in pairs.of("escalation_plan"):
            for route in one.raw.get("recovery_escalation_plan", {}).get("escalation_routes", ()):
                place = route.get("playbook_id", ""), provider_of(route.get("provider"))
                self.plans[place].add(one.raw.get("plan_id") or one.session_id)
        for one in pairs.of("delivery"):
            for provider, (is_failed, _) in one.outcomes().items():
                if not is_failed:
                    self.arrived[pairs.subject(one)].add(provider)
        for one in pairs.of("acknowledgement"):
            self.said[pairs.subject(one)][provider_of(one.raw.get("provider"))] = one.answer()

    def of(self, one: PlaybookEntry) -> tuple[list[str], bool]:
        """Where notifications of a recovery arrived, and whether somebody has acknowledged one."""
        plans = self.plans.get((one.playbook_id, one.provider), set()) if one.playbook_id else set()
        through = sorted({provider for plan in plans for provider in self.arrived.get(plan, ())})
        return through, any(said in self.clearing for plan in plans for said in self.said.get(plan, {}).values())


class EntryCauses:
    """Why each recovery opened, as the statuses of the failures in the hours before tell."""

    def __init__(self, deliveries: Iterable[LaneRecord], rules: Document) -> None:
        """Reads the failures that playbooks count."""
        self.rules, self.failures = rules, defaultdict[str, list[tuple[datetime, int]]](list)
        for one in deliveries:
            if one.raw.get("connector_delivery_source") in rules["failure_sources"]:
                for provider, (is_failed, code) in one.outcomes().items():
                    if is_failed:
                        self.failures[provider].append((one.at, code or 0))

    def of(self, one: PlaybookEntry) -> str:
        """The cause of a recovery."""
        longest = self.rules["lookback_hours"] * HOUR
        codes = {code for at, code in self.failures.get(one.provider, ()) if timedelta() <= one.opened - at <= longest}
        causes = {
            next((of for of, low, high in self.rules["causes"] if low <= code <= high), "mixed") for code in codes
        }
        return causes.pop() if len(causes) == 1 else "mixed" if causes else "unknown"


def retry_routes(unresolved: Iterable[LaneRecord]) -> Iterator[Document]:
    """A route for each provider with retries that failed or were skipped; none has an age or a limit."""
    nothing = dict.fromkeys(("closure_state", "slo_status", "slo_state", "opened_at", "slo_due_at", "age_minutes"))
    for provider, count in Counter(provider_of(one.raw.get("provider")) for one in unresolved).items():
        yield {
            "provider": provider, "category": RETRIES, "severity": "critical", "playbook_id": "", **nothing,
            "failure_count": count, "notified_through": [], "acknowledged": False, "need": "review_retries",
        }  # fmt: skip


def in_order(routes: Iterable[Document]) -> list[Document]:
    """Routes as a plan lists them: critical ones first, then most failures, then the oldest."""

    def urgency(route: Mapping[str, Any]) -> tuple[Any, ...]:
        age = -1 if route["age_minutes"] is None else route["age_minutes"]
        failures = -(route["failure_count"] or 0)
        return route["severity"] != "critical", failures, -age, route["provider"], route["playbook_id"]

    return sorted(routes, key=urgency)


def most_urgent_first(routes: Iterable[Document]) -> list[Document]:
    """Open recoveries as every list of them has them: past their limit first, then the newest."""
    by_name = sorted(routes, key=lambda one: (one["playbook_id"], one["provider"]))
    newest = sorted(by_name, key=lambda one: datetime.fromisoformat(one["opened_at"]), reverse=True)
    return sorted(newest, key=lambda one: one["slo_status"] != "breached")
