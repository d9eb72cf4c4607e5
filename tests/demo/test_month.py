"""The recorded month: at its own dates it says what is known of it; moved in time it is the same month."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.demo.month import LATE_FILE, MONTH_FILE, RECORDED_UNTIL, RecordedMonth
from cavra_pipeline.demo.run import claim_home
from cavra_pipeline.errors import UsageError
from cavra_pipeline.evidence.importer import ImportResult, import_evidence
from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import Settings
from tests.support import ask_health, ask_plan, delivery, drop, files_holding, home_with, query, query_state, take_in

pytestmark = pytest.mark.slow

MONTH = RecordedMonth(RECORDED_UNTIL)
STORIES = MONTH.stories()
MONTH_HOURS = 24 * 31
#: Anything that begins like an instant, so that one in another notation than expected is found too.
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.+Z]*")
#: An instant in a sentence, as tables write it.
SAID_INSTANT = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d\b")
TOKEN = re.compile(rb"gh[pousr]_[A-Za-z0-9]{20,}")


def bring(settings: Settings, name: str) -> ImportResult:
    source = MONTH.write(settings.home.parent, name)
    imported = import_evidence(settings, [(name, source)], now=RECORDED_UNTIL)
    source.unlink()
    assert take_in(settings, RECORDED_UNTIL).failures == imported.failures == []
    return imported


def outages(settings: Settings, lane: str) -> list[tuple[str, int]]:
    said = ask_health(settings, lane, RECORDED_UNTIL, window_hours=MONTH_HOURS)
    return [(one["started_at"][:10], one["missed_runs"]) for one in said["outages"]]


@pytest.fixture(scope="module")
def early(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The home, how its import went, and its outages before the late day."""
    home = home_with(tmp_path_factory.mktemp("month"))
    imported = bring(home, MONTH_FILE)
    return {"home": home, "imported": imported, "outages": {lane: outages(home, lane) for lane in LANES}}


@pytest.fixture(scope="module")
def settings(early: dict[str, Any]) -> Settings:
    """The home with the late day."""
    late = bring(early["home"], LATE_FILE)
    assert (late.received_count, late.imported_count, late.quarantined_count) == (223, 222, 1)
    home: Settings = early["home"]
    return home


# At its own dates.


def test_all_but_a_pasted_token_and_half_a_line_are_evidence(early: dict[str, Any], settings: Settings) -> None:
    imported = early["imported"]
    assert (imported.received_count, imported.imported_count, imported.quarantined_count) == (7213, 7212, 1)
    assert query(settings, "SELECT source_file, reason, field FROM quarantine ORDER BY 1 DESC") == [
        (MONTH_FILE, "secret_in_field", "acknowledgement_id"),
        (LATE_FILE, "not_json", None),
    ]
    ((versions, records),) = query(settings, "SELECT count(*), count(DISTINCT session_id) FROM evidence_records")
    assert (versions, records) == (7434, 7433)


def test_the_findings_are_a_token_a_teams_address_and_a_signer(settings: Settings) -> None:
    found = query(settings, "SELECT rule, line_number FROM findings ORDER BY rule")
    assert [rule for rule, _ in found] == ["github-token", "teams-webhook", "unsafe-actor-label"]
    paths = query(settings, "SELECT path FROM findings WHERE action <> 'quarantined' AND rule <> 'github-token'")
    assert sorted(path for (path,) in paths) == ["delivery.deliveries[].request.url", "signer"]
    signers = query(settings, "SELECT DISTINCT signer FROM evidence WHERE signer LIKE 'actor-%'")
    assert len(signers) == 1
    assert query(settings, "SELECT count(*) FROM evidence WHERE contains(signer, '@')") == [(0,)]


def test_no_byte_of_a_secret_is_left_in_the_home(settings: Settings) -> None:
    recorded = "".join(MONTH.lines(MONTH_FILE)).encode()
    secrets = set(TOKEN.findall(recorded)) | set(re.findall(rb"[a-z]+\.webhook\.office\.com/[^\"]+", recorded))
    assert len(secrets) == 2
    for secret in secrets:
        assert files_holding(settings.home, secret) == []


def test_records_without_a_kind_are_kept_and_every_other_kind_is_cavra_s(settings: Settings) -> None:
    kinds = dict(query(settings, "SELECT metadata_kind, count(*) FROM evidence WHERE record_type IS NULL GROUP BY 1"))
    (sessions,) = [story.ids["records"] for story in STORIES if story.name == "agent_sessions"]
    assert kinds.pop(None) == sessions
    assert KINDS.keys().isdisjoint(kinds)
    assert sum(kinds.values()) == 10


