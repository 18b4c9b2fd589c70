"""The coordinator as a process: HTTP in, a run directory out.

Its agents only speak the wire.
"""

import asyncio
import contextlib
import io
import json
import re
import signal
import sys
from collections import Counter
from time import monotonic

import aiohttp
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from loadgen.machine.limits import Limit
from loadgen.stats.fanin import Second
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally
from loadgen.stats.vitals import WorkerVitals
from loadgen.wire import WIRE, Hello, Orders, Post, Welcome, from_wire, to_wire
from tests.processes import environment

HOLDS = Limit("max_connections", 64_000, "--max-connections", "raise --max-connections")


class WireAgent:
    """An agent without workers.

    Every connection of its share opens when it is due, and pings once.
    """

    def __init__(self, url, name="host", holds=HOLDS, token=None, weight=64_000):
        self.url = url
        self.hello = Hello(name, WIRE, "0.1.0", weight, (holds,), {"cpus": 2})
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.outbox = {}
        self.repeat = False
        self.orders = []
        self.notes = ()
        self.silent = asyncio.Event()
        self.opened = 0
        self.closed = False

    async def join(self, http):
        async with http.post(
            f"{self.url}/v1/agents", data=to_wire(self.hello), headers=self.headers
        ) as reply:
            assert reply.status == 200, await reply.text()
            self.welcome = from_wire(await reply.read(), Welcome)
        return self.welcome

    async def post(self, http, **fields):
        post = Post(
            seconds=tuple(self.outbox.values()),
            ready=True,
            notes=self.notes,
            workers=(WorkerVitals(0, 0.5, 1 << 20),),
            **fields,
        )
        url = f"{self.url}/v1/agents/{self.welcome.id}/seconds"
        for _ in range(1 + self.repeat):
            async with http.post(url, data=to_wire(post), headers=self.headers) as reply:
                assert reply.status == 200, await reply.text()
                orders = from_wire(await reply.read(), Orders)
        self.notes = ()
        self.orders.append(orders.do)
        for number in [number for number in self.outbox if number <= orders.acknowledged]:
            del self.outbox[number]
        return orders

    async def serve(self, http):
        """Joins, runs its share, drains on order; returns once it is ordered to stop."""
        await self.join(http)
        while (orders := await self.post(http)).start is None:
            if orders.do == "stop":
                return
            await asyncio.sleep(0.05)
        begin = monotonic() + orders.start.after
        plan = self.welcome.plan
        due = Counter(int(at) for _, at in plan.schedule.dues(orders.start.share))
        number = 0
        while not self.silent.is_set():
            if monotonic() >= begin + number + 1 or (orders.do == "drain" and not self.closed):
                self.outbox[number] = self.second(number, due, draining=orders.do == "drain")
                number += 1
            orders = await self.post(http, finished=self.closed)
            if orders.do == "stop":
                return
            await asyncio.sleep(0.05)

    def second(self, number, due, *, draining):
        tally = Tally()
        if draining:
            tally.closed = {"drained": self.opened}
            self.closed = True
            return Second(number, tally, Held(), 0.5, 1 << 20)
        tally.launched = tally.opened = tally.pings = tally.pongs = due[number]
        self.opened += due[number]
        for _ in range(due[number]):
            tally.handshake.record(3000)
            tally.ping_rtt.record(4000)
        return Second(number, tally, Held(0, self.opened), 0.5, 1 << 20)


class Coordinator:
    """`loadgen-coord` as a process; entering it waits for the line with its URL."""

    def __init__(self, tmp_path, *options):
        self.out = tmp_path / "runs"
        self.options = options
        self.lines = []
        self.changed = asyncio.Event()

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "coordinator.cli.coord",
            "--listen",
            "127.0.0.1:0",
            "--out",
            str(self.out),
            *self.options,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self.errors = asyncio.create_task(self.process.stderr.read())
        self.url = await self.until(r"join at (http://\S+);")
        self.rest = asyncio.create_task(self.read())
        return self

    async def until(self, pattern):
        async for line in self.process.stdout:
            self.lines.append(line.decode())
            if match := re.search(pattern, line.decode()):
                return match[1]
        raise AssertionError((self.lines, (await self.errors).decode()))

    async def read(self):
        async for line in self.process.stdout:
            self.lines.append(line.decode())
            self.changed.set()

    async def shown(self, pattern):
        """Waits until a line matches."""
        while not any(re.search(pattern, line) for line in self.lines):
            self.changed.clear()
            await self.changed.wait()

    async def end(self):
        code = await self.process.wait()
        await self.rest
        self.stderr = (await self.errors).decode()
        assert "Traceback" not in self.stderr
        return code

    async def __aexit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self.rest
        await self.errors

    @property
    def folder(self):
        (folder,) = self.out.iterdir()
        return folder


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def get(http, url, **headers):
    async with http.get(url, headers=headers) as reply:
        return reply.status, await reply.text()


