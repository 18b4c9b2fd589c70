"""Several sockets on one port, and no second target on it."""

import socket
from contextlib import ExitStack

import pytest

from loadgen.errors import OperatorError
from loadgen.target.listeners import open_listeners
from loadgen.values import Endpoint


@pytest.fixture
def opened():
    """Opens listeners and closes them after the test."""
    with ExitStack() as stack:

        def open_(host, port, count=1):
            return [
                stack.enter_context(listener)
                for listener in open_listeners(Endpoint(host, port), count)
            ]

        yield open_


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_port_0_is_one_port_for_all(opened, host):
    ports = {listener.getsockname()[1] for listener in opened(host, 0, 3)}

    assert len(ports) == 1
    assert 0 not in ports


def test_they_listen_already(opened):
    (listener,) = opened("127.0.0.1", 0)
    with socket.create_connection(listener.getsockname()):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_with_a_target_on_it_is_busy(opened, host):
    port = opened("127.0.0.1", 0, 2)[0].getsockname()[1]

    with pytest.raises(OperatorError, match=f"can't listen on {host}:{port}: it is in use"):
        opened(host, port)


def test_a_port_is_free_again_though_an_old_connection_lingers_on_it(opened):
    """The side that closes first keeps the port in TIME_WAIT."""
    (listener,) = open_listeners(Endpoint("127.0.0.1", 0), 1)
    address = listener.getsockname()
    with listener, socket.create_connection(address) as client:
        listener.setblocking(True)
        listener.accept()[0].close()
        assert client.recv(1) == b""

    assert opened(*address)[0].getsockname() == address


@pytest.mark.parametrize("host", ["192.0.2.99", "no such host"])
def test_an_address_that_this_machine_lacks(opened, host):
    with pytest.raises(OperatorError, match="can't listen on"):
        opened(host, 9505)


LISTENERS = 5
BLOCK = 128


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def taken(listener):
    """The source ports of all connections that wait at a listener."""
    ports = set()
    while True:
        try:
            connection, address = listener.accept()
        except BlockingIOError:
            return ports
        connection.close()
        ports.add(address[1])


def connect_from(stack, host, ports, listener):
    """Opens a connection from each port that is free; returns those."""
    opened = set()
    for port in ports:
        client = stack.enter_context(socket.socket(listener.family))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            client.bind((host, port))
        except OSError:
            continue
        client.connect(listener.getsockname())
        opened.add(port)
    return opened


@pytest.mark.parametrize(("listen", "source"), [("127.0.0.1", "127.0.0.9"), ("::1", "::1")])
def test_blocks_of_ports_go_to_one_listener_each_and_all_listeners_get_as_many(
    stack, listen, source
):
    listeners = [
        stack.enter_context(each) for each in open_listeners(Endpoint(listen, 0), LISTENERS)
    ]
    first = 165 * BLOCK
    ports = range(first, first + BLOCK * LISTENERS, 4)

    opened = connect_from(stack, source, ports, listeners[0])
    blocks = [{(port - first) // BLOCK for port in taken(listener)} for listener in listeners]

    assert len(opened) > len(ports) * 0.9
    assert sorted(block for of_one in blocks for block in of_one) == list(range(LISTENERS))
