"""Addresses of the console that assets lead to: made of settings, views, lanes and instants, never of evidence."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

import dagster as dg

from cavra_pipeline.lanes import Lane
from cavra_pipeline.settings import Settings

#: Characters of an instant that the console's time control takes: UTC without a zone, to the second.
_SECONDS: Final = 19


def console(settings: Settings, view: str, lane: Lane | None = None) -> dict[str, Any]:
    """Returns the metadata of an asset that links to its view of the console."""
    return {"console": _address(settings, view, lane.name if lane else None)}


def report_page(settings: Settings, view: str, as_of: str, lane: str | None = None) -> dict[str, Any]:
    """Returns the metadata of a materialisation that links to the page of its report.

    Args:
        settings: The address of the console.
        view: The console's view of the report.
        as_of: The report's instant, ISO-8601 in UTC.
        lane: The report's lane, if it is of one.
    """
    return {"report_page": _address(settings, view, lane, as_of[:_SECONDS])}


def _address(settings: Settings, view: str, lane: str | None, as_of: str | None = None) -> dg.MetadataValue:
    # The views of a lane show an answer only where the address says that they are to ask.
    parameters = {"lane": lane, "run": "1" if lane else None, "as_of": as_of}
    query = urlencode({name: value for name, value in parameters.items() if value}, safe=":")
    return dg.MetadataValue.url(f"{settings.console_url}/#/{view}{'?' if query else ''}{query}")
