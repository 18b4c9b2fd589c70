"""CPU per open at the first and at the last ports of one source address.

Also the CPU per connect from ports that the kernel chooses.
"""

import socket
from time import monotonic, process_time, sleep

from loadgen.machine.addresses import DEFAULT_PORTS
from loadgen.plan.plan import Plan
from loadgen.process import raise_nofile
from loadgen.stats.fanin import Second
from loadgen.wire import Sources
from tests.bench.goal import Goal
from tests.bench.job import START_IN, cpu_seconds, seconds_of, working
from tests.bench.timewait import await_ports
from tests.processes import target

CONNECTIONS = 62_000
RATE = 4_000
WORKERS = 4
LAST = 60_000 // RATE - 1
"""The second in which the 60,000th connection is opened."""
DONE = CONNECTIONS // RATE + 2
"""The second by which all connections are open."""
PLAN = Plan(rate=float(RATE), max=CONNECTIONS, think=3600.0, hold=600.0, ping="none")
"""No think time ends during the measurement, so that all seconds cost the same beside their
opens."""
KERNEL_CONNECTIONS = 15_000
"""Connections from ports that the kernel chooses: more than half of its usual range, which it
searches in two passes."""
SAMPLE = 200
"""Connections whose CPU is measured together."""
TIMEOUT = 20.0
"""The most seconds for the connections from the kernel's ports."""
IP_BIND_ADDRESS_NO_PORT = 24
"""linux/in.h; Python's socket module has no name for it before 3.12."""


def run() -> list[Goal]:
    """Returns the costs of the kernel's ports, then those of explicit ports.

    In this order, because the kernel passes over every port that a worker bound, until its
    TIME_WAIT is over.
    """
    return [*_kernels_choice(), *_explicit()]


def _explicit() -> list[Goal]:
    sources = [
        Sources(("127.0.2.3",), DEFAULT_PORTS.start, DEFAULT_PORTS.stop - 1, number, WORKERS)
        for number in range(WORKERS)
    ]
    with (
        target("--workers", "5", "--limit", "70000") as url,
        working(url.port, PLAN, sources) as workers,
    ):
        sleep(START_IN / 2)
        idle = [cpu_seconds(worker.pid) for worker in workers]
        reports = [list(seconds_of(worker, DONE)) for worker in workers]
    total = [
        sum(idle),
        *(sum(worker.cpu_s for worker in second) for second in zip(*reports, strict=True)),
    ]
    costs = [
        (total[number + 1] - total[number]) / _opened(reports, number) * 1e6
        for number in range(LAST + 1)
    ]
    missing = CONNECTIONS - sum(report[-1].held.open for report in reports)
    skipped = sum(second.tally.ports_skipped for report in reports for second in report)
    return [
        Goal(f"ports: CPU per open, 0 to {RATE:,}", costs[0], "µs"),
        Goal(f"ports: CPU per open, {RATE:,} to {2 * RATE:,}", costs[1], "µs"),
        Goal("ports: CPU per open, the dearest second between", max(costs[1:-1]), "µs"),
        Goal(f"ports: CPU per open, {60_000 - RATE:,} to 60,000", costs[-1], "µs"),
        # The cheaper of the first two: a worker's first opens include what it does only once.
        Goal("ports: CPU per open at 60,000 ÷ at the first", costs[-1] / min(costs[:2]), "×", 1.3),
        Goal(f"ports: not open of {CONNECTIONS:,}", missing, "", 0),
        Goal("ports: stepped over", skipped, ""),
    ]


def _opened(reports: list[list[Second]], number: int) -> int:
    return sum(report[number].tally.opened for report in reports)


def _kernels_choice() -> list[Goal]:
    raise_nofile()
    await_ports(KERNEL_CONNECTIONS)
    with target("--workers", "2", "--limit", "70000") as url:
        costs = _bare_connects((url.host, url.port))
    return [
        Goal(
            f"ports: kernel's choice, CPU per connect at {number * SAMPLE:,}",
            costs[number - 1],
            "µs",
        )
        for number in sorted({1_000 // SAMPLE, len(costs)})
        if number <= len(costs)
    ]


def _bare_connects(address: tuple[str, int]) -> list[float]:
    """Returns the CPU microseconds per connect of each sample.

    It ends when all connections are open or the time is over.
    """
    sockets: list[socket.socket] = []
    costs: list[float] = []
    end = monotonic() + TIMEOUT
    try:
        while len(sockets) < KERNEL_CONNECTIONS and monotonic() < end:
            before = process_time()
            sockets += [_bare_connect(address) for _ in range(SAMPLE)]
            costs.append((process_time() - before) / SAMPLE * 1e6)
    except OSError:
        pass  # the kernel has no port left to choose
    finally:
        for sock in sockets:
            sock.close()
    return costs


def _bare_connect(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind(("127.0.2.4", 0))
    sock.connect(address)
    return sock
