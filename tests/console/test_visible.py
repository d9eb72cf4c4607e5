"""The console's rule for what cannot be seen is the one of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cavra_pipeline.escaping import visible_lines
from tests.api.server import NoDagster, served
from tests.console.browser import chromium, shown, watched
from tests.escaping.hostile import fault_values, values
from tests.support import ingested

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
#: Every character that has been assigned, or kept free of one, since long before Python 3.11 and any Chromium.
ASSIGNED = [
    chr(code) for code in (*range(0x250), *range(0x2000, 0x2070), *range(0xFE00, 0xFE10), 0x3000, 0x3164, 0xFEFF)
]
OTHERS = [
    "\u034f",
    "\u115f",
    "\u17b4",
    "\u180e",
    "\u2800",
    "\uffa0",
    "\ue000",
    "\U000e0041",
    "\U000e0100",
    "\U000f0000",
]


def test_the_console_writes_what_cannot_be_seen_as_the_command_line_does(tmp_path: Path) -> None:
    texts = [*ASSIGNED, *OTHERS, *values(34), *fault_values("terminal.jsonl"), "Zürich 東京 ✓"]
    home = ingested(tmp_path, [])
    with served(home, dagster=NoDagster()) as one, chromium() as browser, watched(browser) as seen:
        page = shown(seen.context.new_page(), one.url)
        written = page.evaluate("texts => import('/console/dom.js').then(dom => texts.map(dom.visible))", texts)

    assert written == [visible_lines(text) for text in texts]
