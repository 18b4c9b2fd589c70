"""The number of workers that a limit needs, and workers that start later."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from loadgen.net.handshake import Handshake
from loadgen.target.settings import Faults, TargetSettings
from loadgen.target.supervisor import Size, max_connections, size_of, workers_for
from loadgen.values import Endpoint
from tests.processes import PATIENCE, Address, children, eventually, is_gone


@pytest.mark.parametrize(
    ("limit", "cores", "descriptors", "workers"),
    [
        (0, 2, 20_000, 2),
        (19_000, 1, 20_000, 1),
        (19_001, 1, 20_000, 2),
        (1_000_000, 2, 20_000, 53),
        (1_000_000, 16, 1_048_576, 16),
    ],
)
def test_workers(limit, cores, descriptors, workers):
    assert workers_for(limit, cores, descriptors) == workers
    assert workers * max_connections(workers, descriptors) >= limit


def test_a_worker_holds_no_negative_number():
    assert max_connections(60, 100) == 0


@pytest.mark.parametrize(
    ("workers", "limit", "descriptors", "size"),
    [
        (None, None, 20_000, Size(2, 63, 1_000_000)),
        (None, None, 1_048_576, Size(2, 2, 1_000_000)),
        (None, 1_000_000, 20_000, Size(53, 53, 1_000_000)),
        (None, 100, 20_000, Size(2, 2, 100)),
        (3, None, 20_000, Size(3, 3, 1_000_000)),
        (3, 7, 20_000, Size(3, 3, 7)),
    ],
)
def test_without_workers_and_limit_one_per_core_starts(workers, limit, descriptors, size):
    settings = TargetSettings(Endpoint("127.0.0.1", 0), workers, limit, "echo", Faults())

    assert size_of(settings, 2, descriptors) == size


GROWING = """
from loadgen.target.settings import Faults, TargetSettings
from loadgen.target.supervisor import Size, Workers
from loadgen.values import Endpoint

settings = TargetSettings(Endpoint("127.0.0.1", 0), None, None, "appwrite", Faults())
workers = Workers(settings, Size(1, 3, 1500), 567)
workers.start()
try:
    workers.watch()
finally:
    workers.end()
"""
"""A target of one worker that may have three; each holds 500 connections."""


def reached(server: Address) -> int:
    """Publishes; returns how many connections that reached."""
    body = json.dumps({"channels": ["files"], "payload": "news"}).encode()
    url = f"http://{server.host}:{server.port}/publish"
    with urllib.request.urlopen(url, data=body, timeout=PATIENCE) as reply:
        return int(json.load(reply)["subscribers"])


def sockets_of(pid: int) -> int:
    """Returns how many sockets a process has open."""
    sockets = 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # a descriptor of a connection that has just ended
            sockets += os.readlink(path).startswith("socket:")
    return sockets


def test_the_others_start_once_the_first_one_has_a_tenth_of_its_connections():
    with (
        subprocess.Popen([sys.executable, "-c", GROWING], stdout=subprocess.PIPE, text=True) as one,
        ExitStack() as stack,
    ):
        stack.callback(one.kill)
        line = one.stdout.readline()
        assert line.endswith("(1 of up to 3 workers, limit 1500, mode appwrite)\n")
        server = Address("127.0.0.1", int(line.partition("1:")[2].partition("/")[0]))

        def open_(count: int, block: int) -> None:
            """Opens connections, each from an address of its own.

            The target deals connections by their address.
            """
            request = Handshake(
                f"127.0.0.1:{server.port}", "/v1/realtime?project=console&channels[]=files"
            )
            for number in range(count):
                client = socket.create_connection(
                    (server.host, server.port), PATIENCE, (f"127.77.{block}.{number + 1}", 0)
                )
                stack.enter_context(client).sendall(request.request(b"dGhlIHNhbXBsZSBub25jZQ=="))
                assert client.recv(12) == b"HTTP/1.1 101"

        open_(50, 1)
        assert (server.stats()["workers"], reached(server)) == (1, 50)
        open_(1, 2)
        eventually(lambda: server.stats()["workers"] == 3, "all are counted")
        eventually(lambda: len(children(one.pid)) == 3, "all have started")
        before = Counter({pid: sockets_of(pid) for pid in children(one.pid)})

        def all_are_dealt_connections() -> bool:
            """Opens one more; returns whether each worker holds further ones."""
            open_(1, 3 + server.stats()["open"] // 250)
            return all(sockets_of(pid) > before[pid] + 2 for pid in before)

        eventually(all_are_dealt_connections, lambda: f"{server.stats()}")
        held = server.stats()["open"]
        assert reached(server) == held
        workers = children(one.pid)
        one.terminate()
        assert one.wait(PATIENCE) == 0
        assert all(map(is_gone, workers))
