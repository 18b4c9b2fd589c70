"""The one reason of all connections, and the advice on it."""

import pytest

from coordinator.run.common_end import OTHER_MODE, common_end
from loadgen.stats.reasons import names_of, row_of


def test_the_one_reason_of_all_is_found_with_its_fix():
    found = common_end(100, {"http_404": 100}, {})

    assert (found.reason, found.connections) == ("http_404", 100)
    assert found.advice.startswith("the server answered the upgrade with this status, not with 101")
    assert "`" not in found.advice


@pytest.mark.parametrize(
    ("settled", "failed", "closed"),
    [
        (100, {"http_404": 99}, {"drained": 1}),
        (100, {"http_404": 99}, {}),
        (100, {}, {"drained": 100}),
        (100, {}, {"done": 100}),
        (100, {"no_fd": 100}, {}),
        (0, {}, {}),
    ],
)
def test_there_is_none_where_one_was_served_or_the_server_is_not_to_blame(settled, failed, closed):
    assert common_end(settled, failed, closed) is None


@pytest.mark.parametrize(("failed", "closed"), [({"http_404": 1}, {}), ({}, {"rejected_1008": 1})])
def test_the_own_target_is_named_where_it_may_be_the_server(failed, closed):
    assert OTHER_MODE.replace("`", "") in common_end(1, failed, closed).advice


@pytest.mark.parametrize("kind", ["failed", "closed"])
def test_every_reason_of_a_server_has_advice(kind):
    for reason in names_of(kind):
        row = row_of(kind, reason)
        ends = {"failed": {}, "closed": {}, kind: {reason: 1}}
        found = common_end(1, ends["failed"], ends["closed"])
        blamed = row.is_unexpected and row.fault in ("server", "network")
        assert (found is not None) == blamed
        if found is not None:
            assert row.fix.replace("`", "") in found.advice
