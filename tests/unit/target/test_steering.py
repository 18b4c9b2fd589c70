"""Neighbouring ports of one address reach one listener, on real sockets."""

import socket
from contextlib import ExitStack

import pytest

from loadgen.params import Endpoint
from loadgen.target.listeners import open_listeners

LISTENERS = 5
BLOCK = 32


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
def test_blocks_of_ports_go_to_one_listener_each_and_all_listeners_get_as_many(stack, listen, source):
    listeners = [stack.enter_context(each) for each in open_listeners(Endpoint(listen, 0), LISTENERS)]
    first = 21_024
    ports = range(first, first + BLOCK * LISTENERS, 4)

    opened = connect_from(stack, source, ports, listeners[0])
    blocks = [{(port - first) // BLOCK for port in taken(listener)} for listener in listeners]

    assert len(opened) > len(ports) * 0.9
    assert sorted(block for of_one in blocks for block in of_one) == list(range(LISTENERS))
