"""The command as a user starts it: in this process, which is quick, or in one of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from cavra_pipeline.cli import main


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        return json.loads(self.out)


def command(home: Path, *arguments: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None) -> Said:
    """Runs the command in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    code = 0
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, {"CAVRA_HOME": str(home), "COLUMNS": "100", **(environ or {})}))
        stack.enter_context(mock.patch.object(sys, "argv", ["cavra-pipeline", *arguments]))
        stack.enter_context(mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    texts = []
    for stream in (out, err):
        stream.flush()
        stream.buffer.seek(0)
        texts.append(stream.buffer.read().decode())
    return Said(code, *texts)


def process(
    home: Path, *arguments: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None, seconds: int = 100
) -> Said:
    """Runs the command in a process of its own, with everything piped."""
    done = subprocess.run(
        [sys.executable, "-m", "cavra_pipeline.cli", *arguments],
        env={**os.environ, "CAVRA_HOME": str(home), **(environ or {})},
        input=stdin,
        capture_output=True,
        timeout=seconds,
    )
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())
