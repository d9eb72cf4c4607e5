"""What an operator does, in a real browser against the real service: no part of it is stood in for."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Download, Page

from tests.api.server import NoDagster, Served, served, token_file
from tests.console.browser import AXE, bad_month, service_of, shown, watched
from tests.support import acknowledgement, delivery, drop, execution, ingested, query

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
VIEWS = (
    "overview", "health?lane=recovery_escalation&run=1", "health?lane=executive_report&run=1", "plan", "history",
    "alerts", "slots", "evidence?record_type=execution", "intake", "recoveries", "closure", "sources", "incidents",
    "incident", "delivery", "alert", "worker", "forecast", "escalation", "executive", "api?find=alerts",
)  # fmt: skip
#: Follows a link within the page; done when the page has begun to draw it.
FOLLOW = """to => new Promise(done => {
    addEventListener('hashchange', done, {once: true});
    location.hash = to;
}).then(() => null)"""
EVERY_LOOK = [(1280, "light"), (360, "dark"), (1024, "light"), (1280, "dark"), (360, "light")]
LOOKS = EVERY_LOOK if os.environ.get("CAVRA_TEST_BROWSER") == "1" else EVERY_LOOK[:2]


service = service_of(bad_month)


def text_of(download: Download) -> str:
    return Path(download.path()).read_bytes().decode()


def address_of(service: Served, view: str) -> str:
    """A view's address; that of an incident, a delivery and an alert names the first there is."""
    with service.client() as client:
        incident = client.get("/api/v1/incidents", params={"open": True}).json()["incidents"][0]
        alert = client.get("/api/v1/alerts").json()["alerts"][0]
    pair = incident["pairs"][0]
    found = {
        "incident": f"incident?id={incident['incident_id']}",
        "delivery": f"delivery?lane={pair['lane']}&subject={pair['subject']}&provider={incident['provider']}",
        "alert": f"alert?id={alert['alert_id']}",
    }
    return f"#/{found.get(view, view)}"


def rows(page: Page, caption: str) -> int:
    return page.locator("table", has=page.locator("caption", has_text=caption)).locator("tbody tr").count()


