"""Finished runs past retention go; pages of assets, younger runs and the runs of other teams stay as they are."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.storage.runs.schema import RunsTable

from cavra_pipeline.errors import UsageError
from cavra_pipeline.finished_runs import PrunedRuns, prune_runs
from cavra_pipeline.jobs import LOCATION_TAG, home_tag
from cavra_pipeline.resources import dagster_instance
from cavra_pipeline.settings import Settings, load_settings
from tests.dagster_tests.runs import QUIET, code_location
from tests.support import home_with

pytestmark = pytest.mark.slow

OURS, THEIRS = {LOCATION_TAG: "cavra_pipeline.definitions"}, {LOCATION_TAG: "neighbour.py"}
TICK = timedelta(microseconds=1)
DAYS = dg.StaticPartitionsDefinition(["2026-06-24", "2026-06-25", "2026-06-26"])
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)


@dg.asset(partitions_def=DAYS, check_specs=[dg.AssetCheckSpec("is_even", asset="report")])
def report(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]  # read at run time
    if context.run.tags.get("fails"):
        raise ValueError("as asked")
    context.log_event(dg.AssetObservation("landing", partition=context.partition_key, metadata={"seen": 1}))
    number = int(context.run.tags.get("number", "0"))
    return dg.MaterializeResult(
        metadata={"number": number}, check_results=[dg.AssetCheckResult(check_name="is_even", passed=number % 2 == 0)]
    )


@dg.asset
def worker() -> dg.MaterializeResult:  # type: ignore[type-arg]  # read at run time
    return dg.MaterializeResult(metadata={"sent": 1})


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return home_with(tmp_path)


@pytest.fixture(params=["the home's own", "sqlite", "postgresql"])
def instance(request: pytest.FixtureRequest, home: Settings) -> Iterator[dg.DagsterInstance]:
    """An instance of each kind; the last two are a team's."""
    if request.param != "the home's own":
        text = "telemetry: {enabled: false}\n"
        if request.param == "postgresql":
            make: Callable[[], str] = request.getfixturevalue("new_postgresql")
            text += f'storage: {{postgres: {{postgres_url: "{make()}"}}}}\n'
        (home.dagster_home / "dagster.yaml").write_text(text, encoding="utf-8")
    with dagster_instance(home) as opened:
        yield opened


def make(instance: dg.DagsterInstance, tags: Mapping[str, str], day: str = "2026-06-25") -> dg.DagsterRun:
    result = dg.materialize(
        [report, worker],
        partition_key=day,
        instance=instance,
        tags=dict(tags),
        raise_on_error=False,
        run_config=QUIET,
    )
    return result.dagster_run


def ended_at(instance: dg.DagsterInstance, run: dg.DagsterRun) -> datetime:
    record = instance.get_run_record_by_id(run.run_id)
    assert record is not None
    assert record.end_time is not None
    return datetime.fromtimestamp(record.end_time, UTC)


