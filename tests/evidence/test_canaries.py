"""Thousands of made-up secrets through every place and medium: no byte of one comes out (contract section 3)."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cavra_pipeline.boundary.fields import Field, Type
from cavra_pipeline.boundary.kinds import DELIVERY_KIND, KINDS
from cavra_pipeline.lanes import LANES
from tests.cli.command import command, process
from tests.evidence.secrets_made_up import SECRETS
from tests.support import DAY, Record, home_with, query

#: In every canary, and nowhere else.
MARK = "x9Qv7"
#: A rule needs its prefix; what comes after it is what varies.
_TAIL = "q7Zr2Xw9Lm4Tb6"
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"
FORMS = ("{}", "{}", "see {} there", "x-{}", "{}/1", "{},{}")
TEXTS = (Type.STRING, Type.STRINGS, Type.ACTOR)


def canaries(count: int) -> list[str]:
    """Secrets of every family that follow one another in their tails only."""
    chance = Random(9)
    kinds = [value for _, value in SECRETS.values() if _TAIL in value]
    made = []
    for number in range(count):
        tail = MARK + "".join(
            chance.choice("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789") for _ in range(9)
        )
        made.append(kinds[number % len(kinds)].replace(_TAIL, tail))
    return made


def place(record: Record, field: Field, value: str) -> None:
    """Puts a text into a field of a record, in a list where the field is one."""
    node: Any = record
    *parents, last = field.path.split(".")
    for key in parents:
        node = node.setdefault(key.removesuffix("[]"), [{}] if key.endswith("[]") else {})
        node = node[0] if isinstance(node, list) else node
    node[last] = ["slack", value] if field.type is Type.STRINGS else value


def lines_with(values: list[str]) -> list[bytes]:
    """A line for each canary: in every text field of every kind in turn, or outside the allowlist."""
    places = [(kind.name, field) for kind in KINDS.values() for field in kind.fields if field.type in TEXTS]
    lines = []
    for number, value in enumerate(values):
        text = FORMS[number % len(FORMS)].format(value, value)
        record: Record = {
            "session_id": f"s-{number}",
            "created_at": f"{DAY}T10:00:00Z",
            "metadata_kind": DELIVERY_KIND,
            "signer": "ops",
        }
        if number % 4 == 3:
            outside: list[Any] = [
                {"note": text},
                {text: 1},
                {"a": [[{"b": text}]]},
                {"db_password": text},
                {"sent_by": text},
            ]
            record["elsewhere"] = outside[number // 4 % len(outside)]
        else:
            kind, field = places[number % len(places)]
            record["metadata_kind"] = kind
            place(record, field, text)
        lines.append(json.dumps(record, ensure_ascii=number % 7 > 0).encode())
        if number % 50 == 0:
            lines.append(lines[-1][:-3])
    return lines


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_byte_of_a_canary_comes_out_in_any_place_or_medium(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """CAVRA_TEST_CANARIES says how many; none is in the home's files, Dagster's among them, nor in any answer."""
    caplog.set_level(logging.DEBUG)
    values = canaries(int(os.environ.get("CAVRA_TEST_CANARIES", "1000")))
    source = tmp_path / "source.jsonl"
    source.write_bytes(b"\n".join(lines_with(values)))
    home = home_with(tmp_path, is_new=True)

    until = ["--as-of", f"{DAY}T12:00:00Z"]
    reports = [[report, "--lane", lane] for report in ("retry-health", "retry-plan") for lane in LANES]
    answers = [
        command(home.home, *words)
        for words in (
            ["import", str(source)],
            ["ingest"],
            *([name, *form] for name in ("quarantine", "findings") for form in ([], ["--json"])),
            ["export", "--all"],
            ["dashboard"],
            *([*report, *until, *form] for report in reports for form in ([], ["--json"])),
            ["escalate", *until],
            ["executive-report", *until, "--output", "html"],
            ["worker", "--lane", "recovery_escalation"],
        )
    ]
    answers.append(process(home.home, "refresh", "--from", DAY, "--to", DAY))

    assert [answer.err for answer in answers if answer.code] == []
    assert query(home, "SELECT count(*) FROM quarantine")[0][0] >= len(values) // 4
    assert query(home, "SELECT count(*) FROM evidence")[0][0] >= len(values) // 4
    said = capfd.readouterr()
    for name, text in [("output", said.out), ("errors", said.err), ("log", caplog.text)]:
        assert MARK not in text, name
    for answer in answers:
        assert MARK not in answer.out + answer.err
    held = [path for path in home.home.rglob("*") if path.is_file() and MARK.encode() in path.read_bytes()]
    assert held == []
