"""Takes the pictures of the Dagster UI in docs/images again, on the recorded month.

Run as ``python -m tests.dagster_tests.screenshots [FOLDER]``, with Chromium.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from playwright.sync_api import Browser

from cavra_pipeline.demo.run import run_demo
from cavra_pipeline.settings import Settings
from tests.console.browser import chromium
from tests.console.screenshots import IMAGES
from tests.dagster_tests.test_daemon import LOCATION, LOCATIONS, ask, environment, free_port, wait_for
from tests.support import REPOSITORY

LANE: Final = "recovery_escalation"
HEALTH: Final = f"assets/cavra/{LANE}_retry_health"


class Picture(NamedTuple):
    """A picture: file, page, height in CSS pixels, what is awaited, and what to press then."""

    name: str
    page: str
    height: int
    awaited: str
    button: str = ""


PICTURES: Final = (
    Picture("lineage", f"locations/{LOCATION}/asset-groups/{LANE}/lineage", 820, "100% filled"),
    Picture("dagster-asset", f"{HEALTH}?view=overview", 1500, "acknowledgement_pending_count", "Plots"),
    Picture("dagster-checks", f"{HEALTH}?view=checks", 700, "Evaluation result"),
    Picture("dagster-partitions", f"{HEALTH}?view=partitions", 820, "Materialized (31)"),
)  # fmt: skip


@contextmanager
def web_server(home: Settings, port: int) -> Iterator[None]:
    """Serves the UI without a daemon."""
    log = home.home / "web.log"
    command = [str(Path(sys.executable).with_name("dagster-webserver")), "-m", LOCATION, "-p", str(port)]
    with log.open("wb") as output:
        started = subprocess.Popen(command, cwd=REPOSITORY, env=environment(home), stdout=output, stderr=output)
        try:
            wait_for("code location", lambda: ask(port, LOCATIONS), seconds=240, log=log)
            yield
        finally:
            started.terminate()
            started.wait(timeout=60)


def take(browser: Browser, port: int, picture: Picture, folder: Path) -> None:
    """Takes one picture."""
    with browser.new_context(viewport={"width": 1500, "height": picture.height}, color_scheme="light") as context:
        page = context.new_page()
        page.set_default_timeout(180_000)
        page.goto(f"http://127.0.0.1:{port}/{picture.page}")
        if picture.button:
            page.get_by_text(picture.button, exact=True).first.click()
        page.get_by_text(picture.awaited).first.wait_for()
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(5000)
        page.screenshot(path=folder / f"{picture.name}.png")


def main(folder: Path) -> None:
    """Takes every picture into a folder."""
    with TemporaryDirectory(prefix="cavra-pictures-") as scratch:
        home = Settings(home=Path(scratch) / "home").prepare()
        run_demo(home, now=datetime.now(UTC), say=lambda _: None)
        port = free_port()
        with web_server(home, port), chromium() as browser:
            for picture in PICTURES:
                take(browser, port, picture, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else IMAGES)
