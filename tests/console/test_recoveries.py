"""Recoveries, closure and sources in a real browser, on the recorded month and on what is wrong with sources."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Page

from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.alerts.watch import watch_pass
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.sources import pull, read_sources
from tests.api.server import NoDagster, Served, served, token_file
from tests.console.browser import bad_month, service_of, shown, watched
from tests.imports.sources import json_lines
from tests.recoveries.stores import ask_recoveries, closure, playbook
from tests.support import DAY, NOW, acknowledgement, at, delivery, home_with, ingested, take_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TOKEN = "ghp_" + "0123456789abcdefghij0123456789abcdef"
MARKUP = '<img src=x onerror="window.planted=1">'


service = service_of(bad_month, ticks=True)


def row_count(page: Page, region: str) -> int:
    return page.get_by_role("region", name=region).locator("tbody tr").count()


def test_a_recovery_of_the_month_is_closed_by_clicks_and_opened_again(service: Served, browser: Browser) -> None:
    with watched(browser) as seen, service.client() as client:
        listed = client.get("/api/v1/recoveries").json()["recoveries"]
        page = shown(seen.context.new_page(), service.url)
        page.get_by_role("link", name="3 recoveries are past their limit of 4 h").click()
        page.get_by_text("3 recoveries are past their limit of 4 h").wait_for()
        assert (row_count(page, "Open recoveries"), row_count(page, "Closed recoveries")) == (4, 5)

        ages = page.get_by_role("region", name="Open recoveries").locator("td[data-label='Open for'] time")
        opened = [str(one.get_attribute("datetime")) for one in ages.all()]
        assert opened == [one["opened_at"] for one in listed if one["slo_status"] != "closed"], "the order of the API"
        first = page.get_by_role("region", name="Open recoveries").locator("tbody tr", has_text="ServiceNow").first
        first.get_by_role("button", name="Close the recovery of servicenow").click()
        page.get_by_label("State").select_option("mitigated")
        page.get_by_label("Ticket").fill("OPS-77")
        page.get_by_label("Your label").fill("incident-lead")
        page.get_by_role("dialog").get_by_role("button", name="Record").click()
        page.locator("#said", has_text="Recorded: the recovery of ServiceNow is mitigated.").wait_for()
        assert page.evaluate("document.activeElement.id") == "recoveries"
        assert page.get_by_text("2 recoveries are past their limit of 4 h").is_visible()
        assert (row_count(page, "Open recoveries"), row_count(page, "Closed recoveries")) == (3, 6)
        closed = page.get_by_role("region", name="Closed recoveries").locator("tr", has_text="OPS-77")
        assert "incident-lead" in closed.inner_text()

        closed.get_by_role("button", name="Reopen").click()
        page.get_by_label("Your label").fill("incident-lead")
        page.get_by_role("dialog").get_by_role("button", name="Record").click()
        page.get_by_text("3 recoveries are past their limit of 4 h").wait_for()
    assert seen.hosts() == {service.url.removeprefix("http://")}
    assert seen.complaints == []


def test_a_ticket_that_is_not_accepted_is_said_and_nothing_is_recorded(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/recoveries")
        before = row_count(page, "Open recoveries")
        page.get_by_role("button", name="Close the recovery of webhook").click()
        page.get_by_label("Ticket").fill("two words")
        page.get_by_label("Your label").fill("incident-lead")
        page.get_by_role("dialog").get_by_role("button", name="Record").click()
        page.get_by_role("dialog").get_by_role("alert").get_by_text("the ticket is not accepted").wait_for()
        page.keyboard.press("Escape")
        assert row_count(shown(page, f"{service.url}/?again#/recoveries"), "Open recoveries") == before
    assert [one for one in seen.complaints if "422" not in one] == []


def test_a_past_instant_shows_its_own_recoveries_and_closes_none(service: Served, browser: Browser) -> None:
    instant = NOW - timedelta(days=10)
    with watched(browser) as seen, service.client() as client:
        page = shown(seen.context.new_page(), f"{service.url}/#/recoveries")
        page.get_by_label("As of (UTC)").fill(instant.strftime("%Y-%m-%dT%H:%M:%S"))
        page.get_by_role("button", name="Show", exact=True).click()
        page.get_by_text("choose Now above").wait_for()
        page.get_by_text("Another limit").click()
        page.get_by_label("Limit (minutes)").fill("60")
        page.get_by_role("button", name="Show recoveries").click()
        # Drawn again, the details are closed.
        page.wait_for_selector("details[data-key=limit]:not([open])")
        page.locator("main").get_by_text(f"As of {instant:%Y-%m-%d %H:%M} UTC").wait_for()
        assert page.url.count("as_of=") == 1
        asked = {"as_of": instant.isoformat(), "slo_minutes": "60"}
        expected = client.get("/api/v1/recoveries", params=asked).json()
        found = row_count(page, "Open recoveries") + row_count(page, "Closed recoveries")
        assert (found, expected["recovery_count"] < 9) == (expected["recovery_count"], True)
        assert page.get_by_role("button", name="Close the recovery").count() == 0
        assert page.get_by_role("button", name="Open a playbook").count() == 0


def test_a_playbook_is_opened_by_clicks_and_a_second_one_opens_nothing(tmp_path: Path, browser: Browser) -> None:
    failures = [
        delivery(NOW - timedelta(hours=n), lane="acknowledgement_audit", subject=f"d-{n}", failed=["slack"])
        for n in (1, 2)
    ]
    home = ingested(tmp_path, failures)
    with served(home, dagster=NoDagster()) as one, watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{one.url}/#/recoveries")
        assert page.get_by_text("this is no all-clear").is_visible()
        for text in ("Opened 1 recovery with playbook", "No recovery was opened"):
            page.get_by_role("button", name="Open a playbook").click()
            page.get_by_label("Your label").fill("on-call")
            page.get_by_role("dialog").get_by_role("button", name="Open a playbook").click()
            page.locator("#said", has_text=text).wait_for()
            assert row_count(page, "Open recoveries") == 1
    assert seen.complaints == []


def test_an_escalation_plan_is_saved_once_with_a_label(tmp_path: Path, browser: Browser) -> None:
    home = ingested(tmp_path, [playbook(NOW - timedelta(hours=6), "playbook-1")])
    with served(home, dagster=NoDagster()) as one, watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{one.url}/#/escalation")
        page.get_by_text("Preview only, not saved.").wait_for()
        page.get_by_role("button", name="Save the plan").click()
        page.get_by_label("Your label").fill("on-call")
        page.get_by_role("dialog").get_by_role("button", name="Save", exact=True).click()
        page.get_by_text("Requested by on-call").wait_for()
        assert page.get_by_role("button", name="Save the plan").count() == 0
        assert page.get_by_text("not saved").count() == 0
    assert seen.complaints == []


def test_a_leaked_secret_is_told_from_other_findings_and_leads_to_its_alert(tmp_path: Path, browser: Browser) -> None:
    home = ingested(tmp_path, [delivery(signer=TOKEN), delivery(subject="other", signer="a@b.example")])
    signal = Signal("secret_finding", DAY, "critical", NOW, evidence={"newest_leak": 1})
    watch_pass(home, Observation(["secret_finding"], [signal]), clock=lambda: NOW)
    with served(home, dagster=NoDagster()) as one, watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{one.url}/#/intake")
        page.get_by_text("To rotate", exact=True).wait_for()
        assert page.get_by_text("To rotate", exact=True).count() == 1
        page.get_by_role("link", name="Open its alert").click()
        page.get_by_role("heading", name="1 leaked secret").wait_for()
        page.get_by_role("link", name="Open the findings of its day").click()
        page.get_by_text(f"Of landing days {DAY}.").wait_for()
        page.goto(f"{one.url}/#/intake?as_of={NOW - timedelta(days=20):%Y-%m-%dT%H:%M:%S}")
        page.get_by_text("Findings: none").wait_for()
    assert seen.complaints == []


def test_a_token_that_may_only_read_sees_no_action(tmp_path: Path, browser: Browser) -> None:
    path, tokens = token_file(tmp_path, reader="read")
    home = ingested(tmp_path, [playbook(NOW - timedelta(hours=1), "slack")], api_tokens_file=path)
    with served(home, dagster=NoDagster()) as one, watched(browser) as seen:
        page = seen.context.new_page()
        page.goto(f"{one.url}/#/recoveries")
        page.get_by_label("The token that this service asks for").fill(tokens["reader"])
        page.get_by_role("button", name="Use it").click()
        page.get_by_text("Your token may not open or close a recovery").wait_for()
        assert row_count(page, "Open recoveries") == 1
        assert page.get_by_role("button", name="Close the recovery").count() == 0


def test_closure_shows_our_items_with_what_to_do_beside_those_of_cavra(service: Served, browser: Browser) -> None:
    with watched(browser) as seen, service.client() as client:
        report = client.get("/api/v1/closure").json()
        page = shown(seen.context.new_page(), service.url)
        page.get_by_role("link", name="Open the closure list").click()
        items = sum(one["count"] for one in report["open_items"])
        page.get_by_text(f"{items} items on the closure list").wait_for()
        rows = page.get_by_role("region", name="Open now").locator("tbody tr")
        counts = [int(text) for text in rows.locator("td.number").all_inner_texts()]
        assert counts == [one["count"] for one in report["open_items"]]
        assert rows.filter(has=page.locator("a[href^='#/']")).count() == len(counts)
        theirs = page.get_by_role("region", name="What CAVRA lists").locator("li").all_inner_texts()
        assert [one.lower().replace(" ", "_") for one in theirs] == report["cavra_open_items"]

        rows.filter(has_text="Open recoveries").get_by_role("link", name="Recoveries").click()
        page.get_by_role("heading", level=1, name="Recoveries").wait_for()
    assert seen.complaints == []


def test_health_alerts_are_acknowledged_in_the_closure_one_and_all(service: Served, browser: Browser) -> None:
    with watched(browser) as seen, service.client() as client:

        def outstanding() -> list[tuple[str, str, str]]:
            lanes = client.get("/api/v1/lanes").json()["lanes"]
            left = ((one["lane"], row) for one in lanes for row in one["outstanding_acknowledgements"])
            return [(lane, row["health_id"], row["provider"]) for lane, row in left]

        before = outstanding()
        page = shown(seen.context.new_page(), service.url)
        page.get_by_role("link", name=f"{len(before)} health alerts ").click()
        waiting = page.locator("#unsettled")
        waiting.wait_for()
        alerts = waiting.locator("tbody tr").filter(has_text="Health alert")
        gaps = waiting.locator("tbody tr").filter(has_text="Failing delivery").count()
        assert alerts.count() == len(before)
        waiting.get_by_role("button", name=f"Acknowledge {before[0][1]}, {before[0][2]}").click()
        assert page.get_by_text("The health alert is settled.").is_visible()
        page.get_by_label("Your label").fill("incident-lead")
        page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
        page.locator("#unsettled:focus").wait_for()
        assert (outstanding(), alerts.count()) == (before[1:], len(before) - 1)

        own = [one for one in before[1:] if one[0] == before[-1][0]]
        unit = "health alert" if len(own) == 1 else "health alerts"
        page.get_by_role("button", name=f"Acknowledge {len(own)} {unit}: Executive health alert").click()
        page.get_by_label("Your label").fill("incident-lead")
        page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
        result = page.get_by_role("region", name="Result")
        result.get_by_text(f"{len(own)} {unit} acknowledged by incident-lead.").wait_for(timeout=60_000)
        page.locator(".toast").wait_for(state="detached", timeout=60_000)
        assert outstanding() == [one for one in before[1:] if one not in own]
        assert waiting.locator("tbody tr").filter(has_text="Failing delivery").count() == gaps
    assert seen.complaints == []


def test_a_bulk_acknowledgement_leaves_what_a_person_has_decided(service: Served, browser: Browser) -> None:
    with watched(browser) as seen, service.client() as client:

        def gaps() -> list[str]:
            lanes = client.get("/api/v1/lanes").json()["lanes"]
            return sorted(str(gap["acknowledgement_state"]) for one in lanes for gap in one["acknowledgement_gaps"])

        assert gaps() == ["None", "None", "None", "deferred"]
        page = shown(seen.context.new_page(), f"{service.url}/#/closure")
        page.get_by_role("button", name="Acknowledge 3 deliveries: Acknowledgement gaps").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_text("1 deferred: these stay as they are").click()
        assert dialog.get_by_role("checkbox", name="(deferred)").is_checked() is False
        page.get_by_label("Your label").fill("incident-lead")
        dialog.get_by_role("button", name="Acknowledge").click()
        result = page.get_by_role("region", name="Result")
        result.get_by_text("3 deliveries acknowledged by incident-lead.").wait_for(timeout=60_000)
        page.locator(".toast").wait_for(state="detached", timeout=60_000)
        assert gaps() == ["deferred"]

        page.get_by_role("button", name="Review 1 deferred …: Acknowledgement gaps").click()
        page.get_by_label("Your label").fill("incident-lead")
        dialog.get_by_role("button", name="Acknowledge").click()
        dialog.get_by_text("Tick the deliveries that you acknowledge.").wait_for()
        assert gaps() == ["deferred"]
        dialog.get_by_role("checkbox", name="(deferred)").check()
        dialog.get_by_role("button", name="Acknowledge").click()
        result.get_by_text("1 delivery acknowledged by incident-lead.").wait_for(timeout=60_000)
        page.locator(".toast").wait_for(state="detached", timeout=60_000)
        assert gaps() == []
    assert seen.complaints == []


def test_a_loop_that_is_closed_says_so(tmp_path: Path, browser: Browser) -> None:
    home = ingested(tmp_path / "delivered", [delivery(NOW, failed=[])])
    with served(home, dagster=NoDagster()) as one, watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{one.url}/#/closure")
        assert page.get_by_text("The closure list is empty", exact=True).is_visible()
        assert page.get_by_text("CAVRA lists nothing.").is_visible()
    with served(ingested(tmp_path / "empty", []), dagster=NoDagster()) as one, watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{one.url}/#/closure")
        assert page.get_by_text("No evidence has arrived, so this is no all-clear.").is_visible()
        assert page.get_by_text("The closure list is empty", exact=True).count() == 0
        shown(page, f"{one.url}/?again#/sources")
        assert page.get_by_text("This home names no sources").is_visible()
        assert page.get_by_text("cavra-pipeline import PATH").is_visible()


def test_each_source_shows_its_rows_its_lag_and_what_is_wrong(tmp_path: Path, browser: Browser) -> None:
    day = timedelta(days=1)
    json_lines(tmp_path / "quiet.jsonl", [delivery(NOW - 3 * day, session_id="a")])
    entries = {
        "fresh": {"type": "file", "path": "fresh.jsonl", "every_minutes": 5},
        "quiet": {"type": "file", "path": "quiet.jsonl", "every_minutes": 60},
        "gone": {"type": "file", "path": "gone.jsonl", "every_minutes": 60},
        "wrong": {"type": "fax", "path": "x", "every_minutes": 60},
        "new": {"type": "folder", "path": ".", "every_minutes": 60},
    }
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"sources": entries}, sort_keys=False))
    home = home_with(tmp_path, sources_file=tmp_path / "sources.yaml")
    sources = read_sources(home.sources_file)
    for when in (NOW - 2 * day, NOW - timedelta(minutes=1)):
        pull(home, sources.named("quiet"), {}, clock=lambda at=when: at)  # type: ignore[misc]
    json_lines(tmp_path / "fresh.jsonl", [delivery(NOW - timedelta(minutes=n), session_id=f"f-{n}") for n in (1, 2)])
    pull(home, sources.named("fresh"), {}, clock=lambda: NOW)
    with pytest.raises(PipelineError):
        pull(home, sources.named("gone"), {}, clock=lambda: NOW)
    take_in(home)
    with served(home, dagster=NoDagster()) as one, watched(browser, width=360) as seen:
        page = shown(seen.context.new_page(), one.url)
        page.get_by_text("quiet is silent, gone can't be read, wrong can't be read").wait_for()
        page.get_by_role("link", name="Evidence does not arrive as it should").click()
        page.get_by_text("2 sources can't be read, 1 source is silent").wait_for()
        texts = {text.split("\n")[0]: text for text in page.locator("tbody tr").all_inner_texts()}
        assert ("2 new" in texts["fresh"], "0 known" in texts["fresh"]) == (True, True)
        assert ("0 new" in texts["quiet"], "1 known" in texts["quiet"]) == (True, True)
        assert ("3 d ago" in texts["quiet"], "raise silent_after" in texts["quiet"]) == (True, True)
        assert ("Last error: " in texts["gone"], "import --sources gone" in texts["gone"]) == (True, True)
        assert "sources.wrong.type: " in texts["wrong"]
        assert "import --sources new" in texts["new"]
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert seen.complaints == []


def test_markup_in_a_recovery_or_a_source_reaches_no_page(tmp_path: Path, browser: Browser) -> None:
    hour = NOW - timedelta(hours=1)
    path = tmp_path / "sources.yaml"
    path.write_text(yaml.safe_dump({"sources": {"a": {"type": MARKUP, MARKUP: 1}, MARKUP: {}}, MARKUP: 1}))
    home = home_with(
        tmp_path,
        [
            playbook(hour, "slack", playbook_id=MARKUP),
            closure(hour, "deferred", playbook_id=MARKUP, external_ref=MARKUP, signer=MARKUP),
        ],
        sources_file=path,
    )
    take_in(home)
    (row,) = ask_recoveries(home, NOW)["recoveries"]
    with served(home, dagster=NoDagster()) as one, watched(browser) as seen:
        for view in ("recoveries", "closure", "sources", "overview"):
            page = shown(seen.context.new_page(), f"{one.url}/#/{view}")
            if view == "recoveries":
                assert page.get_by_text(row["playbook_id"]).count() > 0
                assert page.get_by_text(row["owner"]).count() > 0
            assert page.locator("main img").count() == 0
            assert page.evaluate("window.planted") is None
    assert seen.complaints == []


def test_an_empty_closure_list_says_how_many_deliveries_still_fail(tmp_path: Path, browser: Browser) -> None:
    records = [delivery(at(-30), failed=["slack"]), acknowledgement(at(-20))]
    with served(ingested(tmp_path, records), dagster=NoDagster()) as one, watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{one.url}/#/overview")
        line = page.get_by_role("link", name="closure list")
        assert line.inner_text() == "The closure list is empty; 1 delivery still fails."
