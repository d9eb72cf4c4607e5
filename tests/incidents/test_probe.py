"""A probing run sends one retry, instead of all, to a provider that rejects credentials or is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.incidents.histories import sent
from tests.support import AS_OF, at
from tests.worker.support import Clock, Provider, armed_home, held, worker

LANE = "executive_report"


@pytest.mark.parametrize(
    ("status", "probe", "selected"), [(401, True, 1), (410, True, 1), (503, True, 4), (401, False, 4)]
)
def test_a_probe_selects_one_retry_of_a_broken_provider_and_all_of_others(
    status: int, probe: bool, selected: int, tmp_path: Path
) -> None:
    records = [sent("slack", at(60 - n), LANE, f"s-{n}", status) for n in range(4)]
    records += [sent("teams", at(60 - n), LANE, f"s-{n}", 401) for n in range(2)]
    home = armed_home(tmp_path, records)

    done = worker(home, Provider(Clock(AS_OF)), lane=LANE, live=False, is_probe=probe, max_retry_deliveries=25)

    of = [one["provider"] for one in done["selected_retries"]]
    assert (of.count("slack"), of.count("teams")) == (selected, 2)
    assert held(done) == ({"slack": "provider_incident"} if selected == 1 else {})
