"""Links of the pages lead to a file that there is and to a heading that it has; a page is two screens long at most."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import REPOSITORY

PAGES = [*REPOSITORY.glob("*.md"), *sorted((REPOSITORY / "docs").rglob("*.md"))]
#: Two screens of 60 lines; tables to look things up in may be longer.
MAX_LINES = 120
REFERENCES = {"CHANGELOG.md", "data-dictionary.md", "cookbook.md", "connectors-answers-table.md"}


def links_of(page: Path) -> Iterator[tuple[Path, str]]:
    """Yields the file and the heading of each link that leads to a page of the repository."""
    for path, heading in re.findall(r"\]\(([^)#\s]*)(?:#([^)]+))?\)", page.read_text(encoding="utf-8")):
        if not path.startswith(("http:", "https:")):
            yield (page.parent / path if path else page), heading


def headings_of(page: Path) -> set[str]:
    """Returns the headings of a page as a link names them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_link_leads_to_a_page_and_a_heading_that_there_is(page: Path) -> None:
    for path, heading in links_of(page):
        assert path.exists(), f"{page.name}: {path}"
        assert not heading or path.suffix != ".md" or heading in headings_of(path), f"{page.name}: {path}#{heading}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_two_screens_long_at_most(page: Path) -> None:
    assert page.name in REFERENCES or len(page.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.parent.name == "docs" and page.name != "README.md"],
    ids=lambda page: page.stem,
)
def test_a_page_opens_with_its_reader_or_the_page_that_it_belongs_to(page: Path) -> None:
    _, _, opening = page.read_text(encoding="utf-8").split("\n", 2)

    assert opening.startswith(("*For ", "Part of ["))
    assert not re.fullmatch(r"Part of \[[^\]]+\]\([^)]+\)\.", opening.split("\n\n")[0])


def test_the_index_of_the_docs_leads_to_every_page() -> None:
    index = REPOSITORY / "docs" / "README.md"
    linked = {path for path, _ in links_of(index)}

    assert {page for page in index.parent.glob("*.md") if page != index} - linked == set()


def test_a_link_to_nothing_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A heading, 1st\n[a](page.md#a-heading-1st) [b](none.md) [c](#other) [d](https://example.org)\n")

    assert list(links_of(page)) == [(page, "a-heading-1st"), (tmp_path / "none.md", ""), (page, "other")]
    assert headings_of(page) == {"a-heading-1st"}
