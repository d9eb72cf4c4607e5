"""Explains one delivery (contract section 16): all that concerns a pair, its state now, and what would release it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.causes.advice import advice
from cavra_pipeline.causes.story import DELIVERED, PairStory, pair_story
from cavra_pipeline.documents import PRODUCT, instant, naive_utc
from cavra_pipeline.errors import UnknownName, UsageError, use_one_of
from cavra_pipeline.lanes import APPROVED, CLEARING_STATES, DECLINING_STATES, LANES, Gate, Lane
from cavra_pipeline.provider_names import provider_name
from cavra_pipeline.reports.approvals import Approvals, approvals
from cavra_pipeline.reports.failure_runs import FailureRun, failure_runs
from cavra_pipeline.reports.incidents import (
    PROVIDERS_LISTED,
    has_probed,
    incidents_of_pair,
    known_providers,
)
from cavra_pipeline.reports.plan import decided_retries
from cavra_pipeline.reports.policy import RetryPolicy, policy_values, retry_policy
from cavra_pipeline.reports.stretches import stretches
from cavra_pipeline.retention.horizon import horizon_of, require_answerable
from cavra_pipeline.retry.claims import PROBED, unsendable_subjects
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.causes"
#: Records of a lane that decide about many deliveries; those in a row that say the same of one are one line.
_PASSES: Final = ("retry_plan", "worker_run")


class UnknownPair(UsageError):
    """No record names a subject and provider."""


class _UnknownProvider(UnknownPair, UnknownName):
    """Records name the subject, but not with that provider."""


def explain(
    session: Session,
    *,
    subject: str,
    provider: str,
    as_of: datetime,
    now: datetime,
    lane: Lane | None = None,
    has_connector: Callable[[str], bool] = lambda _provider: True,
) -> dict[str, Any]:
    """Explains a delivery: an explanation for each lane that knows the pair.

    Args:
        session: An open warehouse.
        subject: The lane's subject, also that of a retry: then the subject that was tried first is explained.
        provider: The connector, however it is spelled.
        as_of: Records created later do not exist.
        now: When it is explained; only ``generated_at`` shows it.
        lane: The lane; every lane that names the subject if not given.
        has_connector: Returns whether the host has a provider's connector.

    Returns:
        The document; ``explanations`` has ``lines`` in order of time, each naming its record.

    Raises:
        UnknownPair: No lane knows the pair by then.
        UsageError: Its evidence has been pruned.
    """
    require_answerable(session, [as_of])
    at, name = naive_utc(as_of), provider_name(provider)
    lanes = [lane] if lane else _lanes_of(session, subject, at)
    stories = [pair_story(session, pair_lane, subject, name, at) for pair_lane in lanes]
    explanations = [_explanation(session, story, at, has_connector) for story in stories if story.lines]
    if not explanations:
        raise _unknown(session, subject, name, at, is_past=at < naive_utc(now))
    return {
        "schema_version": "cavra-pipeline.explanation.v1",
        "product": PRODUCT,
        "as_of": instant(at),
        "generated_at": instant(now),
        "subject": subject,
        "provider": name,
        "explanations": explanations,
    }


def _newest_success(session: Session, provider: str, at: datetime) -> datetime | None:
    """When a provider last accepted a delivery of any lane by an instant; both are UTC without a zone."""
    (row,) = session.rows(_PACKAGE, "newest_success", {"provider": provider, "as_of": at})
    return row["success_at"]  # type: ignore[return-value]


def _unknown(session: Session, subject: str, provider: str, at: datetime, *, is_past: bool) -> UnknownPair:
    names = known_providers(session, at, subject=subject)
    if names and provider not in names:
        remedy = use_one_of(provider, names, listed_in=PROVIDERS_LISTED)
        return _UnknownProvider("this subject has no delivery to this provider", where="provider", remedy=remedy)
    what = "there is no delivery, retry or acknowledgement of this subject for this provider"
    copied = "cavra-pipeline retry-plan --lane LANE"
    return UnknownPair(
        f"{what} at that instant" if is_past else what,
        where="subject",
        remedy=f"Copy both from {copied}, or name a later instant" if is_past else f"Copy both from {copied}",
    )


def _lanes_of(session: Session, subject: str, at: datetime) -> list[Lane]:
    rows = session.rows(_PACKAGE, "lanes_of_pair", {"subject": subject, "as_of": at})
    return [LANES[str(row["lane"])] for row in rows]


@dataclass(frozen=True, slots=True)
class _Context:
    """Inputs of the decision on a pair at any instant, beside its own records."""

    session: Session
    story: PairStory
    approvals: Approvals
    failure_runs: Sequence[FailureRun]

    @property
    def pair(self) -> tuple[str, str]:
        return self.story.subject, self.story.provider

    @property
    def gate(self) -> str:
        """What a person gives so that a live retry may go."""
        return "approval" if self.story.lane.gate is Gate.APPROVAL else "acknowledgement"

    def is_cleared(self, at: datetime) -> bool:
        """Returns whether the lane's gate lets a live retry of the pair go at an instant."""
        gate = self.story.lane.gate
        if gate is Gate.APPROVAL:
            return self.approvals.at(self.pair, at)[1]
        return gate is Gate.REQUEST or self.story.acknowledged(at) in CLEARING_STATES

    def declined(self, at: datetime) -> str | None:
        """Returns the state by which a person has decided against the retry at an instant."""
        is_approval = self.gate == "approval"
        state = self.approvals.at(self.pair, at)[0] if is_approval else self.story.acknowledged(at)
        return state if state in DECLINING_STATES else None

    def is_sendable(self, at: datetime) -> bool:
        """Returns whether the subject is what its lane asks for before a retry is sent, at an instant."""
        return not unsendable_subjects(self.session, self.story.lane, [self.story.subject], at)

    def decisions(self, instants: Iterable[datetime], policy: RetryPolicy) -> dict[datetime, dict[str, Any]]:
        """Returns the decision on the pair at each instant that has one, by a policy."""
        lane, decisions = self.story.lane, {}
        for stretch in stretches(self.session, [lane], sorted(set(instants))):
            for row in decided_retries(self.session, lane, policy, stretch):
                if (row["subject"], row["provider"]) == self.pair:
                    decisions.update(dict.fromkeys(stretch[row["first_seen"] - 1 : row["last_seen"]], row))
        return decisions


