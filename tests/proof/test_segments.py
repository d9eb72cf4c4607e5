"""Bytes of records and roots of segments: SQL against canonical JSON of the export, roots against the definition."""

from __future__ import annotations

import hmac
import json
import random
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from cavra_pipeline.boundary.allowlist import allowlist_of
from cavra_pipeline.boundary.fields import LISTS, Field, Format, Type
from cavra_pipeline.boundary.kinds import COLUMNS, KINDS
from cavra_pipeline.documents import canonical_json
from cavra_pipeline.evidence.export import record_of, stamp
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.proof.merkle import leaf_hash, root_of
from cavra_pipeline.proof.records import record_text
from cavra_pipeline.proof.segments import Segment, changed_after, hash_segments, segments_root
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session
from tests.support import PSEUDONYMS, Record, at, delivery, home_with, plan, take_in

pytestmark = pytest.mark.slow

#: Numbers whose text is the same in canonical JSON and in Python, but for whole ones.
NUMBERS = (0.0, 1.0, 1.5, 15.0, 0.1, 1e15, 123456.789, 0.0001)


def value_of(field: Field, chosen: random.Random) -> Any:
    """A value that passes the boundary as it is."""
    if field.type is Type.TIMESTAMP:
        moment = datetime(2026, 6, 1, tzinfo=UTC) + timedelta(seconds=chosen.randrange(10_000_000))
        return (moment + timedelta(microseconds=chosen.choice((0, 1, 250_000, 999_999)))).isoformat()
    if field.type is Type.NUMBER:
        return chosen.choice(NUMBERS)
    if field.type in (Type.INTEGER, Type.INTEGERS):
        whole = [chosen.choice((0, 1, -1, 200, 2**53 + 1)), 503, None][: chosen.randrange(1, 4)]
        return whole[0] if field.type is Type.INTEGER else whole
    if field.type is Type.BOOLEAN:
        return chosen.random() < 0.5
    if field.words:
        return chosen.choice(field.words)
    text = f"{chosen.choice(('slack', 'jira', 'teams'))}{'_' if field.format is Format.PROVIDER else '-'}x"
    return [text] * chosen.randrange(3) if field.type is Type.STRINGS else text


def object_of(tree: Mapping[str, Any], chosen: random.Random) -> Record:
    """An object with some of its declared members."""
    made: Record = {}
    for key, node in tree.items():
        if chosen.random() < 0.3:
            continue
        if isinstance(node, Field):
            made[key] = value_of(node, chosen)
        elif key.endswith("[]"):
            made[key[:-2]] = [object_of(node, chosen) for _ in range(chosen.randrange(3))]
        else:
            made[key] = object_of(node, chosen)
    return made


def records_of_every_kind() -> Iterable[Record]:
    chosen = random.Random(26)
    for number, kind in enumerate([*KINDS, "x-unknown", None] * 4):
        made = object_of(allowlist_of(kind or "").tree, chosen)
        moment = at(number * 700, microseconds=chosen.choice((0, 5, 500_000)))
        yield {**made, "session_id": f"s-{number:04d}", "created_at": moment.isoformat(), "metadata_kind": kind}


