import pytest

from loadgen.capacity import Limit, first_to_give_out, shortfall


def limit(resource: str, connections: int) -> Limit:
    return Limit(resource, connections, detail="as read", mend="raise it")


FILES, PORTS, MEMORY = limit("file_descriptors", 20_000), limit("source_ports", 28_232), limit("memory", 400_000)


def test_the_resource_that_carries_fewest_gives_out_first():
    assert first_to_give_out([MEMORY, FILES, PORTS]) is FILES


def test_of_two_equals_the_first_is_named():
    assert first_to_give_out([FILES, limit("conntrack", 20_000)]) is FILES


def test_nothing_gives_out_where_nothing_was_measured():
    assert first_to_give_out([]) is None
    assert shortfall([], 10**9) is None


@pytest.mark.parametrize(("share", "short"), [(0, None), (20_000, None), (20_001, FILES), (500_000, FILES)])
def test_a_share_is_carried_up_to_the_last_connection(share, short):
    assert shortfall([MEMORY, FILES, PORTS], share) is short