def test_the_newer_version_of_a_plan_is_current(settings: Settings) -> None:
    ids = MONTH.story("newer_version").ids
    versions = "SELECT is_current, alert_level, slo_breached_count FROM evidence_records WHERE session_id = '{}'"
    assert sorted(query(settings, versions.format(ids["session_id"]))) == [
        (False, ids["old"]["alert_level"], ids["old"]["slo_breached_count"]),
        (True, ids["new"]["alert_level"], ids["new"]["slo_breached_count"]),
    ]


@pytest.mark.parametrize(("lane", "counts"), [("recovery_escalation", (4, 1, 1)), ("executive_report", (2, 1, 1))])
def test_the_expired_credential_leaves_retries_due_waiting_and_exhausted(
    settings: Settings, lane: str, counts: tuple[int, int, int]
) -> None:
    plan = ask_plan(settings, lane, RECORDED_UNTIL)
    assert (plan["retryable_count"], plan["waiting_count"], plan["suppressed_count"]) == counts

    subject = LANES[lane].subject_field
    (story,) = [one for one in STORIES if one.name == "servicenow_401" and one.lanes == (lane,)]
    expected = {ids[subject]: what for what, ids in story.ids.items()}
    at_servicenow = {one[subject]: one["action"] for one in plan["retry_decisions"] if one["provider"] == "servicenow"}
    assert at_servicenow == {
        one: {"exhausted": "suppress", "waiting": "wait"}.get(what, "retry") for one, what in expected.items()
    }
    assert all(one["failed_status_codes"] == [401] for one in plan["retry_decisions"] if one[subject] in expected)


def test_four_escalations_lack_an_acknowledgement_one_of_them_deferred(settings: Settings) -> None:
    report = ask_health(settings, "recovery_escalation", RECORDED_UNTIL)
    assert report["acknowledgement_pending_count"] == 4
    gaps = {gap["plan_id"]: (gap["provider"], gap["acknowledgement_state"]) for gap in report["acknowledgement_gaps"]}
    assert gaps[MONTH.story("nobody_acknowledged").ids["plan_id"]] == ("webhook", None)
    assert gaps[MONTH.story("deferred").ids["plan_id"]] == ("slack", "deferred")
    assert Counter(state for _, state in gaps.values()) == {None: 3, "deferred": 1}


@pytest.mark.parametrize(("lane", "missed"), [("recovery_escalation", 6), ("executive_report", 4)])
def test_only_the_worker_outage_is_left_once_the_late_day_is_in(
    early: dict[str, Any], settings: Settings, lane: str, missed: int
) -> None:
    cadence = LANES[lane].expected_interval_minutes
    ((first_day, first), (late_day, absent)) = early["outages"][lane]
    assert (first_day, first, late_day) == ("2026-11-06", missed, "2026-11-16")
    assert 24 * 60 // cadence - 1 <= absent <= 24 * 60 // cadence
    assert outages(settings, lane) == [("2026-11-06", missed)]


@pytest.mark.parametrize(("lane", "unanswered"), [("recovery_health_alert", 3), ("executive_health_alert", 2)])
def test_the_alert_lanes_miss_nothing_and_say_why_a_retry_was_skipped(
    settings: Settings, lane: str, unanswered: int
) -> None:
    report = ask_health(settings, lane, RECORDED_UNTIL, window_hours=MONTH_HOURS)
    assert (report["outages"], report["missed_worker_count"], report["stale_retry_plan_count"]) == ([], 0, 0)
    assert (report["skipped_execution_count"], report["unresolved_failed_execution_count"]) == (1, 1)
    assert [reason.endswith("_health_not_found") for reason in report["skipped_reasons"]] == [True]
    assert report["outstanding_alert_acknowledgement_count"] == unanswered


def test_teams_is_settled_after_its_day_and_the_schedule_was_off_for_half_a_day(settings: Settings) -> None:
    for lane in ("recovery_escalation", "executive_report"):
        decisions = ask_plan(settings, lane, RECORDED_UNTIL)["retry_decisions"]
        assert "teams" not in {one["provider"] for one in decisions}
    report = ask_health(settings, "recovery_escalation", RECORDED_UNTIL)
    assert report["disabled_schedule_count"] == MONTH.story("schedule_disabled").ids["runs"]


