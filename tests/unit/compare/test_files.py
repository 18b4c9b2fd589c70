"""The files of the comparison: each is one of its cases.

The importer takes each as its case describes it.
"""

import pytest

from coordinator.tsung.configuration import read_tsung
from tests.compare.cases import CASES, FILES
from tests.compare.tools import PORT


def test_every_file_is_a_case():
    assert {case.file for case in CASES} == set(FILES.iterdir())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_file_asks_for_the_users_of_its_case(case):
    plan = read_tsung(case.file).plan
    phases = [(phase.arrivals, phase.rate) for phase in plan.phases] or [(plan.max, plan.rate)]

    assert phases == list(case.rates)
    assert plan.target.startswith(f"ws://127.0.0.1:{PORT}/")
