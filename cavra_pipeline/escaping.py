r"""Escaping of text from evidence, file names and people: one function for each medium it is shown in.

A text is shown and never obeyed. Every function starts from ``visible``, which writes what steers a terminal, turns
the writing direction or cannot be seen as ``\x1b``, ``\u202e`` or ``\n``; what is left is the medium's own markup.
Where a medium has no escape for a character, the character's full-width form stands in for it.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Final

from markupsafe import Markup, escape

#: Printable by category, and still shown as nothing: fillers, joiners, variation selectors, the empty Braille cell.
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_FULL_WIDTH: Final = str.maketrans({":": "：", ".": "．", "@": "＠", "%": "％", "[": "［"})  # noqa: RUF001
#: What programs turn into a link or a mention although nothing marks it as one: GitHub Flavored Markdown, 6.9.
_ADDRESS: Final = re.compile(r":(?=//)|(?<=www)\.|@", re.IGNORECASE)
#: CommonMark 0.31, 2.4: a backslash before ASCII punctuation makes it literal. ``(`` matters after a bracket only.
_MARKDOWN: Final = re.compile(r"[\\`*_\[\]|~$#!]|(?<=\])\(")
#: What opens a list, an underline or a table where a text begins a line.
_MARKDOWN_START: Final = re.compile(r"\A((?:\d{1,9}(?=[.)]))?)([-+=:.)])")
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_ENTITY: Final = re.compile("[&<>]")
#: What a spreadsheet takes for the start of a formula, their full-width forms, and the blanks that it skips before it.
_FORMULA: Final = re.compile(r"\s*[=+\-@＝＋－＠]")  # noqa: RUF001
_SERVICENOW: Final = re.compile(r"\[(?=/?code\])|(?<=javascript):", re.IGNORECASE)
#: Characters of a caller's own word that an error repeats.
_LONGEST_QUOTE: Final = 40


def visible(text: object) -> str:
    """Returns the text on one line; characters that steer, or that cannot be seen, are written as their escapes.

    For the terminal, log lines, Dagster's texts and tables, and values in JSON bodies. Applying it again changes
    nothing. Blanks other than the space count as unseen; a backslash of the text itself stays single.
    """
    line = str(text)
    if _is_plain(line):
        return line
    return "".join(c if _is_plain(c) else c.encode("unicode_escape").decode("ascii") for c in line)


def quoted(word: str) -> str:
    """Returns a word of the caller's own in quotes, as ``visible`` writes it, cut where it is long."""
    text = visible(word)
    return f"'{text if len(text) <= _LONGEST_QUOTE else f'{text[:_LONGEST_QUOTE]}...'}'"


def visible_lines(text: object) -> str:
    """Returns a text whose line ends are our own, each line as ``visible`` writes it."""
    return "\n".join(map(visible, str(text).split("\n")))


def visible_json(text: str) -> str:
    """Returns JSON text of the same value in which unseen characters are JSON escapes (RFC 8259, section 7)."""
    if all(map(_is_plain, text.split("\n"))):
        return text
    return "".join(c if c == "\n" or _is_plain(c) else json.dumps(c)[1:-1] for c in text)


def html(text: object) -> Markup:
    """Returns the text for HTML, inside an element or a quoted attribute; ``Markup`` of ours stays as it is."""
    return text if isinstance(text, Markup) else escape(visible(text))


def markdown(text: object) -> str:
    """Returns the text on one line for CommonMark, GitHub's extensions and the Markdown of adaptive cards.

    No image, link, address, element, entity, heading, list, table or code comes out of it. Addresses get a full-width
    character: programs find them in the text after its escapes are gone.
    """
    line = _MARKDOWN.sub(lambda match: "\\" + match[0], _without_addresses(visible(text)))
    line = _MARKDOWN_START.sub(lambda match: f"{match[1]}\\{match[2]}", _entities(line))
    return f"&#32;{line[1:]}" if line.startswith(" ") else line


def csv_cell(value: object) -> object:
    """Returns a cell that no spreadsheet takes for a formula: such a text begins with an apostrophe.

    Numbers stay numbers, None stays empty, a list is joined by spaces. Write rows with every text quoted, since a
    spreadsheet may split at semicolons too (OWASP, CSV injection).
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    text = visible(" ".join(map(str, value)) if isinstance(value, list | tuple) else value)
    return f"'{text}" if _FORMULA.match(text) else text


def slack(text: object) -> str:
    """Returns the text for a Slack text object: no mention, no link (Slack, "Formatting text", escaping)."""
    return _entities(_without_addresses(visible(text)))


def datadog(text: object) -> str:
    """Returns the text for a Datadog event: no ``%%%`` that starts Markdown, no mention that notifies, no link."""
    return _without_addresses(visible(text)).replace("%%%", "%%%".translate(_FULL_WIDTH))


def servicenow(text: object) -> str:
    """Returns the text for a ServiceNow field: no ``[code]`` that is shown as HTML, no ``javascript:`` that is run."""
    return _SERVICENOW.sub(lambda match: match[0].translate(_FULL_WIDTH), visible(text))


class LineFormatter(logging.Formatter):
    """Formats a log record as one line, a traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record on one line without characters that steer."""
        return visible(super().format(record))


def _is_plain(text: str) -> bool:
    return text.isprintable() and (text.isascii() or not _UNSEEN.search(text))


def _without_addresses(line: str) -> str:
    return _ADDRESS.sub(lambda match: match[0].translate(_FULL_WIDTH), line)


def _entities(line: str) -> str:
    return _ENTITY.sub(lambda match: _ENTITIES[match[0]], line)
