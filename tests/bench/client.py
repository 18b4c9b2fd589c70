"""One worker beside the websockets library's client and the lean yardstick: CPU per open and per ping, memory."""

import json
import subprocess
import sys
from math import ceil

from loadgen.fanin import Second
from loadgen.plan import Plan
from loadgen.wire import Sources
from tests.bench.goal import Goal
from tests.bench.job import cpu_seconds, resident_bytes, seconds_of, working
from tests.processes import target

CONNECTIONS, RATE, THINK, SECONDS = 10_000, 2000.0, 4.0, 8.0
ROUNDS = 3


def run() -> list[Goal]:
    """The medians of three rounds, in which every client has its turn, as ratios to the others."""
    rounds: dict[str, list[dict[str, float]]] = {"websockets": [], "lean": [], "worker": []}
    with target("--workers", "1", "--limit", "15000") as url:
        for _ in range(ROUNDS):
            for mode in ("websockets", "lean"):
                rounds[mode].append(yardstick(mode, url.port))
            rounds["worker"].append(worker(url.port))
    middle = {mode: _medians(figures) for mode, figures in rounds.items()}
    ours, library, lean = middle["worker"], middle["websockets"], middle["lean"]
    return [
        *(
            Goal(f"{mode}: {key}", value, "", None)
            for mode, figures in middle.items()
            for key, value in figures.items()
        ),
        Goal("CPU per open ÷ websockets", ours["open_us"] / library["open_us"], "×", 0.30),
        Goal("CPU per ping and pong ÷ websockets", ours["ping_us"] / library["ping_us"], "×", 0.40),
        Goal("CPU per open ÷ lean", ours["open_us"] / lean["open_us"], "×", None),
        Goal("CPU per ping and pong ÷ lean", ours["ping_us"] / lean["ping_us"], "×", None),
        Goal("memory per held connection", ours["kib"], "KiB", 2.2),
    ]


def _medians(figures: list[dict[str, float]]) -> dict[str, float]:
    return {key: sorted(figure[key] for figure in figures)[len(figures) // 2] for key in figures[0]}


def yardstick(mode: str, port: int) -> dict[str, float]:
    """Figures of one run of a yardstick."""
    arguments = [mode, str(CONNECTIONS), str(RATE), str(THINK), str(SECONDS), str(port)]
    command = [sys.executable, "-m", "tests.bench.yardsticks", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=120).stdout)  # type: ignore[no-any-return]


def worker(port: int) -> dict[str, float]:
    """Figures of one run of a real worker process, from the seconds it reports."""
    ramp = CONNECTIONS / RATE
    plan = Plan(rate=RATE, max=CONNECTIONS, think=THINK, hold=SECONDS)
    with working(port, plan, [Sources(("127.0.2.2",), 20_000, 60_000)]) as (process,):
        before = cpu_seconds(process.pid), resident_bytes(process.pid)
        seconds = list(seconds_of(process, ceil(ramp + SECONDS)))
    return _figures(seconds, before, int(ramp))


def _figures(seconds: list[Second], before: tuple[float, int], ramp: int) -> dict[str, float]:
    """CPU per open includes the pings of connections already open, at most one each; they are taken off again."""
    up, end = seconds[ramp], seconds[-1]
    assert up.held.open == CONNECTIONS, f"{up.held.open} of {CONNECTIONS} were open after {ramp} s"
    pings_up = sum(second.tally.pings for second in seconds[: ramp + 1])
    pings = sum(second.tally.pings for second in seconds[ramp + 1 :])
    per_ping = (end.cpu_s - up.cpu_s) / pings
    return {
        "open_us": (up.cpu_s - before[0] - pings_up * per_ping) / CONNECTIONS * 1e6,
        "ping_us": per_ping * 1e6,
        "kib": (up.rss - before[1]) / CONNECTIONS / 1024,
    }
