"""Columns made of bare memory hold what Arrow would have put there."""

import subprocess
import sys
from datetime import date, datetime

import numpy as np
import pyarrow as pa

from cavra_pipeline.warehouse import columns

DAYS = [date(1, 1, 1), date(1969, 12, 31), date(1970, 1, 1), date(9999, 12, 31)]
MOMENTS = [datetime.min, datetime(1970, 1, 1, 0, 0, 0, 1), datetime(2026, 5, 1, 23, 59, 59, 999999), datetime.max]  # noqa: DTZ001, DTZ901


def test_each_kind_comes_back_as_it_was_given() -> None:
    many = [None if n % 3 else n - 2**40 for n in range(100)]
    texts = [None if n % 5 == 1 else "ä\0€" * (n % 4) for n in range(100)]

    assert columns.numbers(many).to_pylist() == many
    assert columns.texts(texts).to_pylist() == texts
    assert columns.texts("ä".encode() for _ in range(2)).to_pylist() == ["ä", "ä"]
    assert columns.days(DAYS).to_pylist() == DAYS
    assert columns.moments(MOMENTS).equals(pa.array(MOMENTS, pa.timestamp("us")))
    assert columns.lists(np.array([7, 8, 9]), np.array([0, 0, 2, 3])).to_pylist() == [[], [7, 8], [9]]
    for made in (columns.numbers(many), columns.texts(texts), columns.days(DAYS), columns.moments(MOMENTS)):
        made.validate(full=True)


def test_no_rows_are_columns_too() -> None:
    empty = columns.lists(np.array([], np.int64), np.array([0]))
    made = columns.table({"n": columns.numbers([]), "t": columns.texts([]), "d": columns.days([]), "l": empty})

    made.validate(full=True)
    assert made.num_rows == 0


def test_they_are_made_without_pandas() -> None:
    asked = (
        "import sys; from cavra_pipeline.warehouse import columns; "
        "columns.table({'n': columns.numbers([1, None]), 't': columns.texts(['a', None])}); "
        "print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False"]
