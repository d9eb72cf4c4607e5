"""What the console's forms say of a wrong field, and which forms a failed retry has."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.api.server import NoDagster, served
from tests.console.browser import shown, watched
from tests.support import NOW, acknowledgement, delivery, execution, ingested

pytestmark = pytest.mark.slow


def test_a_wrong_field_has_our_message_beside_it(tmp_path: Path, browser: Browser) -> None:
    home = ingested(tmp_path, [delivery(NOW - timedelta(hours=5), failed=["jira"], status_codes=[404])])
    with served(home, dagster=NoDagster()) as service, watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/overview")
        page.get_by_role("button", name=re.compile(r"^Acknowledge \d+ deliver")).first.click()
        box = page.get_by_role("dialog")
        label, send = box.get_by_label("Your label"), box.get_by_role("button", name="Acknowledge", exact=True)
        label.fill("lead@example")
        send.click()
        fault = box.locator("small.fault")
        expect(fault).to_have_text(re.compile("An e-mail address is not accepted"))
        expect(label).to_be_focused()
        expect(label).to_have_attribute("aria-invalid", "true")
        assert (label.get_attribute("aria-describedby") or "").split() == [fault.get_attribute("id"), "f-by-hint"]
        label.fill("")
        expect(fault).to_have_text("Fill this in.")
        label.fill("lead")
        expect(fault).to_have_count(0)
        assert label.get_attribute("aria-invalid") is None
        assert label.get_attribute("aria-describedby") == "f-by-hint"
        box.get_by_role("button", name="Cancel").click()

        page = shown(page, f"{service.url}/?again#/health?lane=recovery_escalation")
        page.get_by_text("Other parameters").click()
        page.get_by_label("Window (hours)").fill("9000")
        page.get_by_text("Other parameters").click()
        seen.requests.clear()
        page.get_by_role("button", name="Evaluate").click()
        expect(page.get_by_text("Enter a whole number from 1 to 8,784.")).to_be_visible()
        assert not [url for url in seen.requests if "/health" in url]
    assert seen.complaints == []


def test_a_failed_retry_is_acknowledged_only_where_that_is_missing(tmp_path: Path, browser: Browser) -> None:
    lane = "recovery_escalation"
    home = ingested(tmp_path, [
        delivery(NOW - timedelta(hours=5), subject="plan-1", failed=["jira"], status_codes=[404]),
        execution(NOW - timedelta(hours=4), subject="plan-1", provider="jira"),
        delivery(NOW - timedelta(hours=5), subject="plan-2", failed=["jira"], status_codes=[404]),
        execution(NOW - timedelta(hours=4), subject="plan-2", provider="jira"),
        acknowledgement(NOW - timedelta(hours=3), subject="plan-2", provider="jira"),
    ])  # fmt: skip
    with served(home, dagster=NoDagster()) as one, watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{one.url}/#/health?lane={lane}")
        rows = page.locator("table", has=page.get_by_text("Retries that failed or were skipped in the window"))
        missing, other = (rows.locator("tr", has_text=subject) for subject in ("plan-1", "plan-2"))
        expect(missing.get_by_role("button", name="Acknowledge plan-1, jira")).to_have_count(1)
        expect(other.get_by_role("button", name="Acknowledge")).to_have_count(0)
        other.get_by_role("button", name="Resolve plan-2, jira").click()
        box = page.get_by_role("dialog")
        assert box.get_by_label("State").locator("option").all_inner_texts() == ["Resolved", "Dismissed"]
        box.get_by_label("Your label").fill("incident-lead")
        box.get_by_role("button", name="Resolve", exact=True).click()
        expect(page.locator("#said")).to_have_text("Recorded as resolved: plan-2, Jira.", timeout=60_000)
        expect(other.get_by_role("button", name="Resolve")).to_have_count(0)
        expect(missing.get_by_role("button", name="Acknowledge plan-1, jira")).to_have_count(1)
    assert seen.complaints == []
