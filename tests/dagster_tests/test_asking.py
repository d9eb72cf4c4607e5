"""The sensors that ask for runs, each as scenarios of its cursor."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData

from cavra_pipeline.evidence.emitted import day_marks
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.landing import list_drops
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.reports.store import days_between, save_every_report
from cavra_pipeline.sensors import requests
from cavra_pipeline.sensors.requests import MOST_RANGES
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from tests.dagster_tests.runs import EVIDENCE, REPORTS, asked_days, key, new_home, report_ids, run, tick
from tests.dagster_tests.test_watching import origin, put_tick
from tests.support import delivery, drop, query_state, take_in, worker_run

pytestmark = pytest.mark.slow


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


# --- The drop sensor -----------------------------------------------------------------------------------------------


def test_an_empty_landing_zone_is_said_and_is_not_all_clear(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    decision = tick(new_home(tmp_path), "drop_sensor", instance)

    assert decision.skip_message == "The landing zone holds no file yet."
    assert not decision.run_requests
    assert decision.cursor is None


def test_first_drops_ask_for_one_run_over_their_days_with_ingest_and_reports_and_no_worker(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = new_home(tmp_path, {"2026-06-24": [delivery()], "2026-06-25": [delivery()]})
    settings.warehouse.unlink()

    decision = tick(settings, "drop_sensor", instance)

    assert asked_days(decision) == [("2026-06-24", "2026-06-25")]
    (request,) = decision.run_requests
    assert {key.path[-1] for key in request.asset_selection} >= {*EVIDENCE, *REPORTS}
    assert not any("worker" in key.path[-1].split("_")[-1:] for key in request.asset_selection)
    assert key("landing_zone") not in request.asset_selection
    assert not settings.warehouse.exists()


def test_what_was_ingested_and_has_not_changed_is_not_asked_for_again(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = new_home(tmp_path, [delivery()])
    first = tick(settings, "drop_sensor", instance)

    second = tick(settings, "drop_sensor", instance, first.cursor)

    assert not second.run_requests
    assert second.skip_message == (
        "No other new or changed landing file in 1 days. 1 days were asked for and are not ingested yet."
    )
    made(settings, instance, first)
    third = tick(settings, "drop_sensor", instance, second.cursor)
    assert not third.run_requests
    assert third.skip_message == "No new or changed landing file in 1 days."
    assert not tick(settings, "drop_sensor", instance).run_requests, "a lost cursor asks for nothing that is made"


def test_a_changed_and_a_new_drop_each_ask_for_their_day_again_under_another_key(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = new_home(tmp_path, {"2026-06-24": [delivery()], "2026-06-25": [delivery()]})
    decision = tick(settings, "drop_sensor", instance)
    keys = {decision.run_requests[0].run_key}

    for name in ("evidence.jsonl", "new.jsonl"):
        drop(settings, [delivery(), delivery()], name=name)
        decision = tick(settings, "drop_sensor", instance, decision.cursor)
        assert asked_days(decision) == [("2026-06-25", "2026-06-25")], name
        keys.add(decision.run_requests[0].run_key)

    assert len(keys) == 3
    assert not tick(settings, "drop_sensor", instance, decision.cursor).run_requests


def test_a_drop_of_another_time_is_asked_for_and_no_other(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = new_home(tmp_path, {"2026-06-24": [delivery()], "2026-06-25": [delivery()]})
    first = tick(settings, "drop_sensor", instance)
    os.utime(settings.landing / "2026-06-24" / "evidence.jsonl", ns=(1, 1))

    assert asked_days(tick(settings, "drop_sensor", instance, first.cursor)) == [("2026-06-24", "2026-06-24")]


def test_days_that_do_not_touch_are_runs_of_their_own(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = new_home(tmp_path, {f"2026-06-{day}": [delivery()] for day in ("21", "22", "24")})

    assert asked_days(tick(settings, "drop_sensor", instance)) == [
        ("2026-06-21", "2026-06-22"), ("2026-06-24", "2026-06-24"),
    ]  # fmt: skip


def test_one_tick_asks_for_a_bounded_number_of_runs_and_the_next_takes_up_the_rest(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    days = [date(2026, 6, 20) + timedelta(days=2 * n) for n in range(MOST_RANGES + 2)]
    settings = new_home(tmp_path, {day.isoformat(): [delivery()] for day in days})

    first = tick(settings, "drop_sensor", instance)
    second = tick(settings, "drop_sensor", instance, first.cursor)
    third = tick(settings, "drop_sensor", instance, second.cursor)

    asked = [asked_days(one) for one in (first, second, third)]
    assert [len(one) for one in asked] == [MOST_RANGES, 2, 0]
    assert sorted(day for one in asked for day, _ in one) == [day.isoformat() for day in days]


def test_a_day_outside_the_partitions_is_named_to_be_ingested_by_hand(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    tomorrow = (datetime.now(UTC).date() + timedelta(days=1)).isoformat()
    settings = new_home(tmp_path, {"2026-06-19": [delivery()], tomorrow: [delivery()]})

    decision = tick(settings, "drop_sensor", instance)

    assert not decision.run_requests
    assert "2 changed days are no partition; `cavra-pipeline ingest` takes them" in decision.skip_message
    drop(settings, [delivery()])
    assert asked_days(tick(settings, "drop_sensor", instance, decision.cursor)) == [("2026-06-25", "2026-06-25")]


def test_days_past_the_retention_of_the_setting_are_not_asked_for(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    oldest = (datetime.now(UTC) - timedelta(days=30)).date()
    days = [oldest - timedelta(days=1), oldest]
    lines = {day.isoformat(): [delivery()] for day in days}
    settings = new_home(tmp_path, lines).but(retention_days=30)

    assert asked_days(tick(settings, "drop_sensor", instance)) == [(oldest.isoformat(), oldest.isoformat())]
    kept = tick(settings.but(retention_days=31), "drop_sensor", instance)
    assert asked_days(kept) == [(days[0].isoformat(), oldest.isoformat())]


def ended(instance: dg.DagsterInstance, decision: Any, status: dg.DagsterRunStatus, name: str = "drop_sensor") -> None:
    """The runs that a tick asked for, ended as they are said to be."""
    for request in decision.run_requests:
        tags = {**request.tags, "dagster/sensor_name": name}
        instance.add_run(dg.DagsterRun(job_name="__ASSET_JOB", run_id=str(uuid.uuid4()), status=status, tags=tags))


def made(settings: Settings, instance: dg.DagsterInstance, decision: Any) -> None:
    """The assets that a tick asked for, materialised as a run does; ``test_made_by_others.py`` executes runs."""
    marks = day_marks(list_drops(settings.landing, pseudonyms_of(settings)))
    for request, (first, last) in zip(decision.run_requests, asked_days(decision), strict=True):
        for asset in [key("evidence"), *(one for one in request.asset_selection if one != key("evidence"))]:
            for day in days_between(date.fromisoformat(first), date.fromisoformat(last)):
                shown = {"landing_mark": marks[day]} if asset == key("evidence") else {}
                instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=str(day), metadata=shown))


def aged(cursor: str, minutes: float) -> str:
    """The cursor as it is so many minutes after its days were asked for."""
    document = json.loads(cursor)
    for found in document["asked"].values():
        found[3] = (datetime.fromisoformat(found[3]) - timedelta(minutes=minutes)).isoformat()
    return json.dumps(document)


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED, None])
def test_a_day_of_drops_is_asked_for_until_its_run_has_succeeded(
    status: dg.DagsterRunStatus | None, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings, keys = new_home(tmp_path, {"2026-06-24": [delivery()]}), list[str]()
    decision = tick(settings, "drop_sensor", instance)
    for minutes in (1, 2, 4, 8):
        keys.append(decision.run_requests[0].run_key)
        if status:
            ended(instance, decision, status)
        soon = tick(settings, "drop_sensor", instance, aged(decision.cursor, minutes - 0.5))
        assert not soon.run_requests, "it is not asked for at every tick"
        decision = tick(settings, "drop_sensor", instance, aged(soon.cursor, 0.5))
        assert asked_days(decision) == [("2026-06-24", "2026-06-24")]

    made(settings, instance, decision)
    last = tick(settings, "drop_sensor", instance, decision.cursor)

    assert len(set(keys)) == 4
    assert last.skip_message == "No new or changed landing file in 1 days."
    assert json.loads(last.cursor)["asked"] == {}


def attempted(cursor: str, attempts: int) -> str:
    """The cursor as it is after so many attempts with the same content."""
    document = json.loads(cursor)
    for found in document["asked"].values():
        found[2] = attempts
    return json.dumps(document)


@pytest.mark.parametrize(
    ("attempts", "minutes", "is_asked"), [(23, 59.5, False), (23, 60, True), (24, 1439.5, False), (24, 1440, True)]
)
def test_after_24_attempts_a_day_is_asked_for_once_a_day_and_named(
    attempts: int, minutes: float, is_asked: bool, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = new_home(tmp_path, {"2026-06-24": [delivery()]})
    first = tick(settings, "drop_sensor", instance)

    decision = tick(settings, "drop_sensor", instance, aged(attempted(first.cursor, attempts), minutes))

    assert bool(decision.run_requests) is is_asked
    if not is_asked:
        assert ("once a day" in decision.skip_message) is (attempts == 24)
        assert ("2026-06-24" in decision.skip_message) is (attempts == 24)


def test_other_content_of_a_day_that_failed_24_times_begins_again(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = new_home(tmp_path, {"2026-06-24": [delivery()]})
    first = tick(settings, "drop_sensor", instance)
    drop(settings, [delivery()], day="2026-06-24", name="more.jsonl")

    second = tick(settings, "drop_sensor", instance, attempted(first.cursor, 24))
    third = tick(settings, "drop_sensor", instance, aged(second.cursor, 1))

    assert asked_days(second) == asked_days(third) == [("2026-06-24", "2026-06-24")]
    assert [found[2] for found in json.loads(third.cursor)["asked"].values()] == [2]


def test_a_day_of_drops_whose_run_is_in_progress_waits_for_its_end(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = new_home(tmp_path, {"2026-06-24": [delivery()]})
    first = tick(settings, "drop_sensor", instance)
    ended(instance, first, dg.DagsterRunStatus.STARTED)
    drop(settings, [delivery()], day="2026-06-24", name="more.jsonl")

    assert not tick(settings, "drop_sensor", instance, aged(first.cursor, 600)).run_requests


def test_a_tick_asks_for_no_more_than_the_daemon_stores_before_others_tick(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    days = [date(2026, 6, 21) + timedelta(days=n) for n in range(60)]
    settings = new_home(tmp_path, {day.isoformat(): [delivery()] for day in days})
    asked, cursor = list[tuple[str, str]](), None
    for _ in range(60):
        decision = tick(settings, "drop_sensor", instance, cursor)
        cursor = decision.cursor
        if not decision.run_requests:
            break
        for request, (first, last) in zip(decision.run_requests, asked_days(decision), strict=True):
            count = (date.fromisoformat(last) - date.fromisoformat(first)).days + 1
            assert count * len(request.asset_selection) <= requests.MOST_PLANNED
        asked += asked_days(decision)

    assert (asked[0][0], asked[-1][1]) == (days[0].isoformat(), days[-1].isoformat())
    assert len(asked) > 1


def test_after_a_tick_that_took_long_to_be_stored_the_next_asks_for_fewer_days(tmp_path: Path) -> None:
    days = [date(2026, 6, 21) + timedelta(days=n) for n in range(30)]
    settings = new_home(tmp_path, {day.isoformat(): [delivery()] for day in days})
    state = InstigatorState(
        origin("drop_sensor"), InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData()
    )
    with dg.instance_for_test() as instance:
        instance.add_instigator_state(state)
        counts, cursor = list[int](), None
        for minutes, took in enumerate((50, 5, 20, 3600)):
            decision = tick(settings, "drop_sensor", instance, cursor)
            cursor = decision.cursor
            counts += [sum(first <= str(day) <= last for day in days) for first, last in asked_days(decision)]
            put_tick(
                instance,
                state,
                datetime.now(UTC) + timedelta(minutes=minutes),
                took=took,
                requests=decision.run_requests,
            )
        one_more = tick(settings, "drop_sensor", instance, cursor)

    most = requests.MOST_PLANNED // len(one_more.run_requests[0].asset_selection)
    assert counts == [most, most * 20 // 50, most, most]
    assert [sum(first <= str(day) <= last for day in days) for first, last in asked_days(one_more)] == [2]


def test_the_cursor_is_small_and_holds_no_name_of_a_file(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = new_home(tmp_path, {"2026-06-25/a-name-of-somebody.jsonl": [delivery()]})

    first = tick(settings, "drop_sensor", instance)
    made(settings, instance, first)
    cursor = tick(settings, "drop_sensor", instance, first.cursor).cursor
    assert list(json.loads(cursor)["days"]) == ["2026-06-25"]
    assert "somebody" not in first.cursor + cursor
    assert len(cursor) < 80


def test_the_drop_cursor_of_an_earlier_release_is_read(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = new_home(tmp_path, {"2026-06-24": [delivery()]})
    first = tick(settings, "drop_sensor", instance)
    made(settings, instance, first)
    marks = json.loads(tick(settings, "drop_sensor", instance, first.cursor).cursor)["days"]

    assert not tick(settings, "drop_sensor", instance, json.dumps(marks)).run_requests
    drop(settings, [delivery()], day="2026-06-24", name="more.jsonl")
    assert tick(settings, "drop_sensor", instance, json.dumps(marks)).run_requests


# --- The late-evidence sensor --------------------------------------------------------------------------------------


LATE_DAYS = [date(2026, 6, 21) + timedelta(days=n) for n in range(13)]


def with_reports(tmp_path: Path, days: list[date]) -> Settings:
    """A home with the saved reports of some days, whose evidence came in time."""
    lines = {day.isoformat(): [worker_run(datetime(day.year, day.month, day.day, 12, tzinfo=UTC))] for day in days}
    settings = new_home(tmp_path, lines)
    take_in(settings)
    save(settings, days)
    return settings


def save(settings: Settings, days: list[date]) -> None:
    list(save_every_report(warehouse_of(settings), state_of(settings), days, now=datetime.now(UTC)))


def come_late(settings: Settings, day: date, name: str = "late.jsonl") -> None:
    """Evidence of one in the afternoon of a day, in the folder of a later one, read by whoever reads it."""
    late = delivery(datetime(day.year, day.month, day.day, 13, tzinfo=UTC), failed=["slack"])
    drop(settings, [late], day="2026-07-04", name=name)
    take_in(settings)


def late_alerts(settings: Settings) -> list[tuple[Any, ...]]:
    return query_state(settings, "SELECT subject, state FROM alerts WHERE kind = 'late_evidence' ORDER BY 1")


def test_without_late_evidence_no_report_is_made_again(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    decision = tick(with_reports(tmp_path, LATE_DAYS[:1]), "late_evidence_sensor", instance)

    assert (decision.skip_message, decision.run_requests or []) == ("No report needs to be made again.", [])


def test_late_evidence_refreshes_exactly_the_days_whose_reports_it_changes(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    days = [date(2026, 6, 22) + timedelta(days=n) for n in range(5)]
    lines = {day.isoformat(): [worker_run(datetime(day.year, day.month, day.day, 12, tzinfo=UTC))] for day in days}
    settings = new_home(tmp_path, lines)
    assert run(settings, days, instance=instance).success
    first = tick(settings, "late_evidence_sensor", instance)
    assert not first.run_requests
    before = report_ids(settings)

    drop(
        settings,
        [delivery(datetime(2026, 6, 24, 13, tzinfo=UTC), failed=["slack"])],
        day="2026-06-26",
        name="late.jsonl",
    )
    assert run(settings, [days[4]], instance=instance).success
    late = tick(settings, "late_evidence_sensor", instance, first.cursor)

    assert asked_days(late) == [("2026-06-24", "2026-06-25")]
    (request,) = late.run_requests
    selected = {key.path[-1] for key in request.asset_selection}
    assert selected >= set(REPORTS)
    assert not selected & set(EVIDENCE)
    assert late_alerts(settings) == [("2026-06-24", "firing"), ("2026-06-25", "firing")]
    again = tick(settings, "late_evidence_sensor", instance, late.cursor)
    assert not again.run_requests
    assert again.skip_message == "2 days were asked for and are not made yet."
    assert late_alerts(settings) == [("2026-06-24", "firing"), ("2026-06-25", "firing")]

    assert run(settings, days[2:4], assets=REPORTS, instance=instance).success
    changed = {row[2] for row in set(report_ids(settings)) - set(before)}
    assert changed == set(days[2:])
    assert not tick(settings, "late_evidence_sensor", instance, again.cursor).run_requests
    assert late_alerts(settings) == [("2026-06-24", "resolved"), ("2026-06-25", "resolved")]


def test_a_day_whose_run_is_in_progress_is_asked_for_only_if_that_run_leaves_it(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = with_reports(tmp_path, LATE_DAYS[:3])
    come_late(settings, LATE_DAYS[0])
    going_on = instance.add_run(
        dg.DagsterRun(
            job_name="__ASSET_JOB",
            run_id=str(uuid.uuid4()),
            status=dg.DagsterRunStatus.STARTED,
            tags={"dagster/partition": LATE_DAYS[1].isoformat()},
        )
    )

    first = tick(settings, "late_evidence_sensor", instance)
    assert asked_days(first) == [(day.isoformat(), day.isoformat()) for day in (LATE_DAYS[0], LATE_DAYS[2])]
    instance.delete_run(going_on.run_id)
    second = tick(settings, "late_evidence_sensor", instance, first.cursor)

    assert asked_days(second) == [(LATE_DAYS[1].isoformat(), LATE_DAYS[1].isoformat())]


def test_a_refresh_that_failed_twice_is_made_by_the_third(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings, keys = with_reports(tmp_path, LATE_DAYS[:2]), set[str]()
    come_late(settings, LATE_DAYS[1])
    decision = tick(settings, "late_evidence_sensor", instance)
    for minutes in (2, 5):
        keys.add(decision.run_requests[0].run_key)
        ended(instance, decision, dg.DagsterRunStatus.FAILURE, "late_evidence_sensor")
        soon = tick(settings, "late_evidence_sensor", instance, decision.cursor)
        assert (soon.run_requests or [], late_alerts(settings)) == ([], [(LATE_DAYS[1].isoformat(), "firing")])
        decision = tick(settings, "late_evidence_sensor", instance, aged(soon.cursor, minutes))

    assert asked_days(decision) == [(LATE_DAYS[1].isoformat(), LATE_DAYS[1].isoformat())]
    assert len({*keys, decision.run_requests[0].run_key}) == 3
    assert run(settings, LATE_DAYS[1:2], assets=REPORTS, instance=instance).success
    last = tick(settings, "late_evidence_sensor", instance, decision.cursor)
    assert last.skip_message == "No report needs to be made again."
    assert late_alerts(settings) == [(LATE_DAYS[1].isoformat(), "resolved")]


def test_evidence_that_follows_asks_for_its_days_at_once(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = with_reports(tmp_path, LATE_DAYS[:2])
    come_late(settings, LATE_DAYS[1])
    first = tick(settings, "late_evidence_sensor", instance)

    come_late(settings, LATE_DAYS[0], name="more.jsonl")
    second = tick(settings, "late_evidence_sensor", instance, first.cursor)

    assert asked_days(second) == [(LATE_DAYS[0].isoformat(), LATE_DAYS[1].isoformat())]
    assert second.run_requests[0].run_key != first.run_requests[0].run_key


def test_a_tick_asks_for_five_ranges_at_most_and_the_next_goes_on_until_every_day_was_asked_for_once(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    days = LATE_DAYS[::2]
    settings = with_reports(tmp_path, days)
    come_late(settings, days[0])

    first = tick(settings, "late_evidence_sensor", instance)
    second = tick(settings, "late_evidence_sensor", instance, first.cursor)
    third = tick(settings, "late_evidence_sensor", instance, second.cursor)

    assert len(asked_days(first)) == MOST_RANGES
    assert [day for day, _ in asked_days(first) + asked_days(second)] == [day.isoformat() for day in days]
    assert third.skip_message == "7 days were asked for and are not made yet."
    keys = [one.run_key for one in first.run_requests + second.run_requests]
    assert len(set(keys)) == 7


def test_a_cursor_of_the_first_builds_is_read(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    cursor = '{"seen":7,"left":{"2026-06-21":3},"untold":[],"told":["",null]}'
    settings = with_reports(tmp_path, LATE_DAYS[:1])
    come_late(settings, LATE_DAYS[0])

    decision = tick(settings, "late_evidence_sensor", instance, cursor)

    assert asked_days(decision) == [(LATE_DAYS[0].isoformat(), LATE_DAYS[0].isoformat())]
