"""A secret is never seen, whichever way somebody looks."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import traceback

import pytest

from cavra_pipeline.connectors import Connector, Secret, prepare
from tests.connectors.conftest import Configured
from tests.connectors.examples import ALL_PROVIDERS, NOTIFICATION, NOW

CANARY = "CANARY-value-77"


def test_no_way_of_showing_a_secret_shows_its_value() -> None:
    secret = Secret(CANARY)
    for shown in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>40}",
        f"{secret}",
        repr({"a": [secret]}),
    ):
        assert CANARY not in shown
    assert secret.reveal() == CANARY


def test_a_secret_cannot_be_pickled_and_the_refusal_does_not_show_it() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled") as refusal:
            pickle.dumps(Secret(CANARY), protocol)
        assert CANARY not in "".join(traceback.format_exception(refusal.value))


def test_a_secret_cannot_be_written_as_json_and_has_no_dict_to_look_into() -> None:
    with pytest.raises(TypeError) as refusal:
        json.dumps({"token": Secret(CANARY)})
    assert CANARY not in str(refusal.value)
    assert not hasattr(Secret(CANARY), "__dict__")


def test_a_copy_is_still_a_secret() -> None:
    for copied in (copy.copy(Secret(CANARY)), copy.deepcopy(Secret(CANARY))):
        assert repr(copied) == "Secret(***)"
        assert copied == Secret(CANARY)


def test_equal_values_are_equal_secrets_and_a_secret_is_no_string() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    with pytest.raises(TypeError):
        hash(Secret("a"))


@pytest.mark.parametrize("provider", ALL_PROVIDERS)
def test_neither_a_connector_nor_its_request_shows_what_it_carries(provider: str, configured: Configured) -> None:
    connector = configured(provider, "https://example.org/CANARYpath")
    request = prepare(connector, NOTIFICATION, NOW)
    shown = f"{connector!r} {connector} {request!r} {dataclasses.asdict(connector)}"
    assert "CANARY" not in shown
    assert NOTIFICATION.title not in repr(request)
    assert isinstance(connector, Connector)
