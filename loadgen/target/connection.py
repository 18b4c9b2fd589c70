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
    FrameReader,
    close_frame,
    frame,
    is_whole_ping,
    pong_to,
)
from loadgen.target.modes import Greeting
from loadgen.target.state import WorkerState

CLOSE_TIMEOUT = 5.0
"""Seconds that a client has to end its side after the target's CLOSE."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_ENDED = FrameReader()
"""The reader of all connections that are closing: it takes no more bytes."""
_ENDED.ended = True


class ServerConnection(asyncio.Protocol):
    """A client after its 101: answers pings and a CLOSE, passes messages to the mode.

    It has a reader only in the middle of a frame or a message, and no timer or task while the
    client keeps to the protocol.
    """

    __slots__ = ("_channels", "_pinged", "_reader", "_state", "_transport")

    def __init__(
        self, state: WorkerState, transport: asyncio.Transport, channels: tuple[str, ...]
    ) -> None:
        self._state = state
        self._transport = transport
        self._channels = channels
        self._pinged = False
        self._reader: FrameReader | None = None
        state.subscribers.add(channels, self)

    def greet(self, head: bytes, greeting: Greeting) -> None:
        """Sends the 101 and the mode's greeting in one write.

        Closes the connection if the greeting says so.
        """
        self._state.cells[SENT] += greeting.messages
        self.write(head + greeting.frames)
        if greeting.code is not None:
            self.close(greeting.code)

    def data_received(self, data: bytes) -> None:
        """Takes what the client sent."""
        if self._reader is None and is_whole_ping(data):
            self._count_ping()
            if self._state.pongs:
                self.write(pong_to(data))
        else:
            self._read(data)

    def write(self, data: bytes) -> None:
        """Sends whole frames."""
        self._transport.write(data)

    def close(self, code: int) -> None:
        """Sends a CLOSE and ends the target's side.

        The client has CLOSE_TIMEOUT to end its own.
        """
        if self._retire():
            self.write(close_frame(code))
            # Closing at once would answer what is still under way with a RST, which overtakes the
            # CLOSE just sent.
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._transport.abort)

    def reset(self) -> None:
        """Ends the connection with a RST and without a CLOSE."""
        if not self._transport.is_closing():
            line = self._transport.get_extra_info("socket")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()

    def pause_writing(self) -> None:
        """Stops reading from a client that does not read."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Reads again."""
        self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Counts the end."""
        self._retire()
        self._state.counters.release()

    def _retire(self) -> bool:
        """Ignores the client's frames from now on; returns False when it did so before."""
        if self._reader is _ENDED:
            return False
        self._reader = _ENDED
        self._state.subscribers.remove(self._channels, self)
        return True

    def _read(self, data: bytes) -> None:
        """Takes any frames, split anywhere."""
        reader = self._reader or FrameReader()
        for opcode, payload, code in reader.feed(data):
            if opcode == PING:
                self._answer_ping(payload)
            elif opcode == CLOSE:
                self._answer_close(code)
            elif opcode == FAULT:
                self.close(code)
            elif opcode != PONG:
                self._answer_message(opcode, payload)
        if self._reader is not _ENDED:
            self._reader = None if reader.clean else reader

    def _count_ping(self) -> None:
        cells = self._state.cells
        cells[PINGS] += 1
        if not self._pinged:
            self._pinged = True
            cells[PINGED] += 1

    def _answer_ping(self, payload: bytes) -> None:
        self._count_ping()
        if self._state.pongs:
            self.write(frame(PONG, payload))

    def _answer_message(self, opcode: int, payload: bytes) -> None:
        state = self._state
        state.cells[RECEIVED] += 1
        answer = state.mode.answer(opcode, payload)
        if answer.is_pong:
            self._count_ping()
        if answer.to_all:
            state.spread([self._channels[0]], answer.frames)  # its path
        elif answer.frames and (state.pongs or not answer.is_pong):
            state.cells[SENT] += 1
            self.write(answer.frames)

    def _answer_close(self, code: int) -> None:
        """Answers a CLOSE with its own code and ends the connection.

        RFC 6455 sections 5.5.1 and 7.1.1.
        """
        if self._retire():
            self.write(close_frame(code))
            self._transport.close()


class SplitServerConnection(ServerConnection):
    """A connection with the fault that each byte is sent in its own segment."""

    __slots__ = ()

    def write(self, data: bytes) -> None:
        """Sends whole frames, a byte a write.

        What the kernel has no room for goes as usual.
        """
        line = socket.socket(fileno=self._transport.get_extra_info("socket").fileno())
        sent = 0
        try:
            while sent < len(data) and not self._transport.get_write_buffer_size():
                # The mark of a record's end keeps the kernel from joining bytes that it can't send
                # at once.
                sent += line.send(data[sent : sent + 1], socket.MSG_EOR | socket.MSG_DONTWAIT)
        except OSError:
            pass  # no room, or an end of the connection, which the transport notices itself
        finally:
            line.detach()
        self._transport.write(data[sent:])
