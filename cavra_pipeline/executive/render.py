"""The executive report as canonical JSON, as Markdown and as one self-contained page. Nothing is judged here."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from cavra_pipeline.documents import canonical_json
from cavra_pipeline.errors import os_error_named
from cavra_pipeline.escaping import html, visible_json
from cavra_pipeline.evidence.leaks import open_leak_days
from cavra_pipeline.executive.markdown import markdown_of
from cavra_pipeline.executive.page import PageContext, page_of
from cavra_pipeline.executive.pictures import backlog_area, outage_timeline
from cavra_pipeline.executive.words import read
from cavra_pipeline.proof.basis import basis_of_page
from cavra_pipeline.settings import Settings

_PACKAGE: Final = "cavra_pipeline.executive"
_UNKNOWN: Final = PageContext()


def report_json(report: Mapping[str, Any]) -> str:
    """Returns the report as canonical JSON, one line."""
    return visible_json(canonical_json(report)) + "\n"


def page_context(settings: Settings, as_of: datetime) -> PageContext:
    """Returns what the pages of a home's report as of an instant say beside it."""
    # Without a setting the console's address is a guess.
    console = f"{settings.console_url}/#/executive" if "console_url" in settings.model_fields_set else None
    return PageContext(basis_of_page(settings, as_of), console, open_leak_days(settings, as_of))


def report_markdown(report: Mapping[str, Any], context: PageContext = _UNKNOWN) -> str:
    """Returns the report as Markdown; text of the evidence is escaped."""
    return markdown_of(report, page_of(report, context))


def report_html(report: Mapping[str, Any], context: PageContext = _UNKNOWN) -> str:
    """Returns the report as one HTML page that needs no script and asks for nothing from anywhere."""
    page, style = page_of(report, context), _template("report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _templates()
        .get_template("report.html")
        .render(
            report=report,
            page=page,
            style=Markup(style),  # noqa: S704 -- our own style sheet
            style_hash=f"sha256-{digest}",
            pictures={"backlog": backlog_area(report), "outages": outage_timeline(report)},
        )
    )


def write_report(folder: Path, report: Mapping[str, Any], context: PageContext = _UNKNOWN) -> dict[str, Path]:
    """Writes ``executive-report-<UTC day of as_of>`` as json, md and html; each file is replaced as a whole.

    Args:
        folder: Where; made if it is not there.
        report: An executive report.
        context: What its pages say beside it.

    Returns:
        The files by their suffix: ``json``, ``md``, ``html``.

    Raises:
        PipelineError: The folder can't be written.
    """
    day = read(report["as_of"]).date().isoformat()
    contents = {
        "json": report_json(report),
        "md": report_markdown(report, context),
        "html": report_html(report, context),
    }
    paths = {suffix: folder / f"executive-report-{day}.{suffix}" for suffix in contents}
    with os_error_named(
        "the report can't be written", where=folder, remedy="Give this user write access to the folder, or name another"
    ):
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, path in paths.items():
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            draft.write_text(contents[suffix], encoding="utf-8", newline="\n")
            draft.replace(path)
    return paths


@cache
def _template(name: str) -> str:
    return files(_PACKAGE).joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _templates() -> Environment:
    # Every value goes through finalize; autoescape stays on for what might not.
    return Environment(loader=FunctionLoader(_template), autoescape=True, finalize=html, undefined=StrictUndefined)
