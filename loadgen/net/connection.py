"""One WebSocket connection: upgrading → open → closing → closed.

The hot path: a pong costs one pass through `data_received`, and a connection between two messages
holds no parser.
"""

import asyncio
import ssl
import traceback
from collections.abc import Callable
from struct import Struct
from time import monotonic
from typing import Any, Protocol

from loadgen.net import appwrite
from loadgen.net.frames import (
    CLOSE,
    FAULT,
    MAX_STEPS,
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
    whole_message,
)
from loadgen.net.handshake import Handshake, Reply, key_of
from loadgen.net.pings import Pinging
from loadgen.net.refusal import BODY_TIMEOUT, awaits_body, explain
from loadgen.net.states import CLOSED, CLOSING, CUT, FAILED, OPEN, SHUT, UPGRADING
from loadgen.net.tls import tls_failure
from loadgen.net.transport import HIGH_WATER, ByteTransport, Receiver
from loadgen.stats.reasons import (
    ERROR,
    MESSAGE_TOO_BIG,
    PROTOCOL_ERROR,
    REJECTED,
    RESET,
    SERVER,
    SERVER_EOF,
    TIMEOUT,
    UNCLEAN_CLOSE,
    is_sessions_own,
)
from loadgen.stats.recorder import Recorder
from loadgen.timers import Deadlines

PONG_START = bytes((PONG_BYTE, 4))
"""The first bytes of the answer to a ping: a whole frame, its payload a number."""
PONG_SIZE = 6
_number = Struct(">I").unpack_from


class Owner(Protocol):
    """The user of a connection; the connection calls it when it opens and ends."""

    number: int
    """The user's number."""

    def opened(self, connection: "Connection", now: float) -> None:
        """The 101 is valid."""

    def ended(self, connection: "Connection", reason: str) -> None:
        """The connection is over: FAILED if it never opened, else CLOSED."""

    def close_all(self, reason: str) -> None:
        """Closes every connection of the user in good order."""

    def abort_all(self, reason: str) -> None:
        """Aborts every connection of the user."""


class Follower(Protocol):
    """The part of the terms that follows redirects."""

    def refusal(self, reply: Reply) -> str:
        """Returns why a redirect is not followed; "" when it is."""

    def take(self, connection: "Connection", reply: Reply) -> bool:
        """Returns True for a redirect that is followed; then the connection leaves."""

    def go_on(self, connection: "Connection") -> bool:
        """Returns True for a connection that left, and goes to where the redirect leads."""


class Terms:
    """The upgrade, the rhythm of pings and the deadlines of one kind of connections."""

    __slots__ = ("closing", "follower", "handshake", "think", "wrap")

    def __init__(
        self,
        handshake: Handshake,
        think: float,
        closing: Deadlines[Any],
        wrap: "Wrap | None" = None,
    ) -> None:
        self.handshake = handshake
        self.think = think
        """Seconds between two pings of a connection: ping n is due n times this after the first."""
        self.closing = closing
        """The connections that wait for the server to end them."""
        self.wrap = wrap
        """Makes the protocol between a transport and a connection; None: there is none."""
        self.follower: Follower | None = None
        """Follows the redirects of the handshake; None: they are refusals."""


Wrap = Callable[["Connection"], Receiver]


