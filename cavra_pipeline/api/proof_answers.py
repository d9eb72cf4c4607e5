"""What the endpoints on proofs answer."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel


class GrowthAnswer(BaseModel):
    """Whether a commit log has grown out of an older checkpoint; the proof is that of RFC 6962, digests in order."""

    size: int
    root: str
    is_consistent: bool
    reason: str
    proof: list[str]


class CheckpointAnswer(BaseModel):
    """The head of the commit log: its parts, and the whole note as C2SP has it."""

    origin: str
    size: int
    root: str
    is_signed: bool
    note: str
    against: GrowthAnswer | None


class HeadAnswer(BaseModel):
    """Which checkpoint is the newest; the root is 64 hexadecimal digits."""

    origin: str
    size: int
    root: str


class WitnessAnswer(BaseModel):
    """The newest checkpoint that a connector of this host took."""

    provider: str
    size: int
    posted_at: datetime


class BasisAnswer(BaseModel):
    """What a report of a lane can be proven from: counts of what its bundle discloses, and who signs and holds it."""

    lane: str
    as_of: datetime
    record_count: int
    day_count: int
    checkpoint: HeadAnswer
    signed_by: str | None
    witnesses: list[WitnessAnswer]
