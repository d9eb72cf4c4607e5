"""Times for records that carry none (contract section 1): that of their row, or an agent session's day of import.

Nothing here decides whether a record may pass; a record that gets no time is quarantined by the boundary.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

#: A payload, keys in any order, whose first nested value comes after a created_at that says something.
_HAS_CREATED_AT: Final = re.compile(rb'\s*\{[^{}\[\]]*?"created_at"\s*:\s*"[^"]')
_NULL_CREATED_AT: Final = re.compile(rb'("created_at"\s*:\s*)(?:null|"")')
#: What CAVRA calls the shape of a record; that of an agent session has no kind.
_SCHEMA: Final = "cavra.evidence.metadata.v1"


def dated(payload: bytes, created_at: bytes) -> bytes:
    """Returns a record as JSON with that ``created_at``, if it has none: it is absent, null or empty."""
    if _HAS_CREATED_AT.match(payload):
        return payload
    try:
        record = json.loads(payload)
        value = json.dumps(created_at.decode()).encode()
    except (ValueError, RecursionError):
        return payload
    if not isinstance(record, dict) or record.get("created_at"):
        return payload
    if "created_at" not in record:
        start, end = payload.split(b"{", 1)
        return start + b'{"created_at": ' + value + (b", " if record else b"") + end
    # With a second one, in a nested value, it can't be told which is null.
    is_single = len(_NULL_CREATED_AT.findall(payload)) == 1
    return _NULL_CREATED_AT.sub(rb"\g<1>" + value.replace(b"\\", rb"\\"), payload) if is_single else payload


def is_agent_session(payload: bytes) -> bool:
    """Whether a record is the one that CAVRA writes for an agent session: of its schema, and of no kind."""
    try:
        record: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and not record.get("metadata_kind") and record.get("schema_version") == _SCHEMA
