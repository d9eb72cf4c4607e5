"""Sending through the host's connectors: the file they are in, one HTTP client, one attempt each."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import httpx

from cavra_pipeline.connectors import (
    Connector,
    DeliveryOutcome,
    DeliverySettings,
    Notification,
    deliver,
    load_connectors,
)
from cavra_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class ConnectorSender:
    """Connectors that are on, and how to try."""

    connectors: Mapping[str, Connector]
    client: httpx.Client
    clock: Callable[[], datetime]
    settings: DeliverySettings

    def has(self, provider: str) -> bool:
        """Tells whether the provider's connector is configured and on."""
        return provider in self.connectors

    def send(self, provider: str, notification: Notification) -> DeliveryOutcome:
        """Makes one attempt, with the few immediate tries the settings allow."""
        return deliver(
            self.connectors[provider],
            notification,
            client=self.client,
            now=self.clock,
            sleep=time.sleep,
            rng=random.Random(),  # noqa: S311 -- jitter
            settings=self.settings,
        )


@contextmanager
def open_sender(
    settings: Settings, *, clock: Callable[[], datetime], environ: Mapping[str, str] | None = None
) -> Iterator[ConnectorSender]:
    """Reads the connectors file and opens a client for it. Only the home's own file may be missing, not a named one.

    Raises:
        ConnectorConfigError: The file has faults; the message names every one and no value.
    """
    path = settings.connectors_file
    connectors: Mapping[str, Connector] = {}
    if path and (path.exists() or path != settings.home / "connectors.yaml"):
        connectors = load_connectors(path, os.environ if environ is None else environ)
    with httpx.Client(trust_env=False) as client:
        yield ConnectorSender(connectors, client, clock, DeliverySettings(immediate_tries=settings.immediate_tries))
