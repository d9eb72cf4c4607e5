"""Records of our own: a value that is missing never becomes the text None."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.alerts.operators import acknowledge_alert
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.emitted import record
from tests.alerts.support import desk, signal
from tests.support import AS_OF, query


def made(session_id: str = "s-1", **fields: Any) -> dict[str, Any]:
    return record("recovery-escalation-ack", session_id=session_id, created_at=AS_OF, signer="tests", **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"session_id": "acknowledgement-1-None"},
        {"session_id": "None"},
        {"provider": "None"},
        {"providers": ["slack", "None"]},
        {"nested": {"schedule": {"window_start": "None"}}},
        {"rows": [{"provider": "None"}]},
    ],
)
def test_a_missing_value_that_became_text_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(PipelineError, match="has the text None in place of a value"):
        made(**fields)


def test_a_missing_value_and_a_name_that_evidence_gave_are_accepted() -> None:
    assert made(provider=None, plan_id="None")["plan_id"] == "None"
    assert made(session_id="plan-Nonesuch", provider="None such")["provider"] == "None such"


def test_an_alert_that_nobody_was_notified_of_is_acknowledged_without_plan_and_provider(tmp_path: Path) -> None:
    one = desk(tmp_path, connectors=())
    one.tick(signal())
    alert_id = one.alert_id
    acknowledge_alert(one.settings, alert_id, by="on-call", now=one.clock())

    (written,) = one.settings.landing.rglob("*.jsonl")
    assert "None" not in written.read_text() + written.name
    assert query(one.settings, "SELECT session_id, provider, subject FROM acknowledgements") == [
        (f"acknowledgement-{alert_id}", None, None)
    ]
