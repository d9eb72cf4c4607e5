"""What the endpoints on proofs answer."""

from __future__ import annotations

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
