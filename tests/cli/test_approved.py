"""What a person sees of each command at 80, 100 and 140 columns, as texts in `approved/` that a person has read.

``pytest tests/cli/test_approved.py --approve`` writes them again; git shows what has changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cavra_pipeline.settings import Settings
from tests.cli.command import Said, command
from tests.cli.test_help import EVERY

pytestmark = pytest.mark.slow

APPROVED = Path(__file__).parent / "approved"
WIDTHS = (80, 100, 140)
UNTIL = ("--as-of", "2026-11-28T08:00:00Z")
SUBJECT = "gordackrecoveryesc-e93d391937acf6da"
#: Answers over the recorded month; each is fixed by its instant, or says nothing of one.
TABLES = {
    "status": ("status", *UNTIL),
    "dashboard": ("dashboard", *UNTIL),
    "retry-health": ("retry-health", *UNTIL),
    "retry-health-of-a-lane": ("retry-health", "--lane", "recovery_escalation", *UNTIL),
    "retry-health-with-approvals": ("retry-health", "--lane", "acknowledgement_audit", *UNTIL),
    "retry-plan": ("retry-plan", *UNTIL),
    "retry-plan-of-a-lane": ("retry-plan", "--lane", "executive_report", *UNTIL),
    "retry-plan-with-approvals": ("retry-plan", "--lane", "acknowledgement_audit", *UNTIL),
    "incidents": ("incidents", *UNTIL),
    "explain": ("explain", SUBJECT, "servicenow", *UNTIL),
    "forecast": ("forecast", *UNTIL),
    "forecast-of-a-lane": ("forecast", "--lane", "recovery_escalation", *UNTIL),
    "recoveries": ("recoveries", *UNTIL),
    "closure": ("closure", *UNTIL),
    "escalate": ("escalate", *UNTIL),
    "executive-report": ("executive-report", "--output", "text", *UNTIL),
    "executive-report-in-a-pipe": ("executive-report", *UNTIL),
    "quarantine": ("quarantine",),
    "findings": ("findings",),
    "sql": (
        "sql",
        "SELECT lane, provider, count(*) AS failures FROM delivery_outcomes WHERE is_failed GROUP BY 1, 2",
    ),
    "scheduled-runs": ("scheduled-runs", "--from", "2026-11-27", "--to", "2026-11-28"),
    "alerts": ("alerts",),
    "connectors": ("connectors",),
    "open": ("open",),
}
ERRORS = (
    ("retry-helth",),
    ("dashboard", "--as-fo", "2d"),
    ("retry-plan", "--lane", "executive-report"),
    ("retry-plan", "--as-of", "soon"),
    ("retry-plan", "--max-retry-attempts", "0"),
    ("dashboard", "--output", "jsn"),
    ("worker",),
    ("worker", "--lane", "executive_report", "--live"),
    ("backfill",),
    ("backfill", "--from", "2026-11-28", "--to", "2026-11-27"),
    ("import",),
    ("import", "missing.jsonl"),
    ("ack", "--plan", "none", "--provider", "slack", "--state", "acknowledgd", "--by", "ops"),
    ("alerts", "history", "--kind", "mised_run"),
    ("explain", "none", "slack"),
    ("sql", "SELECT nothing FROM evidence"),
    ("sql", "evidense"),
    ("verify",),
    ("retry-plan", "--lane", "express", "--json"),
)


def at_each_width(run: Callable[[dict[str, str]], Said], home: Path) -> str:
    """Returns what a command says at each width; widths that agree share one text."""
    texts: dict[str, list[int]] = {}
    for width in WIDTHS:
        said = run({"COLUMNS": str(width)})
        text = "".join([said.out, said.err, f"(exit code {said.code})\n" if said.code else ""])
        text = re.sub(r"[ \t]+$", "", text.replace(str(home), "HOME"), flags=re.MULTILINE)
        text = re.sub(r"\bGenerated\s+\d+ \w+ \d{4}, \d\d:\d\d UTC", "Generated NOW", text)
        # The key of a home's pseudonyms is random, and the log's roots follow from it.
        text = re.sub(r"( \* {2,})\d{4}-\d\d-\d\d \d\d:\d\d", r"\1YYYY-MM-DD HH:MM", text)
        text = re.sub(r"cavra-pipeline/[0-9a-f]{16}(?:: | · |\n)\S+", "LOG: ROOT.", text)
        texts.setdefault(text, []).append(width)
    return "\n".join(f"== {', '.join(map(str, widths))} columns\n{text}" for text, widths in texts.items())


def approve(request: pytest.FixtureRequest, name: str, text: str) -> None:
    """Passes if the text is the approved one; with --approve it becomes that."""
    path = APPROVED / name
    if request.config.getoption("--approve"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [(), *EVERY], ids=lambda words: "-".join(words) or "cavra-pipeline")
def test_the_help_reads_as_approved(words: tuple[str, ...], request: pytest.FixtureRequest, tmp_path: Path) -> None:
    text = at_each_width(lambda environ: command(tmp_path, *words, "--help", environ=environ), tmp_path)

    approve(request, f"help/{'-'.join(words) or 'cavra-pipeline'}.txt", text)


@pytest.mark.parametrize("name", TABLES)
def test_the_answer_over_the_recorded_month_reads_as_approved(
    name: str, request: pytest.FixtureRequest, month: Settings
) -> None:
    # Port 9 is that of RFC 863, which nothing serves here.
    nowhere = {"CAVRA_CONSOLE_URL": "http://127.0.0.1:9"} if name == "open" else {}
    text = at_each_width(lambda environ: command(month.home, *TABLES[name], environ=environ | nowhere), month.home)

    approve(request, f"tables/{name}.txt", f"$ cavra-pipeline {' '.join(TABLES[name])}\n{text}")


def test_errors_read_as_approved(
    request: pytest.FixtureRequest, month: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = [
        f"$ cavra-pipeline {' '.join(words)}\n"
        + at_each_width(lambda environ, words=words: command(month.home, *words, environ=environ), month.home)  # type: ignore[misc]  # bound now
        for words in ERRORS
    ]

    approve(request, "errors.txt", "\n".join(texts))


def test_no_text_is_approved_that_no_command_says() -> None:
    approved = {path.relative_to(APPROVED).as_posix() for path in APPROVED.rglob("*.txt")}

    assert approved == {
        "errors.txt",
        "help/cavra-pipeline.txt",
        *(f"help/{'-'.join(words)}.txt" for words in EVERY),
        *(f"tables/{name}.txt" for name in TABLES),
    }