async def post(http, url, body, **headers):
    async with http.post(url, data=body, headers=headers) as reply:
        return reply.status, (await reply.json())


async def test_a_run_from_the_first_agent_to_the_run_directory(tmp_path, http):
    """Each of 1,000 connections counts once.

    Two agents have one name, one of them repeats each post, and one is lighter.
    """
    options = ("--max", "1000", "--rate", "500", "--hold", "1", "--agents", "3")
    expectations = (
        "--expect",
        "open_peak>=1000",
        "--expect",
        "handshake_p99<500ms",
        "--expect",
        "failed<0.1%",
    )
    async with Coordinator(tmp_path, *options, *expectations) as coord:
        agents = [
            WireAgent(coord.url),
            WireAgent(coord.url),
            WireAgent(coord.url, "small/../x", weight=32_000),
        ]
        agents[1].repeat = True
        agents[2].notes = ("a note\nof two lines",)
        running = asyncio.gather(*(agent.serve(http) for agent in agents))
        await running

        assert await coord.end() == 0
        assert {agent.welcome.name for agent in agents} == {"host", "host-2", "small-..-x"}
        check_summary(json.loads((coord.folder / "summary.json").read_text()))
        check_seconds(coord.folder)
        check_histograms(coord.folder)
        facts = json.loads((coord.folder / "run.json").read_text())
        assert [agent["machine"] for agent in facts["agents"]] == [{"cpus": 2}] * 3
        assert sum(agent["connections"] for agent in facts["agents"]) == 1000
        assert (coord.folder / "agents" / "small-..-x.log").read_text() == "a note of two lines\n"
        assert coord.lines[-1] == f"run directory: {coord.folder}\n"
        assert any("open 1,000/1,000" in line for line in coord.lines)


def check_summary(summary):
    assert summary["verdict"] == "pass"
    assert all(row["held"] for row in summary["expectations"])
    assert (summary["planned"], summary["launched"], summary["opened"]) == (1000, 1000, 1000)
    assert (summary["open_peak"], summary["open_end"], summary["closed"]) == (
        1000,
        0,
        {"drained": 1000},
    )
    assert (summary["failed"], summary["lost"], summary["invalid_seconds"]) == ({}, 0, [])
    assert summary["histograms"]["handshake"]["count"] == 1000
    assert summary["histograms"]["handshake"]["p99"] == pytest.approx(3.0, rel=0.01)
    assert sorted(agent["launched"] for agent in summary["agents"]) == [200, 400, 400]
    assert summary["rate_achieved"] == 500.0


def check_seconds(folder):
    rows = [json.loads(line) for line in (folder / "seconds.ndjson").read_text().splitlines()]
    assert [row["second"] for row in rows] == list(range(len(rows)))
    assert sum(row["fleet"]["rates"]["launched"] for row in rows) == 1000
    assert rows[0]["fleet"]["ledger"]["open"] == 500
    assert rows[0]["fleet"]["ledger"]["not_started"] == 500
    assert set(rows[0]["agents"]) == {"host", "host-2", "small-..-x"}
    assert all(row["missing"] == [] for row in rows)


def check_histograms(folder):
    reader = HistogramLogReader(str(folder / "histograms.hlog"), HdrHistogram(1, 3_600_000_000, 2))
    counts = Counter()
    while (interval := reader.get_next_interval_histogram()) is not None:
        counts[interval.get_tag()] += interval.get_total_count()
    reader.input_file.close()
    assert counts == {"handshake": 1000, "ping_rtt": 1000}


