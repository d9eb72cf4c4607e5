"""Words for people about causes: what each cause of an incident is, what to do, and why a delivery waits.

The command line, the executive report and the console (through its ``lanes.js``) all say these, but the reasons:
health reports and the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class CauseWords:
    """A cause in words.

    Attributes:
        what: What the provider does; the provider's name stands before it.
        was: The same of a provider that has accepted others since.
        step: What a person does, without a full stop; ``{name}`` stands for the provider's name.
        retries: What becomes of retries meanwhile, as a sentence; empty where nothing is to be said.
        check: What a person does about a failed delivery, ``{which}``, if the provider has accepted others since;
            empty where the cause passes by itself.
    """

    what: str
    was: str
    step: str
    retries: str = ""
    check: str = ""


_USELESS: Final = "Retries fail until then."
#: By the cause that `reports.incidents` names.
CAUSE_WORDS: Final[Mapping[str, CauseWords]] = {
    "credentials": CauseWords(
        "rejects our credentials",
        "rejected our credentials",
        "Renew the {name} credential or restore its permissions",
        _USELESS,
        "Check the credential of {which}",
    ),
    "gone": CauseWords(
        "no longer knows the address",
        "did not know the address",
        "Correct the {name} address",
        _USELESS,
        "Check the address of {which}",
    ),
    "throttled": CauseWords(
        "limits our requests", "limited our requests", "Send less to {name}, or ask for a higher limit"
    ),
    "server_error": CauseWords(
        "is returning server errors",
        "returned server errors",
        "Ask the owner of {name} when it will work again",
        "Retries continue meanwhile.",
    ),
    "no_answer": CauseWords(
        "does not answer", "did not answer", "Check the network, the host name and the certificate of {name}"
    ),
    "refused": CauseWords(
        "answers without accepting the message",
        "answered without accepting the message",
        "Read what {name} answered and correct what it names",
        check="Read what {name} answered to {which}",
    ),
    "rejected": CauseWords(
        "rejects what is sent",
        "rejected what was sent",
        "Correct what is sent to {name}",
        check="Check what was sent in {which}",
    ),
    "mixed": CauseWords("fails in several ways", "failed in several ways", "Read each delivery to {name}"),
}
#: Instead of a step for a cause that has passed by itself.
NOTHING_TO_FIX: Final = "nothing to fix, others have arrived since"
#: The step for recoveries past their limit: on the overview, of the alert, and where recoveries are listed.
RECOVERY_STEP: Final = "Fix the connector, then record each recovery as resolved or mitigated."
#: The step for a worker that has missed its runs: in a health report, and of its alert.
WORKER_STEP: Final = "Check that the worker's schedule is on and the Dagster daemon runs; the next run ends the outage."
#: Where more is known of a worker that is down than its evidence says: by the daemon, and by when its schedule is due.
DOWN_STEPS: Final = {
    "unknown": WORKER_STEP,
    "daemon_off": "Start the Dagster daemon (cavra-pipeline dev) and check that the worker's schedule is on; "
    "the next run ends the outage.",
    "never_due": "The Dagster daemon runs: check in Dagster that the worker's schedule is on; "
    "the next run ends the outage.",
    "due": "The scheduled run at {times} ends the {outages}; if it does not, check in Dagster that the schedule is on.",
    "several_due": "The scheduled runs at {times} end the outages; if one does not end, "
    "check in Dagster that its schedule is on.",
}
#: What to do about a worker that runs less often than its lane expects; of a host whose schedule is due often enough.
INTERVAL_STEP: Final = "Check that its schedule is due as often as expected, or adjust what is expected."
INTERVAL_STEP_HERE: Final = (
    "This host's schedule is due every {every} and needs no change: "
    "the runs on record are of another host, or of before."
)
#: The step for gaps, each of which a person has decided against for now.
PUT_OFF_STEP: Final = "Nothing until a person decides otherwise; then acknowledge or approve it."
#: The step for a stale plan where the worker is down: its run makes a plan, so that nothing else is to be done.
STALE_PLAN_STEP: Final = "The worker's next run makes a new one."
#: Below a forecast's instants, which are reckoned by evidence alone, where Dagster's daemon runs.
FORECAST_NOTE: Final = "Instants are counted from the last run; the schedule here is due at {time}."
#: What comes before retries whose provider fails until a person has fixed the cause.
FIX_FIRST: Final = "Fix the cause first: a retry that fails uses up an attempt."
#: The same step for the workers of several lanes.
WORKERS_STEP: Final = (
    "If the next scheduled runs do not end the outages, "
    "check that the retry workers' schedules are on and the Dagster daemon runs."
)
#: Where the approval of a retry comes from: below what lists retries that need one.
WHERE_APPROVED: Final = "Approvals are given in CAVRA; they count once its evidence is ingested."
#: Below whom to ask, where the evidence had a name that may not be stored.
PSEUDONYM_NOTE: Final = "The label is a pseudonym: cavra-pipeline pseudonym NAME shows whether it is NAME's."
#: Why a due retry was held, or an execution skipped, by the name that a worker run or CAVRA gives it.
REASON_WORDS: Final[Mapping[str, str]] = {
    "claimed_by_another_run": "another run is sending it now",
    "already_executed": "this failure has been retried",
    "later_evidence": "it has a newer delivery",
    "subject_not_sendable": "its subject can't be sent",
    "provider_incident": "an incident is open, and this run probes once",
    "over_the_limit_of_this_run": "the limit of this run is reached",
    "provider_asked_to_wait": "the provider asked to wait",
    "provider_refused_it": "the provider refused it for good",
    "no_connector": "this host has no such connector",
    "connector_misconfigured": "the connector has a fault",
    "connector_secret_unusable": "a secret of the connector is missing or malformed",
    "connectors_file_unusable": "the connector file can't be read",
    "dry_run": "dry run",
    "other": "another reason",
    "connector_config_not_configured": "no connector was configured",
    "audit_package_not_found": "CAVRA did not find its audit package",
    "auditor_export_not_found": "CAVRA did not find its auditor export",
    "recovery_escalation_plan_not_found": "CAVRA did not find its escalation plan",
    "recovery_executive_report_schedule_run_not_found": "CAVRA did not find its executive report",
    "recovery_escalation_retry_health_not_found": "CAVRA did not find its recovery health report",
    "recovery_executive_report_delivery_retry_health_not_found": "CAVRA did not find its executive health report",
}
_STILL_STORED: Final = "check in CAVRA that {what} is still stored, and have it made again if it is not"
#: What to do about an execution that was skipped, by its reason; what is not named here has to be found out.
SKIP_STEPS: Final[Mapping[str, str]] = {
    "connector_config_not_configured": "configure the missing connector",
    "dry_run": "run the worker live",
    "audit_package_not_found": _STILL_STORED.format(what="the audit package"),
    "auditor_export_not_found": _STILL_STORED.format(what="the auditor export"),
    "recovery_escalation_plan_not_found": _STILL_STORED.format(what="the escalation plan"),
    "recovery_executive_report_schedule_run_not_found": _STILL_STORED.format(what="the executive report"),
    "recovery_escalation_retry_health_not_found": _STILL_STORED.format(what="the recovery health report"),
    "recovery_executive_report_delivery_retry_health_not_found": _STILL_STORED.format(
        what="the executive health report"
    ),
}
#: By the need that `causes.explain` names; ``{at}`` stands for its instant and ``{detail}`` for its detail.
RELEASE_WORDS: Final[Mapping[str, str]] = {
    "policy": "a policy that allows another attempt",
    "instant": "the end of its retry delay at {at}",
    "acknowledgement": "an acknowledgement ({detail})",
    "approval": "an approval, given in CAVRA",
    "subject": "a newer record of the subject that says {detail}",
    "connector": "a connector for {detail} on this host",
    "live_run": "a live run of the worker",
}


def held_words(needed: str, declined: str | None = None) -> str:
    """Says why a due retry is held for a person: the state that one has given it, else what it needs."""
    return f"held: {declined or f'needs an {needed}'}"
