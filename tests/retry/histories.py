"""Random histories of all four lanes: few names and few instants, so that ties, repeats and boundaries are common."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import strategies as st

from cavra_pipeline.lanes import LANES
from tests.support import AS_OF, Record, acknowledgement, delivery, execution, plan, worker_run

PROVIDERS = st.sampled_from(["slack", " Slack ", "service-now", "SERVICE_NOW", "teams"])
SUBJECTS = st.sampled_from(["s-a", "s-b"])
LANE_NAMES = st.sampled_from(list(LANES))
_STATES = st.sampled_from(["acknowledged", "accepted", "deferred", "escalated", "resolved", "dismissed"])
_COUNTS = st.none() | st.integers(0, 9)
_SPELLINGS = {
    "recovery_health_alert": "recovery-escalation-retry-health-alert",
    "executive_health_alert": "recovery-executive-report-delivery-retry-health-alert",
}


@st.composite
def instants(draw: st.DrawFn) -> datetime:
    """Mostly multiples of a quarter of an hour around AS_OF, some a microsecond off, some far back."""
    quarters = draw(st.integers(-4, 40) | st.sampled_from([168 * 4, 168 * 4 + 1, 24 * 4, 3000]))
    return AS_OF - timedelta(minutes=15 * quarters, microseconds=draw(st.sampled_from([0, 0, 0, 1, -1])))


@st.composite
def _one(draw: st.DrawFn, number: int) -> Record:
    lane = draw(LANE_NAMES)
    moment, session_id = draw(instants()), f"{draw(st.integers(0, 9))}-{number}"
    kind = draw(st.sampled_from(["delivery"] * 6 + ["worker_run", "plan", "execution", "execution", "acknowledgement"]))
    stem = _SPELLINGS.get(lane)
    ladder = draw(st.sampled_from([None, f"{stem}-retry", stem])) if stem else None
    if kind == "delivery":
        failed = draw(st.lists(PROVIDERS, max_size=2))
        providers = draw(st.lists(PROVIDERS, max_size=3, unique_by=lambda name: name.strip().lower().replace("-", "_")))
        return delivery(
            moment, lane=lane, session_id=session_id, failed=failed, providers=providers,
            subject=draw(SUBJECTS | st.sampled_from([None, ""])), event_id=draw(SUBJECTS | st.sampled_from([None, ""])),
            delivery_success=draw(st.sampled_from([True, True, False, None])),
            status_codes=draw(st.none() | st.lists(st.sampled_from([200, 404, 503, None]), max_size=3)),
        )  # fmt: skip
    if kind == "worker_run":
        return worker_run(
            moment, lane=lane, session_id=session_id, ladder=ladder, enabled=draw(st.sampled_from([True, False, None])),
            dry_run=draw(st.sampled_from([True, False, None])), selected_retry_count=draw(_COUNTS),
        )  # fmt: skip
    if kind == "plan":
        return plan(moment, lane=lane, session_id=session_id, retryable_count=draw(_COUNTS))
    if kind == "execution":
        status = draw(st.sampled_from(["delivered", "failed", "skipped"]))
        return execution(
            moment, lane=lane, session_id=session_id, ladder=ladder, subject=draw(SUBJECTS), provider=draw(PROVIDERS),
            status=status,
        )  # fmt: skip
    acknowledged = lane if lane != "executive_report" else "recovery_escalation"
    return acknowledgement(
        moment, lane=acknowledged, session_id=session_id, subject=draw(SUBJECTS), provider=draw(PROVIDERS),
        state=draw(_STATES),
    )  # fmt: skip


@st.composite
def histories(draw: st.DrawFn, most: int = 60) -> list[Record]:
    """A list of records with distinct ids."""
    return [draw(_one(number)) for number in range(draw(st.integers(0, most)))]


POLICIES = st.fixed_dictionaries(
    {},
    optional={
        "max_retry_attempts": st.integers(1, 5),
        "retry_delay_minutes": st.sampled_from([0, 0.5, 1, 15, 22.5, 45, 600]),
        "allow_immediate_retry": st.booleans(),
        "backoff_multiplier": st.sampled_from([1, 1.1, 1.5, 2.0, 3, 100]),
        "max_retry_delay_minutes": st.sampled_from([1, 15, 30.5, 1440, 525_600]),
        "non_retryable_status_codes": st.lists(st.sampled_from([404, 503]), max_size=2),
    },
)
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "expected_interval_minutes": st.sampled_from([1, 15, 30, 45, 600]),
        "stale_metadata_minutes": st.sampled_from([1, 15, 60, 600]),
        "window_hours": st.sampled_from([1, 6, 24, 168, 87_600]),
    },
)
