"""The boundary and secrets (contract section 3): what must be found, where it is said to be, and what must not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from cavra_pipeline.boundary.formats import TextGrade, grade_of
from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.boundary.search import Search
from cavra_pipeline.boundary.secrets import RULES, SENSITIVE_KEY_CODE, compiled
from cavra_pipeline.boundary.verdict import Action, Finding, Kept, Quarantined, Reason
from tests.evidence.secrets_made_up import HARMLESS, SECRETS
from tests.support import PSEUDONYMS, Record, delivery, judged, raw

FAMILIES = pytest.mark.parametrize(("code", "value"), SECRETS.values(), ids=SECRETS)


def kept(record: Record) -> Kept:
    verdict = judged(raw(record))
    assert isinstance(verdict, Kept), verdict
    return verdict


def quarantined(record: Record) -> Quarantined:
    verdict = judged(raw(record))
    assert isinstance(verdict, Quarantined), verdict
    return verdict


def tells(verdict: Kept | Quarantined) -> set[tuple[str, str, Action]]:
    return {(found.rule, found.path, found.action) for found in verdict.findings}


@FAMILIES
def test_a_secret_in_an_allowlisted_field_is_quarantined_and_found(code: str, value: str) -> None:
    verdict = quarantined(delivery(event_type=value))

    assert (verdict.reason, verdict.field) == (Reason.SECRET, "event_type")
    assert (code, "event_type", Action.QUARANTINED) in tells(verdict)
    assert value not in repr(verdict)


@pytest.mark.parametrize("at_first", ["request", "event_type"])
def test_a_secret_at_two_paths_of_a_record_is_one_finding(at_first: str) -> None:
    code, value = SECRETS["github token"]
    _, other = SECRETS["gitlab token"]
    places = {"request": {"a": value, "b": value, "c": other}, "event_type": value}
    dropped = kept({**delivery(), "request": places["request"]})
    both = {name: places[name] for name in sorted(places, key=lambda name: name != at_first)}

    assert [found.path for found in dropped.findings if found.rule == code] == ["request.a"]
    assert [found.path for found in dropped.findings if found.rule != code] == ["request.c"]
    verdict = quarantined({**{name: value for name, value in delivery().items() if name not in both}, **both})
    assert [found for found in verdict.findings if found.rule == code] == [
        Finding(code, "event_type", Action.QUARANTINED)
    ]


@pytest.mark.parametrize("names", [("run_id", "event_id"), ("event_id", "run_id")])
def test_the_field_named_is_the_first_that_holds_a_secret(names: tuple[str, str]) -> None:
    values = [SECRETS[family][1] for family in ("github token", "gitlab token")]

    assert quarantined({**delivery(), **dict(zip(names, values, strict=True))}).field == names[0]


def test_a_search_shows_nothing_of_the_record_that_it_goes_through() -> None:
    search = Search(frozenset({"session_id", "signer"}))
    search.run({"session_id": "canary-1", "signer": "Canary <two>", "password": "canary-3", "canary-4": 5})

    assert {found.path for found in search.findings} == {"signer", "password"}
    assert "canary" not in repr(search).lower()


@FAMILIES
def test_a_secret_in_a_dropped_field_is_found_and_the_record_is_kept(code: str, value: str) -> None:
    record = delivery(session_id="kept-1", request={"target": value})
    verdict = kept(record)

    assert (code, "request.target", Action.DROPPED) in tells(verdict)
    assert {action for _, _, action in tells(verdict)} == {Action.DROPPED}
    assert verdict.record == {key: value for key, value in record.items() if key != "request"}
    assert verdict.dropped_field_count == 1
    assert value not in repr(verdict)
    assert value not in verdict.line()


@FAMILIES
def test_a_secret_amid_other_words_is_found(code: str, value: str) -> None:
    assert code in {rule for rule, _, _ in tells(kept(delivery(note=f'see "{value}" and retry')))}


@FAMILIES
def test_a_secret_used_as_a_key_is_found_and_the_path_does_not_show_it(code: str, value: str) -> None:
    verdict = kept(delivery(extra={value: 1}))

    assert (code, "extra.*", Action.DROPPED) in tells(verdict)
    assert value not in repr(verdict)


@FAMILIES
def test_a_secret_deep_in_lists_is_found(code: str, value: str) -> None:
    verdict = kept(delivery(extra=[1, [{"deep": ["harmless", value]}]]))

    assert (code, "extra[][].deep[]", Action.DROPPED) in tells(verdict)


@FAMILIES
def test_a_secret_in_an_allowlisted_list_is_quarantined(code: str, value: str) -> None:
    verdict = quarantined(delivery(failed=["slack", value], providers=["slack"]))

    assert verdict.reason is Reason.SECRET
    assert (code, "failed_providers[]", Action.QUARANTINED) in tells(verdict)


@FAMILIES
def test_what_breaks_a_rule_matches_the_prefilter_of_that_rule(code: str, value: str) -> None:
    prefilters = [rule.prefilter for rule in RULES if rule.code == code]
    hits: list[int] = []
    compiled(prefilters).scan(value.encode(), match_event_handler=lambda number, *_: hits.append(number))
    assert hits or code == SENSITIVE_KEY_CODE


@FAMILIES
def test_a_secret_written_with_json_escapes_is_found(code: str, value: str) -> None:
    escaped = "".join(f"\\u{ord(character):04x}" for character in value)
    line = raw(delivery(note="PLACE")).replace(b"PLACE", escaped.encode())

    verdict = judged(line)

    assert isinstance(verdict, Kept)
    assert (code, "note", Action.DROPPED) in tells(verdict)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_text_field_of_every_kind_quarantines_a_secret(kind: str) -> None:
    secret = SECRETS["aws long-lived key"][1]
    texts = [field for field in KINDS[kind].fields if field.type.name == "STRING" and "[]" not in field.path]
    for field in texts:
        record: Record = {"session_id": "s", "created_at": "2026-06-25T10:00:00Z", "metadata_kind": kind}
        node = record
        *parents, last = field.path.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = secret
        if field.path != "metadata_kind":
            assert quarantined(record).field == field.path, field.path


def test_a_webhook_address_in_a_delivery_request_is_dropped_and_the_rest_of_the_delivery_kept() -> None:
    url = SECRETS["teams webhook"][1]
    one: dict[str, Any] = {"provider": "teams", "success": False, "status_code": 503}
    verdict = kept(delivery(failed=["teams"], delivery={"deliveries": [{**one, "request": {"url": url}}]}))

    assert tells(verdict) == {("teams-webhook", "delivery.deliveries[].request.url", Action.DROPPED)}
    assert verdict.record["delivery"] == {"deliveries": [one]}


def test_several_secrets_in_one_value_are_all_found_and_the_same_one_only_once() -> None:
    both = f"{SECRETS['npm token'][1]} {SECRETS['github token'][1]}"

    assert kept(delivery(notes=[both, both])).findings == (
        Finding("github-token", "notes[]", Action.DROPPED),
        Finding("npm-token", "notes[]", Action.DROPPED),
    )


@pytest.mark.parametrize("text", HARMLESS)
def test_text_that_only_looks_like_a_secret_has_no_finding_of_one(text: str) -> None:
    verdict = kept(delivery(event_type=text, extra={"note": text, "notes": [text]}))

    is_identifier = grade_of(text) is not TextGrade.NONE
    assert verdict.record["event_type"] == (text if is_identifier else PSEUDONYMS.of_text(text))
    assert [found.rule for found in verdict.findings] == ([] if is_identifier else ["not-an-identifier"])


@pytest.mark.parametrize(
    "key",
    ["api_key", "api-key", "DD_API_KEY", "apiKey", "token", "x_token_1", "client_secret", "password", "db-password",
     "passwd", "Authorization", "private_key", "credentials", "Cookie"],
)  # fmt: skip
def test_a_value_under_a_key_that_names_a_secret_is_found(key: str) -> None:
    found = kept(delivery(extra={key: "hunter22"}))

    assert tells(found) == {("sensitive-key", f"extra.{key}", Action.DROPPED)}
    assert tells(kept(delivery(extra={key: {"inner": ["hunter22"]}}))) == {
        ("sensitive-key", f"extra.{key}.inner[]", Action.DROPPED)
    }


@pytest.mark.parametrize("value", ["", "[REDACTED]", "redacted", "***", "<hidden>", "xxxx", None, True, False])
def test_a_placeholder_under_a_key_that_names_a_secret_is_none(value: object) -> None:
    assert kept(delivery(extra={"api_key": value, "password": value})).findings == ()


def test_a_number_under_a_token_key_is_a_count_and_under_a_password_key_is_a_secret() -> None:
    assert kept(delivery(extra={"token_count": 4096, "max_tokens": 1.5})).findings == ()
    assert tells(kept(delivery(extra={"password": 123456}))) == {("sensitive-key", "extra.password", Action.DROPPED)}


@pytest.mark.parametrize(
    "key",
    ["monkey_business", "keynote", "key", "author", "session_key_count_", "token_type", "prompt_tokens",
     "authorization_decision", "secrets_found", "x_token_id", "password_age"],
)  # fmt: skip
def test_a_key_that_only_sounds_like_a_secret_is_none(key: str) -> None:
    assert kept(delivery(extra={key: "hunter22"})).findings == ()


@pytest.mark.parametrize(
    "text",
    ["Authorization: {} please", "authorization={} Content-Type: text/plain", "Authorization: {} be",
     "Authorization: Signature {}", "Authorization: {}", "Authorization: {}-x Accept: text/html"],
)  # fmt: skip
def test_an_authorization_is_found_with_or_without_a_scheme_and_before_words(text: str) -> None:
    note = text.format("tWT01NjUjpUu" + "MHwkpu9mq9Ugk9Qgmyjj")
    assert ("authorization-header", "notes", Action.DROPPED) in tells(kept(delivery(notes=note)))


@pytest.mark.parametrize(
    "text",
    ["authorization: granted by operators", "Authorization: OAuth2 access granted", "authorization=approved before",
     "Authorization: [REDACTED] please", "Authorization: Bearer [REDACTED]"],
)  # fmt: skip
def test_words_after_authorization_are_no_secret(text: str) -> None:
    assert kept(delivery(notes=text)).findings == ()


def test_a_key_that_carries_content_is_not_shown_in_a_path() -> None:
    for key in ("ops@example.com", "two words", "a.b", "é", "k" * 129):
        verdict = kept(delivery(extra={key: SECRETS["npm token"][1]}))
        assert tells(verdict) == {("npm-token", "extra.*", Action.DROPPED)}, key
    shown = kept(delivery(extra={"key_" * 32: SECRETS["npm token"][1]}))
    assert tells(shown) == {("npm-token", f"extra.{'key_' * 32}", Action.DROPPED)}


@pytest.mark.parametrize(
    "key",
    ["dap" + "ie208192af09d166b3a7e7f166bc1d234", "sh" + "pat_c58c69c658f956d3bb9547deef426251", "XmHXANzMnIFF",
     "r8" + "_EMfgU5mzQyiMmaj2jQj6f7rCteE3HxeBuCFKN", "h0l1d4y5nobodyknows"],
)  # fmt: skip
def test_a_token_of_no_known_family_used_as_a_key_is_not_shown_in_a_path(key: str) -> None:
    verdict = kept(delivery(extra={key: {"password": "hunter22"}}))

    assert ("sensitive-key", "extra.*.password", Action.DROPPED) in tells(verdict)
    assert key not in repr(verdict)


@pytest.mark.parametrize("key", ["dbPassword", "oauth2_token", "client-secret", "apiKEY", "_token", "X_API_KEY_2"])
def test_a_key_of_words_is_shown_in_a_path(key: str) -> None:
    assert tells(kept(delivery(extra={key: "hunter22"}))) == {("sensitive-key", f"extra.{key}", Action.DROPPED)}


def test_a_secret_in_a_field_of_the_wrong_type_is_still_found() -> None:
    verdict = quarantined(delivery(plan_id={"inner": SECRETS["npm token"][1]}))

    assert (verdict.reason, verdict.field) == (Reason.WRONG_TYPE, "plan_id")
    assert tells(verdict) == {("npm-token", "plan_id.inner", Action.DROPPED)}


def test_an_allowlisted_record_is_kept_whole() -> None:
    record = delivery(failed=["teams"], status_codes=[503, None], attempt_count=2)
    verdict = kept(record)

    assert (verdict.record, verdict.dropped_field_count, verdict.findings) == (record, 0, ())
    assert json.loads(verdict.line()) == record


@pytest.mark.slow
def test_no_line_however_it_is_made_takes_more_than_a_few_steps_for_each_letter() -> None:
    """By a step for each pair of letters, lines of this length would take hours: the limit tells the two apart."""
    code = """
import json
from cavra_pipeline.boundary.judge import judge
from cavra_pipeline.boundary.pseudonyms import Pseudonyms

ENDS = ' user: //x:y@ a://b@ sig= token eyJ .logic.azure. bearer basic splunk sk- SG. '
for piece in ('a', 'a.', 'a://', 'token-', 'secret', 'eyJ', 'sig=', '.logic.azure.0', 'bearer ', 'basic ', 'sk-', ' '):
    record = {'note': piece * (2**19 // len(piece)) + ENDS}
    assert judge(json.dumps(record).encode(), Pseudonyms(bytes(32))).reason == 'missing_field'
print('judged')
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert ran.stdout.split() == ["judged"]
