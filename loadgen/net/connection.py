"""One WebSocket connection: upgrading → open → closing → closed, with one mark in the tally per
transition.

The hot path: a pong costs one pass through `data_received`, and a connection between two messages
holds no parser.
"""

import asyncio
from collections.abc import Callable
from struct import Struct
from time import monotonic
from typing import Protocol

from loadgen.net import appwrite
from loadgen.net.frames import (
    CLOSE,
    FAULT,
    PING,
    PONG,
    PONG_BYTE,
    TEXT,
    Event,
    Parser,
    close_code,
    close_frame,
    frame,
    ping_frame,
)
from loadgen.net.handshake import Handshake, Reply, key_of
from loadgen.net.throttle import Throttle
from loadgen.net.transport import PlainTransport
from loadgen.stats.reasons import (
    PING_TIMEOUT,
    PROTOCOL_ERROR,
    REJECTED,
    RESET,
    SERVER,
    SERVER_EOF,
)
from loadgen.stats.recorder import ONE_SECOND_IN_US, Recorder

PING_SIZE = len(ping_frame(0, 0))
PONG_START, PONG_SIZE = bytes((PONG_BYTE, 4)), 6
"""How the answer to one of our pings looks: a whole frame, its payload a number."""
_number = Struct(">I").unpack_from
UPGRADING, OPEN, CLOSING, CLOSED, FAILED = range(5)
"""FAILED is the end of what never was OPEN."""
PONG_TIMEOUT = 30.0
"""Seconds after which a ping without an answer proves the connection dead."""


class Owner(Protocol):
    """Whoever asked for a connection: is told when it is open, and when and why it is over."""

    number: int
    """Of the user."""

    def opened(self, connection: "Connection", now: float) -> None:
        """The 101 was valid."""

    def ended(self, connection: "Connection", reason: str) -> None:
        """It is gone: FAILED if it never opened, else CLOSED."""

    def leave(self, reason: str, *, abruptly: bool = False) -> None:
        """It is to close what it has, in good order or at once, for this reason."""


class Terms:
    """What connections of one kind share: their upgrade, and the rhythm of their pings."""

    __slots__ = ("handshake", "think", "wrap")

    def __init__(self, handshake: Handshake, think: float, wrap: "Wrap | None" = None) -> None:
        self.handshake = handshake
        self.wrap = wrap
        """What stands between a stream and its connection, if anything."""
        self.think = think
        """Seconds between two pings of one connection: ping n is due n times this after the
        first."""


Wrap = Callable[["Connection"], Throttle]


