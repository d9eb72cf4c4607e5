"""What every test of the connectors needs: a receiver, a client, and connectors made the real way."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cavra_pipeline.connectors import (
    Connector,
    DeliveryOutcome,
    DeliverySettings,
    Notification,
    deliver,
    load_connectors,
)
from tests.connectors.examples import NOTIFICATION, NOW, SETTINGS, document_for, environment_for
from tests.connectors.receiver import Receiver

Deliver = Callable[..., DeliveryOutcome]
Configured = Callable[..., Connector]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as running:
        yield running


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    """A connector read from a file, as in production: `configured("slack", url)`."""

    def make(provider: str, url: str, changes: Mapping[str, Any] | None = None) -> Connector:
        path = tmp_path / "connectors.yaml"
        path.write_text(yaml.safe_dump(document_for(provider, changes)), encoding="utf-8")
        return load_connectors(path, environment_for(url))[provider]

    return make


@pytest.fixture
def attempt(client: httpx.Client) -> Deliver:
    """One attempt on a clock that stands still; what it slept is in `slept`, if a list is given."""

    def run(
        connector: Connector,
        notification: Notification = NOTIFICATION,
        *,
        slept: list[float] | None = None,
        now: datetime = NOW,
        monotonic: Callable[[], float] | None = None,
        **changes: Any,
    ) -> DeliveryOutcome:
        settings: DeliverySettings = replace(SETTINGS, **changes)
        extra: dict[str, Any] = {} if monotonic is None else {"monotonic": monotonic}
        return deliver(
            connector,
            notification,
            client=client,
            now=lambda: now.astimezone(UTC),
            sleep=(slept if slept is not None else []).append,
            rng=random.Random(7),
            settings=settings,
            **extra,
        )

    return run
