"""The sockets that a target listens on: one per worker, all on one port (SO_REUSEPORT, socket(7))."""

import contextlib
import errno
import socket

from loadgen.errors import OperatorError
from loadgen.params import Endpoint
from loadgen.target.steering import steer

BACKLOG = 4096
"""Connections that may wait to be accepted by each worker (listen(2)); net.core.somaxconn may cap it lower."""
_MENDS = {
    errno.EADDRINUSE: "it is in use; choose another port or end who listens there",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "ports below 1024 need more rights",
}


def open_listeners(listen: Endpoint, count: int) -> list[socket.socket]:
    """So many sockets, listening already; with port 0 on one that the kernel chose."""
    try:
        family, _, _, _, address = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0]
        if listen.port:
            _probe(family, address)
        first = _listener(family, address)
        listeners = [first, *(_listener(family, first.getsockname()) for _ in range(count - 1))]
    except OSError as error:
        raise OperatorError(f"can't listen on {listen}: {_MENDS.get(error.errno or 0, error.strerror)}") from error
    with contextlib.suppress(OSError):  # a sandbox may refuse the rule: the kernel then spreads them by its hash
        steer(first, count)
    return listeners


def _probe(family: int, address: tuple[object, ...]) -> None:
    """Fails if anyone listens there: without SO_REUSEPORT, this socket does not share as the listeners would."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def _listener(family: int, address: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(address)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener
