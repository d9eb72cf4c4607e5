"""Where a lake is: its catalog in PostgreSQL or an SQLite file, and its data files in a folder or an S3 bucket.

The addresses are ``ducklake:postgres://user:password@host/database``, ``ducklake:postgres:host=... dbname=...`` as
libpq writes it, and ``ducklake:sqlite:/path/of/catalog.sqlite``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from cavra_pipeline.errors import UsageError

_SQLITE: Final = "sqlite:"
_POSTGRES: Final = "postgres:"
_URL: Final = re.compile(r"(?:postgres:)?postgres(?:ql)?://")
_WHERE: Final = "CAVRA_WAREHOUSE_URL"
#: What DuckDB's secret of a PostgreSQL server holds, by libpq's names; the rest goes into the address.
IN_SECRET: Final = {"host": "HOST", "port": "PORT", "dbname": "DATABASE", "user": "USER", "password": "PASSWORD"}
_WORD: Final = re.compile(r"([a-z_]+)=([^\s'\\]+)")


@dataclass(frozen=True, slots=True)
class Lake:
    """A lake and the limits of whoever opens it.

    Attributes:
        sqlite: The catalog's SQLite file, or None for PostgreSQL.
        server: libpq's parameters of the catalog's PostgreSQL; may hold a password.
        data: Folder of the data files, or a place in a bucket as ``s3://bucket/prefix``.
        threads: DuckDB worker threads, or None for one a core.
        memory_limit: DuckDB memory limit, or None for its default.
    """

    sqlite: str | None
    server: tuple[tuple[str, str], ...] = field(repr=False)
    data: str
    threads: int | None = None
    memory_limit: str | None = None

    @property
    def is_in_bucket(self) -> bool:
        """Whether the data files are in S3-compatible storage."""
        return self.data.startswith("s3://")

    @property
    def where(self) -> str:
        """The lake as messages name it, without a user or a password."""
        if self.sqlite:
            return f"ducklake:{_SQLITE}{self.sqlite}"
        server = dict(self.server)
        host, database = server.get("host", "localhost"), server.get("dbname", "")
        return f"ducklake:{_POSTGRES}{host}/{database}"


def lake_at(address: str, data: str | None, threads: int | None = None, memory_limit: str | None = None) -> Lake:
    """Returns the lake of an address that the settings accepted.

    Raises:
        UsageError: A part of it is missing, or can't be understood; the message holds nothing of it.
    """
    rest = address.removeprefix("ducklake:")
    if data is None:
        raise UsageError(
            "the lake has no place for its data files",
            where="CAVRA_DATA_URL",
            remedy="Set it to s3://bucket/prefix, or to a folder that every host of the lake has at the same path",
        )
    if rest.startswith(_SQLITE):
        return Lake(rest.removeprefix(_SQLITE), (), data, threads, memory_limit)
    server = _of_url(rest) if _URL.match(rest) else _of_words(rest.removeprefix(_POSTGRES))
    if not server.get("dbname"):
        raise _refused("it names no database")
    if any("password" in name for name in server.keys() - IN_SECRET.keys()):
        raise _refused("it holds a password that DuckDB would show")
    return Lake(None, tuple(sorted(server.items())), data, threads, memory_limit)


def _of_url(text: str) -> Mapping[str, str]:
    try:
        url = sa.make_url(re.sub(_URL, "postgresql://", text, count=1))
    except (sa.exc.ArgumentError, ValueError):
        raise _refused("the address can't be understood") from None
    named = {
        "host": url.host,
        "port": str(url.port) if url.port else None,
        "dbname": url.database,
        "user": url.username,
        "password": str(url.password) if url.password else None,
    }
    query = {name: value for name, value in url.query.items() if isinstance(value, str)}
    return {name: value for name, value in {**named, **query}.items() if value}


def _of_words(text: str) -> Mapping[str, str]:
    words = text.split()
    matches = [_WORD.fullmatch(word) for word in words]
    if not words or None in matches:
        raise _refused("the address is not one of NAME=VALUE, with blanks between")
    return {match[1]: match[2] for match in matches if match}


def _refused(what: str) -> UsageError:
    return UsageError(
        what, where=_WHERE, remedy="Write ducklake:postgres://user:password@host/database or ducklake:sqlite:/path"
    )
