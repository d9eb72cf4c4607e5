"""The executive report as canonical JSON, as Markdown and as one self-contained page. Nothing is judged here."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from cavra_pipeline.documents import canonical_json
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.escaping import html, visible_json
from cavra_pipeline.executive.markdown import markdown_of
from cavra_pipeline.executive.page import page_of
from cavra_pipeline.executive.pictures import backlog_area, outage_timeline
from cavra_pipeline.executive.words import read
from cavra_pipeline.proof.basis import Basis
from cavra_pipeline.settings import Settings

_PACKAGE: Final = "cavra_pipeline.executive"


def report_json(report: Mapping[str, Any]) -> str:
    """Returns the report as canonical JSON, one line."""
    return visible_json(canonical_json(report)) + "\n"


def console_address(settings: Settings) -> str | None:
    """Returns the address of the report in the console; None where the console's is not set."""
    return f"{settings.console_url}/#/executive" if "console_url" in settings.model_fields_set else None


def report_markdown(
    report: Mapping[str, Any],
    basis: Basis | None = None,
    console: str | None = None,
    leaks: Mapping[date, int] | None = None,
) -> str:
    """Returns the report as Markdown; text of the evidence is escaped. Its arguments are those of ``report_files``."""
    return markdown_of(report, page_of(report, basis, console, leaks))


def report_html(
    report: Mapping[str, Any],
    basis: Basis | None = None,
    console: str | None = None,
    leaks: Mapping[date, int] | None = None,
) -> str:
    """Returns the report as one HTML page that needs no script and asks for nothing from anywhere.

    Its arguments are those of ``report_files``.
    """
    return _html_of(report, page_of(report, basis, console, leaks))


def report_files(
    report: Mapping[str, Any],
    basis: Basis | None = None,
    console: str | None = None,
    leaks: Mapping[date, int] | None = None,
) -> dict[str, str]:
    """Returns the report in every form by the suffix of its file: ``json``, ``md``, ``html``.

    Args:
        report: An executive report.
        basis: What it can be proven from, as the foot of both pages says; None if unknown.
        console: Address of the report in the console, for what the pages leave out; None if unknown.
        leaks: Secrets that were found and that no one has handled yet, counted by landing day, as both pages say; the
            JSON does not.
    """
    page = page_of(report, basis, console, leaks)
    return {"json": report_json(report), "md": markdown_of(report, page), "html": _html_of(report, page)}


def _html_of(report: Mapping[str, Any], page: Mapping[str, Any]) -> str:
    style = _template("report.css")
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


def write_report(folder: Path, report: Mapping[str, Any], contents: Mapping[str, str] | None = None) -> dict[str, Path]:
    """Writes ``executive-report-<UTC day of as_of>`` as json, md and html; each file is replaced as a whole.

    Args:
        folder: Where; made if it is not there.
        report: An executive report.
        contents: Its ``report_files``, where somebody has them already.

    Returns:
        The files by their suffix: ``json``, ``md``, ``html``.

    Raises:
        PipelineError: The folder can't be written.
    """
    day = read(report["as_of"]).date().isoformat()
    contents = contents or report_files(report)
    paths = {suffix: folder / f"executive-report-{day}.{suffix}" for suffix in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, path in paths.items():
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            draft.write_text(contents[suffix], encoding="utf-8", newline="\n")
            draft.replace(path)
    except OSError as error:
        raise PipelineError(
            f"the report can't be written ({error.strerror})",
            where=str(folder),
            remedy="Give this user write access to the folder, or name another",
        ) from None
    return paths


@cache
def _template(name: str) -> str:
    return files(_PACKAGE).joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _templates() -> Environment:
    # Every value goes through finalize; autoescape stays on for what might not.
    return Environment(loader=FunctionLoader(_template), autoescape=True, finalize=html, undefined=StrictUndefined)