def canonical_value(value: Any) -> Any:
    """Whole numbers without a fraction, as canonical JSON has them."""
    if isinstance(value, dict):
        return {key: canonical_value(one) for key, one in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def canonical_text(row: Mapping[str, Any]) -> str:
    """The bytes of a record by their definition: the export's line, with its members in order."""
    return canonical_json(canonical_value(json.loads(json.dumps(record_of(dict(row)), default=stamp))))


def rows_of(session: Session) -> list[dict[str, Any]]:
    names = [*COLUMNS, *LISTS, "lane"]
    found = session.tuples(f"SELECT {', '.join(names)} FROM evidence")
    return [dict(zip(names, row, strict=True)) for row in found]


def hashed(home: Settings) -> list[Segment]:
    with warehouse_of(home).reading() as session:
        return [one for one in hash_segments(session, changed_after(session, 0), pseudonyms_of(home)) if one.size]


def defined(home: Settings) -> list[Segment]:
    """Every segment by its definition, from rows in Python."""
    with warehouse_of(home).reading() as session:
        rows = rows_of(session)

    def key(row: Mapping[str, Any]) -> tuple[str, date]:
        return row["lane"] or "", row["created_at"].date()

    ordered = sorted(rows, key=lambda row: (*key(row), row["created_at"], row["session_id"].encode()))
    made = []
    for (lane, day), of_segment in groupby(ordered, key=key):
        salt = hmac.digest(PSEUDONYMS.key, b"\xff" + f"{lane}\n{day}".encode(), "sha256")[:16]
        leaves = [canonical_text(row).encode() for row in of_segment]
        root = root_of([leaf_hash(leaf) for leaf in (salt, *leaves)]).hex()
        made.append(Segment(lane, day, len(leaves), root))
    return made


def test_the_text_of_a_record_is_canonical_json_of_its_export(tmp_path: Path) -> None:
    home = home_with(tmp_path, list(records_of_every_kind()))
    take_in(home)
    with warehouse_of(home).reading() as session:
        rows = {row["session_id"]: row for row in rows_of(session)}
        found: dict[object, object] = {}
        for kind in [*KINDS, "x-unknown", None]:
            condition = "metadata_kind IS NULL" if kind is None else f"metadata_kind = '{kind}'"
            texts = session.tuples(f"SELECT session_id, {record_text(kind or '')} FROM evidence WHERE {condition}")
            found |= {str(row[0]): row[1] for row in texts}

    assert len(rows) == 4 * (len(KINDS) + 2)
    assert {name: canonical_text(row) for name, row in rows.items()} == found


@pytest.mark.parametrize("threads", [1, 3])
def test_segments_are_those_of_the_definition(tmp_path: Path, threads: int) -> None:
    home = home_with(tmp_path, list(records_of_every_kind()), threads=threads)
    take_in(home)

    assert hashed(home) == defined(home)
    assert {one.lane for one in hashed(home)} >= {"", "recovery_escalation"}


def test_a_segment_holds_a_day_from_its_first_to_its_last_microsecond(tmp_path: Path) -> None:
    midnight = datetime(2026, 6, 25, tzinfo=UTC)
    moments = [midnight - timedelta(microseconds=1), midnight, midnight + timedelta(days=1, microseconds=-1)]
    home = home_with(tmp_path, [delivery(moment) for moment in [*moments, midnight + timedelta(days=1)]])
    take_in(home)

    assert [(str(one.day), one.size) for one in hashed(home)] == [
        ("2026-06-24", 1),
        ("2026-06-25", 2),
        ("2026-06-26", 1),
    ]


def test_only_the_current_version_of_a_record_is_in_a_segment(tmp_path: Path) -> None:
    old = delivery(at(10), session_id="d")
    home = home_with(tmp_path, {"2026-06-24": [old], "2026-06-25": [old | {"attempt_count": 2}]})
    take_in(home)
    other = home_with(tmp_path / "other", {"2026-06-25": [old | {"attempt_count": 2}]})
    take_in(other)

    assert hashed(home) == hashed(other)
    assert [one.size for one in hashed(home)] == [1]


def test_records_of_one_instant_are_in_order_of_their_ids_by_code_points(tmp_path: Path) -> None:
    names = ["b", "B", "a.1", "a-1", "a"]
    homes = [home_with(tmp_path / str(turn), [delivery(session_id=name) for name in names[::turn]]) for turn in (1, -1)]
    for home in homes:
        take_in(home)

    assert hashed(homes[0]) == hashed(homes[1]) == defined(homes[0])


def test_another_key_makes_other_roots_of_the_same_records(tmp_path: Path) -> None:
    homes = [home_with(tmp_path / name, [plan(session_id="p")]) for name in ("one", "two")]
    homes[1].pseudonym_key.write_bytes(bytes(32))
    for home in homes:
        take_in(home)

    (one,), (two,) = map(hashed, homes)
    assert (one.lane, one.day, one.size) == (two.lane, two.day, two.size)
    assert one.root != two.root


def test_the_root_over_segments_knows_no_empty_ones_and_no_order() -> None:
    day = date(2026, 6, 1)
    two = [Segment("b", day, 1, "bb"), Segment("a", day, 2, "aa")]
    leaves = [
        b'{"day":"2026-06-01","lane":"a","root":"aa","size":2}',
        b'{"day":"2026-06-01","lane":"b","root":"bb","size":1}',
    ]

    assert segments_root(two) == root_of([leaf_hash(leaf) for leaf in leaves]).hex()
    assert segments_root([*two, Segment("c", day, 0, "")]) == segments_root(two[::-1])
    assert segments_root([]) == root_of([]).hex()