async def test_paths_that_change_something_need_the_token_and_mistakes_are_one_line(tmp_path, http):
    (tmp_path / "token").write_text("s3cret\n")
    async with Coordinator(tmp_path, "--token-file", str(tmp_path / "token")) as coord:
        agents = f"{coord.url}/v1/agents"
        bearer = {"Authorization": "Bearer s3cret"}
        body = to_wire(WireAgent(coord.url).hello)
        assert (await post(http, agents, body))[0] == 401
        assert (await post(http, agents, body, Authorization="Bearer s3cret2"))[0] == 401
        assert (await post(http, f"{agents}/x/seconds", to_wire(Post())))[0] == 401

        for path, content, status, words in [
            ("", b"{", 400, "truncated"),
            ("", b'{"name": 1, "wire": %d}' % WIRE, 400, "$.name"),
            ("", b'{"wire": 99, "version": "9.9"}', 426, "wire version 99 (loadgen 9.9)"),
            ("/nobody/seconds", to_wire(Post()), 404, "join anew"),
            ("/nobody/seconds", b"[1]", 404, "join anew"),
            ("/nobody", b"", 404, "Not Found"),
            ("", io.BytesIO(bytes(65 << 20)), 413, "exceeded"),
        ]:
            code, answer = await post(http, agents + path, content, **bearer)
            assert (code, words in answer["error"]) == (status, True), answer
            assert "\n" not in answer["error"]
        assert (await get(http, f"{coord.url}/v1/run/seconds?since=x", **bearer))[0] == 400
        assert (await get(http, f"{coord.url}/v1/run"))[0] == 401

        coord.process.send_signal(signal.SIGINT)
        assert await coord.end() == 130
        assert coord.lines[-1].startswith("run directory: ")
        refused = [line for line in coord.stderr.splitlines() if "127.0.0.1 was refused" in line]
        for line, words in zip(
            refused,
            ("sent no token", "not this coordinator's", "truncated", "$.name", "(loadgen 9.9)"),
            strict=True,
        ):
            assert line.startswith("loadgen-coord: an agent at 127.0.0.1 was refused: ")
            assert words in line
            assert "s3cret" not in line


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
async def test_the_end_of_the_terminal_stops_as_ctrl_c_does(tmp_path, number):
    """The target's name does not resolve on the manager: only the agents need that."""
    async with Coordinator(tmp_path, "--agents", "2", "ws://nowhere.invalid/") as coord:
        await coord.shown("waiting for agents")
        coord.process.send_signal(number)

        assert await coord.end() == 130
        assert json.loads((coord.folder / "summary.json").read_text())["verdict"] == "stopped"
        assert "on this machine, target host 'nowhere.invalid' does not resolve" in coord.stderr


async def test_a_run_can_be_queried_until_ctrl_c_drains_it(tmp_path, http):
    async with Coordinator(tmp_path, "--max", "400", "--rate", "200", "--agents", "2") as coord:
        agents = [WireAgent(coord.url, name) for name in ("a", "b")]
        running = asyncio.gather(*(agent.serve(http) for agent in agents))
        await coord.shown(r"^   1s  open")
        await check_surface(http, coord.url)
        code, answer = await post(
            http, f"{coord.url}/v1/agents", to_wire(WireAgent(coord.url, "late").hello)
        )
        assert (code, answer["name"]) == (200, "late")
        code, answer = await post(
            http, f"{coord.url}/v1/agents/{answer['id']}/seconds", to_wire(Post(ready=True))
        )
        assert (code, answer["do"]) == (200, "wait")

        coord.process.send_signal(signal.SIGINT)
        await running
        assert await coord.end() == 130
        summary = json.loads((coord.folder / "summary.json").read_text())
        assert (summary["verdict"], summary["opened"], summary["closed"]) == (
            "stopped",
            400,
            {"drained": 400},
        )
        assert "STOPPED" in "".join(coord.lines)


async def check_surface(http, url):
    state = json.loads((await get(http, f"{url}/v1/run"))[1])
    assert (state["state"], state["plan"]["max"], state["wanted"]) == ("running", 400, 2)
    assert state["ledger"]["planned"] == 400
    assert sorted(agent["name"] for agent in state["agents"]) == ["a", "b"]
    (first, *_) = json.loads((await get(http, f"{url}/v1/run/seconds?since=0"))[1])["seconds"]
    assert (first["second"], first["fleet"]["ledger"]["opened"]) == (0, 200)
    metrics = (await get(http, f"{url}/metrics"))[1]
    assert 'loadgen_connections_opened_total{agent="a"} 200.0' in metrics
    assert 'loadgen_connections{agent="b",state="open"} 200.0' in metrics
    assert json.loads((await get(http, f"{url}/healthz"))[1])["state"] == "running"


