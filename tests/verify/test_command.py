"""`cavra-pipeline verify`: the checks of the bundle's own verifier, as text, as JSON and as an exit code."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from cavra_pipeline.cli import cli
from cavra_pipeline.settings import Settings
from cavra_pipeline.verify.container import pack, sums_of, unpack
from tests.support import ask_plan
from tests.verify.bundles import Log, bundle_of

pytestmark = pytest.mark.slow

END = datetime(2026, 11, 24, 20, tzinfo=UTC)


@pytest.fixture
def bundle(month: Settings, month_log: Log, tmp_path: Path) -> Path:
    path = tmp_path / "proof.zip"
    path.write_bytes(bundle_of(month_log, ask_plan(month, "release_closeout", END)))
    return path


def test_verify_says_what_it_checked_and_exits_0(bundle: Path) -> None:
    done = CliRunner().invoke(cli, ["verify", str(bundle)])

    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "PROVEN"
    assert "another release" not in done.output


def test_verify_names_what_does_not_hold_and_exits_1(bundle: Path) -> None:
    bundle.write_bytes(bundle.read_bytes()[:-1])
    done = CliRunner().invoke(cli, ["verify", str(bundle), "--json"])

    assert done.exit_code == 1
    said = json.loads(done.output)
    assert (said["is_proven"], said["checks"]) == (False, [])
    assert said["fault"].startswith("file: ")


def test_verify_checks_against_a_checkpoint_that_was_kept(bundle: Path, month_log: Log, tmp_path: Path) -> None:
    kept = tmp_path / "checkpoint.txt"
    kept.write_text(Log({}, month_log.entries[:1]).note().text)
    done = CliRunner().invoke(cli, ["verify", str(bundle), "--against", str(kept)])
    assert done.exit_code == 0, done.output
    assert "your checkpoint at entry 1" in done.output

    kept.write_text(Log({}, month_log.entries[1:]).note().text)
    done = CliRunner().invoke(cli, ["verify", str(bundle), "--against", str(kept)])
    assert (done.exit_code, done.output.splitlines()[-1]) == (1, "NOT PROVEN")


def test_verify_says_that_the_verifier_inside_is_another(month: Settings, month_log: Log, bundle: Path) -> None:
    from cavra_pipeline.verify import bundle as maker

    files = maker.verifier_files({"lane": "release_closeout"})
    changed = {**files, "__main__.py": b"print('PROVEN')\n"}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(maker, "verifier_files", lambda _: changed)
        bundle.write_bytes(bundle_of(month_log, ask_plan(month, "release_closeout", END)))
    done = CliRunner().invoke(cli, ["verify", str(bundle)])

    assert done.exit_code == 0
    assert "The verifier in the bundle is that of another release, or was changed." in done.output


def test_files_that_are_spoiled_and_summed_up_again_are_not_as_attested(bundle: Path) -> None:
    files = unpack(bundle.read_bytes()) | {"README.txt": b"Trust me.\n"}
    del files["SHA256SUMS"]
    bundle.write_bytes(pack(files | {"SHA256SUMS": sums_of(files)}))

    done = CliRunner().invoke(cli, ["verify", str(bundle)])

    assert done.exit_code == 1
    assert "file: not as attested: README.txt" in done.output
    assert done.output.splitlines()[-1] == "NOT PROVEN"
