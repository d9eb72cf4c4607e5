"""Provider incidents by their rules (contract section 14): each boundary on both sides, and the recorded month."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.evidence.importer import import_evidence
from cavra_pipeline.lanes import LANES
from cavra_pipeline.recoveries.causes import cause_of
from cavra_pipeline.reports.cause_words import CAUSE_WORDS
from cavra_pipeline.reports.failure_runs import least_subjects
from cavra_pipeline.settings import Settings
from tests.cli.command import command
from tests.incidents.histories import ask_incidents, sent
from tests.recoveries.stores import STORES, needs_stores
from tests.support import AS_OF, MICROSECOND, NOW, Record, at, delivery, execution, home_with, ingested, take_in

pytestmark = pytest.mark.slow

MONTH_END = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)
LANE, OTHER = "recovery_escalation", "executive_report"


def failures(*minutes_before: float, lane: str = LANE, status: int = 401, provider: str = "slack") -> list[Record]:
    """A failure of another subject at each of so many minutes before AS_OF."""
    return [sent(provider, at(one), lane, f"{lane}-{one}", status) for one in minutes_before]


def success(minutes_before: float, *, lane: str = LANE, provider: str = "slack") -> Record:
    return sent(provider, at(minutes_before), lane, f"{lane}-arrived-{minutes_before}", None)


def found(tmp_path: Path, records: list[Record], as_of: datetime = AS_OF, **filters: Any) -> list[dict[str, Any]]:
    incidents: list[dict[str, Any]] = ask_incidents(ingested(tmp_path, records), [as_of], **filters)[0]["incidents"]
    return incidents


@pytest.mark.parametrize(
    ("failed", "outcomes", "least"),
    [
        (0, 0, 3), (1, 100, 3), (101, 10_000, 5), (5, 100, 5), (51, 1000, 6), (10, 100, 6), (101, 1000, 9),
        (20, 100, 9), (201, 1000, 12), (30, 100, 12), (301, 1000, 20), (100, 100, 20),
    ],
)  # fmt: skip
def test_the_share_of_failures_before_decides_how_many_subjects(failed: int, outcomes: int, least: int) -> None:
    assert least_subjects(failed, outcomes) == least


@pytest.mark.parametrize(
    ("codes", "cause"),
    [
        ({401}, "credentials"), ({401, 403}, "credentials"), ({404, 410}, "gone"), ({429}, "throttled"),
        ({500, 599}, "server_error"), ({None}, "no_answer"), ({0, None}, "no_answer"), ({200, 299}, "refused"),
        ({400, 422}, "rejected"), ({401, 404}, "mixed"), ({400, 401}, "mixed"), ({503, None}, "mixed"),
        ({302}, "mixed"),
    ],
)  # fmt: skip
def test_a_cause_is_what_every_status_says(codes: set[int | None], cause: str) -> None:
    assert cause_of(codes) == cause


def test_two_subjects_are_no_incident_and_the_third_makes_one(tmp_path: Path) -> None:
    records = [success(60), *failures(30, 20, 10)]

    assert found(tmp_path, records, at(10) - MICROSECOND) == []
    (incident,) = found(tmp_path, records, at(10))

    assert incident["provider"] == "slack"
    assert incident["lane"] is None
    assert incident["lanes"] == [LANE]
    assert incident["began_at"] == at(30).isoformat()
    assert incident["last_success_at"] == at(60).isoformat()
    assert incident["ended_at"] is None
    assert (incident["failure_count"], incident["subject_count"]) == (3, 3)
    assert (incident["status_codes"], incident["cause"]) == ([401], "credentials")
    assert [pair["subject"] for pair in incident["pairs"]] == [f"{LANE}-10", f"{LANE}-20", f"{LANE}-30"]


def test_retries_of_one_subject_are_no_incident(tmp_path: Path) -> None:
    assert found(tmp_path, [sent("slack", at(n), LANE, "same", 401) for n in range(10)]) == []


def test_the_first_success_ends_an_incident_and_leaves_its_pairs_open(tmp_path: Path) -> None:
    records = [*failures(40, 30, 20), success(10)]

    (before,) = found(tmp_path, records, at(10) - MICROSECOND)
    (after,) = found(tmp_path, records, at(10))

    assert (before["ended_at"], after["ended_at"]) == (None, at(10).isoformat())
    assert before["incident_id"] == after["incident_id"]
    assert len(after["pairs"]) == 3
    assert found(tmp_path, records, at(10), is_open=True) == []
    assert found(tmp_path, records, at(10), provider="teams") == []
    assert found(tmp_path, records, at(10), provider=" SLACK ") == [after]


def test_a_pair_that_is_delivered_leaves_the_incident(tmp_path: Path) -> None:
    records = [*failures(40, 30, 20), sent("slack", at(10), LANE, f"{LANE}-30", None)]

    (incident,) = found(tmp_path, records)

    assert [pair["subject"] for pair in incident["pairs"]] == [f"{LANE}-20", f"{LANE}-40"]


def test_a_retry_with_a_subject_of_its_own_counts_as_the_subject_it_retries(tmp_path: Path) -> None:
    lane = "acknowledgement_audit"

    def retried(minutes_before: float, subject: str, status: int | None) -> list[Record]:
        """A retry of a subject under a new one, named by its execution a minute later."""
        retry = sent("slack", at(minutes_before), lane, f"{subject}+", status)
        link: Record = {"retry_execution_record": {"delivery_metadata_id": retry["session_id"]}}
        return [retry, execution(at(minutes_before - 1), lane=lane, subject=subject, **link)]

    failed = [sent("slack", at(60 - n), lane, subject, 401) for n, subject in enumerate("abc")]
    again = [*retried(50, "a", 401), *retried(40, "a+", 401)]
    records = [*failed, *again, *retried(30, "a++", None)]

    home = ingested(tmp_path / "three", records)
    unlinked, linked, settled = (one["incidents"][0] for one in ask_incidents(home, [at(50), at(39), AS_OF]))
    (still,) = ask_incidents(home, [at(39)], is_open=True)

    assert (unlinked["failure_count"], unlinked["subject_count"]) == (4, 4)
    assert (linked["failure_count"], linked["subject_count"]) == (5, 3)
    assert [pair["subject"] for pair in linked["pairs"]] == ["a", "b", "c"]
    assert still["incidents"] == [linked]
    assert [pair["subject"] for pair in settled["pairs"]] == ["b", "c"]
    assert found(tmp_path / "two", [*failed[:2], *again], at(39)) == []


def test_a_success_between_failures_breaks_their_run(tmp_path: Path) -> None:
    assert found(tmp_path, [*failures(40, 30, 10), success(20)]) == []


def test_other_lanes_that_arrive_make_it_an_incident_of_the_lane(tmp_path: Path) -> None:
    records = [*failures(40, 30, 20), success(35, lane=OTHER), success(25, lane=OTHER)]

    (incident,) = found(tmp_path, records)

    assert (incident["lane"], incident["lanes"]) == (LANE, [LANE])


def test_a_run_of_a_lane_inside_its_providers_incident_is_not_told_twice(tmp_path: Path) -> None:
    inside = [success(50, lane=OTHER), *failures(40, 30, 20), *failures(35, lane=OTHER)]

    assert [one["lane"] for one in found(tmp_path, inside)] == [None]
    # Begun before the last success elsewhere, it is not inside.
    quiet = [success(100 + n, lane=OTHER) for n in range(100)]
    beyond = [*quiet, *failures(60), *inside]
    assert [one["lane"] for one in found(tmp_path, beyond)] == [LANE, None]


def test_what_was_before_thirty_days_does_not_count(tmp_path: Path) -> None:
    # A failure and a success: a share of one half, after which three subjects are too few.
    edge = at(30) - timedelta(days=30)
    shared = [success(31), *failures(30, 20, 10)]
    counted = sent("slack", edge, LANE, "old", 401)
    beyond = sent("slack", edge - MICROSECOND, LANE, "old", 401)

    assert found(tmp_path, [*shared, counted]) == []
    assert len(found(tmp_path, [*shared, beyond])) == 1


def test_deliveries_of_no_lane_neither_count_nor_end_an_incident(tmp_path: Path) -> None:
    unknown = delivery(at(15), connector_delivery_source="another_source", providers=["slack"])

    (incident,) = found(tmp_path, [*failures(30, 20, 10), unknown])

    assert incident["failure_count"] == 3


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The recorded month with its late day."""
    home = home_with(tmp_path_factory.mktemp("month"))
    for name in ("month.jsonl.gz", "month-late-day.jsonl.gz"):
        import_evidence(home, [(name, STORES / name)], now=NOW)
    take_in(home, MONTH_END)
    return home


