"""A lane's (subject, provider) pairs at an instant, by the oracle: sections 4, 4a and 6 of the contract."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from tests.oracle.evidence import DELIVERY, OracleLane, OracleRecord, of_lane

#: A subject and a provider.
Pair = tuple[str, str]


def outcomes(delivery: OracleRecord) -> dict[str, bool]:
    """Whether a delivery succeeded, for each of its providers (section 6, rule 1)."""
    failed = delivery.providers("failed_providers")
    succeeded = not failed and delivery.raw.get("delivery_success") is True
    return {
        provider: provider not in failed if failed else succeeded
        for provider in sorted({*delivery.providers("providers"), *failed})
    }


def execution_status(execution: OracleRecord) -> str:
    """delivered, failed or skipped; where nothing says so, what `delivery_success` says (section 2a)."""
    said = execution.text("execution_status")
    if said:
        return said
    success = execution.inner("delivery_success")
    return {True: "delivered", False: "failed"}.get(success, "") if isinstance(success, bool) else ""


@dataclass
class Attempts:
    """The deliveries of a pair, oldest first, each with its outcome."""

    all: list[tuple[OracleRecord, bool]] = field(default_factory=list)

    @cached_property
    def settled(self) -> bool:
        """Whether one of them succeeded."""
        return any(succeeded for _, succeeded in self.all)

    @property
    def failures(self) -> list[OracleRecord]:
        """All deliveries of a pair that is not settled, none of one that is (section 6, rule 2)."""
        return [] if self.settled else [delivery for delivery, _ in self.all]

    def settled_before(self, delivery: OracleRecord) -> bool:
        """Whether a delivery older than the given one succeeded."""
        return any(succeeded and earlier < delivery for earlier, succeeded in self.all)


class OracleLadder:
    """A lane's records that exist at an instant, and its pairs."""

    def __init__(self, records: Iterable[OracleRecord], lane: OracleLane, as_of: datetime) -> None:
        """Sorts the lane's records by what they are."""
        self.lane, self.as_of = lane, as_of
        mine = of_lane(records, lane)
        self.records = sorted(record for record in mine if record.at <= as_of)
        self.future_record_count = len(mine) - len(self.records)
        self._by_kind: dict[str, list[OracleRecord]] = {}
        for record in self.records:
            self._by_kind.setdefault(record.kind, []).append(record)
        self.deliveries = self.of_kind(DELIVERY)
        self.executions = self.of_kind(lane.execution)
        self.worker_runs = self.of_kind(lane.worker_run)
        self.retry_plans = self.of_kind(lane.retry_plan)
        self._retried: dict[str, Pair] = {}
        self._stands_for: dict[Pair, str] = {}
        if lane.new_delivery:
            self._link()
        self.pairs = self._pairs()

    def of_kind(self, kind: str) -> list[OracleRecord]:
        """The records of a kind, oldest first; none of an empty kind."""
        return self._by_kind.get(kind, []) if kind else []

    def subject(self, delivery: OracleRecord) -> str:
        """A delivery's own subject, empty if it has none (section 4)."""
        for name in self.lane.subjects:
            value = delivery.text(name)
            if value and not (name == "event_id" and value == delivery.text("event_type")):
                return value
        return ""

    def _link(self) -> None:
        """Finds what each delivery retries, and what the subject of each retry stands for (section 4a)."""
        by_id = {delivery.session_id: delivery for delivery in self.deliveries}
        for execution in self.executions:
            failed, provider = execution.text(self.lane.subject_field), execution.provider
            new = by_id.get(str(execution.inner(self.lane.new_delivery) or ""))
            if failed and provider and new is not None and new.session_id not in self._retried:
                self._retried[new.session_id] = (failed, provider)
                own = self.subject(new)
                if own not in ("", failed):
                    self._stands_for.setdefault((own, provider), failed)

    def first(self, subject: str, provider: str) -> str:
        """The subject at the beginning of the chain of retries that a subject belongs to, for a provider.

        A chain that runs into a circle has no beginning: its subjects stand for themselves.
        """
        seen, found = {subject}, subject
        while (found, provider) in self._stands_for:
            found = self._stands_for[found, provider]
            if found in seen:
                return subject
            seen.add(found)
        return found

    def _pairs(self) -> dict[Pair, Attempts]:
        pairs: dict[Pair, Attempts] = {}
        for delivery in self.deliveries:
            for provider, succeeded in outcomes(delivery).items():
                pair = self.pair_of(delivery, provider)
                if pair[0]:
                    pairs.setdefault(pair, Attempts()).all.append((delivery, succeeded))
        return dict(sorted(pairs.items()))

    def pair_of(self, delivery: OracleRecord, provider: str) -> Pair:
        """The pair that a delivery is an attempt at, for one of its providers."""
        failed, of = self._retried.get(delivery.session_id, ("", ""))
        return (self.first(failed, provider) if of == provider else self.subject(delivery), provider)

    def unsettled(self) -> dict[Pair, list[OracleRecord]]:
        """The failures of each pair that has some, in order of subject and provider."""
        return {pair: attempts.failures for pair, attempts in self.pairs.items() if attempts.failures}

    def is_settled(self, pair: Pair) -> bool:
        """Whether a delivery of the pair succeeded."""
        return pair in self.pairs and self.pairs[pair].settled

    def newest_by_pair(self, records: Iterable[OracleRecord]) -> dict[Pair, OracleRecord]:
        """The newest of some records for each pair, by the lane's subject field and `provider`."""
        newest: dict[Pair, OracleRecord] = {}
        for record in sorted(records):
            subject, provider = record.text(self.lane.subject_field), record.provider
            if subject and provider:
                newest[self.first(subject, provider), provider] = record
        return newest

    @cached_property
    def newest_acknowledgements(self) -> dict[Pair, OracleRecord]:
        """The newest acknowledgement of each pair."""
        return self.newest_by_pair(self.of_kind(self.lane.acknowledgement))

    @cached_property
    def newest_approvals(self) -> dict[Pair, OracleRecord]:
        """The newest approval decision of each pair."""
        return self.newest_by_pair(self.of_kind(self.lane.approval))

    @cached_property
    def newest_deliveries(self) -> dict[Pair, OracleRecord]:
        """The newest execution of each pair that delivered."""
        return self.newest_by_pair(each for each in self.executions if execution_status(each) == "delivered")

    def is_approved(self, pair: Pair) -> bool:
        """Whether the newest decision approves and no newer execution delivered (section 4)."""
        decision = self.newest_approvals.get(pair)
        if decision is None or decision.text("approval_state") != "approved":
            return False
        used = self.newest_deliveries.get(pair)
        return used is None or used < decision
