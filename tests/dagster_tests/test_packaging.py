"""The wheel: it holds everything, claims one name only, and loads beside a project with modules of the same names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support import REPOSITORY

pytestmark = pytest.mark.slow

FOLDERS = ("cavra_pipeline", "assets", "sensors")
#: A project whose own modules have the names of our folders.
PROJECT = {
    "assets.py": "import dagster as dg\n\n@dg.asset\ndef revenue() -> int:\n    return 1\n",
    "sensors.py": "raise RuntimeError('of another project')\n",
    "defs.py": "import dagster as dg, assets\ndefs = dg.Definitions(assets=dg.load_assets_from_modules([assets]))\n",
    "workspace.yaml": "load_from:\n  - python_file: defs.py\n  - python_module: cavra_pipeline.definitions\n",
}


def build(source: Path, out: Path, *what: str) -> Path:
    """Builds with the installed build tools; nothing is fetched. Returns the wheel."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), *what, str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, links as links, without what a build leaves behind."""
    folder = tmp_path_factory.mktemp("source")
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, folder / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(source, tmp_path_factory.mktemp("wheel"), "--wheel")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def run(command: list[str], folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs Python elsewhere than in the checkout, with nothing of it on the path but what is given."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *command],
        env={**kept, "CAVRA_HOME": str(folder / "home"), **environ},
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.slow
def test_a_wheel_holds_every_file_of_the_three_folders_under_one_name(source: Path, wheel: Path) -> None:
    files = [path for name in FOLDERS for path in (source / name).rglob("*") if path.is_file()]
    wanted = {path.relative_to(source).as_posix() for path in files}
    wanted = {name if name.startswith("cavra_pipeline/") else f"cavra_pipeline/{name}" for name in wanted}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert packed == wanted
    assert {"cavra_pipeline/assets/evidence.py", "cavra_pipeline/sensors/slots.py"} <= packed


@pytest.mark.slow
def test_a_wheel_made_from_the_source_archive_is_the_same(source: Path, wheel: Path, tmp_path: Path) -> None:
    assert sorted(zipfile.ZipFile(build(source, tmp_path)).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


@pytest.mark.slow
def test_an_installed_wheel_brings_everything_the_code_location_needs(installed: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import cavra_pipeline.definitions as d; "
        "from cavra_pipeline import assets, sensors; "
        "assert all(m.__file__.startswith(sys.argv[1]) for m in (d, assets, sensors)), d.__file__; "
        "from cavra_pipeline.cli import main; day = '2026-06-25'; "
        "sys.argv[1:] = ['backfill', '--from', day, '--to', day]; main()"
    )

    done = run(["-P", "-c", script, str(installed)], tmp_path)

    assert done.returncode == 0, done.stderr
    metadata = next(installed.glob("*.dist-info/entry_points.txt")).read_text()
    assert "cavra-pipeline = cavra_pipeline.cli:main" in metadata


@pytest.mark.slow
def test_the_wheel_loads_beside_a_project_with_modules_named_assets_and_sensors(
    installed: Path, tmp_path: Path
) -> None:
    for name, text in PROJECT.items():
        (tmp_path / name).write_text(text)
    validate = ["-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"]

    done = run(validate, tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{installed}")

    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Validation successful for code location defs.py" in said
    assert "Validation successful for code location cavra_pipeline.definitions" in said
