"""Models of the answers of the endpoints on proofs."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel


class GrowthAnswer(BaseModel):
    """Whether a commit log extends an older checkpoint; the proof is that of RFC 6962, digests in order."""

    size: int
    root: str
    is_consistent: bool
    reason: str
    proof: list[str]


class CheckpointAnswer(BaseModel):
    """The newest checkpoint: its parts, and the whole note in the format of C2SP."""

    origin: str
    size: int
    root: str
    is_signed: bool
    note: str
    against: GrowthAnswer | None


class HeadAnswer(BaseModel):
    """Origin, size and root of the newest checkpoint; the root is 64 hexadecimal digits."""

    origin: str
    size: int
    root: str


class WitnessAnswer(BaseModel):
    """The newest checkpoint that a connector of this host accepted."""

    provider: str
    size: int
    posted_at: datetime


class BasisAnswer(BaseModel):
    """What a proof of a lane is based on: counts of what its bundle discloses, its signer and its witnesses."""

    lane: str
    as_of: datetime
    record_count: int
    day_count: int
    checkpoint: HeadAnswer
    signed_by: str | None
    witnesses: list[WitnessAnswer]
