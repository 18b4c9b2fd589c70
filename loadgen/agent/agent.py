"""An agent over all its runs.

It joins one coordinator after another and adds up their counts.
"""

import logging
import socket

import aiohttp
import msgspec
import tenacity

from loadgen.agent.run import POST_INTERVAL, AgentRun
from loadgen.agent.settings import AgentSettings
from loadgen.errors import OperatorError
from loadgen.forkserver import ForkServer
from loadgen.http.client import CoordinatorClient, distrust
from loadgen.machine.facts import facts, read_machine
from loadgen.stats.fanin import Slice, merge_slices
from loadgen.stats.ledger import Ledger
from loadgen.stats.prometheus import Snapshot
from loadgen.stats.tally import Tally
from loadgen.version import VERSION
from loadgen.wire import WIRE, Hello, Welcome, from_wire, to_wire

log = logging.getLogger("loadgen.agent")
REPLY_TIMEOUT = 10.0
"""Seconds that the coordinator has to answer."""
MAX_WELCOME = 64 << 20
"""Bytes that a welcome may have: the plan with the texts of its sessions and data files."""


class Refused(OperatorError):
    """The coordinator does not accept this agent, and will not accept it later."""


class Busy(Exception):
    """The coordinator does not accept this agent now, but may accept it later."""


class Agent:
    """The agent of one client machine, over one run after another."""

    def __init__(self, settings: AgentSettings, fork_server: ForkServer) -> None:
        """The server forks the workers of all runs."""
        self.settings = settings
        self.stopping = False
        """True when no further run follows."""
        self.current: AgentRun | None = None
        """The run that it serves now."""
        self.metrics = ""
        """Where it serves /metrics, HOST:PORT."""
        self._fork_server = fork_server
        self._past = Tally()
        """The counts of earlier runs: counters of Prometheus never decrease."""
        self._past_sessions: dict[str, Slice] = {}
        """The counts of earlier runs by session, where they were split by it."""

    async def run(self) -> None:
        """Joins and serves coordinators until the agent is to stop."""
        settings = self.settings
        timeout = min(REPLY_TIMEOUT, max(POST_INTERVAL, settings.orphan_after))
        async with CoordinatorClient(
            settings.coordinator, settings.token, settings.trust, timeout
        ) as client:
            while not self.stopping:
                welcome = await self._join(client)
                await self._serve(AgentRun(settings, self._fork_server, client, welcome))
                self.stopping = self.stopping or settings.once

    async def _serve(self, run: AgentRun) -> None:
        self.current = run
        try:
            await run.serve()
        finally:
            await run.pool.stop()
            run.remove_files()
            self._past.merge(run.unsplit)
            merge_slices(self._past_sessions, run.sessions)
            self.current = None

    async def _join(self, client: CoordinatorClient) -> Welcome:
        """Waits for a coordinator that accepts the agent; logs once what it waits for."""
        hello = msgspec.structs.replace(_hello(self.settings), metrics=self.metrics)
        logged: set[str] = set()
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type((Busy, aiohttp.ClientError, TimeoutError)),
            wait=tenacity.wait_fixed(0.5) + tenacity.wait_random(0, 0.5),
            before_sleep=lambda state: _log_once(logged, self.settings.coordinator, state),
        ):
            with attempt:
                return await _say_hello(client, self.settings.coordinator, hello)
        raise AssertionError("retrying ends only with an answer")

    def snapshots(self) -> list[Snapshot]:
        """Returns the counts over all runs, for Prometheus, by session if split."""
        total, sessions = Tally(), dict[str, Slice]()
        total.merge(self._past)
        merge_slices(sessions, self._past_sessions)
        snapshot = Snapshot(agent=None, ledger=Ledger.of(None, total), total=total)
        if self.current is not None:
            pool = self.current.pool
            total.merge(self.current.unsplit)
            merge_slices(sessions, self.current.sessions)
            snapshot.workers = pool.vitals()
            snapshot.alive = pool.fanin.alive
            snapshot.alive_within = self.current.alive_within
            snapshot.ledger = Ledger.of(None, total)
        return snapshot.with_sessions(sessions)


def _hello(settings: AgentSettings) -> Hello:
    machine = read_machine()
    return Hello(
        name=settings.name or socket.gethostname(),
        wire=WIRE,
        version=VERSION,
        max_connections=settings.capacity,
        limits=settings.limits(machine),
        machine=facts(machine),
    )


async def _say_hello(client: CoordinatorClient, coordinator: str, hello: Hello) -> Welcome:
    """Asks a coordinator to accept the agent.

    Raises Refused or Busy when it does not.
    """
    try:
        status, body = await client.post("/v1/agents", to_wire(hello), MAX_WELCOME)
    except aiohttp.ServerDisconnectedError as error:
        other = "http" if coordinator.startswith("https:") else "https"
        raise Busy(
            f"the coordinator at {coordinator} closes the connection without an answer; if it is"
            f" an {other}:// one, write that"
        ) from error
    except aiohttp.ClientError as error:
        if why := distrust(error, coordinator):
            raise Refused(why) from error
        raise
    if status == 200:
        return _welcome(body, coordinator)
    text = _error_in(body) or f"HTTP {status}"
    if status == 401:
        raise Refused(
            f"the coordinator at {coordinator} refused the token ({text}); give its --token-file"
        )
    if status not in (409, 429) and 300 <= status < 500:
        raise Refused(f"the coordinator at {coordinator} refused this agent: {text}")
    raise Busy(text)


def _welcome(body: bytes, coordinator: str) -> Welcome:
    try:
        return from_wire(body, Welcome)
    except msgspec.DecodeError as error:
        raise Refused(
            f"the coordinator at {coordinator} sent no plan that this agent understands: {error}"
        ) from error


def _error_in(body: bytes) -> str:
    """Returns the text of a refusal, safe to print; "" when the body has none."""
    try:
        text = str(msgspec.json.decode(body, type=dict[str, str]).get("error", ""))[:500]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _log_once(logged: set[str], coordinator: str, state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    text = (
        f"waiting: {error}"
        if isinstance(error, Busy)
        else f"waiting for a coordinator at {coordinator}"
    )
    if text not in logged:
        logged.add(text)
        log.info("%s", text)
