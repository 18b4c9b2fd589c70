"""The pairs of a worker's ports, and the texts that describe addresses and ports."""

import socket
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import PlanError
from loadgen.machine.addresses import (
    DEFAULT_PORTS,
    SPARE_PORTS,
    local_addresses_exist,
    parse_ports,
    parse_reserved,
    parse_sources,
    ports_left_out,
    reserved_ports,
    source_for,
)
from loadgen.net.ports import SourcePorts, pairs_before

ADDRESSES = ("10.0.0.1", "10.0.0.2", "fd00::3")


def everything(ports):
    """Returns all pairs that are left, without giving one back."""
    return list(iter(ports.take, None))


# Addresses as text.


@pytest.mark.parametrize(
    ("texts", "addresses"),
    [
        (["10.0.0.5"], ("10.0.0.5",)),
        (["10.0.0.1-10.0.0.3"], ("10.0.0.1", "10.0.0.2", "10.0.0.3")),
        (["10.0.0.254-10.0.1.1"], ("10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1")),
        (["127.0.1.1-3"], ("127.0.1.1", "127.0.1.2", "127.0.1.3")),
        (["10.0.0.0/30"], ("10.0.0.1", "10.0.0.2")),
        (["10.0.0.4/31"], ("10.0.0.4", "10.0.0.5")),
        (["10.0.0.7/32"], ("10.0.0.7",)),
        (["fd00::9-fd00::b"], ("fd00::9", "fd00::a", "fd00::b")),
        (["fd00::/126"], ("fd00::1", "fd00::2", "fd00::3")),
        (["FD00:0::0001"], ("fd00::1",)),
        (["::ffff:10.0.0.1"], ("::ffff:10.0.0.1",)),
        (["10.0.0.2", "10.0.0.1-3"], ("10.0.0.2", "10.0.0.1", "10.0.0.3")),
        (["10.0.0.1, 10.0.0.2 10.0.0.3"], ("10.0.0.1", "10.0.0.2", "10.0.0.3")),
        ([], ()),
        ([" "], ()),
    ],
)
def test_addresses_come_from_each_form_once_and_in_order(texts, addresses):
    assert parse_sources(texts) == addresses


@pytest.mark.parametrize(
    "text",
    [
        "somewhere",
        "10.0.0",
        "10.0.0.256",
        "10.0.0.9-3",
        "10.0.0.9-256",
        "10.0.0.2-10.0.0.1",
        "10.0.0.1-fd00::1",
        "10.0.0.1-",
        "-10.0.0.1",
        "10.0.0.5/28",
        "10.0.0.0/40",
        "fd00::1-5-9",
        "fe80::1%eth0",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "10.0.0.0/15",
        "fd00::/64",
        "fd00::1-fdff::1",
    ],
)
def test_a_bad_address_is_refused_in_one_line_that_names_it(text):
    with pytest.raises(PlanError) as caught:
        parse_sources(["10.0.0.1", text])
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_65_536_addresses_are_the_most():
    assert len(parse_sources(["10.0.0.0-10.0.255.255"])) == 65_536
    with pytest.raises(PlanError, match="more than 65,536"):
        parse_sources(["10.0.0.0-10.0.255.255", "10.1.0.0"])


# Ports as text.


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("1025-65535", DEFAULT_PORTS),
        ("1024-1024", range(1024, 1025)),
        (" 2000 - 3000 ", range(2000, 3001)),
    ],
)
def test_ports_are_a_range_with_both_ends(text, ports):
    assert parse_ports(text) == ports


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not MIN-MAX"),
        ("2000", "not MIN-MAX"),
        ("2000-", "not MIN-MAX"),
        ("a-b", "not MIN-MAX"),
        ("2000-65536", "not MIN-MAX"),
        ("-1-5", "not MIN-MAX"),
        ("500-65535", "for root"),
        ("0-0", "for root"),
        ("3000-2000", "write 2000-3000"),
    ],
)
def test_bad_ports_are_refused_with_the_reason(text, reason):
    with pytest.raises(PlanError, match=reason) as caught:
        parse_ports(text)
    assert repr(text) in str(caught.value)


# Ports that are left out.


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("", set()),
        ("8080", {8080}),
        ("8080,9000-9002\n", {8080, 9000, 9001, 9002}),
        ("garbled", set()),
    ],
)
def test_reserved_ports_are_read_as_the_kernel_writes_them(text, ports):
    assert parse_reserved(text) == ports


def test_reserved_ports_are_read_below_a_root(tmp_path):
    assert reserved_ports(tmp_path) == frozenset()
    file = tmp_path / "proc/sys/net/ipv4/ip_local_reserved_ports"
    file.parent.mkdir(parents=True)
    file.write_text("2000-2001\n")

    assert reserved_ports(tmp_path) == {2000, 2001}


def left_out(ports, *, reserved=frozenset(), own=range(32768, 61000), bindable_from=0):
    return ports_left_out(ports, reserved=reserved, own=own, bindable_from=bindable_from)


def test_a_few_of_the_kernels_own_ports_stay_free_where_workers_would_take_all():
    assert left_out(DEFAULT_PORTS) == frozenset(range(61000 - SPARE_PORTS, 61000))


def test_spare_ports_are_not_reserved_ones_which_the_kernel_never_chooses():
    reserved = frozenset({60999})

    assert left_out(DEFAULT_PORTS, reserved=reserved) == frozenset(
        range(60999 - SPARE_PORTS, 61000)
    )


def test_where_the_kernel_has_enough_ports_elsewhere_all_of_ours_are_used():
    assert left_out(range(50000, 60000)) == frozenset()
    assert left_out(range(1025, 60900)) == frozenset(range(60900 - (SPARE_PORTS - 100), 60900))


def test_a_kernel_with_few_own_ports_keeps_them_all():
    assert left_out(DEFAULT_PORTS, own=range(40000, 40010)) == frozenset(range(40000, 40010))


def test_privileged_ports_are_left_out():
    assert left_out(range(1025, 2000), bindable_from=1100) == frozenset(range(1025, 1100))
    assert left_out(range(1025, 2000), bindable_from=5000) == frozenset(range(1025, 2000))


# Pairs.


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


# This machine.


def test_the_source_towards_loopback_is_loopback():
    assert source_for("127.0.0.1") == "127.0.0.1"


def test_a_target_without_a_route_is_a_plan_error():
    with pytest.raises(PlanError, match=r"no route from here to 255\.255\.255\.255"):
        # A datagram socket without SO_BROADCAST may not connect there.
        source_for("255.255.255.255")


def test_all_of_127_belongs_to_every_machine():
    local_addresses_exist(parse_sources(["127.0.0.1", "127.9.8.1-3"]))


def test_an_address_that_this_machine_does_not_have_is_named_with_the_fix():
    with pytest.raises(
        PlanError, match=r"source 192\.0\.2\.7 .*ip addr add 192\.0\.2\.7/32 dev INTERFACE"
    ):
        local_addresses_exist(["127.0.0.1", "192.0.2.7"])


def test_taken_pairs_can_be_bound_and_connected_from():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        ports = SourcePorts(("127.77.0.1",), DEFAULT_PORTS, start=20_000)
        client.bind(ports.take())
        client.connect(server.getsockname())
        ports.give_back(client.getsockname())

        assert ports.in_use == 0
