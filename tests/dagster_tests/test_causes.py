"""Provider incidents, failed executions and coming exhaustion in Dagster: the asset, its sensors, and real alerts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cavra_pipeline.causes.problems import EXHAUSTION_AHEAD, exhaustion_signals, incident_signals
from cavra_pipeline.sensors.causes import exhaustion_sensor, provider_incident_sensor
from cavra_pipeline.settings import Settings
from tests.dagster_tests.runs import EVIDENCE, checks, key, metadata_of, new_home, run
from tests.dagster_tests.test_watching import Watch, held
from tests.incidents.histories import sent
from tests.support import MICROSECOND, Record, acknowledgement, drop, execution, query_state, worker_run

pytestmark = pytest.mark.slow

LANE = "recovery_escalation"
MINUTE = timedelta(minutes=1)
INTERVAL = 30


def alerts(settings: Settings) -> dict[tuple[str, str], tuple[str, str | None]]:
    """The newest episode of each alert: its state, and why it is not told."""
    rows = query_state(settings, "SELECT kind, subject, state, muted_by FROM alerts ORDER BY episode, opened_at")
    return {(kind, subject): (state, muted_by) for kind, subject, state, muted_by in rows}


def incident_alerts(settings: Settings) -> list[tuple[str, int]]:
    found = "SELECT state, occurrence_count FROM alerts WHERE kind = 'provider_incident'"
    return [(state, count) for state, count in query_state(settings, found)]


def three_failures(now: datetime) -> list[Record]:
    """Three deliveries that Slack refused; the retry of one failed, and so did one at Teams, which has no incident."""
    return [
        *(sent("slack", now - (30 - n) * MINUTE, LANE, f"s-{n}", 401) for n in range(3)),
        sent("teams", now - 30 * MINUTE, LANE, "t-0", 503),
        execution(now - 20 * MINUTE, subject="s-0", provider="slack"),
        execution(now - 20 * MINUTE, subject="t-0", provider="teams"),
    ]


def test_an_incident_is_one_alert_in_place_of_the_failed_executions_of_its_pairs(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    now = datetime.now(UTC)
    today = now.date().isoformat()
    settings = new_home(tmp_path, {today: three_failures(now)})
    watch = Watch(provider_incident_sensor, settings, instance)
    of_slack, of_teams = (("failed_execution", f"{name} in {LANE}") for name in ("slack", "teams"))

    def more(name: str, *records: Record) -> dict[tuple[str, str], tuple[str, str | None]]:
        drop(settings, records, day=today, name=f"{name}.jsonl")
        assert run(settings, [now.date()], assets=(*EVIDENCE, "provider_incidents"), instance=instance).success
        with held(settings):
            watch.tick(watch.now + 5 * MINUTE)
        return alerts(settings)

    assert watch.tick(now).skip_message == "There is no report of provider incidents yet."
    found = more("first", worker_run(now))
    (incident,) = [subject for kind, subject in found if kind == "provider_incident"]
    assert incident == f"slack since {(now - 30 * MINUTE).isoformat()}"
    assert found["provider_incident", incident] == ("firing", None)
    assert (found[of_slack], found[of_teams]) == (("firing", "provider_incident"), ("firing", None))
    assert incident_alerts(settings) == [("firing", 3)]

    more("grown", sent("slack", now - 2 * MINUTE, LANE, "s-3", 401))
    assert incident_alerts(settings) == [("firing", 4)], "a growing incident is the same alert"

    found = more("over", sent("slack", now - MINUTE, LANE, "s-4", None))
    assert incident_alerts(settings) == [("resolved", 4)]
    assert found[of_slack] == ("firing", None), "what is still unresolved after the incident is told"

    found = more("delivered", sent("slack", now, LANE, "s-0", None))
    assert (found[of_slack][0], found[of_teams]) == ("resolved", ("firing", None))


def test_the_asset_shows_numbers_for_the_plots_and_its_check_names_an_open_incident(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    # Half an hour ago may be yesterday.
    days = [now.date() - timedelta(days=back) for back in (2, 1, 0)]
    settings = new_home(tmp_path, {now.date().isoformat(): three_failures(now)})

    result = run(settings, days, assets=(*EVIDENCE, "provider_incidents"))

    assert checks(result)["no_open_incident"] == (False, "ERROR")
    before, today = (metadata_of(result, "provider_incidents", day) for day in (days[0], days[-1]))
    assert today["dagster/row_count"] == today["incident_count"] == today["open_incident_count"] == 1
    assert (today["open_failure_count"], today["open_pair_count"], today["alert_level"]) == (3, 3, "critical")
    assert "s-0" not in str(today), "no subject is shown"
    assert (before["dagster/row_count"], before["alert_level"]) == (0, "healthy")
    # Without the failures of today nothing is open.
    quiet = run(settings, days[:1], assets=("provider_incidents",))
    assert checks(quiet)["no_open_incident"] == (True, "ERROR")


def test_two_incidents_of_a_provider_are_two_alerts_and_a_strange_name_is_not_shown() -> None:
    one: dict[str, Any] = {
        "incident_id": "provider-incident-1", "provider": "slack", "lane": None,
        "began_at": "2026-06-25T10:00:00+00:00", "cause": "gone",
        "failure_count": 3, "subject_count": 3, "pair_count": 2,
    }  # fmt: skip
    next_one = {**one, "began_at": "2026-06-25T11:00:00+00:00"}
    of_lane = {**one, "lane": LANE}
    strange = {**one, "provider": "sl\nack"}

    signals = incident_signals([one, next_one, of_lane, strange], [])

    assert [signal.evidence.get("provider") for signal in signals] == ["slack", "slack", "slack", None]
    assert [signal.subject for signal in signals] == [
        "slack since 2026-06-25T10:00:00+00:00",
        "slack since 2026-06-25T11:00:00+00:00",
        f"slack in {LANE} since 2026-06-25T10:00:00+00:00",
        "provider-incident-1",
    ]


def soon_exhausted(now: datetime) -> list[Record]:
    """A pair with two failures, which every run from 20 minutes on tries; two more failures exhaust it."""
    ran = worker_run(now - 10 * MINUTE, session_id="run", dry_run=False)
    payload = next(value for value in ran.values() if isinstance(value, dict))
    payload["schedule"] = {"enabled": True, "interval_minutes": INTERVAL}
    return [
        ran,
        *(sent("slack", now - (600 - n) * MINUTE, LANE, "s-0", 503) for n in range(2)),
        acknowledgement(now - 300 * MINUTE, subject="s-0"),
    ]


def test_a_person_is_warned_an_hour_before_the_last_retry_and_no_longer_once_it_is_made(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    now = datetime.now(UTC)
    health = f"{LANE}_retry_health"
    settings = new_home(tmp_path, {now.date().isoformat(): soon_exhausted(now)})
    watch = Watch(exhaustion_sensor, settings, instance)
    assert watch.tick(now).skip_message == "There is no forecast yet."
    result = run(settings, [now.date()], assets=(*EVIDENCE, health), instance=instance)
    assert result.success
    shown = metadata_of(result, health, now.date())
    assert shown["exhausted_within_24h"] == 1
    (last_retry,) = map(datetime.fromisoformat, shown["exhaustion"]["exhausted_at"])
    warned_at = last_retry - timedelta(hours=1)

    with held(settings):
        assert watch.tick(warned_at - MICROSECOND).skip_message == "Nothing will be exhausted within the hour."
        assert alerts(settings) == {}
        watch.tick(warned_at)
    assert alerts(settings) == {(EXHAUSTION_AHEAD, LANE): ("firing", None)}

    # What the API tells of a lane's health has no forecast: the sensor remembers the newest.
    event = dg.AssetMaterialization(
        key(health), partition=now.date().isoformat(), metadata={"as_of": last_retry.isoformat()}
    )
    for _ in range(20):
        instance.report_runless_asset_event(event)
    watch.tick(last_retry - MICROSECOND)
    assert alerts(settings)[EXHAUSTION_AHEAD, LANE][0] == "firing"
    watch.tick(last_retry)
    assert alerts(settings)[EXHAUSTION_AHEAD, LANE][0] == "resolved"


def test_a_newer_forecast_without_it_ends_the_warning(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    now = datetime.now(UTC)
    assets = (*EVIDENCE, f"{LANE}_retry_health")
    settings = new_home(tmp_path, {now.date().isoformat(): soon_exhausted(now)})
    watch = Watch(exhaustion_sensor, settings, instance)
    result = run(settings, [now.date()], assets=assets, instance=instance)
    ahead = metadata_of(result, assets[-1], now.date())["exhaustion"]["exhausted_at"]
    warned_at = datetime.fromisoformat(min(ahead)) - timedelta(hours=1)
    watch.tick(warned_at)
    assert alerts(settings) == {(EXHAUSTION_AHEAD, LANE): ("firing", None)}

    drop(settings, [sent("slack", now, LANE, "s-0", None)], day=now.date().isoformat(), name="delivered.jsonl")
    assert run(settings, [now.date()], assets=assets, instance=instance).success
    watch.tick(warned_at + MINUTE)

    assert alerts(settings) == {(EXHAUSTION_AHEAD, LANE): ("resolved", None)}


def test_a_warning_counts_what_the_next_hour_exhausts_and_nothing_before_or_after() -> None:
    now = datetime(2026, 6, 25, 12, 0, tzinfo=UTC)
    hour = timedelta(hours=1)
    counts = {now: 1, now + MICROSECOND: 2, now + hour: 4, now + hour + MICROSECOND: 8}
    shown = {"forecast_id": "forecast-1", "exhausted_at": {when.isoformat(): n for when, n in counts.items()}}

    (signal,) = exhaustion_signals(LANE, shown, now)

    assert (signal.count, signal.severity, signal.since) == (6, "warning", now + MICROSECOND - hour)
    assert signal.evidence["lane"] == LANE
    assert exhaustion_signals(LANE, {**shown, "exhausted_at": {now.isoformat(): 1}}, now) == []


def test_a_warning_tells_apart_what_an_open_incident_explains() -> None:
    now = datetime(2026, 6, 25, 12, 0, tzinfo=UTC)
    soon, late = ((now + n * MINUTE).isoformat() for n in (30, 90))
    shown = {"forecast_id": "forecast-1", "exhausted_at": {soon: 3, late: 4}, "explained_at": {soon: 2, late: 4}}

    signals = exhaustion_signals(LANE, shown, now)

    assert [(one.cause, one.count) for one in signals] == [("provider_incident", 2), ("no_open_incident", 1)]
    (whole,) = exhaustion_signals(LANE, {**shown, "explained_at": {soon: 3}}, now)
    assert (whole.cause, whole.count) == ("provider_incident", 3)


def test_an_open_incident_mutes_the_warning_of_its_deliveries_alone(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    now = datetime.now(UTC)
    health = f"{LANE}_retry_health"
    others = (sent("slack", now - (500 - n) * MINUTE, LANE, f"s-{n}", 503) for n in range(1, 3))
    settings = new_home(tmp_path, {now.date().isoformat(): [*soon_exhausted(now), *others]})
    incidents, exhaustion = (Watch(one, settings, instance) for one in (provider_incident_sensor, exhaustion_sensor))

    def warned(expected: tuple[str, str | None]) -> None:
        ran = run(settings, [now.date()], assets=(*EVIDENCE, "provider_incidents", health), instance=instance)
        assert ran.success
        (last_retry, *_) = metadata_of(ran, health, now.date())["exhaustion"]["exhausted_at"]
        at = datetime.fromisoformat(last_retry) - timedelta(minutes=30)
        with held(settings):
            incidents.tick(at)
            exhaustion.tick(at)
        assert alerts(settings)[EXHAUSTION_AHEAD, LANE] == expected

    warned(("firing", "provider_incident"))
    # The provider works again, and one delivery still fails.
    drop(settings, [sent("slack", now - MINUTE, LANE, "s-9", None)], day=now.date().isoformat(), name="works.jsonl")
    warned(("firing", None))
