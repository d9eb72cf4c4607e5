"""Connectors that CAVRA has and the pipeline lacks: docs/connectors-receivers.md names them and what happens."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Final

from cavra_pipeline.connectors.config import read_connectors
from cavra_pipeline.connectors.providers import PROVIDERS
from cavra_pipeline.provider_names import PROVIDER_TITLES
from tests.support import AS_OF, REPOSITORY, ask_plan, at, delivery, ingested

#: What CAVRA's own connector configuration takes, by its public source.
CAVRA_CONNECTORS: Final = {
    "github", "gitlab", "azure_repos", "github_actions", "jenkins", "splunk", "sentinel", "datadog", "webhook", "slack",
    "teams", "jira", "servicenow", "jamf", "intune", "linux",
}  # fmt: skip
OTHERS: Final = sorted(CAVRA_CONNECTORS - set(PROVIDER_TITLES))


def test_the_page_names_each_connector_of_cavra_that_is_not_ours() -> None:
    text = (REPOSITORY / "docs" / "connectors-receivers.md").read_text(encoding="utf-8")
    part = text.partition("## Connectors that CAVRA has and the pipeline has not")[2].partition("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("| `")]

    assert sorted(name for row in rows for name in re.findall(r"`([a-z_]+)`", row)) == OTHERS
    assert set(PROVIDERS) == set(PROVIDER_TITLES) < CAVRA_CONNECTORS


def test_an_entry_of_one_is_an_unknown_provider_and_the_others_work(tmp_path: Path) -> None:
    path = tmp_path / "connectors.yaml"
    entries = "".join(f"  {name}:\n    url: https://example.org\n" for name in OTHERS)
    path.write_text(f"connectors:\n  slack:\n    url_env: SLACK\n{entries}")
    connectors = read_connectors(path, {"SLACK": "https://hooks.slack.com/services/T/B/x"})

    found = {fault.where: fault.what for problem in connectors.problems() for fault in problem.faults}
    assert found == {f"connectors.{name}": "unknown provider" for name in OTHERS}
    assert connectors.providers == ["slack"]


def test_a_failed_delivery_through_one_is_planned_like_any_other(tmp_path: Path) -> None:
    home = ingested(tmp_path, [delivery(at(60), failed=[name.replace("_", "-")], subject=name) for name in OTHERS])
    decisions = ask_plan(home, as_of=AS_OF)["retry_decisions"]

    assert {(one["plan_id"], one["provider"], one["action"]) for one in decisions} == {
        (name, name, "retry") for name in OTHERS
    }
    earlier = ask_plan(home, as_of=at(60) + timedelta(minutes=15) - timedelta(microseconds=1))["retry_decisions"]
    assert {one["action"] for one in earlier} == {"wait"}
