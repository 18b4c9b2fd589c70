"""A server that delays, drops and stalls as it is told; it has its own ledger.

`python -m tests.truth.server INJECTION` listens on a free port of 127.0.0.1, which it prints.
INJECTION is an `Injection` as JSON. It is written for this purpose alone and shares no code with
loadgen. `GET /ledger` answers with what it saw; the body of a POST is sent to all connections as a
text. Times are in seconds.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""
PING, PONG, CLOSE, TEXT = 0x9, 0xA, 0x8, 0x1
GOLDEN = 0.6180339887498949
"""Multiples of it, less their whole parts, fill the numbers from 0 to 1 evenly."""


class Injection(msgspec.Struct, omit_defaults=True):
    """The faults of the server, on purpose."""

    delays: tuple[tuple[float, float], ...] = ((1.0, 0.0),)
    """Shares of the pings, and the seconds after which those get their pongs."""
    mute: float = 0.0
    """The share of the connections that get no pong."""
    newest_only: float = 0.0
    """Seconds between two pongs of a connection, which answer its newest ping only; 0: all."""
    stall_every: float = 0.0
    """Seconds from one standstill of the whole server to the next; 0: never. The first comes half
    of it after the first connection, so that no connection is opened by the end of one."""
    stall_for: float = 1.0
    """Seconds that it stands still."""
    accept_every: float = 0.0
    """Seconds from one pause of `accept` to the next; 0: never."""
    accept_pause: float = 1.0
    """Seconds in which it accepts nothing."""
    drop: float = 0.0
    """The share of the connections that the server closes with code 1001."""
    drop_after: float = 2.0
    """Seconds from the opening of a connection until it is dropped."""
    deliver: tuple[tuple[float, float], ...] = ((1.0, 0.0),)
    """Shares of the deliveries, and the seconds after which those are sent."""
    lose: float = 0.0
    """The share of the deliveries that are not sent."""
    double: float = 0.0
    """The share of the deliveries that are sent twice."""
    swap: float = 0.0
    """The share of the deliveries that are sent after the next one to the same connection."""


def stamp_in(text: bytes) -> list[bytes]:
    """Returns the parts of the stamp in a text: its mark, stream, number and time."""
    return text[text.index(b"lg1:") :].partition(b";")[0].split(b":")


def stream_of(text: bytes) -> bytes:
    """Returns the stream of a text; others have no order with it."""
    return stamp_in(text)[1]


class Ledger:
    """The counts of the server."""

    def __init__(self) -> None:
        self.opened = 0
        self.pings = 0
        self.pongs = 0
        self.dropped = 0
        self.muted = 0
        self.published = 0
        self.deliveries = 0
        self.lost = 0
        self.doubled = 0
        self.swapped = 0
        self.waited: list[float] = []
        """Milliseconds from the arrival of each ping to the pong that answers it."""
        self.took: list[float] = []
        """Milliseconds from the stamp of each text to its sending, on this host's clock."""


class Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self, injection: Injection, ledger: Ledger, peers: "set[Peer]") -> None:
        """`peers` are the connections that are open."""
        self._peers = peers
        self._held: bytes | None = None
        """The text that is sent after the next one."""
        self._injection = injection
        self._ledger = ledger
        self._data = b""
        self._upgraded = False
        self._mute = False
        self._newest = b""
        self._owed: list[float] = []
        """The arrivals of the pings that a pong for the newest one will answer."""
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Takes a request, or frames."""
        self._data += data
        if not self._upgraded:
            self._take_request()
        while self._upgraded and (frame := self._next_frame()) is not None:
            self._take_frame(*frame)

    def _take_request(self) -> None:
        data = self._data
        head, ended, rest = data.partition(b"\r\n\r\n")
        if not ended:
            return
        self._data = rest
        lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        if lines[0].startswith("POST"):
            size = int(headers["content-length"])
            if len(rest) < size:
                self._data = data
                return
            self._data = rest[size:]
            self._ledger.published += 1
            for peer in tuple(self._peers):
                peer.deliver(rest[:size])
            self._write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        if "sec-websocket-key" not in headers:
            body = json.dumps(vars(self._ledger)).encode()
            self._write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            return
        digest = hashlib.sha1((headers["sec-websocket-key"] + GUID).encode()).digest()
        self._write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %s\r\n\r\n" % base64.b64encode(digest)
        )
        self._upgraded = True
        self._open()

    def _open(self) -> None:
        ledger, injection = self._ledger, self._injection
        place = ledger.opened * GOLDEN % 1.0
        if injection.stall_every and not ledger.opened:
            self._loop.call_later(injection.stall_every / 2, _stall, self._loop, injection)
        ledger.opened += 1
        self._peers.add(self)
        self._mute = place < injection.mute
        ledger.muted += self._mute
        if place < injection.drop:
            self._loop.call_later(injection.drop_after, self._drop)
        if injection.newest_only:
            self._loop.call_later(injection.newest_only, self._answer_newest)

    def connection_lost(self, error: Exception | None) -> None:
        """Forgets the connection; what it still holds back is lost."""
        self._ledger.lost += self._held is not None
        self._peers.discard(self)

    def deliver(self, text: bytes) -> None:
        """Sends what was published, or what the injection makes of it."""
        injection, ledger = self._injection, self._ledger
        place = ledger.deliveries * GOLDEN % 1.0
        ledger.deliveries += 1
        held, self._held = self._held, None
        if place < injection.lose:
            ledger.lost += 1
        elif place - injection.lose < injection.double:
            ledger.doubled += 1
            self._send_text(text)
            self._send_text(text)
        elif held is None and place - injection.lose - injection.double < injection.swap:
            self._held = text
        else:
            self._later(injection.deliver, place, self._send_text, text)
        if held is not None:
            same_stream = stream_of(held) == stream_of(text)
            ledger.swapped += place >= injection.lose and same_stream
            self._send_text(held)

    def _send_text(self, text: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._send(TEXT, text)
            sent = int(stamp_in(text)[3])
            self._ledger.took.append((time.monotonic_ns() // 1000 - sent) / 1000)

    def _next_frame(self) -> tuple[int, bytes] | None:
        """Returns opcode and payload of a masked frame; None until it is whole."""
        data = self._data
        if len(data) < 2:
            return None
        size, start = data[1] & 0x7F, 2
        if size == 126:
            if len(data) < 4:
                return None
            size, start = struct.unpack_from(">H", data, 2)[0], 4
        if len(data) < start + 4 + size:
            return None
        mask = data[start : start + 4]
        payload = bytes(
            byte ^ mask[at % 4] for at, byte in enumerate(data[start + 4 : start + 4 + size])
        )
        self._data = data[start + 4 + size :]
        return data[0] & 0x0F, payload

    def _take_frame(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self._send(CLOSE, payload)
            assert self._transport is not None
            self._transport.close()
        elif opcode == PING:
            self._take_ping(payload)

    def _take_ping(self, payload: bytes) -> None:
        place = self._ledger.pings * GOLDEN % 1.0
        self._ledger.pings += 1
        if self._mute:
            return
        begin = time.monotonic()
        if self._injection.newest_only:
            self._newest = payload
            self._owed.append(begin)
            return

        def answer(payload: bytes) -> None:
            if self._pong(payload):
                self._ledger.waited.append(1000 * (time.monotonic() - begin))

        self._later(self._injection.delays, place, answer, payload)

    def _later(
        self,
        delays: tuple[tuple[float, float], ...],
        place: float,
        send: Callable[[bytes], None],
        payload: bytes,
    ) -> None:
        """Sends after the delay whose share this place from 0 to 1 is in."""
        for share, delay in delays:
            if place < share:
                self._loop.call_later(delay, send, payload) if delay else send(payload)
                return
            place -= share

    def _answer_newest(self) -> None:
        if self._owed and self._pong(self._newest):
            now = time.monotonic()
            self._ledger.waited += (1000 * (now - arrival) for arrival in self._owed)
            self._owed.clear()
        self._loop.call_later(self._injection.newest_only, self._answer_newest)

    def _pong(self, payload: bytes) -> bool:
        """Sends a pong; returns False when the connection is over."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._ledger.pongs += 1
        self._send(PONG, payload)
        return True

    def _drop(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._ledger.dropped += 1
            self._send(CLOSE, struct.pack(">H", 1001))

    def _send(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        length = bytes((size,)) if size < 126 else struct.pack(">BH", 126, size)
        self._write(bytes((0x80 | opcode,)) + length + payload)

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)


class Listener:
    """The listening socket; it pauses where the injection says so."""

    def __init__(self, sock: socket.socket, injection: Injection) -> None:
        self._sock = sock
        self._injection = injection
        self._ledger = Ledger()
        self._peers: set[Peer] = set()
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[Any]] = set()
        self._loop.add_reader(sock, self._accept)
        if injection.accept_every:
            self._loop.call_later(injection.accept_every / 2, self._pause)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                accepted, _ = self._sock.accept()
                accepted.setblocking(False)
                opening = self._loop.connect_accepted_socket(self._peer, accepted)
                task = self._loop.create_task(opening)
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)

    def _peer(self) -> Peer:
        return Peer(self._injection, self._ledger, self._peers)

    def _pause(self) -> None:
        self._loop.remove_reader(self._sock)
        self._loop.call_later(self._injection.accept_pause, self._go_on)

    def _go_on(self) -> None:
        self._loop.add_reader(self._sock, self._accept)
        self._loop.call_later(
            self._injection.accept_every - self._injection.accept_pause, self._pause
        )


async def serve(injection: Injection) -> None:
    """Listens for ever.

    What waits for its core is in no time of its ledger, so nothing else of this machine goes first.
    """
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(4096)
        sock.setblocking(False)
        listener = Listener(sock, injection)  # noqa: F841 -- it lives as long as the loop
        print(sock.getsockname()[1], flush=True)
        await loop.create_future()


def _stall(loop: asyncio.AbstractEventLoop, injection: Injection) -> None:
    """Stands still, as a garbage collection or a blocking call does."""
    began = loop.time()
    time.sleep(injection.stall_for)
    loop.call_at(began + injection.stall_every, _stall, loop, injection)


if __name__ == "__main__":
    asyncio.run(serve(msgspec.json.decode(sys.argv[1], type=Injection)))
