"""A worker's connections with TLS, compared with the websockets library's.

`python -m tests.bench.tls serve CERTIFICATE` serves WebSockets with TLS on a free port, which it
prints. `python -m tests.bench.tls load PORT AUTHORITY` is the yardstick: the library's client under
uvloop, which prints CPU and memory as JSON.
"""

import gc
import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import trustme
import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from loadgen.plan.plan import Plan
from loadgen.plan.transport import Transport
from loadgen.wire import Sources
from loadgen.worker.main import ResidentMemory
from tests.bench.goal import Goal
from tests.bench.job import cpu_seconds, seconds_of, working
from tests.bench.yardsticks import RESOURCE, open_all

CONNECTIONS = 2_000
RATE = 200.0
"""Arrivals a second: the server is in Python as well."""
ROUNDS = 3


def run() -> list[Goal]:
    """Returns the figures of both, as medians of three rounds."""
    rounds: dict[str, list[dict[str, float]]] = {"websockets": [], "full": [], "resumed": []}
    with TemporaryDirectory() as folder:
        authority = trustme.CA()
        certificate, trusted = Path(folder) / "certificate.pem", Path(folder) / "authority.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        authority.cert_pem.write_to_path(trusted)
        for _ in range(ROUNDS):
            with _serving(certificate) as port:
                rounds["websockets"].append(_yardstick(port, trusted))
            for name, resume in {"full": False, "resumed": True}.items():
                with _serving(certificate) as port:
                    rounds[name].append(_worker(port, trusted.read_text(), resume=resume))
    library, full, resumed = (
        {key: sorted(round_[key] for round_ in figures)[ROUNDS // 2] for key in figures[0]}
        for figures in rounds.values()
    )
    return [
        Goal("TLS, websockets: CPU per open", library["open_us"], "µs"),
        Goal("TLS, websockets: memory", library["kib"], "KiB"),
        Goal("TLS: CPU per open", full["open_us"], "µs"),
        Goal("TLS: CPU per open, resumed", resumed["open_us"], "µs"),
        Goal("TLS: memory per held connection", full["kib"], "KiB", 21.0),
        Goal("TLS: CPU per open ÷ websockets", full["open_us"] / library["open_us"], "×", 0.85),
        Goal("TLS: CPU per open, resumed ÷ full", resumed["open_us"] / full["open_us"], "×", 1.1),
    ]


@contextmanager
def _serving(certificate: Path) -> Iterator[int]:
    """Yields the port of a server in a process of its own."""
    words = [sys.executable, "-m", "tests.bench.tls", "serve", str(certificate)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def _yardstick(port: int, authority: Path) -> dict[str, float]:
    words = [sys.executable, "-m", "tests.bench.tls", "load", str(port), str(authority)]
    ended = subprocess.run(words, check=True, capture_output=True, text=True, timeout=120)
    return json.loads(ended.stdout)  # type: ignore[no-any-return]


def _worker(port: int, authority: str, *, resume: bool) -> dict[str, float]:
    """Returns the figures of one run of a worker, from the seconds that it reports."""
    ramp = CONNECTIONS / RATE
    plan = Plan(
        rate=RATE, max=CONNECTIONS, ping="none", hold=2, transport=Transport(tls_resume=resume)
    )
    sources = [Sources(("127.0.2.4",), 20_000, 60_000)]
    with working(port, plan, sources, authority=authority) as (process,):
        cpu = cpu_seconds(process.pid)
        seconds = list(seconds_of(process, ceil(ramp)))
    end = seconds[-1]
    assert end.held.open == CONNECTIONS, f"{end.held.open} of {CONNECTIONS} were open"
    # What a worker takes once, its tables and OpenSSL's, has come with the first connections.
    early = next(second for second in seconds if second.held.open >= CONNECTIONS // 4)
    return {
        "open_us": (end.cpu_s - cpu) / CONNECTIONS * 1e6,
        "kib": (end.rss - early.rss) / (CONNECTIONS - early.held.open) / 1024,
    }


async def _serve(certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def hold(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(
        hold, "127.0.0.1", 0, ssl=context, compression=None, ping_interval=None, backlog=4096
    ) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


async def _load(port: int, authority: str) -> None:
    context = ssl.create_default_context(cafile=authority)
    kept = []

    async def dial(number: int, port: int, opened: list[Callable[[], None]]) -> None:
        url = f"wss://127.0.0.1:{port}{RESOURCE}"
        kept.append(
            await connect(
                url, ssl=context, compression=None, ping_interval=None, max_queue=None, proxy=None
            )
        )
        opened.append(lambda: None)

    gc.collect()
    gc.freeze()
    gc.disable()
    resident = ResidentMemory()
    cpu, memory = process_time(), resident.bytes()
    await open_all(dial, CONNECTIONS, RATE, port)
    open_us = (process_time() - cpu) / CONNECTIONS * 1e6
    kib = (resident.bytes() - memory) / CONNECTIONS / 1024
    print(json.dumps({"open_us": open_us, "kib": kib}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        uvloop.run(_serve(sys.argv[2]))
    else:
        uvloop.run(_load(int(sys.argv[2]), sys.argv[3]))
