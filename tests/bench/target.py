"""The embedded target under one worker's load.

It measures CPU per accept and per answered ping, and memory per connection.
"""

import re

from loadgen.plan.plan import Plan
from loadgen.stats.fanin import Second
from loadgen.wire import Sources
from tests.bench.goal import Goal
from tests.bench.job import cpu_seconds, resident_bytes, seconds_of, working
from tests.processes import children, process

CONNECTIONS = 10_000
RATE = 2_000.0
THINK = 7.0
SECONDS = 14
RAMP = int(CONNECTIONS / RATE)
"""Seconds until all connections are open: fewer than the think time, so that no ping comes during
the accepts."""


def run() -> list[Goal]:
    """Returns the figures of one run: a ramp without pings, then two rounds of pings.

    Pings are due at 1,430 different times a second, so that most wake the target for themselves.
    """
    plan = Plan(rate=RATE, max=CONNECTIONS, think=THINK, hold=600.0)
    with process(
        "loadgen-target", "--listen", "127.0.0.1:0", "--workers", "1", "--limit", "15000"
    ) as server:
        assert server.stdout is not None
        found = re.search(r":(\d+)/", server.stdout.readline())
        assert found
        (pid,) = children(server.pid)
        cpu = [cpu_seconds(pid)]
        memory = [resident_bytes(pid)]
        seconds = list[Second]()
        with working(int(found[1]), plan, [Sources(("127.0.2.5",), 20_000, 60_000)]) as (worker,):
            for second in seconds_of(worker, RAMP + SECONDS):
                seconds.append(second)
                cpu.append(cpu_seconds(pid))
                memory.append(resident_bytes(pid))
    assert seconds[RAMP].held.open == CONNECTIONS, (
        f"{seconds[RAMP].held.open} were open after {RAMP} s"
    )
    assert not any(second.tally.pings for second in seconds[: RAMP + 1])
    pings = sum(second.tally.pongs for second in seconds[RAMP + 1 :])
    up = RAMP + 1
    return [
        Goal(
            "target: CPU per accept with upgrade",
            (cpu[up] - cpu[0]) / CONNECTIONS * 1e6,
            "µs",
            100.0,
        ),
        Goal("target: CPU per ping answered", (cpu[-1] - cpu[up]) / pings * 1e6, "µs", 30.0),
        Goal(
            "target: memory per connection",
            (memory[up] - memory[0]) / CONNECTIONS / 1024,
            "KiB",
            1.5,
        ),
        Goal("target: growth through pings", (memory[-1] - memory[up]) / CONNECTIONS / 1024, "KiB"),
    ]
