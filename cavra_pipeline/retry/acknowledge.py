"""Acknowledgements: an operator says of a subject, for one provider, what is to become of it (contract section 2).

What is acknowledged must exist: a delivery of the lane to that provider. An acknowledgement can be withdrawn.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.boundary.judge import actor_label, is_safe_identifier, judge
from cavra_pipeline.boundary.secrets import secrets_in
from cavra_pipeline.boundary.verdict import Quarantined
from cavra_pipeline.documents import digest_of, naive_utc
from cavra_pipeline.errors import UnknownName, UsageError, did_you_mean, use_one_of
from cavra_pipeline.evidence.emitted import CLOCK_SLACK, date_after, record, save_emitted_drop
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.lanes import Lane
from cavra_pipeline.provider_names import provider_name
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.retry"


def acknowledge(
    settings: Settings,
    lane: Lane,
    *,
    subject: str,
    provider: str,
    state: str,
    by: str,
    now: datetime,
    is_forced: bool = False,
    external_ref: str | None = None,
) -> dict[str, Any]:
    """Records an acknowledgement as evidence; the next plan, worker run and health report see it.

    Args:
        settings: The home.
        lane: A lane that takes acknowledgements.
        subject: The plan or health report that is acknowledged.
        provider: The connector it is acknowledged for.
        state: One of ``lane.acknowledgement_states``.
        by: Actor label of the operator.
        now: When it is said; dated later than what was said before, also where a clock went back.
        is_forced: Whether to record it although no delivery of the subject to the provider is known.
        external_ref: The ticket that belongs to it, an identifier.

    Returns:
        The record that was written.

    Raises:
        UsageError: The lane takes none, a value is not accepted, or there is no such delivery; the message names it.
    """
    label = _checked_word(lane, subject, provider, state, by)
    if external_ref is not None and not is_safe_identifier(external_ref):
        raise UsageError(
            "the value is not accepted", where="external_ref", remedy="Give the ticket's key, such as INC-1042"
        )
    ingest(settings, now=now)
    with warehouse_of(settings).reading() as session:
        if not is_forced:
            _require_delivery(session, lane, subject, provider)
        at, _ = _last_word(session, lane, subject, provider, now)
    written = _record_of(settings, lane, subject, provider, state, label, at, external_ref=external_ref)
    return _saved(settings, written, now=at)


def acknowledge_each(
    settings: Settings, deliveries: Sequence[tuple[Lane, str, str]], *, state: str, by: str, now: datetime
) -> list[dict[str, Any] | UsageError]:
    """Records one acknowledgement of each delivery that can be acknowledged, all in one landing file.

    Args:
        settings: The home.
        deliveries: Lane, subject and provider of each, without repetition.
        state: The state that each gets.
        by: Actor label of the operator.
        now: When it is said.

    Returns:
        For each delivery, in order, its record, or why nothing was recorded of it.
    """
    ingest(settings, now=now)
    outcomes: list[dict[str, Any] | UsageError] = []
    with warehouse_of(settings).reading() as session:
        for lane, subject, provider in deliveries:
            try:
                label = _checked_word(lane, subject, provider, state, by)
                _require_delivery(session, lane, subject, provider)
                at, _ = _last_word(session, lane, subject, provider, now)
                outcomes.append(_record_of(settings, lane, subject, provider, state, label, at))
            except UsageError as error:
                outcomes.append(error)
    written = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    if written:
        name = f"acknowledgements-{digest_of(*(record_['session_id'] for record_ in written))[:24]}"
        save_emitted_drop(settings, name, written, now=now, act="record acknowledgements")
    return outcomes


def withdraw(settings: Settings, lane: Lane, *, subject: str, provider: str, by: str, now: datetime) -> dict[str, Any]:
    """Withdraws the acknowledgement of a pair: a newer record in the state ``lane.withdrawn_state``.

    Args:
        settings: The home.
        lane: A lane that takes acknowledgements.
        subject: The plan or health report.
        provider: The connector.
        by: Actor label of who withdraws it.
        now: When it is said.

    Returns:
        The record that was written.

    Raises:
        UsageError: The lane takes none, a value is not accepted, or there is no acknowledgement to withdraw.
    """
    _require_lane(lane)
    label = _checked(lane, subject, provider, by)
    ingest(settings, now=now)
    with warehouse_of(settings).reading() as session:
        at, state = _last_word(session, lane, subject, provider, now)
    if state in (None, lane.withdrawn_state):
        raise UsageError(
            "there is no acknowledgement of it to withdraw",
            where=f"{lane.subject_field} and provider",
            remedy="Give both as the acknowledgement has them; one that is withdrawn already stays so",
        )
    written = _record_of(settings, lane, subject, provider, lane.withdrawn_state, label, at, word="withdrawal")
    return _saved(settings, written, now=at)


def _require_lane(lane: Lane) -> None:
    if lane.acknowledgement_kind is None:
        raise UsageError(
            "nothing is acknowledged in this lane",
            where=f"lane {lane.name}",
            remedy="Its live retries need an explicit request only",
        )


def _checked_word(lane: Lane, subject: str, provider: str, state: str, by: str) -> str:
    """Checks lane, state and values of an acknowledgement and returns the label."""
    _require_lane(lane)
    if state not in lane.acknowledgement_states:
        raise UnknownName(
            "there is no such state", where="state", remedy=use_one_of(state, lane.acknowledgement_states)
        )
    return _checked(lane, subject, provider, by)


def _checked(lane: Lane, subject: str, provider: str, by: str) -> str:
    """Checks the values of an operator and returns the label."""
    label = actor_label(by, where="by")
    for name, value in ((lane.subject_field, subject), ("provider", provider)):
        if not value.strip() or len(value) > 512 or not _is_text(value) or secrets_in(value):
            raise UsageError("the value is not accepted", where=name, remedy="Give the id as a report shows it")
    return label


def _record_of(
    settings: Settings,
    lane: Lane,
    subject: str,
    provider: str,
    state: str,
    label: str,
    now: datetime,
    *,
    word: str = "ack",
    external_ref: str | None = None,
) -> dict[str, Any]:
    digest = digest_of(lane.name, subject, provider, state, label, now.isoformat())[:24]
    written = record(
        str(lane.acknowledgement_kind),
        session_id=f"acknowledgement-{digest}",
        created_at=now,
        signer=label,
        decision_count=1,
        acknowledgement_id=f"{word}-{digest}",
        provider=provider,
        acknowledgement_state=state,
        **{lane.subject_field: subject},
        **({"external_ref": external_ref} if external_ref else {}),
    )
    _require_safe(settings, written)
    return written


def _saved(settings: Settings, written: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    save_emitted_drop(settings, written["session_id"], [written], now=now, act="record an acknowledgement")
    return written


def _require_safe(settings: Settings, written: dict[str, Any]) -> None:
    """Refuses what the boundary would quarantine, before any of it is on disk."""
    verdict = judge(json.dumps(written).encode(), pseudonyms_of(settings))
    if isinstance(verdict, Quarantined):
        raise UsageError(
            f"the value is not accepted ({verdict.reason})",
            where=verdict.field or "the acknowledgement",
            remedy="Give the id as a report shows it",
        )


def _is_text(value: str) -> bool:
    return "\x00" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _require_delivery(session: Session, lane: Lane, subject: str, provider: str) -> None:
    """Refuses a subject and provider without a delivery, and suggests the names that come near."""
    of_lane: dict[str, object] = {"lane": lane.name, "subject": subject}
    providers = [str(row["provider"]) for row in session.rows(_PACKAGE, "providers_of_subject", of_lane)]
    if provider_name(provider) in providers:
        return
    if not providers and subject.startswith(f"retry-plan-{lane.name}-"):
        raise UsageError(
            "this is the id of a retry plan, not of what the plan retries",
            where=lane.subject_field,
            remedy=f"Give a {lane.subject_field} from its decisions: cavra-pipeline retry-plan --lane {lane.name}",
        )
    if providers:
        near = f"{use_one_of(provider, providers)}."
        what, where = "no delivery of it through this provider is known", "provider"
    else:
        alike = [str(row["subject"]) for row in session.rows(_PACKAGE, "subjects_alike", of_lane)]
        near = did_you_mean(subject, filter(is_safe_identifier, alike), are_ids=True)
        what, where = f"no delivery of it in the lane {lane.name} is known", lane.subject_field
    remedy = (
        f"{near} Copy subject, provider and lane from retry-health. Where the evidence comes later, force it "
        "(--force, or force in the API)"
    ).strip()
    raise UsageError(what, where=where, remedy=remedy)


def _last_word(session: Session, lane: Lane, subject: str, provider: str, now: datetime) -> tuple[datetime, str | None]:
    """The instant of a new acknowledgement, for an operator's last word must be the newest; and the state before it."""
    key: dict[str, object] = {
        "lane": lane.name,
        "subject": subject,
        "provider": provider_name(provider),
        "until": naive_utc(now + CLOCK_SLACK),
    }
    rows: list[dict[str, Any]] = session.rows(_PACKAGE, "last_word", key)
    newest_at, state = rows[0]["newest_at"], rows[0]["state"]
    # A record without a state is an acknowledgement too.
    return date_after(newest_at, now), str(state or "") if newest_at else None
