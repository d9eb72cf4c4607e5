"""The event log on a Dagster whose internals are others than it was written for: it steps aside, with one warning."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from cavra_pipeline.assets.metadata import show_days
from cavra_pipeline.event_batches import SOURCE_DIGEST, source_digest
from cavra_pipeline.settings import Settings
from tests.support import REPOSITORY

pytestmark = pytest.mark.slow

#: Opens the home twice, stores an event and reads it again.
USE = """
import dagster as dg
from pathlib import Path
folder = str(Path({folder!r}))
for _ in range(2):
    with dg.DagsterInstance.from_config(folder) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(["cavra", "evidence"], partition="2026-06-25"))
        found = instance.get_materialized_partitions(dg.AssetKey(["cavra", "evidence"]))
        log = instance.event_log_storage
        print(type(log).__module__.split(".")[0], type(log).__name__, sorted(found))
"""
#: All that Dagster itself imports of what is altered afterwards.
INTERNALS = (
    "import dagster._core.storage.sqlite_storage\n"
    "from dagster._core.storage.event_log import SqliteEventLogStorage as Log, SqlEventLogStorage as Sql\n"
)
ALTERED = {
    "a method that does something else": (
        INTERNALS + "own = Log.store_event\nLog.store_event = lambda self, event: own(self, event)\n"
    ),
    "a method that is gone": (
        INTERNALS
        + "Sql._to_row = Sql._event_to_row\ndel Sql._event_to_row\n"
        + "Log.__getattr__ = lambda self, name: "
        + "self._to_row if name == '_event_to_row' else object.__getattribute__(self, name)\n"
    ),
    "a module that is gone": INTERNALS + "import sys\nsys.modules['dagster._core.storage.sqlite'] = None\n",
    "a name that is gone": INTERNALS + "import dagster._core.events as events\ndel events.ASSET_CHECK_EVENTS\n",
}


def opened(home: Settings, before: str) -> tuple[list[str], str]:
    """Returns what each opening of the home says of its event log, and standard error."""
    done = subprocess.run(
        [sys.executable, "-c", before + USE.format(folder=str(home.dagster_home))],
        cwd=REPOSITORY,
        env={**os.environ, "DAGSTER_HOME": str(home.dagster_home)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize("before", ALTERED.values(), ids=ALTERED)
def test_it_steps_aside_for_dagsters_own_with_one_warning(tmp_path: Path, before: str) -> None:
    home = Settings(home=tmp_path / "home").prepare()

    lines, err = opened(home, before)

    assert lines == ["dagster SqliteEventLogStorage ['2026-06-25']"] * 2
    assert err.count("is not the one that batches of events were written for") == 1


def test_it_stands_without_a_warning_on_the_dagster_it_was_written_for(tmp_path: Path) -> None:
    home = Settings(home=tmp_path / "home").prepare()

    lines, err = opened(home, "")

    assert lines == ["cavra_pipeline BatchedEventLog ['2026-06-25']"] * 2
    assert "batches of events" not in err
    assert source_digest() == SOURCE_DIGEST


def test_a_home_that_was_written_in_batches_is_read_by_dagsters_own(tmp_path: Path) -> None:
    home = Settings(home=tmp_path / "home").prepare()
    opened(home, "")

    lines, _ = opened(home, ALTERED["a method that does something else"])

    assert lines == ["dagster SqliteEventLogStorage ['2026-06-25']"] * 2


@pytest.mark.parametrize("is_altered", [False, True])
def test_metadata_of_days_is_shown_on_a_dagster_with_other_internals_too(
    monkeypatch: pytest.MonkeyPatch, is_altered: bool
) -> None:
    days = dg.DailyPartitionsDefinition("2026-06-24", end_date="2026-06-26")

    @dg.asset(partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run())
    def evidence(context: dg.AssetExecutionContext) -> None:
        show_days(context, context.asset_key, {date(2026, 6, 24): {"rows": 1}, date(2026, 6, 25): {"rows": 2}})

    if is_altered:
        monkeypatch.setitem(sys.modules, "dagster._core.execution.context.metadata_logging", None)
    with dg.DagsterInstance.ephemeral() as instance:
        tags = {"dagster/asset_partition_range_start": "2026-06-24", "dagster/asset_partition_range_end": "2026-06-25"}
        assert dg.materialize([evidence], instance=instance, tags=tags).success
        made = instance.fetch_materializations(evidence.key, limit=5).records

    shown = {one.partition_key: one.asset_materialization.metadata["rows"].value for one in made}  # type: ignore[union-attr]
    assert shown == {"2026-06-24": 1, "2026-06-25": 2}
