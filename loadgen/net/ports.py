"""The local addresses and ports of a worker's connections, counted up.

A worker binds every port itself. The kernel's own choice looks through the ports of one parity
first, and past half of its range every connect scans them all: 6 ms instead of 45 µs.
"""

from array import array
from collections import deque
from collections.abc import Sequence

from loadgen.machine.addresses import as_getsockname


class SourcePorts:
    """The (address, port) pairs of one worker: unused ones first, then the oldest.

    Subtle: the pairs of an agent have numbers: address by address, on each its m ports in ascending
    order, without those in `reserved`. Connection k of an agent with T pairs has the pair number
    (start + k) mod T, so address number // m and port number mod m; it is connection k // workers
    of worker k mod workers. So a connect searches for nothing, no pair serves twice before all have
    served, and two workers never choose the same pair. Nor do two agents on one host that begin
    where `pairs_before` says, if none opens more than its part. Every method takes constant time,
    and a pair takes memory only after its first use.
    """

    __slots__ = (
        "__weakref__",
        "_addresses",
        "_aside",
        "_free",
        "_fresh",
        "_number",
        "_ports",
        "_start",
        "_total",
        "_worker",
        "_workers",
        "in_use",
    )

    def __init__(
        self,
        addresses: Sequence[str],
        ports: range,
        *,
        worker: int = 0,
        workers: int = 1,
        start: int = 0,
        reserved: frozenset[int] = frozenset(),
    ) -> None:
        self._addresses = tuple(dict.fromkeys(map(as_getsockname, addresses)))
        self._number = {address: number for number, address in enumerate(self._addresses)}
        kept = array("H", (port for port in ports if port not in reserved))
        self._ports: Sequence[int] = ports if len(kept) == len(ports) else kept
        self._total = len(self._addresses) * len(kept)
        self._start = start
        self._worker = worker
        self._workers = workers
        self._fresh = worker
        # A pair in a queue is one small integer: a tuple with an address text would take four times
        # the memory.
        self._free: deque[int] = deque()
        self._aside: deque[int] = deque()
        self.in_use = 0
        """The number of pairs in use."""

    def take(self) -> tuple[str, int] | None:
        """Returns the next pair; None when all of them are in use.

        Unused pairs come first, since the kernel may hold a closed one in TIME_WAIT; skipped pairs
        come last.
        """
        if self._fresh < self._total:
            number, place = divmod((self._start + self._fresh) % self._total, len(self._ports))
            self._fresh += self._workers
            self.in_use += 1
            return self._addresses[number], self._ports[place]
        queue = self._free or self._aside
        if not queue:
            return None
        packed = queue.popleft()
        self.in_use += 1
        return self._addresses[packed >> 16], packed & 0xFFFF

    def give_back(self, pair: tuple[str, int]) -> None:
        """Takes back a pair whose connection has ended; each pair once.

        The address is in the spelling of `getsockname`.
        """
        self._free.append(self._pack(pair))
        self.in_use -= 1

    def skip(self, pair: tuple[str, int]) -> None:
        """Sets aside a pair that another process holds; it is offered again last."""
        self._aside.append(self._pack(pair))
        self.in_use -= 1

    def offers(self, retries: int) -> int:
        """Returns how many pairs one connection may try.

        These are all free pairs, and at most `retries` of those set aside.
        """
        return len(self) - self.in_use - self.skipped + min(retries, self.skipped)

    @property
    def skipped(self) -> int:
        """The number of pairs that are set aside."""
        return len(self._aside)

    def __len__(self) -> int:
        """Returns the number of pairs of this worker, in use or not."""
        return len(range(self._worker, self._total, self._workers))

    def _pack(self, pair: tuple[str, int]) -> int:
        return self._number[pair[0]] << 16 | pair[1]


def pairs_before(agent: int, agents: int, pairs: int) -> int:
    """Returns the `start` of an agent; the agents share their pairs in equal parts."""
    return agent * pairs // agents
