"""One worker beside the websockets library's client and the lean yardstick: CPU per open and per ping, memory."""

import json
import subprocess
import sys
from time import monotonic

from loadgen.arrivals import Share
from loadgen.fanin import Second
from loadgen.plan import Plan
from loadgen.wire import Job, Report, Sources, from_wire, to_wire
from tests.bench.goal import Goal
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
    job = Job(
        plan=Plan(rate=RATE, max=CONNECTIONS, think=THINK, hold=SECONDS),
        share=Share(),
        start=monotonic() + 1.0,
        address="127.0.0.1",
        port=port,
        name="127.0.0.1",
        host=f"127.0.0.1:{port}",
        resource="/v1/realtime?project=console&channels[]=files",
        secure=False,
        sources=Sources(("127.0.2.2",), 20_000, 60_000),
        most_open=CONNECTIONS,
    )
    with subprocess.Popen(
        [sys.executable, "-m", "loadgen.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdin.write(to_wire(job) + b"\n")
        process.stdin.flush()
        before = _usage(process.pid)
        seconds: list[Second] = []
        for line in process.stdout:
            seconds.append(from_wire(line, Report).second)
            if seconds[-1].number >= ramp + SECONDS:
                break
        process.stdin.close()
        process.wait(timeout=10)
    return _figures(seconds, before, int(ramp))


def _usage(pid: int) -> tuple[float, int]:
    """CPU seconds and resident bytes of a process before it has anything to do."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100, int(fields[21]) * 4096


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