class Connection(Pinging):
    """The client's end of one WebSocket. Times are seconds on the monotonic clock."""

    __slots__ = ("dialed_at", "head", "key", "owner", "parser", "reason", "rejected", "transport")

    terms: Terms

    def __init__(self, recorder: Recorder, terms: Terms, owner: Owner) -> None:
        super().__init__(recorder, terms)
        self.owner = owner
        self.transport: ByteTransport | None = None
        self.key: bytes | None = None
        """The Sec-WebSocket-Key while the reply is awaited."""
        self.head: bytes | None = None
        """The part of a reply that came before the rest; of a refusal, what its sample shows.

        Once it is open: the payload of a PING whose answer waits for room, else None."""
        self.parser: Parser | None = None
        """Kept only in the middle of a frame or a message."""
        self.reason: str | None = None
        """The reason of its end, where it is known before the transport has ended."""
        self.rejected = 0
        """The code when Appwrite's last frame was an error: the reason of the close after it."""
        self.dialed_at: float | None = None
        """Forgotten once the connection is open: a float is 24 bytes of a million connections."""

    def connection_made(self, transport: ByteTransport) -> None:
        """Sends the upgrade request: the TCP or TLS connection stands."""
        if self.state >= CLOSED:  # aborted during the TLS handshake
            transport.abort()
            return
        self.transport = transport
        self.key = key_of(self.recorder.bits(128))
        self._write(self.terms.handshake.request(self.key))

    def data_received(self, data: bytes) -> None:
        """Takes bytes from the server, most often one whole pong."""
        self.recorder.tally.bytes_received += len(data)
        if self.key is not None:
            self._upgrade(data)
        elif len(data) == PONG_SIZE and data.startswith(PONG_START) and self.parser is None:
            self._pong(_number(data, 2)[0])
        elif self.state < SHUT:
            self._receive(data)

    def resume_writing(self) -> None:
        """Answers the newest PING, if its answer had to wait for room."""
        if self.state == OPEN and self.head is not None:
            self._answer_ping(self.head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the connection, for the reason that is known or the one that TCP gives."""
        if self.state >= CLOSED:
            return
        follower = self.terms.follower
        if follower is not None and self.state == UPGRADING and follower.go_on(self):
            return
        if self.state > OPEN:
            self.terms.closing.remove(self)
        reason = self.reason or (self._by_server(SERVER_EOF) if exc is None else self._broken(exc))
        if self.state == UPGRADING:
            if reason == SERVER_EOF:
                reason = RESET  # the server closed instead of an answer
            if self.head is not None:
                self._explain(reason)
        self.end(reason)

    def forget_transport(self) -> None:
        """Prepares it for another transport, before a 101 has come."""
        self.transport = None
        self.key = None
        self.head = None

    def end(self, reason: str) -> None:
        """Enters the last state and reports it to the owner, once."""
        if self.state >= CLOSED:
            return
        self.heard[0] -= 1
        if self.pinged > self.ponged or self.overtaken is not None:
            self._settle_pings()
        unclean = self.transport is not None and self.transport.waiting > 0
        if self.state == CLOSING:
            # RFC 6455 sections 7.1.4 and 7.1.5: TCP ended without the server's CLOSE, so the
            # connection was not closed cleanly.
            self.recorder.tally.drained_unanswered += 1
            unclean = True
        if unclean and is_sessions_own(reason):
            reason = UNCLEAN_CLOSE
        self.state = FAILED if self.state == UPGRADING else CLOSED
        self.reason = reason
        self.owner.ended(self, reason)
        self.transport = None
        self.head = None
        self.parser = None

    def send_ping(self, due: float) -> None:
        """Sends a PING that was due at a time.

        Its payload is its number, so that a late pong is not taken for the next one.
        """
        if self._count_ping(due):
            self.transport.write(ping_frame(self.pinged, self.recorder.bits(32)))  # type: ignore[union-attr]  # OPEN

    def send_app_ping(self, due: float) -> None:
        """Sends Appwrite's ping, a text message; the answers come in the same order."""
        if self._count_ping(due):
            self._write(self._framed(TEXT, appwrite.PING), message=True)

    def begin_close(self, reason: str, code: int = 1000, text: bytes = b"") -> None:
        """Begins the closing handshake (RFC 6455 section 7.1.2); its time is bounded.

        `reason` is the ledger's, `text` the one that the server gets. What was sent before goes
        first.
        """
        if self.state != OPEN:
            return
        self.reason = self.reason or reason
        self._write(close_frame(code, self.recorder.bits(32), text))
        self.state = CLOSING
        self.terms.closing.add(self, monotonic())

    def cut(self, reason: str) -> None:
        """Aborts it for the plan or the operator.

        What the server still owes is not its fault: it may have been on the way.
        """
        if OPEN <= self.state <= SHUT:
            self.state = CUT
        self.abort(reason)

    def abort(self, reason: str | None = None) -> None:
        """Ends the transport at once; a reason that is known already stays."""
        self.reason = self.reason or reason
        if self.transport is not None:
            self.transport.abort()

    def _framed(self, opcode: int, payload: bytes) -> bytes:
        """Returns the frame of a message; a subclass may compress it."""
        return frame(opcode, payload, self.recorder.bits(32))

    def _write(self, data: bytes, *, message: bool = False) -> bool:
        """Writes bytes; returns True when too many wait now."""
        assert self.transport is not None
        return self.transport.write(data, message=message)

    def _upgrade(self, data: bytes) -> None:
        assert self.key is not None
        if self.head is not None:
            data = self.head + data
        reply = self.terms.handshake.check(data, self.key)
        if reply is None:
            self.head = data
            return
        if reply.failure is not None:
            self._refused(data, reply)
            return
        self.key = None
        self.head = None
        self.state = OPEN
        self._hear()
        self._upgraded(reply)
        self.owner.opened(self, monotonic())
        if reply.rest:
            self._receive(reply.rest)

    def _upgraded(self, reply: Reply) -> None:
        """Does nothing; a subclass may keep the reply's head."""

    def _refused(self, data: bytes, reply: Reply) -> None:
        """Ends it for what is wrong with the reply.

        The first one of its reason on this worker becomes the sample, and may have to wait for
        the body of the reply.
        """
        follower = self.terms.follower
        if follower is not None and follower.take(self, reply):
            return
        waits = self.reason is not None
        if waits or self.recorder.claim(reply.failure or ""):
            self.head = data
            if awaits_body(reply):
                self.reason = reply.failure
                if not waits:
                    asyncio.get_running_loop().call_later(BODY_TIMEOUT, self.abort)
                return
        self.abort(reply.failure)

    def _explain(self, reason: str) -> None:
        """Writes the sample of a refused handshake, or of a reply that was cut off."""
        assert self.head is not None
        assert self.key is not None
        reply = self.terms.handshake.check(self.head, self.key)
        if reply is None and reason in (RESET, TIMEOUT) and self.recorder.claim(reason):
            reply = Reply(reason, self.head, b"", "the reply ends in the middle of its head")
        if reply is not None and reply.failure == reason:
            follower = self.terms.follower
            why = () if follower is None else (follower.refusal(reply),)
            self.recorder.samples[reason] = explain(reply, self.owner.number, *why)

    def _broken(self, error: Exception) -> str:
        """Returns the reason for an error that ended the transport.

        One of TLS has a sample, and so has one that is a bug.
        """
        if isinstance(error, ssl.SSLError):
            return tls_failure(error, self.recorder, self.owner.number)
        if isinstance(error, OSError):
            return RESET
        reason = f"{ERROR}{type(error).__name__}"
        if self.recorder.claim(reason):
            self.recorder.samples[reason] = "".join(traceback.format_exception(error))
        return reason

    def _new_parser(self) -> Parser:
        return Parser()

    def _receive(self, data: bytes) -> None:
        if self.parser is None:
            at = 0
            for _ in range(MAX_STEPS):
                found = whole_message(data, at)
                if found is None:
                    break
                opcode, payload, at = found
                self._message(opcode, payload, len(payload))
                if at == len(data):
                    return
            data = data[at:]
        parser = self.parser or self._new_parser()
        for event in parser.feed(data, MAX_STEPS):
            self._take(event)
        self.parser = None if parser.clean or self.state >= CLOSED else parser
        if parser.more and self.transport is not None:
            self.transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._receive_more)

    def _receive_more(self) -> None:
        """Goes on with what has come, after others had their turn."""
        transport = self.transport
        if transport is None:
            return
        try:
            if self.state < SHUT:
                self._receive(b"")
            transport.resume_reading()
        except Exception as error:  # a bug: it ends this connection alone
            self.abort(self._broken(error))

    def _take(self, event: Event) -> None:
        if event.opcode == PONG:
            self._pong(int.from_bytes(event.payload, "big") if event.size == 4 else 0)
        elif event.opcode == PING:
            if self.state == OPEN:
                self._answer_ping(event.payload)
        elif event.opcode == CLOSE:
            self._answer_close(event.payload)
        elif event.opcode == FAULT:
            reason = MESSAGE_TOO_BIG if event.size == 1009 else PROTOCOL_ERROR
            if self.state == OPEN:
                what = f"the server sent {event.payload.decode()}\n"
                self.recorder.sample(reason, self.owner.number, what)
            self.begin_close(reason, event.size)
            self._shut()
        else:
            self._message(event.opcode, event.payload, event.size)

    def _message(self, opcode: int, payload: bytes, size: int) -> None:
        """Takes a message of a number of bytes, of which `payload` has the first ones."""
        tally = self.recorder.tally
        tally.messages_received += 1
        kind, code = appwrite.read(payload) if opcode == TEXT else appwrite.NOT_APPWRITE
        if kind == "pong":
            self._app_pong()
        elif kind == "connected":
            tally.accepted += 1
        if kind:
            self.rejected = code

    def _app_pong(self) -> None:
        """Takes Appwrite's pong as the answer to the oldest ping without one."""
        self._pong(self.ponged + 1)

    def _answer_ping(self, payload: bytes) -> None:
        """Answers a PING, or only the newest one while too much waits for the server.

        RFC 6455 section 5.5.3 allows that.
        """
        assert self.transport is not None
        if self.transport.waiting > HIGH_WATER:
            self.head = payload
        else:
            self.head = None
            self._write(frame(PONG, payload, self.recorder.bits(32)))

    def _answer_close(self, payload: bytes) -> None:
        """Answers the server's CLOSE, unless it is an answer itself.

        The server ends the TCP connection (RFC 6455 section 7.1.1).
        """
        code = close_code(payload)
        self.begin_close(self._by_server(f"{SERVER}{code}"), code if code != 1005 else 1000)
        self._shut()

    def _by_server(self, reason: str) -> str:
        """Returns the reason of a close by the server, or Appwrite's error before it."""
        return f"{REJECTED}{self.rejected}" if self.rejected else reason

    def _shut(self) -> None:
        """Awaits nothing more of the server but the end of TCP."""
        if self.state == CLOSING:
            self.state = SHUT
