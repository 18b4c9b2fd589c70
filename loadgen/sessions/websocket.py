"""A connection as a session holds it: to send, receive, ping and close."""

import asyncio
from collections.abc import Callable, Generator, Iterable, Mapping
from inspect import iscoroutinefunction
from time import monotonic
from types import coroutine
from typing import Any

import msgspec

from loadgen.net.connection import Terms
from loadgen.net.frames import (
    BINARY,
    TEXT,
    Parser,
    close_code,
    closing_payload,
    fragmented,
    frame,
    ping_frame,
)
from loadgen.net.handshake import Reply
from loadgen.net.reply_headers import ReplyHeaders, cookies_of
from loadgen.net.states import CLOSED, OPEN
from loadgen.plan.jsonpath import NOTHING, fits, json_in, path_of
from loadgen.plan.life import PONG_TIMEOUT
from loadgen.sessions.errors import ConnectionEnded
from loadgen.sessions.parts import Part, parts_of
from loadgen.sessions.waits import Awaited, AwaitedConnection, Handler, Holder
from loadgen.stats.reasons import DONE
from loadgen.stats.recorder import Recorder, microseconds
from loadgen.stats.tally import name_of

MAX_BYTES = 16 * 2**20
"""The longest message, in bytes, kept for a session; a longer one closes the connection (RFC 6455
section 7.4.1, code 1009)."""
MAX_OWED = 64
"""Pings without an answer that a connection waits for; an older one counts as missing at once."""
MESSAGE_COST = 1024
"""Bytes that each message counts more than it has, in BURST."""
MAX_WAITING = 2**20
"""Bytes sent without waiting that the server has not taken; more are refused."""
BURST = 65_536
"""Bytes that a user sends in a row before others get their turn."""


