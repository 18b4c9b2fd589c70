"""The figures of one peer, without TLS or with it."""

from typing import NamedTuple


class Figures(NamedTuple):
    """The results and the costs of a peer; None where one was not to be had."""

    open: int = 0
    """Connections that were open in the silent run."""
    failed: int = 0
    """Connections asked for that did not open or did not last, in the three runs with all."""
    sockets: int = 0
    """Established sockets of the silent run, as the kernel counts them."""
    paced: float | None = None
    """Opens per second where a pace is given."""
    flat_out: float | None = None
    """Opens per second where none is."""
    flat_us: float | None = None
    """CPU microseconds per open there."""
    start_cpu_s: float = 0.0
    """CPU seconds before the first connection."""
    start_mib: float = 0.0
    """Memory before it."""
    open_us: float | None = None
    """CPU microseconds per open at that pace."""
    mib: float = 0.0
    """Memory with all connections open and silent."""
    kib: float | None = None
    """Memory that each held connection adds."""
    rest: float | None = None
    """The share of a core that is used with all connections open and silent."""
    ping_us: float | None = None
    """CPU microseconds per ping and answer."""
    pings: float = 0.0
    """Pings per second that were made."""
    message_us: float | None = None
    """CPU microseconds per message received."""
    unread: int = 0
    """Bytes of messages that the peer had not read in the end."""
    words: str = ""
    """The last line of a peer that opened nothing."""

    def merged(self, pinging: "Figures", flat_out: "Figures") -> "Figures":
        """Returns these figures of a silent run with those of the two others."""
        return self._replace(
            failed=self.failed + pinging.failed + flat_out.failed,
            flat_out=flat_out.flat_out,
            flat_us=flat_out.flat_us,
            ping_us=pinging.ping_us,
            pings=pinging.pings,
            words=self.words or pinging.words or flat_out.words,
        )
