"""The retry ladders as data (contract section 4). A lane is one row here and listed nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from cavra_pipeline.errors import UnknownName, use_one_of

SOURCE = "go_backend_rollback_drill_acknowledgement_audit"

#: What an operator may say of a delivery, and of a health alert (contract section 2).
ACKNOWLEDGEMENT_STATES = ("acknowledged", "accepted", "deferred", "escalated", "resolved", "dismissed")
ALERT_STATES = ("acknowledged", "dismissed", "escalated", "resolved")
#: Newest states that let a live retry go ahead (contract section 8).
CLEARING_STATES = ("acknowledged", "accepted", "resolved")
#: Newest states by which a person decides against a retry, of an acknowledgement or of an approval.
DECLINING_STATES = ("deferred", "escalated", "dismissed", "denied")
#: Newest states that close a failed execution, and a recovery at a provider (contract section 7).
CLOSING_STATES = ("dismissed", "resolved")
#: Newest states that answer a health alert (contract section 7).
ANSWERING_STATES = ("acknowledged", "resolved")
#: States of a recovery's newest closure that close it (contract section 11).
CLOSED_STATES = ("resolved", "mitigated")
#: What an approval decision may say; the first lets a live retry go ahead (contract section 4).
APPROVED = "approved"
APPROVAL_STATES = (APPROVED, "denied", "deferred", "expired")


class Gate(Enum):
    """Condition of a live retry (contract section 4); every lane needs the host's setting too."""

    REQUEST = "an explicit request"
    ACKNOWLEDGEMENT = "an operator's acknowledgement"
    APPROVAL = "an approval decision"


@dataclass(frozen=True, slots=True)
class Sendable:
    """Field and value that a subject's newest record of a type must have before a retry (contract section 4)."""

    record_type: str
    field: str
    value: str


@dataclass(frozen=True, slots=True)
class CavraPaths:
    """CAVRA's own paths of a lane, below those of its audit deliveries (contract section 13).

    Attributes:
        base: Under it stand the retry plan and, in a lane of health alerts, their history and their dashboard.
        plan: Last part of the retry plan's path.
        health: Last part of the health report's path; None where CAVRA makes no such report.
        counts_every_plan: Whether the dashboard of alerts counts every alert plan, not each health report's newest.
        history_types: Record types in the history of alerts.
        sent: What CAVRA's worker calls that which it sends again.
        sent_as: Record type of that.
        skips_without_connectors: Whether a live run without any connector records skipped retries instead of refusing.
    """

    base: str
    plan: str = "retry-plan"
    health: str | None = None
    counts_every_plan: bool = False
    history_types: tuple[str, ...] = ("alert_plan", "delivery", "acknowledgement")
    sent: str = "health"
    sent_as: str = "alert_plan"
    skips_without_connectors: bool = False

    @property
    def worker(self) -> str:
        """Last part of the path of a worker run."""
        return f"{self.plan.removesuffix('plan')}worker-run"


