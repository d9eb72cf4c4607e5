"""What tests of the worker share: a scripted sender, a clock to move, and one live or dry run of a lane."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from cavra_pipeline.connectors import ConnectorProblem, DeliveryOutcome, Grade, Notification
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.retry.worker import WorkerRequest, run_worker
from cavra_pipeline.settings import Settings
from tests.support import AS_OF, Line, home_with

SIGNING = "whsec_Q0FOQVJZc2lnbmluZy1vZi10aGUtd29ya2Vy"


class Crash(BaseException):
    """Stands for the end of the process: nothing that handles errors may handle it."""


@dataclass
class Clock:
    """A clock that only a test moves."""

    at: datetime = AS_OF

    def __call__(self) -> datetime:
        return self.at

    def move(self, minutes: float) -> None:
        self.at += timedelta(minutes=minutes)


Answer = Grade | BaseException | Callable[[], None]


@dataclass
class Provider:
    """A sender without a wire: it stores what it is given, then answers as scripted, the last answer for ever."""

    clock: Clock
    answers: list[Answer] = field(default_factory=lambda: [Grade.DELIVERED])
    missing: set[str] = field(default_factory=set)
    floor: timedelta | None = None
    sent: list[tuple[str, Notification]] = field(default_factory=list)

    def has(self, provider: str) -> bool:
        return provider not in self.missing

    def problem(self, provider: str, *, reads_secrets: bool) -> ConnectorProblem | None:
        return None

    def send(self, provider: str, notification: Notification, *, claim_ends_at: datetime) -> DeliveryOutcome:
        started_at = self.clock()
        self.sent.append((provider, notification))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer) and not isinstance(answer, Grade):
            answer()
            answer = Grade.DELIVERED
        status = {Grade.DELIVERED: 200, Grade.THROTTLED: 429, Grade.FAILED: 503, Grade.REJECTED: 410}.get(answer)
        floor = started_at + self.floor if self.floor and answer.transient else None
        return DeliveryOutcome(provider, answer, status, 1, started_at, self.clock(), floor, answer.value)

    @property
    def ids(self) -> list[str]:
        return [notification.idempotency_id for _, notification in self.sent]

    @property
    def failures(self) -> list[tuple[str, str]]:
        """Which failure each message answers, and for which provider."""
        return [(str(message.facts["latest_delivery"]), provider) for provider, message in self.sent]


def armed_home(tmp_path: Path, lines: Iterable[Line]) -> Settings:
    """A home whose host names every lane live."""
    return home_with(tmp_path, lines, live_lanes=frozenset(LANES), threads=1)


def worker(
    settings: Settings,
    provider: Provider,
    *,
    lane: str = "recovery_escalation",
    live: bool = True,
    policy: dict[str, Any] | None = None,
    run_id: str | None = None,
    **asked: Any,
) -> dict[str, Any]:
    """One run at the provider's clock."""
    request = WorkerRequest(lane=LANES[lane], policy=retry_policy(LANES[lane], policy or {}), is_live=live, **asked)
    return run_worker(settings, request, provider, clock=provider.clock, run_id=run_id or uuid.uuid4().hex)


def held(document: dict[str, Any]) -> dict[str, str]:
    """Why each held retry was held, by provider."""
    return {decision["provider"]: decision["held_because"] for decision in document["held_retries"]}


def statuses(document: dict[str, Any]) -> dict[str, str]:
    """How each execution ended, by provider."""
    return {execution["provider"]: execution["execution_status"] for execution in document["executions"]}


def connectors_file(path: Path, **connectors: dict[str, Any]) -> Path:
    """Writes a connectors file; each is on."""
    entries = {provider: {"enabled": True, **entry} for provider, entry in connectors.items()}
    path.write_text(yaml.safe_dump({"connectors": entries}), encoding="utf-8")
    return path
