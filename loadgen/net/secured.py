"""The transport of a connection with TLS, and what the kernel takes of it.

The transport below is uvloop's. It tells how many bytes wait, but not when the kernel has taken
them. So while bytes wait they are looked at again and again, more and more rarely while nothing
moves.
"""

import asyncio
import ssl
from time import monotonic

from loadgen.net.tls import SPEAKS_FIRST, Contexts
from loadgen.net.transport import HIGH_WATER, LOW_WATER, Backlog, Receiver
from loadgen.stats.recorder import Recorder, microseconds

FIRST_LOOK = 0.001
"""Seconds until the first look at bytes that wait, and until the next one after some were taken."""
LOOK = 0.05
"""Seconds between two looks at most."""


class BeforeTls(asyncio.Protocol):
    """The protocol of a TCP connection before TLS: the server has to be silent."""

    __slots__ = ("_spoke",)

    def __init__(self) -> None:
        self._spoke = False

    def data_received(self, data: bytes) -> None:
        """Notes that the server speaks first, as no server with TLS does."""
        self._spoke = True

    def check(self, tcp: asyncio.Transport) -> None:
        """Raises SSLError or ConnectionResetError where TLS can't begin.

        It ends the transport then.
        """
        closing = tcp.is_closing()
        if closing or self._spoke:
            tcp.abort()
            raise ConnectionResetError if closing else ssl.SSLError(ssl.SSL_ERROR_SSL, SPEAKS_FIRST)


class SecureTransport(asyncio.Protocol):
    """A transport for its receiver, and the protocol of uvloop's transport with TLS.

    Bytes count as they are before TLS. Subtle: those that wait are encrypted, and so a little more
    than they were before. While some wait, a few bytes too few count as taken; then all do.
    """

    __slots__ = (
        "_backlog",
        "_began",
        "_early",
        "_eof",
        "_error",
        "_looking",
        "_loop",
        "_lost",
        "_pauses",
        "_receiver",
        "_recorder",
        "_sessions",
        "_tcp",
        "_tls",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        receiver: Receiver,
        recorder: Recorder,
        sessions: Contexts | None = None,
    ) -> None:
        """`sessions` keep its TLS session, for the next connections to resume."""
        self._loop = loop
        self._receiver = receiver
        self._recorder = recorder
        self._sessions = sessions
        self._began: float | None = None
        """The time at which it was started; None once the server has sent something."""
        self._tls: asyncio.Transport | None = None
        self._tcp: asyncio.Transport | None = None
        self._early = b""
        """Bytes that came with the end of the TLS handshake, before the receiver can take them."""
        self._backlog: Backlog | None = None
        """None while nothing waits. At the end it stays: its size tells what was left."""
        self._looking = False
        """True while a look at what waits is due."""
        self._pauses = 0
        self._eof = False
        """True once the server has ended TLS: uvloop drops what is written from then on."""
        self._lost = False
        """True once there is nothing below it any more."""
        self._error: Exception | None = None
        """The error that ended it, such as an alert of the server's."""

    def start(self, tls: asyncio.Transport, tcp: asyncio.Transport) -> None:
        """Gives the receiver its transport; `tls` is the one on top of `tcp`."""
        self._tls = tls
        self._tcp = tcp
        self._began = monotonic()
        self._receiver.connection_made(self)
        if self._early:
            self.data_received(self._early)
            self._early = b""
        if self._lost:  # in the moment before it was started
            self._receiver.connection_lost(self._error)

    @property
    def waiting(self) -> int:
        """Bytes that the kernel has not taken; after the end, those that it never took."""
        self._settle()
        return 0 if self._backlog is None else self._backlog.size

    def write(self, data: bytes, message: bool = False) -> bool:
        """Sends what the kernel takes now, and the rest later; nothing after the end.

        With `message` the last byte is the end of a message, as in PlainTransport. Returns True
        when more than HIGH_WATER bytes wait now.
        """
        assert self._tls is not None
        tally = self._recorder.tally
        if self._eof or self._ended:
            tally.messages_unsent += message
            return False
        self._tls.write(data)
        if self._backlog is None:
            if not self._waiting():
                tally.bytes_sent += len(data)
                tally.messages_sent += message
                return False
            self._backlog = Backlog()
            if not self._looking:
                self._looking = True
                self._loop.call_later(FIRST_LOOK, self._look, FIRST_LOOK)
        self._backlog.add(len(data), message=message)
        return self.waiting > HIGH_WATER

    def pause_reading(self) -> None:
        """Reads nothing more until `resume_reading` was called as often as this.

        Bytes wait in the kernel meanwhile.
        """
        self._pauses += 1
        if self._tls is not None and self._pauses == 1:
            self._tls.pause_reading()

    def resume_reading(self) -> None:
        """Takes one pause back."""
        self._pauses -= 1
        if self._tls is not None and self._pauses == 0:
            self._tls.resume_reading()

    def abort(self) -> None:
        """Closes the socket; `connection_lost` follows."""
        assert self._tls is not None
        self._settle()
        self._tls.abort()

    def data_received(self, data: bytes) -> None:
        """Passes the bytes on."""
        if self._tls is None:
            self._early += data
            return
        if self._began is not None:
            self._take_reply(self._began, self._tls.get_extra_info("ssl_object"))
            self._began = None
        self._receiver.data_received(data)

    def eof_received(self) -> None:
        """Notes that the server has ended TLS: uvloop sends nothing more."""
        self._settle()
        self._eof = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Passes the end on; what waits then was not taken."""
        self._lost = True
        self._error = exc
        if self._backlog is not None:
            self._backlog.drop(self._recorder.tally)
        if self._tls is not None:  # else the TLS handshake has failed, and its caller knows
            self._receiver.connection_lost(exc)

    def _take_reply(self, began: float, tls: ssl.SSLObject) -> None:
        """Times the first bytes of the reply to the upgrade, and keeps the TLS session."""
        self._recorder.tally.upgrade.record(microseconds(monotonic() - began))
        if self._sessions is not None:
            self._sessions.keep_session(tls)

    @property
    def _ended(self) -> bool:
        """True once TCP has ended; from then on uvloop says that no byte waits."""
        assert self._tcp is not None
        return self._tcp.is_closing()

    def _waiting(self) -> int:
        assert self._tls is not None
        assert self._tcp is not None
        return self._tls.get_write_buffer_size() + self._tcp.get_write_buffer_size()

    def _settle(self) -> None:
        """Counts what the kernel has taken of the bytes that waited."""
        backlog = self._backlog
        if backlog is None or self._ended:
            return
        taken = backlog.size - self._waiting()
        if taken > 0:
            backlog.take(taken, self._recorder.tally)
        if not backlog.size:
            self._backlog = None

    def _look(self, waited: float) -> None:
        """Looks at what waits, after a number of seconds."""
        before = 0 if self._backlog is None else self._backlog.size
        left = self.waiting
        self._looking = left > 0 and not self._lost
        if self._looking:
            again = FIRST_LOOK if left < before else min(2 * waited, LOOK)
            self._loop.call_later(again, self._look, again)
        if left <= LOW_WATER and not self._lost:
            self._receiver.resume_writing()
