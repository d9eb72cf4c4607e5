"""The rules of the house, kept by parsing the tree: who may import whom, who owns the connection and the clock."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from cavra_pipeline.lanes import LANES
from tests.support import REPOSITORY

DOMAIN = REPOSITORY / "cavra_pipeline"
#: The only files of the domain that know Dagster.
SHELLS = {
    *("definitions.py", "jobs.py", "schedules.py", "resources.py", "frames_io.py"),
    *("event_log.py", "event_batches.py"),
}
#: Where a clock may be read: where a person or Dagster calls from.
CALLERS = {*SHELLS, "cli/common.py"}
#: Where a statement may be put together from the names of the declared tables, and where DuckDB is opened.
SQL_MAKERS = {"warehouse/schema.py", "evidence/screen.py"}
DUCKDB_OPENERS = {"warehouse/connection.py", "upgrade/__init__.py"}
CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns",
          "datetime.datetime.now", "datetime.date.today"}  # fmt: skip


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (REPOSITORY / folder).rglob("*.py"))


#: Each file once: these links of the package lead to folders beside it, and ``rglob`` follows no link.
LINKS = {"cavra_pipeline/assets": "../assets", "cavra_pipeline/sensors": "../sensors"}

#: The executive report is a document too, so there the lane shows only beside a word of the retry ladder.
LADDER = "deliver|retry|plan|health|worker|execution|acknowledg|decision"
LANE_NAME = re.compile("|".join([*(LANES.keys() - {"executive_report"}), f"executive_report.*(?:{LADDER})"]))


DOMAIN_MODULES = modules("cavra_pipeline")
EVERY_MODULE = modules("cavra_pipeline", "assets", "sensors")


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "importlib.import_module",
            "import_module",
            "__import__",
        ):
            yield from (str(argument.value) for argument in node.args if isinstance(argument, ast.Constant))


def imported_members(path: Path) -> Iterator[str]:
    """Yields what is imported, with the members that ``from x import y`` names."""
    yield from imported(path)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


def calls(path: Path) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)}


@pytest.mark.parametrize("path", DOMAIN_MODULES, ids=name_of)
def test_only_the_shells_of_the_domain_know_dagster(path: Path) -> None:
    if path.parent == DOMAIN and path.name in SHELLS:
        return
    assert not any(root.startswith("dagster") for root in roots(path))


@pytest.mark.parametrize("path", DOMAIN_MODULES, ids=name_of)
def test_only_the_composition_root_imports_assets_and_sensors(path: Path) -> None:
    outward = ("cavra_pipeline.assets", "cavra_pipeline.sensors")
    if path != DOMAIN / "definitions.py":
        assert [name for name in imported_members(path) if name.startswith(outward)] == []


@pytest.mark.parametrize("path", [*EVERY_MODULE, *modules("tests", "benchmarks")], ids=name_of)
def test_nothing_imports_assets_and_sensors_by_a_name_at_the_top(path: Path) -> None:
    """Another project's ``assets.py`` may be found by that name; a second import would also be a second module."""
    assert roots(path).isdisjoint({"assets", "sensors"})


@pytest.mark.parametrize("path", EVERY_MODULE, ids=name_of)
def test_only_the_terminal_uses_rich_and_prints(path: Path) -> None:
    if path != DOMAIN / "terminal.py":
        assert "rich" not in roots(path)
        assert calls(path) & {"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"} == set()


@pytest.mark.parametrize("path", EVERY_MODULE, ids=name_of)
def test_only_the_executive_report_is_markdown_in_dagster_and_no_text_is_declared_safe(path: Path) -> None:
    if name_of(path) != "assets/executive.py":
        assert not {call for call in calls(path) if call.endswith(("MetadataValue.md", "MarkdownMetadataValue"))}
    if path.parent.name != "executive":
        assert calls(path) & {"Markup", "markupsafe.Markup"} == set()


@pytest.mark.parametrize("path", EVERY_MODULE, ids=name_of)
def test_nothing_but_tests_imports_tests_and_assets_and_sensors_do_not_import_the_composition_root(path: Path) -> None:
    assert roots(path).isdisjoint({"tests", "benchmarks"})
    if not path.is_relative_to(DOMAIN):
        assert "cavra_pipeline.definitions" not in set(imported_members(path))


