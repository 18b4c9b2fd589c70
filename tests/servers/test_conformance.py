"""The quick part of `make conformance`."""

import pytest

from tests.conformance.autobahn import QUICK, ledger_faults, played
from tests.conformance.cell import HELD, PLAIN, cell
from tests.conformance.real import SERVERS
from tests.conformance.verdict import INFORMATIONAL, PASSED


def test_every_quick_case_of_autobahn_passes():
    verdicts, summary = played(QUICK)

    assert [v for v in verdicts if v.outcome not in {PASSED, INFORMATIONAL}] == []
    assert len(verdicts) == 247
    assert ledger_faults(QUICK, summary) == []


@pytest.mark.parametrize("name", [name for name, server in SERVERS.items() if server.quick])
def test_a_real_server_is_loaded(name):
    assert cell(name, PLAIN, users=40) == HELD
