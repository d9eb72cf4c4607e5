"""The pages: sound, self-contained, escaped, and the same bytes for the same report."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cavra_pipeline.durations import short_duration
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.executive.actions import actions_for
from cavra_pipeline.executive.page import PageContext
from cavra_pipeline.executive.render import page_context, report_html, report_json, report_markdown, write_report
from cavra_pipeline.executive.words import limit_words, share_of_due
from cavra_pipeline.proof.basis import Basis, basis_of_page
from cavra_pipeline.proof.checkpoint import Checkpoint
from cavra_pipeline.settings import load_settings
from cavra_pipeline.state import state_of
from cavra_pipeline.state.tables import log_entries
from tests.executive.histories import ask_report, escalated
from tests.recoveries.stores import closure, playbook
from tests.support import at, delivery, execution, ingested, worker_run

pytestmark = pytest.mark.slow

_HOSTILE = "<script>alert(1)</script> | ![x](https://example.org/a) `b` \u202eevil"


class _Page(HTMLParser):
    """Collects a page's tags and its visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def report(tmp_path: Path) -> dict[str, Any]:
    """A report with an id that the boundary would not let in: the pages must hold without it."""
    made = ask_report(
        ingested(
            tmp_path,
            [
                playbook(at(600), "teams", playbook_id="book-in-question"),
                escalated(at(599), ("book-in-question", "teams"), subject="plan-1"),
                delivery(at(598), subject="plan-1", providers=["slack", "jira"], failed=["jira"]),
                playbook(at(500), "slack", playbook_id="closed"),
                closure(at(400), playbook_id="closed"),
                execution(at(350), lane="acknowledgement_audit", subject="audit-1", provider="splunk"),
                worker_run(at(300)),
                worker_run(at(100)),
            ],
        )
    )
    hostile: dict[str, Any] = json.loads(json.dumps(made).replace("book-in-question", json.dumps(_HOSTILE)[1:-1]))
    return hostile


def _empty(tmp_path: Path) -> dict[str, Any]:
    return ask_report(ingested(tmp_path / "nothing", []))


