"""What a record means: its table, lane and subject, and what came of it at each provider (contract sections 4, 6, 9).

The rules for one record that was let through. ``reader.py`` applies the same to whole blocks, and a property test holds
the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cavra_pipeline.boundary.formats import provider_name
from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.lanes import LANES, Lane

DELIVERY: Final = "delivery"
#: Records beside deliveries that are about a subject: it stands in the lane's subject field.
ABOUT_A_SUBJECT: Final = ("execution", "acknowledgement")

_LANE_OF_SOURCE: Final = {lane.delivery_source: lane for lane in LANES.values()}


def subject_fields(record_type: str | None, lane: Lane | None) -> tuple[str, ...]:
    """Returns the columns of which the first that is not empty is the subject; none for records without one."""
    if lane is None:
        return ()
    if record_type == DELIVERY:
        return lane.subject_fields
    return (lane.subject_field,) if record_type in ABOUT_A_SUBJECT else ()


def meaning_of(row: Mapping[str, Any]) -> dict[str, object]:
    """Returns ``record_type``, ``lane``, ``subject`` and ``outcomes`` of a typed row; None where it has none."""
    kind = KINDS.get(row["metadata_kind"])
    if kind is None:
        return {"record_type": None, "lane": None, "subject": None, "outcomes": None}
    is_delivery = kind.record_type == DELIVERY
    lane = LANES[kind.lane] if kind.lane else _LANE_OF_SOURCE.get(row.get("connector_delivery_source") or "")
    subject = next((row[name] for name in subject_fields(kind.record_type, lane) if row.get(name)), None)
    return {
        "record_type": kind.record_type,
        "lane": lane.name if lane else None,
        "subject": subject,
        "outcomes": _outcomes(row) if is_delivery else None,
    }


def _outcomes(row: Mapping[str, Any]) -> list[dict[str, object]]:
    """One outcome for each provider that is named: failed or not, and its status where the record tells it."""
    went_through = [name for text in row.get("providers") or () if (name := provider_name(text))]
    failed = [name for text in row.get("failed_providers") or () if (name := provider_name(text))]
    delivered = {
        provider_name(member["provider"]): member["status_code"]
        for member in row.get("provider_deliveries") or ()
        if member["provider"] is not None
    }
    codes = row.get("status_codes") or ()
    # A name that stands twice has the status of its first place.
    has_places = len(codes) == len(went_through)
    by_place = dict(zip(went_through[::-1], codes[::-1], strict=True)) if has_places else {}
    return [
        {
            "provider": name,
            "is_failed": name in failed if failed else row.get("delivery_success") is not True,
            "status_code": status if (status := delivered.get(name)) is not None else by_place.get(name),
        }
        for name in dict.fromkeys([*went_through, *failed])
    ]
