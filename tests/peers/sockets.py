"""The sockets of a port, both ends, from /proc/net/tcp (proc_net_tcp.rst)."""

from typing import NamedTuple

ESTABLISHED = "01"
LOOPBACK = "0100007F"
"""127.0.0.1, in the order of bytes of little-endian machines."""


class Sockets(NamedTuple):
    """The established connections to a port of this machine."""

    established: int
    """At the server's end."""
    unread: int
    """Bytes that clients have in their sockets and did not read."""


def sockets(table: str, port: int) -> Sockets:
    """Returns the connections to a port of 127.0.0.1 in the text of /proc/net/tcp.

    Clients of others may have the same port at another address of this machine.
    """
    end = f"{LOOPBACK}:{port:04X}"
    established = unread = 0
    for line in table.splitlines()[1:]:
        _, local, remote, state, queues, *_ = line.split()
        if state != ESTABLISHED:
            continue
        established += local == end
        if remote == end:
            unread += int(queues.partition(":")[2], 16)
    return Sockets(established, unread)
