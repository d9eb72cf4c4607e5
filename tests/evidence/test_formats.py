"""The declared formats of texts: what an identifier is, both sides of each limit, and the same over whole columns."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cavra_pipeline.boundary.fields import LISTS, Format, Type
from cavra_pipeline.boundary.formats import TextGrade, grade_of, is_actor_label, is_provider
from cavra_pipeline.boundary.kinds import COLUMNS
from cavra_pipeline.evidence.misfits import misfits_in
from cavra_pipeline.evidence.rows import ROW_SCHEMA

WORDS = [
    "plan-0042", "retryPlanId", "HttpRequestId", "cavra.go_backend.rollback_drill", "urn:cavra:plan:0001",
    "n" * 40, "N" * 40, "build20260701", "v1", "x/y@z+1", "20260701T030405Z", "2026-07-01T03:04:05.123456+00:00",
    "plan--1.", "Ab3xY9", "key-" + "0a" * 16,
]  # fmt: skip
PURE = [
    "1", "9" * 32, "0123456789abcdef" * 4, "0123456789ABCDEF", "1b2c3d4e-0000-4444-8888-aabbccddeeff",
    "01J0ZV3K8W9QXB7T2M4N5P6R7S",
    "A2B3C4D5E6F7" * 4 + "ABCD", *("ab12" * (n // 4) for n in (20, 24, 28, 32, 40, 48, 56, 64, 96, 128)),
]  # fmt: skip
NEITHER = [
    "", " ", "two words", "-plan", "_plan", "plan\n", "plän", "a\u200bb", "a\x00b", "https://x.example", "a=b",
    "100%", "a,b", "n" * 41, "N" * 41, "n" * 257, "9" * 33, "ab12" * 4 + "ab", "aB3xY9z", "qzXvBnMwRtYp", "abcDEfgh",
    "q1w2e3r4", "[REDACTED]", "***", "A2B3C4D5E6F7" * 4 + "ABC", "01J0ZV3K8W9QXB7T2M4N5P6R7",
    "81J0ZV3K8W9QXB7T2M4N5P6R7S", "<img>", "![a](b)", "a|b",
]  # fmt: skip


@pytest.mark.parametrize("text", WORDS)
def test_words_and_digests_between_separators_are_an_identifier(text: str) -> None:
    assert grade_of(text) is TextGrade.WORDS


@pytest.mark.parametrize("text", PURE)
def test_digests_and_numbers_alone_are_more_than_an_identifier(text: str) -> None:
    assert grade_of(text) is TextGrade.PURE


@pytest.mark.parametrize("text", NEITHER)
def test_any_other_text_is_no_identifier(text: str) -> None:
    assert grade_of(text) is TextGrade.NONE


def test_an_identifier_has_at_most_256_characters() -> None:
    assert grade_of("plan-" * 51 + "p") is TextGrade.WORDS
    assert grade_of("plan-" * 51 + "pl") is TextGrade.NONE


def test_a_provider_is_judged_by_its_normalised_name_and_by_its_shape() -> None:
    for name in (
        "slack",
        " Service-Now\t",
        "SERVICE_NOW",
        "n" * 64,
        "x" * 30 + "-" + "y" * 33,
        "_",
        "-s3-",
        "k8s-relay7b",
        "hook2prod9xy",
    ):
        assert is_provider(name), name
    for name in (
        "",
        "x" * 30 + "-" + "y" * 34,
        "n" * 65,
        "a b",
        "slack!",
        "zoë",
        "\u212alack",
        "team.s",
        "k3Jx9Qw2Lp8Vn",
        "K8S-RELAY7B",
        "hook2prod9xyz",
    ):
        assert not is_provider(name), name


def test_an_actor_label_may_hold_blanks_and_no_at_sign() -> None:
    assert is_actor_label("release governance")
    assert not is_actor_label("someone@example.com")


def row_with(column: str, value: object) -> pa.Table:
    arrays = [
        pa.array([value if field.name == column else None], field.type)
        if field.name != "line_number"
        else pa.array([1], field.type)
        for field in ROW_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=ROW_SCHEMA)


def is_misfit(column: str, value: object) -> bool:
    return bool(misfits_in(row_with(column, value))[0])


@pytest.mark.parametrize("text", [*WORDS, *PURE])
def test_an_identifier_is_seen_to_fit_over_a_column_too(text: str) -> None:
    assert not is_misfit("plan_id", text)


@pytest.mark.parametrize("text", [text for text in NEITHER if text])
def test_every_column_of_text_is_watched(text: str) -> None:
    for name, field in COLUMNS.items():
        if field.type is Type.STRING:
            assert is_misfit(name, text), name
        elif field.type is Type.STRINGS:
            assert is_misfit(name, ["slack", text]), name
    for column, listed in LISTS.items():
        nothing = dict.fromkeys(member.column for member in listed.members)
        for name in (member.column for member in listed.members if member.type is Type.STRING):
            assert is_misfit(column, [nothing, {**nothing, name: text}]), name


@pytest.mark.parametrize("name", [name for name, field in COLUMNS.items() if field.format is Format.WORD])
def test_a_declared_word_fits_and_another_does_not(name: str) -> None:
    for word in COLUMNS[name].words:
        assert not is_misfit(name, word)
    assert is_misfit(name, "other")
    assert is_misfit(name, COLUMNS[name].words[0].upper())


def test_empty_texts_nulls_and_empty_lists_fit() -> None:
    for value in (None, ""):
        assert not is_misfit("plan_id", value)
    for values in (None, [], [""]):
        assert not is_misfit("providers", values)


_PIECES = st.sampled_from(
    [*WORDS, *PURE, *NEITHER, "A", "z", "7", "Q", "-", "_", ":", "/", "//", ".", "e\u0301", "\u212a"]
)
TEXTS = st.one_of(st.lists(_PIECES, max_size=6).map("".join), st.text(max_size=60))


@given(text=TEXTS)
@settings(max_examples=100)
def test_what_fits_over_a_column_fits_by_itself(text: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text) or not text:
        return
    for column, fits in (("plan_id", grade_of(text) is not TextGrade.NONE), ("provider", is_provider(text))):
        assert fits or is_misfit(column, text), column
    assert is_actor_label(text) or is_misfit("signer", text)
