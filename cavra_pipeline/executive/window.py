"""What happened in the window of each instant, counted in one pass for any number of instants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.executive"


@dataclass(slots=True)
class Window:
    """What happened from the start of a window to its instant.

    Attributes:
        lanes: What each lane did; lanes that did nothing are left out.
        providers: Deliveries by provider, sorted by provider.
        quarantined_record_count: Lines of its drops that could not be kept.
    """

    lanes: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    providers: list[Mapping[str, Any]] = field(default_factory=list)
    quarantined_record_count: int = 0


def windows(session: Session, starts: Mapping[datetime, datetime]) -> dict[datetime, Window]:
    """Counts what happened in each window, by its instant.

    Args:
        session: An open warehouse.
        starts: Each instant's start of the window, both in UTC without a zone; a later instant's is not earlier.
    """
    moments = sorted(starts)
    found = [Window() for _ in moments]
    asked: dict[str, object] = {"instants": moments, "window_starts": [starts[at] for at in moments]}

    def rows(name: str) -> Sequence[tuple[Window, dict[str, Any]]]:
        return [(found[int(str(row.pop("number"))) - 1], row) for row in session.rows(_PACKAGE, name, asked)]

    for window, row in rows("lane_activity"):
        window.lanes[row["lane"]] = row
    for window, row in rows("provider_deliveries"):
        window.providers.append(row)
    for window, row in rows("quarantined"):
        window.quarantined_record_count = row["quarantined_record_count"]
    return dict(zip(moments, found, strict=True))
