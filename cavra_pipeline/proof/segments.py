"""Segments: the current records of a lane and a UTC day, hashed as one tree (docs/proof.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.boundary.pseudonyms import Pseudonyms
from cavra_pipeline.documents import canonical_bytes
from cavra_pipeline.proof.merkle import leaf_hash, root_of
from cavra_pipeline.proof.records import kind_condition, record_text
from cavra_pipeline.sql import literal, statement
from cavra_pipeline.warehouse import Rows, Session

PACKAGE: Final = "cavra_pipeline.proof"
_KEY: Final = {"lane": "VARCHAR", "segment_day": "DATE"}


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A segment and its root.

    Attributes:
        lane: Lane of its records; empty for records of no lane.
        day: UTC day on which they were created.
        size: How many they are; 0 for a segment that is no longer there.
        root: Root of its tree, as hexadecimal digits; empty without records.
    """

    lane: str
    day: date
    size: int
    root: str

    @property
    def key(self) -> tuple[str, date]:
        """What tells it from other segments."""
        return self.lane, self.day

    def document(self) -> dict[str, Any]:
        """Returns size and root, as an entry of the log has them."""
        return {"root": self.root, "size": self.size}


def mark_segments(session: Session) -> None:
    """Marks the segments in the table ``changed_segments`` as changed by the open transaction."""
    session.run(PACKAGE, "replace_marks")
    session.run(PACKAGE, "mark_segments")


def changed_after(session: Session, commit_number: int) -> dict[tuple[str, date], int]:
    """Returns the segments that commits after a given one have changed, each with the last commit that did."""
    rows = session.rows(PACKAGE, "touched_segments", {"after": commit_number})
    return {(row["lane"], row["segment_day"]): row["commit_number"] for row in rows}  # type: ignore[misc]


def hash_segments(session: Session, keys: Iterable[tuple[str, date]], pseudonyms: Pseudonyms) -> list[Segment]:
    """Hashes segments as they are in the open warehouse, in order; those without records have the size 0.

    Args:
        session: The warehouse.
        keys: Lane and day of each.
        pseudonyms: Those of the home, whose key makes the salts.
    """
    wanted = sorted(keys)
    if not wanted:
        return []
    days = [day for _, day in wanted]
    bounds: dict[str, object] = {"first_day": min(days), "last_day": max(days)}
    with session.staged(staged_segments=Rows(_KEY, wanted)):
        kinds = {str(row["metadata_kind"]) for row in session.rows(PACKAGE, "kinds_of_segments", bounds)}
        segments = {
            (row["lane"], row["segment_day"]): _segment(row["lane"], row["segment_day"], row["leaves"], pseudonyms)
            for row in session.stream(PACKAGE, "hash_segments", bounds, leaves=_leaves(kinds))
        }
    return [segments.get(key, Segment(*key, 0, "")) for key in wanted]


def salt_of(pseudonyms: Pseudonyms, lane: str, day: date) -> bytes:
    """Returns the first leaf of a segment, 16 bytes."""
    return pseudonyms.salt_of(f"{lane}\n{day}")


def segments_root(segments: Iterable[Segment]) -> str:
    """Returns the root over segments, as hexadecimal digits; those without records don't count."""
    ordered = sorted(segment for segment in segments if segment.size)
    documents = (segment.document() | {"lane": segment.lane, "day": str(segment.day)} for segment in ordered)
    return root_of([leaf_hash(canonical_bytes(document)) for document in documents]).hex()


def _segment(lane: str, day: date, leaves: list[bytes], pseudonyms: Pseudonyms) -> Segment:
    salt = leaf_hash(salt_of(pseudonyms, lane, day))
    return Segment(lane, day, len(leaves), root_of([salt, *leaves]).hex())


def _leaves(kinds: set[str]) -> str:
    """The leaves of records of these kinds, each by a statement: one CASE over all kinds takes four times as long."""
    conditions = {kind: f"metadata_kind = {literal(kind)}" for kind in sorted(kinds & KINDS.keys())}
    if kinds - KINDS.keys() or not conditions:
        conditions[""] = kind_condition(kinds)
    return " UNION ALL ".join(
        statement(PACKAGE, "record_leaves", text=record_text(kind), of_kind=condition)
        for kind, condition in conditions.items()
    )
