"""The kept scanner: what it must find, and that nothing passes where it can't be asked."""

from __future__ import annotations

import base64
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cavra_pipeline.boundary.scanner import hits_in
from cavra_pipeline.boundary.verdict import Kept, Quarantined
from tests.support import delivery, drop, home_with, judged, raw

pytestmark = pytest.mark.slow

GITHUB = "gh" + "p_" + "q7Zr2Xw9Lm4Tb6Vn8Kd3Hs5Jf1Gp0Yc1ab12"
#: A family that no rule of ours knows.
DATABRICKS = "da" + "pi" + "2ba694165beaecba9f0c1d2e3b4a5968"


def rules_of(text: str) -> set[str]:
    verdict = judged(raw(delivery(extra={"note": text})))
    assert isinstance(verdict, Kept)
    return {found.rule for found in verdict.findings}


def test_a_secret_that_only_the_scanner_knows_is_found_by_its_name() -> None:
    assert rules_of(f"see {DATABRICKS} there") == {hit.rule for hit in hits_in(DATABRICKS.encode())} != set()
    verdict = judged(raw(delivery(plan_id=DATABRICKS)))
    assert isinstance(verdict, Quarantined)
    assert (verdict.reason.value, verdict.field) == ("secret_in_field", "plan_id")


@pytest.mark.parametrize("comment", ["kingfisher:ignore", "gitleaks:allow", "betterleaks:allow", "trufflehog:ignore"])
def test_no_comment_in_a_text_switches_the_scanner_off(comment: str) -> None:
    assert rules_of(f"{DATABRICKS} # {comment}")
    assert rules_of(f"// {comment}\n{DATABRICKS}")


def test_a_hit_is_told_by_its_bytes_whatever_stands_before_it() -> None:
    for before in ("", "é" * 50, "\ufeff", "\x00", "x" * 5_000_000):
        text = f"{before} {DATABRICKS} ".encode()
        (hit,) = hits_in(text)
        assert text[hit.start : hit.end].decode() == DATABRICKS


def test_one_layer_of_base64_hides_nothing() -> None:
    assert rules_of(base64.b64encode(f"token {GITHUB} x".encode()).decode())


def test_no_text_passes_for_another_encoding() -> None:
    spread = "".join(f"{character}\x00" for character in GITHUB)
    assert [hit.rule for hit in hits_in(f"{spread} {DATABRICKS}".encode())] == [hits_in(DATABRICKS.encode())[0].rule]


def test_threads_may_scan_at_once() -> None:
    found: list[int] = []
    line = raw(delivery(note=DATABRICKS)) + b"\n"

    def scan() -> None:
        found.extend(len(hits_in(raw(delivery()) * 500 + line)) for _ in range(20))

    threads = [threading.Thread(target=scan) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 60


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param("sys.modules['kingfisher_sdk'] = None", id="missing"),
        pytest.param("import kingfisher_sdk as k; k.Scanner.scan = lambda *_, **__: 1 / 0", id="raising"),
    ],
)
@pytest.mark.parametrize("count", [3, 2500], ids=["few lines", "many lines"])
def test_without_the_scanner_every_line_is_quarantined(tmp_path: Path, broken: str, count: int) -> None:
    home = home_with(tmp_path)
    drop(home, [delivery(session_id=f"s-{number}") for number in range(count)])
    code = (
        f"import sys; {broken}\n"
        "from datetime import datetime, UTC; from pathlib import Path\n"
        "from cavra_pipeline.evidence.ingest import ingest\n"
        "from cavra_pipeline.evidence.keeper import warehouse_of\n"
        "from cavra_pipeline.settings import Settings\n"
        "home = Settings(home=Path(sys.argv[1]))\n"
        "result = ingest(home, now=datetime(2026, 7, 1, tzinfo=UTC))\n"
        "with warehouse_of(home).reading() as session:\n"
        "    print(result.quarantined_count, session.tuples('SELECT DISTINCT reason FROM quarantine')[0][0],\n"
        "          session.tuples('SELECT count(*) FROM evidence_records')[0][0])"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(home.home)], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(count), "scanner_failed", "0"]
