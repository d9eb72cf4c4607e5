"""The ways to ask for a report: command line, HTTP, Dagster. A question is an entry of a case's `queries.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from cavra_pipeline.reports.store import REQUESTED_AS, SavedReports, list_reports
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from tests.cli.command import command
from tests.dagster_tests.runs import DAY, run

Question = Mapping[str, Any]

#: Reports that are made for each lane.
OF_A_LANE: Final = ("retry-plan", "retry-health")


def options(arguments: Mapping[str, Any]) -> list[str]:
    """A question's arguments as a user types them."""
    typed: list[str] = []
    for name, value in arguments.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            typed += [option] if value else []
        elif isinstance(value, list):
            for one in value:
                typed += [option.removesuffix("s"), str(one)]
        else:
            typed += [option, str(value)]
    return typed


def on_the_command_line(home: Path, question: Question) -> dict[str, Any]:
    """What the command prints with `--json`."""
    lane = ["--lane", question["lane"]] if question["report"] in OF_A_LANE else []
    asked = [question["report"], *lane, "--as-of", question["as_of"], "--json", *options(question["args"])]
    said = command(home, *asked)
    assert (said.code, said.err) == (0, ""), asked
    return dict(said.document)


def over_http(client: httpx.Client, question: Question) -> dict[str, Any]:
    """What the API answers; a plan is previewed and made, and both must be alike."""
    report, params = question["report"], {"as_of": question["as_of"], **question["args"]}
    if report not in OF_A_LANE:
        return _answered(client.get(f"/api/v1/{report}", params=params))
    path = f"/api/v1/lanes/{question['lane']}/{report.removeprefix('retry-')}"
    answer = dict(_answered(client.get(path, params=params))[report.removeprefix("retry-")])
    if report == "retry-plan":
        body = {"as_of": question["as_of"], "retry_policy": question["args"]}
        assert _answered(client.post(path, json=body))["plan"]["retry_plan_id"] == answer["retry_plan_id"]
    return answer


def _answered(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return dict(response.json())


def in_dagster(settings: Settings, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """What the assets' saved reports hold after one run; no two questions may be about one report of one lane."""
    names = [(question["report"].replace("-", "_"), question.get("lane")) for question in questions]
    assert len(set(names)) == len(names)
    config = {
        "_".join(filter(None, (lane, report))): {**question["args"], "as_of": question["as_of"]}
        for (report, lane), question in zip(names, questions, strict=True)
    }
    assert run(settings, assets=list(config), config=config).success
    return [_newest(settings, report, lane) for report, lane in names]


def _newest(settings: Settings, report: str, lane: str | None) -> dict[str, Any]:
    """The document that was saved last, as a day's own report or as one that somebody asked for."""
    found = [
        one
        for saved_as in (report, REQUESTED_AS[report])
        for one in list_reports(
            state_of(settings), SavedReports(report=saved_as, lane=lane, first=DAY, last=DAY), with_documents=True
        )
    ]
    return dict(max(found, key=lambda one: one["generated_at"])["document"])
