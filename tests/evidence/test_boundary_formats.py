"""Texts that are not of their declared format, actors and placeholders (contract section 3)."""

from __future__ import annotations

import base64
import json
import re
import warnings
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kingfisher_sdk import Rules

from cavra_pipeline.boundary.fields import Format, Type
from cavra_pipeline.boundary.kinds import KINDS
from cavra_pipeline.boundary.verdict import Action, Finding, Kept, Quarantined
from cavra_pipeline.lanes import ACKNOWLEDGEMENT_STATES
from tests.evidence.secrets_made_up import SECRETS, canary
from tests.support import PSEUDONYMS, REPOSITORY, Record, acknowledgement, delivery, judged, raw

BOUNDARY_FAULTS = REPOSITORY.parent / "shared" / "faults" / "boundary"
NOT_THERE = pytest.mark.skipif(not BOUNDARY_FAULTS.is_dir(), reason="they lie beside the repository: ../shared/faults")
ODD = "two words"


def kept(record: Record) -> Kept:
    verdict = judged(raw(record))
    assert isinstance(verdict, Kept), verdict
    return verdict


def is_stopped(text: str) -> bool:
    """Whether a text is stored nowhere: in an identifier, a list of providers and a provider of a delivery."""
    attempt = {"deliveries": [{"provider": text}]}
    records = (delivery(plan_id=text), delivery(providers=["slack", text]), delivery(delivery=attempt))
    return not any(
        isinstance(verdict := judged(raw(record)), Kept) and json.dumps(text) in json.dumps(verdict.record)
        for record in records
    )


# Pseudonyms


def test_a_text_that_is_no_identifier_is_stored_as_its_pseudonym_and_found() -> None:
    verdict = kept(delivery(plan_id=ODD))

    assert verdict.record["plan_id"] == PSEUDONYMS.of_text(ODD)
    assert re.fullmatch("id-[0-9a-f]{32}", str(verdict.record["plan_id"]))
    assert verdict.findings == (Finding("not-an-identifier", "plan_id", Action.PSEUDONYMISED),)
    assert ODD not in repr(verdict)


def test_equal_texts_have_one_pseudonym_and_others_have_another() -> None:
    one, again, other = (kept(delivery(plan_id=text)).record["plan_id"] for text in (ODD, ODD, "Two words"))
    assert one == again
    assert one != other


def test_a_pseudonym_passes_as_it_is_wherever_it_stands() -> None:
    first = kept({**delivery(plan_id=ODD, providers=[ODD]), "signer": "jane@example.com"})
    second = kept(json.loads(first.line()))

    assert second.record == first.record
    assert second.findings == ()


def test_an_identity_that_is_no_identifier_keeps_its_versions_together() -> None:
    ids = {str(kept(delivery(session_id="an odd identity", attempt_count=n)).record["session_id"]) for n in range(3)}
    assert ids == {PSEUDONYMS.of_text("an odd identity")}


def test_names_of_a_provider_that_are_compared_as_equal_keep_one_name() -> None:
    providers = kept(delivery(providers=["On Call", " on call", "ON CALL"], failed=["on call"])).record
    assert set(providers["providers"]) == {PSEUDONYMS.of_text("on call")}  # type: ignore[call-overload]
    assert providers["failed_providers"] == [PSEUDONYMS.of_text("on call")]


def test_a_provider_that_fits_is_stored_as_it_was_written() -> None:
    verdict = kept(delivery(providers=[" Service-Now", "slack"]))
    assert (verdict.record["providers"], verdict.findings) == ([" Service-Now", "slack"], ())


def test_a_state_that_is_not_declared_is_stored_as_other_without_a_finding() -> None:
    for state in ACKNOWLEDGEMENT_STATES:
        assert kept(acknowledgement(state=state)).record["acknowledgement_state"] == state
    for state in ("Acknowledged", "acknowledged ", "approved", "two words", "<b>"):
        verdict = kept(acknowledgement(state=state))
        assert (verdict.record["acknowledgement_state"], verdict.findings) == ("other", ())
    assert kept(acknowledgement(state="")).record["acknowledgement_state"] == ""


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_text_field_of_every_kind_has_its_format_kept(kind: str) -> None:
    for field in KINDS[kind].fields:
        if field.type is Type.STRING and "[]" not in field.path and field.path != "metadata_kind":
            record: Record = {"session_id": "s", "created_at": "2026-06-25T10:00:00Z", "metadata_kind": kind}
            node: dict[str, Any] = record
            *parents, last = field.path.split(".")
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = ODD
            line = kept(record).line()
            assert ODD not in line, field.path
            assert ("other" if field.format is Format.WORD else PSEUDONYMS.of_text(ODD)) in line, field.path


# Actors


def test_two_people_stay_two_and_one_person_one_in_any_case() -> None:
    labels = ("jane@example.com", " JANE@example.com ", "joe@example.com")
    names = [kept({**delivery(), "signer": label}).record["signer"] for label in labels]
    assert names[0] == names[1] != names[2]
    assert re.fullmatch("actor-[0-9a-f]{32}", str(names[0]))