def _explanation(
    session: Session, story: PairStory, at: datetime, has_connector: Callable[[str], bool]
) -> dict[str, Any]:
    runs = failure_runs(session, at, horizon=horizon_of(session), provider=story.provider)
    context = _Context(session, story, approvals(session, story.lane, [at], [story.subject]), runs)
    decision = context.decisions([at], retry_policy(story.lane)).get(at)
    incidents = incidents_of_pair(runs, at, story.lane, story.subject)
    open_incidents = [incident for incident in incidents if incident["ended_at"] is None]
    lines = [*story.lines, *_passes(context, at), *(_incident_line(incident) for incident in incidents)]
    lines = _merged(sorted(lines, key=lambda line: (line["at"], line["record_id"] or "")))
    explanation = {
        "lane": story.lane.name,
        "subject": story.subject,
        "provider": story.provider,
        "state": decision["action"] if decision else "settled" if story.settled_at else "not_failing",
        "reason": decision["reason"] if decision else DELIVERED if story.settled_at else None,
        "retry_count": decision["retry_count"] if decision else 0,
        "failing_since": instant(decision["failing_since"]) if decision else None,
        "next_retry_at": instant(decision["next_retry_at"]) if decision else None,
        "settled_at": instant(story.settled_at),
        "acknowledgement_state": story.acknowledged(at),
        "approval_state": context.approvals.at(context.pair, at)[0],
        "provider_incident_id": open_incidents[0]["incident_id"] if open_incidents else None,
        "released_by": _releases(context, decision, at, has_connector),
        "lines": lines,
    }
    return {**explanation, **advice(explanation, _newest_success(session, story.provider, at))}


