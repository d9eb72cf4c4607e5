"""Reports of past instants, made again from the lines of their bundles in an empty home, and by the plain verifier.

CAVRA_TEST_INSTANTS says of how many; CAVRA_TEST_DIGESTS names a file for the digests, to compare releases of DuckDB.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from cavra_pipeline.documents import canonical_bytes
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.store import RETRY_HEALTH, RETRY_PLAN, make_reports
from cavra_pipeline.settings import Settings
from cavra_pipeline.verify.bundle import attested
from cavra_pipeline.verify.container import unpack
from cavra_pipeline.verify.derive import derive
from cavra_pipeline.verify.prove import prove_report
from tests.support import ingested
from tests.verify.bundles import NOTHING_PRUNED, RULES, fault_of

INSTANTS: Final = int(os.environ.get("CAVRA_TEST_INSTANTS", "8"))
FIRST: Final = datetime(2026, 11, 20, tzinfo=UTC)
MINUTES: Final = 5 * 24 * 60 - 1

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def made(home: Settings, report: str, lane: str, instants: list[datetime]) -> list[bytes]:
    with warehouse_of(home).reading() as session:
        reports = make_reports(session, report, LANES[lane], instants=instants, now=instants[-1], parameters={})
    return [canonical_bytes(attested(one)) for one in reports]


@pytest.mark.parametrize("report", [RETRY_PLAN, RETRY_HEALTH])
@pytest.mark.parametrize("lane", ["recovery_escalation", "acknowledgement_audit"])
def test_past_reports_are_rebuilt_from_their_bundles(month: Settings, tmp_path: Path, report: str, lane: str) -> None:
    chosen = random.Random(f"{report} {lane}")
    instants = sorted(FIRST + timedelta(minutes=chosen.randrange(MINUTES)) for _ in range(max(2, INSTANTS // 4)))
    before = made(month, report, lane, instants)
    # A bundle of the last instant has the lines of those before it.
    bundle = prove_report(month, report, LANES[lane], as_of=instants[-1], now=instants[-1])
    files = unpack(bundle)
    assert (fault_of(bundle), files["report.json"]) == ("", before[-1])

    lines = [line for name in files if name.startswith("evidence/") for line in files[name].splitlines()]
    rebuilt = ingested(tmp_path, {"2026-11-28": lines})
    assert made(rebuilt, report, lane, instants) == before
    records: list[dict[str, Any]] = [json.loads(line) for line in lines]
    again = [derive(json.loads(one), RULES[lane], records, NOTHING_PRUNED) for one in before]
    assert [canonical_bytes(one) for one in again] == before
    if path := os.environ.get("CAVRA_TEST_DIGESTS"):
        with Path(path).open("a") as file:
            file.write(f"{report} {lane} {len(before)} {hashlib.sha256(b''.join(before)).hexdigest()}\n")
