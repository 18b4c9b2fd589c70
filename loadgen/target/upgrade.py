"""The first protocol of every connection: reads the request's head and decides who takes over."""

import asyncio
from collections.abc import Callable
from typing import cast

from loadgen.target.connection import ServerConnection, SplitServerConnection
from loadgen.target.counters import REFUSED
from loadgen.target.request import MAX_HEAD_SIZE, SWITCHING, Refusal, Upgrade, Verdict, judge
from loadgen.target.state import WorkerState

_WRONG_ACCEPT = b"AAAAAAAAAAAAAAAAAAAAAAAAAAA="


class UpgradeProtocol(asyncio.Protocol):
    """A connection that has not said yet what it wants: upgrades go to a Peer, all other HTTP to
    aiohttp."""

    __slots__ = ("_head", "_host", "_http", "_transport", "_waiting")
    _transport: asyncio.Transport

    def __init__(self, state: WorkerState, http: Callable[[], asyncio.Protocol]) -> None:
        self._host = state
        self._http = http
        self._head = b""
        """What has been received and not been dealt with."""
        self._waiting = False
        """Whether the request is read and its answer, by a vice, not given yet or never."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the way to answer."""
        self._transport = cast(
            asyncio.Transport, transport
        )  # uvloop's is one in all but its base class

    def data_received(self, data: bytes) -> None:
        """Takes the request, in however many pieces."""
        self._head += data
        if self._waiting:
            if len(self._head) > MAX_HEAD_SIZE:
                self._transport.abort()
            return
        verdict = judge(self._head)
        if isinstance(verdict, Upgrade):
            self._head = verdict.rest
            self._upgrade(verdict)
        elif isinstance(verdict, Refusal):
            self._turn_away(verdict)
        elif verdict is Verdict.PLAIN:
            self._hand_over()

    def _hand_over(self) -> None:
        """Lets aiohttp have the connection from its first byte."""
        handler = self._http()
        self._transport.set_protocol(handler)
        handler.connection_made(self._transport)
        handler.data_received(self._head)

    def _turn_away(self, refusal: Refusal) -> None:
        self._waiting = True
        self._transport.write(refusal.reply)
        self._transport.close()

    def _upgrade(self, upgrade: Upgrade) -> None:
        faults = self._host.faults
        self._waiting = faults.stall or faults.slow_accept is not None
        if not self._waiting:
            self._answer(upgrade)
        elif not faults.stall:
            asyncio.get_running_loop().call_later(faults.slow_accept or 0.0, self._answer, upgrade)

    def _answer(self, upgrade: Upgrade) -> None:
        if self._transport.is_closing():
            return  # it left while the vice let it wait
        if self._host.faults.wrong_key:
            self._mislead(upgrade)
        elif self._host.faults.refuse:
            self._host.cells[REFUSED] += 1
            self._turn_away(Refusal(503, "refused by the vice of that name"))
        elif self._host.counters.admit():
            self._welcome(upgrade)
        else:
            self._turn_away(Refusal(503, "the target is full"))

    def _mislead(self, upgrade: Upgrade) -> None:
        """Answers with a 101 that no client may believe; what it sends then goes unheard."""
        self._host.cells[REFUSED] += 1
        self._waiting = True
        self._transport.write(SWITCHING + _WRONG_ACCEPT + b"\r\n\r\n")

    def _welcome(self, upgrade: Upgrade) -> None:
        """Sends the 101, with the dialect's greeting in the same write, and leaves the rest to a
        Peer."""
        state = self._host
        kind = SplitServerConnection if state.faults.split_frames else ServerConnection
        connection = kind(state, self._transport, upgrade.resource.channels)
        self._transport.set_protocol(connection)
        greeting = state.mode.greeting(upgrade.resource)
        connection.greet(SWITCHING + upgrade.accept + b"\r\n\r\n", greeting)
        if self._head:
            connection.data_received(self._head)
        _tempt(state, connection)


def _tempt(state: WorkerState, connection: ServerConnection) -> None:
    """Sets the clock of the vices that end an open connection."""
    faults = state.faults
    if faults.reset is not None:
        asyncio.get_running_loop().call_later(faults.reset, connection.reset)
    if faults.close is not None:
        asyncio.get_running_loop().call_later(faults.close, connection.leave, 1001)
