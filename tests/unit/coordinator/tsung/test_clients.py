"""<clients>: the machines that the load comes from."""

import pytest

from coordinator.tsung.clients import Fleet, read_clients
from loadgen.plan.clients import AgentSpec
from tests.unit.coordinator.tsung.elements import read, refused


def clients(*inner: str) -> tuple[Fleet, list[int]]:
    """Returns the fleet of clients and the lines of the notes.

    Each client is on a line of its own.
    """
    root, notes = read("\n".join(["<clients>", *inner, "</clients>"]))
    return read_clients(root), [note.line for note in notes]


def sources(inner: str) -> tuple[str, ...]:
    (fleet, _) = clients(f'<client host="a">{inner}</client>')
    return fleet.clients[0].sources


def test_a_client_is_an_agent_with_a_worker_for_each_cpu():
    fleet, _ = clients('<client host="a" cpu="4" weight="2"/>', '<client host="b"/>')

    assert fleet.hosts == ("a", "b")
    assert fleet.clients == (
        AgentSpec(name="a", weight=2.0, workers=4),
        AgentSpec(name="b", weight=1.0, workers=1),
    )


def test_clients_of_one_host_are_one_agent():
    fleet, _ = clients('<client host="a" cpu="2" weight="2"/>', '<client host="a" weight="3"/>')

    assert fleet.clients == (AgentSpec(name="a", weight=5.0, workers=3),)


def test_the_users_of_a_client_only_ever_raise_what_an_agent_holds():
    fleet, _ = clients(
        '<client host="a" cpu="2" maxusers="40000"/>', '<client host="b" maxusers="100"/>'
    )

    assert [client.max_connections for client in fleet.clients] == [80_000, None]


@pytest.mark.parametrize(
    "client", ['<client host="localhost"/>', '<client host="a" use_controller_vm="true"/>']
)
def test_a_load_from_this_machine_alone_needs_no_hosts(client):
    assert clients(client)[0] == Fleet((), ())


@pytest.mark.parametrize(
    ("xml", "addresses"),
    [
        ('<ip value="10.0.0.1"/><ip value="fd00::1"/>', ("10.0.0.1", "fd00::1")),
        ('<iprange value="10.0.0.1-9"/>', ("10.0.0.1-9",)),
        ('<iprange value="10.0.1-2.0-254"/>', ("10.0.1.0-254", "10.0.2.0-254")),
        ('<iprange value="10.0.1-2.7"/>', ("10.0.1.7", "10.0.2.7")),
        ('<ip scan="true" value="eth1"/>', ("interface:eth1",)),
        ('<ip scan="true"/>', ("interface:eth0",)),
    ],
)
def test_addresses_are_the_sources_of_an_agent(xml, addresses):
    assert sources(xml) == addresses


def test_addresses_of_this_machine_are_noted():
    assert clients('<client host="localhost"><ip value="127.0.0.2"/></client>')[1] == [1]


def test_the_address_towards_the_server_is_the_kernels_choice():
    fleet, notes = clients('<client host="a"><ip value="resolve"/></client>')

    assert (fleet.clients[0].sources, notes) == ((), [2])


@pytest.mark.parametrize(
    "xml",
    [
        "<host/>",
        '<client host="a" type="batch"/>',
        '<client host="a b"/>',
        '<client host="a" cpu="0"/>',
        '<client host="a"><dns/></client>',
        '<client host="a"><ip value="eth 0" scan="true"/></client>',
        '<client host="a"><ip value="eth0"/></client>',
        '<client host="a"><iprange value="10.0.0"/></client>',
        '<client host="a"><iprange value="10.0.0.9-1"/></client>',
        '<client host="a"><iprange value="10.0.0.256"/></client>',
        '<client host="a"><iprange value="10.0-255.0-255.0-255"/></client>',
    ],
)
def test_what_is_no_client_is_refused_at_its_line(xml):
    assert refused(clients, xml)[0] == 2


def test_there_is_at_least_one_client():
    assert refused(clients)[0] == 1
