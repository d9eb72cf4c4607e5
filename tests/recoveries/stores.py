"""Recorded stores of CAVRA in a home, CAVRA's own answers over them, and builders of playbooks and closures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from cavra_pipeline.boundary.kinds import payload_key
from cavra_pipeline.errors import checked
from cavra_pipeline.evidence.importer import import_evidence
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.recoveries.report import recovery_reports
from cavra_pipeline.settings import Settings
from tests.support import AS_OF, NOW, REPOSITORY, Record, home_with, record, take_in

STORES: Final = REPOSITORY.parent / "shared" / "cavra-stores"
INSTANTS: Final = range(5)
needs_stores = pytest.mark.skipif(
    not STORES.is_dir(), reason="the recorded stores lie beside the repository, in ../shared/cavra-stores"
)


def home_of_store(tmp_path: Path, name: str) -> Settings:
    """A home that has imported and ingested a recorded store."""
    home = home_with(tmp_path)
    import_evidence(home, [(name, STORES / name)], now=NOW)
    take_in(home)
    return home


@cache
def expected() -> list[dict[str, Any]]:
    """CAVRA's answers over the store of every lane, an item for each instant."""
    answers: list[dict[str, Any]] = json.loads((STORES / "all-lanes.expected.json").read_text())["instants"]
    return answers


def playbook(
    when: datetime,
    *providers: str,
    playbook_id: str = "playbook-1",
    session_id: str | None = None,
    counts: Mapping[str, int] | None = None,
    **fields: Any,
) -> Record:
    """CAVRA's record of a recovery playbook, with an entry for each provider."""
    entries = [
        {"provider": one, "category": "chatops", "failure_count": (counts or {}).get(one, 2)} for one in providers
    ]
    nested = {payload_key("connector-recovery-playbook"): {"provider_playbooks": entries}}
    return record("connector-recovery-playbook", when, session_id, playbook_id=playbook_id, **fields, **nested)


def closure(
    when: datetime,
    state: str = "resolved",
    *,
    provider: str = "slack",
    playbook_id: str = "playbook-1",
    session_id: str | None = None,
    **fields: Any,
) -> Record:
    """CAVRA's record of what somebody said of a recovery."""
    named = {"playbook_id": playbook_id, "provider": provider, "closure_state": state}
    return record("connector-recovery-closure", when, session_id, **named, **fields)


def routes(*named: tuple[str, str]) -> dict[str, Any]:
    """The nested routes of an escalation plan: a playbook and a provider each."""
    entries: Iterable[dict[str, Any]] = [{"playbook_id": one, "provider": other} for one, other in named]
    return {payload_key("recovery-escalation-plan"): {"escalation_routes": list(entries)}}


def ask_recoveries(
    settings: Settings, as_of: datetime = AS_OF, *, now: datetime = NOW, generated_by: str = "tests", **parameters: Any
) -> dict[str, Any]:
    """The recovery report of a home."""
    with warehouse_of(settings).reading() as session:
        return recovery_reports(
            session, checked(RecoveryParameters, parameters), instants=[as_of], now=now, generated_by=generated_by
        )[0]
