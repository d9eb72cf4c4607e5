"""Keeps how many records each lane has of each day and type: ``lane_days``."""

from __future__ import annotations

from typing import Final

from cavra_pipeline.warehouse.session import Session

_PACKAGE: Final = "cavra_pipeline.warehouse"


def count_lane_days(session: Session) -> None:
    """Counts again the records of the segments in ``changed_segments``, as the open transaction leaves them."""
    session.run(_PACKAGE, "forget_lane_days")
    (days,) = session.rows(_PACKAGE, "changed_days")
    if days["first_day"] is not None:
        session.run(_PACKAGE, "count_lane_days", days)
