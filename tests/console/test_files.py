"""The console's files: what is served, what is not, and what they may not hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cavra_pipeline.cli import cli
from tests.api.server import NoDagster, served
from tests.cli.command import command
from tests.support import REPOSITORY, ingested

STATIC = REPOSITORY / "cavra_pipeline" / "console" / "static"
FILES = sorted(STATIC.iterdir())
#: What is written as an address and asked of nobody.
NAMES = (
    "http://www.w3.org/2000/svg",
    "https://in-toto.io/Statement/v1",
    "https://cavra-pipeline.example/proof/report/v1",
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_reaches_out_to_nobody_and_holds_nothing_that_the_policy_forbids(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name in NAMES:
        text = text.replace(f'"{name}"', "")

    assert not re.search(r"https?://|//[a-z0-9-]+\.[a-z]|@import|url\(", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    if path.suffix == ".html":
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text)


def test_the_text_without_javascript_names_commands_that_run(tmp_path: Path) -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    (text,) = re.findall(r"<noscript>(.*?)</noscript>", page)
    home = ingested(tmp_path, [])
    named = [one.split() for one in re.findall("<code>(.*?)</code>", text)]

    assert len(named) == 3
    for program, *arguments in named:
        said = command(home.home, *arguments)
        assert (program, said.code, said.err) == ("cavra-pipeline", 0, "")
        assert said.out


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_names_no_command_that_there_is_not(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert set(re.findall(r"cavra-pipeline ([a-z][a-z-]*)", text)) <= set(cli.commands)


def test_every_file_is_served_under_the_policy_and_nothing_else_is(tmp_path: Path) -> None:
    with served(ingested(tmp_path, []), dagster=NoDagster()) as one, one.client() as client:
        page = client.get("/")
        assert page.status_code == 200
        assert page.content == (STATIC / "index.html").read_bytes()
        assert "default-src 'none'" in page.headers["content-security-policy"]
        for path in FILES:
            answer = client.get(f"/console/{path.name}")
            assert (answer.status_code, answer.content) == (200, path.read_bytes())
            assert answer.headers["x-content-type-options"] == "nosniff"
            again = client.get(f"/console/{path.name}", headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
        for elsewhere in (
            "",
            "%2e%2e/__init__.py",
            "..%2f__init__.py",
            "%2fetc%2fpasswd",
            "app.js%00",
            "nothing.js",
        ):
            answer = client.get(f"/console/{elsewhere}")
            assert answer.status_code == 404, elsewhere
            assert answer.headers["content-type"] == "application/problem+json"
        assert client.post("/").status_code == 405


def test_the_pages_are_open_where_the_answers_are_not_and_no_part_of_openapi(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("# nobody\n")
    tokens.chmod(0o600)
    home = ingested(tmp_path, [], api_tokens_file=tokens)
    with served(home, dagster=NoDagster()) as one, one.client() as client:
        assert client.get("/").status_code == 200
        assert client.get("/console/app.js").status_code == 200
        assert client.get("/api/v1/status").status_code == 401
        answers = ("/api", "/run", "/evidence", "/h")
        assert not [path for path in client.get("/openapi.json").json()["paths"] if not path.startswith(answers)]
