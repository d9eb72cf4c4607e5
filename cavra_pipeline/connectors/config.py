"""The connector file: read once, one provider's fault concerning that provider alone.

What belongs here: CAVRA's YAML form to entries, and which of them can be used.
What does not: the keys of an entry (entry), what a provider is (providers) and what is sent to it (requests).

No message of this module holds a value of the file or of the environment: a value in the wrong place may be
a secret. It names the file, the key, the rule and the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cavra_pipeline.connectors.connector import Connector
from cavra_pipeline.connectors.document import YamlMapping, doubled_keys, read_document
from cavra_pipeline.connectors.entry import read_entry, shown_key
from cavra_pipeline.connectors.faults import WHOLE_FILE, ConnectorConfigError, ConnectorProblem
from cavra_pipeline.connectors.providers import PROVIDERS
from cavra_pipeline.connectors.route import CA_FILE_RULE, tls_context
from cavra_pipeline.errors import Fault
from cavra_pipeline.provider_names import provider_name

MAX_CONFIG_FILE_BYTES = 256 * 1024


@dataclass(slots=True)
class Connectors:
    """The connectors of a host. A secret is read when its connector is first needed, never before.

    Attributes:
        path: The connector file.
        environ: Where secrets and proxies are named.
        ca_file: Certificates that every connector trusts besides the well-known ones.
    """

    path: Path
    environ: Mapping[str, str]
    ca_file: Path | None = None
    # an empty one cannot be read
    _entries: dict[str, Mapping[Any, Any]] = field(default_factory=dict)
    # of entries that are no provider's, and of the host's own settings
    _strays: dict[str, tuple[Fault, ...]] = field(default_factory=dict)
    _file_faults: tuple[Fault, ...] = ()
    _form_faults: dict[str, tuple[Fault, ...]] = field(default_factory=dict)
    _opened: dict[str, Connector | tuple[Fault, ...]] = field(default_factory=dict)

    def has(self, provider: str) -> bool:
        """Returns whether the provider's connector is on, as far as the file can be read."""
        return bool(self._file_faults) or self._is_on(provider)

    def _is_on(self, provider: str) -> bool:
        return provider in self._entries and self._entries[provider].get("enabled", True) is not False

    @property
    def is_configured(self) -> bool:
        """Whether there is a connector file, also one that can't be used."""
        return bool(self._entries or self._strays or self._file_faults)

    @property
    def is_readable(self) -> bool:
        """Whether the connector file can be read, if there is one."""
        return not self._file_faults

    @property
    def providers(self) -> Sequence[str]:
        """The providers whose connectors are on, in the order of the file."""
        return [provider for provider in self._entries if self._is_on(provider)]

    def problem(self, provider: str, *, reads_secrets: bool = True) -> ConnectorProblem | None:
        """Returns why a connector that is on cannot be used, or None.

        Args:
            provider: Whose connector.
            reads_secrets: Whether to look for its secrets as well; a dry run does not.
        """
        if self._file_faults:
            return ConnectorProblem(WHOLE_FILE, self._file_faults)
        if not self._is_on(provider):
            return None
        faults = self._form_faults.get(provider, ())
        if reads_secrets and self._entries[provider]:
            opened = self._open(provider)
            faults += tuple(fault for fault in opened if fault not in faults) if isinstance(opened, tuple) else ()
        return ConnectorProblem(provider, faults) if faults else None

    def problems(self) -> list[ConnectorProblem]:
        """Returns every problem of the file, of the host and of connectors that are on, secrets included.

        One that concerns all comes once.
        """
        whole = [ConnectorProblem(WHOLE_FILE, self._file_faults)] if self._file_faults else []
        strays = [ConnectorProblem(subject, faults) for subject, faults in self._strays.items()]
        on = (self.problem(provider) for provider in self.providers) if not whole else ()
        return [*whole, *(problem for problem in on if problem), *strays]

    def open(self, provider: str) -> Connector:
        """Returns a connector that is on, with its secrets.

        Raises:
            ConnectorConfigError: It cannot be used; with every fault of it.
        """
        problem = self.problem(provider)
        connector_or_faults = problem.faults if problem else self._open(provider)
        if isinstance(connector_or_faults, Connector):
            return connector_or_faults
        raise ConnectorConfigError(self.path, connector_or_faults)

    def _open(self, provider: str) -> Connector | tuple[Fault, ...]:
        if provider not in self._opened:
            ca_files = (self.ca_file,) if self.ca_file and "CAVRA_CA_FILE" not in self._strays else ()
            connector_or_faults = read_entry(
                self.path.parent, provider, self._entries[provider], self.environ, ca_files
            )
            self._opened[provider] = connector_or_faults if connector_or_faults is not None else ()
        return self._opened[provider]


