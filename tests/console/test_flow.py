"""From a red lane to its cause and back to work, in a real browser: what an operator does, counted in clicks."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.alerts.watch import watch_pass
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.reports.store import save_every_report
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from tests.api.server import NoDagster, Served, served
from tests.console.browser import shown, ticking, watched
from tests.support import NOW, delivery, ingested, query

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HOUR = timedelta(hours=1)
MOST_CLICKS = 12


def broken_provider(folder: Path) -> Settings:
    """A home where ServiceNow rejects ten deliveries, and the daily report of yesterday is saved."""
    failing = [
        delivery(
            NOW - 5 * HOUR + n * timedelta(minutes=1), subject=f"plan-{n}", failed=["servicenow"], status_codes=[401]
        )
        for n in range(10)
    ]
    home = ingested(
        folder, [*failing, delivery(NOW - 6 * HOUR, subject="plan-x", failed=["slack"], status_codes=[500])]
    )
    days = [(NOW - timedelta(days=1)).date(), NOW.date()]
    list(save_every_report(warehouse_of(home), state_of(home), days, now=NOW))
    signal = Signal("failed_run", "daily_close", "critical", NOW - HOUR, evidence={"run": "run-1"})
    watch_pass(home, Observation(["failed_run"], [signal]), clock=lambda: NOW)
    return home


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return broken_provider(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def service(prepared: Settings, tmp_path: Path, browser: Browser) -> Iterator[Served]:
    """A home of each test's own, since it writes to it."""
    home = prepared.but(home=Path(shutil.copytree(prepared.home, tmp_path / "home")))
    with served(home, dagster=NoDagster(), clock=ticking()) as one:
        yield one


