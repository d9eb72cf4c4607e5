"""What goes into proof bundles against the engine, over random histories: the same reports to the last byte."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cavra_pipeline.evidence.export import export_records
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.store import RETRY_HEALTH, RETRY_PLAN, make_reports
from cavra_pipeline.verify.bundle import attested
from cavra_pipeline.verify.derive import derive
from cavra_pipeline.verify.lane_rules import lane_rules
from tests.oracle.evidence import current
from tests.oracle.histories import health_arguments, history, instants, plan_arguments
from tests.support import NOW, Record, home_with, take_in
from tests.verify.bundles import NOTHING_PRUNED, lane_of

pytestmark = pytest.mark.slow

HISTORIES = int(os.environ.get("CAVRA_ORACLE_HISTORIES", "2"))


@pytest.mark.timeout(1800)
def test_reports_worked_out_again_are_those_of_the_engine_over_random_histories(tmp_path: Path) -> None:
    rules = lane_rules()
    compared = 0
    for seed in range(HISTORIES):
        files = history(seed, 0)
        home = home_with(tmp_path / str(seed), files)
        take_in(home)
        moments = list(instants(seed, 0, current(files)))
        with warehouse_of(home).reading() as session:
            by_lane: dict[str, list[Record]] = {name: [] for name in LANES}
            for line in export_records(session):
                record = json.loads(line)
                if of := lane_of(record):
                    by_lane[of].append(record)
            for name, lane in LANES.items():
                for report, given in ((RETRY_PLAN, plan_arguments(seed)), (RETRY_HEALTH, health_arguments(seed))):
                    made = make_reports(session, report, lane, instants=moments, now=NOW, parameters=given)
                    for one in made:
                        true = json.loads(json.dumps(attested(one)))
                        assert derive(true, rules[name], by_lane[name], NOTHING_PRUNED) == true, (
                            seed,
                            name,
                            one["as_of"],
                        )
                        compared += 1
    assert compared == HISTORIES * len(LANES) * 4
