"""The size of a rehearsal, and its share for each machine."""

from typing import NamedTuple

from loadgen.machine.addresses import DEFAULT_PORTS


class Size(NamedTuple):
    """The reference run, scaled down; durations in seconds."""

    agents: int = 16
    connections: int = 20_000
    rate: float = 2000.0
    think: float = 30.0
    hold: float = 40.0

    @property
    def names(self) -> list[str]:
        """The names of the client machines."""
        return [f"a{number}" for number in range(1, self.agents + 1)]

    @property
    def share(self) -> int:
        """The most connections of one agent."""
        return -(-self.connections // self.agents)

    def ports(self, name: str) -> range:
        """Returns the source ports of a client machine, which no other machine has."""
        each = len(DEFAULT_PORTS) // self.agents
        first = DEFAULT_PORTS.start + self.names.index(name) * each
        return range(first, first + each)
