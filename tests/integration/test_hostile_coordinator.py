"""An agent with a hostile coordinator loads only allowed targets.

It goes on afterwards.
"""

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web

from loadgen.agent.run import MAX_ORDERS
from loadgen.plan.plan import Plan, Target
from loadgen.plan.sessions import PythonSession
from loadgen.wire import Orders, Post, Welcome, from_wire, to_wire
from tests.processes import PATIENCE, Agent, agent

NOWHERE = "ws://127.0.0.1:9/"
WELCOME = Welcome("x-0", "x", 0, Plan(target=NOWHERE, max=10))


class Hostile:
    """A coordinator with given answers, which records the agent's posts."""

    def __init__(
        self,
        welcome: bytes,
        *orders: bytes,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ):
        self.posts: list[Post] = []
        self.elsewhere = 0
        self._welcome = welcome
        self._orders = orders
        self._status = status
        self._headers = headers or {}
        self._news = asyncio.Event()

    async def join(self, request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=self._status, body=self._welcome, headers=self._headers)

    async def post(self, request: web.Request) -> web.Response:
        self.posts.append(from_wire(await request.read(), Post))
        self._news.set()
        orders = self._orders or (to_wire(Orders(-1)),)
        return web.Response(body=orders[(len(self.posts) - 1) % len(orders)])

    async def other(self, _: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.Response(body=to_wire(WELCOME))

    async def hears(self, condition) -> None:
        """Waits for a post that meets a condition."""
        async with asyncio.timeout(PATIENCE):
            while not any(map(condition, self.posts)):
                self._news.clear()
                await self._news.wait()

    @asynccontextmanager
    async def met_by(self, *options: str):
        """An agent that dials it."""
        app = web.Application(client_max_size=1 << 26)
        app.add_routes(
            [web.post("/v1/agents", self.join), web.post("/v1/agents/{id}/seconds", self.post)]
        )
        app.add_routes([web.route("*", "/{elsewhere:.*}", self.other)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        try:
            with agent(f"http://{host}:{port}", *options) as running:
                yield running
        finally:
            await runner.cleanup()


def changed(**fields: object) -> bytes:
    """Returns a welcome with some fields that our own coordinator never sends."""
    return msgspec.json.encode(msgspec.to_builtins(WELCOME) | fields)


async def last_words(running: Agent) -> str:
    """Waits for an agent's end with exit code 2; returns its one line of error."""
    assert await asyncio.to_thread(running.end) == 2
    (line,) = [line for line in running.err.splitlines() if "metrics at" not in line]
    return line


@pytest.mark.parametrize(
    ("welcome", "words"),
    [
        (b"", "sent no plan that this agent understands"),
        (b"[" * 100_000, "sent no plan that this agent understands"),
        (b"\xff\xfe", "sent no plan that this agent understands"),
        (changed(agents=0), "$.agents"),
        (changed(index=-1), "$.index"),
        (changed(id="../../elsewhere"), "$.id"),
        (changed(name="a\nb"), "$.name"),
        (changed(plan={"rate": -1}), "$.plan.rate"),
        (changed(plan={"phases": [{"rate": 1e12, "duration": 1e12}]}), "$.plan"),
    ],
)
async def test_an_invalid_welcome_ends_the_agent_in_one_line(welcome, words):
    async with Hostile(welcome).met_by() as running:
        assert words in await last_words(running)


async def test_a_redirect_is_not_followed():
    """A redirect could lead to a machine that only the agent reaches."""
    hostile = Hostile(b"", status=307, headers={"Location": "/elsewhere"})
    async with hostile.met_by() as running:
        assert "refused this agent: HTTP 307" in await last_words(running)
    assert hostile.elsewhere == 0


async def test_its_refusal_is_one_line_without_control_characters():
    hostile = Hostile(
        msgspec.json.encode({"error": "no\n\x1b[2Jloadgen-agent: fine" + "x" * 10_000}), status=400
    )
    async with hostile.met_by() as running:
        line = await last_words(running)

    assert "refused this agent: no [2Jloadgen-agent: fine" in line
    assert len(line) < 1000


def begin(length: int, positions: list[int], after: float) -> bytes:
    """Returns orders to begin with a share that our own coordinator never sends."""
    start = {"share": {"length": length, "positions": positions}, "after": after}
    return msgspec.json.encode({"acknowledged": -1, "do": "run", "start": start})


BROKEN_ORDERS = [
    b" ",
    begin(0, [0], 1),
    begin(5, [3, 1], 1),
    begin(5, [1, 7], 1),
    begin(5, [-1, 2], 1),
    begin(1, [0], 1e300),
    b'{"acknowledged":-1,"do":"explode"}',
    b"[" * 100_000,
]


async def test_invalid_orders_count_as_silence():
    """The agent reports what is wrong with them, and drains after --orphan-after."""
    hostile = Hostile(to_wire(WELCOME), *BROKEN_ORDERS)
    async with hostile.met_by("--orphan-after", "10", "--once") as running:
        assert await asyncio.to_thread(running.end) == 0
        assert running.err.count("sent no orders that this agent understands") >= len(BROKEN_ORDERS)
        assert "no word from the coordinator for 10 s" in running.err


async def test_a_drain_before_the_start_ends_the_agent():
    """An agent without connections reports at once that it is finished.

    No fleet waits for it.
    """
    hostile = Hostile(to_wire(WELCOME), to_wire(Orders(-1)), to_wire(Orders(-1, "drain")))
    async with hostile.met_by("--once") as running:
        await hostile.hears(lambda post: post.finished)
        assert await asyncio.to_thread(running.end) == 0


async def test_endless_orders_are_not_read_to_the_end():
    hostile = Hostile(to_wire(WELCOME), b" " * (MAX_ORDERS + 1))
    async with hostile.met_by("--orphan-after", "1", "--once") as running:
        assert await asyncio.to_thread(running.end) == 0
        assert "no word from the coordinator for " in running.err


@pytest.mark.parametrize(
    "plan",
    [
        Plan(target="ws://192.0.2.1/"),
        Plan(targets=(Target(url=NOWHERE), Target(url="ws://192.0.2.1/", weight=0))),
        Plan(target="ws://3221225985/"),  # 192.0.2.1 in another form that the resolver knows
        Plan(target="ws://0.0.0.0:9505/"),
    ],
    ids=["target", "second", "number", "any"],
)
async def test_a_target_that_its_owner_did_not_allow_is_refused(plan):
    """Any of the plan's URLs is enough, in any form."""
    hostile = Hostile(to_wire(msgspec.structs.replace(WELCOME, plan=plan)))
    async with hostile.met_by("--allow-target", "198.51.100.0/24"):
        await hostile.hears(
            lambda post: "refuses target" in post.refusal and "--allow-target" in post.refusal
        )
    assert not any(post.ready for post in hostile.posts)


async def test_the_agent_runs_no_code_of_it():
    session = PythonSession(
        name="evil", file="evil.py", source="import os\nos._exit(7)\nasync def session(user): ..."
    )
    hostile = Hostile(
        to_wire(msgspec.structs.replace(WELCOME, plan=Plan(target=NOWHERE, sessions=(session,))))
    )
    async with hostile.met_by() as running:
        await hostile.hears(lambda post: "start the agent with --allow-sessions" in post.refusal)
        assert running.workers() == []