async def test_a_failed_expectation_is_exit_code_1_and_json_ends_stdout(tmp_path, http):
    """With --json the lines for people go to stderr, and the port with them."""
    options = (
        "--max",
        "10",
        "--rate",
        "100",
        "--hold",
        "1",
        "--agents",
        "1",
        "--json",
        "--expect",
        "opened>10",
    )
    async with started(tmp_path, "--listen", "127.0.0.1:0", *options) as (process, url):
        await WireAgent(url).serve(http)
        out, err = await process.communicate()

        (line,) = out.decode().splitlines()
        assert process.returncode == 1
        assert json.loads(line)["verdict"] == "fail"
        assert json.loads(line)["expectations"] == [
            {"expr": "opened>10", "value": 10.0, "held": False}
        ]
        assert err.decode().splitlines()[-1].startswith("run directory: ")


@contextlib.asynccontextmanager
async def started(tmp_path, *options):
    process = await start("--out", str(tmp_path / "runs"), *options)
    try:
        line = (await process.stderr.readline()).decode()
        yield process, re.search(r"join at (http://\S+);", line)[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def start(*options, **variables):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "coordinator.cli.coord",
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment() | variables,
    )


@pytest.mark.parametrize(
    ("options", "variables", "code", "words"),
    [
        (["--max", "3"], {}, 2, "rounds to nothing"),
        (["http://127.0.0.1/"], {}, 2, "not a WebSocket URL"),
        (["--local", "1", "ws://nowhere.invalid/"], {}, 2, "does not resolve"),
        (["ws://127.0.0.1:0/"], {}, 2, "port 0"),
        (["--rate", "-5"], {}, 2, "not a rate"),
        (["--rate", "many"], {}, 2, "not a rate"),
        (["--expect", "nonsense"], {}, 2, "not an expectation"),
        (["--listen", "0.0.0.0:0"], {}, 2, "--token-file"),
        (["--with-target", "wss://127.0.0.1:9/"], {}, 2, "ws:// only"),
        (["--wait", "0.1"], {}, 3, "16 never joined"),
        (["--local", "1"], {"LOADGEN_AGENT_ORPHAN_AFTER": "soon"}, 3, "not a duration"),
    ],
)
async def test_an_unusable_command_is_an_error_of_one_line_and_an_exit_code(
    tmp_path, options, variables, code, words
):
    listen = [] if "--listen" in options else ["--listen", "127.0.0.1:0"]
    process = await start("--out", str(tmp_path / "runs"), *listen, *options, **variables)
    _, err = await process.communicate()

    (line,) = err.decode().splitlines()
    assert (process.returncode, line.startswith("loadgen-coord: "), words in line) == (
        code,
        True,
        True,
    ), line


async def test_a_busy_port_is_named(tmp_path):
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        for options in (
            ["--listen", f"127.0.0.1:{port}"],
            [
                "--listen",
                "127.0.0.1:0",
                "--local",
                "1",
                "--with-target",
                f"ws://127.0.0.1:{port}/v1/realtime",
            ],
        ):
            process = await start("--out", str(tmp_path / "runs"), *options)
            _, err = await process.communicate()
            assert (process.returncode, f"127.0.0.1:{port}" in err.decode()) == (2, True), err
            assert len(err.decode().splitlines()) == 1


async def test_a_plan_is_written_read_and_overruled(tmp_path):
    plan = str(tmp_path / "plan.toml")
    for options in (
        ["--rate", "50", "--max", "99", "--write-plan", plan],
        ["--plan", plan, "--max", "77", "--dry-run"],
    ):
        process = await start(*options)
        out, err = await process.communicate()
        assert (process.returncode, err) == (0, b"")

    assert "rate = 50.0\nmax = 77\n" in out.decode()
    assert "agent 16            4" in out.decode()
    assert not (tmp_path / "runs").exists()
