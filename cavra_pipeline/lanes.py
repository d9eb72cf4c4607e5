"""The retry ladders as data (contract section 4). A lane is one row here and listed nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from cavra_pipeline.errors import UsageError

SOURCE_PREFIX = "go_backend_rollback_drill_acknowledgement_audit_"

#: What an operator may say of a delivery, and of a health alert (contract section 2).
ACKNOWLEDGEMENT_STATES = ("acknowledged", "accepted", "deferred", "escalated", "resolved", "dismissed")
ALERT_STATES = ("acknowledged", "dismissed", "escalated", "resolved")
#: Newest states that let a live retry go ahead (contract section 8).
CLEARING_STATES = ("acknowledged", "accepted", "resolved")
#: Newest states that close a failed execution, and a recovery at a provider (contract section 7).
CLOSING_STATES = ("dismissed", "resolved")


@dataclass(frozen=True, slots=True)
class Lane:
    """One retry ladder.

    Attributes:
        name: The lane's name on the command line, in tables and in answers.
        delivery_source: ``connector_delivery_source`` of its deliveries.
        subject_fields: A delivery's subject is the first non-empty of these.
        subject_field: What a decision calls the subject; also the subject of executions and acknowledgements.
        retry_delay_minutes: Default base delay of the retry policy.
        live_needs_acknowledgement: Whether a live retry waits for an operator's acknowledgement.
        expected_interval_minutes: The worker's cadence.
        stale_metadata_minutes: Age over which the newest retry plan is stale.
        kind_stem: Last part of its kinds up to the retry ladder's own names.
        ladder_stem: Last part of its worker-run and execution kinds up to what they name.
        health_kind: Last part of its health-report kind.
        alert_name: What alert categories call the lane.
        schedule: The schedule that runs its worker.
        cavra_path: CAVRA's own path of its reports, or None if CAVRA has none.
        takes_acknowledgements: Whether operators acknowledge its deliveries.
        delivery_alert: Alert category for unresolved deliveries, if the lane has one.
        decides_on_reports: Whether a decision names the executive report too.
    """

    name: str
    delivery_source: str
    subject_fields: tuple[str, ...]
    subject_field: str
    retry_delay_minutes: int
    live_needs_acknowledgement: bool
    expected_interval_minutes: int
    stale_metadata_minutes: int
    kind_stem: str
    ladder_stem: str
    health_kind: str
    alert_name: str
    schedule: str
    cavra_path: str | None = None
    takes_acknowledgements: bool = True
    delivery_alert: str | None = None
    decides_on_reports: bool = False

    @property
    def retry_plan_kind(self) -> str:
        """Last part of the lane's retry-plan kind."""
        return f"{self.kind_stem}-delivery-retry-plan"

    @property
    def acknowledgement_kind(self) -> str | None:
        """Last part of its acknowledgement kind; None where nothing is acknowledged."""
        return f"{self.kind_stem}-ack" if self.takes_acknowledgements else None

    @property
    def acknowledgement_states(self) -> tuple[str, ...]:
        """States that an operator may give in this lane; none where nothing is acknowledged."""
        if not self.takes_acknowledgements:
            return ()
        return ACKNOWLEDGEMENT_STATES if self.live_needs_acknowledgement else ALERT_STATES

    @property
    def withdrawn_state(self) -> str:
        """State of a withdrawal: it neither clears a live retry nor closes what it is about.

        CAVRA has no state of its own for it. ``dismissed`` would close a failed execution (contract section 7).
        """
        return "deferred" if self.live_needs_acknowledgement else "escalated"

    @property
    def alerts_of(self) -> str | None:
        """Name of the lane whose health alerts this one delivers; None for a lane that delivers no alerts."""
        return next((one.name for one in LANES.values() if self.kind_stem == f"{one.health_kind}-alert"), None)

    @property
    def failed_delivery_field(self) -> str:
        """What a health report calls the count of failed deliveries in the window."""
        return f"failed_{self.name}_delivery_count"


LANES: dict[str, Lane] = {
    lane.name: lane
    for lane in (
        Lane(
            name="recovery_escalation",
            delivery_source=SOURCE_PREFIX + "recovery_escalation",
            subject_fields=("plan_id", "event_id"),
            subject_field="plan_id",
            retry_delay_minutes=15,
            live_needs_acknowledgement=True,
            expected_interval_minutes=30,
            stale_metadata_minutes=120,
            kind_stem="recovery-escalation",
            ladder_stem="recovery-escalation-retry",
            health_kind="recovery-escalation-retry-health",
            alert_name="recovery_escalation",
            schedule="recovery_retry_worker",
            cavra_path="recovery-escalations",
        ),
        Lane(
            name="executive_report",
            delivery_source=SOURCE_PREFIX + "recovery_executive_report",
            subject_fields=("run_id", "event_id", "session_id"),
            subject_field="run_id",
            retry_delay_minutes=30,
            live_needs_acknowledgement=False,
            expected_interval_minutes=60,
            stale_metadata_minutes=180,
            kind_stem="recovery-executive-report",
            ladder_stem="recovery-executive-report-delivery-retry",
            health_kind="recovery-executive-report-delivery-retry-health",
            alert_name="executive_delivery",
            schedule="executive_delivery_retry",
            cavra_path="recovery-executive-report",
            takes_acknowledgements=False,
            delivery_alert="failed_executive_report_delivery",
            decides_on_reports=True,
        ),
        Lane(
            name="recovery_health_alert",
            delivery_source=SOURCE_PREFIX + "recovery_escalation_retry_health_alert",
            subject_fields=("health_id", "event_id"),
            subject_field="health_id",
            retry_delay_minutes=15,
            live_needs_acknowledgement=False,
            expected_interval_minutes=30,
            stale_metadata_minutes=120,
            kind_stem="recovery-escalation-retry-health-alert",
            ladder_stem="recovery-escalation-retry-health-alert-delivery-retry",
            health_kind="recovery-escalation-retry-health-alert-delivery-retry-health",
            alert_name="recovery_health_alert",
            schedule="recovery_retry_worker",
        ),
        Lane(
            name="executive_health_alert",
            delivery_source=SOURCE_PREFIX + "recovery_executive_report_delivery_retry_health_alert",
            subject_fields=("health_id", "event_id"),
            subject_field="health_id",
            retry_delay_minutes=15,
            live_needs_acknowledgement=False,
            expected_interval_minutes=60,
            stale_metadata_minutes=180,
            kind_stem="recovery-executive-report-delivery-retry-health-alert",
            ladder_stem="recovery-executive-report-delivery-retry-health-alert-delivery-retry",
            health_kind="recovery-executive-report-delivery-retry-health-alert-delivery-retry-health",
            alert_name="executive_health_alert",
            schedule="executive_delivery_retry",
        ),
    )
}


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
        raise UsageError("there is no such lane", where="lane", remedy=f"Use one of {', '.join(LANES)}") from None
