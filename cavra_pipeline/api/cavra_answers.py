"""What is answered about recoveries at CAVRA's own paths, for OpenAPI and for the check of every answer."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from cavra_pipeline.api.answers import CavraActor, Record


class CavraRecoveryAnswer(BaseModel):
    """The recovery report with CAVRA's names beside ours; no record of it is kept."""

    report: dict[str, Any]
    metadata: None


class CavraPlaybookAnswer(BaseModel):
    """The playbook that was written, its evidence record, and whoever showed a token.

    All are null but the actor where no connector calls for a recovery.
    """

    playbook: dict[str, Any] | None
    metadata: Record | None
    actor: CavraActor | None


class CavraClosureAnswer(BaseModel):
    """What was said of a recovery; its record is null where the newest closure said so already."""

    closure: dict[str, Any] | None
    metadata: Record | None
    actor: CavraActor | None
