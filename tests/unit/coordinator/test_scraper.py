"""The figures of a server that its exporter has."""

import asyncio
import gzip
from itertools import count

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import generate_latest

from coordinator.scrape import Scrape, Watched
from coordinator.scraper import MAX_BYTES, MAX_LINE, Scraper, scrape_of
from loadgen.machine.exporter import machine_registry

NODE = """
node_cpu_seconds_total{cpu="0",mode="user"} 10
node_cpu_seconds_total{cpu="0",mode="idle"} 100
node_cpu_seconds_total{cpu="1",mode="system"} 5
node_memory_MemTotal_bytes 1000
node_memory_MemAvailable_bytes 400
node_filefd_allocated 7
node_sockstat_TCP_inuse 3
"""
NETWORK = """
node_cpu_seconds_total{cpu="0",mode="steal"} 1
node_cpu_seconds_total{cpu="1",mode="steal"} 2
node_cpu_seconds_total{cpu="1",mode="softirq"} 4
node_context_switches_total 70
node_netstat_Tcp_RetransSegs 12
node_netstat_TcpExt_ListenOverflows 5
node_netstat_TcpExt_ListenDrops 6
node_procs_running 9
node_sockstat_TCP_mem 42
"""
PROCESS = "process_cpu_seconds_total 2.5\nprocess_resident_memory_bytes 100\nprocess_open_fds 9\n"


def test_node_exporter_has_figures_of_the_machine_and_others_of_their_process():
    assert scrape_of("s", 3, NODE) == Scrape(3, "s", 15.0, 600.0, 7.0, 3.0)
    assert scrape_of("s", 3, PROCESS) == Scrape(3, "s", 2.5, 100.0, 9.0, None)
    assert scrape_of("s", 3, "") == Scrape(3, "s")


def test_the_time_that_others_took_and_the_troubles_of_the_network_are_kept():
    assert scrape_of("s", 3, NETWORK) == Scrape(
        3, "s", 7.0, steal_s=3.0, softirq_s=4.0, switches=70.0, retransmits=12.0,
        listen_overflows=5.0, listen_drops=6.0, running=9.0, socket_pages=42.0,
    )  # fmt: skip


def test_a_text_that_is_no_exposition_is_a_value_error():
    with pytest.raises(ValueError, match="<html>"):
        scrape_of("s", 3, "<html>no metrics</html>")


def test_our_own_exporter_has_all_figures():
    scrape = scrape_of("s", 3, generate_latest(machine_registry()).decode())

    assert min(scrape.cpu_s, scrape.memory, scrape.files) > 0
    assert None not in msgspec.structs.astuple(scrape)


async def scraped(*parts: bytes, status: int = 200, **headers: str) -> tuple[list[Scrape], str]:
    """Returns the first scrape, or the warning, of a server that answers in parts.

    Every other path of it has a secret.
    """
    found, warned, done = [], [], asyncio.Event()

    async def metrics(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(status=status, headers=headers)
        await reply.prepare(request)
        for part in parts:
            await reply.write(part)
            await asyncio.sleep(0.02)  # so that each part is a read of its own
        return reply

    async def secret(_: web.Request) -> web.Response:
        return web.Response(text="the secret")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/{other}", secret)])
    seconds = count()
    async with TestServer(app) as server:
        scraper = Scraper(
            [Watched("s", str(server.make_url("/metrics")))],
            lambda: float(next(seconds)),
            lambda scrape: (found.append(scrape), done.set()),
            lambda line: (warned.append(line), done.set()),
        )
        running = asyncio.create_task(scraper.run())
        async with asyncio.timeout(60):
            await done.wait()
        running.cancel()
        await asyncio.wait([running])
    return found[:1], "".join(warned)


async def test_an_answer_is_read_to_its_end():
    """The second part has the rest of a number."""
    parts = (b"process_cpu_seconds_total 12", b"445.0\nprocess_open_fds 9\n")

    assert await scraped(*parts) == ([Scrape(0, "s", 12445.0, None, 9.0)], "")


@pytest.mark.parametrize(
    ("part", "status", "headers", "why"),
    [
        (b"", 302, {"Location": "/secret"}, "answers 302"),
        (gzip.compress(b"x 1\n", mtime=0), 200, {"Content-Encoding": "gzip"}, "is compressed"),
        (b"#" * (MAX_BYTES + 1), 200, {}, "longer than 4 MiB"),
        (b'm{a="' + b"\\" * MAX_LINE + b'"} 1\n', 200, {}, "a line longer than 64 KiB"),
        (b"the secret", 200, {}, "is no exposition of metrics"),
    ],
)
async def test_an_answer_that_is_none_is_told_without_its_words(part, status, headers, why):
    found, warned = await scraped(part, status=status, **headers)

    assert found == []
    assert why in warned
    assert "the secret" not in warned