class LadderKinds(NamedTuple):
    """Last parts of the kinds of a retry ladder's records."""

    retry_plan: str
    worker_run: str
    execution: str
    health: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One retry ladder.

    Attributes:
        name: The lane's name on the command line, in tables and in answers.
        delivery_source: ``connector_delivery_source`` of its deliveries.
        subject_fields: A delivery's subject is the first non-empty of these.
        retry_delay_minutes: Default base delay of the retry policy.
        gate: What a live retry waits for.
        expected_interval_minutes: The worker's cadence.
        stale_metadata_minutes: Age over which the newest retry plan is stale.
        kind_stem: Last part of the kinds of its plan and acknowledgement, up to what they name.
        alert_name: What alert categories call the lane.
        schedule: The schedule that runs its worker.
        own_kinds: The kinds of its ladder where CAVRA does not make them of ``kind_stem``.
        cavra: CAVRA's own paths of its reports, or None if there are none.
        takes_acknowledgements: Whether operators acknowledge its deliveries.
        delivery_alert: Alert category for unresolved deliveries, if the lane has one.
        decision_field: What a decision names beside the subject, if anything.
        run_fields: What its retry plans and worker runs name beside what those of every lane do.
        answer_fields: The same of its acknowledgements.
        execution_fields: The same of its executions.
        health_field: What its health reports count beside what those of every lane do.
        results_are_nested: Whether its runs and executions give their results in their own payload only.
        sendable: What the subject must be before its retry is sent, if the lane asks for more than its gate.
        retries_have_new_subjects: Whether a retry's delivery has a subject of its own (contract section 4a).
        is_always_in_use: Whether health is reported before any record of the lane exists (contract section 7).
        notice: What people miss if a notification of it does not arrive: one of them, and several if not by an s.
    """

    name: str
    delivery_source: str
    subject_fields: tuple[str, ...]
    retry_delay_minutes: int
    expected_interval_minutes: int
    stale_metadata_minutes: int
    kind_stem: str
    alert_name: str
    schedule: str
    gate: Gate = Gate.REQUEST
    own_kinds: LadderKinds | None = None
    cavra: CavraPaths | None = None
    takes_acknowledgements: bool = True
    delivery_alert: str | None = None
    decision_field: str | None = None
    run_fields: str = ""
    answer_fields: str = "plan_id"
    execution_fields: str = "run_id"
    health_field: str = "acknowledgement_pending_count"
    results_are_nested: bool = False
    sendable: Sendable | None = None
    retries_have_new_subjects: bool = False
    is_always_in_use: bool = False
    notice: tuple[str, ...] = ("health alert",)

    @property
    def subject_field(self) -> str:
        """What a decision calls the subject; also the subject of executions and acknowledgements."""
        return self.subject_fields[0]

    @property
    def kinds(self) -> LadderKinds:
        """Last parts of the kinds of its ladder."""
        stem = f"{self.kind_stem}-delivery-retry"
        return self.own_kinds or LadderKinds(
            f"{stem}-plan", f"{stem}-worker-run", f"{stem}-execution-record", f"{stem}-health"
        )

    @property
    def acknowledgement_kind(self) -> str | None:
        """Last part of its acknowledgement kind; None where nothing is acknowledged."""
        return f"{self.kind_stem}-ack" if self.takes_acknowledgements else None

    @property
    def acknowledgement_states(self) -> tuple[str, ...]:
        """States that an operator may give in this lane; none where nothing is acknowledged."""
        if not self.takes_acknowledgements:
            return ()
        return ALERT_STATES if self.alerts_of else ACKNOWLEDGEMENT_STATES

    @property
    def withdrawn_state(self) -> str:
        """State of a withdrawal: it neither clears a live retry nor closes what it is about.

        CAVRA has no state of its own for it. ``dismissed`` would close a failed execution (contract section 7).
        """
        return "escalated" if self.alerts_of else "deferred"

    @property
    def alerts_of(self) -> str | None:
        """Name of the lane whose health alerts this one delivers; None for a lane that delivers no alerts."""
        return next((lane.name for lane in LANES.values() if self.kind_stem == f"{lane.kinds.health}-alert"), None)

    @property
    def failed_delivery_field(self) -> str:
        """Field of a health report with the count of failed deliveries in the window."""
        return f"failed_{self.name}_delivery_count"


LANES: dict[str, Lane] = {
    lane.name: lane
    for lane in (
        Lane(
            name="recovery_escalation",
            delivery_source=SOURCE + "_recovery_escalation",
            subject_fields=("plan_id", "event_id"),
            retry_delay_minutes=15,
            expected_interval_minutes=30,
            stale_metadata_minutes=120,
            kind_stem="recovery-escalation",
            own_kinds=LadderKinds(
                "recovery-escalation-delivery-retry-plan",
                "recovery-escalation-retry-worker-run",
                "recovery-escalation-retry-execution-record",
                "recovery-escalation-retry-health",
            ),
            alert_name="recovery_escalation",
            schedule="recovery_retry_worker",
            gate=Gate.ACKNOWLEDGEMENT,
            cavra=CavraPaths(
                "recovery-escalations",
                health="retry-health",
                sent="plan",
                sent_as="escalation_plan",
                skips_without_connectors=True,
            ),
            is_always_in_use=True,
            execution_fields="run_id plan_id",
            notice=("escalation of a recovery", "escalations of recoveries"),
        ),
        Lane(
            name="executive_report",
            delivery_source=SOURCE + "_recovery_executive_report",
            subject_fields=("run_id", "event_id", "session_id"),
            retry_delay_minutes=30,
            expected_interval_minutes=60,
            stale_metadata_minutes=180,
            kind_stem="recovery-executive-report",
            alert_name="executive_delivery",
            schedule="executive_delivery_retry",
            cavra=CavraPaths(
                "recovery-executive-report",
                plan="delivery-retry-plan",
                health="delivery-retry-health",
                sent="schedule_run",
                sent_as="schedule_run",
            ),
            takes_acknowledgements=False,
            delivery_alert="failed_executive_report_delivery",
            decision_field="executive_report_id",
            is_always_in_use=True,
            execution_fields="worker_run_id run_id executive_report_id",
            health_field="failed_executive_report_delivery_count",
            notice=("executive report",),
        ),
        Lane(
            name="recovery_health_alert",
            delivery_source=SOURCE + "_recovery_escalation_retry_health_alert",
            subject_fields=("health_id", "event_id"),
            retry_delay_minutes=15,
            expected_interval_minutes=30,
            stale_metadata_minutes=120,
            kind_stem="recovery-escalation-retry-health-alert",
            alert_name="recovery_health_alert",
            schedule="recovery_retry_worker",
            cavra=CavraPaths("recovery-escalations/retry-health-alerts"),
            run_fields="health_id",
            answer_fields="plan_id health_id",
            execution_fields="run_id worker_run_id plan_id health_id",
        ),
        Lane(
            name="executive_health_alert",
            delivery_source=SOURCE + "_recovery_executive_report_delivery_retry_health_alert",
            subject_fields=("health_id", "event_id"),
            retry_delay_minutes=15,
            expected_interval_minutes=60,
            stale_metadata_minutes=180,
            kind_stem="recovery-executive-report-delivery-retry-health-alert",
            alert_name="executive_health_alert",
            schedule="executive_delivery_retry",
            cavra=CavraPaths(
                "recovery-executive-report/delivery-retry-health-alerts",
                counts_every_plan=True,
                history_types=(
                    "alert_plan",
                    "delivery",
                    "acknowledgement",
                    "retry_plan",
                    "worker_run",
                    "execution",
                ),
            ),
            run_fields="health_id",
            answer_fields="plan_id health_id",
            execution_fields="run_id worker_run_id plan_id health_id",
        ),
        Lane(
            name="acknowledgement_audit",
            delivery_source=SOURCE,
            subject_fields=("delivery_id", "event_id", "session_id"),
            retry_delay_minutes=15,
            expected_interval_minutes=60,
            stale_metadata_minutes=120,
            kind_stem="retry",
            own_kinds=LadderKinds(
                "retry-plan",
                "worker-run",
                "retry-execution-record",
                "worker-health",
            ),
            alert_name="acknowledgement_audit",
            schedule="audit_delivery_retry",
            gate=Gate.APPROVAL,
            decision_field="audit_id",
            retries_have_new_subjects=True,
            answer_fields="retry_plan_id delivery_id audit_id",
            execution_fields="run_id delivery_id audit_id approval_decision_id",
            notice=("audit delivery", "audit deliveries"),
        ),
        Lane(
            name="auditor_export",
            delivery_source=SOURCE + "_final_reporting_auditor_export",
            subject_fields=("export_id", "event_id"),
            retry_delay_minutes=15,
            expected_interval_minutes=60,
            stale_metadata_minutes=180,
            kind_stem="final-reporting-auditor-export",
            alert_name="auditor_export",
            schedule="audit_delivery_retry",
            takes_acknowledgements=False,
            sendable=Sendable("auditor_export", "verification_state", "verified"),
            execution_fields="worker_run_id export_id verification_id release_record_ref",
            notice=("export for auditors", "exports for auditors"),
        ),
        Lane(
            name="release_closeout",
            delivery_source=SOURCE + "_final_reporting_release_closeout",
            subject_fields=("summary_id", "event_id"),
            retry_delay_minutes=15,
            expected_interval_minutes=60,
            stale_metadata_minutes=180,
            kind_stem="final-reporting-release-closeout",
            alert_name="release_closeout",
            schedule="audit_delivery_retry",
            takes_acknowledgements=False,
            sendable=Sendable("closeout_summary", "closeout_state", "closed"),
            retries_have_new_subjects=True,
            run_fields="retry_plan_id",
            execution_fields="run_id delivery_id summary_id release_record_ref",
            results_are_nested=True,
            notice=("closeout of a release", "closeouts of releases"),
        ),
    )
}


#: Lanes whose retries have subjects of their own (contract section 4a).
LANES_OF_NEW_SUBJECTS = tuple(lane.name for lane in LANES.values() if lane.retries_have_new_subjects)
#: What a recovery playbook is built from: failed audit deliveries, and failed alerts about their worker.
FAILURE_SOURCES = (LANES["acknowledgement_audit"].delivery_source, SOURCE + "_worker_health_alert")
#: How far back a playbook looks, in hours.
LOOKBACK_HOURS = 24
#: How far back before a run of failures the share of failed outcomes is counted, in days (contract section 14).
INCIDENT_DAYS = 30


def lanes_of(schedule: str) -> tuple[str, ...]:
    """Returns the names of the lanes whose workers a schedule runs."""
    return tuple(lane.name for lane in LANES.values() if lane.schedule == schedule)


def lane_named(name: str) -> Lane:
    """Returns the lane of that name.

    Raises:
        UsageError: There is no such lane; the message lists those there are.
    """
    try:
        return LANES[name]
    except KeyError:
        raise UnknownName("there is no such lane", where="lane", remedy=use_one_of(name, [*LANES])) from None
