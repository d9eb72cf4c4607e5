"""Cleaning of a file's bytes: the same lines wherever the blocks of it are cut."""

from __future__ import annotations

import random

import numpy as np
import pytest

from cavra_pipeline.evidence.content import UnreadableFile
from cavra_pipeline.evidence.encoding import BOM, Cleaner

PIECES = [
    BOM,
    b"\0",
    b"\0\0\0",
    b"\n",
    b"\r\n",
    b'{"a":1}',
    '{"b":"é\uff01😀"}'.encode(),
    b"x",
    b"}",
    b"{",
    b"\xef",
    b"\xbb",
]


def cleaned(data: bytes, size: int) -> tuple[bytes, int]:
    """What becomes of data in blocks of that size, and how many NUL bytes were left out."""
    cleaner, kept = Cleaner(data, "a file"), b""
    for start in range(0, len(data), size):
        block = np.frombuffer(data[start : start + size], np.uint8)
        kept += block.tobytes() if cleaner.is_clean(block) else cleaner.clean(block).tobytes()
    return kept + cleaner.rest().tobytes(), cleaner.nul_count


def test_the_lines_do_not_depend_on_where_blocks_end() -> None:
    chance = random.Random(5)
    for _ in range(2000):
        data = b'{"x' + b"".join(chance.choices(PIECES, k=chance.randint(1, 25)))
        whole = cleaned(data, len(data))
        assert [cleaned(data, size) for size in (1, 2, 3, 7)] == [whole] * 4, data
        assert b"\0" not in whole[0]
        assert whole[1] == data.count(0)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16"])
def test_utf_16_becomes_the_same_utf_8_wherever_blocks_end(encoding: str) -> None:
    text = "".join(f'{{"session_id": "s-{n} é \uff01 😀"}}\r\n' for n in range(50))

    for size in (1, 2, 3, 7, 10_000):
        assert cleaned(text.encode(encoding), size)[0] == text.encode()


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (BOM + b"{}\n", b"{}\n"),
        (b"{}\n" + BOM + b"{}\n", b"{}\n{}\n"),
        (b"{}" + BOM + b"{}", b"{}\n{}"),
        ('{"a": "\ufeff}\ufeff"}'.encode(), '{"a": "\ufeff}\ufeff"}'.encode()),
        (b"\0\0{}\n", b"{}\n"),
        (b"{}\n\0\0{}\n", b"{}\n{}\n"),
        (b"{}\0\0\n{}\n", b"{}\n{}\n"),
        (b"{}\0\0\r\n{}\n", b"{}\r\n{}\n"),
        (b'{"a\0\0{}\n', b'{"a\n{}\n'),
        (b"{}\r{}\r", b"{}\n{}\n"),
        (b"{}\n\r{}", b"{}\n\r{}"),
    ],
)
def test_what_is_left_out_and_where_a_line_ends(data: bytes, kept: bytes) -> None:
    assert cleaned(data, len(data))[0] == kept


@pytest.mark.parametrize(
    "head", ["{}[]".encode("utf-32-le"), "{}[]".encode("utf-32-be"), b"\xff\xfe\0\0", b"\0\0\xfe\xff"]
)
def test_utf_32_is_refused_by_name(head: bytes) -> None:
    with pytest.raises(UnreadableFile, match="its text is UTF-32, not UTF-8"):
        Cleaner(head, "a file")
