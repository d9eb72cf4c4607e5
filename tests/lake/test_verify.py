"""`verify --home` on a lake: what it holds is compared with the landing zone, as a file is."""

from __future__ import annotations

import pytest

from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.verify.differences import Part
from cavra_pipeline.verify.home import verify_home
from tests.lake.homes import MakeHome
from tests.support import NOW, acknowledgement, at, delivery, plan, worker_run

LINES = {
    "2026-06-30": [
        delivery(at(90), subject="plan-1", failed=["slack"]),
        acknowledgement(at(70), subject="plan-1"),
        plan(at(50)),
        worker_run(at(45)),
    ]
}


def test_a_lake_that_nobody_changed_is_intact_however_often_it_is_verified(lake_home: MakeHome) -> None:
    home = lake_home(LINES)
    ingest(home, now=NOW)

    for _ in range(2):
        found = verify_home(home, now=NOW)
        assert (found.differences, found.record_count, found.landing_file_count) == ([], 4, 1)


@pytest.mark.parametrize(
    ("change", "table"),
    [
        ("DELETE FROM evidence_records WHERE record_type = 'acknowledgement'", "evidence_records"),
        ("UPDATE watched_records SET subject = 'plan-2' WHERE record_type = 'delivery'", "watched_records"),
        ("CREATE OR REPLACE VIEW acknowledgements AS SELECT 1 AS one", "acknowledgements"),
    ],
)
def test_a_change_of_the_lake_is_named_and_nothing_else(lake_home: MakeHome, change: str, table: str) -> None:
    home = lake_home(LINES)
    ingest(home, now=NOW)
    with warehouse_of(home).writing("spoil it") as session:
        session.execute(change)

    found = verify_home(home, now=NOW)

    assert [(one.part, one.table) for one in found.differences] == [(Part.WAREHOUSE, table)]
