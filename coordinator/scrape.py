"""The servers that `--watch` names, and their figures in one second."""

from typing import NamedTuple

import msgspec


class Scrape(msgspec.Struct, omit_defaults=True):
    """One scrape of a watched server.

    None is a figure that its exporter does not have.
    """

    second: int
    """The second of the run."""
    name: str
    """The operator's name for the server."""
    cpu_s: float | None = None
    """CPU seconds used since boot, or since the start of the process, on all cores."""
    memory: float | None = None
    """Bytes in use."""
    files: float | None = None
    """Open files."""
    sockets: float | None = None
    """TCP sockets in use."""
    steal_s: float | None = None
    """CPU seconds that its cores waited for the hypervisor, since boot; like the following."""
    softirq_s: float | None = None
    """CPU seconds in softirqs, such as those of the network."""
    switches: float | None = None
    """Context switches."""
    retransmits: float | None = None
    """TCP segments that were sent again."""
    listen_overflows: float | None = None
    """Connections that found an accept queue full."""
    listen_drops: float | None = None
    """Connections that a listening socket dropped."""
    running: float | None = None
    """Threads that run or wait for a core, at the moment of the scrape."""
    socket_pages: float | None = None
    """Pages of memory in TCP's buffers, at the moment of the scrape."""


class Watched(NamedTuple):
    """An exporter, and the operator's name for its server."""

    name: str
    url: str
