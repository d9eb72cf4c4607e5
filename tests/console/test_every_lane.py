"""What a page shows of a lane, whatever the lane calls its subject."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES, Gate
from cavra_pipeline.reports.store import save_every_report
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from tests.api.server import NoDagster, Served, served
from tests.console.browser import service_of, shown, watched
from tests.support import DAY, NOW, Record, delivery, execution, ingested

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HOUR = timedelta(hours=1)


def home_of_lanes(folder: Path) -> Settings:
    """Two failing deliveries to one provider in each lane, and one lane that was in use before."""
    before = delivery(NOW - 8 * HOUR, lane="executive_report", subject="before")
    failing = [
        delivery(NOW - 5 * HOUR, lane=lane, subject=f"{lane}-{n}", failed=["slack"], status_codes=[500])
        for lane in LANES
        for n in (1, 2)
    ]
    home = ingested(folder, [before, *failing])
    list(save_every_report(warehouse_of(home), state_of(home), [NOW.date()], now=NOW))
    return home


service = service_of(home_of_lanes)


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


@pytest.mark.parametrize("lane", LANES)
def test_the_worker_shows_what_its_next_run_takes_in_every_lane(service: Served, browser: Browser, lane: str) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/worker?lane={lane}")
        region = page.get_by_role("region", name="The next run")
        is_free = LANES[lane].gate is Gate.REQUEST
        assert region.get_by_text("would take 2 retries" if is_free else "would take nothing").is_visible()
        assert region.get_by_text("2 are held for an").count() == (not is_free)
        assert page.locator("tbody tr").filter(has_text="Ready" if is_free else "Held: needs an").count() == 2
        has_route = LANES[lane].cavra is not None
        assert region.get_by_role("button", name="Dry run").count() == has_route
        assert region.get_by_text(f"cavra-pipeline worker --lane {lane}").count() == (not has_route)
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
            page.goto(f"{service.url}/#/{view}&lane=recovery_escalation&as_of={NOW - 2 * HOUR:%Y-%m-%dT%H:%M:%S}")
            page.get_by_text("Preview only, not saved").wait_for()
            assert page.get_by_role("button", name="Save").count() == 0
        assert keeper.kept_count == before + 1
    assert seen.complaints == []


def test_deliveries_that_wait_for_an_approval_have_a_table(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/health?lane=acknowledgement_audit&run=1")
        page.get_by_role("heading", name="Approval gaps").wait_for(timeout=15_000)
        table = page.locator("table", has=page.locator("caption", has_text="without the approval"))
        assert table.locator("tbody th").all_inner_texts() == ["acknowledgement_audit-1", "acknowledgement_audit-2"]
        page.goto(f"{service.url}/#/health?lane=executive_report&run=1")
        page.get_by_text("Executive report: critical").wait_for(timeout=15_000)
        assert page.get_by_role("heading", name="Approval gaps").count() == 0
    assert seen.complaints == []


def test_a_refresh_keeps_the_result_and_the_order_and_closing_loses_none(service: Served, browser: Browser) -> None:
    held: list[Route] = []
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), service.url)
        page.route("**/acknowledgements", lambda route: held.append(route))
        page.get_by_role("button", name="Acknowledge").first.click()
        page.get_by_label("Your label").fill("incident-lead")
        with page.expect_request("**/acknowledgements"):
            page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
        page.keyboard.press("Escape")
        named = json.loads(held[0].request.post_data or "")["deliveries"]
        error = {"where": "provider", "what": "no such delivery", "remedy": "Reload"}
        outcomes = [{**one, "acknowledgement": None, "error": error if at else None} for at, one in enumerate(named)]
        held[0].fulfill(json={"deliveries": outcomes, "actor": "incident-lead"})
        result = page.get_by_role("region", name="Result")
        result.get_by_text("1 delivery acknowledged by incident-lead, ").wait_for(timeout=15_000)
        assert result.get_by_text("no such delivery. Reload.").count() == len(named) - 1 > 0
        page.get_by_role("button", name="Lane", exact=True).click()
        for _ in range(2):
            with page.expect_response("**/api/v1/lanes"):
                page.get_by_role("button", name="Pause live refresh").dblclick()
        page.wait_for_timeout(500)
        assert result.is_visible()
        assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Lane")
        assert len(held) == 1
    assert seen.complaints == []


def test_the_address_sets_the_instant_in_any_zone_and_going_back_leaves_it(service: Served, browser: Browser) -> None:
    texts = ["2026-06-20", "2026-06-20T12:00", "2026-06-20T12:00:05Z", "2026-06-20T12:00:00+02:00",
             "2026-06-20T12:00:00 02:00", "2026-06-20 12:00:00.5-0130", "2026-13-40", "noon"]  # fmt: skip
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/incidents")
        read = page.evaluate("texts => import('/console/moment.js').then(one => texts.map(one.parsedMoment))", texts)
        page.evaluate("location.hash = '#/incidents?as_of=2026-06-20T12:00:00%2B02:00'")
        page.get_by_text("Shown as of 2026-06-20 10:00 UTC").wait_for()
        page.evaluate("location.hash = '#/alerts'")
        page.wait_for_function("location.hash.startsWith('#/alerts?as_of=2026-06-20T10')")
        page.go_back()
        page.get_by_text("Shown as of 2026-06-20 10:00 UTC").wait_for()
        page.go_back()
        page.get_by_text("Shown as of").wait_for(state="hidden")
        assert page.evaluate("location.hash") == "#/incidents"
    assert read == ["2026-06-20T23:59:59", "2026-06-20T12:00:00", "2026-06-20T12:00:05", "2026-06-20T10:00:00",
                    "2026-06-20T10:00:00", "2026-06-20T13:30:00", None, None]  # fmt: skip
    assert seen.complaints == []


def test_at_a_past_instant_the_last_bar_is_the_lane_as_it_was_then(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), service.url)
        last = page.get_by_role("group", name="Auditor export: days, arrow keys move").get_by_role("link").last
        assert "no evidence yet" not in (last.get_attribute("aria-label") or "")
        before = (NOW - 6 * HOUR).strftime("%Y-%m-%dT%H:%M:%S")
        page.evaluate(f"location.hash = '#/overview?as_of={before}'")
        page.get_by_text("nothing can be changed here").wait_for()
        page.get_by_role("row", name="Auditor export Not in use").wait_for()
        assert (last.get_attribute("aria-label") or "").endswith("no evidence yet")
    assert seen.complaints == []


def test_before_the_first_evidence_nothing_is_evaluated_and_no_future_is_shown(
    service: Served, browser: Browser
) -> None:
    with watched(browser) as seen:
        for view in ("overview", "health"):
            page = shown(seen.context.new_page(), f"{service.url}/#/{view}?as_of=2026-06-20T12:00:00")
            page.get_by_text(f"The first landed on {DAY}.").wait_for()
            assert page.locator(".critical, .verdict").count() == 0
        page = shown(seen.context.new_page(), f"{service.url}/#/overview?as_of=2027-01-01T00:00:00")
        page.get_by_text("a time that has not come yet, so you see now").wait_for()
        assert page.get_by_role("button", name="One hour later").is_disabled()
        page.get_by_label("As of (UTC)").fill("2027-01-01 00:00")
        page.get_by_role("button", name="Show", exact=True).click()
        assert "as_of" not in page.url
    assert seen.complaints == []


def test_a_silence_holds_from_its_beginning(service: Served, browser: Browser) -> None:
    silences = [{"kind": None, "subject": None, "starts_at": (NOW + hours * HOUR).isoformat()} for hours in (1, -1)]
    script = "answer => import('/console/silence.js').then(it => it.silenceOf(answer, 'a', 'b'))"
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/incidents")
        found = [
            page.evaluate(script, {"as_of": NOW.isoformat(), "silences": given}) for given in (silences[:1], silences)
        ]
    assert found == [None, silences[1]]


def test_workers_that_never_ran_are_down_and_an_empty_home_says_so_first(
    service: Served, tmp_path: Path, browser: Browser
) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), service.url)
        assert page.get_by_role("link", name="7 workers are down").is_visible()
        assert page.get_by_text("Auditor export (no worker run has been recorded yet)").is_visible()
        assert page.get_by_text("Time since the first missed run").count() == 0
        assert page.get_by_text("No evidence has arrived yet.").count() == 0
        with served(ingested(tmp_path, []), dagster=NoDagster()) as empty:
            page = shown(seen.context.new_page(), empty.url)
            assert page.get_by_text("No evidence has arrived yet.").is_visible()
            assert page.get_by_text("down").count() == 0
            for view, text in (("health", "No evidence has arrived yet."), ("escalation", "No recovery is known")):
                page = shown(seen.context.new_page(), f"{empty.url}/#/{view}")
                page.get_by_text(text).wait_for()
                assert page.locator(".verdict.critical, .verdict.healthy").count() == 0


def test_attempts_are_told_apart_by_record_and_a_link_needs_one_provider(tmp_path: Path, browser: Browser) -> None:
    lane, minute = "acknowledgement_audit", timedelta(minutes=1)
    made: Record = {"retry_execution_record": {"delivery_metadata_id": "d-3"}}
    home = ingested(tmp_path, [
        delivery(NOW - 61 * minute, lane=lane, subject="one", failed=["slack"], session_id="d-1"),
        execution(NOW - 60 * minute, lane=lane, subject="one"),
        delivery(NOW - 30 * minute, lane=lane, subject="new", failed=["slack"], session_id="d-3"),
        execution(NOW - 27 * minute, lane=lane, subject="one", **made),
        execution(NOW - 26 * minute, lane=lane, subject="one"),
        delivery(NOW - 20 * minute, subject="both", providers=["slack", "teams"]),
        delivery(NOW - 20 * minute, subject="single", providers=["teams"]),
    ])  # fmt: skip
    with served(home, dagster=NoDagster()) as one, watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{one.url}/#/delivery?lane={lane}&subject=one&provider=slack")
        assert page.get_by_role("img", name="Attempts over time").locator("circle").count() == 4
        page = shown(seen.context.new_page(), f"{one.url}/#/evidence?record_type=delivery")
        both, single = (page.get_by_role("row").filter(has_text=name) for name in ("both", "single"))
        assert (both.get_by_role("link").count(), single.get_by_role("link").count()) == (0, 1)
        assert both.get_by_text("Slack, Teams").is_visible()
    assert seen.complaints == []
