"""A retry belongs to what it retries (contract section 4a), also where the retries of one run share a new subject."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cavra_pipeline.lanes import LANES
from tests.support import Record, ask_plan, at, delivery, drop, home_with, ingested, query, record, take_in

LANE = "acknowledgement_audit"
#: More for a long look: CAVRA_TEST_EXAMPLES=300 pytest tests/retry/test_retried_subjects.py
EXAMPLES = int(os.environ.get("CAVRA_TEST_EXAMPLES", "5"))


def retried(when: datetime, subject: str, new_delivery: str) -> Record:
    named = {"delivery_id": subject, "provider": "slack", "execution_status": "failed"}
    return record(
        LANES[LANE].kinds.execution, when, **named, retry_execution_record={"delivery_metadata_id": new_delivery}
    )


def failed(when: datetime, subject: str, session_id: str) -> Record:
    return delivery(when, lane=LANE, subject=subject, failed=["slack"], session_id=session_id)


def test_two_retries_of_one_run_that_share_a_new_subject_count_for_two_subjects(tmp_path: Path) -> None:
    records = [
        failed(at(90), "one", "d-1"), failed(at(90), "two", "d-2"),
        failed(at(60), "shared", "d-3"), retried(at(60), "one", "d-3"),
        failed(at(60), "shared", "d-4"), retried(at(60), "two", "d-4"),
    ]  # fmt: skip
    decisions = ask_plan(ingested(tmp_path, records), LANE)["retry_decisions"]

    made = [(each["delivery_id"], each["retry_count"], each["latest_delivery_id"]) for each in decisions]
    assert made == [("one", 2, "d-3"), ("two", 2, "d-4")]


@pytest.mark.parametrize("is_linked", [True, False])
def test_a_delivery_that_no_execution_names_stands_for_itself(is_linked: bool, tmp_path: Path) -> None:
    records = [failed(at(90), "one", "d-1"), failed(at(60), "new", "d-2"), retried(at(60), "one", "d-2")]
    later = [failed(at(50), "new", "d-3"), *([retried(at(50), "new", "d-3")] if is_linked else [])]
    decisions = ask_plan(ingested(tmp_path, [*records, *later]), LANE)["retry_decisions"]

    counted = {each["delivery_id"]: each["retry_count"] for each in decisions}
    assert counted == ({"one": 3} if is_linked else {"one": 2, "new": 1})


#: A step: a delivery of a subject, or an execution that names one of the deliveries as a retry of a subject.
STEPS = st.tuples(
    st.booleans(), st.integers(0, 4), st.sampled_from("abcd"), st.sampled_from(("slack", "teams")), st.integers(0, 9)
)


def made_of(step: tuple[bool, int, str, str, int], number: int) -> Record:
    is_delivery, name, subject, provider, minutes = step
    if is_delivery:
        return delivery(at(minutes), lane=LANE, subject=subject, failed=["slack", "teams"], session_id=f"d-{name}")
    named = {"delivery_id": subject, "provider": provider, "execution_status": "failed"}
    link = {"delivery_metadata_id": f"d-{name}"}
    # Few ids, so that a newer version takes a link back or gives it to another delivery.
    identity = f"e-{number % 6}"
    kind = LANES[LANE].kinds.execution
    return record(kind, at(minutes), **named, session_id=identity, retry_execution_record=link)


def roots_of(records: Iterable[Record], until: datetime) -> set[tuple[str, str, str]]:
    """Subject, provider and the other subject that was tried first, of current records, straight from section 4a."""
    seen = sorted(
        ((datetime.fromisoformat(one["created_at"]), one["session_id"], one) for one in records),
        key=lambda one: one[:2],
    )
    sent = {name: one["delivery_id"] for when, name, one in seen if name.startswith("d-") and when <= until}
    links: dict[str, tuple[str, str]] = {}
    for when, name, one in seen:
        if name.startswith("e-") and when <= until:
            links.setdefault(
                one["retry_execution_record"]["delivery_metadata_id"], (one["delivery_id"], one["provider"])
            )
    parents: dict[tuple[str, str], str] = {}
    for retried_as, (subject, provider) in links.items():
        if sent.get(retried_as, subject) != subject:
            parents.setdefault((sent[retried_as], provider), subject)
    found = set()
    for child, provider in parents:
        place, passed = child, {child}
        while (place, provider) in parents and parents[place, provider] not in passed:
            place = parents[place, provider]
            passed.add(place)
        if (place, provider) not in parents:
            found.add((child, provider, place))
    return found


@given(days=st.lists(st.lists(STEPS, max_size=8), min_size=1, max_size=4), order=st.permutations(range(4)))
@settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.generate])
@pytest.mark.slow
def test_links_that_come_change_and_go_lead_to_the_subject_that_was_tried_first(
    days: list[list[tuple[bool, int, str, str, int]]], order: Sequence[int]
) -> None:
    with TemporaryDirectory() as folder:
        home = home_with(Path(folder))
        landed: dict[str, list[Record]] = {}
        for place in (one for one in order if one < len(days)):
            landed[f"2026-06-{place + 10}"] = [made_of(step, n + place) for n, step in enumerate(days[place])]
            drop(home, landed[f"2026-06-{place + 10}"], day=f"2026-06-{place + 10}")
            take_in(home)
            current = {one["session_id"]: one for day in sorted(landed) for one in landed[day]}.values()
            for minutes in range(-1, 10):
                until = at(minutes)
                found = query(home, f"SELECT child, provider, root FROM subject_roots('{LANE}', '{until:%F %T}')")
                assert {one for one in found if one[0] != one[2]} == roots_of(current, until), (minutes, landed)
