"""Sources of a secret: an environment variable, or a file that no one else may read.

What belongs here: reading one secret, and the rules for who may read or write a file.
What does not: what the secret is for (entry).
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cavra_pipeline.connectors.secret import Secret
from cavra_pipeline.errors import Fault
from cavra_pipeline.private import mode_to_give

MAX_SECRET_FILE_BYTES = 16 * 1024

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class TooLargeError(OSError):
    """A file is over its limit."""


class OpenToOthersError(PermissionError):
    """Others than the owner may read or write a file, or its owner is somebody else; `remedy` says what to do."""

    def __init__(self, remedy: str) -> None:
        super().__init__(remedy)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class SecretSource:
    """A pointer to a secret.

    Attributes:
        key: The key of the connector file that holds the pointer; it ends in `_env` or `_file`.
        pointer: Name of a variable, or path of a file as seen from `folder`.
        folder: Folder of the connector file.
    """

    key: str
    pointer: str
    folder: Path

    def form_fault(self) -> Fault | None:
        """Returns what is wrong with the pointer itself; the secret is not looked for."""
        if not self.pointer.strip():
            remedy = "give the name of a variable" if self.key.endswith("_env") else "give a path"
            return Fault(self.key, "it is not text", remedy)
        if self.key.endswith("_env") and not _ENVIRONMENT_NAME.fullmatch(self.pointer):
            return Fault(self.key, "it is not the name of an environment variable", "give the name, not the secret")
        return None

    def read(self, environ: Mapping[str, str]) -> Secret | Fault:
        """Returns the secret, or why there is none."""
        if self.key.endswith("_env"):
            value = environ.get(self.pointer, "").strip()
            if value:
                return Secret(value)
            return Fault(
                self.key,
                "the variable that it names is not set",
                "set it where the pipeline runs",
                is_of_secret=True,
            )
        try:
            value = read_file(self.folder / self.pointer, MAX_SECRET_FILE_BYTES, is_secret=True).decode("utf-8").strip()
        except OpenToOthersError as error:
            rule = "the file that it names may be read or changed by others"
            return Fault(self.key, rule, error.remedy, is_of_secret=True)
        except (OSError, ValueError):
            value = ""
        if value:
            return Secret(value)
        return Fault(
            self.key,
            f"the file that it names cannot be read, is empty, or is over {MAX_SECRET_FILE_BYTES} bytes",
            "give a file that holds the secret and nothing else, its path seen from this file's folder",
            is_of_secret=True,
        )


def read_file(path: Path, limit: int, *, is_secret: bool) -> bytes:
    """Returns the content of a file that only its owner may change, and if it is secret, only its owner may read.

    Args:
        path: The file.
        limit: Most bytes.
        is_secret: Whether it holds a secret, and no one else may read it (``private.mode_to_give``).

    Raises:
        OpenToOthersError: Its mode or its owner breaks the rule.
        TooLargeError: It is over the limit.
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        _check_access(stream, path, is_secret=is_secret)
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise TooLargeError
    return content


def _check_access(stream: BinaryIO, path: Path, *, is_secret: bool) -> None:
    # The file exists, so its path is no secret that somebody wrote in place of a path.
    shown = shlex.quote(str(path))
    status = os.fstat(stream.fileno())
    mode, us = stat.S_IMODE(status.st_mode), os.geteuid()
    if us != 0 and status.st_uid not in (us, 0):
        raise OpenToOthersError(f"give {shown} to the user that runs the pipeline, or to root")
    if not is_secret:
        if mode & 0o022:
            raise OpenToOthersError(f"run: chmod go-w {shown}")
    elif right := mode_to_give(status):
        raise OpenToOthersError(f"run: chmod {right:o} {shown}")
