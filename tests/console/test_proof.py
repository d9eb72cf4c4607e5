"""The proof foot of a report: downloaded, proven by the plain verifier, checked by the page, refused where changed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.proof.keys import load_key, new_key
from cavra_pipeline.proof.publish import publish
from cavra_pipeline.reports.store import RETRY_HEALTH, save_reports
from cavra_pipeline.state import state_of
from cavra_pipeline.verify.check import judged
from cavra_pipeline.verify.container import SUMS, pack, sums_of, unpack
from cavra_pipeline.verify.lane_rules import lane_rules
from tests.api.server import NoDagster, Served, served
from tests.console.browser import AXE, shown, watched
from tests.support import NOW, acknowledgement, at, delivery, drop, execution, ingested, plan, take_in, worker_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LANE = "recovery_escalation"
PLAN = f"#/plan?lane={LANE}"
HEALTH = f"#/health?lane={LANE}&run=1"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A home that signs, with failures of two days, one of which was retried."""
    folder = tmp_path_factory.mktemp("proof")
    new_key(folder / "signing.pem")
    home = ingested(
        folder,
        [
            delivery(at(2000), subject="plan-1", failed=["slack", "jira"], session_id="d-1", status_codes=[500, None]),
            delivery(at(90), subject="plan-1", failed=["slack"], session_id="d-2", status_codes=[401]),
            delivery(at(80), subject="plan-2", failed=["teams"], session_id="d-3"),
            acknowledgement(at(70), subject="plan-1"),
            execution(at(60), subject="plan-1"),
            plan(at(50)),
            worker_run(at(45)),
        ],
        signing_key_file=folder / "signing.pem",
    )
    list(save_reports(warehouse_of(home), state_of(home), RETRY_HEALTH, LANE, [NOW.date()], now=NOW))
    with served(home, dagster=NoDagster()) as one:
        yield one


@pytest.fixture(scope="module")
def bundle(service: Served) -> bytes:
    with service.client() as client:
        return client.get(f"/api/v1/lanes/{LANE}/plan/bundle").content


def public_key(service: Served) -> str:
    file = service.service.settings.signing_key_file
    assert file
    return load_key(file).public_key().public_bytes_raw().hex()


def verdict(page: Page) -> str:
    """What the page says of the proof, once it has said it."""
    found = page.locator(".proof .checked .verdict, .proof .checked .notice")
    found.wait_for()
    return found.inner_text()


def check_file(page: Page, raw: bytes, *, key: str = "", checkpoint: str = "") -> str:
    """Has the page verify a file, and returns what it says."""
    page.locator(".proof .checked").evaluate("node => node.replaceChildren()")
    if page.locator(".proof details:not([open])").count():
        page.get_by_text("Verify a proof that you have").click()
    page.get_by_label("Proof file").set_input_files({"name": "proof.zip", "mimeType": "application/zip", "buffer": raw})
    page.get_by_label("Public key").fill(key)
    page.get_by_label("Checkpoint").fill(checkpoint)
    page.get_by_role("button", name="Verify the file").click()
    return verdict(page)


@pytest.mark.parametrize("view", [PLAN, HEALTH], ids=["plan", "health"])
def test_a_proof_is_downloaded_and_both_verifiers_find_it_proven(
    service: Served, browser: Browser, tmp_path: Path, view: str
) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/{view}")
        foot = page.get_by_role("region", name="Proof")
        expect(foot).to_contain_text("Can be proven from 7 records of 2 days, checkpoint 1, signed by cavra-pipeline/")
        expect(foot).to_contain_text("not confirmed by a witness")
        with page.expect_download() as saved:
            foot.get_by_role("button", name="Download proof").click()
        path = tmp_path / saved.value.suggested_filename
        saved.value.save_as(path)
        expect(foot).to_contain_text("Proven from 7 records")
        foot.get_by_role("button", name="Verify here").click()
        said = verdict(page)

    plain = subprocess.run([sys.executable, "-I", str(path)], capture_output=True, text=True, check=False)
    assert (plain.returncode, plain.stdout.splitlines()[-1]) == (0, "PROVEN"), plain.stdout
    assert "evidence: 7 records of 2 days" in plain.stdout
    assert "What was checked holds" in said
    for part in ("File", "Report", "Signature", "Log", "Evidence"):
        assert re.search(rf"holds\s+{part}: ", said), (part, said)
    assert "it is the report on this page in every member" in said
    assert "7 records of 2 days" in said
    assert f"python3 {path.name}" in said
    assert "that the report follows from these records" in said
    assert seen.hosts() == {service.url.removeprefix("http://")}
    assert seen.complaints == []


