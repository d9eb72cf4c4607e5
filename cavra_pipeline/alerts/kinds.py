"""The table of alert kinds: severity, what to do next, what else explains an alert, how notifications are grouped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cavra_pipeline.alerts.signals import Severity
from cavra_pipeline.connectors.faults import PROBLEM_REASONS
from cavra_pipeline.errors import UnknownName, use_one_of
from cavra_pipeline.reports.cause_words import RECOVERY_STEP, WORKER_STEP


@dataclass(frozen=True, slots=True)
class Inhibitor:
    """An alert that explains another, which is then muted.

    Attributes:
        kind: Kind of the alert that explains. While it is open, it mutes alerts whose cause is not known.
        cause: The cause by which an alert says that this is its explanation. Such an alert stays muted after the
            explanation is over, until it ends or has another cause besides.
        same_subject: Whether both must be about the same subject.
    """

    kind: str
    cause: str
    same_subject: bool = False


@dataclass(frozen=True, slots=True)
class AlertKind:
    """One kind of alert.

    Attributes:
        name: What a signal calls it.
        severity: What a sensor should give, unless it knows better.
        title: What is wrong, in a few words; a notification puts the subject and the count beside it.
        noun: What one such alert is about, and several, for counts: a lane with a stale retry plan.
        action: What a person should do next.
        inhibited_by: What explains it.
        is_notified_together: Whether all alerts of the kind share one notification and one suppression window: right
            where one outage makes hundreds of them. Else each subject has notifications of its own.
        counts_missed_runs: Whether its count is a number of runs that did not take place.
        ends_by_hand: Whether only a person ends it, by resolving it. More of it is news at once.
        unit: What its count counts, one and several; None where the count says nothing to a person.
    """

    name: str
    severity: Severity
    title: str
    noun: tuple[str, str]
    action: str
    inhibited_by: tuple[Inhibitor, ...] = ()
    is_notified_together: bool = False
    counts_missed_runs: bool = False
    ends_by_hand: bool = False
    unit: tuple[str, str] | None = None


FLAPPING: Final = "flapping"
UNDELIVERED: Final = "undelivered_notice"
SECRET_FINDING: Final = "secret_finding"  # noqa: S105 -- a kind
PROVIDER_INCIDENT: Final = "provider_incident"
FAILED_EXECUTION: Final = "failed_execution"
WORKER_DOWN: Final = "worker_down"
BROKEN_CONNECTOR: Final = "broken_connector"
REBUILT: Final = "warehouse_rebuilt"
HISTORY_CHANGED: Final = "history_changed"
#: Causes that say nothing: as good as none.
UNKNOWN_CAUSES: Final = frozenset({"unknown_cause"})

_DAEMON: Final = Inhibitor("daemon_down", "daemon_down")
_CODE: Final = Inhibitor("code_location_down", "code_location_not_loadable")
_OFF: Final = Inhibitor("instigator_off", "schedule_stopped", same_subject=True)
_INCIDENT: Final = Inhibitor(PROVIDER_INCIDENT, PROVIDER_INCIDENT)
_DOWN: Final = (_DAEMON, _CODE)

_TABLE: Final = (
    AlertKind(
        "daemon_down",
        "critical",
        "the Dagster daemon is not running",
        ("Dagster daemon that is not running", "Dagster daemons that are not running"),
        "Start the daemon (cavra-pipeline dev, or its service); cavra-pipeline scheduled-runs lists what was missed.",
    ),
    AlertKind(
        "code_location_down",
        "critical",
        "the code location does not load",
        ("code location that does not load", "code locations that do not load"),
        "Read its error in the Dagster UI under Deployment, fix it and reload the location.",
        inhibited_by=(_DAEMON,),
    ),
    AlertKind(
        "instigator_off",
        "critical",
        "a schedule or sensor that must be on is off",
        ("schedule or sensor that is off", "schedules and sensors that are off"),
        "Switch it on again in the Dagster UI, or declare it off with a reason.",
        inhibited_by=_DOWN,
    ),
    AlertKind(
        "missed_run",
        "critical",
        "scheduled runs were missed",
        ("schedule with missed runs", "schedules with missed runs"),
        "Fix its cause, then run the job once by hand.",
        inhibited_by=(*_DOWN, _OFF),
        counts_missed_runs=True,
        unit=("missed run", "missed runs"),
    ),
    AlertKind(
        WORKER_DOWN,
        "critical",
        "a lane's retry worker has missed its runs",
        ("lane whose worker is down", "lanes whose workers are down"),
        WORKER_STEP,
        inhibited_by=_DOWN,
    ),
    AlertKind(
        "stale_retry_plan",
        "warning",
        "the newest retry plan is stale",
        ("lane with a stale retry plan", "lanes with a stale retry plan"),
        "Check that the lane's worker runs: each run makes a new retry plan.",
        inhibited_by=(*_DOWN, Inhibitor(WORKER_DOWN, WORKER_DOWN, same_subject=True)),
    ),
    AlertKind(
        "acknowledgement_gap",
        "warning",
        "failing deliveries wait for an acknowledgement",
        ("lane with deliveries to acknowledge", "lanes with deliveries to acknowledge"),
        "Acknowledge each one; live retries wait until then.",
        is_notified_together=True,
        unit=("delivery to acknowledge", "deliveries to acknowledge"),
    ),
    AlertKind(
        "approval_gap",
        "warning",
        "retries wait for an approval in CAVRA",
        ("lane with retries to approve", "lanes with retries to approve"),
        "Approve or deny each one in CAVRA; live retries wait until its evidence is ingested.",
        is_notified_together=True,
        unit=("retry to approve", "retries to approve"),
    ),
    AlertKind(
        "recovery_past_limit",
        "critical",
        "recoveries are open past their limit",
        ("provider with recoveries past their limit", "providers with recoveries past their limit"),
        RECOVERY_STEP,
        unit=("recovery past its limit", "recoveries past their limit"),
    ),
    AlertKind(
        PROVIDER_INCIDENT,
        "critical",
        "a provider is broken",
        ("broken provider", "broken providers"),
        "Take the next step that the incident names.",
        unit=("failed attempt", "failed attempts"),
    ),
    AlertKind(
        FAILED_EXECUTION,
        "critical",
        "retries failed or were skipped and have not been delivered since",
        ("lane with retries that failed", "lanes with retries that failed"),
        "Find out why each of these deliveries fails, and remove the cause; then they are retried.",
        inhibited_by=(_INCIDENT,),
        is_notified_together=True,
        unit=("failed or skipped retry", "failed or skipped retries"),
    ),
    AlertKind(
        "exhaustion_ahead",
        "warning",
        "deliveries are exhausted within the hour if live retries fail",
        ("lane whose retries run out soon", "lanes whose retries run out soon"),
        "Fix what makes these deliveries fail before a live run makes their last retry.",
        inhibited_by=(_INCIDENT,),
        unit=("delivery about to be exhausted", "deliveries about to be exhausted"),
    ),
    AlertKind(
        "disabled_schedule",
        "warning",
        "worker runs say that their schedule is disabled",
        ("lane whose schedule is disabled", "lanes whose schedules are disabled"),
        "Switch the schedule on again, or record why it is off.",
    ),
    AlertKind(
        "failed_run",
        "critical",
        "runs failed",
        ("job whose run failed", "jobs whose runs failed"),
        "Open the failed run in the Dagster UI, fix its cause and run it again.",
        inhibited_by=(_CODE,),
        is_notified_together=True,
        unit=("failed run", "failed runs"),
    ),
    AlertKind(
        "source_unreadable",
        "critical",
        "a source of evidence can't be read",
        ("source that can't be read", "sources that can't be read"),
        "Run cavra-pipeline import --sources NAME on the host and fix what it names.",
    ),
    AlertKind(
        "source_silent",
        "warning",
        "a source of evidence is silent",
        ("silent source", "silent sources"),
        "Check that CAVRA still writes there and that the schedule import_sources runs.",
        inhibited_by=(*_DOWN, Inhibitor("source_unreadable", "source_unreadable", same_subject=True)),
    ),
    AlertKind(
        "quarantine",
        "critical",
        "records were quarantined",
        ("day with quarantined records", "days with quarantined records"),
        "Check what was rejected and why, fix the source and import it again.",
        is_notified_together=True,
        unit=("quarantined record", "quarantined records"),
    ),
    AlertKind(
        SECRET_FINDING,
        "critical",
        "a source carries secrets",
        ("day with leaked secrets", "days with leaked secrets"),
        "Rotate what leaked, fix the source, then resolve this alert by hand.",
        ends_by_hand=True,
        is_notified_together=True,
        unit=("leaked secret", "leaked secrets"),
    ),
    AlertKind(
        REBUILT,
        "warning",
        "the warehouse was lost and rebuilt",
        ("rebuilt warehouse", "rebuilt warehouses"),
        "No evidence was lost. Find out what removed or changed the file; a rejected file is next to it.",
        is_notified_together=True,
    ),
    AlertKind(
        HISTORY_CHANGED,
        "critical",
        "the home differs from what it was made from",
        ("home that has changed", "homes that have changed"),
        "Run cavra-pipeline verify --home, which names what differs; find out why, and restore it from a backup.",
        is_notified_together=True,
    ),
    AlertKind(
        "late_evidence",
        "warning",
        "late evidence left reports outdated",
        ("day with late evidence", "days with late evidence"),
        "Read the reports of those days again once they are rebuilt.",
        is_notified_together=True,
    ),
    AlertKind(
        "sensor_error",
        "critical",
        "a sensor fails",
        ("sensor or schedule that fails", "sensors and schedules that fail"),
        "Read the tick's error in the Dagster UI; nothing that it watches is watched until it is fixed.",
        inhibited_by=_DOWN,
    ),
    AlertKind(
        "tick_age",
        "critical",
        "a sensor has stopped ticking",
        ("sensor that has stopped ticking", "sensors that have stopped ticking"),
        "Check that the daemon runs and is not overloaded.",
        inhibited_by=_DOWN,
    ),
    AlertKind(
        "daemon_heartbeat",
        "critical",
        "a part of the Dagster daemon has no heartbeat",
        ("part of the daemon without a heartbeat", "parts of the daemon without a heartbeat"),
        "Restart the daemon; its log says what became of that part.",
        inhibited_by=(_DAEMON,),
    ),
    AlertKind(
        "run_backlog",
        "warning",
        "runs wait in the queue",
        ("queue of runs that does not move", "queues of runs that do not move"),
        "Open Runs, Queued in the Dagster UI; end what hangs or raise the limit of concurrent runs.",
        inhibited_by=_DOWN,
        unit=("queued run", "queued runs"),
    ),
    AlertKind(
        BROKEN_CONNECTOR,
        "critical",
        "a connector cannot be used",
        ("broken connector", "broken connectors"),
        "Run cavra-pipeline connectors on the host and fix what it names. Retries for it are held meanwhile.",
    ),
    AlertKind(
        UNDELIVERED,
        "warning",
        "a connector does not accept notifications",
        ("connector that does not accept notifications", "connectors that do not accept notifications"),
        "Fix the connector. The notifications are saved and sent again.",
        inhibited_by=tuple(Inhibitor(BROKEN_CONNECTOR, reason, same_subject=True) for reason in PROBLEM_REASONS),
    ),
    AlertKind(
        FLAPPING,
        "warning",
        "an alert comes and goes",
        ("alert that comes and goes", "alerts that come and go"),
        "Fix what makes it unstable. No more notifications about it are sent until it is stable.",
    ),
)

KINDS: Final[dict[str, AlertKind]] = {kind.name: kind for kind in _TABLE}


def kind_named(name: str) -> AlertKind:
    """Returns the kind of that name.

    Raises:
        UsageError: There is no such kind; the message lists those there are.
    """
    try:
        return KINDS[name]
    except KeyError:
        raise UnknownName("there is no such kind of alert", where="kind", remedy=use_one_of(name, [*KINDS])) from None