def _releases(
    context: _Context, decision: Mapping[str, Any] | None, at: datetime, has_connector: Callable[[str], bool]
) -> list[dict[str, Any]]:
    """Returns what has to come before the next retry, all of it; nothing for a pair that is not failing."""
    if decision is None:
        return []
    lane, needs = context.story.lane, []
    if decision["action"] == "suppress":
        needs.append(_need("policy", decision["reason"]))
    if decision["action"] == "wait":
        needs.append(_need("instant", decision["reason"], instant(decision["next_retry_at"])))
    if not context.is_cleared(at):
        states = APPROVED if lane.gate is Gate.APPROVAL else ", ".join(CLEARING_STATES)
        needs.append(_need(context.gate, states))
    if lane.sendable and not context.is_sendable(at):
        needs.append(_need("subject", f"{lane.sendable.field}: {lane.sendable.value}"))
    if not has_connector(context.story.provider):
        needs.append(_need("connector", context.story.provider))
    return needs or [_need("live_run", lane.gate.value)]


def _need(needs: str, detail: str, at: str | None = None) -> dict[str, Any]:
    return {"needs": needs, "at": at, "detail": detail}


def _passes(context: _Context, at: datetime) -> Iterator[dict[str, Any]]:
    """Yields what each retry plan and worker run made of the pair."""
    story = context.story
    rows = story.plans_and_runs(context.session, at)
    decisions = _decided(context, rows)
    for row in rows:
        if verdict := _verdict(context, row, decisions.get(row["session_id"])):
            yield {**story.line(row, row["record_type"], *verdict), "until": instant(row["created_at"])}


def _merged(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Makes one line of plans, and one of runs, that say the same, until anything else happens."""
    merged: list[dict[str, Any]] = []
    running: dict[str, dict[str, Any]] = {}
    for line in lines:
        what, same = line["what"], running.get(line["what"])
        if same and (same["outcome"], same["reason"]) == (line["outcome"], line["reason"]):
            same["until"] = line["until"]
            same["record_count"] += 1
            same["record_ids"] += line["record_ids"]
            continue
        if same or what not in _PASSES:
            running = {}
        if what in _PASSES:
            running[what] = line
        merged.append(line)
    return merged


def _decided(context: _Context, rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Decides at the instant of each plan and run, a plan by the policy of its record; by the id of the record."""
    by_policy = defaultdict(list)
    for row in rows:
        by_policy[_policy_of(context.story.lane, row)].append(row)
    decision_by_id = {}
    for policy, judged in by_policy.items():
        decisions = context.decisions((row["created_at"] for row in judged), policy)
        decision_by_id.update({row["session_id"]: decisions.get(row["created_at"]) for row in judged})
    return {session_id: decision for session_id, decision in decision_by_id.items() if decision}


def _policy_of(lane: Lane, row: Mapping[str, Any]) -> RetryPolicy:
    try:
        return retry_policy(lane, policy_values(row))
    except UsageError:
        # Another program recorded what is no policy.
        return retry_policy(lane)


def _verdict(
    context: _Context, row: Mapping[str, Any], decision: Mapping[str, Any] | None
) -> tuple[str, str | None] | None:
    """Returns a plan's or run's outcome for the pair and the reason; None where it had nothing to decide."""
    at, is_plan = row["created_at"], row["record_type"] == "retry_plan"
    is_named = row["retry_plan_id"] in context.story.plan_ids if is_plan else row["run_id"] in context.story.run_ids
    if is_named:
        return "selected", None
    if decision is None:
        return None
    if is_plan:
        return decision["action"], decision["reason"]
    if decision["action"] != "retry":
        return "held", decision["reason"]
    if not context.is_cleared(at):
        return "held", context.declined(at) or context.gate
    if not context.is_sendable(at):
        return "held", "subject_not_sendable"
    if row["is_dry_run"]:
        return "passed_over", "dry_run"
    # What a run leaves on record is that it tried the provider once, not that it was asked to.
    is_probed = row["tried_count"] == 1 and has_probed(context.failure_runs, context.story.lane, at)
    return ("held", PROBED) if is_probed else ("passed_over", "not_selected")


def _incident_line(incident: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **PairStory.empty_line(),
        "at": incident["began_at"],
        "until": incident["ended_at"],
        "what": "provider_incident",
        "outcome": "ended" if incident["ended_at"] else "open",
        "reason": incident["cause"],
        "incident_id": incident["incident_id"],
    }
