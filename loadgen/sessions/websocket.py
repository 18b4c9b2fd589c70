"""A connection as a session holds it: to send, receive, ping and close.

Each of these suspends the session on its user (see user.py), without an asyncio task or future.
"""

from collections import deque
from collections.abc import Callable, Generator
from enum import Enum, auto
from time import monotonic
from types import coroutine
from typing import Any, Protocol

import msgspec

from loadgen.net.connection import CLOSED, CLOSING, OPEN, Connection, Owner, Terms
from loadgen.net.frames import BINARY, TEXT, Event, Parser, ping_frame
from loadgen.net.handshake import Reply
from loadgen.net.reply_headers import ReplyHeaders, cookies_of
from loadgen.plan.life import PONG_TIMEOUT
from loadgen.sessions.errors import ConnectionEnded
from loadgen.stats.reasons import DONE, MESSAGE_TOO_BIG
from loadgen.stats.recorder import Recorder, microseconds

MAX_BYTES = 16 * 2**20
"""The longest message, in bytes, kept for a session; a longer one closes the connection (RFC 6455
section 7.4.1, code 1009)."""
MAX_OWED = 64
"""Pings without an answer that a connection waits for; an older one counts as missing at once."""
MAX_UNREAD = 1024
"""Messages kept for a session that does not receive them; older ones are dropped and counted."""
UNREAD = "messages_unread"
"""The counter of dropped messages."""


class Awaited(Enum):
    """The events that a session awaits on a connection."""

    OPENING = auto()
    MESSAGE = auto()
    PONG = auto()
    END = auto()


class Holder(Owner, Protocol):
    """The user of a session, which waits for what happens on a connection."""

    @property
    def woken(self) -> float | None:
        """The end of the think time that the session has just left, else None.

        It is in seconds on the monotonic clock.
        """

    def wait_for(self, what: "WebSocket", seconds: float | None) -> Generator[Any, Any, Any]:
        """Suspends the session until `happened` reports this connection.

        Raises TimeoutError after a number of seconds.
        """

    def happened(self, what: "WebSocket", value: Any) -> None:
        """Resumes the session with a value, if it waits for this connection."""


class WebSocket(Connection):
    """One WebSocket of a session; its messages can be received after its end too."""

    __slots__ = ("_reply", "_times", "awaited", "due", "inbox")

    owner: Holder

    def __init__(self, recorder: Recorder, terms: Terms, owner: Holder, due: float) -> None:
        super().__init__(recorder, terms, owner)
        self.due = due
        """The time at which it was due to be dialed; seconds on the monotonic clock."""
        self.awaited: Awaited | None = Awaited.OPENING
        self.inbox: deque[str | bytes] | None = None
        """Messages that came before the session awaited them."""
        self._reply = b""
        self._times: dict[int, tuple[float, float]] | None = None
        """When each ping without a pong of its own was due, and when it was sent, by its number;
        seconds on the monotonic clock. None without such a ping."""

    @property
    def open(self) -> bool:
        """True while messages may be sent."""
        return self.state == OPEN

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

    async def send(self, message: str | bytes) -> None:
        """Sends text (str) or a binary message (bytes).

        Raises ConnectionEnded when the connection is not open.
        """
        if self.state != OPEN:
            raise ConnectionEnded(self.reason or "closed")
        opcode, payload = (
            (TEXT, message.encode()) if isinstance(message, str) else (BINARY, bytes(message))
        )
        self._write(self._framed(opcode, payload), message=True)

    async def send_json(self, value: Any) -> None:
        """Sends a value as JSON text."""
        await self.send(msgspec.json.encode(value).decode())

    @coroutine
    def receive(self, timeout: float | None = None) -> Generator[Any, Any, str | bytes]:
        """Returns the next message, str or bytes.

        Raises TimeoutError after `timeout` seconds, ConnectionEnded when it is over and empty.
        """
        if self.inbox:
            message = self.inbox.popleft()
            if not self.inbox:
                self.inbox = None  # an empty one takes as much memory as the rest of a connection
            return message
        return (yield from self._await(Awaited.MESSAGE, timeout))  # type: ignore[no-any-return]

    async def receive_until(
        self,
        fits: Callable[[str | bytes], object],
        timeout: float | None = None,  # noqa: ASYNC109 -- as in receive
    ) -> str | bytes:
        """Returns the next message that fits, and drops those before it.

        Raises TimeoutError when none fits within `timeout` seconds, and ConnectionEnded.
        """
        until = None if timeout is None else monotonic() + timeout
        while True:
            message = await self.receive(None if until is None else max(0.0, until - monotonic()))
            if fits(message):
                return message

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
        self.recorder.tally.pings += 1
        if self._times is None:
            self._times = {}
        woken = self.owner.woken
        self._times[self.pinged] = (now if woken is None else woken, now)
        self._write(ping_frame(self.pinged, self.recorder.bits(32)))
        return (yield from self._await(Awaited.PONG, timeout))  # type: ignore[no-any-return]

    @coroutine
    def close(self, code: int = 1000, reason: str = DONE) -> Generator[Any, Any, None]:
        """Closes in good order and awaits the server's end; its time is bounded.

        `code` is for the server (RFC 6455 section 7.4), `reason` for the ledger.
        """
        self.begin_close(reason, code)
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

    def _answer_close(self, code: int) -> None:
        if self.awaited is Awaited.END:
            self.reason = self.reason or DONE
        super()._answer_close(code)

    def _await(self, what: Awaited, timeout: float | None) -> Generator[Any, Any, Any]:
        if self.state >= CLOSED or (self.state >= CLOSING and what is Awaited.PONG):
            raise ConnectionEnded(self.reason or "closed")
        self.awaited = what
        try:
            return (yield from self.owner.wait_for(self, timeout))
        finally:
            self.awaited = None

    def _upgraded(self, reply: Reply) -> None:
        self._reply = reply.head

    def _new_parser(self) -> Parser:
        return Parser(MAX_BYTES)

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
        if number == self.pinged:
            self._happened(Awaited.PONG, now - sent)

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

    def _message(self, event: Event) -> None:
        super()._message(event)
        if event.size > MAX_BYTES:
            self.begin_close(MESSAGE_TOO_BIG, 1009)
            return
        message = event.payload.decode() if event.opcode == TEXT else event.payload
        if not self._happened(Awaited.MESSAGE, message):
            self._keep(message)

    def _keep(self, message: str | bytes) -> None:
        if self.inbox is None:
            self.inbox = deque(maxlen=MAX_UNREAD)
        elif len(self.inbox) == MAX_UNREAD:
            self.recorder.tally.count(UNREAD)
        self.inbox.append(message)

    def _happened(self, what: Awaited, value: Any) -> bool:
        if self.awaited is not what:
            return False
        self.owner.happened(self, value)
        return True
