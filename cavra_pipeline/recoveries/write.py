"""Opens and closes recoveries, as evidence of our own: a playbook of what fails, and what somebody says of one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from cavra_pipeline.boundary.fields import CLOSURE_STATES
from cavra_pipeline.boundary.judge import actor_label, is_safe_identifier
from cavra_pipeline.boundary.kinds import payload_key
from cavra_pipeline.documents import digest_of, instant, naive_utc
from cavra_pipeline.errors import Accepts, UnknownName, UsageError, did_you_mean, use_one_of
from cavra_pipeline.evidence.emitted import CLOCK_SLACK, date_after, record, save_emitted_drop
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.rows import subject_of
from cavra_pipeline.lanes import CLOSED_STATES, FAILURE_SOURCES, LANES, LOOKBACK_HOURS
from cavra_pipeline.provider_names import provider_name
from cavra_pipeline.recoveries.history import PACKAGE, RecoveryHistory, recovery_history
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session

PLAYBOOK: Final = "connector-recovery-playbook"
CLOSURE: Final = "connector-recovery-closure"
_AUDITS: Final = LANES["acknowledgement_audit"]
_CATEGORIES: Final = {
    **dict.fromkeys(("splunk", "sentinel", "datadog"), "siem"),
    **dict.fromkeys(("jira", "servicenow"), "itsm"),
    **dict.fromkeys(("slack", "teams", "pagerduty", "email"), "chatops"),
}


class PlaybookParameters(BaseModel):
    """What a playbook counts. The command line and the API take the same fields."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    min_failure_count: Annotated[int, Field(ge=1, le=10_000), Accepts()] = Field(
        2, description="Failures after which a recovery is opened for a connector.", examples=[2]
    )
    lookback_hours: Annotated[int, Field(ge=1, le=8_760), Accepts()] = Field(
        LOOKBACK_HOURS, description="How far back failures count, in hours.", examples=[LOOKBACK_HOURS]
    )


def build_playbook(
    settings: Settings, parameters: PlaybookParameters, *, by: str, now: datetime
) -> dict[str, Any] | None:
    """Opens a recovery for each connector that fails often enough, as one playbook (contract section 11).

    Failures of a pair that was reached since do not count. A connector that has an open recovery gets no second one,
    so the same command given again writes nothing.

    Args:
        settings: The home.
        parameters: What counts.
        by: Actor label of who asks.
        now: When it is built; what failed later does not count.

    Returns:
        The record that was written, or None if no connector calls for a recovery.

    Raises:
        UsageError: The label is not public-safe.
    """
    label = actor_label(by, where="by")
    ingest(settings, now=now)
    at = naive_utc(now)
    with warehouse_of(settings).reading() as session:
        history = recovery_history(session, at)
        failing = _failing(session, parameters, at)
    is_open = {recovery.provider for recovery in history.recoveries if recovery.closed_at(at) is None}
    entries = [_playbook_entry(row) for row in failing if row["provider"] not in is_open]
    if not entries:
        return None
    made_of = "\n".join(
        f"{connector['provider']} {connector['failure_count']} {connector['latest_failure_at']}"
        for connector in entries
    )
    digest = digest_of(made_of, at.isoformat())[:24]
    failures = sum(connector["failure_count"] for connector in entries)
    written = record(
        PLAYBOOK,
        session_id=f"playbook-{digest}",
        created_at=now,
        signer=label,
        decision_count=len(entries),
        blocked_count=failures,
        approval_required_count=len(entries),
        playbook_id=f"pipeline-playbook-{digest}",
        alert_level="critical",
        provider_count=len(entries),
        failure_count=failures,
        **{payload_key(PLAYBOOK): {"provider_playbooks": entries}},
    )
    save_emitted_drop(settings, f"playbook-{digest}", [written], now=now, act="record a recovery playbook")
    return written


def _failing(session: Session, parameters: PlaybookParameters, at: datetime) -> list[dict[str, Any]]:
    query_parameters: dict[str, object] = {
        "lane": _AUDITS.name,
        "sources": FAILURE_SOURCES,
        "as_of": at,
        "since": at - timedelta(hours=parameters.lookback_hours),
        "min_failure_count": parameters.min_failure_count,
    }
    return session.rows(PACKAGE, "failing_providers", query_parameters, subject=subject_of(("health_id", "event_id")))


