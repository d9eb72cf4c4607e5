"""Hostile evidence on every page of Dagster and of the console, in a real browser: shown, and never obeyed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from unittest import mock

import httpx
import pytest
from playwright.sync_api import Browser, Page

from cavra_pipeline.definitions import build_defs, materialize
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.store import days_between
from cavra_pipeline.resources import dagster_instance
from cavra_pipeline.settings import Settings
from tests.api.server import NoDagster, served
from tests.console.browser import Watched, chromium, watched
from tests.dagster_tests.runs import REPORTS, op
from tests.dagster_tests.test_daemon import environment, free_port
from tests.escaping.hostile import BATCH, MARK, plant, plant_lists, rows_of, values
from tests.support import REPOSITORY, home_with

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
#: 500 is the figure of the docs; the suite tries one of each form.
COUNT = int(os.environ.get("CAVRA_TEST_HOSTILE_VALUES", "34"))
FIRST = date(2026, 6, 20)
LOCATION = "cavra_pipeline.definitions"
#: What markup in a value would leave: an address or a script that names it, or an element with its content alone.
#: An address within the console's own page leads nowhere else: a link to a delivery names its subject.
OBEYED = """() => [...document.querySelectorAll('*')].flatMap(node => {
    const addresses = [...node.attributes].filter(({name, value}) =>
        /^(href|src|srcset|action|formaction|data|poster|background|style|xlink:href|on.*)$/.test(name)
        && !value.startsWith('#/') && /planted/i.test(decodeURIComponent(value.replaceAll('%', '%25'))));
    const isContent = /^planted[0-9]+z$/.test(node.textContent.trim());
    return addresses.length || isContent || /planted/i.test(node.localName) ? [node.outerHTML.slice(0, 300)] : [];
})"""
#: Resolves when nothing has changed on the page for a while; a page with a clock of its own never rests.
SETTLED = """() => new Promise(done => {
    let timer = setTimeout(finish, 300);
    const watch = new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(finish, 300); });
    watch.observe(document, {subtree: true, childList: true, characterData: true});
    setTimeout(finish, 4000);
    function finish() { watch.disconnect(); done(); }
})"""

#: Scrolls what scrolls by a screen and waits for what comes into sight; false at the end of it.
SCROLLED = """() => {
    const rest = node => node.scrollHeight - node.clientHeight - node.scrollTop;
    const scrolls = node => node.clientHeight > 200 && rest(node) > 2 && getComputedStyle(node).overflowY !== 'visible';
    const node = [...document.querySelectorAll('*')].filter(scrolls).sort((a, b) => rest(b) - rest(a))[0];
    if (!node) return false;
    node.scrollTop += node.clientHeight * 0.9;
    return new Promise(done => setTimeout(() => done(true), 100));
}"""
MOST_SCREENS = 20
OPENERS_OF_DAGSTER = re.compile(r"Show Markdown|View full message")
#: What of the console shows more: a plan's preview, a record, older records.
OPENERS = "button[data-key=look], button[data-key^=open-], button[data-key=older]"


@dataclass
class Planted:
    """A home of hostile evidence, a batch of it failing on each day, and the runs that reported on it."""

    settings: Settings
    days: list[date]
    runs: list[str]

    @property
    def now(self) -> datetime:
        return datetime.combine(self.days[-1], time(23, 0), UTC)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    settings = home_with(tmp_path_factory.mktemp("planted"), start_date=FIRST)
    hostile = values(COUNT)
    batches = [hostile[start : start + BATCH] for start in range(0, COUNT, BATCH)]
    days = days_between(FIRST, FIRST + timedelta(days=len(batches) - 1))
    rows = [
        row
        for day, batch in zip(days, batches, strict=True)
        for row in rows_of(batch, datetime.combine(day, time(10), UTC), arrives=day != days[-1])
    ]
    plant(settings, rows)
    plant_lists(settings, hostile, datetime.combine(days[-1], time(22), UTC))
    folder = settings.landing / days[-1].isoformat()
    folder.mkdir(parents=True)
    for text in hostile[:BATCH]:
        # What can't be read is named in the check.
        name = text.replace("/", "_").replace("\0", "_")
        (folder / f"{name}.jsonl.gz").write_bytes(b"not gzip")
    with mock.patch.dict(os.environ, _variables(settings)):
        materialize(settings, "daily_close", days, tags={"hostile": hostile[0]})
        yield Planted(settings, days, _worker_runs(settings, days[-1], hostile))


def _variables(settings: Settings) -> dict[str, str]:
    return {**environment(settings), "CAVRA_START_DATE": FIRST.isoformat()}


def _worker_runs(settings: Settings, day: date, hostile: list[str]) -> list[str]:
    """A worker's run, and one that fails with what a person wrote; every run there is."""
    job = build_defs(settings).resolve_job_def("recovery_retry_worker")
    with dagster_instance(settings) as instance:
        for config in ({}, {"retry_plan_id": hostile[2]}):
            job.execute_in_process(
                instance=instance,
                tags={"hostile": hostile[2]},
                partition_key=day.isoformat(),
                raise_on_error=False,
                run_config={
                    "ops": {op("recovery_escalation_retry_worker"): {"config": config}},
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
            )
        return [run.run_id for run in instance.get_runs()]


@pytest.fixture(scope="module")
def browser(planted: Planted) -> Iterator[Browser]:
    # After the runs: Dagster starts an event loop, and the browser's would be running already.
    with chromium() as started:
        yield started


@contextmanager
def webserver(settings: Settings, log: Path) -> Iterator[str]:
    """Dagster's web server on the home; no daemon."""
    port = free_port()
    command = [sys.executable, "-m", "dagster_webserver", "-w", "workspace.yaml", "-p", str(port)]
    with log.open("wb") as output:
        started = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, **_variables(settings)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            while started.poll() is None:
                try:
                    httpx.get(f"{url}/server_info", timeout=5)
                    break
                except httpx.TransportError:
                    continue
            assert started.poll() is None, log.read_text()
            yield url
        finally:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait(timeout=20)


def dagster_pages(home: Planted) -> Iterator[str]:
    """Every page of Dagster that shows something of the code location, its runs or its evidence."""
    defs = build_defs(home.settings)
    yield from ("/assets", "/asset-groups", "/runs", "/overview/activity/timeline", "/automation", "/jobs")
    yield from ("/overview/resources", "/deployment/locations", "/deployment/daemons", "/deployment/concurrency")
    yield f"/locations/{LOCATION}"
    for run in home.runs:
        yield f"/runs/{run}"
    for job in ("daily_close", "recovery_retry_worker"):
        yield f"/locations/{LOCATION}/jobs/{job}/runs"
        yield f"/locations/{LOCATION}/jobs/{job}/playground"
    for sensor in defs.get_repository_def().sensor_defs:
        yield f"/locations/{LOCATION}/sensors/{sensor.name}"
    for key in sorted(defs.resolve_all_asset_keys()):
        for view in ("overview", "events", "checks"):
            yield f"/assets/{key.to_user_string()}?view={view}"
    for name in (*REPORTS, "executive_recovery_report"):
        for day in home.days:
            yield f"/assets/cavra/{name}?view=partitions&partition={day}"


def look(page: Page, found: set[str]) -> list[str]:
    """What of a page was obeyed; adds the values that it shows. A run's log draws what is scrolled to only."""
    page.evaluate(SETTLED)
    obeyed: list[str] = []
    for _ in range(MOST_SCREENS):
        obeyed += [f"{page.url}: {one}" for one in page.evaluate(OBEYED)]
        found |= shown_values(page)
        if "/runs/" not in page.url or not page.evaluate(SCROLLED):
            break
    return obeyed


def look_behind(page: Page, found: set[str]) -> list[str]:
    """The same for what a page of Dagster shows on a click, each time from the page as it was."""
    obeyed: list[str] = []
    for opener in page.get_by_text(OPENERS_OF_DAGSTER).all()[:3]:
        page.reload()
        page.evaluate(SETTLED)
        if opener.is_visible():
            opener.click()
            obeyed += look(page, found)
    return obeyed


def shown_values(page: Page) -> set[str]:
    return set(re.findall(rf"{MARK}[0-9]+z", page.evaluate("document.body.textContent")))


def assert_nothing_was_asked(seen: Watched, url: str) -> None:
    assert seen.hosts() == {url.removeprefix("http://")}
    assert [one for one in seen.requests if MARK in one] == []
    assert seen.dialogs == []


def every_value() -> set[str]:
    return {f"{MARK}{number}z" for number in range(COUNT)}


def test_no_page_of_dagster_obeys_what_evidence_says(planted: Planted, browser: Browser, tmp_path: Path) -> None:
    obeyed: list[str] = []
    found: set[str] = set()
    with webserver(planted.settings, tmp_path / "log") as url, watched(browser, width=1600) as seen:
        page = seen.context.new_page()
        for path in dagster_pages(planted):
            page.goto(url + path)
            obeyed += look(page, found)
            obeyed += look_behind(page, found)
        page.goto(f"{url}/assets/cavra/executive_recovery_report?view=partitions&partition={planted.days[-1]}")
        page.get_by_text("Show Markdown").first.click()
        page.get_by_role("heading", name="Open recoveries").wait_for()
        obeyed += look(page, found)
        assert obeyed == []
        assert found == every_value()
        assert_nothing_was_asked(seen, url)

        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=/planted0z><b>planted0z</b>')")
        assert len(page.evaluate(OBEYED)) == 2, "the judge sees nothing at all"
        page.evaluate("alert('planted0z')")
        assert seen.dialogs == ["planted0z"]


def console_pages(home: Planted) -> Iterator[str]:
    yield from ("overview", "history", "alerts", "slots", "intake", "incidents", "executive", "escalation")
    for lane in LANES:
        yield f"health?lane={lane}&run=1"
        yield f"forecast?lane={lane}"
        for day in home.days:
            yield f"plan?lane={lane}&as_of={day}T23:59:59"
    for kind in ("delivery", "acknowledgement", "retry_plan", "worker_run", "execution"):
        yield f"evidence?record_type={kind}"


def test_no_page_of_the_console_obeys_what_evidence_says(planted: Planted, browser: Browser) -> None:
    obeyed: list[str] = []
    found: set[str] = set()
    with (
        served(planted.settings, dagster=NoDagster(), clock=lambda: planted.now) as one,
        watched(browser) as seen,
    ):
        page = seen.context.new_page()
        for view in console_pages(planted):
            page.goto(f"{one.url}/?{view.partition('?')[0]}#/{view}")
            page.wait_for_selector("main:not([aria-busy]) > div > *")
            for opener in page.locator(OPENERS).all()[:3]:
                opener.click()
                obeyed += look(page, found)
                page.keyboard.press("Escape")
            obeyed += look(page, found)
        assert_nothing_was_asked(seen, one.url)
        obeyed += look_at_deliveries(page, one.url, found)
        assert seen.hosts() == {one.url.removeprefix("http://")}
        assert seen.dialogs == []
        named = [address for address in seen.requests if MARK in address]
        assert named
        assert [asked for asked in named if not asked.startswith(f"{one.url}/api/v1/")] == []
    assert obeyed == []
    assert found == every_value()


def look_at_deliveries(page: Page, url: str, found: set[str]) -> list[str]:
    """What the pages of some deliveries obeyed, reached by the links that name their subjects."""
    page.goto(f"{url}/?deliveries#/evidence?record_type=delivery")
    page.wait_for_selector("main:not([aria-busy]) a[href^='#/delivery']")
    obeyed: list[str] = []
    for address in [link.get_attribute("href") for link in page.locator("main a[href^='#/delivery']").all()[:5]]:
        page.evaluate("to => { location.hash = to; }", address)
        page.get_by_role("heading", level=1, name="Delivery").wait_for()
        page.wait_for_selector("main:not([aria-busy]) > div > *")
        obeyed += look(page, found)
    return obeyed


def test_no_executive_page_obeys_what_evidence_says(planted: Planted, browser: Browser) -> None:
    pages = sorted((planted.settings.home / "reports").glob("*.html"))
    found: set[str] = set()
    with watched(browser) as seen:
        page = seen.context.new_page()
        for path in pages:
            page.goto(path.as_uri())
            assert look(page, found) == []
        assert seen.requests == [path.as_uri() for path in pages]
        assert seen.dialogs == []
    assert len(pages) == len(planted.days)
    assert found
