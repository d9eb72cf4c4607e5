"""What a page shows of a lane, whatever the lane calls its subject."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser

from cavra_pipeline.lanes import LANES
from tests.api.server import NoDagster, Served, served
from tests.console.browser import chromium, shown, watched
from tests.support import NOW, delivery, ingested

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Served]:
    """Two failing deliveries to one provider in each lane."""
    failing = [
        delivery(NOW - 5 * HOUR, lane=lane, subject=f"{lane}-{n}", failed=["slack"], status_codes=[500])
        for lane in LANES
        for n in (1, 2)
    ]
    with served(ingested(tmp_path_factory.mktemp("lanes"), failing), dagster=NoDagster()) as one:
        yield one


@pytest.mark.parametrize("lane", LANES)
def test_a_plan_and_a_forecast_name_the_subjects_of_every_lane(service: Served, browser: Browser, lane: str) -> None:
    subjects = [f"{lane}-1", f"{lane}-2"]
    with watched(browser) as seen, service.client() as client:
        before = {"keep": True, "as_of": (NOW - HOUR).isoformat()}
        assert client.post(f"/api/v1/lanes/{lane}/plan", json=before).is_success
        page = shown(seen.context.new_page(), f"{service.url}/#/plan?lane={lane}")
        page.get_by_text("Unchanged decisions").wait_for(timeout=15_000)
        assert sorted(page.locator("tbody th a").all_inner_texts()) == subjects
        assert page.locator("dl.facts div", has_text="Unchanged decisions").locator("dd").inner_text() == "2"
        page.goto(f"{service.url}/#/forecast?lane={lane}")
        page.get_by_role("heading", level=1, name="Forecast").wait_for()
        page.locator("tbody th a").first.wait_for()
        assert sorted(page.locator("tbody th a").all_inner_texts()) == subjects
    assert seen.complaints == []


def test_a_health_report_is_previewed_and_saved_only_when_asked_for(service: Served, browser: Browser) -> None:
    address = f"{service.url}/#/health?lane=recovery_escalation&run=1"
    keeper = service.service.keeper
    with watched(browser) as seen:
        before = keeper.kept_count
        page = shown(seen.context.new_page(), address)
        page.get_by_text("Preview only, not saved").wait_for()
        assert keeper.kept_count == before
        page.get_by_role("button", name="Save the report").click()
        page.get_by_text("Saved as evidence").wait_for()
        assert (keeper.kept_count, page.get_by_role("button", name="Save the report").count()) == (before + 1, 0)
        for view in ("health?run=1", "plan?"):
            page.goto(f"{service.url}/#/{view}&lane=recovery_escalation&as_of=2026-06-20T12:00:00")
            page.get_by_text("Preview only, not saved").wait_for()
            assert page.get_by_role("button", name="Save").count() == 0
        assert keeper.kept_count == before + 1
    assert seen.complaints == []
