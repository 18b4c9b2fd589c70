"""An open WebSocket connection, server side."""

import asyncio
import socket
import struct

from loadgen.target.counters import PINGED, PINGS, RECEIVED, SENT
from loadgen.target.frames import (
    CLOSE,
    FAULT,
    PING,
    PONG,
    Reader,
    close_frame,
    frame,
    is_whole_ping,
    pong_to,
)
from loadgen.target.modes import Greeting
from loadgen.target.state import WorkerState

LINGER = 5.0
"""Seconds that a client has to end its side after our CLOSE."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_SPENT = Reader()
"""The reader of all connections that are leaving: it takes no more."""
_SPENT.ended = True


class ServerConnection(asyncio.Protocol):
    """A client after its 101: pings are answered, messages go to the dialect, a close is answered
    by a close.

    It has a reader only in the middle of a frame or a message, and no timer or task as long as it
    does no wrong.
    """

    __slots__ = ("_channels", "_host", "_pinged", "_reader", "_transport")

    def __init__(
        self, state: WorkerState, transport: asyncio.Transport, channels: tuple[str, ...]
    ) -> None:
        self._host = state
        self._transport = transport
        self._channels = channels
        self._pinged = False
        self._reader: Reader | None = None
        state.subscribers.add(channels, self)

    def greet(self, head: bytes, greeting: Greeting) -> None:
        """Sends the 101 and what the dialect says with it, in one write; leaves if the greeting
        says so."""
        self._host.cells[SENT] += greeting.messages
        self.write(head + greeting.frames)
        if greeting.code is not None:
            self.leave(greeting.code)

    def data_received(self, data: bytes) -> None:
        """Takes what the client sent."""
        if self._reader is None and is_whole_ping(data):
            self._count_ping()
            if self._host.pongs:
                self.write(pong_to(data))
        else:
            self._read(data)

    def write(self, data: bytes) -> None:
        """Sends whole frames."""
        self._transport.write(data)

    def leave(self, code: int) -> None:
        """Sends a CLOSE and ends our side; the client may end its own within LINGER."""
        if self._retire():
            self.write(close_frame(code))
            # Closing at once would answer what is still under way with a RST, which overtakes the
            # CLOSE just sent.
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER, self._transport.abort)

    def reset(self) -> None:
        """Ends the connection with a RST and without a word."""
        if not self._transport.is_closing():
            line = self._transport.get_extra_info("socket")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()

    def pause_writing(self) -> None:
        """Stops listening to a client that does not read."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Listens again."""
        self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Books the end."""
        self._retire()
        self._host.counters.release()

    def _retire(self) -> bool:
        """Hears and is told nothing from now on; False when it was so before."""
        if self._reader is _SPENT:
            return False
        self._reader = _SPENT
        self._host.subscribers.remove(self._channels, self)
        return True

    def _read(self, data: bytes) -> None:
        """The general way in: any split of any frames."""
        reader = self._reader or Reader()
        for opcode, payload, code in reader.feed(data):
            if opcode == PING:
                self._ping(payload)
            elif opcode == CLOSE:
                self._farewell(code)
            elif opcode == FAULT:
                self.leave(code)
            elif opcode != PONG:
                self._message(opcode, payload)
        if self._reader is not _SPENT:
            self._reader = None if reader.clean else reader

    def _count_ping(self) -> None:
        cells = self._host.cells
        cells[PINGS] += 1
        if not self._pinged:
            self._pinged = True
            cells[PINGED] += 1

    def _ping(self, payload: bytes) -> None:
        self._count_ping()
        if self._host.pongs:
            self.write(frame(PONG, payload))

    def _message(self, opcode: int, payload: bytes) -> None:
        state = self._host
        state.cells[RECEIVED] += 1
        answer = state.mode.answer(opcode, payload)
        if answer.is_pong:
            self._count_ping()
        if state.pongs or not answer.is_pong:
            state.cells[SENT] += 1
            self.write(answer.frames)

    def _farewell(self, code: int) -> None:
        """Answers a CLOSE with its own code, then ends the connection (RFC 6455 sections 5.5.1
        and 7.1.1)."""
        if self._retire():
            self.write(close_frame(code))
            self._transport.close()


class SplitServerConnection(ServerConnection):
    """A Peer with the vice of sending each byte in its own segment."""

    __slots__ = ()

    def write(self, data: bytes) -> None:
        """Sends whole frames, a byte a write; what the kernel has no room for goes the usual
        way."""
        line = socket.socket(fileno=self._transport.get_extra_info("socket").fileno())
        sent = 0
        try:
            while sent < len(data) and not self._transport.get_write_buffer_size():
                # The mark of a record's end keeps the kernel from joining bytes that it can't send
                # at once.
                sent += line.send(data[sent : sent + 1], socket.MSG_EOR | socket.MSG_DONTWAIT)
        except OSError:
            pass  # no room, or an end that the transport finds out itself
        finally:
            line.detach()
        self._transport.write(data[sent:])
