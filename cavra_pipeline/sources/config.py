"""``sources.yaml``: where evidence comes from and how often, one source's fault concerning that source alone.

No message of this module holds a value of the file or of the environment: a value in the wrong place may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from math import gcd
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult

from cavra_pipeline.connectors.document import YamlMapping, doubled_keys, read_document
from cavra_pipeline.connectors.entry import shown_key
from cavra_pipeline.connectors.route import split
from cavra_pipeline.connectors.rules import HEADER_NAME, HEADER_VALUE, RESERVED_HEADERS, address_faults
from cavra_pipeline.connectors.secret import Secret
from cavra_pipeline.connectors.sources import SecretSource
from cavra_pipeline.errors import Fault, PipelineError, UsageError
from cavra_pipeline.evidence.shapes import Shape

MAX_FILE_BYTES: Final = 256 * 1024
API: Final = "api"
FOLDER: Final = "folder"
#: The types of a source, and the shape that a file of it must have.
TYPES: Final[Mapping[str, Shape | None]] = {
    "sqlite": Shape.SQLITE_STORE,
    "json": Shape.JSON_STORE,
    FOLDER: None,
    "file": None,
    API: None,
}
#: A week.
MOST_MINUTES: Final = 10_080
DEFAULT_SILENT_AFTER: Final = 24
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
_COMMON: Final = ("type", "every_minutes", "silent_after")
_OF_FILES: Final = (*_COMMON, "path")
_OF_API: Final = (*_COMMON, "url", "header", "header_env", "header_file")
_SECRET_KEYS: Final = frozenset({"header_value", "token", "authorization", "password", "api_key", "secret", "headers"})
_NOT_SHOWN: Final = "(a name that is not shown)"


@dataclass(frozen=True, slots=True)
class Source:
    """One source of evidence.

    Attributes:
        name: What people, assets and alerts call it.
        type: One of ``TYPES``.
        every_minutes: How often it is pulled.
        silent_after: After so many times that without a new record it counts as silent; 0 for never.
        path: Where it is, unless it is an API.
        url: Base address of an API, without a slash at its end.
        header: Name of the header that an API is given, if any.
        header_source: Where that header's value comes from.
    """

    name: str
    type: str
    every_minutes: int
    silent_after: int = DEFAULT_SILENT_AFTER
    path: Path | None = None
    url: str = ""
    header: str = ""
    header_source: SecretSource | None = None

    @property
    def every(self) -> timedelta:
        """How often it is pulled."""
        return timedelta(minutes=self.every_minutes)

    @property
    def place(self) -> str:
        """Its path or address, as messages name it."""
        return self.url or str(self.path)

    def secret_header(self, environ: Mapping[str, str]) -> dict[str, Secret]:
        """Returns the header that an API is given, read now.

        Raises:
            PipelineError: The variable or the file is not there, or its value can't be a header.
        """
        if self.header_source is None:
            return {}
        secret = self.header_source.read(environ)
        if isinstance(secret, Secret) and HEADER_VALUE.fullmatch(secret.reveal()):
            return {self.header: secret}
        where = f"sources.{self.name}.{self.header_source.key}"
        if isinstance(secret, Fault):
            raise PipelineError(secret.what, where=where, remedy=_sentence(secret.remedy))
        raise PipelineError("its value cannot go into a header", where=where, remedy="Use printable ASCII on one line")


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of a home.

    Attributes:
        path: The file that names them; None where the home has none.
        by_name: Each source, or why it can't be used.
        faults: What is wrong with the file besides; if it can't be read at all, no source is known.
    """

    path: Path | None = None
    by_name: Mapping[str, Source | tuple[Fault, ...]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    @property
    def usable(self) -> list[Source]:
        """The sources that can be used, in the order of the file."""
        return [source for source in self.by_name.values() if isinstance(source, Source)]

    @property
    def step_minutes(self) -> int:
        """Minutes between two checks of which sources are due: a divisor of an hour and of each cadence."""
        return gcd(60, *(source.every_minutes for source in self.usable))

    def named(self, name: str) -> Source:
        """Returns the source of that name.

        Raises:
            UsageError: There is none of that name, or no sources at all.
            PipelineError: It is there and can't be used; with every fault of it.
        """
        self.require()
        source = self.by_name.get(name)
        if source is None:
            names = ", ".join(self.by_name) or "none is there"
            raise UsageError("there is no such source", where=str(self.path), remedy=f"Name one of: {names}")
        if isinstance(source, Source):
            return source
        raise _refusal(f"{self.path}: {name}", source)

    def require(self) -> None:
        """Passes if there is a file of sources that names one.

        Raises:
            UsageError: The home has no such file.
            PipelineError: It can't be read, or names none.
        """
        if self.path is None:
            raise UsageError(
                "the home names no sources",
                where="sources.yaml",
                remedy="Write sources.yaml in the home, or name one by CAVRA_SOURCES (docs/sources.md)",
            )
        if self.refusal and not self.by_name:
            raise self.refusal

    @property
    def refusal(self) -> PipelineError | None:
        """What is wrong with the file besides its sources, as an error."""
        return _refusal(str(self.path), self.faults) if self.faults else None


def _refusal(where: str, faults: tuple[Fault, ...]) -> PipelineError:
    return PipelineError(
        "; ".join(f"{fault.where}: {fault.what}" for fault in faults),
        where=where,
        remedy="; ".join(_sentence(fault.remedy) for fault in faults),
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def read_sources(path: Path | None) -> Sources:
    """Reads the file of sources and checks its form. Nothing is raised: what can't be used says why.

    Args:
        path: The file; None, or one that is not there, for a home without sources.
    """
    if path is None or not path.exists():
        return Sources()
    document = read_document(path, MAX_FILE_BYTES, "the file of sources")
    if isinstance(document, Fault):
        return Sources(path, faults=(document,))
    entries = document.get("sources") if isinstance(document, YamlMapping) else None
    if not isinstance(document, YamlMapping) or not isinstance(entries, YamlMapping) or not entries:
        remedy = "begin with `sources:` and one key for each source"
        return Sources(path, faults=(Fault("sources", "it is not a mapping of sources", remedy),))
    strays = [Fault(shown_key(key), "unknown key", "use only: sources") for key in document if key != "sources"]
    strays += [Fault("sources", "it stands twice", "keep one of the two")] if "sources" in document.doubled else []
    strays += [
        Fault(f"sources.{_NOT_SHOWN}", "it is no name of a source", "use a-z, 0-9 and _, a letter first, up to 48")
        for key in entries
        if not isinstance(key, str) or not _NAME.fullmatch(key)
    ]
    named = {key: entry for key, entry in entries.items() if isinstance(key, str) and _NAME.fullmatch(key)}
    return Sources(
        path,
        {name: _source(path.parent, name, entry, name in entries.doubled) for name, entry in named.items()},
        tuple(strays),
    )


def _source(folder: Path, name: str, entry: Any, is_doubled: bool) -> Source | tuple[Fault, ...]:
    where = f"sources.{name}"
    if is_doubled:
        return (Fault(where, "the source stands twice", "keep one of the two"),)
    if not isinstance(entry, YamlMapping):
        return (Fault(where, "it is not a mapping", "give it keys such as type, path and every_minutes"),)
    reader = _Reader(folder, name, entry)
    source = reader.source()
    faults = (*reader.faults, *doubled_keys(where, entry))
    return faults or source


@dataclass(slots=True)
class _Reader:
    """One entry of the file to a source; faults are collected, not raised."""

    folder: Path
    name: str
    entry: YamlMapping
    faults: list[Fault] = field(default_factory=list)

    def source(self) -> Source:
        type_ = self.entry.get("type")
        if not isinstance(type_, str) or type_ not in TYPES:
            self._fault("type", "it is not a type of source", f"give one of {', '.join(TYPES)}")
            type_ = API if "url" in self.entry else "file"
        accepted = _OF_API if type_ == API else _OF_FILES
        for key in self.entry:
            if key in _SECRET_KEYS:
                self._fault(key, "a secret may not stand in this file", "use header_env or header_file")
            elif key not in accepted:
                self._fault(key, "unknown key", f"use only: {', '.join(accepted)}")
        every = self._whole("every_minutes", None, least=1)
        silent_after = self._whole("silent_after", DEFAULT_SILENT_AFTER, least=0)
        if type_ != API:
            return Source(self.name, type_, every, silent_after, path=self._path())
        header, pointer = self._header()
        return Source(self.name, type_, every, silent_after, url=self._url(), header=header, header_source=pointer)

    def _whole(self, key: str, default: int | None, *, least: int) -> int:
        value = self.entry.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST_MINUTES:
            return value
        rule = "it is required" if value is None else "it is out of range or no whole number"
        self._fault(key, rule, f"give a whole number from {least} to {MOST_MINUTES}")
        return 1

    def _path(self) -> Path:
        value = self.entry.get("path")
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            self._fault("path", "it is required" if value is None else "it is not text", "give the path of the source")
            return self.folder
        return self.folder / Path(value)

    def _url(self) -> str:
        value = self.entry.get("url")
        parts: SplitResult | None = split(Secret(value)) if isinstance(value, str) else None
        if parts is None:
            rule = "it is required" if value is None else "it is not a URL"
            self._fault("url", rule, "give the base address of CAVRA, such as https://cavra.example")
            return ""
        for rule, _ in address_faults(parts, is_literal=True):
            self._fault("url", rule, "give https://host, or http:// on this machine; use header_env for a credential")
        return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"

    def _header(self) -> tuple[str, SecretSource | None]:
        header = self.entry.get("header", "Authorization")
        if not isinstance(header, str) or not HEADER_NAME.fullmatch(header) or header.lower() in RESERVED_HEADERS:
            self._fault("header", "it is not a header name of your own", "give a name such as Authorization")
            header = ""
        pointer_keys = [key for key in ("header_env", "header_file") if key in self.entry]
        if len(pointer_keys) != 1:
            if pointer_keys:
                self._fault("header_env", "it contradicts header_file", "keep one of the two")
            elif "header" in self.entry:
                self._fault("header", "it has no value", "set header_env or header_file")
            return header, None
        pointer = self.entry[pointer_keys[0]]
        source = SecretSource(pointer_keys[0], pointer if isinstance(pointer, str) else "", self.folder)
        fault = source.form_fault()
        if fault:
            self._fault(fault.where, fault.what, fault.remedy)
        return header, source

    def _fault(self, key: object, rule: str, remedy: str) -> None:
        self.faults.append(Fault(f"sources.{self.name}.{shown_key(key)}", rule, remedy))
