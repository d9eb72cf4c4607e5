"""The public-safe boundary for one raw line (contract section 3): the reference that decides.

``validator.py`` proves most lines clean set-wise and sends the rest here; both must agree, and a property
test holds them to it. No file is read and nothing is stored here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from cavra_pipeline.boundary.allowlist import Allowlist, Cut, allowlist_of
from cavra_pipeline.boundary.formats import TextGrade, grade_of, is_actor_label
from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.boundary.parsing import Object, parse, parse_timestamp
from cavra_pipeline.boundary.pseudonyms import Pseudonyms
from cavra_pipeline.boundary.search import Search
from cavra_pipeline.boundary.secrets import secrets_in, secrets_in_prose
from cavra_pipeline.boundary.verdict import Finding, Kept, Quarantined, Reason, Rejection
from cavra_pipeline.errors import UsageError

MAX_SESSION_ID_CHARACTERS: Final = 512


def judge(raw: bytes, pseudonyms: Pseudonyms, *, is_scanned: bool = False) -> Kept | Quarantined:
    """Decides what of one raw line may pass.

    Args:
        raw: The line's bytes, without its line ending.
        pseudonyms: What replaces texts that are not of their declared format.
        is_scanned: Whether the scanner has read the line, which holds no escape, and found nothing.

    Returns:
        The allowlisted record, or the reason why it is rejected. Findings name rule and path only.
    """
    findings: list[Finding] = []
    created_at: datetime | None = None
    try:
        record = parse(raw)
        created_at = _created_at(record)
        kind = record.get("metadata_kind")
        allowlist = allowlist_of(kind if isinstance(kind, str) and kind in KINDS else "")
        search = Search(allowlist.paths, findings, is_scanned)
        search.run(record)
        if search.secret_field:
            raise Rejection(Reason.SECRET, search.secret_field)
        return _kept(record, allowlist, findings, pseudonyms)
    except Rejection as fault:
        return Quarantined(fault.reason, fault.field, _distinct(findings), created_at)


def _kept(record: Object, allowlist: Allowlist, findings: list[Finding], pseudonyms: Pseudonyms) -> Kept:
    for path in allowlist.required:
        value = record.get(path)
        if value is None or (isinstance(value, str) and not value.strip()):
            raise Rejection(Reason.MISSING_FIELD, path)
    session_id = record["session_id"]
    if isinstance(session_id, str) and len(session_id) > MAX_SESSION_ID_CHARACTERS:
        raise Rejection(Reason.TOO_LONG, "session_id")
    cut = Cut(pseudonyms)
    kept = cut.of(record, allowlist.tree)
    return Kept(kept, len(cut.dropped), _distinct([*findings, *cut.findings]))


def _created_at(record: Object) -> datetime | None:
    """The instant a record says it was made, if it says so, to lay even a quarantined record under its day."""
    value = record.get("created_at")
    try:
        return parse_timestamp(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _distinct(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(dict.fromkeys(findings))


def is_safe_identifier(text: str) -> bool:
    """Returns whether a text is an identifier by its format and holds no secret."""
    return grade_of(text) is not TextGrade.NONE and not secrets_in(text)


def actor_label(text: str, *, where: str) -> str:
    """Returns a caller's label if it is public-safe.

    Raises:
        UsageError: It is not; the message gives the rule, not the label.
    """
    if not is_actor_label(text) or secrets_in_prose(text):
        raise UsageError(
            "the label is not public-safe",
            where=where,
            remedy="Use 1 to 128 letters, digits, spaces and . _ : / -, starting with a letter or digit; "
            "an e-mail address is not accepted",
        )
    return text
