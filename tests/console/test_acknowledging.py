"""Retries are acknowledged where they are seen to be held, and rows say at once what was done and by whom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.api.server import NoDagster, Served, served
from tests.console.browser import shown, ticking, watched
from tests.support import NOW, acknowledgement, delivery, ingested

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HOUR = timedelta(hours=1)


@pytest.fixture
def service(tmp_path: Path, browser: Browser) -> Iterator[Served]:
    """Four retries held for an acknowledgement, one of them deferred, and one for an approval."""
    records = [
        delivery(NOW - 5 * HOUR + timedelta(minutes=n), subject=f"plan-{n}", failed=["slack"], status_codes=[503])
        for n in range(4)
    ]
    records += [
        acknowledgement(NOW - 2 * HOUR, subject="plan-3", provider="slack", state="deferred"),
        delivery(NOW - 5 * HOUR, lane="acknowledgement_audit", subject="audit-1", failed=["slack"]),
    ]
    with served(ingested(tmp_path, records), dagster=NoDagster(), clock=ticking()) as one:
        yield one


def test_a_plan_acknowledges_one_held_retry_and_several(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/plan?lane=recovery_escalation")
        page.get_by_label("State").select_option("gate")
        row = page.locator("#decisions tbody tr")
        row.filter(has_text="plan-0").get_by_role("button", name="Acknowledge plan-0").click()
        page.get_by_label("Your label").fill("incident-lead")
        page.get_by_role("dialog").get_by_role("button", name="Acknowledge", exact=True).click()
        expect(page.locator("#said")).to_have_text("Recorded as acknowledged: plan-0, Slack.", timeout=60_000)
        # The filter stays: a released retry is not held any more.
        expect(row).to_have_count(3)
        assert page.get_by_label("State").input_value() == "gate"
        assert page.locator(":focus").get_attribute("id") == "decisions"

        page.get_by_role("button", name="Acknowledge 2 deliveries: Recovery escalation").click()
        box = page.get_by_role("dialog")
        box.get_by_text("1 deferred: these stay as they are").click()
        assert box.get_by_role("checkbox", name="(deferred)").is_checked() is False
        box.get_by_role("button", name="Acknowledge", exact=True).click()
        result = page.get_by_role("region", name="Result")
        result.get_by_text("2 deliveries acknowledged by incident-lead.").wait_for(timeout=60_000)
        page.locator(".toast").wait_for(state="detached", timeout=60_000)
        expect(row).to_have_count(1)
        assert "Held: deferred" in row.inner_text()
        page.get_by_role("region", name="The plan").get_by_text("3 ready to retry, 1 deferred").wait_for()
    assert seen.complaints == []


def test_a_plan_whose_retries_need_approvals_acknowledges_none(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/plan?lane=acknowledgement_audit")
        page.get_by_text("Held: needs an approval").wait_for()
        assert page.get_by_text("Approvals are given in CAVRA").count() == 1
        assert page.get_by_role("button", name="Acknowledge").count() == 0
        at = f"{NOW - HOUR:%Y-%m-%dT%H:%M:%S}"
        page = shown(page, f"{service.url}/?past#/plan?lane=recovery_escalation&as_of={at}")
        page.get_by_text("Held: needs an acknowledgement").first.wait_for()
        assert page.get_by_role("button", name="Acknowledge").count() == 0
        assert page.get_by_text("Approvals are given in CAVRA").count() == 0
    assert seen.complaints == []


def test_rows_say_who_acknowledged_them_until_the_page_is_updated(service: Served, browser: Browser) -> None:
    held: list[Route] = []
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/health?lane=recovery_escalation&run=1")
        page.get_by_role("button", name=re.compile(r"^Acknowledge 3 deliveries")).click()
        box = page.get_by_role("dialog")
        box.get_by_role("checkbox", name="plan-2").uncheck()
        box.get_by_label("State").select_option("escalated")
        page.get_by_label("Your label").fill("incident-lead")
        page.route("**/api/v1/lanes?*", lambda route: held.append(route))
        page.route("**/api/v1/lanes", lambda route: held.append(route))
        box.get_by_role("button", name="Acknowledge", exact=True).click()
        page.get_by_text("2 deliveries escalated by incident-lead. Updating the page").first.wait_for(timeout=60_000)
        row = page.locator("tr", has=page.locator("[data-label=Acknowledgement]"))
        for subject, is_done in (("plan-0", True), ("plan-1", True), ("plan-2", False), ("plan-3", False)):
            one = row.filter(has_text=subject)
            assert one.get_by_text("Escalated by incident-lead").count() == is_done
            assert one.get_by_role("button", name="Acknowledge").count() == (not is_done)
        for route in held:
            route.continue_()
        page.unroute_all()
        page.locator(".toast").wait_for(state="detached", timeout=60_000)
        page.get_by_text("1 to acknowledge, 1 deferred and 2 escalated").first.wait_for()
        assert row.get_by_text("Escalated by incident-lead").count() == 0
        assert row.get_by_text("Escalated", exact=True).count() == 2
        assert page.get_by_text("of them deferred").count() > 0
        assert page.get_by_text("Acknowledge each one").count() == 1
    assert seen.complaints == []


def test_a_lone_gap_that_is_deferred_is_called_so(tmp_path: Path, browser: Browser) -> None:
    records = [
        delivery(NOW - 5 * HOUR, subject="plan-1", failed=["slack"], status_codes=[503]),
        acknowledgement(NOW - 2 * HOUR, subject="plan-1", provider="slack", state="deferred"),
    ]
    with served(ingested(tmp_path, records), dagster=NoDagster()) as one, watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{one.url}/#/health?lane=recovery_escalation&run=1")
        page.get_by_text("before it can be retried (deferred).").wait_for()
        assert page.get_by_text("of them deferred").count() == 0
        page.get_by_text("Nothing until a person decides otherwise").wait_for()
        assert page.get_by_text("Acknowledge each one").count() == 0
    assert seen.complaints == []
