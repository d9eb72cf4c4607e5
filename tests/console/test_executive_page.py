"""The executive page in a real browser: one sheet of paper, and a few screens of a phone."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from cavra_pipeline.executive.page import PageContext
from cavra_pipeline.executive.render import report_html
from cavra_pipeline.lanes import LANES
from cavra_pipeline.proof.basis import Basis
from cavra_pipeline.proof.checkpoint import Checkpoint
from tests.executive.histories import ask_report
from tests.recoveries.stores import playbook
from tests.support import at, delivery, ingested, worker_run

pytestmark = pytest.mark.slow

PROVIDERS = ("slack", "teams", "jira", "servicenow", "splunk", "sentinel", "datadog")
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A report with more broken providers, open recoveries and steps than its page shows."""
    records = [playbook(at(900 - n), name, playbook_id=f"gordackrecovery-{n:016x}") for n, name in enumerate(PROVIDERS)]
    records += [worker_run(at(300), lane=lane) for lane in LANES]
    records += [
        delivery(at(200 + n), lane=lane, subject=f"s{n}", failed=[name])
        for n, name in enumerate(PROVIDERS)
        for lane in LANES
    ]
    return ask_report(ingested(tmp_path_factory.mktemp("full"), records))


def opened(browser: Browser, report: dict[str, Any], folder: Path, **context: Any) -> Page:
    path = folder / "report.html"
    basis = Basis(4_000_000, 3660, Checkpoint(f"cavra-pipeline/{'f' * 16}", 1_000_000, b"\xfb" * 32), is_signed=False)
    path.write_text(
        report_html(
            report,
            PageContext(basis, "https://cavra.example.org/#/executive", {date(2026, 6, day): 3 for day in range(1, 9)}),
        ),
        encoding="utf-8",
    )
    page = browser.new_context(**context).new_page()
    page.goto(path.as_uri())
    return page


def test_the_page_is_printed_on_one_sheet(browser: Browser, full: dict[str, Any], tmp_path: Path) -> None:
    assert len(full["broken_providers"]) > 5
    assert len(full["open_recoveries"]) > 5
    page = opened(browser, full, tmp_path)
    page.emulate_media(media="print")
    sizes = "[document.body, document.querySelector('tbody td')].map((one) => getComputedStyle(one).fontSize)"
    assert page.evaluate(sizes) == ["12px", "12px"], "9 pt"
    printed = page.pdf(prefer_css_page_size=True)
    assert printed.count(b"/Type /Page") - printed.count(b"/Type /Pages") == 1


def test_the_page_is_four_screens_of_a_phone_at_most(browser: Browser, full: dict[str, Any], tmp_path: Path) -> None:
    page = opened(browser, full, tmp_path, viewport=PHONE)
    height, width = page.evaluate("[document.body.scrollHeight, document.documentElement.scrollWidth]")
    assert width == PHONE["width"]
    assert page.locator("svg:visible").count() == 2
    assert height <= 4 * PHONE["height"]


def test_what_becomes_of_the_notifications_adds_up_on_a_phone_and_on_paper(
    browser: Browser, full: dict[str, Any], tmp_path: Path
) -> None:
    page = opened(browser, full, tmp_path, viewport=PHONE)
    for media in ("screen", "print"):
        page.emulate_media(media=media)
        total = page.locator(".causes tfoot")
        shown = {
            name: int(cell.inner_text())
            for name in ("missing", "cleared", "uncleared", "exhausted")
            if (cell := total.locator(f".{name}")).is_visible()
        }
        assert shown.pop("missing") == sum(shown.values()) > 0
