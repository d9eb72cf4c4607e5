"""Access to S3-compatible storage, by the variables that its tools share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from cavra_pipeline.errors import UsageError

#: What is wrong where a bucket's server refuses, and what to do there or where it can't be reached.
REFUSED: Final = "the bucket's server refuses the key, or what is asked of it"
CORRECT_KEY: Final = "Correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or let the key read, write and list there"
START_SERVER: Final = "Start its server, or correct AWS_ENDPOINT_URL, then repeat"
_ENDPOINT: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGION: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")


@dataclass(frozen=True, slots=True)
class BucketAccess:
    """Credentials and endpoint of a bucket; what is not set is None.

    Attributes:
        key_id: Name of the key.
        secret: The key.
        session_token: Token of a key that ends.
        region: Region of the bucket.
        endpoint: Address of a server of one's own, in which buckets are parts of the path, not host names.
    """

    key_id: str | None
    secret: str | None = field(repr=False)
    session_token: str | None = field(repr=False)
    region: str | None
    endpoint: str | None


def bucket_access(environ: Mapping[str, str] = os.environ) -> BucketAccess:
    """Reads the variables; of several with one meaning the first that is set counts.

    Raises:
        UsageError: The address of the server can't be understood.
    """
    endpoint = _first(environ, *_ENDPOINT)
    if endpoint:
        address = urlsplit(endpoint)
        if address.scheme not in ("http", "https") or not address.netloc or "@" in address.netloc:
            raise UsageError(
                "the address of the bucket's server can't be understood",
                where=" or ".join(_ENDPOINT),
                remedy="Write it as https://host:port, without a user or a password",
            )
    return BucketAccess(
        _first(environ, "AWS_ACCESS_KEY_ID"),
        _first(environ, "AWS_SECRET_ACCESS_KEY"),
        _first(environ, "AWS_SESSION_TOKEN"),
        _first(environ, *_REGION),
        endpoint,
    )


def _first(environ: Mapping[str, str], *names: str) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)
