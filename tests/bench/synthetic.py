"""Synthetic agents: real joins and posts of invented seconds, and no connection.

`python -m tests.bench.synthetic JSON` plays those that the JSON form of a `Part` describes, until
the coordinator ends them or its time is over, and prints a `Played` as JSON.
"""

import asyncio
import random
import ssl
import sys
import time
from math import floor
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import uvloop

from loadgen.machine.clock import clock_name
from loadgen.machine.host import HostState
from loadgen.machine.limits import Limit
from loadgen.stats.fanin import Second
from loadgen.stats.histogram import Histogram
from loadgen.stats.ledger import Held
from loadgen.stats.peak import Peak
from loadgen.stats.tally import Tally
from loadgen.stats.vitals import WorkerVitals
from loadgen.version import VERSION
from loadgen.wire import WIRE, ClockOffset, Hello, Orders, Post, Welcome, from_wire, to_wire

EACH = 64_000
"""Connections of each agent."""
ARRIVING = 125
"""Of them: those that arrive in each second after the first, as of 2,000 a second on 16 agents."""
THINK = 30
"""Seconds between two pings of a connection."""
POOL = 12
"""Different seconds that are invented; each agent reports them in an order of its own."""
WORKERS = 4
"""Worker processes of each agent, as its posts have them."""
SPREAD = 0.25
"""The standard deviation of the logarithm of durations: a second of an agent is 5 KB of JSON."""
LOOKS = 200
"""Values of the lag of the event loops in a second."""
POST_SPREAD = 0.3
"""Seconds after the end of a second within which agents post it."""
JOINS = 20.0
"""Joins of each process in a second."""
LEFT_OUT_AFTER = 10.0
"""Seconds after the start of the run in which an agent hears of it."""
JOIN_RETRY = 0.5
"""Seconds until a join that was refused for their number is tried again."""


class Part(msgspec.Struct, kw_only=True):
    """The agents of one process."""

    url: str
    """The coordinator's."""
    first: int
    """The number of the first agent."""
    count: int
    each: int = EACH
    seconds: float
    """Seconds of the run that they report."""
    authority: str = ""
    """The file of the authority that they trust; empty without TLS."""


class Played(msgspec.Struct):
    """The reports of the agents of one process."""

    start: float = 0.0
    """When second 0 began, in seconds on the monotonic clock."""
    opened: int = 0
    pings: int = 0
    waits: list[float] = []
    """Seconds that each post waited for its reply."""
    again: int = 0
    """Posts and joins without a reply, or with a refusal."""


def tally_of(rng: random.Random, arriving: int, pings: int) -> Tally:
    """Returns an invented second, its histograms filled as those of a real agent are."""
    tally = Tally(
        launched=arriving,
        opened=arriving,
        accepted=arriving,
        sessions_started=arriving,
        pings=pings,
        pongs=pings,
        bytes_sent=pings * 6 + arriving * 300,
        bytes_received=pings * 6 + arriving * 200,
    )
    for name, middle in {"connect": 400, "handshake": 1500, "open": 2500, "lag": 900}.items():
        _record(rng, getattr(tally, name), middle, min(arriving, ARRIVING))
    _record(rng, tally.ping_rtt, 1200, pings)
    _record(rng, tally.loop_lag, 300, LOOKS)
    return tally


def _record(rng: random.Random, histogram: Histogram, middle: int, count: int) -> None:
    for _ in range(count):
        histogram.record(int(middle * rng.lognormvariate(0.0, SPREAD)))


