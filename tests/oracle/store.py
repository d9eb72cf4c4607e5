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


def lines() -> list[str]:
    """The records of the store as JSON."""
    with closing(sqlite3.connect(f"file:{STORES / 'all-lanes.db'}?mode=ro&immutable=1", uri=True)) as store:
        return [str(payload) for (payload,) in store.execute("SELECT payload FROM evidence_metadata").fetchall()]


@cache
def stored() -> list[OracleRecord]:
    """The records of the store."""
    return current({"2026-11-21/all-lanes": [json.loads(line) for line in lines()]})


@cache
def expected() -> list[dict[str, Any]]:
    """CAVRA's answers, an item for each instant."""
    answers: list[dict[str, Any]] = json.loads((STORES / "all-lanes.expected.json").read_text())["instants"]
    return answers
