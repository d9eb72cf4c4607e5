"""Rows that wait for their commit come back as they went in, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from cavra_pipeline.errors import PipelineError
from cavra_pipeline.evidence.spill_buffer import ROWS_IN_A_GROUP, SpillBuffer

pytestmark = pytest.mark.slow

#: Small ones, and one that is as large as a row group.
TABLES = [pa.table({"n": list(range(start, start + 1000)), "text": ["x"] * 1000}) for start in (0, 1000, 2000)]
LARGE = pa.table({"n": list(range(10_000, 10_000 + ROWS_IN_A_GROUP)), "text": ["x"] * ROWS_IN_A_GROUP})


@pytest.mark.parametrize("limit_bytes", [0, 3_000_000, 10**9])
def test_rows_come_back_whether_they_went_to_the_file_or_not(tmp_path: Path, limit_bytes: int) -> None:
    with SpillBuffer(tmp_path, limit_bytes) as buffer:
        for table in (*TABLES[:2], LARGE, TABLES[2]):
            buffer.add(table)
        rows = buffer.rows()
        assert rows is not None
        assert rows.read_all().sort_by("n").equals(pa.concat_tables([*TABLES, LARGE]))
        assert list(tmp_path.iterdir()) == []


def test_no_rows_are_no_rows(tmp_path: Path) -> None:
    with SpillBuffer(tmp_path, 0) as buffer:
        assert buffer.rows() is None


def test_a_disk_without_room_is_an_error_that_says_where(tmp_path: Path) -> None:
    with (
        SpillBuffer(tmp_path / "missing", 0) as buffer,
        pytest.raises(PipelineError, match="wait for their commit") as raised,
    ):
        buffer.add(LARGE)
    assert str(tmp_path) in str(raised.value)
