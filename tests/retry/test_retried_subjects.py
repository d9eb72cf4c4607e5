"""A retry belongs to what it retries (contract section 4a), also where the retries of one run share a new subject."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from cavra_pipeline.lanes import LANES
from tests.support import Record, ask_plan, at, delivery, ingested, record

LANE = "acknowledgement_audit"


def retried(when: datetime, subject: str, new_delivery: str) -> Record:
    named = {"delivery_id": subject, "provider": "slack", "execution_status": "failed"}
    return record(
        LANES[LANE].execution_kind, when, **named, retry_execution_record={"delivery_metadata_id": new_delivery}
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
