"""The coordinator of up to a thousand synthetic agents of 64,000 connections.

`python -m tests.bench.agents [--tls] [--seconds N] [NUMBER…]` plays them alone, and prints the
table of docs/control-plane.md. Their joins, posts and seconds are real, their connections invented:
tests.bench.synthetic. One viewer follows the page, and metrics and state are asked for every 4 s.
"""

import asyncio
import json
import math
import os
import re
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import click
import msgspec
import trustme

from coordinator.storage.journal import FILE as JOURNAL
from coordinator.storage.journal import MAX_TAIL
from tests.bench.fleet import cpu_seconds
from tests.bench.goal import Goal
from tests.bench.synthetic import ARRIVING, EACH, Part, Played
from tests.processes import PATIENCE, Command, command, end_with_parent, free_port
from tests.tables import show

NUMBERS = (16, 100, 300, 1000)
WARM_UP = 6.0
"""Seconds after the start of the run that are not measured."""
SECONDS = 30
"""Seconds that are measured."""
ASK_EVERY = 4.0
"""Seconds between two questions for metrics and state."""
PLAYERS = 2
"""Processes that play the agents."""
TARGET = "ws://127.0.0.1:9/"
"""Nothing connects to it."""
HOUR = 3600.0
MB = 1e6
JOIN_RATE = 20.0
"""Agents that join in a second, at least."""
HEAD = (
    "agents",
    "TLS",
    "CPU % of a core",
    "RSS MB",
    "settled p50 s",
    "p99",
    "post waits p99 s",
    "page gap s",
    "/metrics MB",
    "its time ms",
    "/v1/run ms",
    "run directory MB/h",
    "calls MB/h",
    "journal MB",
    "resume s",
)


class Measured(msgspec.Struct, kw_only=True):
    """The figures of one fleet."""

    agents: int
    tls: bool
    cpu: float
    """Percent of a core, without the processes that play the agents."""
    rss: float
    """Most resident bytes of the coordinator."""
    settled: list[float]
    """Seconds from the end of each second until a viewer of the page has it."""
    waits: list[float]
    """Seconds that each post waited for its reply."""
    page_gap: float
    """The most seconds between two seconds on the page."""
    metrics_bytes: int
    metrics_s: float
    """The slowest answer."""
    run_s: float
    """The slowest answer of /v1/run."""
    growth: dict[str, float]
    """Bytes that each file of the run directory grows by in an hour, without the journal."""
    journal_growth: float
    """Bytes by which the journal grows in an hour, until it is replaced."""
    journal: int
    """The largest size of the journal."""
    resume_s: float
    """From the start of a coordinator that resumes the run until agents may join."""
    lost: int
    """Opened connections and pings that agents reported and the coordinator does not have."""
    again: int
    """Posts that got no reply, or a refusal."""

    @property
    def cells(self) -> list[str]:
        """The row of the table."""
        return [
            str(self.agents),
            "yes" if self.tls else "no",
            f"{self.cpu:.1f}",
            f"{self.rss / MB:.0f}",
            f"{quantile(self.settled, 0.5):.2f}",
            f"{quantile(self.settled, 0.99):.2f}",
            f"{quantile(self.waits, 0.99):.3f}",
            f"{self.page_gap:.2f}",
            f"{self.metrics_bytes / MB:.2f}",
            f"{1000 * self.metrics_s:.0f}",
            f"{1000 * self.run_s:.0f}",
            f"{sum(self.growth.values()) / MB:,.0f}",
            f"{self.journal_growth / MB:,.0f}",
            f"{self.journal / MB:.1f}",
            f"{self.resume_s:.1f}",
        ]

    def goals(self) -> list[Goal]:
        """Returns the figures beside what issue 19 asks for of a thousand agents."""
        name = f"{self.agents} agents{' over TLS' if self.tls else ''}"
        size = sum(self.growth.values()) + min(self.journal_growth, 2 * MAX_TAIL)
        return [
            Goal(f"{name}: coordinator's CPU", self.cpu, "% of a core", 50.0),
            Goal(f"{name}: coordinator's memory", self.rss / MB, "MB", 500.0),
            Goal(f"{name}: seconds settled after, p99", quantile(self.settled, 0.99), "s", 2.0),
            Goal(f"{name}: longest gap of the page", self.page_gap, "s", 2.0),
            Goal(f"{name}: run directory of an hour", size / MB, "MB", 1000.0),
            Goal(f"{name}: resume", self.resume_s, "s", 10.0),
            Goal(f"{name}: slowest /metrics", 1000 * self.metrics_s, "ms", 100.0),
            Goal(f"{name}: counts that are missing", self.lost, "", 0),
        ]


