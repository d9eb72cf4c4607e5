"""Takes the pictures of docs/images again: the console and the executive report on the recorded month.

Run as ``python -m tests.console.screenshots [FOLDER]``. Time stands still where the recording ends, and the home has
three sources: one that works, one that is silent, and one that nothing answers.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import yaml
from playwright.sync_api import Browser, TimeoutError

from cavra_pipeline.demo.month import LATE_FILE, MONTH_FILE, RECORDED_UNTIL, RecordedMonth
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.importer import import_evidence
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.leaks import open_leak_days
from cavra_pipeline.executive.page import PageContext
from cavra_pipeline.executive.render import report_html
from cavra_pipeline.executive.report import executive_reports
from cavra_pipeline.reports.store import days_between, save_every_report
from cavra_pipeline.settings import Settings
from cavra_pipeline.sources import pull, read_sources
from cavra_pipeline.state import state_of
from tests.api.server import NoDagster, served
from tests.console.browser import chromium, shown, watched
from tests.support import REPOSITORY

IMAGES: Final = REPOSITORY / "docs" / "images"
SOURCES: Final = {
    "cavra_store": {"type": "file", "path": MONTH_FILE, "every_minutes": 15},
    "auditor_exports": {"type": "file", "path": LATE_FILE, "every_minutes": 60},
    "cavra_api": {"type": "api", "url": "http://127.0.0.1:9", "every_minutes": 5},
}


_TRIES: Final = 5


#: A delivery of the recorded month that has failed as often as its policy allows.
DELIVERY: Final = "delivery?lane=recovery_escalation&subject=gordackrecoveryesc-e93d391937acf6da&provider=servicenow"


class Picture(NamedTuple):
    """A picture: file, view, size in CSS pixels, a summary to open, a button to press, and what then appears."""

    name: str
    view: str
    width: int
    height: int
    summary: str = ""
    button: str = ""
    awaited: str = ""


PICTURES: Final = (
    Picture("console-overview", "overview", 1440, 1300),
    Picture("console-delivery", DELIVERY, 1440, 900),
    Picture("console-health", "health?lane=recovery_escalation&run=1", 1440, 1400),
    Picture("console-plan", "plan?lane=executive_report", 1440, 1160),
    Picture("console-recoveries", "recoveries", 1440, 1100),
    Picture("console-sources", "sources", 1440, 760),
    Picture("console-history", "history?lane=recovery_escalation", 1440, 980),
    Picture("console-api", "api?find=incidents", 1440, 900, "/api/v1/incidents", "Try it", "pre[aria-label=Answer]"),
    Picture("console-phone", "overview", 390, 844),
)


def home_of_month(folder: Path, until: datetime) -> Settings:
    """Makes a home that holds the month, its saved reports and three sources."""
    month = RecordedMonth.ending(until)
    for name in (MONTH_FILE, LATE_FILE):
        month.write(folder, name)
    file = folder / "sources.yaml"
    file.write_text(yaml.safe_dump({"sources": SOURCES}, sort_keys=False), encoding="utf-8")
    home = Settings(home=folder / "home", sources_file=file).prepare()
    sources = read_sources(file)
    for name, ages in (("auditor_exports", (52, 0.5)), ("cavra_store", (0.2, 0.05)), ("cavra_api", (3,))):
        for hours in ages:
            at = until - timedelta(hours=hours)
            with suppress(PipelineError):
                pull(home, sources.named(name), {}, clock=lambda at=at: at)  # type: ignore[misc]
    import_evidence(home, [(LATE_FILE, folder / LATE_FILE)], now=until)
    ingest(home, now=until)
    list(save_every_report(warehouse_of(home), state_of(home), days_between(month.began_on, until.date()), now=until))
    return home


def take(folder: Path) -> None:
    """Takes every picture into a folder."""
    until = RECORDED_UNTIL.astimezone(UTC)
    with TemporaryDirectory(prefix="cavra-pictures-") as scratch, chromium() as browser:
        home = home_of_month(Path(scratch), until)
        # What the demo shows, and beside it the sources of a team's own home.
        for settings, is_of_sources in ((home.but(sources_file=None), False), (home, True)):
            with served(settings, clock=lambda: until, dagster=NoDagster()) as one:
                for picture in PICTURES:
                    if (picture.view == "sources") == is_of_sources:
                        _take(browser, picture, one.url, folder)
        with warehouse_of(home).reading() as session:
            page = Path(scratch) / "report.html"
            (report,) = executive_reports(session, instants=[until], now=until)
            page.write_text(report_html(report, PageContext(leaks=open_leak_days(home, until))), encoding="utf-8")
        for name, width, height in (("executive-phone", 390, 844), ("executive-desktop", 1100, 1620)):
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="light")
            tab = context.new_page()
            tab.goto(page.as_uri())
            tab.screenshot(path=folder / f"{name}.png")
            context.close()


def _take(browser: Browser, picture: Picture, url: str, folder: Path) -> None:
    """Takes one picture; again where the machine was too busy for the service to answer in time."""
    complaints: list[str] = []
    for _ in range(_TRIES):
        try:
            complaints = _tried(browser, picture, url, folder)
        except TimeoutError as error:
            complaints = [str(error)]
        if not complaints:
            return
    sys.exit(f"{picture.name}: {complaints[0]}")


def _tried(browser: Browser, picture: Picture, url: str, folder: Path) -> list[str]:
    with watched(browser, width=picture.width) as seen:
        page = seen.context.new_page()
        page.set_viewport_size({"width": picture.width, "height": picture.height})
        shown(page, f"{url}/#/{picture.view}")
        if picture.summary:
            page.locator("summary", has_text=picture.summary).first.click()
        if picture.button:
            page.get_by_role("button", name=picture.button).first.click()
        if picture.awaited:
            page.wait_for_selector(picture.awaited)
        page.wait_for_load_state("networkidle")
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=folder / f"{picture.name}.png")
        faults = page.get_by_text("It did not work.").all_inner_texts()
    return [*seen.complaints, *faults]


if __name__ == "__main__":
    take(Path(sys.argv[1]) if sys.argv[1:] else IMAGES)
