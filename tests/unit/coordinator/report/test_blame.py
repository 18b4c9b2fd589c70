"""Who is at fault, by the ledger's reasons."""

import pytest

from coordinator.report.blame import culprit


@pytest.mark.parametrize(
    ("reason", "who"),
    [
        ("done", "nobody"),
        ("no_fd", "generator"),
        ("lost", "generator"),
        ("timeout", "network"),
        ("refused", "server"),
        ("http_503", "server"),
        ("server_1006", "server"),
        ("rejected_1008", "server"),
        ("error_KeyError", "session"),
        ("something_new", "unknown"),
    ],
)
def test_each_reason_has_its_culprit(reason, who):
    assert culprit(reason) == who
