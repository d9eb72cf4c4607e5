"""The shape of the tree: imports run one way, files and functions stay small, a public class has a name of its own."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.house.test_rules import EVERY_MODULE, name_of, tree
from tests.support import REPOSITORY

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
ROOT = "cavra_pipeline"

Graph = Mapping[str, set[str]]


def dotted(name: str) -> str:
    """Returns the name by which a file is imported; the package links to ``assets`` and ``sensors`` beside it."""
    module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return module if module.split(".")[0] == ROOT else f"{ROOT}.{module}"


@cache
def module_graph() -> Graph:
    """Returns the modules of the tree, each with those of them that it imports anywhere in its file."""
    paths = {dotted(name_of(path)): path for path in EVERY_MODULE}
    graph: dict[str, set[str]] = {}
    for module, path in paths.items():
        imported: set[str] = set()
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                members = {f"{node.module}.{alias.name}" for alias in node.names}
                imported |= {member if member in paths else node.module for member in members}
        graph[module] = (imported & paths.keys()) - {module}
    return graph


def package_of(module: str) -> str:
    """Returns the package of a module, or the module itself where it lies at the top."""
    return ".".join(module.split(".")[:2])


def package_graph() -> Graph:
    graph: defaultdict[str, set[str]] = defaultdict(set)
    for module, imported in module_graph().items():
        graph[package_of(module)] |= {package_of(one) for one in imported} - {package_of(module), ROOT}
    return graph


def circle_in(graph: Graph) -> str:
    """Returns a circle of imports as text, or an empty text."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " -> ".join(error.args[1])
    return ""


def test_no_package_imports_itself_through_another() -> None:
    assert circle_in(package_graph()) == ""


def test_no_module_imports_itself_through_another() -> None:
    assert circle_in(module_graph()) == ""


def test_a_circle_of_imports_is_found_and_named() -> None:
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": set()}) == ""
    assert set(circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}}).split(" -> ")) == {"a", "b", "c"}


def long_files() -> list[str]:
    sizes = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in EVERY_MODULE}
    return [f"{name}: {lines}" for name, lines in sizes.items() if lines > MAX_FILE_LINES]


def long_functions() -> Iterator[str]:
    for path in EVERY_MODULE:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    yield f"{name_of(path)}: {node.name}, {lines}"


def test_no_file_is_longer_than_400_lines() -> None:
    assert long_files() == []


def test_no_function_is_longer_than_60_lines() -> None:
    assert list(long_functions()) == []


def test_no_two_public_classes_have_one_name() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in EVERY_MODULE:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name_of(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_opening_the_warehouse_loads_no_ingest_no_lake_no_pandas_and_no_dagster() -> None:
    script = (
        "import sys, cavra_pipeline.warehouse, cavra_pipeline.evidence.keeper; "
        "loaded = {'cavra_pipeline.evidence.ingest', 'cavra_pipeline.warehouse.lake', 'pandas', 'numba', 'dagster'}; "
        "print(sorted(loaded & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_the_architecture_names_only_files_that_exist() -> None:
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:cavra_pipeline|assets|sensors)/[\w/.]+)`", text))

    assert len(named) > 40
    assert {name for name in named if not (REPOSITORY / name).exists()} == set()


@pytest.mark.parametrize(("title", "most"), [("One record, from file to decision", 15), ("One alert, from", 12)])
def test_the_architecture_follows_a_record_and_an_alert_in_few_files(title: str, most: int) -> None:
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition(f"### {title}")[2].partition("\n#")[0]

    assert 5 < len(set(re.findall(r"`((?:cavra_pipeline|sensors)/[\w/.]+)`", section))) <= most
