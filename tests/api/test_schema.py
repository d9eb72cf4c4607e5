"""Every endpoint against the OpenAPI document, with requests that schemathesis makes up, valid and not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
)

from cavra_pipeline.api.app import create_app
from cavra_pipeline.api.service import Service
from tests.api.server import NoDagster, Served, served, token_file
from tests.support import acknowledgement, delivery, ingested, plan, worker_run

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("CAVRA_TEST_API_EXAMPLES", "2"))
_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    positive_data_acceptance,
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    folder = tmp_path_factory.mktemp("schema")
    tokens, made = token_file(folder, tester="read plan acknowledge live")
    home = ingested(
        folder,
        [delivery(failed=["slack"]), acknowledgement(), plan(), worker_run()],
        api_tokens_file=tokens,
    )
    with served(home, dagster=NoDagster()) as one:
        yield one, made["tester"]


def _operations() -> dict[str, APIOperation[Any, Any, Any, Any]]:
    """Every operation of the document, as the service serves it."""
    app = create_app(Service, hosts=None, requests_per_second=1)  # type: ignore[arg-type]  # not opened
    document = json.loads(app.openapi())
    found = [one.ok() for one in schemathesis.openapi.from_dict(document).get_all_operations() if isinstance(one, Ok)]
    return {one.label: one for one in found}


OPERATIONS = _operations()
#: Ends of operations that refuse some of what fits their schema.
_FREE = ("/acknowledgements", "/closures", "/silences", "/schedule-run", "/deliver", "retry-worker-run")


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_meets_a_server_error_an_undocumented_status_or_another_shape(
    service: tuple[Served, str], label: str, mode: GenerationMode
) -> None:
    one, token = service
    try:
        cases = OPERATIONS[label].as_strategy(generation_mode=mode)
        cases.validate()
    except Exception as error:  # noqa: BLE001 -- schemathesis has several ways to say that nothing can be wrong here
        pytest.skip(f"nothing to send: {type(error).__name__}")

    @given(case=cases)
    @settings(max_examples=EXAMPLES, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    def ask(case: Case[Any]) -> None:
        # Which states a lane knows, what an id may not hold, which connectors and lanes are on: no schema says.
        free = label.endswith(_FREE) or label == "POST /api/v1/refresh"
        checks = [check for check in _CHECKS if not free or check is not positive_data_acceptance]
        # Of a parameter that is given twice the last counts, as in CAVRA.
        if label.startswith(("GET /evidence", "GET /runtime")):
            checks.remove(negative_data_rejection)
        # A request that is wrong by having no token stays so; all others get the one that holds.
        has_token = mode is GenerationMode.POSITIVE or "Authorization" in (case.headers or {})
        headers = {"Authorization": f"Bearer {token}"} if has_token else {}
        response = case.call(base_url=one.url, headers=headers)
        if (
            response.status_code == 413 and negative_data_rejection in checks
        ):  # a refusal too, which the check does not list
            checks.remove(negative_data_rejection)
        case.validate_response(response, headers=headers, checks=checks)

    try:
        ask()
    except Unsatisfiable:
        pytest.skip("nothing to send")
