"""Sources in Dagster: one asset each at the start of the lineage, pulled when due, watched for silence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cavra_pipeline.alerts.kinds import KINDS
from cavra_pipeline.alerts.lifecycle import NO_LONGER_WATCHED
from cavra_pipeline.assets.registry import GROUPS
from cavra_pipeline.definitions import build_defs
from cavra_pipeline.jobs import IMPORT_SOURCES, home_tag, source_key
from cavra_pipeline.resources import RESOURCE_KEY, Home
from cavra_pipeline.sensors.sources import source_sensor
from cavra_pipeline.settings import Settings, load_settings
from cavra_pipeline.sources import Source, pull
from cavra_pipeline.sources.pulls import SILENT, UNREADABLE
from cavra_pipeline.state import state_of
from cavra_pipeline.state.tables import alerts
from tests.dagster_tests.runs import QUIET, key
from tests.imports.cavra_api import CavraApi, served
from tests.imports.sources import json_lines
from tests.support import delivery, home_with, query_state

pytestmark = pytest.mark.slow

TICK = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)
FIVE = "{type: file, path: five.jsonl, every_minutes: 5}"


def settings_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Settings:
    """The host's settings of a home with these sources."""
    home = home_with(tmp_path).home
    monkeypatch.setenv("CAVRA_HOME", str(home))
    (home / "sources.yaml").write_text(text)
    json_lines(home / "five.jsonl", [delivery(session_id="a"), delivery(session_id="b"), "no json"])
    return load_settings()


def names(defs: dg.Definitions) -> tuple[set[str], set[str]]:
    repository = defs.get_repository_def()
    return {one.name for one in repository.schedule_defs}, {one.name for one in repository.sensor_defs}


def test_a_home_without_sources_has_none_of_it(tmp_path: Path) -> None:
    defs = build_defs(home_with(tmp_path))
    schedules, sensors = names(defs)

    assert IMPORT_SOURCES not in schedules | {job.name for job in defs.get_repository_def().get_all_jobs()}
    assert "source_sensor" in sensors  # an alert about a source that was removed is to be resolved
    assert not any(key.path[1] == "sources" for key in defs.resolve_all_asset_keys())
    assert defs.resolve_asset_graph().get(key("landing_zone")).parent_keys == set()


def test_each_source_is_an_asset_before_the_landing_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    online = "{type: api, url: 'https://x.example', every_minutes: 60}"
    text = f"sources: {{five: {FIVE}, cavra: {online}, odd: {{type: x}}}}"
    defs = build_defs(settings_with(tmp_path, monkeypatch, text))
    graph = defs.resolve_asset_graph()

    dg.Definitions.validate_loadable(defs)
    keys = {source_key(load_settings(), name) for name in ("five", "cavra", "odd")}
    assert graph.get(key("landing_zone")).parent_keys == keys
    for one in keys:
        node = graph.get(one)
        assert (node.group_name, node.partitions_def, node.parent_keys) == ("sources", None, set())
        assert node.description
        assert node.owners
        assert node.kinds
        assert node.group_name in GROUPS
    for job in ("daily_close", "recovery_retry_worker", "morning_report"):
        assert keys.isdisjoint(defs.resolve_job_def(job).asset_layer.executable_asset_keys)
    assert defs.resolve_job_def(IMPORT_SOURCES).asset_layer.executable_asset_keys == keys


@pytest.mark.parametrize("text", ["sources: {", "sources: {five: {type: x}}", "sources: {}"])
def test_a_file_that_is_wrong_stops_nothing_else(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    defs = build_defs(settings_with(tmp_path, monkeypatch, text))
    schedules, sensors = names(defs)

    dg.Definitions.validate_loadable(defs)
    assert IMPORT_SOURCES not in schedules
    assert "source_sensor" in sensors


def asked(settings: Settings, instance: dg.DagsterInstance, at: datetime) -> list[str]:
    """The sources that a tick of the schedule asks for."""
    schedule = build_defs(settings).get_repository_def().get_schedule_def(IMPORT_SOURCES)
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=at) as context:
        data = schedule.evaluate_tick(context)
    assert data.run_requests or data.skip_message
    for request in data.run_requests or ():
        assert home_tag(settings).items() <= request.tags.items()
        assert request.asset_selection == [source_key(load_settings(), request.tags["cavra/source"])]
    return [request.tags["cavra/source"] for request in data.run_requests or ()]


