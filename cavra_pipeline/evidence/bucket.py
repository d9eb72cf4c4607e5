"""A landing zone in S3-compatible storage, and the copy of it on this host, which everything reads.

A file of the copy has the time of its object to the second, and below that what its ETag gives: so each host knows what
it has, and calls the same object by the same fingerprint. Whoever changes the copy has locked it (``landing_zone.py``).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from cavra_pipeline.bucket_access import CORRECT_KEY, REFUSED, START_SERVER, bucket_access
from cavra_pipeline.errors import PipelineError, TransientError, UsageError, os_error_named
from cavra_pipeline.evidence.landing import SIDECAR_SUFFIX, day_of, is_landing_file

_WHERE: Final = "CAVRA_LANDING_URL"
_FETCHES_AT_ONCE: Final = 8
_CHUNK_BYTES: Final = 4 * 1024 * 1024
_SECOND_NS: Final = 1_000_000_000
#: The longest name that file systems take.
_MAX_NAME_BYTES: Final = 255
_CONNECTS_WITHIN, _ANSWERS_WITHIN = "5s", "60s"
_TRIES, _TRIES_WITHIN = 3, timedelta(seconds=30)
#: What the storage's message holds, in lower case, where the server refuses.
_REFUSALS: Final = ("code: 401", "code: 403", "privileges", "credentials")
#: A download that is not whole yet; no landing file begins with a dot.
_DRAFT: Final = ".fetch-"


class LandingBucket:
    """The objects of a landing zone, named ``YYYY-MM-DD/<anything>.jsonl[.gz|.zst]`` below the address.

    Args:
        address: ``s3://bucket/prefix``.
        copy: The folder on this host.

    Raises:
        UsageError: The package that it needs is not installed, or the address of the server can't be understood.
    """

    def __init__(self, address: str, copy: Path) -> None:
        try:
            from obstore.store import S3Store
        except ImportError:
            raise UsageError(
                "the package obstore is not installed",
                where=_WHERE,
                remedy="Install the extra: cavra-pipeline[scale]",
            ) from None
        access = bucket_access()
        own_server = {"endpoint": access.endpoint, "virtual_hosted_style_request": False} if access.endpoint else {}
        options = {
            "access_key_id": access.key_id,
            "secret_access_key": access.secret,
            "session_token": access.session_token,
            "region": access.region,
            **own_server,
        }
        self._copy = copy
        self._store = S3Store.from_url(
            address,
            **{name: value for name, value in options.items() if value is not None},
            client_options={
                "allow_http": bool(access.endpoint and access.endpoint.startswith("http:")),
                "connect_timeout": _CONNECTS_WITHIN,
                "timeout": _ANSWERS_WITHIN,
            },
            retry_config={"max_retries": _TRIES, "retry_timeout": _TRIES_WITHIN},
        )

    def fetch(self) -> None:
        """Makes the copy what the bucket holds; files that did not change are not read again.

        Raises:
            PipelineError: The bucket is not there, or its server refuses the key.
            TransientError: It can't be reached.
        """
        for left in self._copy.glob(f"{_DRAFT}*"):
            left.unlink(missing_ok=True)
        with self._errors():
            there = {meta["path"]: meta for meta in self._objects() if is_kept(meta["path"])}
        here = {f"{file.parent.name}/{file.name}": file for file in self._files()}
        changed = [name for name, meta in there.items() if name not in here or _stamp(here[name]) != _stamp_of(meta)]
        # A landing file that stands in the copy has its sidecar.
        for of_files in (False, True):
            with ThreadPoolExecutor(_FETCHES_AT_ONCE) as pool, self._errors():
                list(pool.map(self._get, (name for name in changed if name.endswith(SIDECAR_SUFFIX) != of_files)))
        for name in sorted(here.keys() - there.keys(), key=lambda name: name.endswith(SIDECAR_SUFFIX)):
            here[name].unlink(missing_ok=True)

    def put(self, draft: Path, target: Path) -> None:
        """Writes a finished file to the bucket, and then moves it to its place in the copy.

        Raises:
            PipelineError: As ``fetch`` does.
        """
        import obstore

        name = f"{target.parent.name}/{target.name}"
        with self._errors():
            written = obstore.put(self._store, name, draft)
            there = obstore.head(self._store, name)
            if there["e_tag"] != written["e_tag"]:
                # Another host has written it since.
                self._get(name)
                return
        _set_stamp(draft, there)
        draft.replace(target)

    def days(self) -> list[date]:
        """Returns the days of which there are landing files, in order, without reading any."""
        with self._errors():
            return sorted({day for meta in self._objects() if is_kept(meta["path"]) and (day := _day(meta["path"]))})

    def others(self) -> list[str]:
        """Returns the names of objects that are no landing files, in order; no part of them begins with a dot."""
        with self._errors():
            names = [meta["path"] for meta in self._objects() if not is_kept(meta["path"])]
        return sorted(name for name in names if not any(part.startswith(".") for part in name.split("/")))

    def _objects(self) -> Iterable[Any]:
        import obstore

        for some in obstore.list(self._store):
            yield from some

    def _files(self) -> Iterator[Path]:
        """The files of the copy."""
        for folder in self._copy.iterdir():
            if day_of(folder.name) and folder.is_dir():
                yield from (file for file in folder.iterdir() if not file.name.startswith("."))

    def _get(self, name: str) -> None:
        """Fetches one object as it is now; one that is gone since is left out."""
        import obstore

        target = self._copy / name
        target.parent.mkdir(exist_ok=True)
        try:
            response = obstore.get(self._store, name)
        except FileNotFoundError:
            return
        handle, draft = tempfile.mkstemp(prefix=_DRAFT, dir=self._copy)
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in response.stream(min_chunk_size=_CHUNK_BYTES):
                    file.write(chunk)
            _set_stamp(Path(draft), response.meta)
            Path(draft).replace(target)
        finally:
            Path(draft).unlink(missing_ok=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turns what the storage says into errors that name the place; its text may hold an address or a key's name."""
        from obstore.exceptions import BaseError

        with os_error_named(
            "the copy of the landing zone can't be written",
            where=self._copy,
            remedy="Free some disk space or give this user write access",
        ):
            try:
                yield
            except BaseError as error:
                raise _named(str(error)) from None


