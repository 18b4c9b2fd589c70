"""The sockets that a target listens on: one per worker, all on one port (SO_REUSEPORT,
socket(7))."""

import contextlib
import ctypes
import errno
import socket
import struct

from loadgen.errors import OperatorError
from loadgen.values import Endpoint

BLOCK_BITS = 5
"""32 ports in a row go to one listener: a run of eight connections from each of the four workers
of a full address."""
_SCATTER, _SCATTER_BITS = 2654435761, 16
"""2**32 over the golden ratio: addresses in a row begin at places far apart, so that their
shares even out."""
_SO_ATTACH_REUSEPORT_CBPF = getattr(socket, "SO_ATTACH_REUSEPORT_CBPF", 51)
_NETWORK_HEADER = 0xFFF00000
"""An offset from here counts from the IP header (SKF_NET_OFF in linux/filter.h); others count
from the payload."""
_LOAD_WORD, _LOAD_HALF, _TO_X, _RETURN = 0x20, 0x28, 0x07, 0x16
_MULTIPLY, _SHIFT_RIGHT, _ADD_X, _MODULO = 0x24, 0x74, 0x0C, 0x94
_SOURCES = {socket.AF_INET: (12, 20), socket.AF_INET6: (20, 40)}
"""Where in a packet the last four bytes of its source address and its source port are."""


def steer(listener: socket.socket, count: int) -> None:
    """Gives a listener's whole group, of so many, the rule (SO_ATTACH_REUSEPORT_CBPF, socket(7));
    raises OSError.

    The rule is classic BPF and needs no privilege: (a hash of the address + port / 32) modulo the
    number of listeners.
    """
    address, port = _SOURCES[listener.family]
    program = [
        (_LOAD_WORD, _NETWORK_HEADER + address),
        (_MULTIPLY, _SCATTER),
        (_SHIFT_RIGHT, _SCATTER_BITS),
        (_TO_X, 0),
        (_LOAD_HALF, _NETWORK_HEADER + port),
        (_SHIFT_RIGHT, BLOCK_BITS),
        (_ADD_X, 0),
        (_MODULO, count),
        (_RETURN, 0),
    ]
    code = ctypes.create_string_buffer(
        b"".join(struct.pack("HBBI", op, 0, 0, operand) for op, operand in program)
    )
    program_at = struct.pack("HL", len(program), ctypes.addressof(code))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, program_at)


BACKLOG = 4096
"""Connections that may wait to be accepted by each worker (listen(2)); net.core.somaxconn may
cap it lower."""
_MENDS = {
    errno.EADDRINUSE: "it is in use; choose another port or end who listens there",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "ports below 1024 need more rights",
}


def open_listeners(listen: Endpoint, count: int) -> list[socket.socket]:
    """So many sockets, listening already; with port 0 on one that the kernel chose."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            listen.host, listen.port, type=socket.SOCK_STREAM
        )[0]
        if listen.port:
            _probe(family, address)
        first = _listener(family, address)
        listeners = [first, *(_listener(family, first.getsockname()) for _ in range(count - 1))]
    except OSError as error:
        raise OperatorError(
            f"can't listen on {listen}: {_MENDS.get(error.errno or 0, error.strerror)}"
        ) from error
    with contextlib.suppress(
        OSError
    ):  # a sandbox may refuse the rule: the kernel then spreads them by its hash
        steer(first, count)
    return listeners


def _probe(family: int, address: tuple[object, ...]) -> None:
    """Fails if anyone listens there: without SO_REUSEPORT, this socket does not share as the
    listeners would."""
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
