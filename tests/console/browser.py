"""A headless Chromium of the system's, and a home with a bad month for it to look at."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, sync_playwright

from cavra_pipeline.alerts.lifecycle import observe
from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.demo.month import MONTH_FILE, RecordedMonth
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.reports.store import days_between, save_every_report
from cavra_pipeline.settings import DEFAULT_TOLERANCE, AlertPolicy, Settings
from cavra_pipeline.slots.ledger import keep_configuration, keep_verdicts
from cavra_pipeline.slots.verdicts import Configuration, Slot, Verdict, VerdictKind
from cavra_pipeline.slots.watcher import Judged
from cavra_pipeline.state import state_of
from tests.api.server import NoDagster, Served, served
from tests.support import NOW, drop, home_with, take_in

_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
#: axe-core, as the package for Playwright brings it.
AXE = Path(str(files("axe_playwright_python") / "axe.min.js"))
_VERDICTS = ("on_time", "late", "missed", "unknown", "not_expected")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Starts the Chromium that is installed; CAVRA_TEST_BROWSER=1 makes its absence a failure."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        reason = "no Chromium is installed: apt-get install chromium"
        assert os.environ.get("CAVRA_TEST_BROWSER") != "1", reason
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_QUIET))
        yield browser
        browser.close()


class Watched:
    """A browser's context, and what it asked and complained of."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.dialogs: list[str] = []
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("console", lambda message: self._note(message.type, message.text))
        context.on("dialog", self._dismiss)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _dismiss(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def hosts(self) -> set[str]:
        return {urlsplit(url).netloc for url in self.requests if not url.startswith(("blob:", "data:"))}


@contextmanager
def watched(browser: Browser, *, width: int = 1280, scheme: str = "light") -> Iterator[Watched]:
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        accept_downloads=True,
    )
    context.set_default_timeout(30_000)
    try:
        yield Watched(context)
    finally:
        context.close()


def shown(page: Page, url: str) -> Page:
    """Opens an address and waits until its view is drawn."""
    page.goto(url)
    page.wait_for_selector("main:not([aria-busy]) > div > *")
    return page


def ticking() -> Callable[[], datetime]:
    """A clock that goes on from NOW: where it stood, a newer record could not be told from an older one."""
    began = time.monotonic()
    return lambda: NOW + timedelta(seconds=time.monotonic() - began)


def service_of(make: Callable[[Path], Settings], *, dagster: type[NoDagster] = NoDagster, ticks: bool = False) -> Any:
    """The fixture ``service`` of a module: its home, made once in a folder, and served while its tests run."""

    @pytest.fixture(scope="module")
    def service(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Served]:
        home = make(tmp_path_factory.mktemp("console"))
        with served(home, dagster=dagster(), clock=ticking() if ticks else lambda: NOW) as one:
            yield one

    return service


def bad_month(folder: Path) -> Settings:
    """A home with the recorded month, saved reports of its end, two open alerts and a week of slots."""
    home = home_with(folder)
    by_day: dict[str, list[str]] = {}
    for line in RecordedMonth.ending(NOW).lines(MONTH_FILE):
        by_day.setdefault(json.loads(line)["created_at"][:10], []).append(line.strip())
    for day, lines in by_day.items():
        drop(home, lines, day=day)
    take_in(home)
    days = days_between(NOW.date() - timedelta(days=2), NOW.date())
    list(save_every_report(warehouse_of(home), state_of(home), days, now=NOW - timedelta(hours=1)))
    with state_of(home).writing() as c:
        signals = [
            Signal("missed_run", name, severity="critical", since=NOW - timedelta(hours=hours))
            for name, hours in (("recovery_retry_worker", 2), ("executive_delivery_retry", 30))
        ]
        observe(c, Observation({"missed_run"}, signals), now=NOW, policy=AlertPolicy())
        for n in range(100):
            at = (NOW - timedelta(hours=n)).replace(minute=0)
            slot = Slot("executive_delivery_retry", at, at, at)
            keep_configuration(c, Configuration(slot.schedule, at, "0 * * * *", "UTC", True, DEFAULT_TOLERANCE))
            keep_verdicts(c, [Judged(slot, Verdict(VerdictKind(_VERDICTS[n % 25 % 5])), at)], now=at)
    return home
