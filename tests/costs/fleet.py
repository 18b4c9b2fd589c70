"""Measures a real fleet on loopback, phase by phase.

The phases: base, ramp, idle, messages, pings.
"""

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.costs import proc
from tests.costs.samples import Footprint, Moment, Sample, Span
from tests.processes import Address, Command, Coordinator, command, is_gone

AGENTS = 16
"""The same number at every size, so that base costs compare."""
SETTLE = 3.0
"""Seconds until the last seconds of a phase are reported and settled."""
START_TIMEOUT = 300.0
"""Seconds that the fleet may take to gather: all its processes start on this machine's cores."""
PATIENCE = 300.0
"""Seconds beyond the expected time that a phase may take."""
MESSAGE_S = 100e-6
"""Seconds to allow for a message, on all cores together."""
HELLO = json.dumps(
    {"channels": ["files"], "payload": {"name": "a file of the length that they have"}}
).encode()


def measure(size: int, rate: float, hold: float) -> Sample:
    """Measures one size.

    The think time separates pings from the rest: the first ping of a connection comes after ramp,
    idle phase and messages, and then at the pace of the ramp. A ramp that is too short to fill a
    phase with its pings is run once more, with a think time that makes pings come at that pace
    without an end.
    """
    ramp = size / rate
    once = ramp > hold
    with _fleet(size, rate, ramp + _quiet(size, hold)) as fleet:
        base = fleet.base()
        opening = fleet.span(fleet.wait_until_open)
        time.sleep(SETTLE)
        held = fleet.footprint()
        idle = fleet.span(lambda: time.sleep(hold))
        messages = fleet.span(lambda: fleet.publish(hold))
        assert messages.end.counts["pings"] == 0, f"{size}: pings came before messages were over"
        pings = fleet.pings(hold) if once else None
    if pings is None:
        with _fleet(size, rate, ramp) as fleet:
            fleet.base()
            fleet.wait_until_open()
            time.sleep(SETTLE)
            pings = fleet.pings(hold)
    return Sample(size, base, held, opening, idle, messages, pings)


def _quiet(size: int, hold: float) -> float:
    """Returns the seconds between the last open and the first ping."""
    return SETTLE + hold + (hold + SETTLE + size * MESSAGE_S) + SETTLE


class Fleet:
    """A target and a coordinator with local agents, as real processes."""

    def __init__(
        self, size: int, rate: float, target: int, address: Address, coordinator: Coordinator
    ) -> None:
        self._size = size
        self._rate = rate
        self._target = target
        self._address = address
        self._coordinator = coordinator
        self._seen: set[int] = set()

    def base(self) -> Footprint:
        """Waits until all processes have started; returns their memory.

        No connection opens for another second and a half.
        """
        until(
            lambda: self._coordinator.state()["state"] == "running",
            "the start of the run",
            START_TIMEOUT,
            0.1,
        )
        footprint = self.footprint()
        assert self._address.stats()["opened"] == 0, "the base was read too late"
        return footprint

    def wait_until_open(self) -> None:
        """Waits until all connections are open; it asks rarely, to save the target's CPU."""
        time.sleep(self._size / self._rate)
        until(
            lambda: self._address.stats()["open"] == self._size,
            f"{self._size} open",
            PATIENCE,
            0.25,
        )

    def publish(self, hold: float) -> None:
        """Sends every connection messages for `hold` seconds at the rate, at least one."""
        every = self._size / self._rate
        times = max(1, round(hold / every))
        expected = self._received() + times * self._size
        begin = time.monotonic()
        for turn in range(times):
            time.sleep(max(0.0, begin + turn * every - time.monotonic()))
            _post(f"http://{self._address.host}:{self._address.port}/publish", HELLO)
        until(lambda: self._received() == expected, f"{expected} messages received", PATIENCE, 1.0)

    def _received(self) -> int:
        return int(self._coordinator.state()["totals"]["messages_received"])

    def pings(self, hold: float) -> Span:
        """Returns the span of `hold` seconds, from the first ping on."""
        until(lambda: self._address.stats()["pings"], "the first ping", PATIENCE, 0.25)
        return self.span(lambda: time.sleep(hold))

    def span(self, phase: Callable[[], None]) -> Span:
        """A phase with its two moments."""
        begin = self._moment()
        phase()
        return Span(begin, self._moment())

    def footprint(self) -> Footprint:
        """Returns the memory of the fleet and the machine."""
        return proc.footprint(self._kinds())

    def _moment(self) -> Moment:
        fleet = self._kinds()
        counts = {
            name: count for name, count in self._address.stats().items() if isinstance(count, int)
        }
        return Moment(time.monotonic(), proc.cpu_by_kind(fleet), proc.machine_seconds(), counts)

    def _kinds(self) -> dict[int, str]:
        fleet = proc.kinds(self._coordinator.pid, self._target)
        assert self._seen <= fleet.keys(), (
            f"a process of the fleet has ended: {self._coordinator.err}"
        )
        self._seen |= fleet.keys()
        return fleet


@contextmanager
def _fleet(size: int, rate: float, think: float) -> Iterator[Fleet]:
    """A fleet that opens `size` connections.

    It is killed at the end of the block, since a drain takes as long as a ramp.
    """
    options = [
        "--local",
        AGENTS,
        "--rate",
        rate,
        "--max",
        size,
        "--think",
        think,
        "--hold",
        "3h",
        "--wait",
        START_TIMEOUT,
    ]
    with TemporaryDirectory() as out, _target(size) as (target, address):
        coordinator = Coordinator(Path(out), *map(str, options), address.ws)
        try:
            yield Fleet(size, rate, target, address, coordinator)
        finally:
            _end(coordinator)


@contextmanager
def _target(size: int) -> Iterator[tuple[int, Address]]:
    """A target in Appwrite's mode, as in the reference run.

    Yields its process id and address.
    """
    running = Command(
        command(
            "loadgen-target", "--listen", "127.0.0.1:0", "--mode", "appwrite", "--limit", str(size)
        )
    )
    try:
        found = running.says(r"ws://([\d.]+):(\d+)")
        yield running.pid, Address(found[1], int(found[2]))
    finally:
        _end(running)


def _end(running: Command) -> None:
    """Kills a process and all below it, each by its id, and waits for their ends."""
    pids = [running.pid, *proc.descendants(running.pid)]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: all(map(is_gone, pids)), "the end of the fleet", PATIENCE, 0.1)
    running.close()


def until(condition: Callable[[], Any], what: str, seconds: float, every: float) -> None:
    """Waits until a condition is true; checks it every `every` seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: did not happen within {seconds:g} s"
        time.sleep(every)


def _post(url: str, body: bytes) -> None:
    with urllib.request.urlopen(url, data=body, timeout=PATIENCE) as reply:
        reply.read()
