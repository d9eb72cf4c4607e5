"""The rules of the house, kept by parsing the tree: who may import whom, who owns the connection and the clock."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from cavra_pipeline.lanes import LANES
from tests.support import REPOSITORY

DOMAIN = REPOSITORY / "cavra_pipeline"
#: The only files of the domain that know Dagster.
SHELLS = {
    *("definitions.py", "daemon.py", "jobs.py", "schedules.py", "resources.py", "frames_io.py"),
    *("event_log.py", "event_batches.py", "run_pruning.py", "finished_runs.py", "failed_partitions.py"),
}
#: Where a clock may be read: where a person or Dagster calls from.
CALLERS = {*SHELLS, "cli/common.py"}
#: Where a statement may be put together from the names of the declared tables, and where DuckDB is opened.
SQL_MAKERS = {"warehouse/schema.py", "evidence/validator.py"}
DUCKDB_OPENERS = {"warehouse/connection.py", "warehouse/lake_engine.py", "upgrade/__init__.py"}
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


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(path)))


@cache
def imported(path: Path) -> frozenset[str]:
    return frozenset(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in nodes(path):
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


def imported_members(path: Path) -> set[str]:
    """Returns what is imported, with the members that ``from x import y`` names."""
    found = [node for node in nodes(path) if isinstance(node, ast.ImportFrom) and node.module]
    return {*imported(path), *(f"{node.module}.{alias.name}" for node in found for alias in node.names)}


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


@cache
def calls(path: Path) -> frozenset[str]:
    return frozenset(ast.unparse(node.func) for node in nodes(path) if isinstance(node, ast.Call))


def broken(paths: Iterable[Path], wrong_in: Callable[[Path], Iterable[str]]) -> list[str]:
    """Names each file that breaks a rule, and what in it does."""
    return [f"{name_of(path)}: {wrong}" for path in paths for wrong in sorted(wrong_in(path))]


def but(paths: Iterable[Path], *exempt: str) -> list[Path]:
    """Leaves files out, by their names in the package or else in the repository."""
    return [path for path in paths if not {name_of(path), name_of(path).removeprefix("cavra_pipeline/")} & {*exempt}]


def test_the_rules_see_the_tree_and_name_what_breaks_one() -> None:
    assert len(EVERY_MODULE) > len(DOMAIN_MODULES) > 100
    assert "cavra_pipeline/terminal.py: rich" in broken(EVERY_MODULE, roots)
    assert not broken(but(EVERY_MODULE, "terminal.py"), lambda path: roots(path) & {"rich"})


def test_only_the_shells_of_the_domain_know_dagster() -> None:
    inner = but(DOMAIN_MODULES, *SHELLS)

    assert broken(inner, lambda path: {root for root in roots(path) if root.startswith("dagster")}) == []


def test_only_the_composition_root_imports_assets_and_sensors() -> None:
    outward = ("cavra_pipeline.assets", "cavra_pipeline.sensors")
    inner = but(DOMAIN_MODULES, "definitions.py")

    assert broken(inner, lambda path: {name for name in imported_members(path) if name.startswith(outward)}) == []


def test_nothing_imports_assets_and_sensors_by_a_name_at_the_top() -> None:
    """Another project's ``assets.py`` may be found by that name; a second import would also be a second module."""
    everything = [*EVERY_MODULE, *modules("tests", "benchmarks")]

    assert broken(everything, lambda path: roots(path) & {"assets", "sensors"}) == []


def test_only_the_terminal_uses_rich_and_prints() -> None:
    others = but(EVERY_MODULE, "terminal.py")
    prints = {"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"}

    assert broken(others, lambda path: (roots(path) & {"rich"}) | (calls(path) & prints)) == []


def test_only_the_executive_report_is_markdown_and_no_text_is_declared_safe() -> None:
    markdown = ("MetadataValue.md", "MarkdownMetadataValue")
    others = but(EVERY_MODULE, "assets/executive.py")
    outside = [path for path in EVERY_MODULE if path.parent.name != "executive"]

    assert broken(others, lambda path: {call for call in calls(path) if call.endswith(markdown)}) == []
    assert broken(outside, lambda path: calls(path) & {"Markup", "markupsafe.Markup"}) == []