class Clicks:
    """Clicks, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def on(self, what: Locator) -> None:
        what.click()
        self.count += 1


def acknowledgements(service: Served) -> list[tuple[str, str, str]]:
    found = query(
        service.service.settings,
        "SELECT subject, provider, acknowledgement_state AS state FROM evidence "
        "WHERE record_type = 'acknowledgement' ORDER BY ALL",
    )
    return [(str(subject), str(provider), str(state)) for subject, provider, state in found]


def test_from_a_red_lane_to_ten_acknowledgements_a_silence_and_a_what_if(service: Served, browser: Browser) -> None:
    clicks = Clicks()
    with watched(browser) as seen, service.client() as client:
        page = shown(seen.context.new_page(), service.url)
        lane = page.get_by_role("row", name="Recovery escalation Critical")
        clicks.on(lane.get_by_role("link", name="ServiceNow rejects our credentials (401)"))
        page.get_by_text("Renew the ServiceNow credential or restore its permissions").wait_for()
        assert page.locator("tbody tr").count() == 10

        clicks.on(page.get_by_role("link", name="Open its evidence"))
        page.get_by_text("Records of 10 subjects").wait_for()
        records = page.locator("table", has=page.locator("caption", has_text="Records")).locator("tbody tr")
        assert (records.count(), records.filter(has_text="slack").count()) == (10, 0)

        page.go_back()
        clicks.count += 1
        page.get_by_text("it does not fix ServiceNow. Fix the cause first").wait_for()
        assert page.locator("main button.main").count() == 0
        clicks.on(page.get_by_role("button", name="Acknowledge 10 deliveries"))
        assert page.get_by_role("dialog").get_by_text("It sends nothing and fixes nothing by itself.").is_visible()
        page.get_by_label("State").select_option("accepted")
        clicks.count += 1
        page.get_by_label("Your label").fill("incident-lead")
        clicks.on(page.get_by_role("dialog").get_by_role("button", name="Acknowledge"))
        # Each is an ingest of its own.
        page.get_by_role("region", name="Result").get_by_text("10 deliveries accepted by incident-lead.").wait_for(
            timeout=120_000
        )
        page.locator(".toast").wait_for(state="detached", timeout=60_000)
        assert page.get_by_role("button", name="Acknowledge 10 deliveries").count() == 0
        assert acknowledgements(service) == [(f"plan-{n}", "servicenow", "accepted") for n in range(10)]

        clicks.on(page.get_by_role("button", name="Silence provider incident"))
        page.get_by_label("Why").fill("cause is known")
        page.get_by_label("Your label").fill("incident-lead")
        clicks.on(page.get_by_role("dialog").get_by_role("button", name="Silence"))
        page.get_by_role("dialog").wait_for(state="hidden")
        (silence,) = client.get("/api/v1/alerts").json()["silences"]
        assert (silence["kind"], silence["author"]) == ("provider_incident", "incident-lead")
        assert silence["subject"].startswith("servicenow since ")

        clicks.on(page.get_by_role("link", name="Preview its retry plan"))
        page.get_by_text("Preview only, not saved").wait_for()
        before = service.service.keeper.kept_count
        page.get_by_label("Max attempts").fill("1")
        clicks.on(page.get_by_role("button", name="Preview"))
        page.get_by_text("11 exhausted").first.wait_for()
        assert service.service.keeper.kept_count == before

    assert clicks.count <= MOST_CLICKS
    assert seen.hosts() == {service.url.removeprefix("http://")}
    assert seen.complaints == []


def test_the_health_of_a_lane_names_the_incident_and_warns_to_fix_it_first(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/health?lane=recovery_escalation")
        verdict = page.get_by_role("region", name="Verdict")
        cause = verdict.get_by_role("link", name="ServiceNow rejects our credentials (401)")
        assert "Renew the ServiceNow credential" in verdict.inner_text()
        page.get_by_role("button", name="Acknowledge 11 deliveries").click()
        dialog = page.get_by_role("dialog")
        assert dialog.get_by_text("10 of these (ServiceNow) fail until the cause is fixed").is_visible()
        assert dialog.get_by_text("Fix the cause first").count() == 0
        assert all(box.is_visible() for box in dialog.get_by_role("checkbox").all())
        page.get_by_role("button", name="Cancel").click()
        cause.click()
        page.get_by_role("link", name="Preview its retry plan").wait_for()
        page.evaluate("location.hash = '#/health?lane=executive_report'")
        page.get_by_role("region", name="Verdict").get_by_text("Executive report").wait_for()
        assert page.get_by_text("Cause: ").count() == 0
    assert seen.complaints == []


def test_a_plan_and_the_worker_warn_of_retries_that_an_incident_makes_fail(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/plan?lane=recovery_escalation")
        page.get_by_text("would fail. Fix the cause first").wait_for()
        assert page.get_by_role("link", name="ServiceNow rejects our credentials (401)").is_visible()
        assert page.get_by_role("button", name="Save the plan").is_visible()
        assert page.locator("main button.main").count() == 0
        page.get_by_role("link", name="Worker", exact=True).click()
        page.get_by_role("region", name="The next run").get_by_text("would fail. Fix the cause first").wait_for()
        page.evaluate("location.hash = '#/plan?lane=executive_report'")
        page.get_by_text("Preview only, not saved").wait_for()
        assert page.get_by_text("would fail").count() == 0
    assert seen.complaints == []


def test_one_refused_acknowledgement_of_many_stops_no_other_and_is_named(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), service.url)
        # One delivery is another by the time that the request arrives.
        page.route("**/acknowledgements", lambda route: (
            route.continue_(post_data=(route.request.post_data or "").replace('"plan-3"', '"plan-33"'))
        ))  # fmt: skip
        page.get_by_role("button", name="Acknowledge 10 deliveries").click()
        page.get_by_label("Your label").fill("incident-lead")
        page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
        result = page.get_by_role("region", name="Result")
        result.get_by_text("9 deliveries acknowledged by incident-lead, 1 not.").wait_for(timeout=120_000)
        page.locator(".toast").wait_for(state="detached", timeout=60_000)
        assert result.get_by_text("plan-33, servicenow: no delivery of it").is_visible()
        assert page.get_by_role("button", name="Acknowledge 1 delivery: ServiceNow").is_visible()
    assert [subject for subject, _, _ in acknowledgements(service)] == [f"plan-{n}" for n in range(10) if n != 3]


def test_a_delivery_says_why_it_waits_what_releases_it_and_shows_its_record(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/plan?lane=recovery_escalation")
        page.get_by_role("link", name="plan-7").click()
        page.get_by_text("an acknowledgement (acknowledged, accepted, resolved)").wait_for()
        assert page.get_by_role("img", name="Attempts over time").locator("circle").count() == 1
        assert page.get_by_text("It is not tried in the next 24 hours: it needs an acknowledgement.").is_visible()
        assert page.get_by_role("link", name="9 other deliveries").is_visible()
        page.get_by_role("row", name="Delivery Failed, 401").get_by_role("button", name="Open").click()
        page.get_by_role("dialog").get_by_text("metadata_kind").wait_for()
        assert page.evaluate("document.activeElement.id") == "dialog-title"
        # A dialog belongs to its view.
        page.evaluate("location.hash = '#/incidents'")
        page.get_by_role("heading", level=1, name="Incidents").wait_for()
        assert page.get_by_role("dialog").count() == 0
        page.evaluate("location.hash = '#/delivery?subject=plan-7&provider=slack'")
        page.get_by_role("alert").get_by_text("this subject has no delivery to this provider").wait_for()
    assert [one for one in seen.complaints if "404" not in one] == []


def test_an_acknowledgement_of_a_delivery_is_withdrawn_on_its_page(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/delivery?subject=plan-7&provider=servicenow")
        assert page.get_by_role("button", name="Withdraw").count() == 0
        for action, state in (("Acknowledge plan-7", "Ready to retry"), ("Withdraw the", "Held: deferred")):
            page.get_by_role("button", name=action).click()
            page.get_by_label("Your label").fill("incident-lead")
            page.get_by_role("dialog").get_by_role("button", name=action.split()[0], exact=True).click()
            page.get_by_text(state).wait_for()
        assert page.get_by_role("button", name="Withdraw").count() == 0
        verdict = page.get_by_role("region", name="Verdict").inner_text()
        assert "First: Renew the ServiceNow credential or restore its permissions; until then retries fail." in verdict
        assert "Ask: incident-lead, who deferred it." in verdict
        assert page.locator("main button.main").count() == 0
        page.get_by_role("button", name="Acknowledge plan-7").click()
        assert page.get_by_role("dialog").get_by_text("uses up an attempt. Ask incident-lead").is_visible()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("link", name="Try another policy").click()
        page.get_by_text("Preview only, not saved").wait_for()
        assert page.locator("#decisions tbody th").all_inner_texts() == ["plan-7"]
        assert page.locator("#decisions td[data-label=State]").all_inner_texts() == ["Held: deferred\n\nAcknowledge"]
        assert page.locator("p.state").inner_text() == "10 held for an acknowledgement and 1 deferred"
        page.get_by_label("Find").fill("")
        expect(page.locator("#decisions tbody tr")).to_have_count(10)
        held = page.locator("#decisions tbody tr", has_text="Held: needs an acknowledgement")
        assert held.count() == 9
    assert sorted(acknowledgements(service)) == [
        (("plan-7"), "servicenow", state) for state in ("acknowledged", "deferred")
    ]
    assert seen.complaints == []


def test_an_alert_is_acknowledged_silenced_and_heard_again(service: Served, browser: Browser) -> None:
    with watched(browser) as seen, service.client() as client:
        page = shown(seen.context.new_page(), f"{service.url}/#/alerts")
        page.get_by_role("link", name="Failed run: daily_close").first.click()
        page.get_by_text("Open the failed run in the Dagster UI").wait_for()
        page.get_by_text("run-1").first.wait_for()
        page.get_by_role("button", name="Acknowledge alert: Failed run of daily_close").click()
        page.get_by_label("Your label").fill("on-call")
        page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
        page.get_by_role("button", name="Silence failed run of daily_close").click()
        page.get_by_label("Why").fill("not a label@")
        page.get_by_label("Your label").fill("on-call")
        page.get_by_role("dialog").get_by_role("button", name="Silence").click()
        assert page.get_by_role("dialog").is_visible()
        assert client.get("/api/v1/alerts").json()["silences"] == []
        page.get_by_label("Why").fill("planned work")
        page.get_by_role("dialog").get_by_role("button", name="Silence").click()
        page.get_by_text("by on-call: planned work").wait_for()
        assert page.get_by_role("button", name="Silence failed run").count() == 0

        assert page.get_by_text("Silenced until").count() == 1

        page.get_by_role("button", name="End the silence of daily_close").click()
        page.get_by_text("The silence has ended.").wait_for()
        assert page.get_by_text("Silenced until").count() == 0
        page.get_by_role("link", name="Alerts", exact=True).first.click()
        page.get_by_text("No silence.").wait_for()
        answer = client.get("/api/v1/alerts").json()
        assert (answer["silences"], answer["alerts"][0]["acknowledged_by"]) == ([], "on-call")
    assert seen.complaints == []


def test_a_silence_of_an_incident_ends_on_its_page(service: Served, browser: Browser) -> None:
    with watched(browser) as seen, service.client() as client:
        (incident,) = client.get("/api/v1/incidents").json()["incidents"]
        page = shown(seen.context.new_page(), f"{service.url}/#/incident?id={incident['incident_id']}")
        page.get_by_role("button", name="Silence provider incident").click()
        page.get_by_label("Why").fill("cause is known")
        page.get_by_label("Your label").fill("on-call")
        page.get_by_role("dialog").get_by_role("button", name="Silence").click()
        page.get_by_text("by on-call: cause is known").wait_for()
        page.get_by_role("button", name="End the silence of ServiceNow").click()
        page.get_by_text("The silence has ended.").wait_for()
        assert page.get_by_text("Silenced until").count() == 0
        assert page.get_by_role("button", name="Silence provider incident").is_visible()
        assert client.get("/api/v1/alerts").json()["silences"] == []
    assert seen.complaints == []


def test_the_whole_page_goes_to_a_past_instant_and_offers_no_change_there(service: Served, browser: Browser) -> None:
    past = NOW - timedelta(hours=5, minutes=30)
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), service.url)
        assert page.get_by_role("button", name="Acknowledge 10 deliveries").is_visible()
        page.get_by_label("As of (UTC)").fill(past.strftime("%Y-%m-%dT%H:%M:%S"))
        page.get_by_role("button", name="Show", exact=True).click()
        page.get_by_text("nothing can be changed here").wait_for()
        page.get_by_role("region", name="Lanes").get_by_role("link", name="Recovery escalation", exact=True).click()
        page.get_by_role("heading", name="Acknowledgement gaps").wait_for()
        assert page.get_by_text(re.compile(f"^As of {past:%Y-%m-%d %H:%M} UTC")).is_visible()
        assert page.locator("main").get_by_role("button", name=re.compile(r"^Acknowledge\b")).count() == 0
        page.get_by_role("link", name="Incidents").click()
        page.get_by_text("No provider incident is known.").wait_for()
        page.get_by_role("button", name="One hour later").click()
        page.get_by_role("link", name="ServiceNow rejects our credentials (401)").wait_for()
        page.get_by_role("button", name="Now").click()
        page.wait_for_function("!location.hash.includes('as_of')")
        assert page.get_by_text("nothing can be changed here").is_hidden()
    assert seen.complaints == []


def test_days_of_a_lane_are_walked_by_keys_and_lead_to_the_lane_of_then(service: Served, browser: Browser) -> None:
    with watched(browser, width=360) as seen:
        page = shown(seen.context.new_page(), service.url)
        days = page.get_by_role("group", name="Recovery escalation: days, arrow keys move").get_by_role("link")
        texts = [one.get_attribute("aria-label") or "" for one in days.all()]
        assert texts[-1].endswith(f"{NOW.date()}: critical")
        assert texts[-3].endswith("no report saved")
        unused = page.get_by_role("group", name="Release closeout: days, arrow keys move").get_by_role("link")
        assert (unused.last.get_attribute("aria-label") or "").endswith("no evidence yet")
        assert page.locator(".strip a[tabindex='0']").count() == 7
        days.last.focus()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        page.get_by_text(f"Shown as of {NOW.date() - timedelta(days=1)} 23:59 UTC").wait_for()
        page.get_by_role("heading", level=1, name="Retry health").wait_for()
        page.get_by_role("button", name="Menu").click()
        page.get_by_role("link", name="Executive report").click()
        page.get_by_role("heading", level=1, name="Executive report").wait_for()
        assert page.get_by_role("link", name="Incidents").is_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert seen.complaints == []


def test_the_api_is_tried_from_its_reference_without_another_host(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = seen.context.new_page()
        page.goto(f"{service.url}/docs")
        page.get_by_role("heading", level=1, name="API reference").wait_for()
        page.get_by_role("searchbox", name="Find").fill("api/v1/incidents")
        page.locator("summary", has_text="/api/v1/incidents").click()
        page.get_by_label("open").fill("true")
        page.get_by_role("button", name="Try it").click()
        page.get_by_label("Answer").get_by_text('"cause": "credentials"').wait_for()
        page.get_by_label("open").fill("perhaps")
        page.get_by_role("button", name="Try it").click()
        page.get_by_role("alert").get_by_text("open: ").wait_for()
        page.get_by_role("searchbox", name="Find").fill("/forecast")
        page.locator("summary", has_text="/api/v1/lanes/{lane}/forecast").click()
        page.get_by_label("lane (required)").select_option("executive_report")
        page.get_by_role("button", name="Try it").click()
        page.get_by_label("Answer").get_by_text('"lane": "executive_report"').first.wait_for()
    assert seen.hosts() == {service.url.removeprefix("http://")}
    assert [one for one in seen.complaints if "422" not in one] == []


def test_a_dry_run_and_the_previews_send_nothing(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page: Page = shown(seen.context.new_page(), f"{service.url}/#/worker?lane=recovery_escalation")
        page.get_by_role("button", name="Dry run").click()
        page.get_by_text("0 retries selected, nothing sent").first.wait_for()
        page.get_by_role("link", name="Forecast", exact=True).click()
        page.get_by_role("heading", level=1, name="Forecast").wait_for()
        page.locator("tbody tr").first.wait_for()
        assert page.locator("tbody tr").count() == 11
        page.evaluate("location.hash = '#/executive'")
        with page.expect_download() as saved:
            page.get_by_role("button", name="Download as a page").click()
        assert Path(saved.value.path()).read_bytes().startswith(b"<!doctype html>")
    assert query(service.service.settings, "SELECT count(*) FROM evidence WHERE record_type = 'execution'") == [(0,)]
    assert query(service.service.settings, "SELECT count(*) FROM evidence WHERE record_type = 'worker_run'") == [(1,)]
    assert seen.complaints == []
