"""The fast path lets through, cuts, quarantines and finds exactly what the judge of single lines does.

``CAVRA_FUZZ_LINES`` says how many spoiled lines are tried; by default it is as many as take some seconds.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from cavra_pipeline.boundary.fields import Field, Format, Type
from cavra_pipeline.boundary.kinds import DELIVERY_KIND, KIND_PREFIX, KINDS
from cavra_pipeline.boundary.verdict import Kept, Quarantined
from cavra_pipeline.evidence.validator import LINES, ValidatedLines, Validator
from cavra_pipeline.lanes import LANES
from tests.support import PSEUDONYMS, judged

WORKER_RUN = KIND_PREFIX + "recovery-escalation-retry-worker-run"
SOURCE = LANES["recovery_escalation"].delivery_source
SECRETS = (
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_0123456789abcdefghijABCDEFGHIJ",
    "xoxb-1234567890-abcdefghij",
    "sk-0123456789abcdefghijKLMN",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "https://user:hunter22@example.com/x",
    "Bearer abcdefgh12345678",
    "https://hooks.slack.com/services/T000/B000/XXXX",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "password=correcthorse",
)
TEXTS = (
    "",
    " ",
    "plan-1",
    "Teams",
    "micro-soft",
    "ünïcødé",
    'a"quote',
    "back\\slash",
    "line\nbreak",
    "a: b",
    '":',
    "{",
    "}",
    "null",
    "token",
    "ops@example.com",
    "release governance",
    "x" * 130,
    "x" * 600,
    "0" * 25,
)
#: A family that no rule of ours knows.
DATABRICKS = "da" + "pi" + "2ba694165beaecba9f0c1d2e3b4a5968"
STAMPS = (
    "2026-06-25T10:00:00Z",
    "2026-06-25T10:00:00+05:30",
    "2026-06-25 10:00:00",
    "2026-06-25T10:00:00.123456789-23:59",
    "2026-02-30T00:00:00Z",
    "2026-06-25",
    "",
    " 2026-06-25T10:00:00Z ",
    "20260625T100000Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-06-25T24:00:00Z",
    "2026-06-25T10:00:00+14:60",
    "2026-06-25T10:00:00.Z",
    "2026-06-25T10:00:00 Z",
    "2026-06-25T10:00:60Z",
    "now",
    "2026-06-25T10:00Z",
)
NUMBERS = (0, 1, -1, 200, 503, 3.0, 2.5, -0.0, 1e3, 2**63 - 1, -(2**63), 2**63, 10**30)
SCALARS = (None, True, False, *NUMBERS, *TEXTS, *STAMPS)
EXTRA_KEYS = (
    "note",
    "generated_by",
    "operator",
    "actor",
    "api_key",
    "token_count",
    "request",
    "signer",
    "run_id",
    "Ünknown",
    "provider",
    "delivery",
    "plan_id",
    "schedule",
    "status_codes",
)


@pytest.fixture(scope="module")
def validator() -> Validator:
    return Validator(PSEUDONYMS)


def value_of(field: Field, chance: Random) -> Any:
    if field.format is Format.WORD:
        return chance.choice(field.words)
    match field.type:
        case Type.STRING | Type.ACTOR:
            return chance.choice(
                ("plan-1", "webhook", "service-now", "release-governance", f"id-{chance.randrange(99)}")
            )
        case Type.INTEGER:
            return chance.choice((0, 1, 3, 200, 503))
        case Type.BOOLEAN:
            return chance.random() < 0.5
        case Type.TIMESTAMP:
            return chance.choice(STAMPS[:4])
        case Type.STRINGS:
            return [chance.choice(("webhook", "Teams", "service-now")) for _ in range(chance.randrange(3))]
        case Type.INTEGERS:
            return [chance.choice((200, 503, None)) for _ in range(chance.randrange(3))]


def clean_record(chance: Random) -> dict[str, Any]:
    """A record of one kind with most of its declared fields."""
    kind = chance.choice((DELIVERY_KIND, *KINDS))
    record: dict[str, Any] = {}
    for field in KINDS[kind].fields:
        if not field.required and chance.random() < 0.15:
            continue
        *parents, last = field.path.split(".")
        nodes = [record]
        for parent in parents:
            if parent.endswith("[]"):
                elements = nodes[0].setdefault(parent.removesuffix("[]"), [{} for _ in range(chance.randrange(3))])
                nodes = elements
            else:
                nodes = [node.setdefault(parent, {}) for node in nodes]
        for node in nodes:
            node[last] = value_of(field, chance)
    record["metadata_kind"] = kind
    record["session_id"] = f"s-{chance.randrange(10**6)}"
    if kind == DELIVERY_KIND:
        record["connector_delivery_source"] = chance.choice([lane.delivery_source for lane in LANES.values()])
    return record


def containers(value: Any) -> Iterator[dict[str, Any] | list[Any]]:
    if isinstance(value, dict | list):
        yield value
        for member in list(value.values() if isinstance(value, dict) else value):
            yield from containers(member)


def any_value(chance: Random) -> Any:
    """Some value, a secret among them, at times inside of an object or a list."""
    value = chance.choice((*SCALARS, *SECRETS))
    wrap = chance.randrange(6)
    if wrap == 0:
        return {chance.choice((*EXTRA_KEYS, "url", chance.choice(SECRETS))): value}
    return [value, {"note": value}][: chance.randrange(3)] if wrap == 1 else value


def mutate(record: dict[str, Any], chance: Random) -> None:
    """Changes, removes or adds one thing anywhere in the record."""
    place = chance.choice(list(containers(record)))
    act = chance.randrange(4)
    if isinstance(place, list):
        place.insert(0, any_value(chance)) if act or not place else place.pop()
    elif act == 0 and place:
        del place[chance.choice(list(place))]
    elif act == 1 or not place:
        place[chance.choice(EXTRA_KEYS)] = any_value(chance)
    elif act == 2:
        place[chance.choice(list(place))] = chance.choice((None, *SECRETS[:2], *STAMPS[:6], *NUMBERS[:6]))
    else:
        place[chance.choice(list(place))] = any_value(chance)


def spoil(line: str, chance: Random) -> str:
    """Changes the text of a line in a way that no serialiser would."""
    edits = (
        ('": ', '" : '),
        ('": ', '":\t'),
        (", ", ","),
        ("}", ",}"),
        ("]", ",]"),
        ("true", "True"),
        ("null", "NaN"),
        ("200", "-Infinity"),
        ("200", "1e999"),
        ("200", "0200"),
        ('"s-', '"\\u0073-'),
        (
            "{",
            '{"session_id": "s-1", ',
        ),
        ("{", '{"note": 1, "note": 2, '),
        ("{", '{"note": {"a": 1, "a": 2}, '),
        ("{", "["),
        ("}", ""),
        ("{", "{//c\n"),
        ('"plan', "'plan"),
        ('":', '":":'),
        ('"', '"\\u0000'),
        ('"provider": "', '"provider": "": "'),
        ("200", "2e2"),
        ("200", "200.0"),
        ("200", '"200"'),
        ("", "\ufeff"),
        ("", " "),
    )
    old, new = chance.choice(edits)
    return line.replace(old, new, chance.choice((1, -1))).replace("\n", "")


def lines_of(chance: Random) -> list[str]:
    """Lines of few shapes: clean ones, and ones that differ from them in one to three ways."""
    lines: list[str] = []
    for _ in range(chance.randrange(1, 4)):
        base = clean_record(chance)
        for _ in range(chance.randrange(1, 6)):
            record = json.loads(json.dumps(base))
            for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
                mutate(record, chance)
            separators = chance.choice(((", ", ": "), (",", ":")))
            line = json.dumps(record, ensure_ascii=chance.random() < 0.3, separators=separators)
            lines.append(spoil(line, chance) if chance.random() < 0.2 else line)
    return lines + lines[:1]


def blockwise(table: pa.Table) -> ValidatedLines:
    return Validator(PSEUDONYMS).validate(table)


def report(validated: ValidatedLines) -> tuple[Any, ...]:
    return (
        validated.rows.sort_by("line_number").to_pylist(),
        sorted(validated.quarantined, key=lambda line: line.line_number),
        sorted(validated.findings, key=lambda found: (found.line_number, found.rule, found.path)),
    )


def fuzzed(chance: Random, count: int) -> list[str]:
    """So many lines, all of which are text: a surrogate by itself is none, and never comes out of a file."""
    lines: list[str] = []
    while len(lines) < count:
        lines += [line for line in lines_of(chance) if not re.search("[\ud800-\udfff]", line)]
    return lines


@pytest.mark.timeout(6 * 3600)
@pytest.mark.slow
def test_both_paths_agree_on_every_spoiled_line(validator: Validator) -> None:
    left, seed = int(os.environ.get("CAVRA_FUZZ_LINES", "3000")), int(os.environ.get("CAVRA_FUZZ_SEED", "1"))
    while left > 0:
        lines = fuzzed(Random(seed), min(left, 2000))
        assert_agreement(validator, lines)
        left, seed = left - len(lines), seed + 1


def test_an_escape_has_every_text_looked_at_and_no_more_is_found() -> None:
    for line in fuzzed(Random(2), 500):
        escaped = line.replace("{", '{"zz": "\\u007a", ', 1)
        one, other = (told(judged(text.encode("utf-8", "surrogatepass"))) for text in (line, escaped))
        assert one == other, line


def told(verdict: Kept | Quarantined) -> tuple[object, ...]:
    return (verdict.findings, *((verdict.reason, verdict.field) if isinstance(verdict, Quarantined) else ()))


def assert_agreement(validator: Validator, lines: list[str]) -> None:
    table = pa.table([list(range(1, len(lines) + 1)), lines], schema=LINES)
    rows, quarantined, findings = report(validator.validate(table))
    expected_rows, expected_quarantined, expected_findings = report(validator.judge(table))
    assert quarantined == expected_quarantined, lines
    assert findings == expected_findings, lines
    for row, expected in zip(rows, expected_rows, strict=True):
        assert row == expected, lines[row["line_number"] - 1]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"decision_count": 3.0}, {"decision_count": 2.5}, id="a float that is no whole number"),
        pytest.param(
            {"audit": {"signer": "ops"}}, {"audit": {"signer": "ops@example.com"}}, id="an actor label inside"
        ),
        pytest.param(
            {"zzz": [{"x": []}], "delivery": None}, {"zzz": [], "delivery": {"x": [None]}}, id="the same keys elsewhere"
        ),
        pytest.param({"note": 1}, {"run_id": "run-1"}, id="a field of another kind"),
        pytest.param({"plan_id": None}, {"note": None}, id="another key that is null"),
        pytest.param({"session_id": "s" * 512}, {"session_id": "s" * 513}, id="an identity that is too long"),
        pytest.param({"created_at": "2026-06-25T10:00:00"}, {"created_at": "2026-06-25"}, id="a day without a time"),
        pytest.param(
            {"metadata_kind": WORKER_RUN, "recovery_escalation_retry_worker_run": {"schedule": {"enabled": True}}},
            {"metadata_kind": WORKER_RUN, "recovery_executive_report_schedule_run": {"schedule": {"enabled": True}}},
            id="an object that another kind calls so",
        ),
    ],
)
def test_a_line_is_not_judged_by_another_that_only_looks_alike(
    validator: Validator, first: dict[str, Any], second: dict[str, Any]
) -> None:
    base = {"session_id": "s-1", "created_at": "2026-06-25T10:00:00Z", "metadata_kind": list(KINDS)[2]}
    assert_agreement(validator, [json.dumps({**base, **fields}) for fields in (first, second, first)])


def test_a_key_that_comes_twice_inside_of_a_field_that_is_dropped_is_seen(validator: Validator) -> None:
    base = {"session_id": "s-1", "created_at": "2026-06-25T10:00:00Z", "metadata_kind": list(KINDS)[2]}
    once = json.dumps({**base, "note": {"a": 1, "b": 2}})
    assert_agreement(validator, [once, once.replace('"b"', '"a"')])


def test_a_key_with_a_blank_before_its_colon_is_a_key(validator: Validator) -> None:
    base = {"session_id": "s-1", "created_at": "2026-06-25T10:00:00Z", "metadata_kind": list(KINDS)[2]}
    plain = json.dumps(base)
    assert_agreement(
        validator, [plain, plain.replace("{", '{"note" : 1, '), plain.replace("{", '{"plan_id": ":", "note" :1, ')]
    )


def test_an_element_of_a_delivery_that_is_no_object_is_not_taken_for_one(validator: Validator) -> None:
    base = {"session_id": "s-1", "created_at": "2026-06-25T10:00:00Z", "metadata_kind": DELIVERY_KIND}
    attempt = {"provider": "slack"}
    elements: tuple[Any, ...] = (attempt, "x", 5, None, {})
    lines = [json.dumps({**base, "delivery": {"deliveries": [attempt, element]}}) for element in elements]
    assert_agreement(validator, lines)


def test_clean_records_never_reach_the_slow_path(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = Random(5)
    lines = [json.dumps({**clean_record(Random(chance.randrange(20))), "session_id": f"s-{n}"}) for n in range(500)]
    assert passes_as_it_stands(monkeypatch, lines)


def passes_as_it_stands(monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> bool:
    validator = Validator(PSEUDONYMS)
    monkeypatch.setattr(validator, "judge", lambda table: pytest.fail(f"{len(table)} lines were judged one by one"))
    validated = validator.validate(pa.table([list(range(len(lines))), lines], schema=LINES))
    return bool(sorted(validated.rows["line_number"].to_pylist()) == list(range(len(lines))))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param('"status_codes": [200 , "503"]', id="a blank before a comma"),
        pytest.param('"status_codes": [200,\t2.5]', id="a tab after a comma"),
        pytest.param('"status_codes": [null, 2.5]', id="a fraction after a null"),
        pytest.param('"attempt_count":  "3"', id="two blanks after a colon"),
        pytest.param('"attempt_count":\t"3"', id="a tab after a colon"),
        pytest.param('"attempt_count":-2.5', id="a negative fraction"),
        pytest.param('"attempt_count": 3e0', id="an exponent"),
        pytest.param('"attempt_count": 92233720368547758080', id="a number past 64 bits"),
        pytest.param('"providers": ["slack", 5]', id="a number among strings"),
        pytest.param('"providers": [  5]', id="two blanks in a list"),
        pytest.param('"providers": {"a": 1}', id="an object where a list is declared"),
        pytest.param('"delivery": []', id="a list where an object is declared"),
        pytest.param('"delivery": {"deliveries": {}}', id="an object where a list of objects is declared"),
        pytest.param('"delivery_success": "true"', id="text where a boolean is declared"),
        pytest.param('"plan_id": 5', id="a number where text is declared"),
        pytest.param('"plan_id": "Bearer\u00a0abcdefghij1234"', id="a bearer token after a no-break space"),
        pytest.param('"plan_id": "\u017fecret=abcdefghij"', id="a letter that folds to s"),
        pytest.param('"plan_id": "to\u212aen=abcdefghij"', id="a letter that folds to k"),
        pytest.param('"plan_id": "ap\u0131_key=abcdefghij"', id="a letter that folds to i"),
        pytest.param('"note": 1, "a.b": 2', id="a key outside the allowlist with a dot in it"),
        pytest.param('"note": {"a": {"b": 1}, "c": {"b": 1}}', id="the same key in two objects that are dropped"),
        pytest.param('"note": {"a": {"b": 1, "b": 2}}', id="a key twice deep in what is dropped"),
        pytest.param('"note": 1, "note": 2', id="a key outside the allowlist twice"),
        pytest.param('"plan_id": "p", "plan_id": "q"', id="a declared key twice"),
        pytest.param(", ".join(f'"k{n}": {n}' for n in range(64)), id="64 keys outside the allowlist"),
        pytest.param(", ".join(f'"k{n}": {n}' for n in range(65)), id="65 keys outside the allowlist"),
        pytest.param('"note": ' + "[" * 30 + "]" * 30, id="lists 30 deep"),
        pytest.param('"note": ' + "[" * 31 + "]" * 31, id="lists 31 deep"),
        pytest.param('"status_codes": [' + ", ".join(["200"] * 5000) + "]", id="more elements than there is room for"),
        pytest.param('"attempt_count": ' + "9" * 18, id="a number of 18 digits"),
        pytest.param('"attempt_count": 9223372036854775807', id="the largest whole number"),
        pytest.param('"attempt_count": -9223372036854775808', id="the smallest whole number"),
        pytest.param('"note": 1e', id="a number without its exponent"),
        pytest.param('"note": -', id="a sign without a number"),
        pytest.param('"note": 0.5e+10, "other": -0', id="numbers of every form"),
        pytest.param(
            '"providers": ["Teams ", "tEAMS", "micro-soft", ""], "status_codes": [200, 503, null]',
            id="a provider that is named twice",
        ),
        pytest.param('"providers": ["ÜBER", "Σ"], "failed_providers": ["über"]', id="a provider that is not ASCII"),
        pytest.param('"failed_providers": ["", " "], "delivery_success": true', id="failed providers without a name"),
        pytest.param(
            '"providers": ["a", "b"], "delivery": {"deliveries": [{"provider": "A", "status_code": 1},'
            ' {"provider": "a", "status_code": null}, {"status_code": 5}, {"provider": "b", "status_code": 7}]}',
            id="a provider with two entries, the later without a status",
        ),
        pytest.param('"connector_delivery_source": "' + SOURCE + '", "plan_id": "", "event_id": "e"', id="a subject"),
        pytest.param('"requested_by": "' + "x" * 129 + '"', id="an actor label of 129 characters"),
        pytest.param('"requested_by": "' + "x" * 128 + '"', id="an actor label of 128 characters"),
        pytest.param('"plan_id": null, "plan_id": "p"', id="a declared key twice, first null"),
        pytest.param('"plan_id": "p", "plan_id": null', id="a declared key twice, then null"),
        pytest.param('"Plan_Id": "p", "plan_id": "q"', id="a key that differs by its case"),
        pytest.param('"plan_id": null, "run_id": null', id="nulls"),
        pytest.param('"delivery": null', id="an object that is null"),
        pytest.param('"delivery": {"deliveries": [{"provider": "a", "provider": "b"}]}', id="a key twice in a list"),
        pytest.param('"delivery": {"deliveries": [{"provider": null, "x": 1}, {}]}', id="undeclared in a list"),
        pytest.param('"created_at": "2026-06-25T10:00:00Z"', id="a required key twice"),
        pytest.param('"delivery": {"deliveries": [{"started_at": "2026-06-25t10:00:00z"}]}', id="lower-case letters"),
        pytest.param('"delivery": {"deliveries": [{"started_at": "0001-01-01T00:00:00+01:00"}]}', id="before year 1"),
        pytest.param('"delivery": {"deliveries": [{"started_at": "9999-12-31T23:59:59-01:00"}]}', id="after 9999"),
        pytest.param('"delivery": {"deliveries": [{"started_at": "2026-06-25T10:00:00.1234567Z"}]}', id="7 digits"),
        pytest.param('"delivery": {"deliveries": [{"started_at": "2026-06-25T10:00:00.9999999+05:30"}]}', id="rounds"),
        pytest.param('"attempt_count": 3.0', id="a whole number with a fraction of 0"),
        pytest.param('"plan_id": "' + DATABRICKS + '"', id="a secret that only the scanner knows"),
        pytest.param('"note": "' + DATABRICKS + '"', id="such a secret in what is dropped"),
        pytest.param('"metadata_kind": "x-else", "note": {"a": [1, null]}', id="a kind that is not declared"),
    ],
)
def test_what_the_prefilters_look_for_is_judged_as_the_reference_judges_it(validator: Validator, fields: str) -> None:
    base = {"session_id": "s-1", "created_at": "2026-06-25T10:00:00Z", "metadata_kind": DELIVERY_KIND}
    plain = json.dumps(base)
    others = [plain.replace("{", "{" + fields + ", ", 1), plain[:-1] + ", " + fields + "}"]
    assert_agreement(validator, [plain, *others, plain, others[0].replace(DELIVERY_KIND, "x-else")])


@pytest.mark.parametrize(
    "broken",
    ['{"a" 1}', '{"a": 1 "b": 2}', '{"a": 01}', '{"a": tru}', "[{}", "{} {}", '{"a": 1', "}"],
)
def test_one_line_that_is_no_json_costs_only_itself(validator: Validator, broken: str) -> None:
    plain = json.dumps({"session_id": "s-1", "created_at": "2026-06-25T10:00:00Z", "metadata_kind": DELIVERY_KIND})
    assert_agreement(validator, [plain, broken, plain])


@pytest.mark.parametrize("created_at", ["2026-06-25T10:00:00Z", "2026-06-25t10:00:00z"])
@pytest.mark.parametrize("kind", [{}, {"metadata_kind": None}])
def test_a_record_without_a_kind_is_kept_whichever_path_reads_it(
    validator: Validator, created_at: str, kind: dict[str, None]
) -> None:
    line = json.dumps({"session_id": "s-1", "created_at": created_at, **kind})
    assert_agreement(validator, [line, line])


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_lines_pass_set_wise_whatever_they_end_with(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    assert passes_as_it_stands(monkeypatch, [json.dumps(clean_record(Random(seed))) + ending for seed in range(20)])


@pytest.mark.slow
def test_lines_that_come_in_several_blocks_are_read_like_those_of_one() -> None:
    chance = Random(11)
    lines = [line for _ in range(40) for line in lines_of(chance)]
    table = pa.table([list(range(len(lines))), lines], schema=LINES)
    cuts = [0, 1, 7, 7, 50, len(lines)]
    blocks = [table.slice(first, last - first) for first, last in pairwise(cuts)]
    assert report(blockwise(pa.concat_tables(blocks))) == report(blockwise(table))


@pytest.mark.slow
def test_a_validator_keeps_nothing_of_the_lines_before() -> None:
    chance = Random(12)
    first, second = ([line for _ in range(20) for line in lines_of(chance)] for _ in range(2))
    tables = [pa.table([list(range(len(lines))), lines], schema=LINES) for lines in (first, second)]
    validator = Validator(PSEUDONYMS)
    held = validator.validate(tables[0])
    again = report(validator.validate(tables[1]))
    assert again == report(blockwise(tables[1]))
    assert report(held) == report(blockwise(tables[0]))


@pytest.mark.parametrize(
    "more",
    [
        {"a.b": 1, "c[]": 2},
        {"signer": "someone@example.com", "left": "out"},
        {"plan_id": 'with "quotes" and \\ in it', "left": "out"},
        {"providers": ["Zoë", "İnci", "slack"], "left": {"out": [1]}},
        {"event_id": "two\nlines"},
        {"event_id": "ya29.", "left": "out"},
    ],
)
def test_what_the_slow_path_let_through_is_read_again_with_the_same_rows(
    validator: Validator, more: dict[str, Any]
) -> None:
    stamped = {"session_id": "s-1", "created_at": "2026-06-25T12:00:00+02:00", "metadata_kind": DELIVERY_KIND}
    lines = [json.dumps({**stamped, **more}, ensure_ascii=escaped) for escaped in (True, False)]
    assert_agreement(validator, [*lines, json.dumps(stamped)])


@pytest.mark.parametrize("lines", [['{"a" 1}'], ['{"a" 1}', '{"session_id": "s-1"}']])
def test_lines_of_which_none_is_let_through_leave_no_row(validator: Validator, lines: list[str]) -> None:
    assert_agreement(validator, lines)
    assert len(validator.validate(pa.table([list(range(len(lines))), lines], schema=LINES)).rows) == 0
