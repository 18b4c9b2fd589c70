"""One worker compared with the websockets library and a lean client.

It measures CPU per open and per ping, and memory; also the connections that a worker opens in a
second at full speed, and the memory of an idle worker.
"""

import json
import re
import subprocess
import sys
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from loadgen.plan.plan import Plan
from loadgen.stats.fanin import Second
from loadgen.wire import Sources
from tests.bench.goal import Goal
from tests.bench.job import cpu_seconds, resident_bytes, seconds_of, working
from tests.bench.timewait import await_ports
from tests.processes import agent, coordinator, eventually, target

CONNECTIONS = 10_000
RATE = 2000.0
THINK = 4.0
SECONDS = 8.0
ROUNDS = 3
FLAT_OUT = 18_000
"""Connections that are due at once: more than a worker opens in a second, and fewer than it has
descriptors."""


def run() -> list[Goal]:
    """Returns ratios between the clients.

    Each is of medians of three rounds, in which every client runs once.
    """
    rounds: dict[str, list[dict[str, float]]] = {"websockets": [], "lean": [], "worker": []}
    with target("--workers", "1", "--limit", "15000") as url:
        for _ in range(ROUNDS):
            for mode in ("websockets", "lean"):
                rounds[mode].append(yardstick(mode, url.port))
            rounds["worker"].append(worker(url.port))
    with target("--workers", "1", "--limit", str(FLAT_OUT + 1)) as url:
        opens = flat_out(url.port)
    medians = {mode: _medians(figures) for mode, figures in rounds.items()}
    ours = medians["worker"]
    library = medians["websockets"]
    lean = medians["lean"]
    return [
        *(
            Goal(f"{mode}: {key}", value, "", None)
            for mode, figures in medians.items()
            for key, value in figures.items()
        ),
        Goal("CPU per open ÷ websockets", ours["open_us"] / library["open_us"], "×", 0.30),
        Goal("CPU per ping and pong ÷ websockets", ours["ping_us"] / library["ping_us"], "×", 0.40),
        Goal("CPU per open ÷ lean", ours["open_us"] / lean["open_us"], "×", 1.0),
        Goal("CPU per ping and pong ÷ lean", ours["ping_us"] / lean["ping_us"], "×", 0.9),
        Goal("memory per held connection", ours["kib"], "KiB", 1.8),
        Goal("opens flat out, one worker", opens, "/s", least=6000.0),
        Goal("own memory of an idle worker", idle_worker(), "MiB", 8.0),
    ]


def _medians(figures: list[dict[str, float]]) -> dict[str, float]:
    return {key: sorted(figure[key] for figure in figures)[len(figures) // 2] for key in figures[0]}


def yardstick(mode: str, port: int) -> dict[str, float]:
    """Returns the figures of one run of a yardstick.

    Raises RuntimeError with what it printed when it fails.
    """
    if mode == "websockets":
        await_ports(CONNECTIONS)  # it does not choose its ports; lean and the worker do
    arguments = [mode, str(CONNECTIONS), str(RATE), str(THINK), str(SECONDS), str(port)]
    command = [sys.executable, "-m", "tests.bench.yardsticks", *arguments]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    if ended.returncode:
        raise RuntimeError(
            f"the yardstick {mode} ended with exit code {ended.returncode}; it printed:\n"
            f"{ended.stdout}{ended.stderr}"
        )
    return json.loads(ended.stdout)  # type: ignore[no-any-return]


def worker(port: int) -> dict[str, float]:
    """Returns the figures of one run of a worker, from the seconds that it reports."""
    ramp = CONNECTIONS / RATE
    plan = Plan(rate=RATE, max=CONNECTIONS, think=THINK, hold=SECONDS)
    with working(port, plan, [Sources(("127.0.2.2",), 20_000, 60_000)]) as (process,):
        before = cpu_seconds(process.pid), resident_bytes(process.pid)
        seconds = list(seconds_of(process, ceil(ramp + SECONDS)))
    return _figures(seconds, before, int(ramp))


def flat_out(port: int) -> float:
    """Returns the connections that a worker opens in its first second.

    All are due then.
    """
    plan = Plan(rate=1e6, max=FLAT_OUT, think=60.0, ping="none")
    with working(port, plan, [Sources(("127.0.2.3",), 20_000, 60_000)]) as (process,):
        (first,) = seconds_of(process, 0)
    return float(first.tally.opened)


def idle_worker() -> float:
    """Returns the private MiB of an agent's worker that waits for its job."""
    with (
        TemporaryDirectory() as out,
        coordinator(Path(out), "--agents", "2", "ws://127.0.0.1:9/") as waiting,
        agent(waiting.url, "--workers", "4") as joined,
    ):
        workers = eventually(lambda: len(pids := joined.workers()) == 4 and pids, "4 workers")
        joined.says("joined")
        return max(map(_private_mib, workers))


def _private_mib(pid: int) -> float:
    kib = re.findall(
        r"^Private_\w+:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE
    )
    return sum(map(int, kib)) / 1024


def _figures(seconds: list[Second], before: tuple[float, int], ramp: int) -> dict[str, float]:
    """Returns CPU per open and per ping, and memory per connection.

    The CPU of the ramp includes pings of connections already open, at most one each; it is
    subtracted.
    """
    up = seconds[ramp]
    end = seconds[-1]
    assert up.held.open == CONNECTIONS, f"{up.held.open} of {CONNECTIONS} were open after {ramp} s"
    pings_up = sum(second.tally.pings for second in seconds[: ramp + 1])
    pings = sum(second.tally.pings for second in seconds[ramp + 1 :])
    per_ping = (end.cpu_s - up.cpu_s) / pings
    return {
        "open_us": (up.cpu_s - before[0] - pings_up * per_ping) / CONNECTIONS * 1e6,
        "ping_us": per_ping * 1e6,
        "kib": (up.rss - before[1]) / CONNECTIONS / 1024,
    }