class Agent:
    """One synthetic agent."""

    def __init__(self, part: Part, number: int, invented: list[Tally], played: Played) -> None:
        self._part = part
        self._played = played
        self._number = number
        self._name = f"synthetic-{number:04}"
        self._rng = random.Random(number)
        self._first, *self._invented = invented
        self._rng.shuffle(self._invented)
        self._open = 0
        self._cpu = 0.0
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def play(self) -> None:
        """Joins, reports its seconds, and leaves."""
        try:
            # One after the other, as many a second as a coordinator lets in.
            await asyncio.sleep((self._number - self._part.first) / JOINS)
            welcome = await self._join()
            path = f"/v1/agents/{welcome.id}/seconds"
            start = await self._gather(path)
            if start is not None:
                self._played.start = start
                await self._report(path, start)
        finally:
            self._hang_up()

    async def _join(self) -> Welcome:
        limit = Limit("memory", self._part.each, "invented", "none")
        machine = {"cpus": WORKERS, "kernel.random.boot_id": self._name}
        hello = to_wire(Hello(self._name, WIRE, VERSION, self._part.each, (limit,), machine))
        while True:
            status, body = await self._post("/v1/agents", hello)
            if status == 200:
                return from_wire(body, Welcome)
            self._played.again += 1
            await asyncio.sleep(JOIN_RETRY * (1 + self._rng.random()))

    async def _gather(self, path: str) -> float | None:
        """Is ready until the run starts; returns its start on the monotonic clock.

        None: the run started without it.
        """
        while not self._played.start or time.monotonic() < self._played.start + LEFT_OUT_AFTER:
            orders = await self._exchange(path, Post(ready=True, max_connections=self._part.each))
            if orders is not None and orders.start is not None:
                return time.monotonic() + orders.start.after
            await asyncio.sleep(1.0)
        return None

    async def _report(self, path: str, start: float) -> None:
        number = 0
        kept: list[Second] = []
        while number < self._part.seconds:
            begin = start + number
            await asyncio.sleep(
                max(0.0, begin + 1.0 + POST_SPREAD * self._rng.random() - time.monotonic())
            )
            # Those that a slow reply has made late go together, as a real agent's do.
            while number < min(self._part.seconds, floor(time.monotonic() - start)):
                kept.append(self._second(number))
                number += 1
            orders = await self._exchange(path, self._post_of(kept, start))
            if orders is not None:
                kept = [second for second in kept if second.number > orders.taken]
                if orders.do == "stop":
                    return

    def _second(self, number: int) -> Second:
        tally = self._invented[number % len(self._invented)] if number else self._first
        self._open += tally.opened
        self._played.opened += tally.opened
        self._played.pings += tally.pings
        self._cpu += WORKERS * 0.2 * (1 + 0.1 * self._rng.random())
        busy = tuple(self._rng.randrange(20, 60) for _ in range(WORKERS))
        host = HostState(busy, (4,) * WORKERS, (0,) * WORKERS, 3, 5000 + number, 2, 0, 0, 0, 900)
        held = Held(open=self._open, alive=self._open, peak=Peak(self._open))
        return Second(number, tally, held, round(self._cpu, 6), 4 * 90 << 20, host=host)

    def _post_of(self, seconds: list[Second], start: float) -> Post:
        workers = tuple(
            WorkerVitals(worker, self._cpu / WORKERS, 90 << 20) for worker in range(WORKERS)
        )
        clock = ClockOffset(clock_name(), 0.0, 0.0004, wall=time.time() - time.monotonic())
        return Post(tuple(seconds), workers=workers, agent_cpu_s=1.0, clock=clock, began=start)

    async def _exchange(self, path: str, post: Post) -> Orders | None:
        began = time.monotonic()
        status, body = await self._post(path, to_wire(post))
        self._played.waits.append(time.monotonic() - began)
        if status != 200:
            self._played.again += 1
            await asyncio.sleep(0.2)
            return None
        return from_wire(body, Orders)

    async def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Returns the status and the body of the reply; status 0 without one."""
        try:
            reader, writer = await self._connection()
            writer.write(b"POST %s HTTP/1.1\r\nHost: coordinator\r\n" % path.encode())
            writer.write(b"Content-Type: application/json\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            if b"connection: close" in head:
                self._hang_up()
            return int(head.split()[1]), await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            self._hang_up()
            return 0, b""

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._line is None:
            url = urlsplit(self._part.url)
            context = None
            if self._part.authority:
                context = ssl.create_default_context(cafile=self._part.authority)
            self._line = await asyncio.open_connection(url.hostname, url.port, ssl=context)
        return self._line

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line[1].close()
            self._line = None


async def play(part: Part) -> Played:
    """Plays all agents of a process; returns their sums, and how long they waited."""
    rng, played = random.Random(part.first), Played(waits=[])
    pings = part.each // THINK
    arriving = min(ARRIVING, part.each // 100)
    first = part.each - int(part.seconds) * arriving
    invented = [tally_of(rng, max(0, first), 0)]
    invented += [tally_of(rng, arriving, pings) for _ in range(POOL)]
    agents = [
        Agent(part, number, invented, played)
        for number in range(part.first, part.first + part.count)
    ]
    await asyncio.gather(*(agent.play() for agent in agents))
    return played


def main(text: str) -> None:
    """Plays the part in `text`, and prints what was played."""
    part = msgspec.json.decode(text, type=Part)
    print(msgspec.json.encode(uvloop.run(play(part))).decode())


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else Path("/dev/stdin").read_text())
