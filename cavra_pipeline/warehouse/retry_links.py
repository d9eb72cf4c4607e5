"""Keeps what each retry retries (contract section 4a): ``retry_links`` and ``retried_subjects``."""

from __future__ import annotations

from typing import Final

from cavra_pipeline.warehouse.session import Session

_PACKAGE: Final = "cavra_pipeline.warehouse"


def relink(session: Session) -> None:
    """Makes the links of the deliveries in ``touched_links`` again, and the first subjects that follow from them.

    The temporary table has a column ``retried_as``; ``watched_records`` is as the open transaction leaves it.
    """
    session.run(_PACKAGE, "mark_relinked_before")
    session.run(_PACKAGE, "delete_touched_links")
    session.run(_PACKAGE, "insert_touched_links")
    session.run(_PACKAGE, "mark_relinked")
    session.run(_PACKAGE, "delete_relinked_subjects")
    session.run(_PACKAGE, "insert_relinked_subjects")
