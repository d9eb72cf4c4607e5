"""Sending through the host's connectors: which of them can be used, and one attempt at a time."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from cavra_pipeline.connectors import (
    ConnectorProblem,
    Connectors,
    DeliveryOutcome,
    DeliverySettings,
    Grade,
    Notification,
    Tokens,
    deliver,
    read_connectors,
)
from cavra_pipeline.errors import Fault, UsageError
from cavra_pipeline.provider_names import provider_name
from cavra_pipeline.settings import Settings

#: Stands for every connector that is on.
EVERY_CONNECTOR: Final = "all"


@dataclass(frozen=True, slots=True)
class ConnectorSender:
    """The host's connectors, and how to try."""

    connectors: Connectors
    clock: Callable[[], datetime]
    settings: DeliverySettings
    tokens: Tokens = field(default_factory=Tokens)

    def has(self, provider: str) -> bool:
        """Returns whether the provider's connector is on, as far as the file can be read."""
        return self.connectors.has(provider)

    def problem(self, provider: str, *, reads_secrets: bool) -> ConnectorProblem | None:
        """Returns why a connector cannot be used, or None.

        Args:
            provider: Whose connector.
            reads_secrets: Whether its secrets are looked for too; a dry run needs none.
        """
        return self.connectors.problem(provider, reads_secrets=reads_secrets)

    def send(
        self, provider: str, notification: Notification, *, claim_ends_at: datetime | None = None
    ) -> DeliveryOutcome:
        """Makes one attempt, with the few immediate tries the settings allow.

        Through a connector that cannot be used nothing is sent: a transient failure after no request at all, so that
        it is retried once the connector is fixed.

        Args:
            provider: Whose connector, one that is on.
            notification: The message.
            claim_ends_at: When the caller's claim to send it ends; no request is begun that could still run then.
        """
        problem = self.connectors.problem(provider)
        if problem:
            now = self.clock()
            return DeliveryOutcome(provider, Grade.FAILED, None, 0, now, now, None, problem.reason)
        return deliver(
            self.connectors.open(provider),
            notification,
            now=self.clock,
            sleep=time.sleep,
            rng=random.Random(),  # noqa: S311 -- jitter
            settings=self.settings,
            tokens=self.tokens,
            claim_ends_at=claim_ends_at,
        )


def host_connectors(settings: Settings, environ: Mapping[str, str] | None = None) -> Connectors:
    """Returns the connectors of the host; none if the home has no file. Only a file that is named must exist."""
    path, where = settings.connectors_file, os.environ if environ is None else environ
    if path and (path.exists() or path != settings.home / "connectors.yaml"):
        return read_connectors(path, where, settings.ca_file)
    return Connectors(path or settings.home / "connectors.yaml", where, settings.ca_file)


def host_problems(settings: Settings) -> Sequence[ConnectorProblem]:
    """Returns everything that keeps connectors that are on from being used, and alerts from going through them."""
    connectors = host_connectors(settings)
    rule, remedy = "it names a connector that is not on", "switch that connector on, or take its name out"
    missing = (provider for provider in settings.alerts.connectors if not connectors.has(provider))
    return [
        *connectors.problems(),
        *(ConnectorProblem(provider, (Fault("CAVRA_ALERT_CONNECTORS", rule, remedy),)) for provider in missing),
    ]


def named_connectors(connectors: Connectors, text: str) -> Sequence[str]:
    """Returns the connectors that a list names, in its order; ``all`` are those that are on.

    Args:
        connectors: The host's connectors.
        text: Names with commas between them.

    Raises:
        UsageError: A name is of no connector that is on, or none is on at all.
    """
    names = list(dict.fromkeys(provider_name(name) for name in text.split(",") if name.strip()))
    providers = connectors.providers if names == [EVERY_CONNECTOR] else names
    if not providers or not all(connectors.has(name) for name in providers):
        raise UsageError(
            "it names a connector that is not on" if providers else "no connector is on",
            where="provider",
            remedy=f"Name connectors that are on, with commas between them, or {EVERY_CONNECTOR}",
        )
    return providers


def connector_check(settings: Settings) -> Callable[[str], bool]:
    """Returns the check whether a provider's connector is on; always true without any connector on this host."""
    connectors = host_connectors(settings)
    return connectors.has if connectors.providers else lambda _provider: True


def open_sender(
    settings: Settings,
    *,
    clock: Callable[[], datetime],
    environ: Mapping[str, str] | None = None,
    tries: int | None = None,
    timeout_seconds: float | None = None,
) -> ConnectorSender:
    """Reads the connectors file; what cannot be used is held by the sender, with its reason, and stops nothing else.

    Args:
        settings: The home.
        clock: Returns the current time.
        environ: Where secrets are named; the process environment if not given.
        tries: Requests inside one attempt; those of the settings if not given.
        timeout_seconds: How long an answer may take, and at most what comes before it; our own limits if not given.
    """
    limits = DeliverySettings(immediate_tries=tries or settings.immediate_tries)
    if timeout_seconds is not None:
        limits = replace(
            limits,
            connect_timeout_seconds=min(limits.connect_timeout_seconds, timeout_seconds),
            write_timeout_seconds=min(limits.write_timeout_seconds, timeout_seconds),
            read_timeout_seconds=timeout_seconds,
        )
    return ConnectorSender(host_connectors(settings, environ), clock, limits)
