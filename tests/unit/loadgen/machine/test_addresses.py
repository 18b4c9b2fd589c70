"""Source addresses and ports, as people write them and as they are usable."""

import socket

import pytest

from loadgen.errors import PlanError
from loadgen.machine.addresses import (
    DEFAULT_PORTS,
    SPARE_PORTS,
    check_socket,
    interface_addresses,
    local_addresses_exist,
    parse_ports,
    parse_reserved,
    parse_sources,
    ports_left_out,
    reserved_ports,
    source_for,
)


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


def test_where_workers_would_take_all_of_the_kernels_own_ports_a_few_stay_free():
    assert left_out(DEFAULT_PORTS) == frozenset(range(61000 - SPARE_PORTS, 61000))


def test_spare_ports_are_not_reserved_ones_which_the_kernel_never_chooses():
    reserved = frozenset({60999})

    assert left_out(DEFAULT_PORTS, reserved=reserved) == frozenset(
        range(60999 - SPARE_PORTS, 61000)
    )


def test_where_the_kernel_has_enough_ports_elsewhere_all_of_ours_are_used():
    assert left_out(range(50000, 60000)) == frozenset()
    assert left_out(range(1025, 60900)) == frozenset(range(60900 - (SPARE_PORTS - 100), 60900))


def test_a_kernel_with_few_ports_of_its_own_keeps_what_it_has():
    assert left_out(DEFAULT_PORTS, own=range(40000, 40010)) == frozenset(range(40000, 40010))


def test_privileged_ports_are_left_out():
    assert left_out(range(1025, 2000), bindable_from=1100) == frozenset(range(1025, 1100))
    assert left_out(range(1025, 2000), bindable_from=5000) == frozenset(range(1025, 2000))


def test_the_source_towards_loopback_is_loopback():
    assert source_for("127.0.0.1") == "127.0.0.1"


def test_a_target_without_a_route_is_a_plan_error():
    with pytest.raises(PlanError, match=r"no route from here to 255\.255\.255\.255"):
        source_for(
            "255.255.255.255"
        )  # a datagram socket without SO_BROADCAST may not connect there


def test_a_socket_of_this_machine_may_be_opened(tmp_path):
    path = str(tmp_path / "app.sock")
    with pytest.raises(PlanError, match="No such file or directory; start its server"):
        check_socket(path)
    with pytest.raises(PlanError, match="it is no socket"):
        check_socket(str(tmp_path))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        check_socket(path)


def test_a_socket_that_this_user_may_not_open_is_named(tmp_path, monkeypatch):
    path = str(tmp_path / "app.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        monkeypatch.setattr("os.access", lambda *_: False)  # the tests may run as root
        with pytest.raises(PlanError, match=r"app\.sock: Permission denied"):
            check_socket(path)


def test_all_of_127_belongs_to_every_machine():
    local_addresses_exist(parse_sources(["127.0.0.1", "127.9.8.1-3"]))


def test_an_address_that_this_machine_does_not_have_is_named_with_the_mend():
    with pytest.raises(
        PlanError, match=r"source 192\.0\.2\.7 .*ip addr add 192\.0\.2\.7/32 dev INTERFACE"
    ):
        local_addresses_exist(["127.0.0.1", "192.0.2.7"])


def test_an_interface_stands_for_its_addresses():
    assert "127.0.0.1" in interface_addresses("lo")
    assert parse_sources(["interface:lo", "127.0.0.1"]) == tuple(interface_addresses("lo"))


def test_an_interface_without_addresses_is_named():
    with pytest.raises(PlanError, match="interface:none0: this machine has no IPv4 address on"):
        parse_sources(["interface:none0"])