def test_a_saved_report_has_its_proof_in_its_dialog(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/history?lane={LANE}")
        page.get_by_role("button", name=re.compile("^Open Retry health")).click()
        assert page.get_by_role("dialog").locator("dl.record").is_hidden(), "fields are behind a fold"
        page.get_by_role("dialog").get_by_role("button", name="Verify here").click()
        said = verdict(page)
    assert "it is the report on this page in every member" in said


def test_a_file_is_verified_with_a_key_and_a_checkpoint_from_elsewhere(
    service: Served, browser: Browser, bundle: bytes
) -> None:
    note = publish(service.service.settings)[0].text
    with watched(browser, width=360, scheme="dark") as seen:
        seen.context.add_init_script(path=AXE)
        page = shown(seen.context.new_page(), f"{service.url}/{PLAN}")
        without = check_file(page, bundle)
        said = check_file(page, bundle, key=public_key(service), checkpoint=note)
        other_key = check_file(page, bundle, key="0" * 64)
        root = note.split("\n")[2]
        rewritten = check_file(page, bundle, checkpoint=note.replace(root, "A" * 43 + "="))
        of_another = check_file(page, bundle, checkpoint=f"cavra-pipeline/0000000000000000\n1\n{root}\n\n")
        faults = page.evaluate("axe.run('.proof', {resultTypes: ['violations']})")["violations"]
        assert [one["id"] for one in faults if one["impact"] in ("serious", "critical")] == []
        assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert "compare it with one that you got elsewhere" in without
    assert "your key" not in without
    assert "your key" in said
    assert "it grew out of your checkpoint at entry 1" in said
    assert "Signature: the attestation is not signed by the key" in other_key
    assert "what it had committed was rewritten" in rewritten
    assert "is that of another log" in of_another
    assert ["Not proven" in one for one in (without, said, other_key, rewritten, of_another)] == [
        False, False, True, True, True,
    ]  # fmt: skip


def forgeries(bundle: bytes) -> dict[str, bytes]:
    """Changed bundles; each fits together as far as somebody without the key can make it."""
    files = unpack(bundle)
    day = max(name for name in files if name.startswith("evidence/"))
    fewer = files | {day: b"".join(files[day].splitlines(keepends=True)[1:])}
    other = files | {"report.json": files["report.json"].replace(b'"retry_count":2', b'"retry_count":1')}
    added = files | {"evidence/2026-07-30.jsonl": files[day]}
    statement = dict(files)
    envelope = json.loads(statement["attestation.json"]) | {"signatures": []}
    statement["attestation.json"] = json.dumps(envelope).encode()
    del statement["key.txt"]
    repacked = {"fewer": fewer, "other report": other, "a day added": added, "unsigned": statement}
    bits = {f"bit at {part}/7": _changed(bundle, len(bundle) * part // 7) for part in range(7)} | {
        "last bit": _changed(bundle, len(bundle) - 1),
        "a byte more": bundle + b"\0",
        "cut": bundle[:-1],
        "empty": b"",
    }
    return bits | {name: pack(one | {SUMS: sums_of(one)}) for name, one in repacked.items()}


def _changed(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]


def test_the_page_refuses_every_changed_proof_as_the_plain_verifier_does(
    service: Served, browser: Browser, bundle: bytes
) -> None:
    key, accepted = public_key(service), []
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/{PLAN}")
        for name, one in forgeries(bundle).items():
            said = check_file(page, one, key=key)
            _, fault = judged(one, lane_rules(), key=key)
            if "Not proven" not in said or "What was checked holds" in said or not fault:
                accepted.append((name, said, fault))
        assert "What was checked holds" in check_file(page, bundle, key=key)
    assert accepted == []
    assert seen.complaints == []


def test_a_proof_of_another_report_than_the_one_shown_is_not_given(tmp_path: Path, browser: Browser) -> None:
    home = ingested(tmp_path, [delivery(at(60), failed=["slack"])])
    with served(home, dagster=NoDagster()) as one, watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{one.url}/{PLAN}")
        expect(page.locator(".proof")).to_contain_text("unsigned")
        drop(home, [delivery(at(50), subject="late", failed=["jira"])], name="late.jsonl")
        take_in(home)
        one.service.written()
        page.get_by_role("button", name="Download proof").click()
        said = verdict(page)
        shown_then = page.locator(".proof .based").inner_text()
        page.get_by_role("button", name="Preview").click()
        page.get_by_text("late", exact=True).wait_for()
        page.get_by_role("button", name="Verify here").click()
        unsigned = verdict(page)
    assert "What was checked holds; not signed" in unsigned
    assert re.search(r"not signed\s+Signature: none", unsigned), unsigned
    assert "The evidence has changed" in said
    assert shown_then.startswith("Can be proven from")


def test_a_browser_without_ed25519_says_that_the_signature_was_not_checked(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        seen.context.add_init_script(
            "crypto.subtle.importKey = () => Promise.reject(new DOMException('no', 'NotSupportedError'))"
        )
        page = shown(seen.context.new_page(), f"{service.url}/{PLAN}")
        page.get_by_role("button", name="Verify here").click()
        said = verdict(page)
    assert re.search("not checked\\s+Signature: .*this browser has no Ed25519", said), said
    assert not re.search(r"holds\s+Signature", said)


def test_every_cell_of_a_decision_leads_to_its_records(service: Served, browser: Browser) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/{PLAN}")
        row = page.locator("tr", has=page.locator("a", has_text="plan-1")).filter(has_text="slack")
        cells = row.locator("th, td")
        addresses = [cells.nth(n).locator("a").get_attribute("href") or "" for n in range(cells.count())]
        failures = row.locator("td[data-label=Failures]")
        assert failures.inner_text().split("\n") == ["2 of 3", "status 401 500"]
        found: dict[str, int] = {}
        for address in dict.fromkeys(addresses):
            shown(page, f"{service.url}/?{len(found)}{address}")
            found[address] = page.locator("main tbody tr").count()
    assert len(addresses) == 6
    assert min(found.values()) > 0
    deliveries = next(one for one in addresses if "record_type=delivery" in one)
    newest = next(one for one in addresses if "session_id=d-2" in one)
    assert (found[deliveries], found[newest]) == (2, 1)
    assert seen.complaints == []


def test_the_proof_of_the_executive_numbers_is_downloaded_and_checked_elsewhere(
    service: Served, browser: Browser, tmp_path: Path
) -> None:
    with watched(browser) as seen:
        page = shown(seen.context.new_page(), f"{service.url}/#/executive")
        foot = page.get_by_role("region", name="Proof")
        with page.expect_download() as saved:
            foot.get_by_role("button", name="Download proof").click()
        path = tmp_path / saved.value.suggested_filename
        saved.value.save_as(path)
        expect(foot).to_contain_text(f"python3 {path.name}")
        shown(page, f"{service.url}/{PLAN}")
        said = check_file(page, path.read_bytes())

    plain = subprocess.run([sys.executable, "-I", str(path)], capture_output=True, text=True, check=False)
    assert (plain.returncode, plain.stdout.splitlines()[-1]) == (0, "PROVEN"), plain.stdout
    assert "Not checked. " in said
    assert "holds" not in said
    assert "Not proven" not in said
