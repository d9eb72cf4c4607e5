"""The key of a home's pseudonyms: made once, for its owner only, and missed when it is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from stat import S_IMODE

import pytest

from cavra_pipeline.boundary.pseudonyms import Pseudonyms
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.evidence.pseudonym_key import KEY_BYTES, open_home, pseudonyms_of
from cavra_pipeline.private import mode_to_give
from cavra_pipeline.resources import Home
from cavra_pipeline.settings import Settings, load_settings
from tests.support import delivery, home_with, query, take_in

ODD = delivery(session_id="odd", plan_id="two words")


def new_home(tmp_path: Path) -> Settings:
    return home_with(tmp_path, [ODD], is_new=True)


def test_the_key_is_made_at_the_first_ingest_for_its_owner_only(tmp_path: Path) -> None:
    home = new_home(tmp_path)
    assert not home.pseudonym_key.exists()
    old_mask = os.umask(0)
    try:
        take_in(home)
    finally:
        os.umask(old_mask)

    assert S_IMODE(home.pseudonym_key.stat().st_mode) == 0o600
    key = home.pseudonym_key.read_bytes()
    assert len(key) == KEY_BYTES
    assert query(home, "SELECT plan_id FROM evidence") == [(Pseudonyms(key).of_text("two words"),)]


def test_a_later_ingest_uses_the_same_key(tmp_path: Path) -> None:
    home = new_home(tmp_path)
    take_in(home)
    before = (home.pseudonym_key.read_bytes(), query(home, "SELECT plan_id FROM evidence"))
    for found in home.landing.rglob("*.jsonl"):
        found.touch()
    take_in(home)
    assert (home.pseudonym_key.read_bytes(), query(home, "SELECT plan_id FROM evidence")) == before


def test_a_home_that_holds_pseudonyms_and_no_key_refuses_to_start(tmp_path: Path) -> None:
    home = new_home(tmp_path)
    take_in(home)
    home.pseudonym_key.unlink()

    for start in (open_home, pseudonyms_of):
        with pytest.raises(PipelineError, match=r"holds pseudonyms, and the key .* is not there"):
            start(home)
    assert not home.pseudonym_key.exists()


def test_pseudonyms_that_an_import_wrote_are_missed_without_a_warehouse_too(tmp_path: Path) -> None:
    home = home_with(tmp_path, is_new=True)
    sidecar = home.landing / "2026-06-25" / "import-000001-0123456789abcdef.jsonl.boundary.json"
    sidecar.parent.mkdir()
    sidecar.write_text('{"findings": [{"action": "dropped"}]}', encoding="utf-8")
    assert open_home(home) == home
    home.pseudonym_key.unlink()
    sidecar.write_text('{"findings": [{"action": "pseudonymised"}]}', encoding="utf-8")
    with pytest.raises(PipelineError, match="pseudonym"):
        open_home(home)


def test_a_home_without_a_pseudonym_starts_without_a_key(tmp_path: Path) -> None:
    home = home_with(tmp_path, [delivery()], is_new=True)
    take_in(home)
    home.pseudonym_key.unlink()
    assert open_home(home) == home
    assert home.pseudonym_key.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_may_read_is_refused_with_the_command_that_helps(tmp_path: Path, mode: int) -> None:
    home = home_with(tmp_path)
    home.pseudonym_key.chmod(mode)
    with pytest.raises(UsageError, match="chmod 600"):
        pseudonyms_of(home)


@pytest.mark.parametrize("size", [0, KEY_BYTES - 1, KEY_BYTES + 1])
def test_a_key_of_another_length_is_none(tmp_path: Path, size: int) -> None:
    home = home_with(tmp_path)
    home.pseudonym_key.write_bytes(b"k" * size)
    with pytest.raises(UsageError, match="no key of 32 bytes"):
        pseudonyms_of(home)


def test_the_key_may_lie_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "secrets" / "cavra.key"
    settings = load_settings({"CAVRA_HOME": str(tmp_path / "home"), "CAVRA_PSEUDONYM_KEY_FILE": str(elsewhere)})
    made = pseudonyms_of(settings.prepare())
    assert elsewhere.read_bytes() == made.key
    assert not (tmp_path / "home" / "pseudonym.key").exists()


def test_a_dagster_run_uses_the_key_that_the_host_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "cavra.key"
    monkeypatch.setenv("CAVRA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CAVRA_PSEUDONYM_KEY_FILE", str(elsewhere))
    host = load_settings()
    assert pseudonyms_of(Home.of(host).settings) == pseudonyms_of(host)
    assert not (tmp_path / "home" / "pseudonym.key").exists()
    other = Home.of(host.but(home=tmp_path / "other")).settings
    assert other.pseudonym_key == tmp_path / "other" / "pseudonym.key"


@pytest.mark.slow
def test_processes_that_make_the_key_at_once_end_with_one_key(tmp_path: Path) -> None:
    home = home_with(tmp_path, is_new=True)
    code = (
        "import sys; from pathlib import Path; from cavra_pipeline.settings import Settings\n"
        "from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of\n"
        "print(pseudonyms_of(Settings(home=Path(sys.argv[1]))).key.hex())"
    )
    command = [sys.executable, "-c", code, str(home.home)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    keys = {process.communicate()[0].strip() for process in running}
    assert keys == {home.pseudonym_key.read_bytes().hex()}
    assert [path.name for path in home.home.glob(".pseudonym*")] == []


def test_the_key_is_never_shown() -> None:
    assert "kkkk" not in repr(Pseudonyms(b"k" * 32))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize(("owner", "mode", "right"), [(0, 0o640, None), (0, 0o660, 0o640), (0, 0o644, 0o640),
                                                      (65_534, 0o600, None), (65_534, 0o640, 0o600)])  # fmt: skip
def test_a_secret_of_root_may_be_read_by_its_group_as_orchestrators_mount_it(
    tmp_path: Path, owner: int, mode: int, right: int | None
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"")
    secret.chmod(mode)
    os.chown(secret, owner, owner)
    status = secret.stat()
    os.seteuid(65_534)
    try:
        found = mode_to_give(status)
    finally:
        os.seteuid(0)
    assert found == right
