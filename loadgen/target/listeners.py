"""The sockets that a target listens on: one per worker, all on one port.

SO_REUSEPORT (socket(7)) deals the connections to them, by a rule of the target's own.
"""

import contextlib
import ctypes
import errno
import socket
import struct

from loadgen.errors import OperatorError
from loadgen.values import Endpoint

BACKLOG = 4096
"""Connections that may wait for each worker to accept them (listen(2)); net.core.somaxconn may
lower it."""
_FIXES = {
    errno.EADDRINUSE: "it is in use; choose another port, or end the process that listens there",
    errno.EADDRNOTAVAIL: "this machine does not have that address; choose one of its own",
    errno.EACCES: "ports below 1024 need more rights; choose a higher one",
}
BLOCK_BITS = 7
"""128 consecutive ports go to one listener: a run of 25 connections from each of the four workers
of a full address, and a few."""
_SCATTER, _SCATTER_BITS = 2654435761, 16
"""2**32 over the golden ratio: consecutive addresses begin at places far apart, so that their
shares are even."""
_SO_ATTACH_REUSEPORT_CBPF = getattr(socket, "SO_ATTACH_REUSEPORT_CBPF", 51)
_NETWORK_HEADER = 0xFFF00000
"""An offset above this counts from the IP header (SKF_NET_OFF in linux/filter.h), any other from
the payload."""
_LOAD_WORD, _LOAD_HALF, _TO_X, _RETURN = 0x20, 0x28, 0x07, 0x16
_MULTIPLY, _SHIFT_RIGHT, _ADD_X, _MODULO = 0x24, 0x74, 0x0C, 0x94
_SOURCES = {socket.AF_INET: (12, 20), socket.AF_INET6: (20, 40)}
"""The offsets in a packet of the last four bytes of its source address, and of its source port."""


def open_listeners(listen: Endpoint, count: int) -> list[socket.socket]:
    """Returns listening sockets, all on one port; with port 0 the kernel chooses it.

    Raises OperatorError.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            listen.host, listen.port, type=socket.SOCK_STREAM
        )[0]
        if listen.port:
            _probe(family, address)
        first = _listener(family, address)
        listeners = [first, *more_listeners(first, count - 1)]
    except OSError as error:
        raise OperatorError(
            f"can't listen on {listen}: {_FIXES.get(error.errno or 0, error.strerror)}"
        ) from error
    steer(first, count)
    return listeners


def more_listeners(one: socket.socket, count: int) -> list[socket.socket]:
    """Returns further sockets that listen on the port of one; raises OSError.

    They are dealt no connection before `steer` counts them.
    """
    return [_listener(one.family, one.getsockname()) for _ in range(count)]


def _probe(family: int, address: tuple[object, ...]) -> None:
    """Raises OSError if another process listens there.

    This socket is without SO_REUSEPORT, so it does not share the port as the listeners would.
    """
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


def steer(listener: socket.socket, count: int) -> None:
    """Sets the rule by which a group of `count` listeners is dealt connections.

    The rule is classic BPF and needs no privilege (SO_ATTACH_REUSEPORT_CBPF, socket(7)): (a hash of
    the address + port / 32) modulo the number of listeners. A sandbox may refuse it; the kernel
    then deals by a hash of its own, to all listeners of the port.
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
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, program_at)
