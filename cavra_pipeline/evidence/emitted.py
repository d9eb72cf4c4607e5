"""Evidence that the pipeline makes itself: written as landing files of its own, then committed like any other.

The landing file is on disk before the warehouse commits, so no record is lost: an ingest finds the file again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from cavra_pipeline.boundary.kinds import KIND_PREFIX
from cavra_pipeline.documents import shifted
from cavra_pipeline.errors import PipelineError, os_error_named
from cavra_pipeline.evidence.commit import Group, commit
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.landing import Drop, drop_at
from cavra_pipeline.evidence.landing_zone import put_file
from cavra_pipeline.evidence.leftovers import locked
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.evidence.validation import validate_drop
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session, repeated

PREFIX: Final = "cavra-pipeline-"
_SCHEMA: Final = "cavra.evidence.metadata.v1"
#: What a wrong clock has dated after now is heeded up to so much; evidence of later says nothing yet.
CLOCK_SLACK: Final = timedelta(days=1)


def day_marks(drops: Iterable[Drop]) -> dict[date, str]:
    """Returns a short mark of each day's landing files that the pipeline did not write; it changes with any of them.

    Args:
        drops: Landing files, in the order of ``list_drops``.
    """
    others = (drop for drop in drops if not drop.file_name.startswith(PREFIX))
    return {
        day: hashlib.sha256("".join(f"{drop.file_name} {drop.fingerprint}\n" for drop in group).encode()).hexdigest()[
            :12
        ]
        for day, group in groupby(others, key=lambda drop: drop.day)
    }


def date_after(newest: datetime | None, now: datetime) -> datetime:
    """Returns how a word of now is dated: after the newest one before it (UTC without a zone), if a clock went back."""
    return max(now, shifted(newest.replace(tzinfo=UTC), timedelta.resolution)) if newest else now


def record(kind: str, *, session_id: str, created_at: datetime, signer: str, **fields: Any) -> dict[str, Any]:
    """Makes an evidence record in CAVRA's shape.

    Args:
        kind: The kind's full name, or its last part.
        session_id: Identity; the same id again is a newer version of the same record.
        created_at: When it happened.
        signer: Actor label.
        fields: The kind's own fields.

    Raises:
        PipelineError: The text ``None`` stands where a value is missing.
    """
    evidence_record = {
        "schema_version": _SCHEMA,
        "product": "CAVRA",
        "session_id": session_id,
        "created_at": created_at.astimezone(UTC).isoformat(),
        "signer": signer,
        "decision_count": 0,
        "blocked_count": 0,
        "approval_required_count": 0,
        "metadata_kind": kind if kind.startswith("release-") else KIND_PREFIX + kind,
        **fields,
    }
    _require_values(evidence_record)
    return evidence_record


#: What evidence called its own subjects; a name that somebody else gave may be any.
_SUBJECTS: Final = frozenset({"plan_id", "run_id", "health_id", "event_id"})
_NONE: Final = re.compile(r"(?<![A-Za-z0-9])None(?![A-Za-z0-9])")


def _require_values(evidence_record: Mapping[str, Any]) -> None:
    """Refuses a record in which a missing value was turned into text: in its identity, or as all of a field."""
    if _NONE.search(evidence_record["session_id"]) or any(
        map(_is_none, (v for k, v in evidence_record.items() if k not in _SUBJECTS))
    ):
        raise PipelineError(
            "a record of our own has the text None in place of a value",
            where=evidence_record["metadata_kind"],
            remedy="Report this as a defect; nothing was written",
        )


def _is_none(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_is_none, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_is_none, value))
    return value == "None"


def lay_emitted_drop(settings: Settings, name: str, records: Sequence[dict[str, Any]], *, now: datetime) -> Drop:
    """Writes records as a landing file of today, whole and on disk; the next ingest brings them into the warehouse.

    Raises:
        PipelineError: The landing zone can't be written.
    """
    target = settings.landing / now.astimezone(UTC).date().isoformat() / f"{PREFIX}{name}.jsonl"
    content = "".join(
        json.dumps(evidence_record, ensure_ascii=False, separators=(",", ":")) + "\n" for evidence_record in records
    )
    with os_error_named(
        "the landing zone can't be written",
        where=target.parent,
        remedy="Free some disk space or give this user write access",
    ):
        _write(settings, target, content.encode())
    return drop_at(target, pseudonyms_of(settings))


def write_emitted_drop(settings: Settings, name: str, records: Sequence[dict[str, Any]], *, now: datetime) -> Group:
    """Writes records as a landing file of today and takes them through the boundary, ready to be committed.

    Raises:
        PipelineError: The landing zone can't be written, or a record of ours does not pass the boundary.
    """
    drop = lay_emitted_drop(settings, name, records, now=now)
    group = validate_drop(drop, settings)
    if any(validated.error or validated.quarantined for validated in group.drops):
        reasons = ", ".join(line.reason for validated in group.drops for _, line in validated.quarantined)
        raise PipelineError(
            f"evidence of our own does not pass the boundary ({reasons or 'unreadable'})",
            where=drop.name,
            remedy="Report this as a defect; the landing file stays",
        )
    return group


def _write(settings: Settings, target: Path, content: bytes) -> None:
    """Writes a whole landing file or none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", dir=target.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # Whoever brings the copy of a bucket up to date removes from it what was not there when the bucket was listed.
        with locked(settings.landing):
            put_file(settings, draft, target)
    finally:
        draft.unlink(missing_ok=True)


def commit_emitted_drop(session: Session, group: Group, *, now: datetime) -> None:
    """Commits a landing file of ours inside the open transaction."""
    with group.buffer:
        commit(session, group, now)


def save_emitted_drop(
    settings: Settings, name: str, records: Sequence[dict[str, Any]], *, now: datetime, act: str
) -> None:
    """Writes records as a landing file of today and commits it. Safe to repeat: the same records are the same file.

    Args:
        settings: The home.
        name: Names the file.
        records: The records.
        now: When they are recorded.
        act: What the caller does, for whoever has to wait for it.

    Raises:
        PipelineError: Something can't be written, or a record of ours does not pass the boundary.
    """

    def write_and_commit() -> None:
        drop = write_emitted_drop(settings, name, records, now=now)
        with warehouse_of(settings).writing(act) as session:
            commit_emitted_drop(session, drop, now=now)

    repeated(write_and_commit)