@pytest.mark.parametrize("path", EVERY_MODULE, ids=name_of)
def test_no_function_is_named_for_a_lane(path: Path) -> None:
    named = [node.name for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    assert [name for name in named if LANE_NAME.search(name)] == []


@pytest.mark.parametrize("path", DOMAIN_MODULES, ids=name_of)
def test_the_domain_does_not_read_the_clock(path: Path) -> None:
    if path.relative_to(DOMAIN).as_posix() in CALLERS:
        return
    assert calls(path) & CLOCKS == set()


@pytest.mark.parametrize("path", EVERY_MODULE, ids=name_of)
def test_only_the_owner_of_the_connection_and_those_in_memory_connect_to_duckdb(path: Path) -> None:
    where = name_of(path).removeprefix("cavra_pipeline/")
    connects = {call for call in calls(path) if call in ("duckdb.connect", "duckdb.sql", "duckdb.execute")}

    if where in ("evidence/typed.py", "warehouse/schema.py"):
        made = [
            node
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "duckdb.connect"
        ]
        assert [node.args for node in made] == [[]], "without a path it is in memory"
    elif where not in DUCKDB_OPENERS:
        assert connects == set()


@pytest.mark.parametrize("path", DOMAIN_MODULES, ids=name_of)
def test_values_are_bound_and_not_written_into_sql(path: Path) -> None:
    """An f-string that is SQL may hold names made from the declared tables, and only in the modules that make them."""
    if name_of(path).removeprefix("cavra_pipeline/") in SQL_MAKERS:
        return
    strings = [ast.unparse(node) for node in ast.walk(tree(path)) if isinstance(node, ast.JoinedStr)]
    sql = re.compile(r"\b(?:SELECT\s.+\sFROM|INSERT\s+INTO|DELETE\s+FROM|UPDATE\s.+\sSET)\b", re.DOTALL)
    assert [text for text in strings if sql.search(text)] == []


@pytest.mark.parametrize("path", sorted(DOMAIN.rglob("*.sql")), ids=name_of)
def test_an_sql_file_holds_one_statement(path: Path) -> None:
    code = re.sub(r"--[^\n]*|'(?:[^']|'')*'", "", path.read_text(encoding="utf-8")).strip()

    assert code
    assert ";" not in code.removesuffix(";")


@pytest.mark.parametrize("path", EVERY_MODULE, ids=name_of)
def test_a_module_opens_with_a_short_docstring(path: Path) -> None:
    text = ast.get_docstring(tree(path))
    if path.name == "__init__.py" and not path.read_text(encoding="utf-8").strip():
        return
    assert text, "no docstring"
    assert len(text.splitlines()) <= 12


@pytest.mark.parametrize("path", DOMAIN_MODULES, ids=name_of)
def test_logging_calls_take_no_record(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and re.fullmatch(r"(?:_?log|_?logger|logging)\.\w+", ast.unparse(node.func)):
            names = {child.id for argument in node.args for child in ast.walk(argument) if isinstance(child, ast.Name)}
            assert names.isdisjoint({"record", "line", "raw", "row", "rows", "payload", "value"}), ast.unparse(node)


def test_assets_and_sensors_are_folders_of_the_checkout_that_the_package_links_to() -> None:
    assert {name: (REPOSITORY / name).readlink().as_posix() for name in LINKS} == LINKS
    assert {path.parts[-2] for path in modules("assets", "sensors")} == {"assets", "sensors"}
    assert not [path for path in DOMAIN_MODULES if path.is_relative_to(DOMAIN / "assets")]


def test_a_rule_exempts_no_file_that_is_gone() -> None:
    exempt = SHELLS | CALLERS | SQL_MAKERS | DUCKDB_OPENERS | {"terminal.py"}

    assert {name for name in exempt if not (DOMAIN / name).is_file()} == set()


def committed() -> list[str]:
    found = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return found.stdout.splitlines()


def test_no_committed_file_names_a_registry_or_a_place_on_a_machine() -> None:
    names = committed()
    if not names:
        pytest.skip("this is not a git checkout, so nothing is committed here")
    # Assembled, so that this very file does not break the rule.
    hosts = [
        "pypi" + r"\.org",
        "pythonhosted" + r"\.org",
        "registry" + r"\.npmjs",
        "index-" + "url ?=",
        "artifact" + "ory",
    ]
    places = ["/" + "root/", "/" + "work/", "/" + r"home/(?!runner)\w+/", "/" + r"Users/\w+/", "C:" + r"\\\\Users"]
    pattern = re.compile("|".join([*hosts, *places]))
    broken = []
    for name in names:
        path = REPOSITORY / name
        if path.is_file():
            lines = path.read_bytes().decode("utf-8", errors="replace").splitlines()
            broken += [f"{name}:{number}" for number, line in enumerate(lines, 1) if pattern.search(line)]
    assert broken == []
