"""The quick cases of `make truth`, without their times."""

import pytest

from tests.truth import deliveries, ends, pings  # noqa: F401 -- they fill the table
from tests.truth.case import CASES

SMALL = [name for name, case in CASES.items() if case.small]


@pytest.mark.parametrize("name", SMALL)
def test_what_is_injected_is_counted(name):
    findings = [finding for finding in CASES[name].find() if not finding.tail]

    assert findings
    assert [finding for finding in findings if not finding.held] == []
