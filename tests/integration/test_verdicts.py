"""A run that a server cut short does not pass, though nothing failed."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from tests.processes import Coordinator, coordinator, eventually, run, target

CODE = 1001
DROP_AFTER = 1.0
"""Seconds after which the server lets go of a connection to /drop."""


class DroppingServer:
    """A WebSocket server that keeps its connections to /hold, and not those to /drop."""

    def __init__(self) -> None:
        self.dropped = 0
        self.open: set[web.WebSocketResponse] = set()
        self.port = 0
        self.loop = asyncio.new_event_loop()

    async def start(self) -> web.AppRunner:
        """Listens on a free port."""
        app = web.Application()
        app.router.add_get("/hold", self.hold)
        app.router.add_get("/drop", self.drop)
        runner = web.AppRunner(app, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner

    async def hold(self, request: web.Request) -> web.WebSocketResponse:
        """Answers pings until the client closes the connection."""
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.open.add(ws)
        async for message in ws:
            assert message.type is not WSMsgType.ERROR
        self.open.discard(ws)
        return ws

    async def drop(self, request: web.Request) -> web.WebSocketResponse:
        """Answers pings for a while, then closes the connection."""
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        try:
            async with asyncio.timeout(DROP_AFTER):
                async for message in ws:
                    assert message.type is not WSMsgType.ERROR
        except TimeoutError:
            self.dropped += 1
            await ws.close(code=CODE)
        return ws

    def let_go(self) -> None:
        """Closes all connections at once, as a server that is restarted."""

        async def close_all() -> None:
            await asyncio.gather(*(ws.close(code=CODE) for ws in list(self.open)))

        asyncio.run_coroutine_threadsafe(close_all(), self.loop).result()


@contextmanager
def dropping_server() -> Iterator[DroppingServer]:
    server = DroppingServer()
    runner = server.loop.run_until_complete(server.start())
    thread = threading.Thread(target=server.loop.run_forever)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), server.loop).result()
        server.loop.call_soon_threadsafe(server.loop.stop)
        thread.join()
        server.loop.close()


def plan_of(path: Path, server: DroppingServer, hold: str) -> str:
    """Writes a plan in which the server lets three tenths of the users go."""
    url = f"ws://127.0.0.1:{server.port}"
    plan = path / "plan.toml"
    plan.write_text(
        f"""
