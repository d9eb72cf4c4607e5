"""Ingest: which lines go in, from which files, and what is said of the rest."""

from __future__ import annotations

import gzip
import json
from datetime import date, datetime
from pathlib import Path

import pytest
from backports import zstd

from cavra_pipeline.boundary.parsing import MAX_LINE_BYTES
from cavra_pipeline.boundary.verdict import Kept
from cavra_pipeline.evidence.landing import list_drops, shown_name, strays
from tests.support import (
    DAY,
    PSEUDONYMS,
    Record,
    at,
    delivery,
    drop,
    home_with,
    ingested,
    judged,
    query,
    raw,
    record,
    sha256,
    take_in,
    text,
    worker_run,
)

IDS = "SELECT session_id FROM evidence ORDER BY session_id"


def padded(size: int, session_id: str) -> bytes:
    line = raw(delivery(session_id=session_id, padding=""))
    return line.replace(b'"padding": ""', b'"padding": "' + b"x" * (size - len(line)) + b'"')


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.ndjson", "a.jsonl.gz", "a.ndjson.gz", "a.jsonl.zst", "weird name.jsonl"]
)
def test_a_drop_is_read_plain_and_compressed(name: str, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    content = text([delivery(session_id="s-1"), delivery(session_id="s-2")])
    packed = gzip.compress(content) if name.endswith("gz") else zstd.compress(content) if "zst" in name else content
    drop(home, packed, name=name)

    result = take_in(home)

    assert (result.received_count, result.quarantined_count, result.failures) == (2, 0, [])
    assert query(home, IDS) == [("s-1",), ("s-2",)]
    stored = (shown_name(name, PSEUDONYMS), sha256(content), len(content))
    assert query(home, "SELECT file_name, sha256, raw_bytes FROM drops") == [stored]


@pytest.mark.parametrize("others", ["plain", "ünïcødé"])
@pytest.mark.parametrize("bad", [0, 1, 700, 1999])
def test_a_line_that_is_no_utf8_is_found_wherever_it_stands(others: str, bad: int, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    # Two megabytes: with letters beyond ASCII in every line more than is looked at line by line.
    records = [delivery(session_id=f"s-{number}", note=others * 40) for number in range(2000)]
    lines = [json.dumps(one, ensure_ascii=False).encode() for one in records]
    lines[bad] = lines[bad].replace(b'"s-', b'"\xc3-')
    drop(home, b"\n".join(lines))

    take_in(home)

    assert query(home, "SELECT line_number, reason, sha256 FROM quarantine") == [
        (bad + 1, "invalid_utf8", sha256(lines[bad]))
    ]
    assert len(query(home, IDS)) == 1999


def test_several_gzip_members_and_zstd_frames_in_one_file_are_read_to_the_end(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    halves = [text([delivery(session_id=f"s-{number}")]) for number in range(4)]
    drop(home, gzip.compress(halves[0]) + gzip.compress(halves[1]), name="a.jsonl.gz")
    drop(home, zstd.compress(halves[2]) + zstd.compress(halves[3]), name="b.jsonl.zst")

    assert take_in(home).failures == []
    assert query(home, IDS) == [(f"s-{number}",) for number in range(4)]


@pytest.mark.parametrize("name", ["bad.jsonl.gz", "bad.jsonl.zst"])
def test_a_truncated_file_is_named_and_the_rest_goes_in(name: str, tmp_path: Path) -> None:
    content = text([delivery(session_id=f"cut-{number}") for number in range(500)])
    packed = gzip.compress(content) if name.endswith("gz") else zstd.compress(content)
    home = home_with(tmp_path, {f"{DAY}/good.jsonl": [delivery(session_id="good")]})
    drop(home, packed[: len(packed) // 2], name=name)

    result = take_in(home)

    (failure,) = result.failures
    assert str(failure) == (
        f"{DAY}/{name}: the compressed file is damaged or cut short. Copy or export it again, then repeat"
    )
    assert query(home, IDS) == [("good",)]
    assert query(home, "SELECT file_name, error FROM drops WHERE error IS NOT NULL") == [(name, failure.what)]

    drop(home, packed, name=name)
    assert take_in(home).failures == []
    assert query(home, "SELECT count(*) FROM evidence") == [(501,)]


def test_a_drop_that_turns_unreadable_keeps_what_it_brought_and_is_tried_again(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    packed = gzip.compress(text([delivery(session_id="kept")]))
    drop(home, packed, name="a.jsonl.gz")
    take_in(home)
    drop(home, packed[:-9], name="a.jsonl.gz")

    assert len(take_in(home).failures) == len(take_in(home).failures) == 1
    assert query(home, IDS) == [("kept",)]
    assert query(home, "SELECT received_count, accepted_count FROM drop_totals") == [(1, 1)]


def test_an_empty_file_and_a_file_of_blank_lines_bring_nothing_and_fail_nothing(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    for name, content in {
        "empty.jsonl": b"", "blank.jsonl": b"\n \n\r\n\t\n", "empty.jsonl.gz": gzip.compress(b""),
        "bom.jsonl": b"\xef\xbb\xbf",
    }.items():  # fmt: skip
        drop(home, content, name=name)

    result = take_in(home)

    assert (result.received_count, result.failures, len(result.drops)) == (0, [], 4)
    assert query(home, "SELECT count(*), sum(received_count) FROM drops") == [(4, 0)]
    assert take_in(home).unchanged_count == 4


def test_a_home_without_drops_has_an_empty_answer(tmp_path: Path) -> None:
    result = take_in(home_with(tmp_path))

    assert (result.drops, result.received_count, result.touched_days) == ([], 0, set())


def test_line_endings_blank_lines_a_bom_and_a_missing_last_newline_change_no_record_and_no_line_number(
    tmp_path: Path,
) -> None:
    one, two, bad = raw(delivery(session_id="s-1")), raw(delivery(session_id="s-2")), b"not json"
    home = home_with(tmp_path)
    drop(home, b"\xef\xbb\xbf" + one + b"\r\n\r\n  \n" + two + b"\n" + bad + b"\r\n\n" + bad)

    result = take_in(home)

    assert result.received_count == 4
    assert query(home, "SELECT session_id, line_number FROM evidence ORDER BY 1") == [("s-1", 1), ("s-2", 4)]
    assert query(home, "SELECT line_number, sha256, reason FROM quarantine ORDER BY 1") == [
        (5, sha256(bad), "not_json"),
        (7, sha256(bad), "not_json"),
    ]


def test_a_line_of_4_mib_goes_in_and_one_byte_more_is_quarantined(tmp_path: Path) -> None:
    fits, over = padded(MAX_LINE_BYTES, "fits"), padded(MAX_LINE_BYTES + 1, "over")
    home = home_with(tmp_path)
    drop(home, b"".join([fits, b"\r\n", over, b"\r\n", raw(delivery(session_id="after")), b"\n", over]))

    result = take_in(home)

    assert (result.received_count, result.quarantined_count) == (4, 2)
    assert query(home, IDS) == [("after",), ("fits",)]
    assert query(home, "SELECT line_number, reason, sha256 FROM quarantine ORDER BY 1") == [
        (2, "line_too_long", sha256(over)),
        (4, "line_too_long", sha256(over)),
    ]


def test_a_line_far_past_the_limit_has_the_same_digest_wherever_it_stands(tmp_path: Path) -> None:
    over = b"x" * (9 * 1024 * 1024)
    home = home_with(tmp_path, {f"{DAY}/first.jsonl": [over + b"\r", delivery(session_id="after-1")]})
    drop(home, over + b"\n" + raw(delivery(session_id="after-2")), name="second.jsonl")

    take_in(home)

    assert query(home, IDS) == [("after-1",), ("after-2",)]
    assert query(home, "SELECT DISTINCT line_number, reason, sha256 FROM quarantine") == [
        (1, "line_too_long", sha256(over))
    ]


def test_each_bad_line_is_quarantined_with_its_place_and_reason_and_the_rest_goes_in(tmp_path: Path) -> None:
    bad = {
        b"{": "not_json",
        b"[]": "not_an_object",
        b'{"a": 1, "a": 1}': "duplicate_key",
        raw({**delivery(), "session_id": ""}): "missing_field",
        raw({**delivery(), "attempt_count": "x"}): "wrong_type",
        raw({**delivery(), "created_at": "noon"}): "bad_timestamp",
        raw({**delivery(), "session_id": "s" * 513}): "value_too_long",
        raw(delivery(event_type="X")).replace(b'"X"', b'"\xff"'): "invalid_utf8",
        b"[" * 100_000 + b"]" * 100_000: "not_json",
    }
    lines = [line for content in bad for line in (content, raw(delivery()))]
    home = home_with(tmp_path, {DAY: lines})

    result = take_in(home)

    assert (result.received_count, result.quarantined_count) == (2 * len(bad), len(bad))
    assert query(home, "SELECT line_number, sha256, reason FROM quarantine ORDER BY 1") == [
        (2 * number + 1, sha256(content), reason) for number, (content, reason) in enumerate(bad.items())
    ]
    assert query(home, "SELECT count(*) FROM evidence") == [(len(bad),)]


def test_totals_are_what_was_received_in_every_drop(tmp_path: Path) -> None:
    version = delivery(session_id="twice")
    home = ingested(tmp_path, {
        "2026-06-24/a.jsonl": [version, version, delivery(), b"{"],
        "2026-06-25/a.jsonl": [version, b"[]", record("x-unheard-of")],
        "2026-06-25/b.jsonl": [],
    })  # fmt: skip

    assert query(home, "SELECT * FROM drop_totals ORDER BY drop_day, file_name") == [
        (date(2026, 6, 24), "a.jsonl", 4, 1, 2, 1, 0),
        (date(2026, 6, 25), "a.jsonl", 3, 2, 0, 1, 0),
        (date(2026, 6, 25), "b.jsonl", 0, 0, 0, 0, 0),
    ]


def test_unknown_kinds_are_kept_with_their_envelope_and_counted(tmp_path: Path) -> None:
    home = home_with(tmp_path, [record("x-unheard-of", session_id="u", plan_id="p", decision_count=2), delivery()])

    result = take_in(home)

    assert (result.unknown_kind_count, result.quarantined_count, result.dropped_field_count) == (1, 0, 1)
    columns = "decision_count, record_type, lane, plan_id, dropped_field_count"
    assert query(home, f"SELECT {columns} FROM evidence WHERE session_id = 'u'") == [(2, None, None, None, 1)]
    assert query(home, "SELECT unknown_kind_count, dropped_field_count FROM drops") == [(1, 1)]


def test_a_field_of_another_kind_is_not_stored(tmp_path: Path) -> None:
    run = worker_run(at(5), dry_run=True, event_type="not the run's", status_codes=[503], provider="slack")
    home = ingested(tmp_path, [run, delivery(selected_retry_count=4, execution_status="failed")])

    columns = "event_type, status_codes, provider, dropped_field_count"
    assert query(home, f"SELECT {columns} FROM evidence WHERE record_type = 'worker_run'") == [(None, None, None, 3)]
    columns = "selected_retry_count, execution_status, dropped_field_count"
    assert query(home, f"SELECT {columns} FROM evidence WHERE record_type = 'delivery'") == [(None, None, 2)]


def test_a_field_of_another_kind_may_be_of_any_type(tmp_path: Path) -> None:
    lines = [
        worker_run(at(n), provider=value, status_codes=value) for n, value in enumerate([{"a": 1}, "x", 7, [True]])
    ]
    home = home_with(tmp_path, lines)

    assert take_in(home).quarantined_count == 0
    assert query(home, "SELECT count(*), sum(dropped_field_count) FROM evidence") == [(4, 8)]


def test_timestamps_arrive_in_utc_with_their_microseconds(tmp_path: Path) -> None:
    times = ["2026-06-25T10:00:00.123456Z", "2026-06-25T15:30:00.123456+05:30", "2026-06-25T10:00:00.123456789",
             "2026-06-25 02:00:00,123456-0800", "20260625T100000.123456Z"]  # fmt: skip
    home = ingested(tmp_path, [{**delivery(), "created_at": stamp} for stamp in times])

    assert query(home, "SELECT DISTINCT created_at FROM evidence") == [(datetime(2026, 6, 25, 10, 0, 0, 123456),)]  # noqa: DTZ001
    assert query(home, "SELECT count(*) FROM evidence") == [(len(times),)]


#: Of each two records, alike but for a value, one may pass as it stands.
ALIKE: list[tuple[Record, Record]] = [
    ({"decision_count": 3.0}, {"decision_count": 3.5}),
    ({"status_codes": [200.0]}, {"status_codes": [200.5]}),
    ({"decision_count": 1}, {"decision_count": 2**63}),
    ({"decision_count": 1.0}, {"decision_count": 1e300}),
    ({"extra": {"signer": "safe"}}, {"extra": {"signer": "jane@example.com"}}),
    ({"extra": {"generated_by": "safe"}}, {"extra": {"generated_by": "jane@example.com"}}),
    ({"extra": {"reviewed_by": "safe"}}, {"extra": {"reviewed_by": "-"}}),
    ({"signer": "safe"}, {"signer": "jane@example.com"}),
    ({"signer": "safe"}, {"signer": "a" * 129}),
    ({"event_type": "a"}, {"event_type": "\ud800"}),
    ({"extra": {"a": [1, {"b": "c"}]}}, {"extra": {"a": [1, {"b": "whs" + "ec_0123456789abcdef"}]}}),
    ({"delivery": {"deliveries": [{"started_at": "2026-06-25T10:00:00Z"}]}},
     {"delivery": {"deliveries": [{"started_at": "2026-06-25T99:00:00Z"}]}}),
    ({"delivery": {"deliveries": [{"status_code": 500.0}]}},
     {"delivery": {"deliveries": [{"status_code": 500.25}]}}),
    ({"created_at": "2026-06-25T10:00:00Z"}, {"created_at": "2026-06-25T24:00:00Z"}),
    ({"session_id": "a"}, {"session_id": "b" * 513}),
    ({"session_id": "a"}, {"session_id": "  "}),
]  # fmt: skip


def test_a_record_like_one_before_it_is_still_judged_by_its_own_values(tmp_path: Path) -> None:
    """Lines of one shape may be decided together; the reference judge says what each must come to."""
    drops: dict[str, list[bytes]] = {}
    for case, (first, second) in enumerate(ALIKE):
        lines = [raw({**delivery(session_id=f"s-{number}"), **one}) for number, one in enumerate((first, second))]
        drops[f"{case:02}-harmless-first.jsonl"], drops[f"{case:02}-harmful-first.jsonl"] = lines, lines[::-1]
    home = ingested(tmp_path, {f"{DAY}/{name}": lines for name, lines in drops.items()})

    verdicts = {(name, n): judged(line) for name, lines in drops.items() for n, line in enumerate(lines, 1)}
    assert query(home, "SELECT file_name, line_number FROM evidence_records ORDER BY ALL") == sorted(
        place for place, verdict in verdicts.items() if isinstance(verdict, Kept)
    )
    assert query(home, "SELECT file_name, line_number, rule, path, action FROM finding_rows ORDER BY ALL") == sorted(
        (*place, found.rule, found.path, found.action.value)
        for place, verdict in verdicts.items()
        for found in verdict.findings
    )


def test_names_in_the_landing_zone_that_are_no_drops_are_not_read_and_are_told(tmp_path: Path) -> None:
    home = home_with(tmp_path, {f"{DAY}/good.jsonl": [delivery(session_id="good")]})
    for name in (f"{DAY}/notes.txt", f"{DAY}/.hidden.jsonl", "not-a-day/a.jsonl", "2026-02-30/a.jsonl", "loose.jsonl"):
        path = home.landing / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text([delivery(session_id=name)]))

    take_in(home)

    assert query(home, IDS) == [("good",)]
    assert [found.name for found in list_drops(home.landing, PSEUDONYMS)] == [f"{DAY}/good.jsonl"]
    assert strays(home.landing, PSEUDONYMS) == ["2026-02-30", f"{DAY}/notes.txt", "loose.jsonl", "not-a-day"]


def test_only_new_and_changed_drops_are_read_and_a_range_is_read_again(tmp_path: Path) -> None:
    home = home_with(tmp_path, {f"2026-06-2{day}": [delivery(session_id=f"s-{day}")] for day in range(4)})
    assert len(take_in(home).drops) == 4
    assert (len(take_in(home).drops), take_in(home).unchanged_count) == (0, 4)

    drop(home, [delivery(session_id="s-1"), delivery(session_id="more")], day="2026-06-21")
    assert [read.day.day for read in take_in(home).drops] == [21]

    again = take_in(home, first=date(2026, 6, 21), last=date(2026, 6, 22))
    assert [read.day.day for read in again.drops] == [21, 22]
    assert query(home, "SELECT count(*) FROM evidence_records") == [(5,)]


def test_exactly_the_days_that_are_asked_for_are_read(tmp_path: Path) -> None:
    home = home_with(tmp_path, {f"2026-06-2{day}": [delivery(session_id=f"s-{day}")] for day in range(3)})

    assert [read.day.day for read in take_in(home, days=[date(2026, 6, 21), date(2026, 7, 1)]).drops] == [21]
    assert query(home, IDS) == [("s-1",)]


def test_late_evidence_names_the_days_it_touches(tmp_path: Path) -> None:
    late = delivery(at(60 * 24 * 3), session_id="late")
    home = home_with(tmp_path, {DAY: [late, delivery(at(60 * 24), session_id="there")]})
    assert take_in(home).touched_days == {date(2026, 6, 22), date(2026, 6, 24)}
    assert take_in(home).touched_days == set()

    drop(home, [delivery(at(60 * 24 * 5), session_id="late")])
    assert take_in(home).touched_days == {date(2026, 6, 20), date(2026, 6, 22), date(2026, 6, 24)}


def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    ticks: list[int] = []
    home = home_with(tmp_path, {DAY: [delivery() for _ in range(9)]})

    take_in(home, tick=ticks.append)

    assert sum(ticks) == (home.landing / DAY / "evidence.jsonl").stat().st_size


def test_a_delivery_is_kept_with_its_outcome_for_each_provider(tmp_path: Path) -> None:
    attempts = [{"provider": "Splunk", "success": True, "status_code": 200, "started_at": "2026-06-25T10:00:00+02:00"}]
    line = delivery(
        session_id="d", failed=[" Service-Now "], providers=["splunk", "SERVICE_NOW"], status_codes=[200, 503],
        delivery={"deliveries": [{**attempts[0], "request": {"url": "https://x.example"}}]},
    )  # fmt: skip
    home = ingested(tmp_path, [line])

    assert query(home, "SELECT provider, is_failed, status_code FROM delivery_outcomes ORDER BY 1") == [
        ("service_now", True, 503),
        ("splunk", False, 200),
    ]
    (kept,) = query(home, "SELECT to_json(provider_deliveries), dropped_field_count FROM evidence")[0:1]
    assert json.loads(kept[0])[0]["started_at"] == "2026-06-25 08:00:00"
    assert "request" not in kept[0]
    assert kept[1] == 1


def test_lines_without_a_record_among_many_are_passed_over_where_they_stand(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    lines = [raw(delivery(session_id=f"s-{number}")) for number in range(2500)]
    others = {0: b"", 1: b"  \t ", 700: b"\xff", 701: b'{"a": "\xff"}', 2400: b"\r", 2499: b"\xc3"}
    for number, other in others.items():
        lines[number] = other
    drop(home, b"\n".join(lines))

    result = take_in(home)

    assert (result.received_count, result.quarantined_count) == (2497, 3)
    assert query(home, "SELECT line_number, sha256, reason FROM quarantine ORDER BY 1") == [
        (number + 1, sha256(others[number]), "invalid_utf8") for number in (700, 701, 2499)
    ]
    assert query(home, "SELECT session_id, line_number FROM evidence ORDER BY 2") == [
        (f"s-{number}", number + 1) for number in range(2500) if number not in others
    ]
