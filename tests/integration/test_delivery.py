"""Delivery by fleets, from servers that deliver rightly and wrongly."""

import asyncio
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, broadcast, serve

from tests.processes import PATIENCE, Coordinator, coordinator, eventually, run, target

DOCS = Path(__file__).parents[2] / "docs"
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
SUBSCRIBERS = 300
FLEET = ("--local", "1", "--rate", "600", "--think", "1", "--ping", "none")
PLATEAU = """
[publish]
rate = 10
begin = "plateau"
"""


def plan(folder: Path, text: str, **keys: Any) -> str:
    """Writes a plan file; returns its path."""
    path = folder / "plan.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in keys.items()]
    path.write_text("\n".join([*lines, text]))
    return str(path)


def publications(coord: Coordinator) -> list[dict[str, Any]]:
    """Returns the lines of publications.ndjson."""
    lines = (coord.folder / "publications.ndjson").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_every_publication_reaches_every_subscriber(tmp_path):
    file = plan(tmp_path, PLATEAU, max=SUBSCRIBERS, hold=8)
    options = ("--plan", file, "--expect", "reach>=100%", "--expect", "delivery_p99<30s")
    options += ("--expect", "delivery_lost==0")
    with (
        target("--workers", "2", "--mode", "appwrite") as server,
        coordinator(tmp_path / "runs", *FLEET, "--local", "2", *options, server.ws) as coord,
    ):
        assert coord.end(60) == 0, coord.out + coord.err
    summary, lines = coord.summary(), publications(coord)

    assert len(lines) >= 20
    assert {line["expected"] for line in lines} == {line["received"] for line in lines} == {300}
    assert summary["publications"]["sent"] == summary["publications"]["settled"] == len(lines)
    assert summary["reach"] == summary["publications"]["reach_min"] == 100.0
    assert summary["delivery_expected"] == SUBSCRIBERS * len(lines)
    assert summary["histograms"]["delivery"]["count"] == SUBSCRIBERS * len(lines)
    assert summary["delivery_duplicates"] == summary["delivery_reordered"] == 0
    assert all(line["first"] <= line["p50"] <= line["p99"] <= line["last"] for line in lines)
    shown = run("loadgen-report", str(coord.folder)).stdout
    assert "reach 100 % (" in shown
    markdown = run("loadgen-report", str(coord.folder), "--format", "markdown").stdout
    assert "publications a second reached 100 % of 300 subscribers, 99 % within" in markdown
    assert "reach 100 %" in (coord.folder / "report.html").read_text()


def test_every_loss_duplicate_and_reordering_is_found(tmp_path):
    """The target counts the frames it sends; every tenth delivery of all is lost."""
    file = plan(tmp_path, PLATEAU, max=SUBSCRIBERS, hold=8)
    vices = ("lose-deliveries=10", "double-deliveries=7", "delay-deliveries=300ms")
    with (
        target("--workers", "1", *(f"--vice={vice}" for vice in vices)) as server,
        coordinator(tmp_path / "runs", *FLEET, "--plan", file, server.ws) as coord,
    ):
        assert coord.end(60) == 0, coord.out + coord.err
        sent = server.stats()["messages_sent"]
    summary, lines = coord.summary(), publications(coord)
    deliveries = SUBSCRIBERS * len(lines)
    lost = deliveries // 10
    doubled = deliveries // 7 - deliveries // 70

    assert summary["delivery_expected"] == deliveries
    assert (summary["delivery_lost"], summary["delivery_duplicates"]) == (lost, doubled)
    assert summary["delivery_received"] + doubled == sent == summary["messages_received"]
    assert sum(line["lost"] for line in lines) == lost
    assert sum(line["duplicates"] for line in lines) == doubled
    assert summary["histograms"]["delivery"]["p50"] >= 300.0
    assert summary["reach"] == pytest.approx(90.0)
    assert 0 < len(summary["missed"]) <= 100
    assert {missed["publication"] for missed in summary["missed"]} <= {
        line["publication"] for line in lines
    }
    shown = run("loadgen-report", str(coord.folder)).stdout
    assert f"{lost:,} lost, {doubled:,} duplicates" in shown


def test_every_reordering_is_found(tmp_path):
    """Every 49th delivery changes places with the next to the same subscriber.

    Where that one is of another stream there is no order between them: on a busy machine the
    publisher does not wait for an answer that is late, and takes another stream.
    """
    file = plan(tmp_path, PLATEAU, max=SUBSCRIBERS, hold=8)
    with (
        target("--workers", "1", "--vice", "swap-deliveries=49") as server,
        coordinator(tmp_path / "runs", *FLEET, "--plan", file, server.ws) as coord,
    ):
        assert coord.end(60) == 0, coord.out + coord.err
    summary = coord.summary()

    assert summary["delivery_reordered"] > 0
    wrong = summary["delivery_reordered"] + summary["delivery_lost"]
    every = summary["delivery_expected"] // 49
    lines = sorted(publications(coord), key=lambda line: line["at"])
    streams = [line["publication"].rpartition(":")[0] for line in lines]
    changes = sum(one != other for one, other in pairwise(streams))
    assert every - (SUBSCRIBERS // 49 + 1) * (changes + 1) <= wrong <= every, (
        "what is held back last is never sent; what it changes places with may come in the drain"
    )