def test_an_actor_and_an_identifier_of_one_text_have_nothing_in_common() -> None:
    assert PSEUDONYMS.of_text("jane")[-32:] != PSEUDONYMS.of_actor("jane")[-32:]


@pytest.mark.parametrize("code_and_value", SECRETS.values(), ids=SECRETS)
def test_a_secret_in_an_actor_label_is_never_stored(code_and_value: tuple[str, str]) -> None:
    verdict = judged(raw({**delivery(), "signer": code_and_value[1]}))
    assert isinstance(verdict, Quarantined)
    assert verdict.field == "signer"


def test_a_credential_of_words_in_an_actor_label_is_quarantined() -> None:
    for label in ("Bearer 9f86d081884c7d659a2feaa0c55ad015", "basic dXNlcjpwYXNz", "password: correcthorse"):
        verdict = judged(raw({**delivery(), "signer": label}))
        assert isinstance(verdict, Quarantined), label
    assert kept({**delivery(), "signer": "bearer of the report"}).findings == ()


# Placeholders


@pytest.mark.parametrize(
    "text",
    ["https://hooks.slack.com/services/REDACTED", "https://hooks.slack.com/services/[REDACTED]/***",
     "https://x.webhook.office.com/webhookb2/REDACTED", "https://a.logic.azure.com/x?sig=REDACTED",
     "password=[REDACTED]", "https://discord.com/api/webhooks/REDACTED", "[REDACTED]", "***"],
)  # fmt: skip
def test_a_redacted_address_is_no_secret(text: str) -> None:
    assert kept(delivery(extra={"url": text})).findings == ()
    assert [found.rule for found in kept(delivery(plan_id=text)).findings] == ["not-an-identifier"]


def test_half_a_redaction_is_a_secret() -> None:
    text = canary("slack webhook").replace("T0CANARY", "REDACTED")
    assert [found.rule for found in kept(delivery(extra={"url": text})).findings] == ["slack-webhook"]


# The inputs that failed once, and what stops the rest


@NOT_THERE
def test_of_the_known_forms_of_secrets_all_but_two_digests_are_stopped() -> None:
    forms = json.loads((BOUNDARY_FAULTS / "secret-forms.json").read_text(encoding="utf-8"))
    stored = {name for name, text in forms.items() if not is_stopped(text)}
    assert stored == {"mailgun key-", "mailchimp"}


@NOT_THERE
def test_secrets_that_were_once_stored_in_identifiers_no_longer_are() -> None:
    for line in (BOUNDARY_FAULTS / "secrets-in-ids.jsonl").read_text(encoding="utf-8").splitlines():
        assert is_stopped(json.loads(line)["plan_id"])


@NOT_THERE
def test_identifiers_that_only_look_like_secrets_are_not_quarantined() -> None:
    lines = (BOUNDARY_FAULTS / "harmless-ids.jsonl").read_bytes().splitlines()
    verdicts = [judged(line) for line in lines]
    assert not [verdict for verdict in verdicts if isinstance(verdict, Quarantined)]
    assert {found.rule for verdict in verdicts for found in verdict.findings} == {"not-an-identifier"}


@pytest.mark.parametrize("value", [value for _, value in SECRETS.values()], ids=list(SECRETS))
def test_of_an_encoded_secret_only_a_digest_by_its_shape_is_stored(value: str) -> None:
    encoded = value.encode()
    assert is_stopped(base64.b64encode(encoded).decode())
    assert is_stopped("".join(f"%{byte:02X}" for byte in encoded))
    assert is_stopped(encoded.hex()) or len(encoded) * 2 in (20, 24, 28, 32, 40, 48, 56, 64, 96, 128)
    half = len(value) // 2
    assert is_stopped(value[:half]) or is_stopped(value[half:])


def _examples(pattern: str, most: int) -> set[str]:
    """Texts that a pattern of the scanner describes: the same ones each time."""
    flags = 0
    while leading := re.match(r"\(\?([imsx]+)\)", pattern):
        pattern = pattern[leading.end() :]
        flags |= sum({"i": re.I, "m": re.M, "s": re.S, "x": re.X}[letter] for letter in set(leading[1]))
    made: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = re.compile(pattern.replace(r"\z", r"\Z"), flags)
        printable = st.characters(min_codepoint=32, max_codepoint=126)

        @settings(
            max_examples=most, derandomize=True, database=None, phases=[Phase.generate], deadline=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(st.from_regex(compiled, fullmatch=True, alphabet=printable))
        def collect(text: str) -> None:
            made.add(text)

        collect()
    return made


@pytest.mark.parametrize("step", [11, pytest.param(2, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_nine_in_ten_texts_that_the_scanner_s_own_rules_describe_are_stopped(step: int) -> None:
    """The pinned catalogue carries no examples, so they are made from its patterns: zeros and low entropy included."""
    rules = Rules(confidence="low")
    count: Counter[bool] = Counter()
    for rule in rules.metadata()[::step]:
        try:
            examples = _examples(str(rules.detail(rule["id"])["pattern"]), 4)
        except re.error:
            continue
        count.update(is_stopped(text) for text in examples if text.isprintable())
    assert count.total() > 1200 // step
    assert count[True] >= 0.9 * count.total(), count