def quantile(values: list[float], share: float) -> float:
    """Returns the value that a share of all values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def run() -> list[Goal]:
    """Returns the figures of all fleets, the largest with TLS as well."""
    found = [measure(number) for number in NUMBERS]
    found.append(measure(NUMBERS[-1], tls=True))
    show(HEAD, [one.cells for one in found], None)
    return [goal for one in found for goal in one.goals()]


def measure(
    agents: int, *, tls: bool = False, seconds: int = SECONDS, warm_up: float = WARM_UP
) -> Measured:
    """Plays a fleet, and returns its figures."""
    with TemporaryDirectory() as out, ExitStack() as stack:
        options, authority = _certificate(Path(out)) if tls else ([], "")
        port = free_port()
        url = f"http{'s' if tls else ''}://127.0.0.1:{port}"
        coordinator = Command(
            command("loadgen-coord", *_arguments(agents, port, out), *options, TARGET),
            preexec_fn=end_with_parent,
        )
        stack.callback(coordinator.process.kill)
        coordinator.says("agents join at")
        players = stack.enter_context(_playing(url, agents, warm_up + seconds + 4, authority))
        (folder,) = (path.parent for path in Path(out).glob("*/plan.toml"))
        watch = asyncio.run(
            _watched(url, authority, coordinator.pid, folder, agents, seconds, warm_up)
        )
        played = [_played(player) for player in players]
        lost = _missing(asyncio.run(_totals(url, authority)), played)
        coordinator.process.kill()
        coordinator.process.wait()
        resume_s = _resumed(folder)
    return Measured(
        agents=agents,
        tls=tls,
        settled=watch.settled(played[0].start),
        waits=[wait for part in played for wait in part.waits],
        resume_s=resume_s,
        lost=lost,
        again=sum(part.again for part in played),
        **watch.figures(),
    )


def _arguments(agents: int, port: int, out: str) -> list[str]:
    rate, most = ARRIVING * agents, EACH * agents
    return [
        *("--agents", str(agents), "--rate", str(rate), "--max", str(most), "--hold", "600"),
        *("--wait", "300", "--listen", f"127.0.0.1:{port}", "--out", out),
    ]


def _certificate(folder: Path) -> tuple[list[str], str]:
    """Returns the options of a coordinator with TLS, and the file of its authority."""
    authority = trustme.CA()
    issued, trusted = folder / "certificate.pem", folder / "authority.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(issued)
    authority.cert_pem.write_to_path(trusted)
    return ["--tls-cert", str(issued), "--tls-key", str(issued)], str(trusted)


@contextmanager
def _playing(url: str, agents: int, seconds: float, authority: str) -> Iterator[list[Command]]:
    """The processes that play agents; they end with the block."""
    players = min(PLAYERS, agents)
    with ExitStack() as stack:
        running = []
        for place in range(players):
            first = agents * place // players
            count = agents * (place + 1) // players - first
            part = Part(url=url, first=first, count=count, seconds=seconds, authority=authority)
            text = msgspec.json.encode(part).decode()
            player = Command(
                [sys.executable, "-m", "tests.bench.synthetic", text], preexec_fn=end_with_parent
            )
            stack.callback(player.process.kill)
            running.append(player)
        yield running


def _played(player: Command) -> Played:
    """Returns what a process has played, once it has ended."""
    assert player.process.wait(4 * PATIENCE) == 0, player.err
    return msgspec.json.decode(player.out, type=Played)


class Watch:
    """The measurements of one run while it goes on."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid = pid
        self.folder = folder
        self.seen: dict[int, float] = {}
        """When the page had each second, on the monotonic clock."""
        self.answers: dict[str, list[tuple[float, int]]] = {"/metrics": [], "/v1/run": []}
        """The seconds and the bytes of each answer."""
        self.sizes: list[tuple[float, dict[str, int]]] = []
        """The sizes of the files, with the time."""
        self.cpu: list[tuple[float, float]] = []
        """The CPU seconds so far, with the time."""
        self.rss = 0

    def look(self) -> None:
        """Takes the CPU, the memory and the files as they stand."""
        now = time.monotonic()
        self.cpu.append((now, cpu_seconds(self.pid, 0.0)))
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        self.rss = max(self.rss, pages * os.sysconf("SC_PAGE_SIZE"))
        files = (path for path in self.folder.rglob("*") if path.is_file())
        self.sizes.append((now, {path.name: path.stat().st_size for path in files}))

    def settled(self, start: float) -> list[float]:
        """Returns the seconds from the end of each second until the page had it."""
        begun = self.cpu[0][0]
        return [at - (start + number + 1) for number, at in self.seen.items() if at >= begun]

    def figures(self) -> dict[str, Any]:
        """Returns the figures, by their names in `Measured`."""
        (begun, first), (ended, last) = self.cpu[0], self.cpu[-1]
        times = sorted(at for at in self.seen.values() if at >= begun)
        journal = [sizes.get(JOURNAL, 0) for _, sizes in self.sizes]
        growth = self._growth()
        return {
            "cpu": 100 * (last - first) / (ended - begun),
            "rss": self.rss,
            "page_gap": max((later - at for at, later in pairwise(times)), default=0.0),
            "metrics_bytes": max((size for _, size in self.answers["/metrics"]), default=0),
            "metrics_s": max((took for took, _ in self.answers["/metrics"]), default=math.inf),
            "run_s": max((took for took, _ in self.answers["/v1/run"]), default=math.inf),
            "growth": {name: size for name, size in growth.items() if name != JOURNAL},
            "journal_growth": sum(max(0, later - size) for size, later in pairwise(journal))
            * HOUR
            / (ended - begun),
            "journal": max(journal),
        }

    def _growth(self) -> dict[str, float]:
        """Returns the bytes that each file grows by in an hour.

        One that is written anew meanwhile does not grow.
        """
        (begun, first), (ended, last) = self.sizes[0], self.sizes[-1]
        series = {name: [sizes.get(name, 0) for _, sizes in self.sizes] for name in {*first, *last}}
        growing = {
            name: sizes
            for name, sizes in series.items()
            if all(later >= size for size, later in pairwise(sizes))
        }
        return {
            name: (sizes[-1] - sizes[0]) * HOUR / (ended - begun) for name, sizes in growing.items()
        }


