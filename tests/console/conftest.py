"""The browser of a module's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.console.browser import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The Chromium of the system, started once for a module."""
    with chromium() as started:
        yield started
