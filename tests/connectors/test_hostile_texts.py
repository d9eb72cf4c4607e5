"""Hostile texts in every field of a message: each provider's body shows them as text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from cavra_pipeline.connectors import prepare
from cavra_pipeline.escaping import visible
from tests.connectors.conftest import Configured
from tests.connectors.examples import ALL_PROVIDERS, NOTIFICATION, NOW
from tests.escaping.hostile import fault_values, values

HOSTILE = [*values(34), *fault_values("markdown.jsonl"), *fault_values("terminal.jsonl")]
#: What each provider would obey in a text that it renders.
OBEYED = {
    "slack": re.compile(r"[<>@]|&(?!(?:amp|lt|gt);)|https?://|www\."),
    "teams": re.compile(r"(?<![\\&])[\[\]*`<>#!|~]|https?://|www\.|@|\]\("),
    "datadog": re.compile(r"%%%|@|https?://|www\."),
    "servicenow": re.compile(r"\[/?code\]|javascript:", re.IGNORECASE),
}
#: Ours alone, and never rendered.
ADDRESSES = ("$schema", "contentUrl", "contentType", "fallbackText", "additional_info")


def texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            if name not in ADDRESSES:
                yield from texts_of(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts_of(one)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("provider", ALL_PROVIDERS)
@pytest.mark.parametrize("table", ["em_event", "incident"])
def test_no_provider_is_given_what_it_would_obey(provider: str, table: str, configured: Configured) -> None:
    changes = {"table": table} if provider == "servicenow" else {}
    for text in HOSTILE:
        hostile = replace(
            NOTIFICATION, title=text, summary=f"{text}\nand {text}", subject=text, facts={"fact": text, "number": 3}
        )
        body = prepare(configured(provider, "https://example.org/", changes), hostile, NOW).body.decode()
        texts = list(texts_of(json.loads(body)))

        assert body.isprintable()
        assert [one for one in texts if visible(one.replace("\n", "")) != one.replace("\n", "")] == []
        if provider in OBEYED:
            assert [one for one in texts if OBEYED[provider].search(one)] == []


@pytest.mark.parametrize("provider", ALL_PROVIDERS)
def test_a_line_end_in_an_id_forges_no_line_of_the_message(provider: str, configured: Configured) -> None:
    hostile = replace(
        NOTIFICATION, title="plan\nseverity: info", subject="plan\r\nforged: 1", facts={"a": "b\u2028forged: 1"}
    )
    body = prepare(configured(provider, "https://example.org/"), hostile, NOW).body.decode()
    lines = [line for one in texts_of(json.loads(body)) for line in re.split(r"[\n\r\u2028]", one)]

    assert [line for line in lines if line.startswith(("forged", "severity: info"))] == []


def test_data_for_programs_is_the_text_itself_where_nothing_steers(configured: Configured) -> None:
    text = "![plan](/graphql?query=1) <b> %%% @all =1"
    hostile = replace(NOTIFICATION, subject=text, facts={"plan_id": text})
    for provider in ("webhook", "splunk", "sentinel"):
        body = json.loads(prepare(configured(provider, "https://example.org/"), hostile, NOW).body)
        assert [one for one in texts_of(body) if one == text] == [text, text]
