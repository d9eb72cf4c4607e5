"""The gate: a lock file that readers and writers of every process pass one at a time.

The kernel frees the lock of a process that ends. Why there is one: docs/decisions/0004-one-writer.md.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cavra_pipeline.errors import PipelineError, os_error_named

#: Shortest and longest wait before the next attempt.
POLL_SECONDS: Final = (0.005, 0.05)


@contextmanager
def gate(path: Path, act: str, deadline: float, busy: Callable[[str], PipelineError]) -> Iterator[None]:
    """Holds the lock file. The holder writes its process id and act into it for those who wait.

    Args:
        path: The lock file; made if it is not there.
        act: What the caller does.
        deadline: Until when to wait, by ``time.monotonic``.
        busy: Makes the error that is raised then, from the words about the holder.

    Raises:
        PipelineError: The folder can't be written, or ``busy`` has made one.
    """
    with os_error_named(
        "the folder can't be written",
        where=path.parent,
        remedy="Give this user write access to it, or set CAVRA_HOME to another folder",
    ):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise
            if time.monotonic() >= deadline:
                raise busy(os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process")
            time.sleep(random.uniform(*POLL_SECONDS))  # noqa: S311 -- jitter
        note = f"process {os.getpid()} thread {threading.get_ident()} ({act})\n".encode()
        os.ftruncate(handle, 0)
        os.pwrite(handle, note, 0)
        yield
    finally:
        os.close(handle)
