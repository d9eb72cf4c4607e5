"""What goes wrong in the demo's month, as tables: incidents, and the notifications planted to show them.

When and what only; how the drill reacts is ``drill.py``, how a record looks is ``records.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cavra_pipeline.lanes import LANES

#: Lanes that carry no health alerts of another lane.
MAIN_LANES: Final = tuple(lane.name for lane in LANES.values() if lane.alerts_of is None)


@dataclass(frozen=True, slots=True)
class Offset:
    """An instant of the month: days and hours from the midnight (UTC) that begins the last day, or from its end.

    Attributes:
        days: Days to add, negative for before.
        hours: Hours to add.
        minutes: Minutes to add.
        from_end: Whether to count from the last minute of the month, not from the last midnight.
    """

    days: int = 0
    hours: int = 0
    minutes: int = 0
    from_end: bool = False

    def at(self, until: datetime) -> datetime:
        """Returns the instant for a month that ends at ``until``."""
        until = until.astimezone(UTC)
        anchor = until.replace(second=0, microsecond=0)
        if not self.from_end:
            anchor = anchor.replace(hour=0, minute=0)
        return anchor + timedelta(days=self.days, hours=self.hours, minutes=self.minutes)


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing that goes wrong.

    Attributes:
        name: What tests and code call it.
        lanes: The lanes it touches; it is left out of the story if none of them is in the history.
        start: When it starts.
        story: What happened, in words; ``{start}`` and ``{end}`` may stand in it.
        hours: How long it lasts; None if it goes on or is a moment.
        provider: The connector that fails meanwhile, if it is about one.
        status_code: What that connector answers.
    """

    name: str
    lanes: tuple[str, ...]
    start: Offset
    story: str
    hours: float | None = None
    provider: str | None = None
    status_code: int | None = None


@dataclass(frozen=True, slots=True)
class Happened:
    """An incident of a month that has a date.

    Attributes:
        incident: What happened.
        started_at: When it started.
        ended_at: When it was over; None if it goes on or was a moment.
    """

    incident: Incident
    started_at: datetime
    ended_at: datetime | None

    def covers(self, moment: datetime) -> bool:
        """Tells whether it was going on at that moment."""
        return self.started_at <= moment and (self.ended_at is None or moment < self.ended_at)

    @property
    def story(self) -> str:
        """What happened, in words."""
        end = "" if self.ended_at is None else f"{self.ended_at:%Y-%m-%d %H:%M}"
        return self.incident.story.format(start=f"{self.started_at:%Y-%m-%d %H:%M}", end=end)


_ESCALATION: Final = ("recovery_escalation",)

#: The bad month, oldest first. All times are UTC.
INCIDENTS: Final = (
    Incident(
        "worker_outage",
        MAIN_LANES,
        Offset(-12, 1),
        "{start} to {end}: the worker host was down overnight; no retry run of either main lane.",
        hours=3,
    ),
    Incident(
        "pasted_token",
        _ESCALATION,
        Offset(-10, 10, 20),
        "{start}: an operator pasted an access token where the acknowledgement id goes; the record is quarantined.",
    ),
    Incident(
        "teams_down",
        MAIN_LANES,
        Offset(-9, 8),
        "{start} to {end}: teams answered 503; all of it was delivered afterwards, so nothing is left to retry.",
        hours=24,
        provider="teams",
        status_code=503,
    ),
    Incident(
        "failed_execution",
        _ESCALATION,
        Offset(-8, 15, 30),
        "{start}: sentinel refuses one escalation (403); its retries failed and it was never delivered.",
    ),
    Incident(
        "leaked_webhook",
        _ESCALATION,
        Offset(-7, 16, 45),
        "{start}: a delivery record carries a Slack webhook address; it is dropped and leaves a finding.",
    ),
    Incident(
        "late_evidence",
        MAIN_LANES,
        Offset(-6),
        "{start} to {end}: this day's records arrived later, in a file of their own, with half a line among them.",
        hours=24,
    ),
    Incident(
        "newer_version",
        _ESCALATION,
        Offset(-6, 9),
        "{start}: the late file brings a newer version of an escalation plan; the older one is superseded.",
    ),
    Incident(
        "escalated_acknowledgement",
        _ESCALATION,
        Offset(-5, 11, 15),
        "{start}: a failed splunk delivery was escalated, not acknowledged; it may not be retried live.",
    ),
    Incident(
        "schedule_disabled",
        _ESCALATION,
        Offset(-4, 13),
        "{start} to {end}: the escalation worker ran with its schedule disabled.",
        hours=4.5,
    ),
    Incident(
        "missing_acknowledgement",
        _ESCALATION,
        Offset(-3, 9, 20),
        "{start}: a failed slack delivery that nobody has acknowledged since.",
    ),
    Incident(
        "deferred_acknowledgement",
        _ESCALATION,
        Offset(-3, 14, 40),
        "{start}: a failed jira delivery was deferred; an e-mail address signed for it and is stored as a pseudonym.",
    ),
    Incident(
        "servicenow_token",
        MAIN_LANES,
        Offset(-2, 10),
        "{start} until now: servicenow answers 401, its token has expired; deliveries are exhausted, waiting and due.",
        provider="servicenow",
        status_code=401,
    ),
    Incident(
        "executive_worker_stopped",
        ("executive_report",),
        Offset(-1, 18),
        "{start} until now: the executive report worker has not run.",
    ),
    Incident(
        "dry_runs_only",
        _ESCALATION,
        Offset(hours=-6, from_end=True),
        "{start} until now: the escalation worker makes dry runs only, so what is due stays due.",
    ),
)

