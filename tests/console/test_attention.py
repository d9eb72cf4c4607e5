"""What the pages say needs a person, and what an action did: in the same words and order as the command line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from cavra_pipeline.alerts.leaks import handle_leaks
from cavra_pipeline.alerts.lifecycle import observe
from cavra_pipeline.alerts.signals import Observation, Signal
from cavra_pipeline.lanes import CLEARING_STATES, LANES
from cavra_pipeline.settings import AlertPolicy, Settings
from cavra_pipeline.state import state_of
from tests.api.server import NoDagster, Served, served
from tests.console.browser import bad_month, service_of, shown, watched
from tests.support import DAY, NOW, delivery, execution, ingested

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TOKEN = "ghp_" + "0123456789abcdefghij0123456789abcdef"
#: Lists of tiles whose last row has one tile alone that does not fill it.
LONE_TILES = """() => [...document.querySelectorAll('.facts')].filter(list => {
    const tops = [...list.children].map(tile => tile.offsetTop);
    const last = tops.filter(top => top === tops.at(-1)).length;
    return last === 1 && new Set(tops).size > 1 && list.lastElementChild.offsetWidth < list.offsetWidth;
}).length"""


class Alive(NoDagster):
    """A Dagster whose daemon runs."""

    def state(self) -> dict[str, Any]:
        return {"daemon": "alive"}


def month_with_alerts(folder: Path) -> Settings:
    home = bad_month(folder)
    signals = [
        Signal(
            "worker_down", "auditor_export", "critical", NOW - timedelta(days=7), evidence={"lane": "auditor_export"}
        ),
        Signal(
            "provider_incident",
            "servicenow since 2026-06-20",
            "critical",
            NOW,
            "credentials",
            21,
            evidence={"provider": "servicenow", "subject_count": 14, "pair_count": 13},
        ),
        Signal("failed_execution", "servicenow in executive_report", "critical", NOW, "provider_incident"),
        Signal("missed_run", "executive_report_recovery_retry", "warning", NOW),
        Signal("failed_run", "daily_close", "warning", NOW),
    ]
    with state_of(home).writing() as c:
        observe(c, Observation({signal.kind for signal in signals}, signals), now=NOW, policy=AlertPolicy())
    return home


service = service_of(month_with_alerts, dagster=Alive, ticks=True)


def test_a_past_instant_has_the_leaks_that_were_open_then_and_none_of_later(tmp_path: Path, browser: Browser) -> None:
    home = ingested(tmp_path, {DAY: [delivery(signer=TOKEN), delivery(subject="other")]})
    with state_of(home).writing() as c:
        handle_leaks(c, DAY, newest=1, now=NOW + timedelta(hours=2))
    before, then, later = (
        f"{NOW + shift:%Y-%m-%dT%H:%M:%S}" for shift in (-timedelta(days=20), timedelta(hours=1), timedelta(hours=3))
    )
    clock = lambda: NOW + timedelta(hours=5)  # noqa: E731
    with served(home, dagster=NoDagster(), clock=clock) as one, watched(browser) as seen, one.client() as client:
        counts = [
            client.get("/api/v1/status", params={"as_of": f"{at}Z"}).json()["evidence"]["open_leak_count"]
            for at in (before, then, later)
        ]
        page = shown(seen.context.new_page(), f"{one.url}/#/overview?as_of={then}")
        page.get_by_role("link", name="1 leaked secret in evidence").wait_for()
        page.goto(f"{one.url}/#/intake?as_of={then}")
        page.get_by_text("To rotate", exact=True).wait_for()
        assert page.locator(".facts div", has_text="Leaked secrets to rotate").locator("dd").inner_text() == "1"
        page.goto(f"{one.url}/#/executive?as_of={then}")
        page.get_by_text("1 leaked secret was found in evidence").first.wait_for()
        page.goto(f"{one.url}/#/intake?as_of={later}")
        page.get_by_text("Handled", exact=True).wait_for()
    assert counts == [0, 1, 0]
    assert seen.complaints == []


def test_a_worker_that_is_down_says_when_its_schedule_is_due(service: Served, browser: Browser) -> None:
    with watched(browser) as seen, service.client() as client:
        due = {row["schedule"]: row["next_due_at"] for row in client.get("/api/v1/slots").json()["schedules"]}
        at = f"{datetime.fromisoformat(due[LANES['auditor_export'].schedule]):%H:%M} UTC"
        alert = next(one for one in client.get("/api/v1/alerts").json()["alerts"] if one["kind"] == "worker_down")
        for view in (
            "worker?lane=auditor_export",
            "health?lane=auditor_export&run=1",
            "alerts",
            f"alert?id={alert['alert_id']}",
        ):
            page = shown(seen.context.new_page(), f"{service.url}/#/{view}")
            steps = page.get_by_text(f"The scheduled run at {at} ends the outage; if it does not")
            # The health page has it at the top, and as the next step of the alert that says so.
            expect(steps).to_have_count(2 if view.startswith("health") else 1)
            assert page.get_by_text("Check that the worker's schedule is on and").count() == 0
        page = shown(page, f"{service.url}/?again#/overview")
        page.get_by_text(re.compile(r"Next: The scheduled runs? at .* ends? the outage")).wait_for()
        headline = page.locator(".headline .state").inner_text()
        assert ("open cause" in headline, "a person" in headline) == (True, False)
        page = shown(page, f"{service.url}/?past#/worker?lane=auditor_export&as_of={NOW:%Y-%m-%dT%H:%M:%S}")
        page.get_by_text("Check that the worker's schedule is on").wait_for()
    assert seen.complaints == []


def test_a_slow_worker_needs_no_change_where_its_schedule_here_is_due_often_enough(
    service: Served, browser: Browser
) -> None:
    slow, view = "The worker runs every 2 h, expected every 1 h.", "#/health?lane=acknowledgement_audit&run=1"
    here, anywhere = (
        "This host's schedule is due every 1 h and needs no change",
        "Check that its schedule is due as often",
    )
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/{view}")
        line = page.locator("p", has_text=slow)
        line.filter(has_text=here).wait_for()
        assert line.filter(has_text=anywhere).count() == 0
        page = shown(page, f"{service.url}/?past{view}&as_of={NOW:%Y-%m-%dT%H:%M:%S}")
        line.filter(has_text=anywhere).wait_for()
        assert line.filter(has_text=here).count() == 0
    assert seen.complaints == []


def test_a_stale_plan_asks_for_nothing_beside_a_worker_that_is_down(service: Served, browser: Browser) -> None:
    with watched(browser) as seen, service.client() as client:
        report = client.get("/api/v1/lanes/auditor_export/health", params={"keep": False}).json()["health"]
        assert "Make a new retry plan before anything is retried." in report["recommended_actions"]
        page = shown(seen.context.new_page(), f"{service.url}/#/health?lane=auditor_export&run=1")
        page.get_by_text("Next: The worker's next run makes a new one.").wait_for()
        assert page.get_by_text("Make a new retry plan").count() == 0
    assert seen.complaints == []


def test_alerts_say_what_mutes_them_and_what_an_action_did(service: Served, browser: Browser) -> None:
    with watched(browser) as seen, service.client() as client:
        page = shown(seen.context.new_page(), f"{service.url}/#/alerts")
        detail = page.locator("tr", has_text="Failed execution: ServiceNow in Executive report").locator("td").last
        assert detail.inner_text() == "Muted by a provider incident"
        page.get_by_role("button", name="Acknowledge alert: Worker down of Auditor export").click()
        page.get_by_label("Your label").fill("incident-lead")
        page.get_by_role("dialog").get_by_role("button", name="Acknowledge alert").click()
        said = page.locator("#said[role=status]")
        expect(said).to_have_text("Acknowledged by incident-lead: Worker down of Auditor export.")

        # The clock of the page is behind that of the service.
        page.evaluate(f"import('/console/dom.js').then(it => it.setServerTime('{NOW - timedelta(minutes=5)}'))")
        page.get_by_role("button", name="Silence worker down of Auditor export").click()
        assert page.get_by_label("Your label").input_value() == "incident-lead"
        page.get_by_label("Why").fill("known")
        page.get_by_role("dialog").get_by_role("button", name="Silence", exact=True).click()
        expect(said).to_contain_text("Silenced by incident-lead until")
        muted = sum(bool(one["muted_by"]) for one in client.get("/api/v1/alerts").json()["alerts"]) - 1
        note = page.locator("caption", has_text="Open alerts").locator("small")
        expect(note).to_contain_text(f"{muted} muted by {'its' if muted == 1 else 'their'} cause, 1 silenced")
        row = page.locator("table#alerts tr, tr", has=page.get_by_role("link", name="Worker down", exact=True))
        state = row.locator("td[data-label=State]")
        assert "Silenced by incident-lead until" in state.inner_text()
        assert "muted by" not in state.inner_text()
    assert seen.complaints == []


def test_the_dialog_says_what_the_chosen_state_does(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/health?lane=recovery_escalation&run=1")
        box = page.get_by_role("dialog")
        effect = box.locator("[aria-live=polite]")
        for name, the in ((r"^Acknowledge \d+ deliveries", "each"), (r"^Acknowledge [^,]+, \w+$", "the")):
            page.get_by_role("button", name=re.compile(name)).first.click()
            sent = f"A live worker sends {the} delivery again. Choose Dismissed if it must not be sent."
            expect(effect).to_have_text(sent)
            for state in ("dismissed", "resolved", "deferred", "accepted", "escalated", "acknowledged"):
                box.get_by_label("State").select_option(state)
                held = f"{the.capitalize()} delivery is held: nothing sends it."
                expect(effect).to_have_text(sent if state in CLEARING_STATES else held)
            assert box.get_by_text("any other state").count() == 0
            box.get_by_role("button", name="Cancel").click()
        page = shown(page, f"{service.url}/?again#/overview")
        page.get_by_role("button", name=re.compile(r"^Acknowledge \d+ health alerts?")).click()
        for state, becomes in (("resolved", "is settled"), ("dismissed", "stays open")):
            box.get_by_label("State").select_option(state)
            expect(effect).to_have_text(re.compile(rf"^(Each|The) health alert {becomes}\.$"))
        assert not [url for url in seen.requests if "acknowledgements" in url]
    assert seen.complaints == []


def test_a_card_acts_no_more_once_its_answer_is_there(service: Served, browser: Browser) -> None:
    held: list[Route] = []
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/overview")
        page.route(
            "**/acknowledgements", lambda route: route.fulfill(json={"deliveries": [], "actor": "incident-lead"})
        )
        buttons = page.locator("li.cause").get_by_role("button", name=re.compile(r"^Acknowledge \d+ deliver"))
        names = buttons.all_inner_texts()
        assert names
        page.route("**/api/v1/lanes*", lambda route: held.append(route))
        seen.requests.clear()
        buttons.first.click()
        page.get_by_label("Your label").fill("incident-lead")
        page.get_by_role("dialog").get_by_role("button", name="Acknowledge", exact=True).click()
        page.get_by_text("0 deliveries acknowledged by incident-lead. Updating the page").first.wait_for()
        # What was done is there before the page is updated, and has the focus.
        expect(page.get_by_role("region", name="Result")).to_be_focused()
        expect(buttons.first).to_be_disabled()
        for other in buttons.all()[1:]:
            assert other.is_enabled()
        expect(page.locator("main .changed")).to_have_count(1)
        for route in held:
            route.continue_()
        expect(page.locator(".toast")).to_have_count(0)
        expect(page.locator("main .changed")).to_have_count(0)
        assert buttons.all_inner_texts() == names
        expect(buttons.first).to_be_enabled()
        expect(page.get_by_role("region", name="Result")).to_be_focused()
        asked = {url.partition("/api/v1")[2].partition("?")[0] for url in seen.requests if "/api/v1" in url}
        # Of the reports of the page, one alone can have changed; beside it, when a worker is due.
        assert asked - {"/slots"} == {"/acknowledgements", "/lanes"}
    assert seen.complaints == []


def test_an_alert_of_an_incident_says_what_its_numbers_count(service: Served, browser: Browser) -> None:
    with watched(browser) as seen, service.client() as client:
        alerts = {one["kind"]: one["alert_id"] for one in client.get("/api/v1/alerts").json()["alerts"]}
        page = shown(seen.context.new_page(), f"{service.url}/#/alert?id={alerts['provider_incident']}")
        basis = page.locator("dl.record").inner_text()
        assert re.search(r"Failed attempts by cause: ServiceNow rejects our credentials\s+21\b", basis)
        assert re.search(r"Deliveries that have not arrived\s+13\b", basis)
        assert re.search(r"Deliveries that failed, since arrived or not\s+14\b", basis)
        assert re.search(r"Failed attempts \(highest count\)\s+21\b", page.locator("dl.facts").inner_text())
        page = shown(page, f"{service.url}/?again#/alert?id={alerts['worker_down']}")
        assert "highest count" not in page.locator("dl.facts").inner_text()
        page = shown(page, f"{service.url}/?slots#/slots")
        lanes = page.locator("table", has_text="Schedules").locator("tr", has_text="Daily close").locator("td").first
        expect(lanes).to_have_text("none")
    assert seen.complaints == []


def test_many_alerts_are_acknowledged_at_once_but_for_those_that_are_not_ticked(
    service: Served, browser: Browser
) -> None:
    with watched(browser) as seen, service.client() as client:
        before = client.get("/api/v1/alerts").json()["alerts"]
        left = [one for one in before if not (one["acknowledged_by"] or one["ends_by_hand"] or one["muted_by"])]
        assert len(left) > 2
        page = shown(seen.context.new_page(), f"{service.url}/#/alerts")
        page.get_by_role("button", name=f"Acknowledge {len(left)} alerts", exact=True).click()
        dialog = page.get_by_role("dialog")
        assert dialog.get_by_role("checkbox").count() == len(left)
        dialog.get_by_role("checkbox").first.uncheck()
        page.get_by_label("Your label").fill("night-shift")
        dialog.get_by_role("button", name="Acknowledge alerts").click()
        said = page.locator("#said[role=status]")
        expect(said).to_have_text(f"{len(left) - 1} alerts acknowledged by night-shift.")
        assert page.get_by_role("button", name=re.compile(r"^Acknowledge \d+ alerts$")).count() == 0
        taken = {one["alert_id"] for one in client.get("/api/v1/alerts").json()["alerts"] if one["acknowledged_by"]}
        assert taken - {one["alert_id"] for one in before if one["acknowledged_by"]} == {
            one["alert_id"] for one in left[1:]
        }
    assert seen.complaints == []


def test_a_silence_of_a_kind_ends_at_the_time_that_is_given(service: Served, browser: Browser) -> None:
    with watched(browser) as seen, service.client() as client:
        one = next(one for one in client.get("/api/v1/alerts").json()["alerts"] if one["kind"] == "failed_execution")
        page = shown(seen.context.new_page(), f"{service.url}/#/alert?id={one['alert_id']}")
        page.get_by_role("button", name="Silence failed execution").click()
        page.get_by_label("Alerts", exact=True).select_option("kind")
        until = page.get_by_label("Until (UTC)")
        page.get_by_label("Why").fill("planned work")
        page.get_by_label("Your label").fill("night-shift")
        send = page.get_by_role("dialog").get_by_role("button", name="Silence", exact=True)
        for text, fault in (
            ("soon", "Give a time as YYYY-MM-DD HH:MM, in UTC."),
            (f"{NOW - timedelta(hours=1):%Y-%m-%d %H:%M}", "This time has passed."),
        ):
            until.fill(text)
            send.click()
            assert until.evaluate("input => input.validationMessage") == fault
        assert not [one for one in client.get("/api/v1/alerts").json()["silences"] if one["comment"] == "planned work"]
        until.fill(f"{NOW + timedelta(hours=30):%Y-%m-%d %H:%M}")
        send.click()
        expect(page.locator("#said[role=status]")).to_contain_text("every alert of the kind failed execution")
        (silence,) = [
            one for one in client.get("/api/v1/alerts").json()["silences"] if one["comment"] == "planned work"
        ]
        assert (silence["kind"], silence["subject"]) == ("failed_execution", None)
        left = datetime.fromisoformat(silence["ends_at"]) - (NOW + timedelta(hours=30))
        assert abs(left) <= timedelta(minutes=1)
    assert seen.complaints == []


def decisions_of(page: Page) -> list[tuple[str, str]]:
    page.locator("#decisions tbody tr").first.wait_for()
    rows = page.locator("#decisions tbody tr").all()
    return [(row.locator("th").inner_text(), row.locator("td").first.inner_text().lower()) for row in rows]


def test_a_plan_lists_what_can_go_first_and_a_delivery_is_in_its_part_of_the_menu(
    service: Served, browser: Browser
) -> None:
    lane = LANES["recovery_escalation"]
    with watched(browser) as seen, service.client() as client:
        answer = client.get(f"/api/v1/lanes/{lane.name}/plan").json()
        held = {(pair["subject"], pair["provider"]) for pair in answer["pending"]}
        rows = []
        for decision in answer["plan"]["retry_decisions"]:
            pair = decision[lane.subject_field], decision["provider"]
            place = {"retry": int(pair in held), "wait": 2, "suppress": 3}[decision["action"]]
            rows.append((place, decision["next_retry_at"] or decision["latest_delivery_at"], pair))
        page = shown(seen.context.new_page(), f"{service.url}/#/plan?lane={lane.name}&max_retry_attempts=9")
        page.get_by_text("It is exhausted by the lane's own policy, and ready or held by this one.").first.wait_for()
        page = shown(page, f"{service.url}/?again#/plan?lane={lane.name}")
        assert decisions_of(page) == [pair for _, _, pair in sorted(rows, key=lambda row: row[:2])]

        page.locator("#decisions tbody th a").first.click()
        page.get_by_role("heading", name="Delivery", exact=True).wait_for()
        current = page.get_by_role("navigation", name="Views").locator("[aria-current=page]")
        assert current.inner_text() == "Retry plan"
        page.goto(f"{service.url}/#/health?lane={lane.name}&run=1")
        page.locator("table th a").first.click()
        page.get_by_role("heading", name="Delivery", exact=True).wait_for()
        assert current.inner_text() == "Retry plan", "wherever one came from"
        page.locator("figure", has_text="Attempts over time").wait_for()
        labels = page.locator("figure", has_text="Attempts over time").locator("text.strong").all_text_contents()
        dated = [label for label in labels if re.search(r"\d\d-\d\d \d\d:\d\d", label)]
        assert len(dated) >= 2
    assert seen.complaints == []


def test_an_incident_counts_the_failures_of_each_delivery(service: Served, browser: Browser) -> None:
    with watched(browser) as seen, service.client() as client:
        incident = client.get("/api/v1/incidents", params={"open": True}).json()["incidents"][0]
        page = shown(seen.context.new_page(), f"{service.url}/#/incident?id={incident['incident_id']}")
        rows = page.locator("#pairs tbody tr")
        assert rows.count() == len(incident["pairs"])
        for name in ("Failures", "Last attempt"):
            texts = page.locator(f"#pairs td[data-label='{name}']").all_inner_texts()
            assert all(re.match(r"\d", text) for text in texts), name
    assert seen.complaints == []


def test_a_lane_shows_its_own_gate_and_the_retries_that_are_open(tmp_path: Path, browser: Browser) -> None:
    at = NOW - timedelta(hours=9)
    lines = [
        delivery(at, failed=["slack", "teams"], providers=["slack", "teams"]),
        execution(at + timedelta(hours=1), provider="slack"),
        execution(at + timedelta(hours=2), provider="slack"),
        execution(at + timedelta(hours=1), provider="teams"),
        execution(at + timedelta(hours=3), provider="teams", status="delivered"),
        delivery(at + timedelta(hours=3), providers=["teams"]),
    ]
    home = ingested(tmp_path, lines)
    with served(home, dagster=NoDagster()) as one, watched(browser) as seen, one.client() as client:
        report = client.get("/api/v1/lanes/recovery_escalation/health", params={"keep": False}).json()["health"]
        page = shown(seen.context.new_page(), f"{one.url}/#/health?lane=recovery_escalation&run=1")
        table = page.locator("table", has=page.locator("caption", has_text="Retries that failed or were skipped"))
        table.wait_for()
        assert table.locator("td[data-label=Now]").all_inner_texts() == ["Unresolved", "Superseded", "Resolved since"]
        assert report["unresolved_failed_execution_count"] == 1
        assert table.get_by_role("button", name="Acknowledge").count() == 1
        tiles = page.locator(".facts dt").all_inner_texts()
        assert {"Acknowledgement gaps", "Approval gaps"} & {*tiles} == {"Acknowledgement gaps"}
        page.get_by_text("A live retry needs an operator's acknowledgement.").wait_for()

        page.get_by_role("button", name="Acknowledge subject-1, slack").first.click()
        page.get_by_label("Your label").fill("on-call")
        page.get_by_role("dialog").get_by_role("button", name="Acknowledge", exact=True).click()
        expect(page.locator("#said")).to_have_text("Recorded as acknowledged: subject-1, Slack.", timeout=30_000)
        assert page.evaluate("localStorage.getItem('label')") == "on-call"
    assert seen.complaints == []


@pytest.mark.parametrize("width", [390, 700, 900, 1280, 1600])
def test_no_tile_is_alone_in_a_row_and_no_date_is_broken(service: Served, browser: Browser, width: int) -> None:
    with watched(browser, width=width) as seen:
        page = seen.context.new_page()
        views = [f"health?lane={lane}&run=1" for lane in ("executive_report", "recovery_health_alert")]
        for view in (*views, "history", "intake", "delivery?subject=x&provider=slack"):
            shown(page, f"{service.url}/?{abs(hash(view))}#/{view}")
            page.wait_for_load_state("networkidle")
            assert page.evaluate(LONE_TILES) == 0, view
        shown(page, f"{service.url}/?days#/intake")
        days = page.locator("tbody th .whole")
        assert days.count() > 0
        assert {day.evaluate("node => node.getClientRects().length") for day in days.all()} == {1}