class Connection(asyncio.Protocol):
    """The client's end of one WebSocket, from the connected socket to its end. Times in seconds,
    monotonic."""

    __slots__ = (
        "beat",
        "key",
        "owner",
        "parser",
        "pinged",
        "ponged",
        "reason",
        "recorder",
        "rejected",
        "state",
        "terms",
        "transport",
    )

    def __init__(self, recorder: Recorder, terms: Terms, owner: Owner) -> None:
        self.recorder = recorder
        self.terms = terms
        self.owner = owner
        self.state = UPGRADING
        self.transport: asyncio.Transport | PlainTransport | None = None
        self.key: bytes | None = None
        """The Sec-WebSocket-Key while the reply is awaited."""
        self.parser: Parser | bytes | None = None
        """What is needed only in the middle of something: of a reply (bytes), of a frame or a
        message (a parser)."""
        self.reason: str | None = None
        """Why it ends, when that is known before the transport is gone."""
        self.rejected = 0
        """The code when Appwrite's last frame was an error: the reason of the close that follows
        it."""
        self.beat = 0.0
        """When it was dialed; once it is open, when its first ping was due."""
        self.pinged = self.ponged = 0
        """How many pings went out, and up to which of them an answer came."""

    def connection_made(self, transport: asyncio.BaseTransport | PlainTransport) -> None:
        """Asks for the upgrade: the TCP or TLS connection stands."""
        if self.state >= CLOSED:  # given up while TLS was still being agreed on
            transport.abort()  # type: ignore[union-attr]
            return
        self.transport = transport  # type: ignore[assignment]  # uvloop's transport is one for reading and writing
        self.key = key_of(self.recorder.bits(128))
        self._write(self.terms.handshake.request(self.key))

    def data_received(self, data: bytes) -> None:
        """Takes bytes from the server: most often one whole pong."""
        self.recorder.tally.bytes_received += len(data)
        if self.key is not None:
            self._upgrade(data)
        elif len(data) == PONG_SIZE and data.startswith(PONG_START) and self.parser is None:
            self._pong(_number(data, 2)[0])
        elif self.state < CLOSED:
            self._receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives the one reason for which it ended."""
        if self.state >= CLOSED:
            return
        if self.state == CLOSING:
            self.recorder.closing.remove(self)
        reason = self.reason or (SERVER_EOF if exc is None else RESET)
        if self.state == UPGRADING and reason == SERVER_EOF:
            reason = RESET  # it hung up on the request
        if self.rejected and reason.startswith(SERVER):
            reason = f"{REJECTED}{self.rejected}"
        self.give_up(reason)

    def give_up(self, reason: str) -> None:
        """Nothing is left of it, or nothing ever came of it; told once."""
        if self.state >= CLOSED:
            return
        self.state = FAILED if self.state == UPGRADING else CLOSED
        self.reason = reason
        self.owner.ended(self, reason)
        self.transport = self.parser = None

    def send_ping(self, due: float) -> None:
        """Sends a PING that was due at this time; its number is its payload, so that a late pong
        is told apart."""
        if self._beat(due):
            recorder = self.recorder
            recorder.tally.bytes_sent += PING_SIZE
            self.transport.write(ping_frame(self.pinged, recorder.bits(32)))  # type: ignore[union-attr]  # it is OPEN

    def send_app_ping(self, due: float) -> None:
        """Sends Appwrite's ping, a text message; the answers come in the same order."""
        if self._beat(due):
            self.recorder.tally.messages_sent += 1
            self._write(frame(TEXT, appwrite.PING, self.recorder.bits(32)))

    @property
    def owed(self) -> bool:
        """Whether a ping has no answer yet."""
        return self.pinged > self.ponged

    def begin_close(self, reason: str, code: int = 1000) -> None:
        """Begins the closing handshake (RFC 6455 section 7.1.2); the server has a bounded time
        to end it."""
        if self.state != OPEN:
            return
        self.reason = self.reason or reason
        self._write(close_frame(code, self.recorder.bits(32)))
        self._closing()

    def abort(self, reason: str | None = None) -> None:
        """Ends it at once, for this reason unless another is known already."""
        self.reason = self.reason or reason
        if self.transport is not None:
            self.transport.abort()

    def _write(self, data: bytes) -> None:
        assert self.transport is not None
        self.recorder.tally.bytes_sent += len(data)
        self.transport.write(data)

    def _beat(self, due: float) -> bool:
        """Counts a ping; False when none may be sent. An old one without an answer proves that
        nobody is there."""
        if self.state != OPEN:
            return False
        if not self.pinged:
            self.beat = due
        elif (
            self.pinged > self.ponged
            and due - self.beat - self.ponged * self.terms.think >= PONG_TIMEOUT
        ):
            self.abort(PING_TIMEOUT)
            return False
        self.pinged += 1
        self.recorder.tally.pings += 1
        return True

    def _pong(self, number: int) -> None:
        """The answer to ping `number` (from 1), measured from when that ping was due; an unasked
        one is nothing."""
        if self.ponged < number <= self.pinged:
            due = self.beat + (number - 1) * self.terms.think
            self.ponged = number
            tally = self.recorder.tally
            tally.pongs += 1
            tally.ping_rtt.record(int((monotonic() - due) * ONE_SECOND_IN_US))

    def _upgrade(self, data: bytes) -> None:
        assert self.key is not None
        if self.parser is not None:
            assert isinstance(self.parser, bytes)
            data = self.parser + data
        reply = self.terms.handshake.judge(data, self.key)
        if reply is None:
            self.parser = data
            return
        self.key = self.parser = None
        if reply.failure is not None:
            self.abort(reply.failure)
            return
        self.state = OPEN
        self._upgraded(data, reply)
        self.owner.opened(self, monotonic())
        if reply.rest:
            self._receive(reply.rest)

    def _upgraded(self, data: bytes, reply: Reply) -> None:
        """For who wants to keep something of the reply."""

    def _new_parser(self) -> Parser:
        return Parser()

    def _receive(self, data: bytes) -> None:
        parser = self.parser or self._new_parser()
        assert isinstance(parser, Parser)
        for event in parser.feed(data):
            self._take(event)
        self.parser = None if parser.clean else parser

    def _take(self, event: Event) -> None:
        if event.opcode == PONG:
            self._pong(int.from_bytes(event.payload, "big") if event.size == 4 else 0)
        elif event.opcode == PING:
            if self.state == OPEN:
                self._write(frame(PONG, event.payload, self.recorder.bits(32)))
        elif event.opcode == CLOSE:
            self._closed_by_server(close_code(event.payload))
        elif event.opcode == FAULT:
            self.begin_close(PROTOCOL_ERROR, event.size)
        else:
            self._message(event)

    def _message(self, event: Event) -> None:
        tally = self.recorder.tally
        tally.messages_received += 1
        said = appwrite.read(event.payload) if event.opcode == TEXT else appwrite.NOTHING
        if said.type == "pong":
            self._pong(self.ponged + 1)
        elif said.type == "connected":
            tally.accepted += 1
        if said.type:
            self.rejected = said.code

    def _closed_by_server(self, code: int) -> None:
        """Answers the server's CLOSE, or has its answer to ours; either way the server ends TCP
        first."""
        self.begin_close(f"{SERVER}{code}", code if code != 1005 else 1000)

    def _closing(self) -> None:
        self.state = CLOSING
        self.recorder.closing.add(self, monotonic())
