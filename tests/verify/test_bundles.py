"""Bundles of every lane: proven by the verifier alone, made again as they were, and checked by key and checkpoint."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import Settings
from cavra_pipeline.verify.bundle import attested, public_text
from cavra_pipeline.verify.check import judged
from cavra_pipeline.verify.container import pack, unpack
from tests.support import Record, ask_health, ask_plan, ingested
from tests.verify.bundles import KEY, RULES, Log, bundle_of, derived, fault_of

pytestmark = pytest.mark.slow

END = datetime(2026, 11, 24, 20, tzinfo=UTC)
MIDDLE = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
LANE = "executive_report"


def run(folder: Path, bundle: bytes, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a bundle as Python runs an archive: nothing of ours is on the path, and no package is."""
    path = folder / "proof.zip"
    path.write_bytes(bundle)
    command = [sys.executable, "-I", "-S", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.parametrize("lane", LANES)
def test_plan_and_health_of_each_lane_are_proven(month: Settings, month_log: Log, lane: str) -> None:
    for report in (
        ask_plan(month, lane, MIDDLE, max_retry_attempts=2, backoff_multiplier=1.5, non_retryable_status_codes=[401]),
        ask_plan(month, lane, END),
        ask_health(month, lane, END),
        ask_health(month, lane, MIDDLE, window_hours=24, expected_interval_minutes=7),
    ):
        assert fault_of(bundle_of(month_log, report)) == ""


def test_the_report_from_the_lines_of_a_bundle_is_the_same_bytes(
    month: Settings, month_log: Log, tmp_path: Path
) -> None:
    report = ask_plan(month, LANE, MIDDLE)
    files = unpack(bundle_of(month_log, report))
    lines = [line for name in files if name.startswith("evidence/") for line in files[name].splitlines()]
    again = ask_plan(ingested(tmp_path, {"2026-11-28": lines}), LANE, MIDDLE)

    assert attested(again) == attested(report)
    assert again["retry_plan_id"] == report["retry_plan_id"]


def test_a_bundle_runs_alone_and_says_what_it_checked(month: Settings, month_log: Log, tmp_path: Path) -> None:
    done = run(tmp_path, bundle_of(month_log, ask_health(month, LANE, END)))

    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "ok   file", "ok   signature", "ok   log", "ok   evidence", "ok   report", "PROVEN",
    ]  # fmt: skip


def test_a_bundle_that_does_not_hold_exits_1_and_says_why(month: Settings, month_log: Log, tmp_path: Path) -> None:
    report = {**ask_plan(month, LANE, END), "waiting_count": 77}
    done = run(tmp_path, bundle_of(month_log, report))

    assert (done.returncode, done.stderr) == (1, "")
    assert "FAIL report: waiting_count says 77, the records say 0" in done.stdout
    assert done.stdout.endswith("NOT PROVEN\n")


def test_another_bundle_and_a_key_check_a_bundle(month: Settings, month_log: Log, tmp_path: Path) -> None:
    bundle = bundle_of(month_log, ask_plan(month, LANE, END))
    (tmp_path / "other.zip").write_bytes(bundle)
    (tmp_path / "key.txt").write_text(public_text(month_log.checkpoint.origin, KEY.public_key().public_bytes_raw()))

    done = run(tmp_path, bundle, "other.zip", "--key", "key.txt")

    assert done.returncode == 0, done.stdout
    assert "your key" in done.stdout


def test_the_same_report_makes_the_same_bundle(month: Settings, month_log: Log) -> None:
    first = ask_plan(month, LANE, END, now=datetime(2026, 12, 1, tzinfo=UTC), generated_by="one")
    second = ask_plan(month, LANE, END, now=datetime(2026, 12, 2, tzinfo=UTC), generated_by="other")

    assert bundle_of(month_log, first) == bundle_of(month_log, second)


