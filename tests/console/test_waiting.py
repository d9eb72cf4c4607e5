"""What waits for a person, and what a page says of it: acknowledgements, approvals, failures without an incident."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.alerts.watch import watch_pass
from cavra_pipeline.settings import Settings
from tests.api.server import NoDagster, Served, served
from tests.console.browser import service_of, shown, watched
from tests.support import NOW, acknowledgement, delivery, ingested, record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HOUR = timedelta(hours=1)
AUDIT = "acknowledgement_audit"


class StoppedDagster(NoDagster):
    """Its daemon has run and has stopped."""

    def state(self) -> dict[str, object]:
        return {"daemon": "silent"}


def waiting_home(folder: Path) -> Settings:
    """ServiceNow rejects five audits, one of them approved; two escalations fail by themselves, one acknowledged."""
    audits = [
        delivery(
            NOW - 5 * HOUR + n * HOUR / 60, lane=AUDIT, subject=f"audit-{n}", failed=["servicenow"], status_codes=[401]
        )
        for n in range(5)
    ]
    loose = [
        delivery(NOW - 2 * HOUR, subject=f"plan-{provider}", failed=[provider], status_codes=[status])
        for provider, status in (("slack", 500), ("webhook", 404))
    ]
    named = {"delivery_id": "audit-0", "provider": "servicenow", "approval_state": "approved"}
    said = [
        record("retry-execution-approval-decision", NOW - HOUR, **named),
        acknowledgement(NOW - HOUR, subject="plan-slack", provider="slack", state="accepted"),
    ]
    home = ingested(folder, [*audits, *loose, *said])
    since = (NOW - 5 * HOUR).isoformat()
    cause = Signal(
        "provider_incident", f"servicenow since {since}", "critical", NOW - 5 * HOUR, "credentials",
        evidence={"provider": "servicenow"},
    )  # fmt: skip
    failed = Signal("failed_execution", f"servicenow in {AUDIT}", "critical", NOW - HOUR, cause="provider_incident")
    gap = Signal(
        "acknowledgement_gap", "recovery_escalation", "warning", NOW - HOUR, evidence={"lane": "recovery_escalation"}
    )
    kinds = ["provider_incident", "failed_execution", "acknowledgement_gap"]
    watch_pass(home, Observation(kinds, [cause, failed, gap]), clock=lambda: NOW)
    return home


service = service_of(waiting_home, dagster=StoppedDagster)


def fact(page: Page, name: str) -> str:
    return page.locator("dl.facts div", has_text=name).locator("dd").inner_text()


def test_ready_retries_are_told_from_those_that_a_person_has_to_release(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), service.url)
        for lane, text in (
            ("Recovery escalation", "1 ready, 1 held for an acknowledgement"),
            ("Acknowledgement audit", "1 ready, 4 held for an approval"),
        ):
            assert page.get_by_role("row", name=lane).get_by_role("link", name=text, exact=True).is_visible()
        page.goto(f"{service.url}/#/plan?lane={AUDIT}")
        page.get_by_text("1 ready to retry, 4 held for an approval").first.wait_for()
        assert page.get_by_placeholder("15").count() == 1
        page.set_viewport_size({"width": 1280, "height": 900})
        assert page.locator("#decisions").evaluate("one => one.scrollWidth <= one.clientWidth")
        page.get_by_label("State").select_option("gate")
        assert page.locator("tbody tr").filter(has_text="Held: needs an approval").count() == 4
        assert page.locator("tbody tr").filter(has_text="audit-0").count() == 0
        page.get_by_label("Max attempts").fill("1")
        page.get_by_role("button", name="Preview").click()
        page.get_by_text("5 exhausted").first.wait_for()
    assert seen.complaints == []


@pytest.mark.parametrize(
    ("lane", "subject", "provider", "heading"),
    [
        (AUDIT, "audit-1", "servicenow", "Held: needs an approval"),
        (AUDIT, "audit-0", "servicenow", "Ready to retry"),
        ("recovery_escalation", "plan-webhook", "webhook", "Held: needs an acknowledgement"),
    ],
)
def test_a_delivery_is_headed_by_its_state(
    service: Served, browser: Browser, lane: str, subject: str, provider: str, heading: str
) -> None:
    with watched(browser) as seen:
        page = shown(
            seen.context.new_page(), f"{service.url}/#/delivery?lane={lane}&subject={subject}&provider={provider}"
        )
        page.get_by_text(heading, exact=True).wait_for()
        assert page.get_by_text("Ready to retry").count() == (heading == "Ready to retry")
        assert page.get_by_text("Approvals are given in CAVRA").count() == (heading == "Held: needs an approval")
    assert seen.complaints == []


def test_an_incident_counts_the_approvals_that_its_deliveries_need(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), service.url)
        card = page.locator("li.cause", has_text="ServiceNow rejects")
        assert card.locator(".main").all_inner_texts() == ["Open the incident"]
        page.get_by_role("row", name="Acknowledgement audit").get_by_role("link", name="ServiceNow rejects").click()
        page.get_by_text("Approvals are given in CAVRA").wait_for()
        assert (fact(page, "Need an acknowledgement"), fact(page, "Need an approval")) == ("0", "4")
        states = page.locator("td[data-label=State]").all_inner_texts()
        assert sorted(states) == ["Held: needs an approval"] * 4 + ["Ready"]
        page.get_by_role("link", name="Preview its retry plan").click()
        page.get_by_role("heading", level=1, name="Retry plan").wait_for()
        assert page.get_by_label("Lane").input_value() == AUDIT
        assert page.get_by_label("Provider").input_value() == "servicenow"
    assert seen.complaints == []


def test_failures_without_an_incident_have_a_card_and_are_acknowledged_from_it(
    tmp_path: Path, browser: Browser
) -> None:
    with watched(browser) as seen, served(waiting_home(tmp_path), dagster=NoDagster()) as one:
        page = shown(seen.context.new_page(), one.url)
        card = page.locator("li.cause", has_text="2 deliveries failed without an open incident")
        assert "Slack is returning server errors (500): 1 delivery" in card.inner_text()
        assert "Webhook no longer knows the address (404): 1 delivery" in card.inner_text()
        next_step = "Correct the Webhook address. 1 to acknowledge."
        assert next_step in card.inner_text()
        assert "Ask the owner" not in card.inner_text()
        assert card.locator(".main").all_inner_texts() == ["Open the plan of Recovery escalation"]
        card.get_by_role("button", name="Acknowledge 1 delivery").click()
        box = page.get_by_role("dialog")
        assert box.get_by_text("Fix the cause first").is_visible()
        border = "node => getComputedStyle(node).borderTopColor"
        label = box.get_by_label("Your label")
        untouched = label.evaluate(border)
        label.fill("no label@")
        label.blur()
        assert label.evaluate(border) != untouched
        box.get_by_role("button", name="Cancel").click()
        assert box.count() == 0
        card.get_by_role("button", name="Acknowledge 1 delivery").click()
        label.fill("incident-lead")
        box.get_by_role("button", name="Acknowledge", exact=True).click()
        page.get_by_role("region", name="Result").get_by_text("1 delivery acknowledged by incident-lead.").wait_for(
            timeout=60_000
        )
        page.locator(".toast").wait_for(state="detached", timeout=60_000)
        assert card.get_by_role("button").count() == 0
        assert page.locator(".toast").count() == 0
    assert seen.complaints == []


def test_a_submit_shows_at_once_that_something_goes_on(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), service.url)
        page.route("**/acknowledgements", lambda _: None)
        page.get_by_role("button", name="Acknowledge 1 delivery").click()
        page.get_by_label("Your label").fill("incident-lead")
        box = page.get_by_role("dialog")
        box.get_by_role("button", name="Acknowledge", exact=True).click()
        assert box.get_by_role("button", name="Recording …").is_disabled()


def test_alerts_that_a_cause_mutes_stand_under_it_and_a_silence_is_in_words(service: Served, browser: Browser) -> None:
    with watched(browser) as seen, service.client() as client:
        kept = client.get("/api/v1/alerts").json()["alerts"]
        (cause,) = [one for one in kept if one["kind"] == "provider_incident"]
        body = {"kind": cause["kind"], "subject": cause["subject"], "minutes": 60, "comment": "known", "by": "ops"}
        assert client.post("/api/v1/silences", json=body).is_success
        page = shown(seen.context.new_page(), f"{service.url}/#/alerts")
        assert page.get_by_text("no alert is evaluated and no one is notified").is_visible()
        until = f"{NOW + HOUR:%H:%M}"
        row = page.get_by_role("row", name="ServiceNow rejects our credentials")
        assert row.get_by_text("Renew the ServiceNow credential or restore its permissions.").is_visible()
        assert row.get_by_text(f"Silenced by ops until {until} UTC").is_visible()
        assert "silence-" not in page.locator("main").inner_text()
        muted = row.get_by_role("link", name="Failed execution: ServiceNow in Acknowledgement audit")
        assert muted.is_hidden()
        row.get_by_text("1 alert is muted by it").click()
        assert muted.is_visible()
        assert page.locator("td button.main").count() == 0
        muted.click()
        page.get_by_text("No notification is sent: it is muted by a provider incident.").wait_for()
        page.evaluate("location.hash = '#/alerts'")
        page.get_by_role("link", name="Acknowledgement gap", exact=True).click()
        page.get_by_role("heading", name="1 delivery needs an acknowledgement").wait_for()
        assert page.get_by_role("link", name="plan-webhook").is_visible()
        assert page.get_by_role("link", name="See it in the API").is_visible()
    assert seen.complaints == []


def test_an_unknown_address_says_so_and_a_phone_shows_the_title_first(service: Served, browser: Browser) -> None:
    with watched(browser, width=360) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/nowhere")
        assert page.get_by_text("The console has no page at this address.").is_visible()
        top = page.get_by_role("heading", level=1).bounding_box()
        assert top is not None
        assert top["y"] < 120
        assert page.get_by_label("As of (UTC)").is_hidden()
        page.get_by_role("button", name="Time").click()
        assert page.get_by_label("As of (UTC)").is_visible()
        assert page.locator("#moment").get_by_text("UTC", exact=True).is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.get_by_role("button", name="Menu").click()
        assert page.get_by_label("As of (UTC)").is_hidden()
        assert page.get_by_role("link", name="Overview", exact=True).is_visible()
        page.keyboard.press("Escape")
        assert page.get_by_role("link", name="Overview", exact=True).is_hidden()
        assert page.evaluate("document.activeElement.id") == "menu"
    assert seen.complaints == []


def test_a_lane_that_is_none_is_named_and_no_other_is_shown(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = seen.context.new_page()
        for view in ("health?run=1&", "plan?", "worker?", "forecast?", "history?", "evidence?", "delivery?subject=x&"):
            page.goto("about:blank")
            shown(page, f"{service.url}/#/{view}lane=nosuch")
            page.get_by_text("There is no lane nosuch.").wait_for()
            assert page.locator("main").get_by_role("combobox").count() == 0
        assert not [url for url in seen.requests if "nosuch" in url.partition("#")[0]]
        page.evaluate(f"location.hash = '#/health?lane={AUDIT}'")
        page.get_by_role("region", name="Verdict").wait_for()
        assert page.get_by_text("There is no lane").count() == 0
    assert seen.complaints == []


def test_no_id_is_cut_or_broken_and_ages_begin_with_just_now(service: Served, browser: Browser) -> None:
    with watched(browser, width=1440) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/evidence")
        for cell in page.locator(".id").all():
            assert cell.evaluate("node => [node.scrollWidth <= node.clientWidth, node.getClientRects().length]") == [
                True,
                1,
            ]
        ages = page.evaluate("() => import('/console/dom.js').then(dom => [0, 1, 61, null].map(dom.ago))")
    assert ages == ["just now", "1 min ago", "1 h 1 min ago", "never"]
    assert not re.search(r"\d s ago", " ".join(ages))


def test_a_plan_with_waiting_and_held_retries_fits_its_box(tmp_path: Path, browser: Browser) -> None:
    subjects = ("gordackrecoveryesc-968ab48186da59fc", "gordackrecoveryesc-44d48fe5876d497c")
    records = [
        delivery(NOW - age, subject=subject, failed=["servicenow"], status_codes=[401])
        for subject, age in zip(subjects, (2 * HOUR, HOUR / 12), strict=True)
    ]
    with served(ingested(tmp_path, records), dagster=NoDagster()) as one, watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{one.url}/#/plan?lane=recovery_escalation")
        rows = page.locator("#decisions tbody tr")
        rows.filter(has_text="Waiting").wait_for()
        assert rows.filter(has_text="Held: needs an acknowledgement").count() == 1
        assert page.locator("#decisions").evaluate("one => one.scrollWidth <= one.clientWidth")


def test_the_day_that_has_not_ended_is_no_plunge_of_the_evidence_that_came_in(
    service: Served, browser: Browser
) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/history?lane={AUDIT}")
        figure = page.locator("figure", has_text="evidence that came in")
        days = figure.locator("tbody tr")
        today, before = days.last.locator("td"), days.nth(-2).locator("td")
        assert today.all_text_contents() == ["–", "–"]
        assert "–" not in before.all_text_contents()
