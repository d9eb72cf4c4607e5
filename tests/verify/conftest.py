"""Five days of the recorded month in a home, with records of every lane, and a commit log over them."""

from __future__ import annotations

import gzip
import json
from typing import Final

import pytest

from cavra_pipeline.evidence.export import export_records
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.settings import Settings
from tests.support import REPOSITORY, ingested
from tests.verify.bundles import Log, by_place

MONTH: Final = REPOSITORY / "cavra_pipeline" / "demo" / "month.jsonl.gz"
FIRST, LAST = "2026-11-20", "2026-11-25"


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with those days of the month."""
    lines = gzip.decompress(MONTH.read_bytes()).splitlines()
    chosen = [line for line in lines if FIRST <= json.loads(line)["created_at"] < LAST]
    return ingested(tmp_path_factory.mktemp("month"), {"2026-11-28": chosen})


@pytest.fixture(scope="session")
def month_log(month: Settings) -> Log:
    """A commit log over the records, with two entries: the first two days, then the others."""
    with warehouse_of(month).reading() as session:
        records = [json.loads(line) for line in export_records(session)]
    halves = ([one for one in records if (one["created_at"] < "2026-11-22") is is_first] for is_first in (True, False))
    log = Log({})
    for half in halves:
        log = log.then(by_place(half))
    return log