def test_a_plan_is_previewed_first_saved_second_compared_filtered_and_exported(
    service: Served, browser: Browser
) -> None:
    with watched(browser) as seen, service.client() as client:
        page = shown(seen.context.new_page(), f"{service.url}/#/plan")
        page.get_by_text("Preview only, not saved").wait_for()
        page.get_by_label("Max attempts").fill("2")
        page.get_by_role("button", name="Preview").click()
        page.get_by_text("at most 2 attempts").wait_for()
        assert service.service.keeper.kept_count == 0
        page.get_by_role("button", name="Save the plan").click()
        page.get_by_label("Your label").fill("incident-lead")
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_text("its evidence record is").wait_for()
        assert page.get_by_text("Requested by incident-lead").is_visible()
        assert page.get_by_role("button", name="Save the plan").count() == 0
        with page.expect_download() as saved:
            page.get_by_role("button", name="Export as JSON").click()
        answer = json.loads(text_of(saved.value))
        decisions = answer["plan"]["retry_decisions"]
        assert answer["plan"]["max_retry_attempts"] == 2
        assert answer["metadata"]["signer"] == "incident-lead"
        command = f"cavra-pipeline worker --lane executive_report --plan {answer['plan']['retry_plan_id']}"
        assert page.get_by_text(command, exact=True).is_visible()
        seen.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name=f"Copy: {command}").click()
        page.get_by_role("button", name=f"Copy: {command}").get_by_text("Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == command
        assert answer["metadata"]["retry_plan_id"] == answer["plan"]["retry_plan_id"]
        assert client.get(f"/api/v1/history/{answer['plan']['retry_plan_id']}").status_code == 200
        with page.expect_download() as saved:
            page.get_by_role("button", name="Export as CSV").click()
        asked = {"as_of": str(answer["plan"]["as_of"]), "max_retry_attempts": "2"}
        expected = client.get("/api/v1/lanes/executive_report/plan.csv", params=asked).text
        assert list(csv.reader(io.StringIO(text_of(saved.value)))) == list(csv.reader(io.StringIO(expected)))

        assert rows(page, "Decisions") == len(decisions)
        for action in ("retry", "wait", "suppress"):
            page.get_by_label("State").select_option(action)
            count = sum(one["action"] == action for one in decisions)
            assert page.locator("form[role=search] + div tbody tr").count() == count
        page.get_by_label("State").select_option("")
        page.get_by_role("button", name="Provider").first.click()
        assert page.locator("th[aria-sort=ascending]").first.inner_text().startswith("Provider")
        shown_providers = page.locator("form[role=search] + div tbody td:nth-child(2)").all_inner_texts()
        assert shown_providers == sorted(shown_providers)
        page.get_by_role("heading", name="What changes").wait_for()
        assert page.get_by_text(re.compile("by the lane's own policy, and|Its failures went from")).count() > 0

    assert seen.hosts() == {service.url.removeprefix("http://")}
    assert seen.complaints == []


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_no_view_has_a_serious_accessibility_fault_or_is_wider_than_its_screen(
    service: Served, browser: Browser, width: int, scheme: str
) -> None:
    faults: list[str] = []
    with watched(browser, width=width, scheme=scheme) as seen:
        # By the protocol, not by a script element: the page's own policy stays in force.
        seen.context.add_init_script(path=AXE)
        page = shown(seen.context.new_page(), f"{service.url}/#/evidence")
        for view in VIEWS:
            page.evaluate(FOLLOW, address_of(service, view))
            page.wait_for_selector("main:not([aria-busy])")
            if view.startswith("api"):
                page.locator("details.operation > summary").first.click()
                page.get_by_role("button", name="Try it").first.wait_for()
            found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
            faults += [
                f"{view}: {one['id']} at {one['nodes'][0]['target']}"
                for one in found
                if one["impact"] in ("serious", "critical")
            ]
            if page.evaluate("document.documentElement.scrollWidth") > width:
                faults.append(f"{view}: wider than {width}")
        page.evaluate("document.querySelector('main').append(document.createElement('button'))")
        planted = page.evaluate("axe.run('main > button')")["violations"]

    assert faults == []
    assert "button-name" in [one["id"] for one in planted], "the judge sees no fault at all"
    assert seen.hosts() == {service.url.removeprefix("http://")}
    assert seen.complaints == []


def test_a_past_instant_is_judged_as_it_was_then(service: Served, browser: Browser) -> None:
    with watched(browser) as seen, service.client() as client:
        page = shown(seen.context.new_page(), f"{service.url}/#/health")
        page.get_by_label("As of (UTC)").fill("2026-06-20T12:00:00")
        page.get_by_role("button", name="Show").click()
        page.get_by_text("Shown as of 2026-06-20 12:00 UTC").wait_for()
        page.get_by_label("Lane").select_option("executive_report")
        page.get_by_text("Other parameters").click()
        page.get_by_label("Window (hours)").fill("24")
        page.get_by_role("button", name="Evaluate").click()
        page.get_by_role("button", name="Export as JSON").wait_for()
        with page.expect_download() as saved:
            page.get_by_role("button", name="Export as JSON").click()
        health = json.loads(text_of(saved.value))["health"]
        asked = {"as_of": "2026-06-20T12:00:00Z", "window_hours": "24"}
        expected = client.get("/api/v1/lanes/executive_report/health", params=asked).json()["health"]

    assert health["as_of"] == "2026-06-20T12:00:00+00:00"
    assert {**health, "generated_at": None} == {**expected, "generated_at": None}


def test_new_evidence_is_taken_in_by_a_run_that_is_followed_to_its_end(tmp_path: Path, browser: Browser) -> None:
    home = ingested(tmp_path, [])
    today = datetime.now(UTC)
    with watched(browser) as seen, served(home, clock=lambda: datetime.now(UTC)) as one, one.client() as client:
        drop(home, [delivery(today - timedelta(seconds=1), failed=["slack"])], day=today.date().isoformat())
        page = shown(seen.context.new_page(), one.url)
        part = page.get_by_role("region", name="Refresh")
        opener = part.get_by_role("button", name="Ingest new evidence")
        opener.click()
        page.get_by_role("dialog").get_by_label("Last day").fill((today - timedelta(days=1)).date().isoformat())
        page.get_by_role("button", name="Start the run").click()
        refused = page.get_by_role("dialog").get_by_role("alert")
        refused.wait_for()
        assert "earlier day first" in refused.inner_text()
        page.get_by_label("Last day").fill(today.date().isoformat())
        page.get_by_role("button", name="Start the run").click()
        part.get_by_text("Starting").or_(part.get_by_text("Started")).first.wait_for()
        assert opener.is_disabled()
        part.get_by_text("Success").wait_for(timeout=120_000)
        assert opener.is_enabled()
        link = part.get_by_role("link", name="open it in Dagster").get_attribute("href")
        assert link is not None
        assert client.get(f"/api/v1/refresh/{link.rpartition('/')[2]}").json()["status"] == "success"
        taken_in = client.get("/api/v1/evidence", params={"record_type": "delivery"}).json()["records"]
        assert [one["record"]["failed_providers"] for one in taken_in] == [["slack"]]
        page.get_by_role("link", name="1 waiting (then held for an acknowledgement)", exact=True).wait_for()
        page.close()

    assert seen.hosts() == {one.url.removeprefix("http://")}
    assert [one for one in seen.complaints if "404" not in one and "422" not in one] == []


def test_a_refresh_keeps_the_focus_and_a_pause_stops_it(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = seen.context.new_page()
        page.clock.install()
        shown(page, service.url)
        link = page.get_by_role("link", name="Escalation plan").first
        link.focus()
        key = link.get_attribute("data-key")
        link.evaluate("node => { node.id = 'before'; }")
        with page.expect_response(re.compile("/api/v1/partitions")):
            page.clock.run_for(16_000)
        page.wait_for_selector("#before", state="detached")
        assert page.evaluate("document.activeElement.dataset.key") == key

        page.get_by_role("button", name="Pause live refresh").click()
        assert page.get_by_role("button", name="Pause live refresh").get_attribute("aria-pressed") == "true"
        asked = len(seen.requests)
        page.clock.run_for(60_000)
        assert len(seen.requests) == asked


def test_the_keyboard_reaches_the_content_first_and_every_view(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), service.url)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.get_by_role("navigation", name="Views").get_by_role("link", name="Scheduled runs").press("Enter")
        page.get_by_role("heading", level=1, name="Scheduled runs").wait_for()
        assert page.evaluate("document.activeElement.tagName") == "H1"
        assert page.title() == "Scheduled runs · Evidence Console"


def test_an_alert_is_taken_on(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/alerts")
        assert rows(page, "Open alerts") == 2
        page.get_by_role("button", name="Acknowledge alert: Missed run of recovery_retry_worker").click()
        page.get_by_label("Your label").fill("incident-lead")
        page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
        page.get_by_text("by incident-lead").first.wait_for()
        with service.client() as client:
            alerts = {one["subject"]: one for one in client.get("/api/v1/alerts").json()["alerts"]}
    assert alerts["recovery_retry_worker"]["acknowledged_by"] == "incident-lead"
    assert alerts["executive_delivery_retry"]["acknowledged_by"] is None


def test_on_paper_there_are_no_controls(service: Served, browser: Browser) -> None:
    with watched(browser, scheme="dark") as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/health?lane=executive_report&run=1")
        page.emulate_media(media="print")
        visible = [page.locator(one).first.is_visible() for one in ("nav", "form", ".acts", ".top")]
        assert visible == [False] * 4
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.locator(".verdict").is_visible()


def test_scheduled_runs_say_since_when_they_are_recorded(service: Served, browser: Browser) -> None:
    with watched(browser) as seen, service.client() as client:
        since = datetime.fromisoformat(client.get("/api/v1/slots").json()["recorded_since"])
        page = shown(seen.context.new_page(), f"{service.url}/#/slots")
        page.get_by_text(f"Recorded since {since:%Y-%m-%d %H:%M} UTC; nothing is known").wait_for()
        shown(page, f"{service.url}/?again#/slots?days=1")
        page.get_by_role("heading", name="Scheduled runs").wait_for()
        assert page.get_by_text("Recorded since").count() == 0
    assert seen.complaints == []


def test_an_incident_that_began_later_says_when(service: Served, browser: Browser) -> None:
    with watched(browser) as seen, service.client() as client:
        incident = client.get("/api/v1/incidents", params={"open": True}).json()["incidents"][0]
        began_at = datetime.fromisoformat(incident["began_at"])
        before = f"{began_at - timedelta(days=1):%Y-%m-%dT%H:%M:%S}"
        page = shown(seen.context.new_page(), f"{service.url}/#/incident?id={incident['incident_id']}&as_of={before}")
        page.get_by_text(f"This incident began later, at {began_at:%Y-%m-%d %H:%M} UTC.").wait_for()
        assert page.get_by_label("As of (UTC)").input_value() == before.replace("T", " ")
        page.get_by_label("As of (UTC)").fill("yesterday")
        page.get_by_role("button", name="Show", exact=True).click()
        assert page.get_by_label("As of (UTC)").evaluate("input => input.validity.customError")
        page.get_by_text("This incident began later").wait_for()
    assert seen.complaints == []


def test_the_theme_that_was_chosen_stays(service: Served, browser: Browser) -> None:
    with watched(browser, scheme="light") as seen:
        page = shown(seen.context.new_page(), service.url)
        page.get_by_label("Theme").select_option("dark")
        shown(page, f"{service.url}/?again")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 17, 24)"


def test_a_token_is_asked_for_kept_in_the_tab_and_its_scopes_are_respected(tmp_path: Path, browser: Browser) -> None:
    path, tokens = token_file(tmp_path, reader="read", lead="read plan acknowledge")
    lines = [delivery(failed=["slack"]), execution(), acknowledgement(state="deferred")]
    home = ingested(tmp_path, lines, api_tokens_file=path)
    with served(home, dagster=NoDagster()) as one, watched(browser) as seen:
        page = seen.context.new_page()
        page.goto(f"{one.url}/#/plan")
        for token, word in (("not-a-token", "Token"), (tokens["reader"], "Preview only")):
            page.get_by_label("The token that this service asks for").fill(token)
            page.get_by_role("button", name="Use it").click()
            page.get_by_text(word).first.wait_for()
        page.get_by_text("Your token may preview a plan, not save one").wait_for()
        assert page.get_by_role("button", name="Save the plan").count() == 0
        assert page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [1, 0, ""]
        assert not any(tokens["reader"] in url for url in seen.requests)

        page.goto(f"{one.url}/#/health?lane=recovery_escalation&run=1&again=1")
        page.get_by_role("heading", name="Acknowledgement gaps").wait_for()
        assert page.get_by_role("button", name=re.compile(r"^Acknowledge\b")).count() == 0
        with one.client(tokens["reader"]) as client:
            body = {"subject": "subject-1", "provider": "slack", "state": "accepted"}
            answer = client.post("/api/v1/lanes/recovery_escalation/acknowledgements", json=body)
        assert answer.status_code == 403

    assert query(home, "SELECT count(*) FROM evidence WHERE record_type = 'acknowledgement'") == [(1,)]


def test_markup_in_a_record_reaches_no_page(tmp_path: Path, browser: Browser) -> None:
    planted = '<img src=x onerror="window.planted=1">'
    home = ingested(tmp_path, [delivery(subject=planted, failed=["slack"]), execution(subject=planted)])
    ((pseudonym,),) = query(home, "SELECT DISTINCT subject FROM evidence")
    with served(home, dagster=NoDagster()) as one, watched(browser) as seen:
        for view in ("evidence", "health?lane=recovery_escalation&run=1", "plan?lane=recovery_escalation"):
            page = shown(seen.context.new_page(), f"{one.url}/#/{view}")
            assert page.get_by_text(pseudonym).count() > 0
            assert planted not in page.locator("main").inner_text()
            assert page.locator("main img").count() == 0
            assert page.evaluate("window.planted") is None
    assert seen.complaints == []
