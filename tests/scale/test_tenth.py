"""A tenth of the million, with the target as the judge.

16 agents open 100,000 connections in 33 s, and each is verified.
"""

import pytest

from tests.million.claims import claims_of
from tests.million.drive import drive
from tests.million.options import MillionOptions
from tests.million.phases import phases_of
from tests.million.record import read_record

TENTH = MillionOptions(count=100_000, rate=3000, hold=12, think=9)
"""The hold is longer than the think time, so that the last one to open is pinged too."""


@pytest.mark.timeout(300)
def test_a_tenth_of_the_million(tmp_path):
    with (tmp_path / "coordinator.log").open("w") as log:
        record = read_record(drive(TENTH, tmp_path / "runs", log))

    claims = claims_of(record, phases_of(record))
    assert [claim for claim in claims if not claim.held and not claim.timing] == []
    assert len(record.summary.agents) == 16
    assert {
        kind: found.count for kind, found in record.findings.processes.items() if kind != "target"
    } == {
        "coordinator": 2,  # with the fork server of the agents
        "agents": 16,
        "workers' parents": 16,
        "workers": 16,
    }
