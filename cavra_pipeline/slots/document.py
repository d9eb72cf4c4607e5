"""The slot ledger as one document, the same on the command line and over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from cavra_pipeline.documents import instant
from cavra_pipeline.slots.verdicts import Kind

_INSTANTS: Final = ("expected_at", "closes_at", "done_at", "judged_at", "revised_at", "configuration_from")


def slots_document(rows: list[dict[str, Any]], first_at: datetime, until: datetime) -> dict[str, Any]:
    """Puts the slots of a range together with how many have each verdict."""
    return {
        "from": instant(first_at),
        "to": instant(until),
        "slot_count": len(rows),
        "counts": {kind: sum(row["verdict"] == kind for row in rows) for kind in Kind},
        "slots": [
            {name: instant(value) if name in _INSTANTS else value for name, value in row.items()} for row in rows
        ],
    }