class Hall:
    """A server that sends every message to all but a part of its connections."""

    def __init__(self) -> None:
        self.connections: set[ServerConnection] = set()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    async def _run(self) -> None:
        async with serve(self._talk, "127.0.0.1", 0, compression=None, ping_interval=None) as hall:
            self.port = next(iter(hall.sockets)).getsockname()[1]
            self._ready.set()
            await self._over.wait()

    async def _talk(self, connection: ServerConnection) -> None:
        self.connections.add(connection)
        try:
            async for message in connection:
                broadcast(self.connections, message)
        finally:
            self.connections.discard(connection)

    @contextmanager
    def open(self) -> Iterator[str]:
        """Its URL, while it serves."""
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        try:
            yield f"ws://127.0.0.1:{self.port}/hall"
        finally:
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()
            self._loop.close()


MIX = """
[[sessions]]
kind = "loop"
name = "reader"
ping = "none"
weight = 9

[[sessions]]
kind = "python"
name = "speaker"
file = "speaker.py"

[publish]
by = "session"
sessions = ["reader"]
"""


def test_sessions_publish_over_their_own_connections(tmp_path):
    (tmp_path / "speaker.py").write_text((DOCS / "sessions" / "speaker.py").read_text())
    file = plan(tmp_path, MIX, max=100, hold=14, rate=200)
    with (
        Hall().open() as url,
        coordinator(tmp_path / "runs", "--local", "2", "--plan", file, url) as coord,
    ):
        assert coord.end(60) == 0, coord.out + coord.err
    summary, lines = coord.summary(), publications(coord)
    speakers = 100 - max(line["expected"] for line in lines)

    assert 0 < speakers < 30
    assert len(lines) == 5 * speakers
    assert summary["delivery_lost"] == summary["delivery_duplicates"] == 0
    assert summary["reach"] == 100.0
    assert summary["delivery_received"] == sum(line["received"] for line in lines) > 0


def test_a_stamp_without_publish_ends_its_session(tmp_path):
    session = str(DOCS / "sessions" / "speaker.py")
    options = ("--local", "1", "--max", "3", "--rate", "10", "--session", session)
    with Hall().open() as url, coordinator(tmp_path, *options, url) as coord:
        assert coord.end(60) == 0, coord.out + coord.err

        assert coord.summary()["closed"] == {"error_RuntimeError": 3}
        assert (
            '[publish] and by = "session"'
            in (coord.folder / "errors" / "error_RuntimeError.txt").read_text()
        )


def publish(port: int, payload: str) -> None:
    """Publishes as a program of the operator's own does."""
    body = json.dumps({"channels": ["files"], "payload": payload}).encode()
    with urllib.request.urlopen(
        f"http://127.0.0.1:{port}/publish", data=body, timeout=PATIENCE
    ) as reply:
        assert json.load(reply) == {"subscribers": 50}


def test_an_external_publisher_only_stamps_its_payload(tmp_path):
    """One stream is on this host's clock, one on a clock that nobody here knows."""
    options = (*FLEET, "--max", "50", "--hold", "14", "--publish", "external")
    with (
        target("--workers", "1") as server,
        coordinator(tmp_path, *options, server.ws) as coord,
    ):
        eventually(lambda: server.stats()["open"] == 50, "50 open")
        for number in range(10):
            publish(server.port, f"lg1:{BOOT}-mine:{number}:{int(time.monotonic() * 1e6)};")
            publish(server.port, f"lg1:elsewhere-mine:{number}:77;")
        assert coord.end(60) == 0, coord.out + coord.err
    summary = coord.summary()

    assert summary["publications"]["settled"] == 20
    assert summary["delivery_expected"] == summary["delivery_received"] == 20 * 50
    assert summary["histograms"]["delivery"]["count"] == summary["delivery_untimed"] == 10 * 50
    shown = run("loadgen-report", str(coord.folder)).stdout
    assert "500 receipts have no time: the clock of their sender is unknown" in shown


def test_messages_without_a_stamp_are_reported_and_nothing_is_measured(tmp_path):
    options = (*FLEET, "--max", "50", "--hold", "5", "--publish", "external")
    expected = ("--expect", "reach>=0", "--expect", "delivery_lost==0")
    with (
        target("--workers", "1") as server,
        coordinator(tmp_path, *options, *expected, server.ws) as coord,
    ):
        eventually(lambda: server.stats()["open"] == 50, "50 open")
        for number in range(10):
            publish(server.port, f"plain {number}")
        assert coord.end(60) == 1, coord.out + coord.err
        assert "has a stamp, so no delivery is measured" in coord.err
        assert coord.err.count("plain 0") == 1
        assert "reach not measured" in coord.out
    summary = coord.summary()

    assert summary["delivery_unstamped"] == 500
    assert [one["value"] for one in summary["expectations"]] == [None, None]


def test_an_api_that_refuses_is_a_failure_and_reaches_nobody(tmp_path):
    options = (*FLEET, "--max", "50", "--hold", "9", "--publish-rate", "10")
    with (
        target("--workers", "1") as server,
        coordinator(
            tmp_path, *options, "--publish", f"http://127.0.0.1:{server.port}/none", server.ws
        ) as coord,
    ):
        assert coord.end(60) == 0, coord.out + coord.err
        assert coord.err.count("could not be sent") == 1
    summary = coord.summary()

    assert summary["publications"]["failed"]["http_404"] > 0
    assert summary["publications"]["sent"] == summary["delivery_expected"] == 0