def test_a_bundle_without_a_key_says_that_nobody_signed_it(month: Settings, month_log: Log) -> None:
    bundle = bundle_of(month_log, ask_plan(month, LANE, END), None)
    held, fault = judged(bundle, RULES)

    assert fault == ""
    assert dict(held)["signature"].startswith("none")
    key = public_text(month_log.checkpoint.origin, KEY.public_key().public_bytes_raw())
    assert fault_of(bundle, key=key).startswith("signature: ")


def test_a_bundle_of_another_key_is_not_that_of_the_readers_key(month: Settings, month_log: Log) -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    bundle = bundle_of(month_log, ask_plan(month, LANE, END), other)

    assert fault_of(bundle) == ""
    key = public_text(month_log.checkpoint.origin, KEY.public_key().public_bytes_raw())
    assert fault_of(bundle, key=key) == "signature: the attestation is not signed by the key"


def test_late_evidence_is_named_against_an_older_checkpoint(month: Settings, month_log: Log) -> None:
    old = month_log.note().text
    place = (LANE, "2026-11-21")
    late: Record = {**month_log.records(LANE)[0], "session_id": "late", "created_at": "2026-11-21T23:59:59+00:00"}
    records = [one for one in month_log.records(LANE) if one["created_at"].startswith(place[1])]
    log = month_log.then({place: [*records, late]}, "late.jsonl")
    report = derived(log, ask_plan(month, LANE, END))
    held, fault = judged(bundle_of(log, report), RULES, against=old)

    assert fault == ""
    assert "2026-11-21 by entry 3 (ingest 2026-11-28/late.jsonl)" in dict(held)["history"]
    same, _ = judged(bundle_of(month_log, ask_plan(month, LANE, END)), RULES, against=old)
    assert "no day up to its last has changed" in dict(same)["history"]


def test_a_checkpoint_of_a_longer_or_another_log_proves_nothing(month: Settings, month_log: Log) -> None:
    longer = month_log.then({(LANE, "2026-01-01"): month_log.records(LANE)[:1]})
    bundle = bundle_of(month_log, ask_plan(month, LANE, END))

    assert fault_of(bundle, against=longer.note().text).startswith("history: the bundle is older")
    assert fault_of(bundle[:-30]) == "file: the archive is damaged or cut short; fetch it again"
    other = Log({}).then({(LANE, "2026-01-01"): month_log.records(LANE)[:1]})
    assert "signature" in fault_of(bundle, against=other.note().text)
    assert "another log" in fault_of(
        bundle_of(month_log, ask_plan(month, LANE, END), None), against=other.note(None).text
    )


def test_a_log_rewritten_after_its_first_entry_is_found_by_an_older_checkpoint(month: Settings, month_log: Log) -> None:
    early = {place: one for place, one in month_log.days.items() if place[1] < "2026-11-22"}
    later = {
        place: [json.loads(record) for record in one.records]
        for place, one in month_log.days.items() if place[1] >= "2026-11-22"
    }  # fmt: skip
    later[LANE, "2026-11-22"].pop()
    false = Log(early, month_log.entries[:1]).then(later)
    bundle = bundle_of(false, derived(false, ask_plan(month, LANE, END)))

    assert fault_of(bundle) == ""
    assert fault_of(bundle, against=month_log.note().text) == (
        "history: the log did not grow out of your checkpoint; what it had committed was rewritten"
    )


def test_an_archive_in_another_form_is_refused(month: Settings, month_log: Log) -> None:
    bundle = bundle_of(month_log, ask_plan(month, LANE, END))
    files = unpack(bundle)

    assert pack(files) == bundle
    assert fault_of(bundle + b"\0").startswith("file")
    assert fault_of(b"\0" + bundle).startswith("file")
    assert fault_of(pack({**files, "verifier/extra.py": b""})) == "file: not as attested: verifier/extra.py"
    del files["evidence/2026-11-21.jsonl"]
    assert fault_of(pack(files)) == "file: not as attested: evidence/2026-11-21.jsonl"
