"""The records of one (subject, provider) pair, in order, as lines of an explanation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.documents import instant
from cavra_pipeline.lanes import Lane
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.causes"
DELIVERED: Final = "delivered"
_LINE: Final = (
    "at", "until", "what", "outcome", "reason", "status_code", "by", "external_ref", "record_id", "record_count",
    "record_ids", "retry_plan_id", "worker_run_id", "retried_as", "incident_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PairStory:
    """Evidence about a pair up to an instant.

    Attributes:
        lane: Its lane.
        subject: The subject that was tried first.
        provider: The connector.
        rows: Its deliveries, executions, acknowledgements and approvals, in order.
    """

    lane: Lane
    subject: str
    provider: str
    rows: Sequence[Mapping[str, Any]]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """A line for each record."""
        return [_record_line(self, row) for row in self.rows]

    @property
    def settled_at(self) -> datetime | None:
        """When a delivery first arrived, UTC without a zone."""
        return next((row["created_at"] for row in self.rows if row["is_failed"] is False), None)

    @property
    def run_ids(self) -> frozenset[str]:
        """The worker runs that its executions name."""
        named = (self.run_of(row) for row in self.rows if row["record_type"] == "execution")
        return frozenset(run_id for run_id in named if run_id)

    @property
    def plan_ids(self) -> frozenset[str]:
        """The retry plans that its executions name."""
        executions = [row for row in self.rows if row["record_type"] == "execution"]
        return frozenset(row["retry_plan_id"] for row in executions if row["retry_plan_id"])

    def run_of(self, row: Mapping[str, Any]) -> str | None:
        """Returns the worker run of an execution; where run_id is the lane's subject, it is none."""
        return row["worker_run_id"] or (row["run_id"] if self._has_run_ids else None)

    @property
    def _has_run_ids(self) -> bool:
        return self.lane.subject_field != "run_id"

    def acknowledged(self, at: datetime) -> str | None:
        """Returns the newest acknowledgement's state at an instant, UTC without a zone."""
        said = [
            row["acknowledgement_state"]
            for row in self.rows
            if row["record_type"] == "acknowledgement" and row["created_at"] <= at
        ]
        return said[-1] if said else None

    def plans_and_runs(self, session: Session, at: datetime) -> list[dict[str, Any]]:
        """Reads the lane's plans and runs while the pair was failing, and those that its executions name."""
        failures = [row["created_at"] for row in self.rows if row["is_failed"]]
        parameters: dict[str, object] = {
            "lane": self.lane.name,
            "provider": self.provider,
            "has_run_ids": self._has_run_ids,
            "as_of": at,
            "since": failures[0] if failures else datetime.max,  # noqa: DTZ901 -- UTC without a zone
            "until": self.settled_at or at,
            "run_ids": sorted(self.run_ids),
            "plan_ids": sorted(self.plan_ids),
        }
        rows: list[dict[str, Any]] = session.rows(_PACKAGE, "plans_and_runs", parameters)
        return rows

    @staticmethod
    def empty_line() -> dict[str, Any]:
        """Returns the members of a line, without values."""
        return {**dict.fromkeys(_LINE), "record_count": 1, "record_ids": []}

    def line(self, row: Mapping[str, Any], what: str, outcome: str | None, reason: str | None) -> dict[str, Any]:
        """Returns a line that names its record."""
        return {
            **self.empty_line(),
            "at": instant(row["created_at"]),
            "what": what,
            "outcome": outcome,
            "reason": reason,
            "record_id": row["session_id"],
            "record_ids": [row["session_id"]],
        }


def pair_story(session: Session, lane: Lane, subject: str, provider: str, at: datetime) -> PairStory:
    """Reads the records of a pair up to an instant, UTC without a zone; provider as names are compared."""
    parameters: dict[str, object] = {"lane": lane.name, "subject": subject, "provider": provider, "as_of": at}
    rows: list[dict[str, Any]] = session.rows(_PACKAGE, "records_of_pair", parameters)
    return PairStory(lane, rows[0]["subject"] if rows else subject, provider, rows)


def _record_line(story: PairStory, row: Mapping[str, Any]) -> dict[str, Any]:
    what = row["record_type"]
    outcome = {
        "delivery": "failed" if row["is_failed"] else DELIVERED,
        "execution": row["execution_status"],
        "acknowledgement": row["acknowledgement_state"],
        "approval": row["approval_state"],
    }[what]
    is_execution = what == "execution"
    return {
        **story.line(row, what, outcome, row["skip_reason"]),
        "status_code": row["status_code"],
        "by": row["signer"] if what in ("acknowledgement", "approval") else None,
        "external_ref": row["external_ref"],
        "retry_plan_id": row["retry_plan_id"] if is_execution else None,
        "worker_run_id": story.run_of(row) if is_execution else None,
        "retried_as": row["retried_as"] if is_execution else None,
    }