@pytest.mark.parametrize(("cadences", "cron"), [
    ((5, 60), "*/5 * * * *"), ((60, 1440), "0 * * * *"), ((7, 60), "*/1 * * * *"), ((90,), "*/30 * * * *"),
])  # fmt: skip
def test_the_schedule_looks_as_often_as_the_cadences_need(
    cadences: tuple[int, ...], cron: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = ", ".join(f"s{n}: {{type: file, path: e, every_minutes: {n}}}" for n in cadences)

    defs = build_defs(settings_with(tmp_path, monkeypatch, f"sources: {{{entries}}}"))
    schedule = defs.get_repository_def().get_schedule_def(IMPORT_SOURCES)

    assert schedule.cron_schedule == cron
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_a_source_is_asked_for_when_it_is_due_and_not_while_its_pull_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    text = f"sources: {{five: {FIVE}, hour: {{type: file, path: five.jsonl, every_minutes: 60}}}}"
    settings = settings_with(tmp_path, monkeypatch, text)
    for name, every in (("five", 5), ("hour", 60)):
        assert name in asked(settings, instance, TICK)
        source = Source(name, "file", every, path=settings.home / "five.jsonl")
        pull(settings, source, {}, clock=lambda: TICK + timedelta(seconds=20))

    assert asked(settings, instance, TICK) == []
    assert asked(settings, instance, TICK + timedelta(minutes=5)) == ["five"]
    assert asked(settings, instance, TICK + timedelta(minutes=60)) == ["five", "hour"]
    job = build_defs(settings).resolve_job_def(IMPORT_SOURCES)
    of_a_neighbour, ours = {"cavra/source": "five"}, {"cavra/source": "five", **home_tag(settings)}
    instance.create_run_for_job(job, tags=of_a_neighbour, status=dg.DagsterRunStatus.STARTED)
    assert asked(settings, instance, TICK + timedelta(minutes=60)) == ["five", "hour"]
    instance.create_run_for_job(job, tags=ours, status=dg.DagsterRunStatus.STARTED)
    assert asked(settings, instance, TICK + timedelta(minutes=60)) == ["hour"]


def materialized(settings: Settings, instance: dg.DagsterInstance, name: str) -> dg.ExecuteInProcessResult:
    job = build_defs(settings).resolve_job_def(IMPORT_SOURCES)
    return job.execute_in_process(
        asset_selection=[source_key(load_settings(), name)], instance=instance, run_config=QUIET, raise_on_error=False
    )


def shown(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    (one,) = result.asset_materializations_for_node(f"import_source_{name}")
    return {key: value.value for key, value in one.metadata.items()}


def checked(result: dg.ExecuteInProcessResult) -> tuple[bool, str]:
    (one,) = result.get_asset_check_evaluations()
    return one.passed, one.severity.value


def test_a_run_imports_what_is_new_and_shows_rows_and_lag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    settings = settings_with(tmp_path, monkeypatch, f"sources: {{five: {FIVE}}}")

    first, again = materialized(settings, instance, "five"), materialized(settings, instance, "five")

    assert (first.success, again.success) == (True, True)
    counts = ("new_record_count", "known_record_count", "quarantined_record_count", "landing_file_count")
    assert [[shown(one, "five")[name] for name in counts] for one in (first, again)] == [[2, 0, 1, 2], [0, 3, 0, 0]]
    assert shown(again, "five")["lag_minutes"] > 0
    assert {"newest_record_at", "pulled_at", "dagster/row_count"} <= shown(again, "five").keys()
    assert checked(again) == (True, "WARN")


def test_an_api_is_pulled_by_its_asset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    with served(CavraApi(authorization="Bearer token-of-a-test")) as api:
        api.upsert(delivery(session_id="a"))
        entry = f"{{type: api, url: '{api.url}', every_minutes: 5, header_env: CAVRA_TEST_TOKEN}}"
        settings = settings_with(tmp_path, monkeypatch, f"sources: {{cavra: {entry}}}")
        refused = materialized(settings, instance, "cavra")
        monkeypatch.setenv("CAVRA_TEST_TOKEN", "Bearer token-of-a-test")

        done = materialized(settings, instance, "cavra")

    assert (refused.success, checked(refused)) == (True, (False, "ERROR"))
    assert refused.asset_materializations_for_node("import_source_cavra") == []
    assert (shown(done, "cavra")["new_record_count"], shown(done, "cavra")["request_count"]) == (1, 1)
    events = "".join(str(event) for result in (refused, done) for event in result.all_events)
    assert "token-of-a-test" not in events


class Ticks:
    """The sensor, tick after tick."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings, self.instance, self.cursor = settings, instance, ""

    def __call__(self, at: datetime) -> set[tuple[str, str, str | None]]:
        """The alerts that are open after a tick: kind, subject, cause."""
        sensor = source_sensor(self.settings, clock=lambda: at)
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor or None, resources={RESOURCE_KEY: Home.of(self.settings)}
        ) as context:
            data = sensor.evaluate_tick(context)
        assert data.skip_message
        self.cursor = data.cursor or ""
        with state_of(self.settings).reading() as c:
            return {(row.kind, row.subject, row.cause) for row in c.execute(alerts.select()) if row.state != "resolved"}


def test_the_sensor_raises_and_resolves_an_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    settings = settings_with(tmp_path, monkeypatch, f"sources: {{five: {FIVE}}}")
    source, now, told = Source("five", "file", 5, path=settings.home / "five.jsonl"), TICK, Ticks(settings, instance)

    pull(settings, source, {}, clock=lambda: TICK)
    assert told(now) == set()
    assert told(now + timedelta(minutes=16)) == {(SILENT, "five", "not_pulled")}
    pull(settings, source, {}, clock=lambda: now + timedelta(minutes=17))
    assert told(now + timedelta(minutes=18)) == set()
    (settings.home / "five.jsonl").rename(settings.home / "gone")
    with pytest.raises(Exception, match="can't be read"):
        pull(settings, source, {}, clock=lambda: now + timedelta(minutes=22))
    assert told(now + timedelta(minutes=23)) == {(UNREADABLE, "five", "not_read")}
    (settings.home / "sources.yaml").write_text("sources: {five: {type: x}}")
    assert told(now + timedelta(minutes=24)) == {(UNREADABLE, "five", "malformed")}
    assert {SILENT, UNREADABLE} <= KINDS.keys()


@pytest.mark.parametrize("left", [f"sources: {{six: {FIVE}}}", None], ids=["source", "file"])
def test_an_alert_about_a_source_that_was_removed_is_resolved_and_says_why(
    left: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    settings = settings_with(tmp_path, monkeypatch, "sources: {five: {type: x}, six: {type: x}}")
    told, file = Ticks(settings, instance), settings.home / "sources.yaml"
    assert told(TICK) == {(UNREADABLE, "five", "malformed"), (UNREADABLE, "six", "malformed")}
    file.write_text(f"sources: {{five: {{type: x}}, six: {FIVE}}}")
    assert told(TICK + timedelta(minutes=1)) == {(UNREADABLE, "five", "malformed")}

    if left is None:
        file.unlink()
    else:
        file.write_text(left)

    assert told(TICK + timedelta(minutes=2)) == set()
    assert query_state(settings, "SELECT detail FROM alert_events WHERE event = 'resolved' ORDER BY happened_at") == [
        (None,), (NO_LONGER_WATCHED,)
    ]  # fmt: skip
