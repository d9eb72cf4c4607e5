"""What a sensor hands to the life cycle: everything that is wrong right now, in public-safe identifiers and counts."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from cavra_pipeline.boundary.secrets import secrets_in
from cavra_pipeline.documents import canonical_json, digest_of

Severity = Literal["warning", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = ("warning", "critical")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that is wrong now.

    Signals of one kind and subject in the same observation are one alert with several causes; their counts add up.

    Attributes:
        kind: A kind of ``cavra_pipeline.alerts.kinds``.
        subject: What it is wrong with, such as a schedule's name; at most 200 characters.
        severity: warning or critical.
        since: Since when it is wrong; aware, UTC.
        cause: Why, as a word of a-z, 0-9 and _; None if nothing is known.
        count: How many since then: scheduled runs missed, runs failed, records held back. At least 1.
        evidence: Ids and counts that a person looks up next. A ``lane`` says which ladder it is about.
    """

    kind: str
    subject: str
    severity: Severity
    since: datetime
    cause: str | None = None
    count: int = 1
    evidence: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses what is not public-safe or can't be stored; a message names the field and never its value."""
        texts = [self.subject, *(value for value in self.evidence.values() if isinstance(value, str))]
        if not _NAME.fullmatch(self.kind) or (self.cause is not None and not _NAME.fullmatch(self.cause)):
            raise ValueError("kind, cause: use words of a-z, 0-9 and _, at most 64 characters")
        if not all(_NAME.fullmatch(name) for name in self.evidence):
            raise ValueError("evidence: use names of a-z, 0-9 and _, at most 64 characters")
        if not all(map(is_public_text, texts)):
            raise ValueError("subject, evidence: use public-safe ids of 1 to 200 characters on one line")
        if self.severity not in SEVERITIES:
            raise ValueError("severity: use warning or critical")
        if self.since.utcoffset() != timedelta(0):
            raise ValueError("since: give an aware datetime in UTC")
        if not 1 <= self.count < 2**63:
            raise ValueError("count: give a whole number from 1")


def is_public_text(text: str) -> bool:
    """Returns whether a subject or an id may be stored and shown: one line of 1 to 200 characters without a secret."""
    return _TEXT.fullmatch(text) is not None and not secrets_in(text)


@dataclass(frozen=True, slots=True)
class Observation:
    """What a sensor found at one tick.

    Attributes:
        kinds: The kinds that were fully evaluated: an open alert of these that has no signal is resolved.
        signals: Everything of those kinds that is wrong now.
        watched: The subjects that there are; an alert about another one is resolved for that reason. None: all.
        is_heartbeat: Whether it shows that the watching as a whole works; only then the dead man is pinged.
        is_failing: Whether notifications may not reach people, so that the ping has to say so.
    """

    kinds: Collection[str]
    signals: Sequence[Signal]
    watched: Collection[str] | None = None
    is_heartbeat: bool = False
    is_failing: bool = False

    @property
    def fingerprint(self) -> str:
        """A digest: while it stays the same, the life cycle has nothing new to learn from the observation.

        A sensor that keeps it in its cursor need not open the state database until ``due_at`` of the pass before
        (``cavra_pipeline.alerts.watch``).
        """
        signal_texts = sorted(
            canonical_json({**asdict(signal), "since": signal.since.isoformat()}) for signal in self.signals
        )
        return digest_of(canonical_json([sorted(set(self.kinds)), signal_texts]))[:24]
