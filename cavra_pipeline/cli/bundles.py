"""The commands on proof bundles: make one, check one."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import click

from cavra_pipeline.cli.command import OneOf, ReadableFile, answers, command, missing
from cavra_pipeline.cli.common import AS_OF, EXIT_FAILED, answer, clock, day_option, file_option, home, lane_option
from cavra_pipeline.cli.proof import answer_home, text_of
from cavra_pipeline.declared import HeadedOption, options_of
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.executive.report import DEFAULT_WINDOW_DAYS
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.private import put_in_place
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.reports.health import HealthParameters
from cavra_pipeline.reports.policy import RetryPolicy
from cavra_pipeline.reports.store import RETRY_HEALTH, RETRY_PLAN
from cavra_pipeline.settings import Settings
from cavra_pipeline.terminal import Terminal
from cavra_pipeline.verify.bundle import is_own_verifier, proven_report
from cavra_pipeline.verify.check import judged, printed
from cavra_pipeline.verify.lane_rules import lane_rules
from cavra_pipeline.verify.pairs import in_words
from cavra_pipeline.verify.prove import prove_report, prove_saved_report
from cavra_pipeline.verify.prove_executive import prove_executive_report
from cavra_pipeline.verify.prove_pair import prove_pair

_REPORTS: Final = {"plan": RETRY_PLAN, "health": RETRY_HEALTH}
_EXECUTIVE: Final = "executive"
#: Options of the report over all lanes, which takes no others.
_OF_EXECUTIVE: Final = frozenset({"slo_minutes", "window_days"})
_EITHER: Final = "Give --report, or --subject and --provider"
#: How a bundle and a light proof begin.
_BEGINNINGS: Final = (b"PK", b"{")
_FILE: Final = ReadableFile()


@command(
    "prove",
    "cavra-pipeline prove --lane executive_report --report plan -o plan.zip",
    "cavra-pipeline prove --lane executive_report --subject gordackexecsched-8081e47c4d054caf --provider servicenow",
)
@lane_option(help=f"One of {', '.join(LANES)}; none for the executive report, which is over all lanes.")
@click.option("--report", type=OneOf([*_REPORTS, _EXECUTIVE]), help="Which report.")
@click.option("--subject", metavar="SUBJECT", help="Instead of a report: the subject of one delivery, with --provider.")
@click.option("--provider", metavar="NAME", help="The provider of the delivery.")
@AS_OF
@day_option("--saved", "The saved report of this UTC day, YYYY-MM-DD, instead of a new one.")
@file_option("Where to write the bundle.  [default: the report's id and .zip]")
@options_of(RetryPolicy, "Of a plan")
@options_of(HealthParameters, "Of a health report")
@options_of(RecoveryParameters, "Of an executive report")
@click.option(
    "--window-days",
    cls=HeadedOption,
    heading="Of an executive report",
    type=int,
    metavar="N",
    help=f"UTC days of history.  [default: {DEFAULT_WINDOW_DAYS}]",
)
@answers
def prove_command(
    lane: Lane | None,
    report: str | None,
    subject: str | None,
    provider: str | None,
    as_of: datetime | None,
    saved: date | None,
    output_file: Path | None,
    **parameters: Any,
) -> None:
    """Write a report, or the state of a delivery, with proof.

    The proof of a report has the records it is based on, the commit log and a verifier. That of a delivery has its
    records and its place in a map of the lane's deliveries, some kilobytes; the verifier of any bundle checks it.

    The bundle holds every record of the lane up to the day of the report, as export writes them; that of the executive
    report holds every record of the home. Anyone can check it with Python alone: python3 BUNDLE
    """
    if report is None and subject is None:
        raise missing("report")
    if lane is None and report != _EXECUTIVE:
        raise missing("lane")
    settings, now = home(), clock()
    values = {name: value for name, value in parameters.items() if value not in (None, ())}
    if saved and (as_of or values):
        raise UsageError("a saved report has its own instant and parameters", where="--saved", remedy="Leave them out")
    if (report is None) is (subject is None) or (subject is None) is not (provider is None):
        raise UsageError("either a report or a delivery is proven", where="prove", remedy=_EITHER)
    if lane and report == _EXECUTIVE:
        raise UsageError("an executive report is over all lanes", where="--lane", remedy="Leave it out")
    if subject is not None and provider is not None and lane:
        if saved or values:
            raise UsageError("a delivery has no parameters", where="--subject", remedy="Leave them out")
        proof = prove_pair(settings, lane, subject, provider, as_of=as_of or now)
        _write_pair(proof, output_file or Path("pair.json"))
        return
    if lane is None:
        bundle = _executive_bundle(settings, values, saved, as_of=as_of or now, now=now)
    elif saved:
        bundle = prove_saved_report(settings, _REPORTS[str(report)], lane, saved)
    else:
        bundle = prove_report(settings, _REPORTS[str(report)], lane, as_of=as_of or now, now=now, parameters=values)
    _write_bundle(bundle, output_file)


def _executive_bundle(
    settings: Settings, parameters: dict[str, Any], saved: date | None, *, as_of: datetime, now: datetime
) -> bytes:
    odd = sorted(parameters.keys() - _OF_EXECUTIVE)
    if odd or saved:
        name = odd[0].replace("_", "-") if odd else "saved"
        raise UsageError(
            "an executive report doesn't take this",
            where=f"--{name}",
            remedy="Give --as-of, --slo-minutes or --window-days",
        )
    return prove_executive_report(
        settings, as_of=as_of, now=now, providers=settings.escalation_connectors, **parameters
    )


def _write_bundle(bundle: bytes, output: Path | None) -> None:
    report_id, digest = proven_report(bundle)
    path = output or Path(f"{report_id}.zip")
    put_in_place(path, lambda file: file.write(bundle))
    document = {"report_id": report_id, "report_sha256": digest, "bundle": str(path), "byte_count": len(bundle)}
    text = f"{report_id}: proven by {path} ({len(bundle):,} bytes)"
    answer(document, _shown(text, f"cavra-pipeline verify {shlex.quote(str(path))}"))


def _write_pair(proof: bytes, path: Path) -> None:
    state = json.loads(proof)["state"]
    put_in_place(path, lambda file: file.write(proof))
    document = {"state": state, "proof": str(path), "byte_count": len(proof)}
    text = f"{in_words(state)}: proven by {path} ({len(proof):,} bytes)"
    answer(document, _shown(text, f"cavra-pipeline verify {shlex.quote(str(path))}"))


def _shown(text: str, after: str) -> Callable[[Terminal, Any], None]:
    def show(console: Terminal, _document: Any) -> None:
        console.print(text, soft_wrap=True)
        console.next(after)

    return show


@command("verify", "cavra-pipeline verify plan.zip", "cavra-pipeline verify --home")
@click.argument("bundle", type=_FILE, required=False)
@click.option("--home", "is_home", is_flag=True, help="Verify what CAVRA_HOME holds, instead of a bundle.")
@click.option("--key", type=_FILE, help="Public key from another source; the one in the bundle if not given.")
@click.option("--against", type=_FILE, help="An older checkpoint of the same log, saved by you.")
@answers
def verify_command(bundle: Path | None, is_home: bool, key: Path | None, against: Path | None) -> None:
    """Check a proof bundle, or all that a home holds.

    Exit 0 if the report is proven by its BUNDLE, 1 if not.

    Of a bundle it checks the digests, the signatures, the commit log and the evidence, and computes the report once
    more from the records. The same checks run without this package: python3 BUNDLE

    Of a home it verifies landing files, evidence, the commit log and saved reports, and exits 3 if anything differs.
    The warehouse is derived once more and compared row by row, which takes about as long as ingesting everything.
    """
    if bundle is None and not is_home:
        raise missing("bundle")
    if is_home and (bundle or key or against):
        raise UsageError("the home is verified by what it holds", where="--home", remedy="Give BUNDLE, or --home alone")
    if bundle is None:
        answer_home()
        return
    raw = bundle.read_bytes()
    if not raw.startswith(_BEGINNINGS):
        raise PipelineError(
            "it is not a proof bundle", where=str(bundle), remedy="Give a file that cavra-pipeline prove wrote"
        )
    of_key, of_checkpoint = (text_of(path) if path else None for path in (key, against))
    passed_checks, fault = judged(raw, lane_rules(), key=of_key, against=of_checkpoint)
    document = {
        "is_proven": not fault,
        "fault": fault or None,
        "checks": [{"part": part, "found": result} for part, result in passed_checks],
        "is_own_verifier": is_own_verifier(raw) if not fault and not raw.startswith(b"{") else None,
    }

    def show(console: Terminal, _document: object) -> None:
        *lines, verdict = printed(passed_checks, fault)
        for line in lines:
            console.print(line, style="red" if line.startswith("FAIL") else "", soft_wrap=True)
        if document["is_own_verifier"] is False:
            console.print("The verifier in the bundle is that of another release, or was changed.", soft_wrap=True)
        console.print(verdict)

    answer(document, show, "checks")
    sys.exit(EXIT_FAILED if fault else 0)
