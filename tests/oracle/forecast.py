"""The oracle of the forecast, written from section 15 of the contract alone: run by run, deliveries made up for each.

A run makes up the deliveries and executions that it would leave, and the oracle's own plan (section 6) decides about a
history that holds them. Where the contract leaves a choice:

- An interval outside 1 to 525,600 minutes is none. A worker that never ran has no schedule: `schedule_disabled`.
- A pair whose subject is not what its lane sends (section 4), or stands for one that was tried first (4a), is
  `not_retryable`, as one that the plan suppresses: a retry would count for the other subject.
- Of several reasons the first counts: not retryable, acknowledgement or approval, schedule, connector, not due.
- A pair without a connector takes a place of one run for its newest failure: there it is skipped.
- `first_tried_at` and the counts of the queue are those of the assumption that every retry fails; a pair that is never
  tried then, because others take its place, is first tried when every retry is delivered.
- Waiting counts from `as_of` on, up to the run that takes the pair, or to the end.
- A failure is followed by a success if its pair was settled after it, by `as_of`. A failure after that is no attempt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from tests.oracle.evidence import DELIVERY, PREFIX, OracleLane, OracleRecord, Raw
from tests.oracle.model import CLEARING, plan_of
from tests.oracle.pairs import OracleLadder, Pair, execution_status

Decisions = dict[Pair, Mapping[str, Any]]

MINUTE: Final = timedelta(minutes=1)
MOST_MINUTES: Final = 525_600
LEAST_ALIKE: Final = 20
#: Kinds whose newest record says whether a lane may send a subject, the field that says so, and what it says then.
SENDABLE: Final = {
    "auditor_export": (("final-reporting-auditor-export",), "verification_state", "verified"),
    "release_closeout": (
        ("final-reporting-release-closeout-summary", "final-reporting-release-closeout-delivery"),
        "closeout_state",
        "closed",
    ),
}


@dataclass(frozen=True)
class Question:
    """What a forecast is asked about; `missing` are the providers without a connector."""

    as_of: datetime
    hours: int = 24
    limit: int = 5
    policy: Mapping[str, Any] = field(default_factory=dict)
    missing: Collection[str] = ()

    @property
    def until(self) -> datetime:
        """The last instant that is looked at."""
        return self.as_of + timedelta(hours=self.hours)


@dataclass
class Course:
    """What the runs come to under one assumption: instants by pair, and what a history in which it held has more."""

    tried: dict[Pair, datetime] = field(default_factory=dict)
    exhausted: dict[Pair, datetime] = field(default_factory=dict)
    delivered: dict[Pair, datetime] = field(default_factory=dict)
    made: list[OracleRecord] = field(default_factory=list)
    queue_peak: int = 0
    late_by: timedelta = timedelta()

    def wait(self, how_long: timedelta) -> None:
        """Notes that something due has waited so long."""
        self.late_by = max(self.late_by, how_long)


class OracleForecast:
    """A lane's coming runs, worked through from the evidence of an instant."""

    def __init__(self, records: Sequence[OracleRecord], lane: OracleLane, question: Question) -> None:
        """Works the runs through; records after `as_of` may be given, and do not exist for it."""
        self.lane, self.question = lane, question
        self.known = [record for record in records if record.at <= question.as_of]
        self.ladder = OracleLadder(records, lane, question.as_of)
        self.decisions = self._decisions(plan_of(self.ladder, question.policy))
        self.runs, self.is_on = self._runs()
        self.held = {pair: self._held(pair, one["action"]) for pair, one in self.decisions.items()}
        self.skipped_before = self._skipped_before()
        self.failing, self.arriving = self._course(False), self._course(True)

    def _decisions(self, plan: Mapping[str, Any]) -> Decisions:
        return {(one[self.lane.subject_field], one["provider"]): one for one in plan["retry_decisions"]}

    def _runs(self) -> tuple[list[datetime], bool]:
        if not self.ladder.worker_runs:
            return [], False
        newest = self.ladder.worker_runs[-1]
        schedule = newest.inner("schedule")
        schedule = schedule if isinstance(schedule, dict) else {}
        if schedule.get("enabled") is False:
            return [], False
        said = schedule.get("interval_minutes")
        minutes = said if isinstance(said, int) and 0 < said <= MOST_MINUTES else self.lane.cadence
        found, moment = [], newest.at
        while moment <= self.question.until:
            if moment > self.question.as_of:
                found.append(moment)
            moment += minutes * MINUTE
        return found, True

    def _held(self, pair: Pair, action: str) -> str | None:
        """Why no run selects a pair, whenever it is due."""
        if action == "suppress" or not self._is_sendable(pair[0]) or self.ladder.first(*pair) != pair[0]:
            return "not_retryable"
        if self.lane.approval:
            return None if self.ladder.is_approved(pair) else "approval"
        newest = self.ladder.newest_acknowledgements.get(pair)
        is_cleared = newest is not None and newest.text("acknowledgement_state") in CLEARING
        return "acknowledgement" if self.lane.needs_acknowledgement and not is_cleared else None

    def _is_sendable(self, subject: str) -> bool:
        if self.lane.name not in SENDABLE:
            return True
        kinds, name, needed = SENDABLE[self.lane.name]
        said = [one for one in self.known if one.kind in kinds and one.text(self.lane.subject_field) == subject]
        states = [one.text(name) for one in sorted(said) if one.text(name)]
        return bool(states) and states[-1] == needed

    def _skipped_before(self) -> set[Pair]:
        """Pairs whose newest failure a run has skipped already."""
        skipped = [one for one in self.ladder.executions if execution_status(one) == "skipped"]
        newest, failures = self.ladder.newest_by_pair(skipped), self.ladder.unsettled()
        return {pair for pair, one in newest.items() if pair in failures and one.at > failures[pair][-1].at}

    def _course(self, is_delivered: bool) -> Course:
        course, skipped, decisions = Course(), set(self.skipped_before), self.decisions
        for at in self.runs:
            due = self._due(decisions, at, skipped)
            course.queue_peak = max(course.queue_peak, len(due))
            for pair, since in list(due.items())[: self.question.limit]:
                course.wait(at - since)
                if pair[1] in self.question.missing:
                    skipped.add(pair)
                else:
                    course.tried.setdefault(pair, at)
                    course.made += self._made(pair, at, len(course.made), is_delivered)
            if course.made and course.made[-1].at == at:
                ladder = OracleLadder([*self.ladder.records, *course.made], self.lane, at)
                decisions = self._decisions(plan_of(ladder, self.question.policy))
                self._end(course, decisions, at)
        for since in self._due(decisions, self.question.until, skipped).values():
            course.wait(self.question.until - since)
        return course

    def _due(self, decisions: Decisions, at: datetime, skipped: Collection[Pair]) -> dict[Pair, datetime]:
        """The pairs that a run may select, in the plan's order, each with the instant from which on it waits.

        Until a run leaves deliveries, plans differ only in what has come to be due.
        """
        due = {
            pair: datetime.fromisoformat(one["next_retry_at"])
            for pair, one in decisions.items()
            if self.held[pair] is None and one["next_retry_at"]
        }
        return {
            pair: max(when, self.question.as_of)
            for pair, when in due.items()
            if when <= at and not (pair[1] in self.question.missing and pair in skipped)
        }

    def _end(self, course: Course, decisions: Decisions, at: datetime) -> None:
        """Notes the pairs that a run has delivered, and those that the plan suppresses after it."""
        for pair in course.tried:
            if pair not in decisions:
                course.delivered.setdefault(pair, at)
            elif decisions[pair]["action"] == "suppress":
                course.exhausted.setdefault(pair, at)

    def _made(self, pair: Pair, at: datetime, number: int, is_delivered: bool) -> list[OracleRecord]:
        """The delivery and the execution that a run leaves; in the lanes of section 4a the retry is a new subject."""
        delivery_id = f"coming-{self.lane.name.replace('_', '-')}-{number}"
        subject = f"{delivery_id}-subject" if self.lane.new_delivery else pair[0]
        envelope = {"schema_version": "cavra.evidence.metadata.v1", "product": "CAVRA", "created_at": at.isoformat()}
        sent: Raw = {
            **envelope,
            "session_id": delivery_id,
            "metadata_kind": DELIVERY,
            "connector_delivery_source": self.lane.source,
            self.lane.subject_field: subject,
            "delivery_success": is_delivered,
            "providers": [pair[1]],
            "failed_providers": [] if is_delivered else [pair[1]],
        }
        done: Raw = {
            **envelope,
            "session_id": f"{delivery_id}-execution",
            "metadata_kind": PREFIX + self.lane.execution,
            self.lane.subject_field: pair[0],
            "provider": pair[1],
            "execution_status": "delivered" if is_delivered else "failed",
        }
        if self.lane.new_delivery:
            done[self.lane.execution.replace("-", "_")] = {self.lane.new_delivery: delivery_id}
        return [OracleRecord(at, raw["session_id"], raw) for raw in (sent, done)]

    def _alike(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Failures of the 30 days before by provider and attempt number: how many, and how many a success followed."""
        since = self.question.as_of - timedelta(days=30)
        counts: dict[tuple[str, int], list[bool]] = defaultdict(list)
        for (_, provider), attempts in self.ladder.pairs.items():
            for number, (delivery, succeeded) in enumerate(attempts.all, 1):
                if succeeded:
                    break
                if delivery.at > since:
                    counts[provider, number].append(attempts.settled)
        return {like: (len(ends), sum(ends)) for like, ends in counts.items() if len(ends) >= LEAST_ALIKE}

    def _never(self, pair: Pair, tried_at: datetime | None) -> str | None:
        if self.held[pair] or tried_at:
            return self.held[pair]
        if not self.is_on:
            return "schedule_disabled"
        return "no_connector" if pair[1] in self.question.missing else "not_due"

    def document(self) -> dict[str, Any]:
        """Every field of the forecast, its ids and the names of incidents aside."""
        alike, entries = self._alike(), []
        for pair, decision in self.decisions.items():
            tried_at = self.failing.tried.get(pair) or self.arriving.tried.get(pair)
            counted = alike.get((pair[1], decision["retry_count"]), (None, None))
            entries.append(
                {
                    **{name: decision[name] for name in (self.lane.subject_field, "provider", "action")},
                    **{name: decision[name] for name in ("retry_count", "next_retry_at")},
                    "first_tried_at": _text(tried_at),
                    "exhausted_at": _text(self.failing.exhausted.get(pair)),
                    "delivered_at": _text(self.arriving.delivered.get(pair)),
                    "never_tried": self._never(pair, tried_at),
                    "alike_failure_count": counted[0],
                    "alike_delivered_count": counted[1],
                }
            )
        return {
            "lane": self.lane.name,
            "as_of": _text(self.question.as_of),
            "until": _text(self.question.until),
            "hours": self.question.hours,
            "max_retry_deliveries": self.question.limit,
            "pair_count": len(entries),
            "exhausted_count": len(self.failing.exhausted),
            "delivered_count": len(self.arriving.delivered),
            "never_tried_count": sum(one["never_tried"] is not None for one in entries),
            "runs": len(self.runs),
            "queue_peak": self.failing.queue_peak,
            "late_by_minutes": self.failing.late_by // MINUTE,
            "pairs": entries,
        }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
