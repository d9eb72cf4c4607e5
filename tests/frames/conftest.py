"""The recorded month at its own dates, imported and ingested once for the tests of this folder."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cavra_pipeline.demo.month import LATE_FILE, MONTH_FILE, RECORDED_UNTIL, RecordedMonth
from cavra_pipeline.evidence.importer import import_evidence
from cavra_pipeline.settings import Settings
from tests.support import home_with, take_in


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The home of the month, its late day included; tests only read it."""
    home = home_with(tmp_path_factory.mktemp("month"))
    recorded = RecordedMonth(RECORDED_UNTIL)
    with TemporaryDirectory() as folder:
        for name in (MONTH_FILE, LATE_FILE):
            source = recorded.write(Path(folder), name)
            assert import_evidence(home, [(name, source)], now=RECORDED_UNTIL).failures == []
    assert take_in(home, RECORDED_UNTIL).failures == []
    return home
