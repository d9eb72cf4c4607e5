"""The decision on one slot: both sides of each boundary, every cause, and properties over made-up evidence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavra_pipeline.settings import Tolerance
from cavra_pipeline.slots.verdicts import (
    Cause,
    Evidence,
    Interval,
    ScheduledRun,
    Slot,
    Tick,
    Verdict,
    VerdictKind,
    decide,
    revised,
    share_out,
)
from tests.support import MICROSECOND

AT = datetime(2026, 6, 25, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
GAP = 30 * MINUTE
SLOT = Slot("worker", AT, AT - GAP, AT + GAP)
CLOSED = AT + 20 * MINUTE
WATCHED = AT - 600 * MINUTE


def judged(now: datetime = CLOSED, slot: Slot = SLOT, **evidence: object) -> Verdict | None:
    return decide(slot, Evidence(**{"watched_from": WATCHED, **evidence}), now=now)  # type: ignore[arg-type]


def kind_of(**evidence: object) -> VerdictKind:
    verdict = judged(**evidence)  # type: ignore[arg-type]
    assert verdict is not None
    return verdict.kind


def cause_of(**evidence: object) -> Cause | None:
    verdict = judged(**evidence)  # type: ignore[arg-type]
    assert verdict is not None
    assert verdict.kind is VerdictKind.MISSED
    return verdict.cause


@pytest.mark.parametrize(
    ("gap", "grace"),
    [(GAP, 6 * MINUTE), (25 * MINUTE, 5 * MINUTE), (MINUTE, 5 * MINUTE), (timedelta(days=1), 288 * MINUTE)],
)
def test_grace_is_five_minutes_or_a_fifth_of_the_gap(gap: timedelta, grace: timedelta) -> None:
    slot = Slot("worker", AT, AT - gap, AT + gap)

    on_time = judged(now=AT + grace, slot=slot, work=[AT + grace])
    late = judged(now=AT + grace + MICROSECOND, slot=slot, work=[AT + grace + MICROSECOND])

    assert (on_time and on_time.kind, late and late.kind) == (VerdictKind.ON_TIME, VerdictKind.LATE)


def test_a_tenth_of_the_gap_early_is_on_time_and_more_is_early() -> None:
    assert kind_of(work=[AT - 3 * MINUTE]) is VerdictKind.ON_TIME
    assert kind_of(work=[AT - 3 * MINUTE - MICROSECOND]) is VerdictKind.EARLY


def test_the_tolerances_are_settings() -> None:
    slot = Slot(
        "worker", AT, AT - GAP, AT + GAP, tolerance=Tolerance(grace_minutes=1, grace_percent=0, early_percent=50)
    )

    assert (slot.opens_at, slot.closes_at) == (AT - 15 * MINUTE, AT + MINUTE)


def test_a_slot_has_no_verdict_before_it_is_due_nor_until_its_grace_is_over() -> None:
    assert judged(now=AT - MICROSECOND, work=[AT - MINUTE]) is None
    assert judged(now=SLOT.closes_at) is None
    assert judged(now=SLOT.closes_at + MICROSECOND) == Verdict(VerdictKind.MISSED, Cause.UNKNOWN_CAUSE)


def test_early_work_waits_for_the_slot_to_close_for_its_own_run_may_still_come() -> None:
    early = AT - 10 * MINUTE

    assert judged(now=AT + MINUTE, work=[early]) is None
    assert kind_of(work=[early]) is VerdictKind.EARLY
    assert kind_of(work=[early], runs=[ScheduledRun("r", AT, AT + MINUTE, AT + MINUTE)]) is VerdictKind.ON_TIME


def test_a_schedule_that_is_declared_off_is_not_expected_whatever_happened() -> None:
    off = Slot("worker", AT, AT - GAP, AT + GAP, is_declared_on=False)

    assert judged(slot=off) == Verdict(VerdictKind.NOT_EXPECTED)
    assert judged(now=AT, slot=off, work=[AT]) == Verdict(VerdictKind.NOT_EXPECTED)


def test_a_run_says_itself_why_its_work_is_not_done() -> None:
    assert cause_of(runs=[ScheduledRun("r")]) is Cause.QUEUED_TOO_LONG
    assert cause_of(runs=[ScheduledRun("r", AT, AT + MINUTE)]) is Cause.FAILED_BEFORE_WORK
    assert cause_of(runs=[ScheduledRun("r", AT, AT + MINUTE, None, True)]) is Cause.WAREHOUSE_BUSY
    assert judged(runs=[ScheduledRun("r", AT)]) == Verdict(VerdictKind.UNKNOWN, run_id="r")
    assert judged(runs=[ScheduledRun("r", AT, AT + MINUTE, AT + MINUTE)]) == Verdict(
        VerdictKind.ON_TIME, None, AT + MINUTE, "r"
    )


def test_a_second_run_counts_where_the_first_failed() -> None:
    failed = ScheduledRun("first", AT, AT + MINUTE)

    assert kind_of(runs=[failed, ScheduledRun("second", AT, AT + 4 * MINUTE, AT + 4 * MINUTE)]) is VerdictKind.ON_TIME
    assert cause_of(runs=[failed, ScheduledRun("second")]) is Cause.QUEUED_TOO_LONG


def test_a_tick_says_why_there_is_no_run() -> None:
    assert cause_of(ticks=[Tick("failure", AT)]) is Cause.FAILED_BEFORE_WORK
    assert cause_of(ticks=[Tick("failure", AT, True)]) is Cause.CODE_LOCATION_NOT_LOADABLE
    assert kind_of(ticks=[Tick("skipped", AT)]) is VerdictKind.ON_TIME
    assert cause_of(ticks=[Tick("waiting", AT)]) is Cause.QUEUED_TOO_LONG
    assert kind_of(ticks=[Tick("success", AT)]) is VerdictKind.UNKNOWN
    assert cause_of(ticks=[Tick("started", AT)]) is Cause.UNKNOWN_CAUSE


@pytest.mark.parametrize("cause", [Cause.SCHEDULE_STOPPED, Cause.DAEMON_DOWN, Cause.CODE_LOCATION_NOT_LOADABLE])
def test_a_slot_without_a_trace_is_explained_by_the_spell_it_fell_into(cause: Cause) -> None:
    before, after = AT - 60 * MINUTE, AT + 60 * MINUTE

    assert cause_of(intervals=[Interval(cause, before, after)]) is cause
    assert cause_of(intervals=[Interval(cause, before)]) is cause
    assert cause_of(intervals=[Interval(cause, AT + MINUTE, after)]) is cause, "seen well a minute before it was due"
    assert cause_of(intervals=[Interval(cause, AT + MINUTE + MICROSECOND, after)]) is Cause.UNKNOWN_CAUSE
    assert cause_of(intervals=[Interval(cause, before, AT + MICROSECOND)]) is cause
    assert cause_of(intervals=[Interval(cause, before, AT)]) is Cause.UNKNOWN_CAUSE
    assert cause_of(intervals=[Interval(cause, before, after, "another")]) is Cause.UNKNOWN_CAUSE


def test_a_schedule_that_was_off_explains_its_slot_before_a_daemon_that_was_down_too() -> None:
    both = [Interval(Cause.DAEMON_DOWN, AT - GAP), Interval(Cause.SCHEDULE_STOPPED, AT - GAP, None, "worker")]

    assert cause_of(intervals=both) is Cause.SCHEDULE_STOPPED


def test_without_anybody_watching_a_slot_without_a_trace_is_unknown() -> None:
    assert kind_of(watched_from=None) is VerdictKind.UNKNOWN
    assert kind_of(watched_from=AT + MICROSECOND) is VerdictKind.UNKNOWN
    assert kind_of(watched_from=AT) is VerdictKind.MISSED


# --- Judged again --------------------------------------------------------------------------------------------------


def test_what_was_missed_can_only_turn_out_late_and_what_was_done_stays_done() -> None:
    missed, done = Verdict(VerdictKind.MISSED, Cause.DAEMON_DOWN), Verdict(VerdictKind.ON_TIME, None, AT)

    assert revised(missed, Verdict(VerdictKind.LATE, None, CLOSED)) == Verdict(VerdictKind.LATE, None, CLOSED)
    assert revised(missed, done) == Verdict(VerdictKind.LATE, None, AT)
    assert revised(missed, Verdict(VerdictKind.MISSED, Cause.WAREHOUSE_BUSY)) == missed
    assert revised(missed, Verdict(VerdictKind.UNKNOWN)) == missed
    assert revised(done, missed) == done
    assert revised(Verdict(VerdictKind.UNKNOWN), missed) == missed
    assert revised(Verdict(VerdictKind.MISSED, Cause.UNKNOWN_CAUSE), missed) == missed


# --- Work without a run of its own ---------------------------------------------------------------------------------


def three(*, first: datetime = AT) -> list[Slot]:
    return [Slot("worker", first + n * GAP, first + (n - 1) * GAP, first + (n + 1) * GAP) for n in range(3)]


def test_work_serves_the_newest_slot_that_is_due_unless_that_was_served() -> None:
    slots, at = three(), AT + 20 * MINUTE
    failed = [(AT, ScheduledRun("r", AT, AT + MINUTE))]

    assert share_out(slots, [], [at]) == {AT: [at]}
    assert share_out(slots, failed, [at]) == {AT: [at]}
    assert share_out(slots, [], [AT + MINUTE, at]) == {AT: [AT + MINUTE]}


@pytest.mark.parametrize("minutes", [2, 20, 29])
def test_an_extra_run_never_counts_for_a_later_slot(minutes: int) -> None:
    served = [(AT, ScheduledRun("r", AT, AT + MINUTE, AT + MINUTE))]

    assert share_out(three(), served, [AT + minutes * MINUTE]) == {}
    assert share_out(three(), served, [AT + GAP]) == {AT + GAP: [AT + GAP]}


def test_a_little_early_counts_where_somebody_else_starts_the_work() -> None:
    slots, opens_at = three(), AT + GAP - 3 * MINUTE
    served = [(AT, ScheduledRun("r", AT, AT + MINUTE, AT + MINUTE))]

    assert share_out(slots, [], [AT, opens_at]) == {AT: [AT], AT + GAP: [opens_at]}
    assert share_out(slots, [], [AT, opens_at - MICROSECOND]) == {AT: [AT]}
    assert share_out(slots, served, [opens_at]) == {}
    assert share_out(slots, [], [opens_at], launches=True) == {AT: [opens_at]}, "there was a run some time ago"


def test_work_that_a_slots_run_did_is_not_given_to_another_slot() -> None:
    run = ScheduledRun("r", AT, AT + 2 * MINUTE, AT + MINUTE)

    assert share_out(three(), [(AT, run)], [AT, AT + MINUTE, AT + 2 * MINUTE]) == {}


def test_work_before_the_first_slot_is_nobodys() -> None:
    assert share_out(three(), [], [AT - 3 * MINUTE - MICROSECOND]) == {}
    assert share_out(three(), [], [AT - 3 * MINUTE]) == {AT: [AT - 3 * MINUTE]}


# --- Properties ----------------------------------------------------------------------------------------------------

INSTANTS = st.integers(-4 * 3600, 4 * 3600).map(lambda seconds: AT + timedelta(seconds=seconds))
MAYBE = st.none() | INSTANTS
EVIDENCE = st.builds(
    Evidence,
    ticks=st.lists(st.builds(Tick, st.sampled_from(["success", "skipped", "failure"]), INSTANTS), max_size=3),
    runs=st.lists(st.builds(ScheduledRun, st.just("r"), MAYBE, MAYBE, MAYBE, st.booleans()), max_size=3),
    work=st.lists(INSTANTS, max_size=3),
    intervals=st.lists(
        st.builds(Interval, st.sampled_from([Cause.SCHEDULE_STOPPED, Cause.DAEMON_DOWN]), INSTANTS, MAYBE), max_size=3
    ),
    watched_from=MAYBE,
)  # fmt: skip


@given(EVIDENCE, INSTANTS)
def test_a_verdict_has_a_cause_exactly_if_it_is_missed_and_a_time_only_if_it_was_done(
    evidence: Evidence, now: datetime
) -> None:
    verdict = decide(SLOT, evidence, now=now)

    if verdict is None:
        assert now <= SLOT.closes_at
        return
    assert (verdict.cause is not None) == (verdict.kind is VerdictKind.MISSED)
    assert (verdict.done_at is not None) == (verdict.kind in (VerdictKind.ON_TIME, VerdictKind.LATE, VerdictKind.EARLY))
    if verdict.done_at:
        limits = {
            VerdictKind.EARLY: verdict.done_at < SLOT.opens_at,
            VerdictKind.LATE: verdict.done_at > SLOT.closes_at,
        }
        assert limits.get(verdict.kind, SLOT.opens_at <= verdict.done_at <= SLOT.closes_at)


@given(EVIDENCE, INSTANTS, INSTANTS)
def test_a_verdict_once_given_is_not_taken_back_as_time_goes_on(
    evidence: Evidence, one: datetime, other: datetime
) -> None:
    earlier, later = sorted((one, other))
    before, after = decide(SLOT, evidence, now=earlier), decide(SLOT, evidence, now=later)

    assert before is None or after == before


@given(EVIDENCE, EVIDENCE, EVIDENCE)
def test_judging_again_any_number_of_times_ends_in_one_verdict_that_never_loses_work(
    first: Evidence, second: Evidence, third: Evidence
) -> None:
    done = (VerdictKind.ON_TIME, VerdictKind.LATE, VerdictKind.EARLY)
    verdicts = [decide(SLOT, one, now=CLOSED) for one in (first, second, third)]
    standing = verdicts[0]
    assert standing is not None
    for verdict in verdicts[1:]:
        assert verdict is not None
        before, standing = standing, revised(standing, verdict)
        if before.kind in done:
            assert standing == before
    assert revised(standing, standing) == standing


@given(st.lists(INSTANTS, max_size=8))
def test_each_piece_of_work_is_given_to_one_slot_at_most_and_each_slot_gets_one(work: list[datetime]) -> None:
    shared = share_out(three(), [], work)

    assert all(len(given_) == 1 for given_ in shared.values())
    assert {at for given_ in shared.values() for at in given_} <= set(work)
