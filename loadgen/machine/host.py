"""The state of a host over a second, from the texts of its /proc, proc(5).

/proc/net has the counters of a network namespace, the other files those of the whole machine.
"""

from collections.abc import Collection
from typing import Annotated

import msgspec

BUSY = 97
"""Percent of a second from which on a core had no time left; the kernel counts in hundredths."""
STEAL = 10
"""Percent of a second, on average over the cores, that other machines on the same hardware may
have."""
_IDLE = (3, 4)
_SOFTIRQ, _STEAL = 6, 7
_MODES = 8
"""The columns of a core in /proc/stat that add up to its time: idle, iowait, softirq, steal and
others. Those that follow are parts of the first two."""

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
Percents = Annotated[
    tuple[Annotated[int, msgspec.Meta(ge=0, le=100)], ...], msgspec.Meta(max_length=8192)
]


class HostState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a host over the time between two readings.

    None, or no core, where this kernel does not say. A reading that comes late stands in every
    second that it covers.
    """

    busy: Percents = ()
    """Percent of the time that each core was not idle; the cores that the agent may run on."""
    softirq: Percents = ()
    """Percent of the time that each core worked in softirqs, such as those of the network."""
    steal: Percents = ()
    """Percent of the time that each core waited for the hypervisor."""
    running: Count | None = None
    """Threads that run or wait for a core, at the end."""
    switches: Count | None = None
    """Context switches."""
    retransmits: Count | None = None
    """TCP segments that were sent again."""
    syn_retransmits: Count | None = None
    """Of them: those that begin a connection."""
    listen_overflows: Count | None = None
    """Connections that found the accept queue of their server full."""
    listen_drops: Count | None = None
    """Connections that a listening socket dropped, for that reason and for others."""
    socket_pages: Count | None = None
    """Pages of memory in TCP's buffers, at the end."""

    @property
    def limits(self) -> list[str]:
        """The ways in which the host bounded what was measured; empty when it did not."""
        found = []
        if self.busy and min(self.busy) >= BUSY:
            found.append("no core was idle")
        if self.steal and sum(self.steal) >= STEAL * len(self.steal):
            found.append("other machines on the same hardware took CPU time")
        if self.listen_overflows:
            found.append("the accept queue of a server overflowed")
        return found


class Reading(msgspec.Struct, frozen=True):
    """The counters of a host at one moment, since it started."""

    cores: dict[str, tuple[int, ...]]
    """Ticks of the kernel's clock by column, of each core."""
    counters: dict[str, int]
    """Growing ones, by the field of HostState."""
    gauges: dict[str, int]
    """Momentary ones, by the field of HostState."""


_COUNTERS = {
    "switches": "ctxt",
    "retransmits": "Tcp:RetransSegs",
    "syn_retransmits": "TcpExt:TCPSynRetrans",
    "listen_overflows": "TcpExt:ListenOverflows",
    "listen_drops": "TcpExt:ListenDrops",
}
_GAUGES = {"running": "procs_running", "socket_pages": "TCP:mem"}


def reading_of(
    stat: str, snmp: str, netstat: str, sockstat: str, cores: Collection[int]
) -> Reading:
    """Returns the reading that the texts of four files give.

    The files are /proc/stat, and snmp, netstat and sockstat of /proc/net. An empty text gives
    nothing, nor does what is no number. Only the given cores count.
    """
    words = [words for line in stat.splitlines() if (words := line.split())]
    wanted = {f"cpu{core}" for core in cores}
    found = {
        **{line[0]: int(line[1]) for line in words if len(line) == 2 and line[1].isdecimal()},
        **_pairs(snmp),
        **_pairs(netstat),
        **_sockets(sockstat),
    }
    return Reading(
        {
            line[0]: tuple(int(ticks) for ticks in line[1 : 1 + _MODES] if ticks.isdecimal())
            for line in words
            if line[0] in wanted
        },
        {field: found[name] for field, name in _COUNTERS.items() if name in found},
        {field: found[name] for field, name in _GAUGES.items() if name in found},
    )


def _pairs(text: str) -> dict[str, int]:
    """Returns the numbers of a file whose lines come in pairs: names, then values."""
    lines = [line.split() for line in text.splitlines()]
    return {
        f"{names[0]}{name}": int(value)
        for names, values in zip(lines[::2], lines[1::2], strict=False)
        for name, value in zip(names[1:], values[1:], strict=False)
        if value.isdecimal()
    }


def _sockets(text: str) -> dict[str, int]:
    """Returns the numbers of a file in whose lines each follows its name."""
    lines = [line.split() for line in text.splitlines()]
    return {
        f"{line[0]}{name}": int(value)
        for line in lines
        for name, value in zip(line[1::2], line[2::2], strict=False)
        if value.isdecimal()
    }


def state_between(before: Reading, after: Reading) -> HostState:
    """Returns the state of a host from one reading to the next."""
    ticks = [
        tuple(max(0, now - then) for then, now in zip(before.cores[core], columns, strict=False))
        for core, columns in after.cores.items()
        if core in before.cores
    ]
    ticks = [core for core in ticks if sum(core)]
    return HostState(
        busy=tuple(100 - _percent(core, *_IDLE) for core in ticks),
        softirq=tuple(_percent(core, _SOFTIRQ) for core in ticks),
        steal=tuple(_percent(core, _STEAL) for core in ticks),
        **{
            field: max(0, count - before.counters[field])
            for field, count in after.counters.items()
            if field in before.counters
        },
        **after.gauges,
    )


def _percent(ticks: tuple[int, ...], *columns: int) -> int:
    return round(100 * sum(ticks[column] for column in columns if column < len(ticks)) / sum(ticks))