class WebSocket(AwaitedConnection):
    """One WebSocket of a session; its messages can be received after its end too."""

    __slots__ = (
        "_goodbye",
        "_handler",
        "_reply",
        "_times",
        "asked",
    )

    def __init__(self, recorder: Recorder, terms: Terms, owner: Holder, due: float) -> None:
        super().__init__(recorder, terms, owner, due)
        self.asked = 0
        """The number of the ping whose pong the session awaits, or awaited last."""
        self._handler: Handler | None = None
        self._reply = b""
        self._goodbye: bytes | None = None
        """The payload of the server's CLOSE; None before it."""
        self._times: dict[int, tuple[float, float]] | None = None
        """When each ping without a pong of its own was due, and when it was sent, by its number;
        seconds on the monotonic clock. None without such a ping."""

    @property
    def headers(self) -> ReplyHeaders:
        """The headers of the server's 101, by name in any case.

        Values of a repeated header are joined by commas; `headers.getall(name)` is a list of them.
        """
        return ReplyHeaders(self._reply)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that the server's 101 sets, by name."""
        return cookies_of(self.headers)

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose, if any."""
        return self.headers.get("sec-websocket-protocol")

    @property
    def close_code(self) -> int | None:
        """The code of the server's CLOSE, 1005 if it had none; None before it came."""
        return None if self._goodbye is None else close_code(self._goodbye)

    @property
    def close_reason(self) -> str | None:
        """The reason in the server's CLOSE, often empty; None before it came."""
        return None if self._goodbye is None else self._goodbye[2:].decode()

    async def send(self, message: Part | Iterable[Part]) -> None:
        """Sends text (str) or a binary message (bytes, or another buffer).

        The parts of an iterable are sent as the fragments of one message. While the server does
        not take what was sent before, it waits.

        Raises ConnectionEnded when the connection is not open, or ends meanwhile; TypeError for
        other messages.
        """
        if self.state != OPEN:
            raise ConnectionEnded(self.reason or "closed")
        data = self._frames_of(message)
        if not data:
            return
        owner = self.owner
        owner.burst += len(data) + MESSAGE_COST
        if self.transport.write(data, True):  # type: ignore[union-attr]  # OPEN
            owner.burst = 0
            await self._room()
        elif owner.burst >= BURST:
            owner.burst = 0
            await asyncio.sleep(0)

    def _frames_of(self, message: Part | Iterable[Part]) -> bytes:
        """Returns the frames of a message; a subclass may compress it."""
        mask = self.recorder.bits(32)
        if isinstance(message, str):
            return frame(TEXT, message.encode(), mask)
        if isinstance(message, bytes):
            return frame(BINARY, message, mask)
        return fragmented(*parts_of(message), mask)

    @coroutine
    def _room(self) -> Generator[Any, Any, None]:
        """Waits until few bytes wait for the kernel."""
        yield from self._await(Awaited.ROOM, None)

    async def send_json(self, value: Any) -> None:
        """Sends a value as JSON text."""
        await self.send(msgspec.json.encode(value).decode())

    def send_soon(self, message: Part | Iterable[Part]) -> None:
        """Sends a message without waiting, as handlers need it.

        Raises ConnectionEnded when the connection is not open, BlockingIOError while more than
        MAX_WAITING bytes wait for the server, and TypeError as `send` does.
        """
        if self.state != OPEN:
            raise ConnectionEnded(self.reason or "closed")
        waiting = self.transport.waiting  # type: ignore[union-attr]  # OPEN
        if waiting > MAX_WAITING:
            raise BlockingIOError(f"the server does not take what was sent: {waiting:,} bytes wait")
        data = self._frames_of(message)
        if data:
            self._write(data, message=True)

    def on_message(self, handler: Handler | None) -> None:
        """Has a function called with each message, whatever the session awaits.

        The function must not wait: it may `send_soon`, count, check, and keep things. What it takes
        by returning something true does not reach `receive`. One that raises ends the session.
        None: no function any more. Raises TypeError for an `async def`.
        """
        if iscoroutinefunction(handler):
            name = getattr(handler, "__name__", repr(handler))
            raise TypeError(
                f"on_message takes a plain function, and {name} is an `async def`;"
                " send_soon() sends without waiting"
            )
        self._handler = handler

    def __aiter__(self) -> "WebSocket":
        """Yields messages until the connection is closed in good order."""
        return self

    async def __anext__(self) -> str | bytes:
        """Returns the next message.

        It is the last one where the server closes with code 1000 or 1001, and where the session
        does. Raises ConnectionEnded for any other end.
        """
        try:
            return await self.receive()
        except ConnectionEnded:
            if self.close_code in (1000, 1001, 1005) or self.reason == DONE:
                raise StopAsyncIteration from None
            raise

    @coroutine
    def receive(self, timeout: float | None = None) -> Generator[Any, Any, str | bytes]:
        """Returns the next message, str or bytes.

        Raises TimeoutError after `timeout` seconds, ConnectionEnded when no message is left and the
        server has closed the connection, or it has ended.
        """
        if self.inbox:
            message = self.inbox.take()
            if not self.inbox:
                self.inbox = None  # an empty one takes as much memory as the rest of a connection
            return message
        return (yield from self._await(Awaited.MESSAGE, timeout))  # type: ignore[no-any-return]

    async def receive_until(
        self,
        fits: Callable[[str | bytes], object] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 -- as in receive
        **values: Any,
    ) -> str | bytes:
        """Returns the next message that fits, and drops those before it.

        With values it is JSON that has them, each at the path that its name is: `type="joined"`, or
        `**{"data.id": 7}`. Raises TimeoutError when none fits within `timeout` seconds, and
        ConnectionEnded.
        """
        message, _ = await self._next_fitting(fits, values, timeout)
        return message

    async def receive_json(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 -- as in receive
        **values: Any,
    ) -> Any:
        """Returns the value of the next message, which is JSON.

        With values it is the next one that has them, as in `receive_until`. Raises TimeoutError,
        ConnectionEnded, and without values ValueError for a message that is no JSON.
        """
        message, value = await self._next_fitting(None, values, timeout)
        return msgspec.json.decode(message) if value is NOTHING else value

    async def _next_fitting(
        self,
        fits_session: Callable[[str | bytes], object] | None,
        values: Mapping[str, Any],
        timeout: float | None,  # noqa: ASYNC109 -- as in receive
    ) -> tuple[str | bytes, Any]:
        """Returns the next message that fits, and its JSON, which may be NOTHING."""
        wanted = [(path_of(path), value) for path, value in values.items()]
        until = None if timeout is None else monotonic() + timeout
        while True:
            message = await self.receive(None if until is None else max(0.0, until - monotonic()))
            value = json_in(message) if fits_session is None else NOTHING
            if fits(value, wanted) and (fits_session is None or fits_session(message)):
                return message, value

    @coroutine
    def ping(self, timeout: float | None = None) -> Generator[Any, Any, float]:
        """Sends a PING and returns the seconds from then until its PONG.

        Raises TimeoutError after `timeout` seconds, and ConnectionEnded. After a think time the
        PING was due at its end: `ping_rtt` begins there, and `ping_rtt_sent` when it is sent.
        """
        if self.state != OPEN:
            raise ConnectionEnded(self.reason or "closed")
        now = monotonic()
        if self.overtaken is not None:
            self._skip_overtaken(now - PONG_TIMEOUT)
        if self.pinged - self.ponged == MAX_OWED:
            self.ponged += 1
            self._miss(self.ponged, now)
        self.pinged += 1
        if self.awaited is not Awaited.PONG:  # else a task pings while the session waits
            self.asked = self.pinged
        self.recorder.tally.pings += 1
        if self._times is None:
            self._times = {}
        woken = self.owner.woken
        self._times[self.pinged] = (now if woken is None else woken, now)
        self._write(ping_frame(self.pinged, self.recorder.bits(32)))
        return (yield from self._await(Awaited.PONG, timeout))  # type: ignore[no-any-return]

    @coroutine
    def close(
        self, code: int = 1000, reason: str = "", *, ledger: str = DONE
    ) -> Generator[Any, Any, None]:
        """Closes in good order and awaits the server's end; its time is bounded.

        What was sent before goes first. `code` and `reason` are for the server (RFC 6455 section
        7.4), `ledger` is the reason in the ledger.

        Raises ValueError for a code that may not be sent, and for a reason of more than 123 bytes.
        """
        self.begin_close(
            ledger if ledger == DONE else name_of(ledger), code, closing_payload(code, reason)
        )
        if self.state < CLOSED:
            yield from self._await(Awaited.END, None)

    @coroutine
    def wait_closed(self, timeout: float | None = None) -> Generator[Any, Any, None]:
        """Waits until the server closes the connection, which then ends as done.

        Without it a close by the server is one that the session did not ask for. Raises
        TimeoutError after `timeout` seconds, ConnectionEnded when it ended in any other way.
        """
        yield from self._await(Awaited.END, timeout)
        if self.reason != DONE:
            raise ConnectionEnded(self.reason or "closed")

    def _answer_close(self, payload: bytes) -> None:
        self._goodbye = payload
        if self.awaited is Awaited.END or self._any_waits(Awaited.END):
            self.reason = self.reason or DONE
        super()._answer_close(payload)

    def _upgraded(self, reply: Reply) -> None:
        self._reply = reply.head

    def _new_parser(self) -> Parser:
        return Parser(MAX_BYTES, MAX_BYTES)

    def _pong(self, number: int) -> None:
        if self._times is None or number not in self._times:
            return
        now = monotonic()
        _, sent = self._times[number]
        if number > self.ponged:
            if number > self.ponged + 1:
                self._overtake(number, now)
            self.ponged = number
        else:
            assert self.overtaken is not None
            del self.overtaken[number]
        self.recorder.tally.pongs += 1
        self._record(number, now)
        self._hear()
        if self.awaited is Awaited.PONG and number >= self.asked:
            self.owner.happened(self, now - self._sent(self.asked, sent))
        for waiter in self.waiters or ():
            if waiter.what is Awaited.PONG and number >= waiter.ping and not waiter.future.done():
                waiter.future.set_result(now - self._sent(waiter.ping, sent))

    def _sent(self, number: int, newest: float) -> float:
        """Returns when a ping was sent that a pong answers, its own or an older one.

        `newest` is when the pong's own was sent.
        """
        times = None if self._times is None else self._times.get(number)
        return newest if times is None else times[1]

    def _app_pong(self) -> None:
        """Does nothing: it answers a text of the session, not a PING."""

    def _due(self, number: int) -> float:
        assert self._times is not None
        return self._times[number][0]

    def _record(self, number: int, now: float) -> None:
        assert self._times is not None
        due, sent = self._times.pop(number)
        if not self._times:
            self._times = None
        tally = self.recorder.tally
        tally.ping_rtt.record(microseconds(now - due))
        tally.ping_rtt_sent.record(microseconds(now - sent))

    def _message(self, opcode: int, payload: bytes, size: int) -> None:
        super()._message(opcode, payload, size)
        message = payload.decode() if opcode == TEXT else payload
        handler = self._handler
        if handler is not None and self.state == OPEN and self.owner.handle(handler, message):
            return
        if not self.happened(Awaited.MESSAGE, message):
            self._keep(message)