def _client(authority: str) -> aiohttp.ClientSession:
    context = ssl.create_default_context(cafile=authority) if authority else False
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), read_bufsize=1 << 24)


async def _watched(
    url: str, authority: str, pid: int, folder: Path, agents: int, seconds: int, warm_up: float
) -> Watch:
    """Follows a run from its start, and returns what was measured."""
    watch = Watch(pid, folder)
    async with _client(authority) as http:
        following = asyncio.create_task(_follow(http, url, watch))
        async with asyncio.timeout(60 + agents / JOIN_RATE):
            while not watch.seen:
                if following.done():
                    following.result()
                await asyncio.sleep(0.1)
        await asyncio.sleep(warm_up)
        asking = asyncio.create_task(_ask(http, url, watch))
        for _ in range(seconds):
            watch.look()
            await asyncio.sleep(1.0)
        watch.look()
        asking.cancel()
        following.cancel()
    return watch


async def _follow(http: aiohttp.ClientSession, url: str, watch: Watch) -> None:
    async with http.get(f"{url}/events", timeout=aiohttp.ClientTimeout()) as reply:
        kind = b""
        async for line in reply.content:
            if line.startswith(b"event: "):
                kind = line.strip()
            found = re.match(rb'data: \{"second":(\d+)', line)
            if found and kind == b"event: second":
                watch.seen.setdefault(int(found[1]), time.monotonic())


async def _ask(http: aiohttp.ClientSession, url: str, watch: Watch) -> None:
    while True:
        for path, answers in watch.answers.items():
            began = time.monotonic()
            async with http.get(f"{url}{path}") as reply:
                size = len(await reply.read())
            answers.append((time.monotonic() - began, size))
        await asyncio.sleep(ASK_EVERY)


async def _totals(url: str, authority: str) -> dict[str, Any]:
    async with _client(authority) as http, http.get(f"{url}/v1/run") as reply:
        return json.loads(await reply.read())["totals"]  # type: ignore[no-any-return]  # an object


def _missing(totals: dict[str, int], played: list[Played]) -> int:
    opened = sum(part.opened for part in played) - totals["opened"]
    return abs(opened) + abs(sum(part.pings for part in played) - totals["pings"])


def _resumed(folder: Path) -> float:
    """Resumes a run, and returns the seconds until agents may join it."""
    began = time.monotonic()
    resumed = Command(command("loadgen-coord", "--resume", str(folder)), preexec_fn=end_with_parent)
    try:
        resumed.says("agents join at")
        return time.monotonic() - began
    finally:
        resumed.process.kill()
        resumed.process.wait()


@click.command()
@click.argument("numbers", nargs=-1, type=int)
@click.option("--tls/--no-tls", help="Over TLS.")
@click.option("--seconds", default=SECONDS, help="Seconds that are measured.")
@click.option("--markdown", type=click.Path(path_type=Path), help="A file for the table as well.")
def main(numbers: tuple[int, ...], *, tls: bool, seconds: int, markdown: Path | None) -> None:
    """Plays fleets of NUMBERS agents, and prints what their coordinator takes."""
    rows = []
    for number in numbers or NUMBERS:
        one = measure(number, tls=tls, seconds=seconds)
        rows.append(one.cells)
        click.echo(json.dumps(msgspec.to_builtins(one) | {"settled": [], "waits": []}), err=True)
    show(HEAD, rows, markdown)


if __name__ == "__main__":
    main()