def read_connectors(path: Path, environ: Mapping[str, str], ca_file: Path | None = None) -> Connectors:
    """Reads the connector file and checks its form. Nothing is raised: what cannot be used says why.

    Args:
        path: The file.
        environ: Where secrets and proxies are named; nothing of it is read yet.
        ca_file: Certificates for every connector; one that cannot be used is a problem of its own and is left out.
    """
    connectors = Connectors(path, environ, ca_file)
    if ca_file:
        connectors._strays |= _ca_faults(ca_file)
    document = read_document(path, MAX_CONFIG_FILE_BYTES, "the connector file")
    if isinstance(document, Fault):
        connectors._file_faults = (document,)
        return connectors
    if not isinstance(document, YamlMapping):
        fault = Fault(str(path), "it is not a mapping", "begin with `connectors:` and one key for each provider")
        connectors._file_faults = (fault,)
        return connectors
    for key in document:
        if key != "connectors":
            shown = shown_key(key)
            connectors._strays[shown] = (Fault(shown, "unknown key", "use only: connectors"),)
    entries = document.get("connectors")
    if not isinstance(entries, YamlMapping) or not entries or "connectors" in document.doubled:
        rule = "it is not a mapping of providers" if "connectors" not in document.doubled else "it stands twice"
        fault = Fault("connectors", rule, f"give one mapping with at least one of: {', '.join(PROVIDERS)}")
        connectors._file_faults = (fault,)
        return connectors
    _add_entries(connectors, entries)
    return connectors


def _ca_faults(ca_file: Path) -> dict[str, tuple[Fault, ...]]:
    try:
        tls_context([ca_file])
    except OSError:
        rule, remedy = CA_FILE_RULE, "set it to a file of certificates (PEM)"
        return {"CAVRA_CA_FILE": (Fault("CAVRA_CA_FILE", rule, remedy),)}
    return {}


def _add_entries(connectors: Connectors, entries: YamlMapping) -> None:
    """Adds each provider's entry and the faults of its form; whatever is no provider's is a stray."""
    for key, settings in entries.items():
        provider = provider_name(str(key))
        where = f"connectors.{shown_key(key)}"
        faults: tuple[Fault, ...]
        if provider not in PROVIDERS:
            stray = Fault(where, "unknown provider", f"use one of: {', '.join(PROVIDERS)}")
            connectors._strays[shown_key(key)] = (*connectors._strays.get(shown_key(key), ()), stray)
            continue
        if provider in connectors._entries or str(key) in entries.doubled:
            faults, settings = (Fault(where, "the provider stands twice", "keep one of the two"),), YamlMapping()
        elif not isinstance(settings, YamlMapping):
            faults, settings = (Fault(where, "it is not a mapping", "give it keys such as url_env"),), YamlMapping()
        else:
            checked = read_entry(connectors.path.parent, provider, settings, None)
            faults = checked if isinstance(checked, tuple) else ()
            faults += tuple(doubled_keys(where, settings))
        connectors._entries[provider] = settings
        if faults:
            connectors._form_faults[provider] = faults
