"""What a case takes, in the process that runs it. Nothing that a case might not need is loaded from here."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def peak_megabytes() -> int:
    """The most memory this process ever held; the kernel's own mark, so that a parent's is not counted."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) // 1024


def measure(cases: Mapping[str, Callable[[Path], int]], warm: Collection[str] = ()) -> None:
    """Runs the case that the arguments name, once before if it is to be warm, and prints what it took."""
    name, folder = sys.argv[1:]
    before = peak_megabytes()
    if name in warm:
        cases[name](Path(folder))
    processor = time.process_time()
    started = time.perf_counter()
    count = cases[name](Path(folder))
    seconds = time.perf_counter() - started
    measured = {"seconds": seconds, "cpu_seconds": time.process_time() - processor, "count": count}
    print(json.dumps({**measured, "peak_mb": peak_megabytes(), "start_mb": before}))
