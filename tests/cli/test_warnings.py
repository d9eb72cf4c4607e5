"""What the command line says beside a plan and a bad name: which retries would fail, and what there is instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from cavra_pipeline.cli.delivery import _beside
from cavra_pipeline.cli.plan_tables import retry_warnings
from cavra_pipeline.executive.wrong import what_is_wrong
from tests.cli.command import command
from tests.support import NOW, acknowledgement, at, delivery, home_with, ingested, take_in

WHO = "ServiceNow rejects our credentials"


def incident(cause: str = "credentials") -> dict[str, object]:
    return {"incident_id": "incident-1", "provider": "servicenow", "cause": cause}


def decisions(*incident_ids: str | None) -> list[dict[str, object]]:
    return [{"provider_incident_id": incident_id} for incident_id in incident_ids]


def test_due_retries_of_an_incident_that_a_person_ends_are_warned_of() -> None:
    due = {"ready": decisions("incident-1", None, "incident-2"), "held": decisions("incident-1", "incident-1")}

    assert retry_warnings([incident()], due) == [
        f"{WHO}: 1 ready and 2 held retries would fail. Fix the cause first: a retry that fails uses up an attempt."
    ]
    (one,) = retry_warnings([incident()], {"ready": decisions("incident-1"), "held": []})
    assert one.startswith(f"{WHO}: 1 ready retry would fail.")


def test_an_incident_that_retries_may_end_gets_no_warning() -> None:
    due = {"ready": decisions("incident-1")}

    assert retry_warnings([incident("throttled"), incident("server_error")], due) == []
    assert retry_warnings([incident()], {"ready": decisions(None)}) == []


def test_recoveries_past_the_limit_are_counted_as_a_person_would() -> None:
    said = []
    for number, late in ((1, 0), (1, 1), (2, 1), (2, 2), (3, 3)):
        counts = {"recovery_open_count": number, "recovery_slo_breached_count": late, "recovery_slo_minutes": 240}
        evidence = {"week_quarantined_count": 0, "week_finding_count": 0}
        overview = {"incidents": [], "lanes": {}, "recoveries": counts, "evidence": evidence}
        (wrong,) = what_is_wrong(overview)
        said.append(wrong.what)

    assert said == [
        "1 recovery is open, none past the limit of 4 h",
        "1 recovery is open, past the limit of 4 h",
        "2 recoveries are open, 1 of them past the limit of 4 h",
        "2 recoveries are open, both past the limit of 4 h",
        "3 recoveries are open, all of them past the limit of 4 h",
    ]


def test_explain_names_a_later_instant_only_where_one_was_given(tmp_path: Path) -> None:
    made = home_with(tmp_path, [delivery(at(0))])
    take_in(made)

    of_now = command(made.home, "explain", "foo", "slack").err
    of_then = command(made.home, "explain", "foo", "slack", "--as-of", "1d").err

    assert "there is no delivery" in of_now
    assert "instant" not in of_now
    assert "or name a later instant" in of_then


def test_a_run_is_shown_also_where_the_warehouse_can_not_be_read_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = ingested(tmp_path, [delivery(at(90), failed=["slack"]), acknowledgement(at(80), state="deferred")])
    monkeypatch.setenv("CAVRA_HOME", str(home.home))
    pair = {"plan_id": "subject-1", "provider": "slack"}
    run = {
        "lane": "recovery_escalation", "as_of": NOW.isoformat(), "dry_run": False,
        "acknowledgement_pending": [pair], "selected_retries": [],
    }  # fmt: skip
    assert _beside(run) == ({("subject-1", "slack"): "deferred"}, [])

    monkeypatch.setenv("CAVRA_HOME", str(tmp_path / "a-file"))
    (tmp_path / "a-file").touch()
    assert _beside(run) == ({}, [])


def test_a_closed_closure_list_says_what_it_leaves_out(tmp_path: Path) -> None:
    made = ingested(tmp_path, [delivery(at(-30), failed=["slack"]), acknowledgement(at(-20))])

    said = command(made.home, "closure", "--as-of", NOW.isoformat()).out

    assert "state       closed" in said
    assert "not part of it: approvals, and failing deliveries of other lanes (retry-plan)" in said
    assert "What is open now" not in said
