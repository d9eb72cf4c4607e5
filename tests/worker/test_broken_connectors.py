"""A connector that cannot be used holds its own retries alone, with the reason; a dry run needs no secret."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.connectors.faults import FILE_UNUSABLE, MISCONFIGURED, SECRET_UNUSABLE, WHOLE_FILE
from cavra_pipeline.reports.cause_words import REASON_WORDS
from cavra_pipeline.settings import Settings
from tests.cli.command import Said, command
from tests.connectors.receiver import Receiver, answer
from tests.support import Line, acknowledgement, delivery, home_with, query, query_state, take_in
from tests.worker.support import SIGNING

pytestmark = pytest.mark.slow

LANE = "--lane=recovery_escalation"
PROVIDERS = ("slack", "webhook")
BROKEN = [
    ("{url_env: NOT_SET}", SECRET_UNUSABLE),
    ("{url_env: EMPTY}", SECRET_UNUSABLE),
    ("{url_env: MALFORMED}", SECRET_UNUSABLE),
    ("{url_file: none.secret}", SECRET_UNUSABLE),
    ("{url_file: open.secret}", SECRET_UNUSABLE),
    ("{url_env: MALFORMED, colour: CANARY}", MISCONFIGURED),
    ("{url: 'https://hooks.slack.com/services/CANARY'}", MISCONFIGURED),
    ("{enabled: perhaps}", MISCONFIGURED),
    ("CANARY", MISCONFIGURED),
]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """A home in which a retry is due for each of two providers."""
    long_ago = datetime(2026, 6, 25, tzinfo=UTC)
    lines: list[Line] = [delivery(long_ago, failed=[provider], session_id=f"d-{provider}") for provider in PROVIDERS]
    lines += [acknowledgement(long_ago, provider=provider) for provider in PROVIDERS]
    made = home_with(tmp_path, lines)
    take_in(made)
    return made


def connectors(home: Settings, receiver: Receiver, slack: str) -> None:
    receiver.script("/hook", answer(200))
    (home.home / "open.secret").write_text("https://hooks.slack.com/services/CANARY")
    (home.home / "open.secret").chmod(0o644)
    (home.home / "connectors.yaml").write_text(
        f"connectors:\n  slack: {slack}\n  webhook: {{url: '{receiver.base_url}/hook', signing_secrets_env: SIGNING}}\n"
    )


def run(home: Settings, *arguments: str, **environ: str) -> Said:
    said = command(
        home.home,
        *arguments,
        environ={
            "CAVRA_LIVE_LANES": "recovery_escalation,executive_report",
            "CAVRA_THREADS": "1",
            "EMPTY": " ",
            "MALFORMED": "CANARY",
            **environ,
        },
    )
    assert "CANARY" not in said.out + said.err
    assert said.out, said.err
    return said


def held(document: dict[str, Any]) -> dict[str, str]:
    return {one["provider"]: one["held_because"] for one in document["held_retries"]}


@pytest.mark.parametrize(("slack", "reason"), BROKEN)
def test_the_retries_of_a_broken_connector_are_held_and_those_of_others_go(
    slack: str, reason: str, home: Settings, receiver: Receiver
) -> None:
    connectors(home, receiver, slack)

    document = run(home, "worker", LANE, "--live", "--json", SIGNING=SIGNING).document

    assert held(document) == {"slack": reason}
    assert [(one["connector"], one["reason"]) for one in document["connector_problems"]] == [("slack", reason)]
    assert all(fault.startswith("connectors.slack") for fault in document["connector_problems"][0]["faults"])
    assert [(one["provider"], one["execution_status"]) for one in document["executions"]] == [("webhook", "delivered")]
    assert len(receiver.requests("/hook")) == 1
    # nothing says that the held retry was tried or given up
    assert query_state(home, "SELECT count(*) FROM send_intents WHERE provider = 'slack'") == [(0,)]


def test_a_held_retry_goes_once_its_connector_is_fixed(home: Settings, receiver: Receiver) -> None:
    connectors(home, receiver, "{url_env: SLACK}")
    receiver.script("/slack", answer(200, "ok"))
    assert held(run(home, "worker", LANE, "--live", "--json", SIGNING=SIGNING).document) == {"slack": SECRET_UNUSABLE}
    fixed = run(home, "worker", LANE, "--live", "--json", SIGNING=SIGNING, SLACK=f"{receiver.base_url}/slack").document
    assert [(one["provider"], one["execution_status"]) for one in fixed["executions"]] == [("slack", "delivered")]
    assert (len(receiver.requests("/slack")), len(receiver.requests("/hook"))) == (1, 1)


def test_a_dry_run_needs_no_secret_and_holds_what_the_file_itself_gets_wrong(
    home: Settings, receiver: Receiver
) -> None:
    connectors(home, receiver, "{url_env: NOT_SET}")
    document = run(home, "worker", LANE, "--json").document
    assert (held(document), document["selected_retry_count"], document["connector_problems"]) == ({}, 2, [])
    connectors(home, receiver, "{url_env: NOT_SET, colour: 1}")
    document = run(home, "worker", LANE, "--json").document
    assert (held(document), document["selected_retry_count"]) == ({"slack": MISCONFIGURED}, 1)
    assert receiver.requests() == []


@pytest.mark.parametrize("live", [[], ["--live"]], ids=["dry", "live"])
def test_a_file_that_is_no_yaml_holds_all_and_is_named_once(
    live: list[str], home: Settings, receiver: Receiver
) -> None:
    (home.home / "connectors.yaml").write_text("connectors: [CANARY")
    document = run(home, "worker", LANE, "--json", *live).document
    assert held(document) == dict.fromkeys(PROVIDERS, FILE_UNUSABLE)
    assert [one["connector"] for one in document["connector_problems"]] == [WHOLE_FILE]
    said = run(home, "worker", LANE, *live)
    assert said.code == 0
    assert said.out.count("it is not valid YAML") == 1
    assert said.out.count(REASON_WORDS[FILE_UNUSABLE]) == 2


def test_a_first_delivery_goes_through_the_others_and_what_failed_is_retried(
    home: Settings, receiver: Receiver
) -> None:
    connectors(home, receiver, "{url_env: SLACK}")
    receiver.script("/slack", answer(200, "ok"))
    asked = ("executive-report", "--provider", "slack", "--provider", "webhook", "--output", "json")

    assert run(home, *asked).code == 0, "a dry run needs no secret"
    assert receiver.requests() == []
    said = run(home, *asked, "--live", SIGNING=SIGNING)

    assert said.code == 1
    assert REASON_WORDS[SECRET_UNUSABLE] in said.err
    assert len(receiver.requests("/hook")) == 1
    due = ("worker", "--lane=executive_report", "--live", "--json")
    document = run(home, *due, SIGNING=SIGNING, SLACK=f"{receiver.base_url}/slack").document
    assert document["held_retries"] == []  # its delay has not passed
    failed = query(
        home, "SELECT failed_providers FROM deliveries WHERE list_contains(providers, 'slack') AND run_id IS NOT NULL"
    )
    assert failed == [(["slack"],)]


def test_the_connectors_command_names_what_is_to_be_fixed_and_sends_nothing(home: Settings, receiver: Receiver) -> None:
    connectors(home, receiver, "{url_env: NOT_SET}")
    said = run(home, "connectors", "--json", SIGNING=SIGNING)
    assert said.code == 1
    assert said.document["connectors"] == [
        {"connector": "slack", "state": SECRET_UNUSABLE},
        {"connector": "webhook", "state": "ready"},
    ]
    assert [one["connector"] for one in said.document["connector_problems"]] == ["slack"]
    text = run(home, "connectors", SIGNING=SIGNING)
    assert (text.code, "the variable that it names is not set" in " ".join(text.out.split())) == (1, True)

    connectors(home, receiver, "{url_env: SLACK}")
    assert run(home, "connectors", SIGNING=SIGNING, SLACK="https://example.org/x").code == 0
    alerts = run(
        home, "connectors", "--json", SIGNING=SIGNING, SLACK="https://example.org/x", CAVRA_ALERT_CONNECTORS="jira"
    )
    assert [one["connector"] for one in alerts.document["connector_problems"]] == ["jira"]
    (home.home / "connectors.yaml").unlink()
    assert run(home, "connectors", "--json").document["connectors"] == []
    assert receiver.requests() == []
