"""Files of a table: Parquet and CSV with the rows, types and order of the DataFrame, whole or not at all."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from cavra_pipeline import frames
from cavra_pipeline.cli import cli
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.settings import Settings
from tests.cli.command import command
from tests.support import AS_OF, MICROSECOND, at, delivery, ingested

QUERY = (
    "SELECT '=1+1' AS formula, session_id, outcomes, providers, created_at, drop_day, NULL AS nothing FROM deliveries"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    entry = {"provider": "slack", "success": False, "started_at": at().isoformat()}
    lines = {
        "2026-06-24": [delivery(at(1440), session_id="old")],
        "2026-06-25": [
            delivery(session_id="at", failed=["slack"], delivery={"deliveries": [entry]}, attempt_count=2),
            delivery(at() + MICROSECOND, session_id="after", providers=["slack", "jira"]),
        ],
    }
    return ingested(tmp_path_factory.mktemp("write"), lines)


def test_parquet_holds_what_the_frame_holds(home: Settings, tmp_path: Path) -> None:
    made = frames.frame("deliveries", home=home.home)
    assert frames.write("deliveries", tmp_path / "d.parquet", home=home.home) == len(made) == 3

    read = pd.read_parquet(tmp_path / "d.parquet")
    assert list(read["session_id"]) == list(made["session_id"]) == ["old", "at", "after"]
    assert str(read["created_at"].dtype) == "datetime64[us, UTC]"
    assert read["created_at"].tolist() == made["created_at"].tolist()
    assert read["provider_deliveries"][1][0]["started_at"] == at()


def test_the_same_evidence_gives_the_same_bytes(home: Settings, tmp_path: Path) -> None:
    for name in ("one.csv", "other.csv", "one.parquet", "other.parquet"):
        frames.write("delivery_outcomes", tmp_path / name, home=home.home)

    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "other.csv").read_bytes()
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "other.parquet").read_bytes()


def test_csv_has_iso_instants_json_objects_and_no_formula(home: Settings, tmp_path: Path) -> None:
    frames.write(QUERY + " ORDER BY created_at", tmp_path / "q.csv", home=home.home)
    with (tmp_path / "q.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    assert [row["session_id"] for row in rows] == ["old", "at", "after"]
    assert {row["formula"] for row in rows} == {"'=1+1"}
    assert json.loads(rows[1]["outcomes"]) == [{"provider": "slack", "is_failed": True, "status_code": None}]
    assert rows[2]["providers"] == "slack jira"
    assert (rows[2]["created_at"], rows[2]["drop_day"]) == ("2026-06-25T12:00:00.000001+00:00", "2026-06-25")
    assert {row["nothing"] for row in rows} == {""}


def test_a_file_is_narrowed_as_a_frame_is(home: Settings, tmp_path: Path) -> None:
    narrowing = {"as_of": AS_OF, "days": "2026-06-25", "columns": ["session_id"]}
    assert frames.write("deliveries", tmp_path / "d.csv", home=home.home, **narrowing) == 1  # type: ignore[arg-type]

    assert (tmp_path / "d.csv").read_text(encoding="utf-8").split() == ['"session_id"', '"at"']


def test_what_can_t_be_written_leaves_the_file_that_was_there(home: Settings, tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("before")
    with pytest.raises(UsageError, match="no such table"):
        frames.write("nothing", path, home=home.home)
    with pytest.raises(UsageError, match="ends in neither"):
        frames.write("deliveries", tmp_path / "d.xlsx", home=home.home)
    with pytest.raises(PipelineError, match="can't be written"):
        frames.write("deliveries", tmp_path / "no folder" / "d.csv", home=home.home)

    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["d.csv"]


@pytest.mark.parametrize(("name", "value", "words"), [
    ("x.csv", "DATE '0001-01-01' - 1", "an instant is outside the years 1 to 9999"),
    ("x.csv", "TIMESTAMP '9999-12-31 23:59:59.999999' + INTERVAL 1 MICROSECOND", "outside the years 1 to 9999"),
    ("x.parquet", "INTERVAL 1 DAY", "a column has a type that Parquet lacks"),
])  # fmt: skip
def test_a_value_that_no_file_can_hold_is_refused_and_as_text_written(
    home: Settings, tmp_path: Path, name: str, value: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        frames.write(f"SELECT {value} AS x", tmp_path / name, home=home.home)
    assert list(tmp_path.iterdir()) == []

    assert frames.write(f"SELECT CAST({value} AS VARCHAR) AS x", tmp_path / name, home=home.home) == 1


@pytest.mark.parametrize("form", [[], ["--json"], ["--output", "csv"]])
def test_the_command_refuses_an_instant_past_the_last_one_and_prints_the_last(home: Settings, form: list[str]) -> None:
    last = "SELECT TIMESTAMP '9999-12-31 23:59:59.999999'"
    said = command(home.home, "sql", f"{last} + INTERVAL 1 MICROSECOND", *form)

    assert (said.code, said.out) == (2, "")
    assert "an instant is outside the years 1 to 9999" in said.err
    assert "9999-12-31T23:59:59.999999+00:00" in command(home.home, "sql", last, *form).out


def test_the_command_writes_the_same_file(home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAVRA_HOME", str(home.home))
    frames.write("deliveries", tmp_path / "ours.csv", as_of=AS_OF, days="2026-06-25")
    options = ["--as-of", AS_OF.isoformat(), "--from", "2026-06-25", "--to", "2026-06-25"]
    done = CliRunner().invoke(cli, ["table", "deliveries", str(tmp_path / "theirs.csv"), *options])

    assert done.exit_code == 0
    assert "1 row written" in done.stderr
    assert (tmp_path / "theirs.csv").read_bytes() == (tmp_path / "ours.csv").read_bytes()
    half = CliRunner().invoke(cli, ["table", "deliveries", str(tmp_path / "x.csv"), "--to", "2026-06-25"])
    assert isinstance(half.exception, UsageError)
    assert not (tmp_path / "x.csv").exists()
