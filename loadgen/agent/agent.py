"""Joins one coordinator after another, and knows what all runs together counted."""

import logging
import socket

import aiohttp
import msgspec
import tenacity

from loadgen.agent.run import SILENCE, AgentRun
from loadgen.agent.settings import AgentSettings
from loadgen.errors import OperatorError
from loadgen.http.client import CoordinatorClient, distrust
from loadgen.machine.facts import facts, read_machine
from loadgen.stats.prometheus import Snapshot
from loadgen.stats.tally import Ledger, Tally
from loadgen.version import VERSION
from loadgen.wire import WIRE, Hello, Welcome, from_wire, to_wire

log = logging.getLogger("loadgen.agent")
REPLY_TIMEOUT = 10.0
"""Seconds that the coordinator has to answer."""
MAX_WELCOME = 64 << 20
"""Bytes that a welcome may have: the plan with the texts of its sessions and data files."""


class Refused(OperatorError):
    """The coordinator will not have this agent, and asking again will not change that."""


class Busy(Exception):
    """The coordinator will not have this agent now; it may later."""


class Agent:
    """One client machine's agent, over one run after another."""

    def __init__(self, settings: AgentSettings) -> None:
        self.settings = settings
        self.leaving = False
        """No further run after this one."""
        self.engagement: AgentRun | None = None
        self.metrics = ""
        """Where it serves /metrics, HOST:PORT."""
        self._past = Tally()
        """What earlier runs counted: Prometheus's counters never go back."""

    async def run(self) -> None:
        """Joins and serves coordinators until told to leave."""
        settings, within = (
            self.settings,
            min(REPLY_TIMEOUT, max(SILENCE, self.settings.orphan_after)),
        )
        async with CoordinatorClient(
            settings.coordinator, settings.token, settings.trust, within
        ) as client:
            while not self.leaving:
                welcome = await self._join(client)
                self.engagement = AgentRun(settings, client, welcome)
                try:
                    await self.engagement.serve()
                finally:
                    await self.engagement.pool.stop()
                    self._past.merge(self.engagement.pool.fanin.total)
                    self.engagement = None
                self.leaving = self.leaving or settings.once

    async def _join(self, client: CoordinatorClient) -> Welcome:
        """Waits for a coordinator that takes it; says once what it waits for."""
        hello = msgspec.structs.replace(_hello(self.settings), metrics=self.metrics)
        said: set[str] = set()
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type((Busy, aiohttp.ClientError, TimeoutError)),
            wait=tenacity.wait_fixed(0.5) + tenacity.wait_random(0, 0.5),
            before_sleep=lambda state: _say_once(said, self.settings.coordinator, state),
        ):
            with attempt:
                return await _knock(client, self.settings.coordinator, hello)
        raise AssertionError("retrying ends only with an answer")

    def reading(self) -> Snapshot:
        """Its totals over all runs, for Prometheus."""
        total = Tally()
        total.merge(self._past)
        if self.engagement is None:
            return Snapshot(agent=None, ledger=Ledger.of(None, total), total=total, workers=())
        total.merge(self.engagement.pool.fanin.total)
        return Snapshot(
            agent=None,
            ledger=Ledger.of(None, total),
            total=total,
            workers=self.engagement.pool.vitals(),
        )


def _hello(settings: AgentSettings) -> Hello:
    machine = read_machine()
    return Hello(
        name=settings.name or socket.gethostname(),
        wire=WIRE,
        version=VERSION,
        max_connections=settings.most,
        limits=settings.limits(machine),
        machine=facts(machine),
    )


async def _knock(client: CoordinatorClient, coordinator: str, hello: Hello) -> Welcome:
    try:
        status, body = await client.post("/v1/agents", to_wire(hello), MAX_WELCOME)
    except aiohttp.ServerDisconnectedError as error:
        raise Busy(
            f"the coordinator at {coordinator} hangs up without a word; is it the other of http and"
            " https?"
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
    """What a refusal says, safe to print."""
    try:
        text = str(msgspec.json.decode(body, type=dict[str, str]).get("error", ""))[:500]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _say_once(said: set[str], coordinator: str, state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    text = (
        f"waiting: {error}"
        if isinstance(error, Busy)
        else f"waiting for a coordinator at {coordinator}"
    )
    if text not in said:
        said.add(text)
        log.info("%s", text)
