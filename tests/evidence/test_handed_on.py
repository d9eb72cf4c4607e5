"""What an import hands on beside a drop: taken in as rows, and refused if somebody else wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.boundary.search import MAX_DEPTH
from cavra_pipeline.boundary.verdict import LineFinding, QuarantinedLine
from cavra_pipeline.evidence.landing import HandedOn, dump_sidecar, list_drops, load_sidecar, sidecar_of, strays
from cavra_pipeline.settings import Settings
from tests.evidence.secrets_made_up import canary
from tests.support import DAY, PSEUDONYMS, delivery, drop, files_holding, home_with, query, sha256, take_in

pytestmark = pytest.mark.slow

HANDED_ON = HandedOn(
    "evidence.sqlite",
    (QuarantinedLine(7, sha256(b"seven"), "secret_in_field", "plan_id", None),
     QuarantinedLine(9, sha256(b"nine"), "not_json", None, None)),
    (LineFinding(7, "npm-token", "plan_id", "quarantined"),
     LineFinding(8, "teams-webhook", "delivery.deliveries[].request.url", "dropped")),
    3,
)  # fmt: skip


def handed(tmp_path: Path, sidecar: bytes) -> Settings:
    home = home_with(tmp_path)
    path = drop(home, [delivery(session_id="clean")])
    sidecar_of(path).write_bytes(sidecar)
    return home


def test_what_an_import_held_back_arrives_as_quarantine_and_findings_of_its_source(tmp_path: Path) -> None:
    home = handed(tmp_path, dump_sidecar(HANDED_ON))

    result = take_in(home)

    assert load_sidecar(list_drops(home.landing, PSEUDONYMS)[0]) == HANDED_ON
    assert (result.received_count, result.quarantined_count, result.finding_count) == (3, 2, 2)
    assert query(home, "SELECT source_file, line_number, sha256, reason, field FROM quarantine ORDER BY 2") == [
        ("evidence.sqlite", 7, sha256(b"seven"), "secret_in_field", "plan_id"),
        ("evidence.sqlite", 9, sha256(b"nine"), "not_json", None),
    ]
    assert query(home, "SELECT source_file, line_number, rule, path, action FROM findings ORDER BY 2") == [
        ("evidence.sqlite", 7, "npm-token", "plan_id", "quarantined"),
        ("evidence.sqlite", 8, "teams-webhook", "delivery.deliveries[].request.url", "dropped"),
    ]
    assert query(home, "SELECT received_count, accepted_count, quarantined_count FROM drop_totals") == [(3, 1, 2)]
    assert query(home, "SELECT dropped_field_count FROM drops") == [(3,)]
    assert strays(home.landing, PSEUDONYMS) == []


def test_a_sidecar_that_changes_is_read_again_and_replaces_what_it_said(tmp_path: Path) -> None:
    home = handed(tmp_path, dump_sidecar(HANDED_ON))
    take_in(home)
    assert take_in(home).drops == []

    sidecar_of(home.landing / DAY / "evidence.jsonl").write_bytes(dump_sidecar(HandedOn("other.json")))

    assert len(take_in(home).drops) == 1
    assert query(home, "SELECT (SELECT count(*) FROM quarantine), (SELECT count(*) FROM findings)") == [(0, 0)]


def test_the_longest_path_the_boundary_can_name_is_handed_on(tmp_path: Path) -> None:
    longest = ".".join(["k" * 128] * MAX_DEPTH)
    home = handed(tmp_path, dump_sidecar(HandedOn("a", (), (LineFinding(1, "npm-token", longest, "dropped"),))))

    assert take_in(home).failures == []


FORGERIES: dict[str, dict[str, Any]] = {
    "no source": {"source_file": None},
    "control character": {"source_file": "a\nb"},
    "secret as source": {"source_file": canary("npm token")},
    "negative count": {"dropped_field_count": -1},
    "count as text": {"dropped_field_count": "3"},
    "count as boolean": {"dropped_field_count": True},
    "no list": {"quarantined": None},
    "row without line": {"quarantined": [{"sha256": sha256(b""), "reason": "not_json", "field": None}]},
    "no digest": {"quarantined": [{"line": 1, "sha256": "zz", "reason": "not_json", "field": None}]},
    "unknown reason": {"quarantined": [{"line": 1, "sha256": sha256(b""), "reason": "because", "field": None}]},
    "content as field": {"quarantined": [{"line": 1, "sha256": sha256(b""), "reason": "not_json", "field": "a b"}]},
    "content as rule": {"findings": [{"line": 1, "rule": "my password", "path": "a", "action": "dropped"}]},
    "unknown action": {"findings": [{"line": 1, "rule": "npm-token", "path": "a", "action": "stored"}]},
    "list as action": {"findings": [{"line": 1, "rule": "npm-token", "path": "a", "action": ["dropped"]}]},
    "content as path": {"findings": [{"line": 1, "rule": "npm-token", "path": "pass word", "action": "dropped"}]},
    "secret as path": {
        "findings": [{"line": 1, "rule": "npm-token", "path": canary("aws long-lived key"), "action": "dropped"}]
    },
}


@pytest.mark.parametrize("forged", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_sidecar_is_refused_and_its_drop_with_it(forged: dict[str, Any], tmp_path: Path) -> None:
    document = {**json.loads(dump_sidecar(HANDED_ON)), **forged}
    home = handed(tmp_path, json.dumps(document).encode())
    drop(home, [delivery(session_id="elsewhere")], name="other.jsonl")

    (failure,) = take_in(home).failures

    assert str(failure).startswith(
        f"{DAY}/evidence.jsonl.boundary.json: the landing file's sidecar is not one that import"
    )
    assert query(home, "SELECT session_id FROM evidence") == [("elsewhere",)]
    assert query(home, "SELECT count(*) FROM quarantine") == query(home, "SELECT count(*) FROM findings") == [(0,)]
    for secret in (canary("npm token"), canary("aws long-lived key")):
        assert files_holding(home.home, secret.encode(), but=[home.landing]) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"\xff", b"[" * 100_000])
def test_a_sidecar_that_is_no_document_is_refused(content: bytes, tmp_path: Path) -> None:
    home = handed(tmp_path, content)

    assert len(take_in(home).failures) == 1
    assert query(home, "SELECT count(*) FROM evidence") == [(0,)]
