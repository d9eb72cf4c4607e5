"""Memory limits of this process, checked before work that would be killed by them without a word."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Final

from cavra_pipeline.errors import OutOfMemory

_MEBIBYTE: Final = 1024 * 1024
#: Measured on 2 threads: 0.7 GB resident; compiled code aborts, rather than fails, short of address space.
_RESIDENT_BYTES, _RESIDENT_BYTES_A_THREAD = 250 * _MEBIBYTE, 225 * _MEBIBYTE
_ADDRESS_BYTES, _ADDRESS_BYTES_A_THREAD = 1536 * _MEBIBYTE, 1024 * _MEBIBYTE
_CGROUPS: Final = Path("/sys/fs/cgroup")


def require_memory(threads: int, *, where: str) -> None:
    """Refuses work on several threads that this process is not given enough memory for.

    Args:
        threads: How many threads read evidence at once.
        where: What the message calls the work.

    Raises:
        OutOfMemory: A limit on address space (``ulimit -v``) or of a control group (a container's) is too low.
    """
    for limit, least in (
        (_address_space_limit(), _ADDRESS_BYTES + threads * _ADDRESS_BYTES_A_THREAD),
        (_control_group_limit(), _RESIDENT_BYTES + threads * _RESIDENT_BYTES_A_THREAD),
    ):  # fmt: skip
        if limit is not None and limit < least:
            raise OutOfMemory(
                where, f"this process may take {limit // _MEBIBYTE:,} MB, and {threads} threads need {least >> 20:,} MB"
            )


def can_open_a_warehouse() -> bool:
    """Returns whether the address space is enough for DuckDB at all; short of it, it may end the process."""
    limit = _address_space_limit()
    return limit is None or limit >= _ADDRESS_BYTES + _ADDRESS_BYTES_A_THREAD


def _address_space_limit() -> int | None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def _control_group_limit() -> int | None:
    """Returns the memory limit of the control groups that this process is in, in bytes, or None without one."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    limits: list[int] = []
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers in ("", "memory"):
            root, file = (_CGROUPS / controllers, "memory.limit_in_bytes" if controllers else "memory.max")
            group = root / name.lstrip("/")
            # A container sees its own group as the root, whatever the name says.
            limits += [limit for folder in {root, group, *group.parents} if (limit := _number_in(folder / file))]
    return min(limits, default=None)


def _number_in(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
