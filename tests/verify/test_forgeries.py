"""Spoiled and forged bundles: a changed bit anywhere, and lies of somebody who holds the key.

A liar with the key can make everything fit together but what an older checkpoint shows. CAVRA_TEST_FORGERIES says how
many bits and how many lies are tried.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from cavra_pipeline.documents import canonical_bytes
from cavra_pipeline.proof.merkle import leaf_hash, root_of
from cavra_pipeline.settings import Settings
from cavra_pipeline.verify.bundle import attested, public_text
from cavra_pipeline.verify.container import pack, unpack
from tests.support import Record, ask_health, ask_plan
from tests.verify.bundles import KEY, Log, Place, bundle_of, by_place, day_of, derived, fault_of, proven

pytestmark = pytest.mark.slow

FORGERIES: Final = int(os.environ.get("CAVRA_TEST_FORGERIES", "40"))
#: How often each lie is told.
SEEDS: Final = 2 + FORGERIES // 50
END: Final = datetime(2026, 11, 24, 20, tzinfo=UTC)
LANES: Final = ("recovery_escalation", "executive_report", "acknowledgement_audit")
#: A bundle of few records, so that many can be checked.
SMALL: Final = "release_closeout"


def flipped(content: bytes, bit: int) -> bytes:
    """The content with one bit changed."""
    at, place = divmod(bit, 8)
    return content[:at] + bytes([content[at] ^ 1 << place]) + content[at + 1 :]


@pytest.mark.parametrize("signer", [KEY, None], ids=["signed", "unsigned"])
def test_a_changed_bit_anywhere_in_a_bundle_is_found(month: Settings, month_log: Log, signer: Any) -> None:
    bundle = bundle_of(month_log, ask_plan(month, SMALL, END), signer)
    assert fault_of(bundle) == ""
    chosen = random.Random(7)
    parts = [(bundle.index(content), len(content)) for content in unpack(bundle).values() if content]
    # As many in each file, and in what is between files.
    places = [8 * start + chosen.randrange(8 * size) for start, size in chosen.choices(parts, k=FORGERIES // 2)]
    places += [chosen.randrange(8 * len(bundle)) for _ in range(FORGERIES - len(places))]

    assert [bit for bit in places if not fault_of(flipped(bundle, bit))] == []


@pytest.mark.parametrize("signer", [KEY, None], ids=["signed", "unsigned"])
def test_a_changed_bit_in_a_file_that_is_packed_again_is_found(month: Settings, month_log: Log, signer: Any) -> None:
    """The archive is whole again, so that no checksum of its own finds the bit first."""
    files = unpack(bundle_of(month_log, ask_plan(month, SMALL, END), signer))
    assert fault_of(pack(files)) == ""
    chosen = random.Random(9)
    names = chosen.choices([name for name, content in files.items() if content], k=FORGERIES)
    changed = [(name, flipped(files[name], chosen.randrange(8 * len(files[name])))) for name in names]

    assert [name for name, content in changed if not fault_of(pack({**files, name: content}))] == []


def test_a_changed_bit_in_the_readers_key_or_checkpoint_is_found(month: Settings, month_log: Log) -> None:
    bundle = bundle_of(month_log, ask_plan(month, SMALL, END))
    key = public_text(month_log.checkpoint.origin, KEY.public_key().public_bytes_raw()).encode()
    note = month_log.note().text.encode()
    assert fault_of(bundle, key=key.decode(), against=note.decode()) == ""

    def is_missed(key: bytes, note: bytes) -> bool:
        try:
            return not fault_of(bundle, key=key.decode(), against=note.decode())
        except UnicodeDecodeError:
            return False

    chosen = random.Random(8)
    # The last byte is the line end, which a copy may lack.
    bits = chosen.sample(range(8 * (len(key) - 1)), min(FORGERIES // 2, 8 * (len(key) - 1)))
    assert [bit for bit in bits if is_missed(flipped(key, bit), note)] == []
    bits = chosen.sample(range(8 * (len(note) - 1)), min(FORGERIES // 2, 8 * (len(note) - 1)))
    assert [bit for bit in bits if is_missed(key, flipped(note, bit))] == []


# --- Somebody who holds the key ---------------------------------------------------------------------------------------

#: Changes the records of a lane; returns whether there was anything to change.
Lie = Callable[[list[Record], random.Random], bool]


def leave_a_failure_out(records: list[Record], chosen: random.Random) -> bool:
    return _leave_out(records, chosen, lambda one: bool(one.get("failed_providers")))


def leave_an_acknowledgement_out(records: list[Record], chosen: random.Random) -> bool:
    return _leave_out(records, chosen, lambda one: "acknowledgement_state" in one)


def leave_a_plan_out(records: list[Record], chosen: random.Random) -> bool:
    subjects = sorted({one[name] for one in records for name in ("plan_id", "run_id", "delivery_id") if name in one})
    subject = chosen.choice(subjects)
    kept = [one for one in records if subject not in one.values()]
    is_changed = len(kept) < len(records)
    records[:] = kept
    return is_changed


def move_a_record(records: list[Record], chosen: random.Random) -> bool:
    one = chosen.choice(records)
    one["created_at"] = (datetime.fromisoformat(one["created_at"]) - timedelta(days=1)).isoformat()
    return True


def call_a_failure_delivered(records: list[Record], chosen: random.Random) -> bool:
    failures = [one for one in records if one.get("failed_providers")]
    if failures:
        chosen.choice(failures).update(failed_providers=[], delivery_success=True)
    return bool(failures)


def _leave_out(records: list[Record], chosen: random.Random, is_meant: Callable[[Record], bool]) -> bool:
    meant = [one for one in records if is_meant(one)]
    if meant:
        records.remove(chosen.choice(meant))
    return bool(meant)


LIES: Final = (
    leave_a_failure_out, leave_an_acknowledgement_out, leave_a_plan_out, move_a_record, call_a_failure_delivered,
)  # fmt: skip


def told(log: Log, lane: str, lie: Lie, chosen: random.Random) -> list[Record] | None:
    """The records of a lane with a lie in them; None where there is nothing to lie about."""
    records: list[Record] = log.records(lane)
    return records if lie(records, chosen) else None


def rewritten(log: Log, lane: str, records: list[Record]) -> Log:
    """The log that would be there, had only these records of the lane ever come."""
    others = [json.loads(one) for place, day in log.days.items() if place[0] != lane for one in day.records]
    everything = {str(one["session_id"]): one for one in [*others, *records]}
    return Log({}).then({}).then(by_place(everything.values()))


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_that_fits_together_is_found_by_an_older_checkpoint(month: Settings, month_log: Log, lie: Lie) -> None:
    """The liar rewrites the log from its beginning, recomputes the report and signs it all."""
    told_count = 0
    for seed in range(SEEDS):
        lane = LANES[seed % len(LANES)]
        report = ask_plan(month, lane, END)
        records = told(month_log, lane, lie, random.Random(seed))
        if records is None:
            continue
        false = rewritten(month_log, lane, records)
        bundle = bundle_of(false, derived(false, report))

        assert fault_of(bundle) == "", "nothing in the bundle itself can show it"
        told_count += 1
        for key in (KEY, None):
            bundle = bundle_of(false, derived(false, report), key)
            fault = fault_of(bundle, against=month_log.note(key).text)
            assert fault.startswith(("history: ", "signature: ")), fault
    assert told_count > 0


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_in_the_lines_of_a_day_is_found_by_the_log(month: Settings, month_log: Log, lie: Lie) -> None:
    """The liar changes records and report and signs them, but leaves the log as the checkpoint has it."""
    told_count = 0
    for seed in range(SEEDS):
        lane = LANES[seed % len(LANES)]
        report = ask_plan(month, lane, END)
        records = told(month_log, lane, lie, random.Random(seed))
        if records is None:
            continue
        false = rewritten(month_log, lane, records)
        days = proven(false, derived(false, report)).days
        fault = fault_of(bundle_of(month_log, derived(false, report), days=days))

        assert fault.startswith("evidence: "), fault
        told_count += 1
    assert told_count > 0


@pytest.mark.parametrize("lane", LANES)
def test_a_changed_member_of_a_report_is_named(month: Settings, month_log: Log, lane: str) -> None:
    """The liar changes what a report says and signs it with the records as they are."""
    for report in (ask_plan(month, lane, END), ask_health(month, lane, END)):
        true = attested(report)
        for seed in range(SEEDS):
            false, path = changed(true, random.Random(seed))
            fault = fault_of(bundle_of(month_log, {**report, **false}))

            assert fault, path
            assert not fault.startswith("file: not as attested"), fault
            if path.split(".")[0].split("[")[0] not in PARAMETERS:
                assert path in fault, (path, fault)


#: Another value makes another report, which the same records don't make either.
PARAMETERS: Final = (
    "max_retry_attempts", "base_retry_delay_minutes", "allow_immediate_retry", "backoff_multiplier",
    "max_retry_delay_minutes", "non_retryable_status_codes", "as_of", "lane", "window_hours",
    "expected_interval_minutes", "stale_metadata_minutes",
)  # fmt: skip


def changed(report: Record, chosen: random.Random) -> tuple[Record, str]:
    """The report with one value changed somewhere, and the path of it."""
    false: Record = json.loads(json.dumps(report))
    node: Any = false
    path = ""
    while True:
        key = chosen.choice(sorted(node) if isinstance(node, dict) else range(len(node)))
        path += f"[{key}]" if isinstance(node, list) else f".{key}"
        if isinstance(node[key], dict | list) and node[key]:
            node = node[key]
            continue
        value = node[key]
        node[key] = value + 1 if type(value) is int else not value if isinstance(value, bool) else f"{value}x"
        return false, path.strip(".")


def test_a_record_in_the_file_of_another_day_is_found(month: Settings, month_log: Log) -> None:
    """Hashed there and committed so: the day of a segment is that of its records."""
    lane = LANES[0]
    records = month_log.records(lane)
    first, last = records[0], records[-1]
    place: Place = (lane, str(last["created_at"])[:10])
    days = {
        **month_log.days,
        place: day_of(*place, [first, *(json.loads(one) for one in month_log.days[place].records)]),
    }
    false = replace(Log({}).then({}), days=days)
    entry = json.loads(month_log.entries[0])
    segments = [{"lane": of[0], "day": of[1], "before": None, "after": false.segment(of)} for of in sorted(days)]
    listed = [{"lane": of[0], "day": of[1], **(false.segment(of) or {})} for of in sorted(days)]
    root = root_of([leaf_hash(canonical_bytes(one)) for one in listed]).hex()
    false = replace(false, entries=(canonical_bytes({**entry, "segments": segments, "segments_root": root}),))

    fault = fault_of(bundle_of(false, ask_plan(month, lane, END)))

    assert fault == f"evidence: the records of {place[1]} are of another day or out of order"


def test_a_day_that_is_left_out_is_named(month: Settings, month_log: Log) -> None:
    report = ask_plan(month, LANES[0], END)
    days = dict(proven(month_log, report).days)
    del days["2026-11-22"]

    fault = fault_of(bundle_of(month_log, report, days=days))

    assert fault == "evidence: days that the log and the bundle don't both have: 2026-11-22"


def test_a_record_of_another_lane_is_found(month: Settings, month_log: Log) -> None:
    lane, other = LANES[:2]
    place = (lane, "2026-11-22")
    records = [one for one in month_log.records(lane) if one["created_at"].startswith(place[1])]
    strange = next(one for one in month_log.records(other) if one["created_at"].startswith(place[1]))
    false = month_log.then({place: [*records, strange]})

    assert fault_of(bundle_of(false, ask_plan(month, lane, END))) == "evidence: it holds records of another lane"


def test_a_report_that_claims_pruned_records_needs_a_pruning_in_the_log(month: Settings, month_log: Log) -> None:
    report = ask_plan(month, LANES[0], END)
    report["evidence_record_count"] += 5
    pruned = {"record_count": 5, "delivery_count": 5}

    assert fault_of(bundle_of(month_log, report, pruned=pruned)) == "log: it names no pruning"
