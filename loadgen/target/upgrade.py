"""The first protocol of every connection: reads a request's head, hands it on."""

import asyncio
from collections.abc import Callable
from typing import cast

from loadgen.target.connection import ServerConnection, SplitServerConnection
from loadgen.target.counters import REFUSED
from loadgen.target.request import MAX_HEAD, SWITCHING, Refusal, Upgrade, Verdict, judge
from loadgen.target.state import WorkerState

_WRONG_ACCEPT = b"AAAAAAAAAAAAAAAAAAAAAAAAAAA="


class UpgradeProtocol(asyncio.Protocol):
    """A new connection: an upgrade gets a ServerConnection, other HTTP aiohttp."""

    __slots__ = ("_head", "_http", "_state", "_transport", "_waiting")
    _transport: asyncio.Transport

    def __init__(self, state: WorkerState, http: Callable[[], asyncio.Protocol]) -> None:
        self._state = state
        self._http = http
        self._head = b""
        """The bytes received and not handled yet."""
        self._waiting = False
        """True when the request is read, and a fault delays its answer or leaves it out."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        # uvloop's is an asyncio.Transport in all but its base class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Takes the request, in any number of pieces."""
        self._head += data
        if self._waiting:
            if len(self._head) > MAX_HEAD:
                self._transport.abort()
            return
        verdict = judge(self._head)
        if isinstance(verdict, Upgrade):
            self._head = verdict.rest
            why = self._state.mode.refusal(verdict.resource)
            self._refuse(Refusal(404, why)) if why else self._upgrade(verdict)
        elif isinstance(verdict, Refusal):
            self._refuse(verdict)
        elif verdict is Verdict.PLAIN:
            self._hand_over()

    def _hand_over(self) -> None:
        """Hands the connection to aiohttp, from its first byte on."""
        handler = self._http()
        self._transport.set_protocol(handler)
        handler.connection_made(self._transport)
        handler.data_received(self._head)

    def _refuse(self, refusal: Refusal) -> None:
        self._waiting = True
        self._transport.write(refusal.reply)
        self._transport.close()

    def _upgrade(self, upgrade: Upgrade) -> None:
        faults = self._state.faults
        self._waiting = faults.stall or faults.slow_accept is not None
        if not self._waiting:
            self._answer(upgrade)
        elif not faults.stall:
            asyncio.get_running_loop().call_later(faults.slow_accept or 0.0, self._answer, upgrade)

    def _answer(self, upgrade: Upgrade) -> None:
        if self._transport.is_closing():
            return  # the client closed while a fault delayed the answer
        if self._state.faults.wrong_key:
            self._send_wrong_accept()
        elif self._state.faults.refuse:
            self._state.cells[REFUSED] += 1
            self._refuse(Refusal(503, "refused by the vice of that name"))
        elif self._state.counters.admit():
            self._accept(upgrade)
        else:
            self._refuse(Refusal(503, "the target is full"))

    def _send_wrong_accept(self) -> None:
        """Sends a 101 that every client must reject.

        What the client then sends is ignored.
        """
        self._state.cells[REFUSED] += 1
        self._waiting = True
        self._transport.write(SWITCHING + _WRONG_ACCEPT + b"\r\n\r\n")

    def _accept(self, upgrade: Upgrade) -> None:
        """Sends the 101 and the greeting in one write, and hands the connection on."""
        state = self._state
        kind = SplitServerConnection if state.faults.split_frames else ServerConnection
        connection = kind(state, self._transport, state.mode.channels(upgrade.resource))
        self._transport.set_protocol(connection)
        greeting = state.mode.greeting(upgrade.resource)
        connection.greet(SWITCHING + upgrade.accept + b"\r\n\r\n", greeting)
        if self._head:
            connection.data_received(self._head)
        _schedule_faults(state, connection)


def _schedule_faults(state: WorkerState, connection: ServerConnection) -> None:
    """Starts the timers of the faults that end an open connection."""
    faults = state.faults
    if faults.reset is not None:
        asyncio.get_running_loop().call_later(faults.reset, connection.reset)
    if faults.close is not None:
        asyncio.get_running_loop().call_later(faults.close, connection.close, 1001)
