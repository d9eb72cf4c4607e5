"""The retry policy (contract section 6): its fields, their bounds and their defaults. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cavra_pipeline.errors import UsageError
from cavra_pipeline.lanes import Lane

MAX_MINUTES: Final = 525_600


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A policy in force.

    Attributes:
        max_retry_attempts: Failures in a row from which a pair is exhausted.
        retry_delay_minutes: Delay after the first failure.
        allow_immediate_retry: Whether a delay under a minute is meant.
        backoff_multiplier: Factor on the delay for each further failure.
        max_retry_delay_minutes: The delay never grows past this.
        non_retryable_status_codes: A latest failure with one of these is never retried.
    """

    max_retry_attempts: int
    retry_delay_minutes: float
    allow_immediate_retry: bool
    backoff_multiplier: float
    max_retry_delay_minutes: float
    non_retryable_status_codes: tuple[int, ...]

    @property
    def base_retry_delay_minutes(self) -> float:
        """The delay that counts: below one minute only if immediate retries are allowed."""
        return self.retry_delay_minutes if self.allow_immediate_retry else max(1, self.retry_delay_minutes)


def _integer(low: int, high: int) -> Callable[[Any], int | None]:
    def check(value: Any) -> int | None:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return value if whole and low <= value <= high else None

    return check


def _number(low: float, high: float) -> Callable[[Any], float | None]:
    """A whole number is kept whole, so that 30 and 30.0 make the same plan."""

    def check(value: Any) -> float | None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            return None
        return int(value) if value == int(value) else value

    return check


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _status_codes(value: Any) -> tuple[int, ...] | None:
    is_status = _integer(100, 599)
    if not isinstance(value, list | tuple) or any(is_status(code) is None for code in value):
        return None
    return tuple(sorted(set(value)))


#: Each field's check and what it accepts.
FIELDS: Final[dict[str, tuple[Callable[[Any], Any], str]]] = {
    "max_retry_attempts": (_integer(1, 100), "an integer from 1 to 100"),
    "retry_delay_minutes": (_number(0, MAX_MINUTES), f"a number from 0 to {MAX_MINUTES}"),
    "allow_immediate_retry": (_boolean, "true or false"),
    "backoff_multiplier": (_number(1, 100), "a finite number from 1 to 100"),
    "max_retry_delay_minutes": (_number(1, MAX_MINUTES), f"a number from 1 to {MAX_MINUTES}"),
    "non_retryable_status_codes": (_status_codes, "a list of HTTP status codes from 100 to 599"),
}


def retry_policy(lane: Lane, values: Mapping[str, Any] | None = None) -> RetryPolicy:
    """Makes the policy of a lane; fields that are not given, or null, have their default.

    Raises:
        UsageError: A field is unknown or outside its bounds; the message names it and what is accepted.
    """
    checked: dict[str, Any] = {}
    for name, value in (values or {}).items():
        if name not in FIELDS:
            raise UsageError(
                "there is no such field", where=f"retry_policy.{name[:64]}", remedy=f"Use {', '.join(FIELDS)}"
            )
        if value is None:
            continue
        check, accepted = FIELDS[name]
        checked[name] = check(value)
        if checked[name] is None:
            raise UsageError("the value is not accepted", where=f"retry_policy.{name}", remedy=f"Give {accepted}")
    immediate = checked.get("allow_immediate_retry", False)
    return RetryPolicy(
        max_retry_attempts=checked.get("max_retry_attempts", 3),
        retry_delay_minutes=checked.get("retry_delay_minutes", 0 if immediate else lane.retry_delay_minutes),
        allow_immediate_retry=immediate,
        backoff_multiplier=checked.get("backoff_multiplier", 2),
        max_retry_delay_minutes=checked.get("max_retry_delay_minutes", 1440),
        non_retryable_status_codes=checked.get("non_retryable_status_codes", ()),
    )
