"""The boundary and the shape of a record: types, limits, encodings, timestamps and actor labels, both sides each."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.boundary.parsing import MAX_LINE_BYTES, parse_timestamp
from cavra_pipeline.boundary.search import MAX_DEPTH
from cavra_pipeline.boundary.verdict import Action, Kept, Quarantined, Reason
from cavra_pipeline.errors import UsageError
from tests.evidence.secrets_made_up import canary
from tests.support import PSEUDONYMS, Line, Record, delivery, judged, raw, record, worker_run


def kept(line: Line) -> Kept:
    verdict = judged(raw(line))
    assert isinstance(verdict, Kept), verdict
    return verdict


def why(line: Line) -> tuple[Reason, str | None]:
    verdict = judged(raw(line))
    assert isinstance(verdict, Quarantined), "was kept"
    return verdict.reason, verdict.field


def padded(size: int) -> bytes:
    """A record whose line takes exactly so many bytes."""
    line = raw(delivery(session_id="big", padding=""))
    return line.replace(b'"padding": ""', b'"padding": "' + b"x" * (size - len(line)) + b'"')


# Actor labels


@pytest.mark.parametrize("label", ["a", "7", "a" * 128, "release-governance", "team:ops/on call_2.1", "A:b-c.d e/f"])
def test_a_safe_actor_label_is_kept(label: str) -> None:
    verdict = kept({**delivery(), "signer": label})

    assert (verdict.record["signer"], verdict.findings) == (label, ())


@pytest.mark.parametrize(
    "label", ["a" * 129, "jane.doe@example.com", "-a", " a", ".a", "a\n", "a\tb", "Zoë", "a;b", "<a>", " ", "[a]"]
)
def test_an_unsafe_actor_label_is_stored_as_its_pseudonym_and_found(label: str) -> None:
    verdict = kept({**delivery(), "signer": label})

    assert verdict.record["signer"] == PSEUDONYMS.of_actor(label)
    assert [(found.rule, found.path, found.action) for found in verdict.findings] == [
        ("unsafe-actor-label", "signer", Action.PSEUDONYMISED)
    ]


def test_an_unsafe_actor_in_a_dropped_field_is_found_once_and_the_record_kept() -> None:
    verdict = kept(delivery(generated_by="jane@example.com", extra={"acknowledged_by": " Jane@Example.com"}))
    assert [(found.path, found.action) for found in verdict.findings] == [("generated_by", Action.DROPPED)]

    two = kept(delivery(generated_by="jane@example.com", extra={"acknowledged_by": "joe@example.com"}))
    assert [found.path for found in two.findings] == ["generated_by", "extra.acknowledged_by"]
    signed = kept({**delivery(generated_by="jane@example.com"), "signer": "jane@example.com"})
    assert [(found.path, found.action) for found in signed.findings] == [("signer", Action.PSEUDONYMISED)]
    assert kept(delivery(generated_by="release manager", standby="jane@example.com")).findings == ()


def test_a_caller_s_label_is_accepted_or_refused_without_being_repeated() -> None:
    assert actor_label("a" * 128, where="generated_by") == "a" * 128
    for unsafe in ("a" * 129, "", "jane@example.com", canary("aws long-lived key")):
        with pytest.raises(UsageError, match="generated_by: the label is not public-safe") as raised:
            actor_label(unsafe, where="generated_by")
        assert not unsafe or unsafe not in str(raised.value)


# Required fields and lengths


def test_a_session_id_may_have_512_characters_and_not_513() -> None:
    assert kept({**delivery(), "session_id": "é" * 512}).record["session_id"] == PSEUDONYMS.of_text("é" * 512)
    assert why({**delivery(), "session_id": "é" * 513}) == (Reason.TOO_LONG, "session_id")


@pytest.mark.parametrize("field", ["session_id", "created_at"])
def test_a_required_field_that_is_missing_null_empty_or_blank_is_named(field: str) -> None:
    whole = delivery()

    assert why({key: value for key, value in whole.items() if key != field}) == (Reason.MISSING_FIELD, field)
    for empty in (None, "", "  "):
        assert why({**whole, field: empty}) == (Reason.MISSING_FIELD, field)
    assert why({**whole, field: 7}) == (Reason.WRONG_TYPE, field)


def test_a_line_may_have_4_mib_and_not_a_byte_more() -> None:
    assert MAX_LINE_BYTES == 4 * 1024 * 1024
    assert kept(padded(MAX_LINE_BYTES)).record["session_id"] == "big"
    assert why(padded(MAX_LINE_BYTES + 1)) == (Reason.LINE_TOO_LONG, None)


# JSON


@pytest.mark.parametrize(
    "line",
    ["", "{", "nul", '{"a": 1,}', "{'a': 1}", '{"a": NaN}', '{"a": Infinity}', '{"a": -Infinity}', '{"a": 01}',
     '{"a": 1} {"b": 2}', '{"a": "\t"}', '{"a": .5}', "[1, 2"],
)  # fmt: skip
def test_what_is_not_json_is_quarantined(line: str) -> None:
    assert why(line) == (Reason.NOT_JSON, None)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_json_does_not_have_is_quarantined_wherever_it_stands(literal: str) -> None:
    for field in ("attempt_count", "elsewhere"):
        line = json.dumps({**delivery(), field: 31337}).replace("31337", literal)
        assert why(line) == (Reason.NOT_JSON, None)


@pytest.mark.parametrize("digits", ["1" + "0" * 5000, "-" + "9" * 5000, "1e99999"])
def test_a_number_of_thousands_of_digits_is_dropped_elsewhere_and_never_a_count(digits: str) -> None:
    line = json.dumps({**delivery(), "elsewhere": 31337})

    assert kept(line.replace("31337", digits)).dropped_field_count == 1
    assert why(line.replace("elsewhere", "attempt_count").replace("31337", digits)) == (
        Reason.WRONG_TYPE,
        "attempt_count",
    )


@pytest.mark.parametrize("line", ["[]", '"text"', "7", "null", "true", '[{"session_id": "s"}]'])
def test_json_that_is_no_object_is_quarantined(line: str) -> None:
    assert why(line) == (Reason.NOT_AN_OBJECT, None)


@pytest.mark.parametrize(
    "pair",
    ['"session_id": "other"', '"session_id": "twice"', '"extra": {"a": 1, "a": 1}', '"extra": [{"a": 1, "a": 2}]'],
)
def test_a_key_that_comes_twice_is_quarantined(pair: str) -> None:
    line = json.dumps(delivery(session_id="twice"))[:-1]

    assert why(f"{line}, {pair}}}") == (Reason.DUPLICATE_KEY, None)
    assert kept(f'{line}, "extra": [{{"a": 1}}, {{"a": 1}}]}}').dropped_field_count == 1


def test_bytes_that_are_no_utf8_are_quarantined() -> None:
    line = raw(delivery(event_type="PLACE"))

    assert why(line.replace(b"PLACE", b"\xff")) == (Reason.INVALID_UTF8, None)
    assert why(line.replace(b"PLACE", b"\xed\xa0\x80")) == (Reason.INVALID_UTF8, None)
    assert kept(line.replace(b"PLACE", "é€😀".encode())).record["event_type"] == PSEUDONYMS.of_text("é€😀")


@pytest.mark.parametrize("escape", [r"\ud800", r"\udc00x", r"\udc00\ud800"])
def test_a_lone_surrogate_is_quarantined_where_it_would_be_kept_and_dropped_elsewhere(escape: str) -> None:
    line = json.dumps(delivery(event_type="PLACE")).replace("PLACE", escape)
    assert why(line) == (Reason.INVALID_UTF8, "event_type")

    elsewhere = kept(json.dumps(delivery(extra={"KEY": "PLACE"})).replace("PLACE", escape).replace("KEY", escape))
    assert elsewhere.dropped_field_count == 1
    assert kept(json.dumps(delivery(event_type="PLACE")).replace("PLACE", r"\ud83d\ude00")).line().encode()


def test_a_nul_is_a_control_character_like_any_other() -> None:
    verdict = kept(raw(delivery(event_type="a\0", failed=["slack\0"], signer="ci\0")))

    assert verdict.record["event_type"] == PSEUDONYMS.of_text("a\0")
    assert verdict.record["failed_providers"] == [PSEUDONYMS.of_text("slack\0")]
    assert verdict.record["signer"] == PSEUDONYMS.of_actor("ci\0")
    assert why(raw(delivery(created_at="2026-06-25T10:00:00Z\0"))) == (Reason.BAD_TIMESTAMP, "created_at")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_a_record_may_be_nested_so_deep_and_no_deeper(opening: str, closing: str) -> None:
    def nested(depth: int) -> str:
        return f'{json.dumps(delivery())[:-1]}, "extra": {opening * depth}1{closing * depth}}}'

    assert kept(nested(MAX_DEPTH - 1)).dropped_field_count == 1
    for depth in (MAX_DEPTH, 900, 950, 1_000, 5_000, 100_000):
        assert why(nested(depth)) == (Reason.NOT_JSON, None), depth


# Types


@pytest.mark.parametrize("value", [0, 3, -1, 3.0, 1e3, 2**63 - 1, -(2**63)])
def test_a_whole_number_is_kept_however_it_is_written(value: float) -> None:
    made = kept({**delivery(), "decision_count": value}).record["decision_count"]

    assert made == value
    assert type(made) is int


@pytest.mark.parametrize("value", [3.5, 2**63, -(2**63) - 1, 1e30, True, False, "3", [3], {"n": 3}])
def test_what_is_no_whole_number_of_64_bits_is_quarantined(value: object) -> None:
    assert why({**delivery(), "decision_count": value}) == (Reason.WRONG_TYPE, "decision_count")


@pytest.mark.parametrize("value", [0, 1, "true", [], {}])
def test_what_is_no_boolean_is_quarantined(value: object) -> None:
    assert why({**delivery(), "delivery_success": value}) == (Reason.WRONG_TYPE, "delivery_success")


@pytest.mark.parametrize("value", ["slack", {"slack": 1}, ["slack", 1], [["slack"]], [None], 1, True])
def test_what_is_no_list_of_text_is_quarantined(value: object) -> None:
    assert why({**delivery(), "providers": value}) == (Reason.WRONG_TYPE, "providers")


def test_status_codes_may_hold_null_and_nothing_but_whole_numbers() -> None:
    assert kept(delivery(status_codes=[503, None, 200.0])).record["status_codes"] == [503, None, 200]
    for wrong in (503, ["503"], [True], [503.5], [[503]]):
        assert why(delivery(status_codes=wrong)) == (Reason.WRONG_TYPE, "status_codes")


def test_null_counts_as_absent_in_every_optional_field() -> None:
    empty = dict.fromkeys(delivery(plan_id=None, delivery=None, status_codes=None, attempt_count=None))
    whole: Record = {**empty, **{key: delivery()[key] for key in ("session_id", "created_at", "metadata_kind")}}

    assert kept(whole).findings == ()
    assert kept(delivery(delivery={"deliveries": None})).record["delivery"] == {"deliveries": None}
    assert kept(worker_run(enabled=None)).findings == ()


def test_a_nested_part_of_the_wrong_type_is_named() -> None:
    nested = "recovery_escalation_retry_worker_run"
    assert why(delivery(delivery=[])) == (Reason.WRONG_TYPE, "delivery")
    assert why(delivery(delivery={"deliveries": {}})) == (Reason.WRONG_TYPE, "delivery.deliveries")
    assert why(delivery(delivery={"deliveries": [1]})) == (Reason.WRONG_TYPE, "delivery.deliveries")
    assert why({**worker_run(), nested: {"schedule": "off"}}) == (Reason.WRONG_TYPE, f"{nested}.schedule")
    assert why({**worker_run(), nested: {"schedule": {"enabled": 1}}})[1] == f"{nested}.schedule.enabled"


def test_an_unknown_kind_keeps_its_envelope_and_nothing_else() -> None:
    verdict = kept(record("x-unheard-of", session_id="u-1", decision_count=4, plan_id="p", retry_count=3))

    assert set(verdict.record) == {
        "schema_version", "product", "session_id", "created_at", "signer", "metadata_kind", "decision_count",
    }  # fmt: skip
    assert verdict.dropped_field_count == 2


def test_a_field_of_another_kind_is_dropped() -> None:
    verdict = kept(worker_run(status_codes=[500], dry_run=True))

    assert "status_codes" not in verdict.record
    assert (verdict.record["dry_run"], verdict.dropped_field_count) == (True, 1)


def test_a_quarantined_line_still_says_its_day_if_it_can() -> None:
    dated = judged(raw({**delivery(datetime(2026, 3, 4, 23, 30, tzinfo=UTC)), "decision_count": "x"}))
    undated = judged(raw({**delivery(), "created_at": "soon"}))

    assert isinstance(dated, Quarantined)
    assert isinstance(undated, Quarantined)
    assert (dated.created_at, undated.created_at) == (datetime(2026, 3, 4, 23, 30, tzinfo=UTC), None)


# Timestamps


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-25T10:00:00Z", "2026-06-25T10:00:00"),
        ("2026-06-25T10:00:00", "2026-06-25T10:00:00"),
        ("2026-06-25 10:00:00", "2026-06-25T10:00:00"),
        (" 2026-06-25T10:00:00Z ", "2026-06-25T10:00:00"),
        ("2026-06-25T10:00:00+05:30", "2026-06-25T04:30:00"),
        ("2026-06-25T10:00:00+0530", "2026-06-25T04:30:00"),
        ("2026-06-25T10:00:00-11:45", "2026-06-25T21:45:00"),
        ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00"),
        ("2026-06-25T10:00:00-00:00", "2026-06-25T10:00:00"),
        ("2026-06-25T10:00:00.1Z", "2026-06-25T10:00:00.100000"),
        ("2026-06-25T10:00:00.123456Z", "2026-06-25T10:00:00.123456"),
        ("2026-06-25T10:00:00.123456789Z", "2026-06-25T10:00:00.123456"),
        ("2026-06-25T10:00:00.999999999Z", "2026-06-25T10:00:00.999999"),
        ("2026-06-25T10:00Z", "2026-06-25T10:00:00"),
        ("2026-06-25t10:00:00z", "2026-06-25T10:00:00"),
        ("2026-06-25T10:00:00.5z", "2026-06-25T10:00:00.500000"),
        ("20260625T100000Z", "2026-06-25T10:00:00"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999"),
    ],
)
def test_a_timestamp_is_kept_in_utc_to_the_microsecond(text: str, expected: str) -> None:
    assert kept({**delivery(), "created_at": text}).record["created_at"] == f"{expected}+00:00"
    assert parse_timestamp(text.strip()) == datetime.fromisoformat(f"{expected}+00:00")


@pytest.mark.parametrize(
    "text",
    ["2026-06-25", "2026-06-25T", "10:00:00", "2026-06-25T24:00:00Z", "2026-06-25T24:00:01Z", "2026-06-25T23:60:00Z",
     "2016-12-31T23:59:60Z", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-06-31T00:00:00Z",
     "2026-06-25T10:00:00+24:00", "2026-06-25T10:00:00+14:60", "2026-06-25T10:00:00+01:00:30", "2026-06-25T10:00:00 Z",
     "2026-06-25T10:00:00.Z", "2026-06-25T10:00:00+5", "2026-06-25T10:00:00 UTC", "2026-06-25x10:00:00Z",
     "2026-06-25T10:00:00Z and more", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01",
     "9999-12-31T23:59:59-00:01", "10000-01-01T00:00:00Z", "1782468000", "yesterday at noon",
     "\uff12\uff10\uff12\uff16-06-25T10:00:00", "06/25/2026 10:00:00"],
)  # fmt: skip
def test_what_is_no_timestamp_is_quarantined(text: str) -> None:
    assert why({**delivery(), "created_at": text}) == (Reason.BAD_TIMESTAMP, "created_at")
    with pytest.raises(ValueError, match=r"."):
        parse_timestamp(text)


def test_the_timestamps_of_a_provider_s_delivery_are_checked_too() -> None:
    def attempt(started_at: object) -> Record:
        return delivery(delivery={"deliveries": [{"provider": "slack", "started_at": started_at}]})

    made = kept(attempt("2026-06-25T10:00:00+02:00")).record["delivery"]
    assert made == {"deliveries": [{"provider": "slack", "started_at": "2026-06-25T08:00:00+00:00"}]}
    assert kept(attempt("")).record["delivery"] == {"deliveries": [{"provider": "slack", "started_at": None}]}
    assert why(attempt("noon")) == (Reason.BAD_TIMESTAMP, "delivery.deliveries[].started_at")
    assert why(attempt(1782468000)) == (Reason.WRONG_TYPE, "delivery.deliveries[].started_at")
