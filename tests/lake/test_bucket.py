"""A lake whose data files are in S3-compatible storage: a real server, its key, its absence, a lost object."""

from __future__ import annotations

from pathlib import Path

import pytest

from cavra_pipeline.errors import PipelineError, TransientError
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import rebuild, warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.settings import Settings
from tests.lake.buckets import KEY, SECRET, BucketServer
from tests.lake.homes import MakeHome
from tests.support import NOW, acknowledgement, at, delivery, drop, home_with, plan, worker_run

LANE = LANES["recovery_escalation"]
#: More rows than a lake keeps in its catalog.
LINES = {
    "2026-06-30": [
        *[delivery(at(90 + n), subject=f"plan-{n}", failed=["slack"]) for n in range(40)],
        acknowledgement(at(70), subject="plan-1"),
        plan(at(50)),
        worker_run(at(45)),
    ]
}


def answers(home: Settings) -> tuple[object, object]:
    with warehouse_of(home).reading() as session:
        return (
            retry_plans(session, LANE, retry_policy(LANE), instants=[NOW], now=NOW),
            retry_health_reports(session, LANE, health_parameters(LANE), instants=[NOW], now=NOW),
        )


def files_in_bucket(home: Settings) -> int:
    with warehouse_of(home).reading() as session:
        ((count,),) = session.tuples(f"SELECT count(*) FROM glob('{home.data_address}/**/*.parquet')")
    return int(str(count))


def test_a_bucket_gives_the_same_answers_as_a_file_and_nothing_is_on_the_disk(
    lake_home: MakeHome, server: BucketServer, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    in_bucket = lake_home(LINES, data_address="s3://cavra/data")
    in_file = home_with(tmp_path_factory.mktemp("file"), LINES)
    for home in (in_bucket, in_file):
        assert ingest(home, now=NOW).received_count == 43

    warehouse_of(in_bucket).compact()

    assert answers(in_bucket) == answers(in_file)
    assert files_in_bucket(in_bucket) > 0
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_wrong_key_is_named_and_never_shown(
    lake_home: MakeHome, server: BucketServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "s0me-other")
    home = lake_home(LINES, data_address="s3://cavra/data")

    with pytest.raises(PipelineError, match="refuses the key") as raised:
        ingest(home, now=NOW)

    said = str(raised.value)
    assert "AWS_SECRET_ACCESS_KEY" in said
    assert not any(secret in said for secret in (KEY, SECRET, "s0me-other"))


def test_storage_that_is_away_is_named_and_its_return_loses_and_doubles_nothing(
    lake_home: MakeHome, server: BucketServer
) -> None:
    home = lake_home({}, data_address="s3://cavra/data")
    ingest(home, now=NOW)
    server.stop()
    drop(home, LINES["2026-06-30"], day="2026-06-30")

    with pytest.raises(TransientError, match="the bucket of the data files can't be reached"):
        ingest(home, now=NOW)
    server.start()

    assert ingest(home, now=NOW).received_count == 43
    with warehouse_of(home).reading() as session:
        assert session.tuples("SELECT count(*), count(DISTINCT session_id) FROM deliveries") == [(40, 40)]


def test_a_lost_object_is_named_and_a_rebuild_makes_it_again(lake_home: MakeHome, server: BucketServer) -> None:
    home = lake_home(LINES, data_address="s3://cavra/data")
    ingest(home, now=NOW)
    warehouse_of(home).compact()
    before = answers(home)
    server.remove("cavra/data")

    with pytest.raises(PipelineError, match="missing or damaged"):
        answers(home)
    rebuild(home, without_missing=False)

    assert answers(home) == before
