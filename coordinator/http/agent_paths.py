"""The paths of agents: they join, post seconds, and read the rows of feeders."""

import asyncio
from collections.abc import Awaitable, Callable
from secrets import token_urlsafe

import msgspec
from aiohttp import web

from coordinator.http.answers import decoded, error_reply, json_reply
from coordinator.http.discovery import reachable
from coordinator.http.routes import LINES
from coordinator.run.agents import digest_of
from coordinator.run.gathering import RefusedError
from coordinator.run.run import BadPostError, Run
from loadgen.http.ratelimit import TokenBucket
from loadgen.http.server import Handler, too_many
from loadgen.wire import WIRE, Hello, Post, to_wire

MAX_HELLO_BYTES = 256 << 10
"""The largest body of an agent that joins: its machine in a few facts and limits."""
MAX_JOINS = 50.0
"""Agents that may join per second: ten times what a fleet does."""
MAX_POSTS = 100.0
"""Posts per second of one agent: ten times what it does."""
SECRET_BYTES = 16
"""Random bytes of an agent's secret."""
SAME_VERSION = "install the same loadgen version on both"
"""The fix where agent and coordinator do not understand each other."""


class Versions(msgspec.Struct):
    """The part of a Hello that every version of the wire format has."""

    wire: int
    version: str = "unknown"


class AgentPaths:
    """The paths of the agents of one run.

    `clock` returns seconds on the clock of the run's times.
    """

    def __init__(self, run: Run, clock: Callable[[], float]) -> None:
        self._run = run
        self._clock = clock
        self.recorded: Callable[[], Awaitable[None]] = _at_once
        """Waits, for a moment at most, until what the run has recorded is written."""
        self._transports: dict[str, asyncio.BaseTransport] = {}
        """The connection on which each agent posted last, by the agent's id."""
        self._joins = TokenBucket(MAX_JOINS)
        self._posts: dict[str, TokenBucket] = {}
        """The rate limits of the agents that joined, by their ids."""

    def handlers(self) -> dict[str, Handler]:
        """Returns the handlers by the names of their routes."""
        return {"join": self._join, "post_seconds": self._post, "feeder": self._send_feeder}

    def take_disconnected(self) -> list[str]:
        """Returns the ids of the agents whose connections ended since the last call."""
        ended = [agent for agent, line in self._transports.items() if line.is_closing()]
        for agent in ended:
            del self._transports[agent]
        return ended

    def agent_of(self, request: web.Request) -> str | None:
        """Returns the id of the agent whose path a request has; None when there is none."""
        return self._run.agents.authentic(request.match_info.get("id", ""))

    def refused(self, request: web.Request, why: str) -> None:
        """Tells the operator of an agent that can't join; `why` ends with the fix.

        Once the run drains it is too late for an agent, and those that have served ask for the next
        run.
        """
        if self._run.state in ("gathering", "running"):
            self._run.notices.refuse(request.remote or "an unknown address", why)

    def _has_served(self, name: str) -> bool:
        """Returns True when an agent of this name has a share; it may be through."""
        return any(agent.hello.name == name for agent in self._run.agents.with_share())

    async def _join(self, request: web.Request) -> web.Response:
        if not self._joins.take(self._clock()):
            return too_many("too many agents join at once; join again in a second")
        body = await request.clone(client_max_size=MAX_HELLO_BYTES).read()
        # Only the version of another version's Hello can be relied on; the refusal has to name it.
        try:
            versions = decoded(body, Versions)
            same = versions.wire == WIRE
            hello = (
                decoded(body, Hello)
                if same
                else Hello("", versions.wire, versions.version, 0, (), {})
            )
        except web.HTTPBadRequest as error:
            self.refused(request, f"its hello can't be read ({error.text}); {SAME_VERSION}")
            raise
        hello = msgspec.structs.replace(
            hello, metrics=reachable(hello.metrics, request.remote or "")
        )
        try:
            # Others know an agent's id, so its posts need a secret. The agent has both as one.
            secret = token_urlsafe(SECRET_BYTES)
            welcome = self._run.join(hello, self._clock(), digest_of(secret))
            welcome.id = f"{welcome.id}.{secret}"
            return json_reply(to_wire(welcome))
        except RefusedError as why:
            if not same or not self._has_served(hello.name):
                self.refused(request, str(why))
            return error_reply(409 if same else 426, str(why))

    async def _post(self, request: web.Request) -> web.Response:
        received = self._clock()
        agent = self.agent_of(request)
        if agent is None:  # and the body is not read
            return error_reply(404, "no agent of this run has that id; join anew at /v1/agents")
        if not self._posts.setdefault(agent, TokenBucket(MAX_POSTS)).take(received):
            return too_many("too many posts of this agent; post again in a second")
        post = decoded(await request.read(), Post)
        try:
            self._run.post(agent, post, self._clock())
            await self.recorded()
            now = self._clock()
            orders = self._run.orders(agent, now)
            orders.received, orders.replied = received, now
            if request.transport is not None:
                self._transports[agent] = request.transport
            return json_reply(to_wire(orders))
        except BadPostError as error:
            return error_reply(400, str(error))

    async def _send_feeder(self, request: web.Request) -> web.Response:
        for feeder in self._run.plan.feeders if self.agent_of(request) is not None else ():
            if feeder.name == request.match_info["name"]:
                return web.Response(body=feeder.table, content_type=LINES)
        return error_reply(404, "no agent of this run has that id, or the plan has no such feeder")


async def _at_once() -> None:
    """Does not wait."""
