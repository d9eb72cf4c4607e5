"""The recorded store of every lane, which CAVRA's own code made, and CAVRA's answers over it at five instants."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from functools import cache
from typing import Any, Final

import pytest

from tests.oracle.evidence import OracleRecord, current
from tests.support import REPOSITORY

STORES: Final = REPOSITORY.parent / "shared" / "cavra-stores"
INSTANTS: Final = range(5)

needs_store = pytest.mark.skipif(
    not STORES.exists(), reason="the recorded stores lie beside the repository, in ../shared/cavra-stores"
)


@cache
def stored() -> list[OracleRecord]:
    """The records of the store."""
    with closing(sqlite3.connect(f"file:{STORES / 'all-lanes.db'}?mode=ro&immutable=1", uri=True)) as store:
        rows = store.execute("SELECT payload FROM evidence_metadata").fetchall()
    return current({"2026-11-21/all-lanes": [json.loads(payload) for (payload,) in rows]})


@cache
def expected() -> list[dict[str, Any]]:
    """CAVRA's answers, an item for each instant."""
    answers: list[dict[str, Any]] = json.loads((STORES / "all-lanes.expected.json").read_text())["instants"]
    return answers
