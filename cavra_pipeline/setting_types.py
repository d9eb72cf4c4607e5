"""The values that settings accept: each type checks its value and says what is accepted. The settings are beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from cavra_pipeline.addresses import callable_address, matching, origins
from cavra_pipeline.errors import Accepts
from cavra_pipeline.lanes import LANES
from cavra_pipeline.provider_names import PROVIDER_TITLES, provider_name

_URL: Final = r"https?://[A-Za-z0-9.:\[\]-]{1,255}(?:/[A-Za-z0-9._~/-]{0,255})?"
_KEY_PART: Final = r"[A-Za-z0-9_]{1,64}"
_OWNER: Final = r"team:[A-Za-z0-9._-]{1,64}|[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}\.[A-Za-z]{2,24}"
_MEMORY: Final = r"(?i)[1-9][0-9]{0,9}(?:\.[0-9]{1,3})? ?[KMGT]i?B"
_LAKE_URL: Final = r"ducklake:(?:sqlite:/[\x21-\x7e]+|postgres(?:ql)?:[\x20-\x7e]+)"
_DATA_URL: Final = r"/[^\x00-\x1f\x7f]*|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[\x21-\x7e]*)?"
_STATE_URL: Final = r"(?:sqlite:///|postgresql(?:\+psycopg2)?://)[\x21-\x7e]+"


def _names(accepted: Mapping[str, object] | tuple[str, ...], value: Any) -> tuple[str, ...]:
    """Splits names at commas and refuses one that there is not."""
    names = value.split(",") if isinstance(value, str) else value
    stripped_names = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    if not all(name in accepted for name in stripped_names):
        raise ValueError
    return stripped_names


def _connector_names(value: Any) -> tuple[str, ...]:
    return _names(PROVIDER_TITLES, ",".join(map(provider_name, value.split(","))) if isinstance(value, str) else value)


def _each(pattern: str, separator: str, value: Any) -> tuple[str, ...]:
    """Splits a text at the separator and refuses it unless each part is of the pattern."""
    parts = value.split(separator) if isinstance(value, str) else value
    stripped_parts = tuple(part.strip() for part in parts)
    if not stripped_parts or not all(re.fullmatch(pattern, part) for part in stripped_parts):
        raise ValueError
    return stripped_parts


def _absolute(value: Any) -> Path:
    if not Path(value).expanduser().is_absolute():
        raise ValueError
    return resolved(value)


def resolved(value: Any) -> Path:
    """Returns a path as an absolute one, without links; refuses one that can't be resolved."""
    try:
        return Path(value).expanduser().resolve()
    except (RuntimeError, OSError):
        raise ValueError from None


Day = Annotated[date, Accepts("a day as YYYY-MM-DD, such as 2025-01-01", "the value is not a day")]
DeadmanUrl = Annotated[
    SecretStr,
    AfterValidator(callable_address),
    Accepts(
        "an https address without a user name (http for this machine only)",
        "the value is not an address that may be called",
    ),
]
FolderOrFile = Annotated[Path, BeforeValidator(resolved), Accepts("an absolute path", "there is no such path")]
AbsoluteFolder = Annotated[
    Path,
    BeforeValidator(_absolute),
    Accepts("the absolute path of the folder that holds dagster.yaml", "Dagster takes an absolute path only"),
]
AssetPrefix = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(partial(_each, _KEY_PART, "/")),
    Accepts(
        "letters, digits and underscores, with / between the parts, such as cavra or data/cavra",
        "the value is no prefix of asset keys",
    ),
]
Owners = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(partial(_each, _OWNER, ",")),
    Accepts("e-mail addresses and team:NAME, with commas between them", "the value names something that is no owner"),
]
Connectors = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_connector_names),
    Accepts(
        f"some of {', '.join(PROVIDER_TITLES)}, with commas between them",
        "the value names a connector that there is not",
    ),
]
Origins = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(origins),
    Accepts(
        "origins such as https://console.example or http://127.0.0.1:8080, with commas between them, and no *",
        "the value names something that is no origin: scheme, host and perhaps port, nothing behind them",
    ),
]
Lanes = Annotated[
    frozenset[str],
    NoDecode,
    BeforeValidator(partial(_names, LANES)),
    Accepts(f"some of {', '.join(LANES)}, with commas between them", "the value names a lane that there is not"),
]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False), Accepts()]
Week = Annotated[float, Field(ge=0, le=10_080, allow_inf_nan=False), Accepts()]
SomeTime = Annotated[float, Field(ge=1, le=10_080, allow_inf_nan=False), Accepts()]
MemoryLimit = Annotated[str, AfterValidator(partial(matching, _MEMORY)), Accepts("500MB or 2GB")]
WebAddress = Annotated[
    str,
    AfterValidator(partial(matching, _URL)),
    AfterValidator(lambda url: url.rstrip("/")),
    Accepts("an address such as https://dagster.example, without a password", "the value is not an address"),
]
LakeUrl = Annotated[
    str,
    AfterValidator(partial(matching, _LAKE_URL)),
    Accepts(
        "ducklake:postgres://user:password@host/database or ducklake:sqlite:/path/of/catalog.sqlite; unset, the "
        "warehouse is the DuckDB file of the home",
        "the value is not the address of a lake",
    ),
]
DataUrl = Annotated[
    str,
    AfterValidator(partial(matching, _DATA_URL)),
    Accepts("the absolute path of a folder, or s3://bucket/prefix", "the value is neither a folder nor a bucket"),
]
StateAddress = Annotated[
    str,
    AfterValidator(partial(matching, _STATE_URL)),
    Accepts(
        "sqlite:////path/of/state.db or postgresql://user:password@host/database",
        "the value is not the address of a database",
    ),
]