def test_every_id_that_a_story_names_is_a_record_of_the_home(settings: Settings) -> None:
    stored = {one for (one,) in query(settings, "SELECT session_id FROM evidence")}
    named = re.findall(r'"((?:rcd-)?gordack[a-z]+-[0-9a-f-]+)"', json.dumps([story.ids for story in STORIES]))
    assert len(named) > 50
    assert [one for one in named if one not in stored and not one.startswith("gordackrecoveryeschealth")
            and not one.startswith("gordackexecdeliveryhealth")] == []  # fmt: skip


# Moved in time.


@pytest.mark.parametrize(
    "until", [RECORDED_UNTIL, datetime(2028, 3, 1, 0, 0, tzinfo=UTC), datetime(2026, 1, 1, 23, 59, tzinfo=UTC)]
)
@pytest.mark.parametrize("name", [MONTH_FILE, LATE_FILE])
def test_every_instant_moves_by_the_same_minutes_and_nothing_else_changes(name: str, until: datetime) -> None:
    month, moved = RecordedMonth.ending(until), 0
    for before, after in zip(MONTH.lines(name), month.lines(name), strict=True):
        assert INSTANT.sub("", before) == INSTANT.sub("", after)
        for one, other in zip(INSTANT.findall(before), INSTANT.findall(after), strict=True):
            assert datetime.fromisoformat(other) - datetime.fromisoformat(one) == month.shift
            moved += 1
    assert moved > 500


def test_a_moved_month_ends_at_its_instant_and_no_record_is_newer() -> None:
    month = RecordedMonth.ending(datetime(2027, 2, 3, 4, 5, 59, 999_999, tzinfo=UTC))
    newest = max(datetime.fromisoformat(json.loads(line)["created_at"]) for line in month.lines(MONTH_FILE))
    assert month.until == datetime(2027, 2, 3, 4, 5, tzinfo=UTC)
    assert timedelta(0) <= month.until - newest < timedelta(minutes=30)


def test_the_end_may_be_given_in_any_zone_but_not_without_one() -> None:
    there = timezone(timedelta(hours=5, minutes=30))
    assert RecordedMonth.ending(RECORDED_UNTIL.astimezone(there)) == MONTH
    with pytest.raises(UsageError, match="until"):
        RecordedMonth.ending(RECORDED_UNTIL.replace(tzinfo=None))


def test_the_stories_move_with_the_month_in_their_sentences_too() -> None:
    month = RecordedMonth.ending(RECORDED_UNTIL + timedelta(days=1, minutes=7))
    assert [story.name for story in month.stories()] == [story.name for story in STORIES]
    for before, after in zip(STORIES, month.stories(), strict=True):
        assert after.began_at - before.began_at == month.shift
        assert (after.ended_at is None) == (before.ended_at is None)
        assert SAID_INSTANT.sub("", after.sentence) == SAID_INSTANT.sub("", before.sentence)
        assert after.sentence != before.sentence or not SAID_INSTANT.search(before.sentence)
    assert sum(bool(SAID_INSTANT.search(story.sentence)) for story in STORIES) > 2


def test_there_are_27_stories_in_order_of_time_each_of_lanes_that_exist() -> None:
    assert len(STORIES) == 27
    starts = [story.began_at for story in STORIES]
    assert starts == sorted(starts)
    assert all(set(story.lanes) <= LANES.keys() for story in STORIES)
    assert all("\n" not in story.sentence for story in STORIES)


# The home.


def test_a_later_demo_replaces_an_earlier_one_but_no_evidence_of_the_home_s_own(tmp_path: Path) -> None:
    home = home_with(tmp_path, [delivery(session_id="first", evidence_token="ghp_" + "a1B2" * 9)])
    take_in(home)
    with pytest.raises(UsageError, match="holds evidence of its own"):
        claim_home(home, MONTH)
    assert query(home, "SELECT session_id FROM evidence") == [("first",)]
    assert query_state(home, "SELECT count(*) FROM leaks WHERE handled_at IS NULL") == [(1,)]

    (home.home / "demo.json").write_text("{}")
    claim_home(home, MONTH)
    assert query_state(home, "SELECT count(*) FROM leaks WHERE handled_at IS NULL") == [(0,)]
    drop(home, [delivery(session_id="second")])
    assert take_in(home).failures == []
    assert query(home, "SELECT session_id FROM evidence") == [("second",)]
