"""The hosts of a run: their highest figures, and the seconds that they bounded."""

from collections.abc import Mapping

import msgspec

from coordinator.text import and_more
from loadgen.machine.host import HostState


class HostSummary(msgspec.Struct, kw_only=True):
    """The highest figure of one host in any second; None where it is not known.

    Agents on the same host read the same, but may have a network of their own.
    """

    agents: list[str]
    """The agents that ran on it."""
    cores: int = 0
    """The cores that an agent of it may run on."""
    busy: int | None = None
    """Percent of the time that its cores were busy, on average over them."""
    idlest: int | None = None
    """Percent of the time that the core with the least to do was busy."""
    softirq: int | None = None
    """Percent of the time that the core with the most of it worked in softirqs."""
    steal: int | None = None
    """Percent of the time that the cores waited for the hypervisor, on average over them."""
    running: int | None = None
    """Threads that ran or waited for a core."""
    switches: int | None = None
    """Context switches in a second, like the following."""
    retransmits: int | None = None
    syn_retransmits: int | None = None
    listen_overflows: int | None = None
    listen_drops: int | None = None
    socket_pages: int | None = None
    """Pages of memory in TCP's buffers."""


FIGURES = tuple(name for name in HostSummary.__struct_fields__ if name not in ("agents", "cores"))


class Hosts:
    """The hosts of a run."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        """The id of each agent's host, by the agent's name."""
        self._summaries: dict[str, HostSummary] = {}

    def expect(self, agent: str, host: str) -> None:
        """Adds an agent on a host."""
        self._keys[agent] = host
        self._summaries.setdefault(host, HostSummary(agents=[])).agents.append(agent)

    def add(self, states: Mapping[str, HostState]) -> list[str]:
        """Takes the states of hosts in a second, by agent.

        Returns the ways in which they bounded what was measured, each host once.
        """
        bounded: dict[str, dict[str, None]] = {}
        for agent, state in states.items():
            host = self._keys[agent]
            _raise(self._summaries[host], state)
            bounded.setdefault(host, {}).update(dict.fromkeys(state.limits))
        return [
            f"{limit} on the host of {and_more(self._summaries[host].agents)}"
            for host, limits in bounded.items()
            for limit in limits
        ]

    def summaries(self) -> list[HostSummary]:
        """Returns the hosts of which any figure is known."""
        return [
            summary
            for summary in self._summaries.values()
            if any(getattr(summary, name) is not None for name in FIGURES)
        ]


def _raise(summary: HostSummary, state: HostState) -> None:
    """Raises the figures of a host to those of a second, where those are higher."""
    figures: dict[str, int | None] = {
        "busy": mean(state.busy),
        "idlest": min(state.busy, default=None),
        "softirq": max(state.softirq, default=None),
        "steal": mean(state.steal),
    }
    summary.cores = max(summary.cores, len(state.busy))
    for name in FIGURES:
        figure = figures[name] if name in figures else getattr(state, name)
        highest = getattr(summary, name)
        if figure is not None and (highest is None or figure > highest):
            setattr(summary, name, figure)


def mean(percents: tuple[int, ...]) -> int | None:
    """Returns the mean over the cores in whole percent; None without a core."""
    return round(sum(percents) / len(percents)) if percents else None
