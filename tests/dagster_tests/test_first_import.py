"""A first import through the drop sensor on Dagster's own event log: no request keeps others from looking for a minute.

`CAVRA_TEST_IMPORT_DAYS=365` imports a year, in half an hour: a tick asks for 7 days at most, however many there are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

from tests.dagster_tests.runs import code_location
from tests.dagster_tests.test_watching_daemon import SECONDS, cursor_of, daemon, wait_for
from tests.support import delivery, home_with

DAYS = int(os.environ.get("CAVRA_TEST_IMPORT_DAYS", "21"))
LONGEST_SILENCE = 60.0


@pytest.mark.slow
@pytest.mark.timeout(300 + 40 * DAYS)
def test_no_request_of_a_first_import_keeps_other_sensors_waiting_for_a_minute(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    team = tmp_path / "team"
    team.mkdir()
    (team / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\nconcurrency: {runs: {max_concurrent_runs: 2}}\n", encoding="utf-8"
    )
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    noons = [today - timedelta(days=back, hours=-12) for back in range(1, DAYS + 1)]
    settings = home_with(tmp_path, {noon.date().isoformat(): [delivery(noon)] for noon in noons}).but(
        instance_home=team, watch_seconds=SECONDS
    )
    settings.warehouse.unlink(missing_ok=True)
    log = tmp_path / "daemon.log"
    sensors = code_location(settings).get_repository_def().sensor_defs
    names = {one.name for one in sensors}

    with dg.DagsterInstance.from_config(str(team)) as instance, daemon(settings, log):

        def all_are_asked_for() -> bool:
            known = json.loads(cursor_of(instance, "drop_sensor") or "{}")
            ticked = {one.instigator_name for one in instance.all_instigator_state()}
            return len(known.get("days", {}) | known.get("asked", {})) == DAYS and names <= ticked

        wait_for("request for every day", all_are_asked_for, log, seconds=240 + 40 * DAYS)
        silences, lengths = {}, list[float]()
        states = {one.instigator_name: one for one in instance.all_instigator_state()}
        for sensor in sensors:
            state = states[sensor.name]
            found = instance.get_ticks(state.instigator_origin_id, state.selector_id)
            # The daemon evaluates one sensor after the other, and a tick ends once what it asked for is stored.
            lengths += [one.end_timestamp - one.timestamp for one in found if one.end_timestamp and one.run_ids]
            ticks = sorted(one.timestamp for one in found)
            interval = sensor.minimum_interval_seconds or 30
            until_now = pairwise([*ticks, datetime.now(UTC).timestamp()])
            silences[sensor.name] = max((later - earlier - interval for earlier, later in until_now), default=0.0)
        planned = instance.get_runs_count()

    record_property("runs", planned)
    record_property("seconds_of_ticks_that_asked", [round(seconds, 1) for seconds in lengths])
    record_property("silences_beyond_the_interval", {name: round(seconds, 1) for name, seconds in silences.items()})
    print(f"{planned} runs; ticks that asked {lengths}; silences {silences}")  # noqa: T201 -- what this test is run for
    assert lengths
    assert max(silences.values()) <= LONGEST_SILENCE
