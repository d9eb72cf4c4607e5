"""The retry policy: every field at both ends of its bounds, and what the error says."""

from __future__ import annotations

from typing import Any

import pytest

from cavra_pipeline.errors import UsageError
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.policy import retry_policy

LANE = LANES["recovery_escalation"]
NAN, INF = float("nan"), float("inf")

ACCEPTED: dict[str, list[Any]] = {
    "max_retry_attempts": [1, 100],
    "retry_delay_minutes": [0, 0.5, 525_600],
    "allow_immediate_retry": [True, False],
    "backoff_multiplier": [1, 1.0, 1.0001, 100],
    "max_retry_delay_minutes": [1, 1.5, 525_600],
    "non_retryable_status_codes": [[], [100], [599], (404, 410)],
}
REFUSED: dict[str, list[Any]] = {
    "max_retry_attempts": [0, 101, -1, 3.0, 2.5, "3", True, NAN, [3], {}],
    "retry_delay_minutes": [-0.001, -1, 525_600.001, 10**400, "15", True, NAN, INF, -INF, [15]],
    "allow_immediate_retry": [0, 1, "true", "", [], NAN],
    "backoff_multiplier": [0.999, 100.001, 0, -2, NAN, INF, "2", True, 10**400],
    "max_retry_delay_minutes": [0, 0.999, 525_600.001, NAN, INF, "1440", False],
    "non_retryable_status_codes": [[99], [600], [404.0], ["404"], [True], [None], 404, "404", {404: 1}, [[404]]],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in ACCEPTED for value in ACCEPTED[field]])
def test_a_value_within_the_bounds_is_accepted(field: str, value: Any) -> None:
    kept = getattr(retry_policy(LANE, {field: value}), field)

    assert kept == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in REFUSED for value in REFUSED[field]])
def test_a_value_outside_the_bounds_is_refused_by_name_with_what_is_accepted(field: str, value: Any) -> None:
    with pytest.raises(UsageError, match=rf"^retry_policy\.{field}: the value is not accepted\. Give .") as raised:
        retry_policy(LANE, {field: value})

    assert raised.value.exit_code == 2


def test_an_unknown_field_is_refused_by_name_and_the_known_ones_are_listed() -> None:
    with pytest.raises(UsageError, match=r"^retry_policy\.max_attempts: there is no such field") as raised:
        retry_policy(LANE, {"max_attempts": 3})

    assert all(field in raised.value.remedy for field in ACCEPTED)


@pytest.mark.parametrize(
    ("lane", "minutes"),
    [
        ("recovery_escalation", 15),
        ("executive_report", 30),
        ("recovery_health_alert", 15),
        ("executive_health_alert", 15),
    ],
)
def test_the_defaults_are_the_contract_s_and_the_lane_s(lane: str, minutes: int) -> None:
    policy = retry_policy(LANES[lane])

    assert policy == retry_policy(LANES[lane], dict.fromkeys(ACCEPTED))
    assert (policy.max_retry_attempts, policy.backoff_multiplier, policy.max_retry_delay_minutes) == (3, 2.0, 1440)
    assert (policy.retry_delay_minutes, policy.allow_immediate_retry) == (minutes, False)
    assert policy.non_retryable_status_codes == ()
    assert retry_policy(LANES[lane], {"allow_immediate_retry": True}).base_retry_delay_minutes == 0


def test_a_delay_under_a_minute_counts_as_one_unless_immediate_retries_are_allowed() -> None:
    for minutes, counts in ((0, 1), (0.99, 1), (1, 1), (1.01, 1.01)):
        assert retry_policy(LANE, {"retry_delay_minutes": minutes}).base_retry_delay_minutes == counts
        immediate = retry_policy(LANE, {"retry_delay_minutes": minutes, "allow_immediate_retry": True})
        assert immediate.base_retry_delay_minutes == minutes


def test_status_codes_are_kept_sorted_and_once() -> None:
    assert retry_policy(LANE, {"non_retryable_status_codes": [410, 404, 410]}).non_retryable_status_codes == (404, 410)
