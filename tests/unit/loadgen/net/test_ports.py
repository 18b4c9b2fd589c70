"""The pairs of a worker's ports, and the texts that describe addresses and ports."""

import socket
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.machine.addresses import DEFAULT_PORTS
from loadgen.net.ports import SourcePorts, pairs_before

ADDRESSES = ("10.0.0.1", "10.0.0.2", "fd00::3")


def everything(ports):
    """Returns all pairs that are left, without giving one back."""
    return list(iter(ports.take, None))


def test_pairs_are_counted_up_through_each_address_in_turn():
    ports = SourcePorts(("10.0.0.1", "10.0.0.2"), range(2000, 2002))

    assert everything(ports) == [
        ("10.0.0.1", 2000),
        ("10.0.0.1", 2001),
        ("10.0.0.2", 2000),
        ("10.0.0.2", 2001),
    ]
    assert (len(ports), ports.in_use) == (4, 4)


def test_start_says_where_counting_begins():
    ports = SourcePorts(("10.0.0.1", "10.0.0.2"), range(2000, 2002), start=7)

    assert [port for _, port in everything(ports)] == [2001, 2000, 2001, 2000]


def test_pairs_given_back_come_after_never_used_ones_oldest_first_and_skipped_ones_last():
    ports = SourcePorts(("10.0.0.1",), range(2000, 2004))
    first, second, third = (ports.take() for _ in range(3))
    ports.skip(first)
    ports.give_back(third)
    ports.give_back(second)

    assert (ports.in_use, ports.skipped) == (0, 1)
    assert everything(ports) == [("10.0.0.1", 2003), third, second, first]
    assert (ports.in_use, ports.skipped) == (4, 0)


def test_reserved_ports_are_left_out():
    ports = SourcePorts(
        ("10.0.0.1", "10.0.0.2"), range(2000, 2004), reserved=frozenset({2001, 2002, 9999})
    )

    assert [port for _, port in everything(ports)] == [2000, 2003, 2000, 2003]
    assert len(ports) == 4


@pytest.mark.parametrize(
    "ports",
    [
        SourcePorts((), DEFAULT_PORTS, start=5),
        SourcePorts(("10.0.0.1",), range(2000, 2002), worker=2, workers=3, start=5),
        SourcePorts(("10.0.0.1",), range(2000, 2001), reserved=frozenset({2000}), start=5),
    ],
)
def test_a_worker_that_owns_nothing_gets_nothing(ports):
    assert ports.take() is None
    assert len(ports) == 0


def test_a_pair_comes_back_in_the_spelling_of_getsockname():
    ports = SourcePorts(("FD00:0:0::1", "fd00::1"), range(2000, 2001))
    assert ports.take() == ("fd00::1", 2000)

    ports.give_back(("fd00::1", 2000))

    assert ports.take() == ("fd00::1", 2000)
    assert len(ports) == 1


fleets = st.fixed_dictionaries(
    {
        "addresses": st.lists(st.sampled_from(ADDRESSES), max_size=3, unique=True),
        "ports": st.builds(
            lambda low, count: range(low, low + count), st.integers(1024, 60000), st.integers(0, 40)
        ),
        "start": st.integers(0, 1000),
        "reserved": st.frozensets(st.integers(1024, 1100), max_size=30),
    }
)


def pairs_of(fleet):
    """Returns all pairs of an agent, in the order of their numbers."""
    usable = [port for port in fleet["ports"] if port not in fleet["reserved"]]
    return [(address, port) for address in fleet["addresses"] for port in usable]


@given(fleets, st.integers(1, 7))
def test_the_pair_of_a_connection_follows_from_its_number(fleet, workers):
    """The pair depends on no other connection, also at the end of an address."""
    pairs = pairs_of(fleet)
    ports = [SourcePorts(**fleet, worker=number, workers=workers) for number in range(workers)]
    taken = [ports[k % workers].take() for k in range(len(pairs))]

    assert taken == [pairs[(fleet["start"] + k) % len(pairs)] for k in range(len(pairs))]
    assert [one.take() for one in ports] == [None] * workers
    assert sum(map(len, ports)) == len(pairs)


@given(fleets, st.lists(st.integers(1, 7), min_size=1, max_size=6))
def test_agents_on_one_host_share_no_pair_and_together_use_every_pair(fleet, numbers):
    """Agents may have any number of workers; their parts differ by one pair at most."""
    pairs = pairs_of(fleet)
    agents = len(numbers)
    starts = [pairs_before(agent, agents, len(pairs)) for agent in range(agents + 1)]
    parts = [last - first for first, last in pairwise(starts)]
    taken = []
    for start, part, workers in zip(starts, parts, numbers, strict=False):
        share = fleet | {"start": start}
        ports = [SourcePorts(**share, worker=number, workers=workers) for number in range(workers)]
        taken += [ports[k % workers].take() for k in range(part)]

    assert sorted(taken) == sorted(pairs)
    assert max(parts) - min(parts) <= 1


@given(
    fleets,
    st.lists(
        st.tuples(st.sampled_from(["take", "give_back", "skip"]), st.integers(0, 99)), max_size=200
    ),
)
def test_no_pair_is_handed_out_twice_while_it_is_in_use_and_none_is_lost(fleet, moves):
    ports = SourcePorts(**fleet)
    held = []
    used = set()
    for move, which in moves:
        if move == "take":
            pair = ports.take()
            assert pair not in held
            assert (pair is None) == (len(held) == len(ports))
            assert pair not in used or len(used) == len(ports), "used again before all others were"
            held += [pair] if pair else []
            used.update(held[-1:])
        elif held:
            getattr(ports, move)(held.pop(which % len(held)))
        assert ports.in_use == len(held)
    rest = everything(ports)

    assert len(held + rest) == len(set(held + rest)) == len(ports)


def test_taken_pairs_can_be_bound_and_connected_from():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        ports = SourcePorts(("127.77.0.1",), DEFAULT_PORTS, start=20_000)
        client.bind(ports.take())
        client.connect(server.getsockname())
        ports.give_back(client.getsockname())

        assert ports.in_use == 0
