"""What the systemd units under `deploy/` say, and what the compose file says, as command lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
UNITS = DEPLOY / "systemd"
WORKSPACE = "/etc/cavra/workspace.yaml"


def settings_of_units() -> dict[str, str]:
    """Returns the variables of the environment file, those that are commented out left out."""
    lines = (UNITS / "cavra.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def command_of(unit: Path, environment: dict[str, str], *, programs: Path) -> list[str]:
    """Returns what a unit starts, from another folder of programs, as systemd fills in the variables."""
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    filled = re.sub(r"\$\{(\w+)\}", lambda found: environment[found[1]], line)
    return shlex.split(
        filled.replace("/opt/cavra/bin", str(programs)).replace(WORKSPACE, str(DEPLOY / "workspace.yaml"))
    )


def service_units() -> Iterator[tuple[str, Path]]:
    """Yields the short name and the file of each service."""
    for unit in sorted(UNITS.glob("cavra-*.service")):
        yield unit.stem.removeprefix("cavra-"), unit


def compose() -> dict[str, Any]:
    """Returns the compose file."""
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return document