def _playbook_entry(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "provider": row["provider"],
        "category": _CATEGORIES.get(row["provider"], "webhook"),
        "failure_count": row["failure_count"],
        "latest_failure_at": instant(row["latest_failure_at"]),
    }


def close_recovery(
    settings: Settings,
    *,
    playbook_id: str,
    provider: str,
    state: str,
    by: str,
    now: datetime,
    external_ref: str | None = None,
    is_forced: bool = False,
) -> dict[str, Any] | None:
    """Records what somebody says of a recovery; resolved and mitigated close it, any other state opens it again.

    Args:
        settings: The home.
        playbook_id: The recovery's playbook.
        provider: The recovery's connector.
        state: One of ``CLOSURE_STATES``.
        by: Actor label of who says it.
        now: When it is said; dated after what was said before, up to ``CLOCK_SLACK`` later than this.
        external_ref: A ticket.
        is_forced: Whether to record it although no such recovery is known.

    Returns:
        The record that was written, or None if the newest closure says so already.

    Raises:
        UsageError: A value is not accepted, or there is no such recovery; the message names it.
    """
    label, provider = actor_label(by, where="by"), provider_name(provider)
    _check(playbook_id, provider, state, external_ref)
    ingest(settings, now=now)
    with warehouse_of(settings).reading() as session:
        history = recovery_history(session, naive_utc(now))
    if not is_forced:
        _require(history, playbook_id, provider)
    closures = history.said(naive_utc(now + CLOCK_SLACK))
    said = [closure for closure in closures if (closure.playbook_id, closure.provider) == (playbook_id, provider)]
    newest = said[-1] if said else None
    if newest and newest.state == state and newest.external_ref == external_ref:
        return None
    at = date_after(newest.at if newest else None, now)
    digest = digest_of(playbook_id, provider, state, label, external_ref or "", at.isoformat())[:24]
    written = record(
        CLOSURE,
        session_id=f"closure-{digest}",
        created_at=at,
        signer=label,
        decision_count=1,
        blocked_count=int(state not in CLOSED_STATES),
        closure_id=f"pipeline-closure-{digest}",
        closure_hash=digest_of(digest),
        playbook_id=playbook_id,
        provider=provider,
        closure_state=state,
        **({"external_ref": external_ref} if external_ref else {}),
    )
    save_emitted_drop(settings, f"closure-{digest}", [written], now=at, act="record a recovery's closure")
    return written


def _check(playbook_id: str, provider: str, state: str, external_ref: str | None) -> None:
    """Checks what somebody says of a recovery before anything is written."""
    if state not in CLOSURE_STATES:
        raise UnknownName("there is no such state", where="state", remedy=use_one_of(state, CLOSURE_STATES))
    if external_ref is not None and not is_safe_identifier(external_ref):
        raise UsageError(
            "the ticket is not accepted", where="ref", remedy="Give its id, such as OPS-123, without blanks"
        )
    for name, value in (("playbook", playbook_id), ("provider", provider)):
        if not is_safe_identifier(value):
            raise UsageError("the value is not accepted", where=name, remedy="Give the id as a report shows it")


def _require(history: RecoveryHistory, playbook_id: str, provider: str) -> None:
    """Refuses names that are of no recovery and suggests those that come near."""
    of_playbook = [recovery for recovery in history.recoveries if recovery.playbook_id == playbook_id]
    if any(recovery.provider == provider for recovery in of_playbook):
        return
    what, where, names, word = "there is no such recovery", "playbook", _playbooks(history), playbook_id
    if of_playbook:
        names, word = [recovery.provider for recovery in of_playbook], provider
        what, where = "this playbook has no recovery of this provider", "provider"
    near = did_you_mean(word, filter(is_safe_identifier, names), are_ids=True)
    named = f"It is for {', '.join(sorted(filter(is_safe_identifier, names)))}." if of_playbook else near
    remedy = f"{named} See the recoveries there are: cavra-pipeline recoveries".strip()
    raise UnknownName(what, where=where, remedy=remedy)


def _playbooks(history: RecoveryHistory) -> list[str]:
    return [recovery.playbook_id for recovery in history.recoveries]
