"""What every test of the connectors needs: a receiver, and connectors made the real way."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from cavra_pipeline.connectors import (
    Connector,
    DeliveryOutcome,
    DeliverySettings,
    Notification,
    Tokens,
    deliver,
    read_connectors,
)
from tests.connectors.certificates import Authority
from tests.connectors.examples import NOTIFICATION, NOW, SETTINGS, document_for, environment_for
from tests.connectors.receiver import Receiver

Deliver = Callable[..., DeliveryOutcome]
Configured = Callable[..., Connector]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts unless a `ca_file` says so."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    """A connector read from a file, as in production: `configured("slack", url)`."""

    def make(
        provider: str, url: str, changes: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
    ) -> Connector:
        path = tmp_path / "connectors.yaml"
        path.write_text(yaml.safe_dump(document_for(provider, changes)), encoding="utf-8")
        return read_connectors(path, environment_for(url) | dict(environ or {})).open(provider)

    return make


@pytest.fixture
def attempt() -> Deliver:
    """One attempt on a clock that stands still; what it slept is in `slept`, if a list is given."""

    def run(
        connector: Connector,
        notification: Notification = NOTIFICATION,
        *,
        slept: list[float] | None = None,
        now: datetime = NOW,
        tokens: Tokens | None = None,
        claim_ends_at: datetime | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        **changes: Any,
    ) -> DeliveryOutcome:
        settings: DeliverySettings = replace(SETTINGS, **changes)
        return deliver(
            connector,
            notification,
            now=lambda: now.astimezone(UTC),
            sleep=(slept if slept is not None else []).append,
            rng=random.Random(7),
            settings=settings,
            tokens=tokens,
            claim_ends_at=claim_ends_at,
            monotonic=monotonic,
        )

    return run
