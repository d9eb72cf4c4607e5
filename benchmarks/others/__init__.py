"""What the suite compares with, in an environment of its own: dlt, and Dagster with a pandas I/O manager.

Nothing of them is needed to run the pipeline, so they are installed when the suite first asks, and left out with the
reason where that fails. The scripts beside this file are run by that environment's Python.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
_PYTHON = FOLDER / ".venv" / "bin" / "python"
_READY = FOLDER / ".venv" / "ready"


class NotInstalled(Exception):
    """The environment could not be made; the text says why."""


def prepare() -> None:
    """Makes the environment if it is not there."""
    pins = (FOLDER / "requirements.txt").read_bytes()
    if _READY.exists() and _READY.read_bytes() == pins:
        return
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(FOLDER / ".venv")],
        [str(_PYTHON), "-m", "pip", "install", "--quiet", "-r", str(FOLDER / "requirements.txt")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotInstalled((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:200])
    _READY.write_bytes(pins)


def run(script: str, *arguments: str, home: Path) -> dict[str, Any]:
    """Runs one script; the seconds it says are its own, ``wall_seconds`` has the start of its process too."""
    dagster_home = home / "dagster"
    dagster_home.mkdir(parents=True, exist_ok=True)
    environ = {
        **os.environ,
        "DAGSTER_HOME": str(dagster_home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "DLT_DATA_DIR": str(home / "dlt"),
    }
    began = time.perf_counter()
    done = subprocess.run(
        [str(_PYTHON), str(FOLDER / f"{script}.py"), *arguments],
        env=environ, cwd=home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{script} failed: {done.stderr[-2000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "wall_seconds": time.perf_counter() - began}