def test_nothing_imports_tests_and_no_asset_or_sensor_imports_the_definitions() -> None:
    outer = [path for path in EVERY_MODULE if not path.is_relative_to(DOMAIN)]

    assert broken(EVERY_MODULE, lambda path: roots(path) & {"tests", "benchmarks"}) == []
    assert broken(outer, lambda path: imported_members(path) & {"cavra_pipeline.definitions"}) == []


def test_no_function_is_named_for_a_lane() -> None:
    def named(path: Path) -> Iterator[str]:
        functions = (node for node in nodes(path) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        return (node.name for node in functions if LANE_NAME.search(node.name))

    assert broken(EVERY_MODULE, named) == []


def test_the_domain_does_not_read_the_clock() -> None:
    assert broken(but(DOMAIN_MODULES, *CALLERS), lambda path: calls(path) & CLOCKS) == []


def test_only_the_owner_of_the_connection_and_those_in_memory_connect_to_duckdb() -> None:
    in_memory = [DOMAIN / "evidence" / "rows.py", DOMAIN / "warehouse" / "schema.py"]
    others = [path for path in but(EVERY_MODULE, *DUCKDB_OPENERS) if path not in in_memory]
    connecting = {"duckdb.connect", "duckdb.sql", "duckdb.execute"}

    def opened(path: Path) -> Iterator[str]:
        """Without a path it is in memory."""
        made = (node for node in nodes(path) if isinstance(node, ast.Call))
        return (ast.unparse(node) for node in made if ast.unparse(node.func) == "duckdb.connect" and node.args)

    assert broken(others, lambda path: calls(path) & connecting) == []
    assert broken(in_memory, opened) == []
    assert all(calls(path) & connecting for path in in_memory)


def test_values_are_bound_and_not_written_into_sql() -> None:
    """An f-string that is SQL may hold names made from the declared tables, and only in the modules that make them."""
    sql = re.compile(r"\b(?:SELECT\s.+\sFROM|INSERT\s+INTO|DELETE\s+FROM|UPDATE\s.+\sSET)\b", re.DOTALL)

    def written(path: Path) -> Iterator[str]:
        strings = (ast.unparse(node) for node in nodes(path) if isinstance(node, ast.JoinedStr))
        return (text for text in strings if sql.search(text))

    assert broken(but(DOMAIN_MODULES, *SQL_MAKERS), written) == []


def test_an_sql_file_holds_one_statement() -> None:
    def statements(path: Path) -> list[str]:
        code = re.sub(r"--[^\n]*|'(?:[^']|'')*'", "", path.read_text(encoding="utf-8")).strip()
        return [] if code and ";" not in code.removesuffix(";") else ["not one statement"]

    files = sorted(DOMAIN.rglob("*.sql"))
    assert files
    assert broken(files, statements) == []


def test_a_module_opens_with_a_short_docstring() -> None:
    def wrong(path: Path) -> list[str]:
        text = ast.get_docstring(tree(path)) or ""
        is_empty = path.name == "__init__.py" and not path.read_text(encoding="utf-8").strip()
        return [] if is_empty or 1 <= len(text.splitlines()) <= 12 else ["no docstring, or a long one"]

    assert broken(EVERY_MODULE, wrong) == []


def test_logging_calls_take_no_record() -> None:
    records = {"record", "line", "raw", "row", "rows", "payload", "value"}

    def logged(path: Path) -> Iterator[str]:
        for node in nodes(path):
            if isinstance(node, ast.Call) and re.fullmatch(r"(?:_?log|_?logger|logging)\.\w+", ast.unparse(node.func)):
                named = (child for argument in node.args for child in ast.walk(argument))
                if records & {child.id for child in named if isinstance(child, ast.Name)}:
                    yield ast.unparse(node)

    assert broken(DOMAIN_MODULES, logged) == []


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
    named = []
    for name in names:
        path = REPOSITORY / name
        if path.is_file():
            lines = path.read_bytes().decode("utf-8", errors="replace").splitlines()
            named += [f"{name}:{number}" for number, line in enumerate(lines, 1) if pattern.search(line)]
    assert named == []
