"""The map of a lane's pairs as DuckDB makes it and as the home stores it, against the one that the verifier makes.

CAVRA_TEST_EXAMPLES says of how many random histories.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.evidence.pseudonym_key import pseudonyms_of
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.proof.log import entries_of
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.verify import stored_maps
from cavra_pipeline.verify.home import verify_home
from cavra_pipeline.verify.maps import map_entries, verified_map
from cavra_pipeline.verify.prove import map_salt
from cavra_pipeline.verify.prove_pair import prove_pair, store_maps
from cavra_pipeline.verify.stored_maps import StoredMap, current_map, store_map
from tests.oracle.histories import history
from tests.support import AS_OF, NOW, Record, acknowledgement, at, delivery, drop, home_with, ingested, take_in
from tests.verify.bundles import fault_of

EXAMPLES = int(os.environ.get("CAVRA_TEST_EXAMPLES", "1"))
#: Histories that are there before files come one by one.
BEFORE = 8
LANE = LANES["recovery_escalation"]

pytestmark = pytest.mark.timeout(600)


def lay(home: Settings, files: dict[str, list[Record]], place: int) -> Iterator[None]:
    """Lays down one landing file after the other."""
    for name, records in files.items():
        day, _, file_name = name.partition("/")
        drop(home, records, day=day, name=f"{place}-{file_name}")
        yield


def checked(home: Settings, lane: Lane) -> StoredMap:
    """The map of a lane, stored; the same as the verifier makes."""
    with warehouse_of(home).reading() as session, state_of(home).reading() as connection:
        found = current_map(home, session, lane, list(entries_of(connection)), map_salt(pseudonyms_of(home), lane))
        right = verified_map(home, session, lane)
    assert (found.pairs.entries, found.pairs.root()) == (right.entries, right.root()), lane.name
    store_map(home, lane, found)
    return found


@pytest.fixture
def made_whole(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each time that DuckDB made a map since, whether all of it was made."""
    whole: list[bool] = []

    def called(*given: object) -> list[bytes]:
        whole.append(len(given) == 3)
        return map_entries(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(stored_maps, "map_entries", called)
    return whole


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(EXAMPLES))
def test_a_map_is_the_verifiers_whatever_landing_files_came(tmp_path: Path, made_whole: list[bool], seed: int) -> None:
    home = home_with(tmp_path, {})
    for place in range(BEFORE):
        list(lay(home, history(1000 * seed + place, place), place))
    take_in(home)
    for lane in LANES.values():
        checked(home, lane)
    assert made_whole == [True] * len(LANES)

    made_whole.clear()
    for number, _ in enumerate(lay(home, history(1000 * seed + BEFORE, 1), BEFORE)):
        if number % 3:
            continue
        take_in(home)
        for lane in LANES.values():
            checked(home, lane)
    assert False in made_whole, "some maps were brought up to date"
    assert verify_home(home, now=NOW).differences == []


def evidence() -> list[Record]:
    return [delivery(at(100 + n), subject=f"s-{n}", failed=["slack"], session_id=f"d-{n}") for n in range(40)]


def test_only_the_pairs_of_new_files_are_worked_out_again(tmp_path: Path, made_whole: list[bool]) -> None:
    home = ingested(tmp_path, evidence())
    first = checked(home, LANE)
    again = checked(home, LANE)
    assert (made_whole, first.is_new, again.is_new) == ([True], True, False)

    moved = delivery(at(100), subject="s-new", providers=["teams"], session_id="d-0")
    drop(home, [moved, acknowledgement(at(5), subject="s-1"), delivery(at(4), subject="s-2")], name="late.jsonl")
    take_in(home)
    later = checked(home, LANE)
    assert made_whole == [True, False]
    assert len({*later.pairs.entries} - {*first.pairs.entries}) == 3
    assert len({*first.pairs.entries} - {*later.pairs.entries}) == 3, "d-0 has left its subject"
    assert fault_of(prove_pair(home, LANE, "s-0", "slack", as_of=AS_OF)) == ""


def test_stored_maps_of_every_lane_spare_the_first_proof_its_map(tmp_path: Path, made_whole: list[bool]) -> None:
    home = ingested(tmp_path, evidence())
    with state_of(home).reading() as connection:
        entries = list(entries_of(connection))
    store_maps(home)
    assert made_whole == [True] * len(LANES)
    assert {one.name for one in (home.home / "pair_maps").iterdir()} == {f"{lane}.map" for lane in LANES}
    with state_of(home).reading() as connection:
        assert list(entries_of(connection)) == entries, "only a proof enters its map into the log"

    made_whole.clear()
    store_maps(home)
    assert fault_of(prove_pair(home, LANE, "s-0", "slack", as_of=AS_OF)) == ""
    assert made_whole == []


def test_a_file_that_is_read_again_makes_the_whole_map_again(tmp_path: Path, made_whole: list[bool]) -> None:
    home = ingested(tmp_path, evidence())
    checked(home, LANE)
    drop(home, evidence()[1:])
    take_in(home)

    assert len(checked(home, LANE).pairs.entries) == 39
    assert made_whole == [True, True]


@pytest.mark.parametrize("damage", ["cut", "bit", "entry", "gone", "empty"])
def test_a_damaged_map_in_the_home_is_made_again(tmp_path: Path, made_whole: list[bool], damage: str) -> None:
    home = ingested(tmp_path, evidence())
    checked(home, LANE)
    (path,) = (home.home / "pair_maps").iterdir()
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        damaged = {
            "cut": content[:-1],
            "bit": content[:-1] + bytes([content[-1] ^ 1]),
            "entry": content.replace(b'"entry"', b'"dntry"'),
            "empty": b"",
        }
        path.write_bytes(damaged[damage])

    assert checked(home, LANE).is_new
    assert made_whole == [True, True]
    assert path.read_bytes() == content


def test_a_map_of_another_key_or_log_is_made_again(tmp_path: Path, made_whole: list[bool]) -> None:
    homes = [ingested(tmp_path / name, evidence()) for name in ("one", "other")]
    for home in homes:
        checked(home, LANE)
    paths = [home.home / "pair_maps" / f"{LANE.name}.map" for home in homes]
    paths[1].write_bytes(paths[0].read_bytes())

    assert checked(homes[1], LANE).is_new
    assert made_whole == [True, True, True]
