"""The first and the last instant there are, in questions and in evidence: an answer or a refusal, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from cavra_pipeline.documents import shifted
from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import Settings
from tests.api.server import NoDagster, served
from tests.cli.command import command
from tests.executive.histories import escalated
from tests.recoveries.stores import closure, playbook
from tests.support import MICROSECOND, Record, acknowledgement, delivery, execution, ingested, plan, worker_run

pytestmark = pytest.mark.slow

FIRST: Final = datetime.min.replace(tzinfo=UTC)
LAST: Final = datetime.max.replace(tzinfo=UTC)
INSTANTS: Final = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00.000001Z",
    "9999-12-31T23:59:59.999998Z",
    "9999-12-31T23:59:59.999999Z",
]
LANE: Final = ["--lane", "recovery_escalation"]
REPORTS: Final = [
    *(["status"], ["dashboard"], ["closure"], ["recoveries"], ["incidents"], ["executive-report"]),
    *(["retry-plan", *LANE], ["retry-health", *LANE], ["explain", *LANE, "subject-1", "slack"]),
]


def _records() -> Iterator[Record]:
    for moment in (FIRST, FIRST + MICROSECOND, LAST - MICROSECOND, LAST):
        for lane in LANES:
            yield delivery(moment, lane=lane, failed=["slack"], status_codes=[503])
            yield from (worker_run(moment, lane=lane), plan(moment, lane=lane), execution(moment, lane=lane))
        yield acknowledgement(moment)
        yield from (playbook(moment, "slack"), closure(moment, "deferred"), escalated(moment, ("playbook-1", "slack")))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with evidence of every kind at both ends."""
    return ingested(tmp_path_factory.mktemp("ends"), _records())


@pytest.mark.parametrize("instant", INSTANTS)
def test_every_report_is_answered_at_both_ends(settings: Settings, instant: str) -> None:
    for asked in REPORTS:
        said = command(settings.home, *asked, "--as-of", instant)

        assert (said.code, said.err) == (0, ""), asked
        assert said.out, asked


@pytest.mark.parametrize("instant", INSTANTS)
@pytest.mark.parametrize(
    "asked", [[*LANE, "--report", "plan"], [*LANE, "--report", "health"], ["--report", "executive"]]
)
def test_every_report_is_proven_at_both_ends(
    settings: Settings, asked: list[str], instant: str, tmp_path: Path
) -> None:
    bundle = str(tmp_path / "bundle.zip")

    assert command(settings.home, "prove", *asked, "--as-of", instant, "-o", bundle).code == 0
    assert command(settings.home, "verify", bundle).code == 0


def test_a_retry_that_would_be_due_past_the_last_instant_waits_and_is_proven(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(LAST, failed=["slack"], status_codes=[503])]).home
    asked = [*LANE, "--as-of", INSTANTS[-1]]

    (decision,) = command(home, "retry-plan", *asked, "--json").document["retry_decisions"]

    assert (decision["action"], decision["next_retry_at"]) == ("wait", None)
    assert command(home, "prove", *asked, "--report", "plan", "-o", str(tmp_path / "plan.zip")).code == 0


def test_no_endpoint_fails_at_either_end(settings: Settings) -> None:
    with served(settings, dagster=NoDagster()) as one, one.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
        asked = [
            (path.format_map(_Places()), {name: instant})
            for path, operations in paths.items()
            for name in ("as_of", "since", "until")
            for instant in (INSTANTS[0], INSTANTS[-1])
            if name in [of["name"] for of in operations.get("get", {}).get("parameters", ())]
        ]
        answers = {(path, *given.items()): client.get(path, params=given).status_code for path, given in asked}

    assert len(answers) > 40
    assert {one: status for one, status in answers.items() if status not in (200, 404, 422)} == {}


class _Places(dict[str, str]):
    """What stands for the places of a path."""

    def __missing__(self, name: str) -> str:
        return "recovery_escalation" if name == "lane" else "slack"


@pytest.mark.parametrize("range_", [["--from", "0001-01-01"], ["--from", INSTANTS[0]], ["--to", "0001-01-01"]])
def test_scheduled_runs_are_listed_from_the_first_instant_on(settings: Settings, range_: list[str]) -> None:
    said = command(settings.home, "scheduled-runs", *range_, "--json")

    assert (said.code, said.document["from"][:10]) == (0, "0001-01-01")


SILENCE: Final = ["alerts", "silence", "--subject", "x", "--comment", "work", "--by", "ops"]


@pytest.mark.parametrize("end", [["--until", "9999-12-31"], ["--for", "1d"], ["--for", "99999d"]])
def test_a_silence_may_begin_and_end_on_the_last_day(settings: Settings, end: list[str]) -> None:
    said = command(settings.home, *SILENCE, "--from", "9999-12-31", *end, "--json")

    assert (said.code, said.document["ends_at"]) == (0, LAST.isoformat())
    assert command(settings.home, "alerts", "unsilence", said.document["silence_id"]).code == 0


@pytest.mark.parametrize(
    "range_",
    [
        ["--from", "9990-01-01", "--for", "99999d"],
        ["--from", "9990-01-01", "--for", "367d"],
        ["--from", "9998-01-01", "--until", "9999-12-31"],
        ["--from", "0001-01-01", "--until", "0001-01-01"],
        ["--for", "367d"],
    ],
)
def test_a_silence_that_is_over_or_longer_than_a_year_is_refused(settings: Settings, range_: list[str]) -> None:
    said = command(settings.home, *SILENCE, *range_)

    assert (said.code, said.out) == (2, "")
    assert "silence: it ends too early or lasts too long" in said.err
    assert "at most 366 days later" in said.err
    assert command(settings.home, "alerts", "list", "--json").document["silences"] == []


@pytest.mark.parametrize(
    ("moment", "span", "expected"),
    [
        (FIRST, -MICROSECOND, FIRST),
        (FIRST + MICROSECOND, -MICROSECOND, FIRST),
        (LAST, MICROSECOND, LAST),
        (LAST - MICROSECOND, MICROSECOND, LAST),
        (LAST.replace(tzinfo=None), timedelta.max, LAST.replace(tzinfo=None)),
    ],
)
def test_an_instant_is_shifted_to_the_end_of_the_calendar_and_no_further(
    moment: datetime, span: timedelta, expected: Any
) -> None:
    assert shifted(moment, span) == expected