def test_the_page_refers_to_nothing_outside_itself(report: dict[str, Any], tmp_path: Path) -> None:
    for one in (report, _empty(tmp_path)):
        html = report_html(one)
        page = _Page(html)
        assert page.open == []
        text = "".join(page.text)
        markup = re.sub(r">[^<]*<", "><", html[: html.index("<style>")] + html[html.index("</style>") :])
        style = html[html.index("<style>") : html.index("</style>")]
        for reference in ("http:", "https:", "//", "url(", "@import", "src=", "href=", "javascript:"):
            assert reference not in markup
            assert reference not in style
        assert not {"script", "link", "img", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
        assert not any(name.startswith("on") or name == "style" for _, attrs in page.tags for name in attrs)
        assert one["headline"] in text


def test_the_policy_allows_the_page_its_own_style_and_nothing_else(report: dict[str, Any]) -> None:
    html = report_html(report)
    style = html[html.index("<style>") + 7 : html.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = [
        str(meta["content"])
        for meta in _Page(html).named("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_a_hostile_playbook_id_is_shown_and_not_obeyed(report: dict[str, Any]) -> None:
    html, markdown = report_html(report), report_markdown(report)
    for page in (html, markdown):
        assert "<script>" not in page
        assert "&lt;script&gt;" in page
        assert "\u202e" not in page
    assert not re.search(r"(?<!\\)\]\(", markdown)
    assert "https://" not in markdown
    assert _HOSTILE.replace("\u202e", "\\u202e") in "".join(_Page(html).text)


def test_pictures_have_a_title_and_a_description_and_tables_a_caption(report: dict[str, Any], tmp_path: Path) -> None:
    for one in (report, _empty(tmp_path)):
        page = _Page(report_html(one))
        ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
        pictures = page.named("svg")
        assert len(pictures) == (2 if one is report else 1)
        for picture in pictures:
            assert picture["role"] == "img"
            assert set(str(picture["aria-labelledby"]).split()) <= ids
        tags = [tag for tag, _ in page.tags]
        assert tags.count("desc") == len(pictures)
        assert tags.count("caption") == tags.count("table")
        assert tags.count("h1") == 1
        assert all(attrs.get("scope") for attrs in page.named("th"))


def test_the_first_words_say_the_state_the_reason_and_what_to_do(report: dict[str, Any]) -> None:
    html = report_html(report)
    main = html[html.index("<main>") :]
    order = [
        main.index(words) for words in ("Action needed", "past the 4-hour limit", "1. Do now (", "Open recoveries")
    ]
    assert order == sorted(order)


def test_pages_without_evidence_say_unknown_and_never_zero_or_all_clear(tmp_path: Path) -> None:
    report = _empty(tmp_path)
    for page in (report_html(report), report_markdown(report)):
        assert "No evidence" in page
        assert "unknown" in page
        assert "Under control" not in page
        assert "No recovery is open" not in page
        assert "No notification is failing" not in page
        assert "No recovery playbook has arrived" in page
        assert not re.search(r">0<|\| 0 \||0 open", page)


def test_the_foot_says_what_the_report_is_based_on_and_how_to_verify_it(report: dict[str, Any]) -> None:
    basis = Basis(4062, 31, Checkpoint("cavra-pipeline/0123456789abcdef", 1062, bytes(range(32))), is_signed=False)
    foot = "".join(_Page(report_html(report, PageContext(basis))).text)
    assert f"Based on {report['evidence_record_count']} evidence records of 31 days about notifications" in foot
    assert "For the platform team: verify that the evidence is unchanged: cavra-pipeline verify --home;" in foot
    root = base64.b64encode(bytes(range(32))).decode()
    assert "prove these numbers from it: cavra-pipeline prove --report executive" in foot
    assert f"{report['executive_report_id']} checkpoint 1,062 of cavra-pipeline/0123456789abcdef {root}" in foot
    assert "4,062" not in foot, "the page counts its own records"
    assert ("The evidence log is not signed." in foot, "could not be read" in foot) == (True, False)
    rejected = {**report, "quarantined_record_count": 2}
    foot = "".join(_Page(report_html(rejected, PageContext(replace(basis, is_signed=True)))).text)
    assert "2 lines that arrived in these 7 days could not be read. The evidence log is signed." in foot

    unknown = "".join(_Page(report_html(report)).text)
    assert "cavra-pipeline verify --home" in unknown
    assert "heckpoint" not in unknown
    assert "signed" not in unknown
    assert "checkpoint 1,062 of cavra-pipeline/" in report_markdown(report, PageContext(basis))


def test_the_page_names_up_to_three_steps_without_a_number_and_counts_more(report: dict[str, Any]) -> None:
    risk = {"severity": "warning", "risk": "It is so.", "freed_recovery_count": 0}
    roles = ["platform team"] * 8 + ["incident lead"] * 4 + ["executive"]
    risks = [{**risk, "role": role, "action": f"Step {n}."} for n, role in enumerate(roles)]
    long, short = ({**report, "recommended_actions": actions_for(some, [])} for some in (risks, risks[:10]))
    also = "Also: 9. Step 7 (platform team). 10. Step 8 (incident lead)."
    for render in (report_html, report_markdown):
        plain = render(long).replace("\\", "")
        assert f"{also} 3 further steps are in the console, under Executive report." in plain
        assert re.search(r"Executive\)?:", plain), "the reader's own step is never left out"
        assert "Step 9" not in plain
        linked = render(long, PageContext(console="https://console.example/#/executive"))
        assert "under Executive report" not in linked
        assert linked.index("are in the console.") < linked.index("https://console.example/#/executive")
        every = render(short, PageContext(console="https://console.example/#/executive"))
        assert "Step 9" in every
        assert "further step" not in every
        assert "console.example" not in every


def test_a_page_says_how_many_secrets_leaked_and_when_and_the_report_does_not(report: dict[str, Any]) -> None:
    for render in (report_html, report_markdown):
        assert "leaked" not in render(report)
        (said,) = re.findall("[0-9]+ leaked secret.*source", render(report, PageContext(leaks={date(2026, 6, 16): 1})))
        assert said == "1 leaked secret was found in evidence from 16 Jun. Rotate it, and fix the source"
    calm = {**report, "state": "under_control", "alert_level": "healthy", "recommended_actions": []}
    leaks = {date(2026, 6, day): 1 for day in range(3, 8)}
    html = report_html(calm, PageContext(leaks=leaks))
    assert "Under control" not in html
    assert "Needs attention" in html
    assert "the next report comes as scheduled" not in html
    assert html.count("5 leaked secrets were found in evidence from 3 Jun, 4 Jun and 3 other days. Rotate them") == 1
    assert "leaked" not in report_json(report)
    for render in (report_html, report_markdown):
        context = PageContext(console="https://console.example/#/executive", leaks=leaks)
        assert "https://console.example/#/intake" in render(calm, context)
        assert "intake" not in render(calm, replace(context, leaks={}))


def test_only_a_console_that_somebody_named_is_linked(tmp_path: Path) -> None:
    assert page_context(load_settings({"CAVRA_HOME": str(tmp_path)}), at()).console is None
    named = load_settings({"CAVRA_HOME": str(tmp_path), "CAVRA_CONSOLE_URL": "https://console.example"})
    assert page_context(named, at()).console == "https://console.example/#/executive"


def test_a_page_is_made_also_where_the_commit_log_is_damaged(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(at(5))])
    assert basis_of_page(home, at()) is not None
    with state_of(home).writing() as connection:
        connection.execute(sa.update(log_entries).values(peaks=["damaged"]))
    assert basis_of_page(home, at()) is None


def test_markdown_tables_have_the_same_number_of_cells_in_every_row(report: dict[str, Any]) -> None:
    tables = re.findall(r"(?:^\|.*\|$\n?)+", report_markdown(report), re.MULTILINE)
    assert len(tables) == 2
    for table in tables:
        rows = [re.split(r"(?<!\\)\|", row)[1:-1] for row in table.strip().splitlines()]
        assert len({len(row) for row in rows}) == 1
        assert set(rows[1]) == {" --- "}
        assert len(rows) > 2


def test_files_are_named_for_the_day_and_have_the_same_bytes_each_time(report: dict[str, Any], tmp_path: Path) -> None:
    paths = write_report(tmp_path / "out" / "deep", report)
    assert {suffix: path.name for suffix, path in paths.items()} == {
        suffix: f"executive-report-2026-06-25.{suffix}" for suffix in ("json", "md", "html")
    }
    first = {path: path.read_bytes() for path in paths.values()}
    assert {path: path.read_bytes() for path in write_report(tmp_path / "out" / "deep", report).values()} == first
    assert sorted(path.name for path in (tmp_path / "out" / "deep").iterdir()) == sorted(p.name for p in first)
    assert json.loads(paths["json"].read_text()) == report
    assert report_json(report) == report_json(json.loads(report_json(report)))
    assert report_html(json.loads(report_json(report))) == paths["html"].read_text()


def test_a_folder_that_cannot_be_made_is_an_error_with_a_remedy(report: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PipelineError, match="can't be written"):
        write_report(tmp_path / "file" / "out", report)


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (0, "0 min"),
        (1, "1 min"),
        (60, "1 h"),
        (61, "1 h 1 min"),
        (1439, "23 h 59 min"),
        (1440, "1 d"),
        (1499, "1 d"),
        (1500, "1 d 1 h"),
        (525_600, "365 d"),
    ],
)
def test_durations_are_said_in_two_units_rounded_down(minutes: int, words: str) -> None:
    assert short_duration(minutes) == words


@pytest.mark.parametrize(
    ("last_run", "shown", "step"),
    [(8 * 1440, ("7 d 23 h", "7 d 23 h"), "7 d 23 h"), (600, ("9 h 30 min", "9 h"), "9 h 30 min")],
)
def test_an_outage_counts_from_its_first_missed_run_in_its_step_and_in_the_picture(
    tmp_path: Path, last_run: int, shown: tuple[str, str], step: str
) -> None:
    lanes = ("recovery_escalation", "executive_report")
    report = ask_report(ingested(tmp_path, [worker_run(at(last_run), lane=lane) for lane in lanes]))
    html = report_html(report)
    recovery, executive = (f"1 outage, down for {age}" for age in shown)
    assert f"Recovery escalation: {recovery}; Executive report: {executive};" in html
    assert f"nothing is retried, as the retry worker is down, for up to {step}; nothing waits there now." in html


@pytest.mark.parametrize(
    ("share", "closed", "late", "words"),
    [
        (100, 2, 2, "2 of 4"),
        (None, 0, 0, "none due"),
        (None, 0, 3, "0 of 3"),
        (66, 3, 1, "2 of 4"),
        (100, 19, 1, "95 %"),
    ],
)
def test_a_recovery_that_is_past_the_limit_counts_as_due(share: int | None, closed: int, late: int, words: str) -> None:
    counts = {"closed_within_limit_percent": share, "closed_in_window_count": closed, "slo_breached_count": late}
    assert share_of_due(counts) == words


def test_many_closures_are_counted_by_those_that_came_late_where_these_are_known() -> None:
    counts = {"closed_within_limit_percent": 99, "closed_in_window_count": 300, "slo_breached_count": 100}
    assert share_of_due(counts | {"closed_late_in_window_count": 1}) == "74 %"
    assert share_of_due(counts | {"closed_late_in_window_count": 100}) == "50 %"


def test_what_people_must_do_is_on_paper_and_on_a_phone(report: dict[str, Any]) -> None:
    """Only why a step is needed may be left out, where steps follow it."""
    steps = ["Acknowledge the 4 notifications to Jira.", "Close the Jira recovery."]
    action = {"urgency": "soon", "role": "platform team", "action": "Fix Jira.", "because": "Jira fails."}
    first = {**action, "then": [], "freed_recovery_count": 0, "number": 1}
    step = {**action, "then": steps, "freed_recovery_count": 1, "number": 2}
    html = report_html({**report, "recommended_actions": [first, step]})
    assert re.findall('<span class="soft later">([^<]*)</span>', html) == ["Jira fails."]
    assert re.findall("(?:later|last)[^>]*>([^<]*Jira[^<]*)<", html) == ["Jira fails."]
    assert f"Fix Jira. {' '.join(steps)} <span" in html


def test_leaked_secrets_have_a_number_and_later_steps_follow_it(report: dict[str, Any]) -> None:
    leaked = PageContext(leaks={date(2026, 6, 16): 1})
    step = {"urgency": "now", "role": "executive", "then": [], "because": "So.", "freed_recovery_count": 0}
    several = {**report, "recommended_actions": [{**step, "action": f"Do {n}.", "number": n} for n in (1, 2)]}
    plain, shifted = (report_html(several, context) for context in (PageContext(), leaked))
    assert ('<ol start="2">' in plain, "Also now" in plain, "Do 2 (step 2)." in plain) == (True, False, True)
    assert "<strong>2. Also now (Platform team):</strong> 1 leaked secret" in shifted
    assert ('<ol start="3">' in shifted, "Do 2 (step 3)." in shifted, "(step 2)" in shifted) == (True, True, False)
    assert "**2. Also now (Platform team):** 1 leaked secret" in report_markdown(several, leaked)


def test_a_limit_is_said_in_one_unit_where_it_fits() -> None:
    assert [limit_words(minutes) for minutes in (240, 90, 2880, 1)] == ["4-hour", "90-minute", "2-day", "1-minute"]