def ids(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def files(home: Settings) -> list[str]:
    """What names a run among the files of the instance."""
    return [path.name for path in home.dagster_home.rglob("*") if path.name.count("-") >= 4]


def page(instance: dg.DagsterInstance) -> dict[str, Any]:
    """What the pages of the assets show: newest events, partitions by status, checks."""
    shown: dict[str, Any] = {}
    for name in ("report", "worker", "landing"):
        key = dg.AssetKey(name)
        for kind in (dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION):
            newest = instance.event_log_storage.get_latest_storage_id_by_partition(key, kind)
            shown[f"{name} {kind.value}"] = dict(newest)
        made = instance.get_latest_materialization_event(key)
        shown[f"{name} metadata"] = made.asset_materialization.metadata if made and made.asset_materialization else {}
    instance.wipe_asset_cached_status([dg.AssetKey("report")])
    cached = get_and_update_asset_status_cache_value(instance, dg.AssetKey("report"), DAYS)
    assert cached is not None
    shown["status"] = (cached.serialized_materialized_partition_subset, cached.serialized_failed_partition_subset)
    check = dg.AssetCheckKey(dg.AssetKey("report"), "is_even")
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key([check])
    shown["check"] = (found[check].status, found[check].run_id)
    return shown


def prune(instance: dg.DagsterInstance, home: Settings, before: datetime) -> PrunedRuns:
    return prune_runs(instance, home, OURS[LOCATION_TAG], before)


def test_the_newest_event_of_each_partition_and_check_outlives_its_run(
    instance: dg.DagsterInstance, home: Settings
) -> None:
    for number, day in enumerate(["2026-06-24", "2026-06-25", "2026-06-25", "2026-06-26"]):
        make(instance, {**OURS, "number": str(number)}, day)
    before, partitions = page(instance), instance.get_materialized_partitions(dg.AssetKey("report"))

    assert prune(instance, home, FOREVER) == PrunedRuns(4, 0)
    assert ids(instance) == set()
    assert files(home) == []
    assert page(instance) == before
    assert instance.get_materialized_partitions(dg.AssetKey("report")) == partitions
    assert len(partitions) == 3
    made = instance.fetch_materializations(dg.AssetKey("report"), limit=100).records
    numbers = [one.asset_materialization.metadata["number"].value for one in made if one.asset_materialization]
    assert numbers == [3, 2, 0]


def test_a_run_that_ended_a_microsecond_before_the_instant_goes_and_one_at_it_stays(
    instance: dg.DagsterInstance, home: Settings
) -> None:
    older, younger = make(instance, OURS), make(instance, OURS)
    end = ended_at(instance, older)

    assert prune(instance, home, end) == PrunedRuns(0, 0)
    assert ids(instance) == {older.run_id, younger.run_id}
    assert prune(instance, home, end + TICK) == PrunedRuns(1, 0)
    assert ids(instance) == {younger.run_id}
    assert len(instance.all_logs(younger.run_id)) > 5


def test_the_runs_of_other_teams_and_homes_stay_and_those_of_our_commands_go(
    instance: dg.DagsterInstance, home: Settings
) -> None:
    other_home = home_tag(home.but(home=home.home / "other"))
    theirs = [make(instance, tags) for tags in (THEIRS, other_home, {})]
    logs = {run.run_id: len(instance.all_logs(run.run_id)) for run in theirs}
    make(instance, home_tag(home))
    make(instance, OURS)

    assert prune(instance, home, FOREVER) == PrunedRuns(2, 0)
    assert ids(instance) == logs.keys()
    assert {one: len(instance.all_logs(one)) for one in logs} == logs


def test_without_a_code_location_only_the_runs_of_commands_go(instance: dg.DagsterInstance, home: Settings) -> None:
    ours, theirs = make(instance, OURS), make(instance, THEIRS)
    make(instance, home_tag(home))

    assert prune_runs(instance, home, None, FOREVER) == PrunedRuns(1, 0)
    assert ids(instance) == {ours.run_id, theirs.run_id}


def test_a_failed_run_stays_until_its_partition_is_made(instance: dg.DagsterInstance, home: Settings) -> None:
    make(instance, {**OURS, "number": "1"})
    failed = make(instance, {**OURS, "fails": "yes"})
    before = page(instance)

    assert prune(instance, home, FOREVER) == PrunedRuns(1, 1)
    assert ids(instance) == {failed.run_id}
    assert page(instance) == before
    assert '"2026-06-25"' in before["status"][1]
    make(instance, {**OURS, "number": "2"})
    assert prune(instance, home, FOREVER) == PrunedRuns(2, 0)


def test_a_run_in_progress_stays(instance: dg.DagsterInstance, home: Settings) -> None:
    job = dg.Definitions(assets=[worker]).resolve_implicit_global_asset_job_def()
    run = instance.create_run_for_job(job, tags=dict(OURS))

    assert prune(instance, home, FOREVER) == PrunedRuns(0, 0)
    assert ids(instance) == {run.run_id}


@pytest.mark.parametrize("step", ["unlink", "delete_logs", "delete_run"])
def test_a_pruning_that_was_killed_is_finished_by_the_next(
    home: Settings, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dagster_instance(home) as instance:
        make(instance, {**OURS, "number": "1"})
        before = page(instance)
        assert files(home)
        owner = {"unlink": Path, "delete_logs": type(instance.compute_log_manager)}.get(
            step, type(instance.run_storage)
        )

        def killed(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(owner, step, killed)
            with pytest.raises(KeyboardInterrupt):
                prune(instance, home, FOREVER)
        assert len(ids(instance)) == 1

        assert prune(instance, home, FOREVER) == PrunedRuns(1, 0)
        assert files(home) == []
        assert page(instance) == before


def test_the_job_prunes_by_the_setting_and_leaves_a_younger_run(home: Settings) -> None:
    settings = home.but(run_retention_days=3)
    job = code_location(settings).resolve_job_def("prune_runs")
    with dagster_instance(settings) as instance:
        old, young = make(instance, OURS), make(instance, OURS)
        set_end(instance, old, datetime.now(UTC) - timedelta(days=3, seconds=1))
        set_end(instance, young, datetime.now(UTC) - timedelta(days=3) + timedelta(minutes=5))

        assert job.execute_in_process(instance=instance, tags=dict(OURS)).success
        assert old.run_id not in ids(instance)
        assert young.run_id in ids(instance)


def set_end(instance: dg.DagsterInstance, run: dg.DagsterRun, end: datetime) -> None:
    """Makes a run as old as that."""
    storage: Any = instance.run_storage
    values = {"end_time": end.timestamp(), "create_timestamp": end - timedelta(minutes=1)}
    with storage.connect() as connection:
        connection.execute(sa.update(RunsTable).where(RunsTable.c.run_id == run.run_id).values(values))


def test_runs_are_kept_for_a_week_unless_the_setting_says_three_days_or_more() -> None:
    assert load_settings({}).run_retention_days == 7
    for text in ("3", "36500"):
        assert load_settings({"CAVRA_RUN_RETENTION_DAYS": text}).run_retention_days == int(text)
    for text in ("2", "36501", "week"):
        with pytest.raises(UsageError, match=r"CAVRA_RUN_RETENTION_DAYS"):
            load_settings({"CAVRA_RUN_RETENTION_DAYS": text})


def test_an_event_log_that_is_no_sql_database_is_left_as_it_is(
    home: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    class Elsewhere:
        event_log_storage = object()

    assert prune_runs(Elsewhere(), home, None, FOREVER) == PrunedRuns(0, 0)  # type: ignore[arg-type]
    assert "Runs are not pruned: object" in caplog.text
