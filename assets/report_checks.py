"""The checks of a report asset, and of the configuration its run is launched with."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import dagster as dg

from cavra_pipeline.assets.report_metadata import why
from cavra_pipeline.documents import parse_as_of
from cavra_pipeline.jobs import WHY
from cavra_pipeline.lanes import Lane
from cavra_pipeline.reports.store import REQUESTED_AS, Report, SavedReports, judged_by, list_reports
from cavra_pipeline.state import State
from cavra_pipeline.state.tables import EVERY_LANE

#: The check that says whether the newest run made the day's own report.
_OWN_CHECK: Final = "is_own_report"
#: A lane that is not in use, and a home without a playbook, fail no check.
_PASSING: Final = ("healthy", "unknown")
_SEVERITIES: Final = {"critical": dg.AssetCheckSeverity.ERROR, "warning": dg.AssetCheckSeverity.WARN}


def check_config(report: str, lane: Lane | None, run_config: Mapping[str, Any]) -> None:
    """Refuses run configuration that a report does not accept.

    Raises:
        UsageError: The instant or a parameter is not accepted.
    """
    values = dict(run_config)
    as_of = values.pop("as_of", None)
    if as_of is not None:
        parse_as_of(as_of)
    judged_by(report, lane, values)


def healthy(state: State, newest: Report) -> dg.AssetCheckResult:
    """Returns the check of the level of the newest day: that of its own report, also after a what-if."""
    level, report_id, because = newest.document["alert_level"], newest.report_id, why(newest)
    if newest.is_what_if:
        which = SavedReports(report=newest.report, lane=newest.lane or EVERY_LANE, first=newest.day, last=newest.day)
        own_report = next(iter(list_reports(state, which, limit=1)), None)
        level, report_id = (
            (own_report["alert_level"], own_report["report_id"]) if own_report else ("not made yet", "none")
        )
        because = "The newest run made a what-if; the level is that of the day's own report."
    return dg.AssetCheckResult(
        check_name="is_healthy",
        passed=level in _PASSING,
        severity=_SEVERITIES.get(level, dg.AssetCheckSeverity.WARN),
        metadata={WHY: because, "alert_level": level, "day": newest.day.isoformat(), "report_id": report_id},
    )


def own_check(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Returns the check that fails where a run made a what-if: the saved reports of its days are as they were."""
    return dg.AssetCheckSpec(
        _OWN_CHECK, asset=key, description="Passes when the newest run made the day's own report, no what-if."
    )


def own_result(is_what_if: bool, shown: Mapping[str, Any]) -> dg.AssetCheckResult:
    """Returns the result of that check, with what else it shows."""
    why = "a what-if; the days' own reports are as they were." if is_what_if else "the days' own reports."
    return dg.AssetCheckResult(
        check_name=_OWN_CHECK,
        passed=not is_what_if,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={WHY: f"This run made {why}", **shown},
    )


def own_reports(kept: Sequence[Report]) -> dg.AssetCheckResult:
    """Returns the same for the reports of a run."""
    what_ifs = [report for report in kept if report.is_what_if]
    saved_as = (
        {"saved_as": REQUESTED_AS[what_ifs[0].report], "newest_report_id": what_ifs[-1].report_id} if what_ifs else {}
    )
    return own_result(bool(what_ifs), {"what_if_count": len(what_ifs), **saved_as})
