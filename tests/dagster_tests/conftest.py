"""What tests of the code location share: a Dagster instance of each kind that a team has."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import dagster as dg
import pytest


@pytest.fixture(params=["sqlite", "postgresql"])
def instance(request: pytest.FixtureRequest) -> Iterator[dg.DagsterInstance]:
    """An empty instance with Dagster's own storage in files, and once more with dagster-postgres as teams run it."""
    overrides = {}
    if request.param == "postgresql":
        make: Callable[[], str] = request.getfixturevalue("new_postgresql")
        overrides = {"storage": {"postgres": {"postgres_url": make().replace("+psycopg2", "")}}}
    with dg.instance_for_test(overrides=overrides) as made:
        yield made