#: When the two health-alert lanes went live.
ALERTS_SINCE: Final = Offset(-7)


@dataclass(frozen=True, slots=True)
class Planted:
    """A notification that is there to show something, beside the random ones.

    Attributes:
        lane: Its lane.
        at: When it goes out.
        providers: Where it goes; what is not in ``fails`` or in an incident takes it.
        fails: Connectors that never take it, and what they answer.
        acknowledged: What operators say about a failure (None: nothing, ever), where it isn't left to chance.
        signer: Who signs those acknowledgements.
        incident: The incident it shows.
        leaks_address: Whether its delivery record carries a webhook address.
    """

    lane: str
    at: Offset
    providers: tuple[str, ...]
    fails: Mapping[str, int] = field(default_factory=dict)
    acknowledged: Mapping[str, str | None] = field(default_factory=dict)
    signer: str | None = None
    incident: str | None = None
    leaks_address: bool = False


_AT: Final = {incident.name: incident.start for incident in INCIDENTS}
_SERVICENOW: Final = "servicenow"


def _expired_token(lane: str, at: Offset, acknowledged: str | None = "accepted") -> Planted:
    return Planted(lane, at, (_SERVICENOW, "webhook"), acknowledged={_SERVICENOW: acknowledged})


#: Oldest first, lane by lane.
PLANTED: Final = (
    Planted(
        "recovery_escalation",
        _AT["failed_execution"],
        ("sentinel", "slack"),
        fails={"sentinel": 403},
        acknowledged={"sentinel": "accepted"},
        incident="failed_execution",
    ),
    Planted(
        "recovery_escalation",
        _AT["leaked_webhook"],
        ("slack", "webhook"),
        incident="leaked_webhook",
        leaks_address=True,
    ),
    Planted(
        "recovery_escalation",
        _AT["escalated_acknowledgement"],
        ("splunk", "datadog"),
        fails={"splunk": 500},
        acknowledged={"splunk": "escalated"},
        incident="escalated_acknowledgement",
    ),
    Planted(
        "recovery_escalation",
        _AT["missing_acknowledgement"],
        ("slack", "webhook"),
        fails={"slack": 500},
        acknowledged={"slack": None},
        incident="missing_acknowledgement",
    ),
    Planted(
        "recovery_escalation",
        _AT["deferred_acknowledgement"],
        ("jira", "teams"),
        fails={"jira": 502},
        acknowledged={"jira": "deferred"},
        signer="sam.doe@example.org",
        incident="deferred_acknowledgement",
    ),
    # Acknowledged early enough to be retried until they are exhausted.
    *(_expired_token("recovery_escalation", Offset(-2, hours, 10)) for hours in (11, 13, 15)),
    # In the dry hours: due without an acknowledgement, due with one, and not yet due.
    _expired_token("recovery_escalation", Offset(minutes=-95, from_end=True), None),
    _expired_token("recovery_escalation", Offset(minutes=-50, from_end=True)),
    _expired_token("recovery_escalation", Offset(minutes=-5, from_end=True), None),
    _expired_token("executive_report", Offset(-2, 10, 40)),
    _expired_token("executive_report", Offset(-2, 12, 40)),
    # After the worker stopped: due, and not yet due.
    _expired_token("executive_report", Offset(hours=-3, from_end=True)),
    _expired_token("executive_report", Offset(minutes=-10, from_end=True)),
)


@dataclass(frozen=True, slots=True)
class Month:
    """The time the demo covers.

    Attributes:
        start: Nothing is older.
        until: Nothing is newer.
        happened: The incidents by name, dated.
    """

    start: datetime
    until: datetime
    happened: Mapping[str, Happened]

    @classmethod
    def ending(cls, until: datetime, days: int) -> Month:
        """Returns the month of that many days up to ``until``."""
        dated: dict[str, Happened] = {}
        for incident in INCIDENTS:
            start = incident.start.at(until)
            end = None if incident.hours is None else start + timedelta(hours=incident.hours)
            dated[incident.name] = Happened(incident, start, end)
        return cls(until - timedelta(days=days), until, dated)

    def is_on(self, name: str, lane: str, moment: datetime) -> bool:
        """Tells whether that incident touched that lane at that moment."""
        happened = self.happened[name]
        return lane in happened.incident.lanes and happened.covers(moment)

    def failing(self, provider: str, lane: str, moment: datetime) -> Happened | None:
        """Returns the incident that keeps a connector from taking anything at that moment."""
        for happened in self.happened.values():
            incident = happened.incident
            if incident.provider == provider and lane in incident.lanes and happened.covers(moment):
                return happened
        return None