@needs_stores
def test_the_recorded_month_has_exactly_four_incidents(month: Settings) -> None:
    said = command(month.home, "incidents", "--as-of", MONTH_END.isoformat(), "--json").document

    assert (said["incident_count"], said["open_incident_count"]) == (4, 1)
    assert [
        (
            one["provider"],
            one["cause"],
            one["began_at"][5:16],
            one["ended_at"] and one["ended_at"][5:16],
            one["failure_count"],
            one["subject_count"],
            len(one["lanes"]),
        )
        for one in said["incidents"]
    ] == [
        ("webhook", "server_error", "11-09T08:05", "11-09T12:12", 3, 3, 2),
        ("teams", "server_error", "11-12T02:00", "11-13T02:00", 9, 7, 3),
        ("datadog", "throttled", "11-18T08:00", "11-19T08:00", 5, 4, 2),
        ("servicenow", "credentials", "11-26T08:00", None, 21, 14, 5),
    ]
    assert {one["lane"] for one in said["incidents"]} == {None}
    assert set(said["incidents"][3]["lanes"]) < set(LANES)


@needs_stores
def test_the_command_shows_the_open_incident_to_a_person(month: Settings) -> None:
    said = command(month.home, "incidents", "--as-of", MONTH_END.isoformat(), "--open")

    assert said.code == 0
    assert "servicenow" in said.out
    assert "rejects our" in said.out
    assert "teams" not in said.out


def test_each_cause_that_statuses_can_have_has_words_and_no_other_has() -> None:
    assert {cause_of({code}) for code in (None, *range(600))} == CAUSE_WORDS.keys()
    assert all(words.what and "{name}" in words.step and words.step[-1] != "." for words in CAUSE_WORDS.values())