hold = "{hold}"
[[phases]]
name = "ramp"
rate = 100
max = 100
[[sessions]]
kind = "loop"
name = "stay"
think = "0.5s"
[[targets]]
url = "{url}/hold"
weight = 7
[[targets]]
url = "{url}/drop"
weight = 3
"""
    )
    return str(plan)


def expecting(*texts: str) -> list[str]:
    return [part for text in texts for part in ("--expect", text)]


def held(coord: Coordinator) -> dict[str, bool]:
    """Returns whether each expectation of a run held."""
    return {result["expr"]: result["held"] for result in coord.summary()["expectations"]}


def test_connections_that_the_server_drops_fail_a_run_that_expects_none_to_be(tmp_path):
    with dropping_server() as server:
        plan = plan_of(tmp_path, server, "3s")
        expected = expecting("unexpected==0", "failed==0", "lost==0", "plateau.unexpected==0")
        with coordinator(tmp_path / "runs", "--local", "1", "--plan", plan, *expected) as coord:
            code, out = coord.end(), coord.out
        dropped = server.dropped
    summary = coord.summary()

    assert dropped > 5
    assert code == 1
    assert (summary["verdict"], summary["unexpected"]) == ("fail", dropped)
    assert summary["closed"] == {"drained": 100 - dropped, f"server_{CODE}": dropped}
    assert held(coord) == {
        "unexpected==0": False,
        "failed==0": True,
        "lost==0": True,
        "plateau.unexpected==0": False,
    }
    assert f": FAIL; {dropped} dropped by the server (server_{CODE}); " in out
    report = (coord.folder / "report.html").read_text()
    # A busy machine may have no valid second, and then the report claims nothing else.
    assert f"that open connections stay open: {dropped} dropped by the server" in report


def test_without_an_expectation_it_is_done_and_no_proof(tmp_path):
    with dropping_server() as server:
        plan = plan_of(tmp_path, server, "2s")
        with coordinator(tmp_path / "runs", "--local", "1", "--plan", plan) as coord:
            code, out = coord.end(), coord.out
        dropped = server.dropped
    folder = str(coord.folder)

    assert code == 0
    assert f": DONE; {dropped} dropped by the server (server_{CODE}); " in out
    assert "to make unexpected ends count" in out
    markdown = run("loadgen-report", folder, "--format", "markdown")
    assert markdown.returncode == 0
    assert f"No proof, since nothing was expected and {dropped} of 100 ended" in markdown.stdout
    again = run("loadgen-report", folder, "--expect", "unexpected==0", "--expect", "failed==0")
    assert again.returncode == 1
    assert f"unexpected==0 (it was {dropped})" in again.stderr
    assert "failed==0" not in again.stderr


def test_a_server_that_lets_go_in_the_hold_does_not_pass(tmp_path):
    with dropping_server() as server:
        plan = ("--rate", "100", "--max", "50", "--think", "0.5", "--hold", "600")
        expected = expecting(
            "open_peak>=50",
            "failed==0",
            "lost==0",
            "plateau.open_min>=50",
            "plateau.closed.server_1001<1%",
            "phase.hold.unexpected==0",
            "phase.arrivals.failed==0",
        )
        url = f"ws://127.0.0.1:{server.port}/hold"
        with coordinator(tmp_path, "--local", "1", *plan, *expected, url) as coord:
            eventually(lambda: len(server.open) == 50, "50 are open")
            seconds = len(coord.rows())
            eventually(lambda: len(coord.rows()) > seconds + 3, "some seconds of the hold")
            server.let_go()
            code = coord.end()

    assert code == 1
    assert held(coord) == {
        "open_peak>=50": True,
        "failed==0": True,
        "lost==0": True,
        "plateau.open_min>=50": False,
        "plateau.closed.server_1001<1%": False,
        "phase.hold.unexpected==0": False,
        "phase.arrivals.failed==0": True,
    }


def test_a_server_that_answers_no_ping_does_not_pass(tmp_path):
    expected = expecting("plateau.pongs>=99%", "plateau.ping_rtt_p99<1s", "open_peak>=20")
    plan = ("--rate", "100", "--max", "20", "--think", "0.5", "--hold", "2")
    with (
        target("--workers", "1", "--vice", "no-pong") as silent,
        coordinator(tmp_path, "--local", "1", *plan, *expected, silent.ws) as coord,
    ):
        code = coord.end()

    assert code == 1
    assert not held(coord)["plateau.pongs>=99%"]
    assert not held(coord)["plateau.ping_rtt_p99<1s"]
    assert held(coord)["open_peak>=20"]


def test_a_run_that_can_not_pass_any_more_is_drained_and_fails(tmp_path):
    with dropping_server() as server:
        plan = plan_of(tmp_path, server, "10m")
        abort = ("--abort-on", "unexpected>5:for 1s", "--abort-on", "failed>50%")
        with coordinator(tmp_path / "runs", "--local", "1", "--plan", plan, *abort) as coord:
            code, out, err = coord.end(), coord.out, coord.err
    summary = coord.summary()
    why = summary["aborted"]["why"]

    assert code == 1
    assert summary["verdict"] == "fail"
    assert why.startswith("--abort-on unexpected>5 for 1 s (it was ")
    assert f": FAIL; aborted after {round(summary['aborted']['second'])} s: {why}; " in out
    assert f"the run is drained: {why}" in err
    assert summary["closed"]["drained"] > 50
    page = (coord.folder / "report.html").read_text()
    data = page.partition('<script type="application/json" id="run">')[2].partition("</script>")[0]
    assert json.loads(data)["marks"] == [[summary["aborted"]["second"], f"aborted: {why}"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--expect", "closed.sever_1001==0"), "did you mean 'server_1001'?"),
        (("--expect", "messages_received>1%"), "messages_received has no percentage"),
        (("--abort-on", "plateau_s<3"), "plateau_s is only known when the run is over"),
        (("--abort-on", "failed>1:for ever"), "'ever' is not a duration"),
    ],
)
def test_an_expectation_that_can_not_be_meant_is_refused_before_anything_is_opened(
    tmp_path, arguments, message
):
    ended = run("loadgen-coord", "--local", "1", "--out", str(tmp_path), *arguments)

    assert ended.returncode == 2
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