def _named(said: str) -> PipelineError:
    """Returns the error for a message of the storage, of which nothing is shown."""
    said = said.lower()
    if "nosuchbucket" in said:
        return PipelineError("there is no such bucket", where=_WHERE, remedy="Make it, or correct the address")
    if any(sign in said for sign in _REFUSALS):
        return PipelineError(REFUSED, where=_WHERE, remedy=CORRECT_KEY)
    return TransientError("the bucket of the landing zone can't be reached", where=_WHERE, remedy=START_SERVER)


def is_kept(name: str) -> bool:
    """Returns whether an object is a landing file or a sidecar, with a name that a file can have."""
    day, _, file_name = name.partition("/")
    is_name = "/" not in file_name and "\0" not in file_name and len(file_name.encode()) <= _MAX_NAME_BYTES
    return day_of(day) is not None and is_name and is_landing_file(file_name.removesuffix(SIDECAR_SUFFIX))


def _day(name: str) -> date | None:
    return day_of(name.partition("/")[0])


def _stamp(file: Path) -> tuple[int, int]:
    """Size and time of a file."""
    stats = file.stat()
    return stats.st_size, stats.st_mtime_ns


def _stamp_of(meta: Any) -> tuple[int, int]:
    """Size of an object, and the time that a file of it has."""
    of_content = hashlib.blake2b(str(meta["e_tag"] or meta["version"]).encode(), digest_size=8).digest()
    below_second = int.from_bytes(of_content) % _SECOND_NS
    return int(meta["size"]), int(meta["last_modified"].timestamp()) * _SECOND_NS + below_second


def _set_stamp(file: Path, meta: Any) -> None:
    _, at = _stamp_of(meta)
    os.utime(file, ns=(at, at))
