"""Settings of every test: property tests run the same examples each time and have no deadline of their own."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "house",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("house")


@pytest.fixture(autouse=True)
def _no_home_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A test that forgets its home meets an empty folder, never the user's own `.cavra`."""
    monkeypatch.setenv("CAVRA_HOME", str(tmp_path_factory.getbasetemp() / "no-home"))
